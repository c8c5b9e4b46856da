//! The steps beside the same in plain numbers, one element at a time.

use candle_core::Device;

use super::sum::Sum;
use super::*;
use crate::diffusers::scheduler::SchedulerConfig;
use crate::noise::NoiseKey;

const SHAPE: (usize, usize, usize, usize) = (1, 3, 5, 7);
const ELEMENTS: usize = 105;

/// A sampler over a slice. What a seed means is written down here.
struct Plain {
    schedule: Arc<Schedule>,
    done: usize,
    clean: Vec<f32>,
    base: Vec<f32>,
    past: VecDeque<Vec<f32>>,
}

impl Plain {
    fn new(schedule: Arc<Schedule>) -> Self {
        Self { schedule, done: 0, clean: Vec::new(), base: vec![0.0; ELEMENTS], past: VecDeque::new() }
    }

    fn model_input(&self, latents: &[f32]) -> Vec<f32> {
        let scale = self.schedule.step(self.done).unwrap().input_scale;
        latents.iter().map(|value| (f64::from(*value) * scale) as f32).collect()
    }

    fn step(&mut self, output: &[f32], latents: &mut [f32], noise: &[f32]) {
        let step = *self.schedule.step(self.done).unwrap();
        let clean = |(sample, output): (&f32, &f32)| {
            (step.clean.sample * f64::from(*sample) + step.clean.output * f64::from(*output)) as f32
        };
        self.clean = latents.iter().zip(output).map(clean).collect();
        if let Some(thresholding) = self.schedule.thresholding() {
            thresholding.apply(&mut self.clean);
        }
        let mut keep = step.keep.map(|_| vec![0.0; ELEMENTS]);
        for (index, latent) in latents.iter_mut().enumerate() {
            let past = |back| self.past.get(back).map_or(0.0, |kept: &Vec<f32>| f64::from(kept[index]));
            let known = Sum {
                sample: f64::from(*latent),
                output: output[index].into(),
                clean: self.clean[index].into(),
                base: self.base[index].into(),
                past: std::array::from_fn(past),
                noise: noise[index].into(),
            };
            *latent = of(&step.next, &known) as f32;
            if let Some((sum, kept)) = step.keep.zip(keep.as_mut()) {
                kept[index] = of(&sum, &known) as f32;
            }
            if let Some(sum) = step.base {
                self.base[index] = of(&sum, &known) as f32;
            }
        }
        if let Some(keep) = keep {
            self.past.push_front(keep);
            self.past.truncate(PAST);
        }
        self.done += 1;
    }
}

fn of(weights: &Sum, values: &Sum) -> f64 {
    let past: f64 = weights.past.iter().zip(&values.past).map(|(weight, value)| weight * value).sum();
    weights.sample * values.sample
        + weights.output * values.output
        + weights.clean * values.clean
        + weights.base * values.base
        + past
        + weights.noise * values.noise
}

fn tensor(values: &[f32]) -> Tensor {
    Tensor::from_slice(values, SHAPE, &Device::Cpu).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn bits_of(tensor: &Tensor) -> Vec<u32> {
    bits(&tensor.flatten_all().unwrap().to_vec1().unwrap())
}

/// Walks both ways, with answers that depend on what was shown, as a network's do.
fn walk_beside_plain(kind: SamplerKind, config: &SchedulerConfig, steps: usize) {
    let what = format!("{kind} {:?} {:?}", config.prediction_type, config.timestep_spacing);
    let schedule = Arc::new(Schedule::new(kind, config, steps).unwrap());
    let (mut sampler, mut plain) = (Sampler::new(schedule.clone()), Plain::new(schedule));
    let normals = |step, picture| NoiseKey { seed: 7, picture, step }.normals(ELEMENTS);
    let mut numbers = normals(0, 0);
    sampler.start(&mut numbers);
    let mut latents = tensor(&numbers);
    while sampler.left() > 0 {
        let call = sampler.done() as u32 + 1;
        let (shown, input) = (sampler.model_input(&latents).unwrap(), plain.model_input(&numbers));
        assert_eq!(bits_of(&shown), bits(&input), "{what} call {call}: input");
        let own = normals(call, 1);
        let output: Vec<f32> = input.iter().zip(&own).map(|(seen, own)| 0.6 * seen.sin() + 0.7 * own).collect();
        let noise = normals(call, 0);
        let fresh = sampler.needs_noise().then(|| tensor(&noise));
        latents = sampler.step(&tensor(&output), &latents, fresh.as_ref()).unwrap();
        plain.step(&output, &mut numbers, &noise);
        assert!(numbers.iter().all(|value| value.is_finite()), "{what} call {call}: {numbers:?}");
        assert_eq!(bits_of(&latents), bits(&numbers), "{what} call {call}: latents");
        assert_eq!(bits_of(sampler.clean().unwrap()), bits(&plain.clean), "{what} call {call}: clean");
    }
}

#[test]
fn every_sampler_takes_the_steps_that_plain_numbers_take_to_the_bit() {
    for (spacing, more) in [
        ("leading", ""),
        ("trailing", r#", "thresholding": true, "sample_max_value": 1.5"#),
        ("linspace", r#", "solver_order": 3, "solver_type": "bh1", "final_sigmas_type": "sigma_min""#),
    ] {
        for prediction in ["epsilon", "v_prediction", "sample"] {
            let file = format!(
                r#"{{"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1,
                    "prediction_type": "{prediction}", "timestep_spacing": "{spacing}"{more}}}"#
            );
            let config = SchedulerConfig::parse(serde_json::from_str(&file).unwrap()).unwrap();
            for kind in SamplerKind::all() {
                [1, 2, 7].iter().for_each(|steps| walk_beside_plain(kind, &config, *steps));
            }
        }
    }
}

/// Sums of numbers that cancel: in another order they have other digits.
#[test]
fn terms_are_added_in_their_order() {
    let large = [1.3e18, -1.3e18, 1.7e17, -1.7e17, 1.0, 3.0, 0.1, 7.0_f32];
    let rows: Vec<[f32; 8]> = (0..ELEMENTS as u64).map(|seed| shuffled(large, seed)).collect();
    let column = |at: usize| tensor(&rows.iter().map(|row| row[at]).collect::<Vec<_>>());
    let known = |at| double(&column(at)).unwrap();
    let (base, past) = (known(3), (4..7).map(known).collect());
    let (clean, noise) = (Some(known(2)), Some(known(7)));
    let known = Known { sample: known(0), output: known(1), clean, base: Some(&base), past: &past, noise };
    let sum_of = |row: &[f32; 8]| {
        let [sample, output, clean, base, first, second, third, noise] = row.map(f64::from);
        Sum { sample, output, clean, base, past: [first, second, third], noise }
    };
    let ones = sum_of(&[1.0; 8]);
    let [left, others] = [Sum { output: 0.0, base: 0.0, ..ones }, Sum { past: [-1.5, 0.0, 1.25], noise: 0.0, ..ones }];
    for weights in [ones, left, others, Sum { sample: 0.0, clean: -2.5, ..ones }] {
        let wanted: Vec<f32> = rows.iter().map(|row| of(&weights, &sum_of(row)) as f32).collect();
        assert_eq!(bits_of(&known.sum(&weights).unwrap()), bits(&wanted), "{weights:?}");
    }
}

fn shuffled(mut row: [f32; 8], seed: u64) -> [f32; 8] {
    let numbers = NoiseKey { seed, picture: 0, step: 0 }.normals(8);
    (1..8).for_each(|at| row.swap(at, (numbers[at].abs() * 1e3) as usize % (at + 1)));
    row
}

#[test]
fn guidance_is_that_of_plain_numbers_to_the_bit() {
    let normals = |picture| NoiseKey { seed: 8, picture, step: 0 }.normals(ELEMENTS);
    for scale in [1.1, 7.5, 1e-3, -2.0, 1e6] {
        let without = normals(0);
        // Guided, this is nearly nothing: what is left are the digits that another order would change.
        let cancelling = without.iter().map(|value| (f64::from(*value) * (1.0 - 1.0 / scale)) as f32).collect();
        for with in [normals(1), cancelling] {
            let one = |(without, with): (&f32, &f32)| {
                let (without, with) = (f64::from(*without), f64::from(*with));
                (without + scale * (with - without)) as f32
            };
            let wanted: Vec<f32> = without.iter().zip(&with).map(one).collect();
            assert_eq!(bits_of(&guided(&tensor(&without), &tensor(&with), scale).unwrap()), bits(&wanted), "{scale}");
        }
    }
}

/// Products with a fused addition of minus zero are products: in every sign, at both ends of the range.
#[test]
fn a_product_is_only_a_product() {
    let odd = [0.0, -0.0, f32::MIN_POSITIVE / 8.0, -1e-45, f32::MAX, f32::MIN, f32::INFINITY, 1.0, -3.0];
    for weight in [1.0, -1.0, 0.1, -1e300, 1e-300, f64::MIN_POSITIVE, -f64::MIN_POSITIVE / 3.0] {
        let values = double(&Tensor::new(&odd, &Device::Cpu).unwrap()).unwrap();
        let products: Vec<f64> = times(&values, weight).unwrap().to_vec1().unwrap();
        for (value, product) in odd.iter().zip(products) {
            let value = f64::from(*value);
            assert_eq!(product.to_bits(), (value * weight).to_bits(), "{value} {weight}");
            assert_eq!(product.to_bits(), value.mul_add(weight, -0.0).to_bits(), "{value} {weight}, fused");
        }
    }
}
