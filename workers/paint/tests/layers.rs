//! Layers that compute in another way where that is quicker.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as it does")]

use candle_core::{DType, Device, Tensor};
use shanshui_paint::diffusers::weights::{WeightFiles, Weights};
use shanshui_paint::layers::conv::{Around, Conv};
use shanshui_paint::noise::NoiseKey;

fn noise(shape: &[usize]) -> candle_core::Result<Tensor> {
    let values = NoiseKey { seed: 7, picture: 0, step: 0 }.normals(shape.iter().product());
    Tensor::from_vec(values, shape, &Device::Cpu)
}

fn files() -> WeightFiles {
    WeightFiles::made("unet", Box::new(|_, shape| noise(shape)))
}

/// Root of the mean square of the difference, as a share of that of the first.
fn apart(one: Tensor, other: Tensor) -> f64 {
    let [one, other] = [one, other].map(|tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap());
    assert_eq!(one.len(), other.len());
    let square = |value: f32| f64::from(value).powi(2);
    let difference: f64 = one.iter().zip(&other).map(|(a, b)| square(a - b)).sum();
    (difference / one.iter().copied().map(square).sum::<f64>()).sqrt()
}

#[test]
fn convolutions_by_pairs_and_of_doubled_maps_are_those_of_candle() {
    let files = files();
    // candle computes where the type is not one of ours.
    let candle = Weights::new(&files, DType::F64, &Device::Cpu);
    let (inputs, outputs) = (200, 12);
    let x = noise(&[2, inputs, 7, 17]).unwrap();
    let double = Around { sides: Some([14, 34]), ..Around::default() };
    for (dtype, allowed) in [(DType::F32, 2e-6), (DType::BF16, 0.006)] {
        let ours = Weights::new(&files, dtype, &Device::Cpu);
        let wide = [&ours, &candle].map(|weights| Conv::load_wide(weights, inputs, outputs).unwrap());
        let doubling = [&ours, &candle].map(|weights| Conv::load_doubling(weights, inputs, outputs, true).unwrap());
        for ([ours, theirs], around) in [(&wide, Around::default()), (&doubling, double)] {
            let ours = ours.forward_with(&ours.take(&x).unwrap(), around).unwrap().into_tensor().unwrap();
            let exact = theirs.take(&x.to_dtype(DType::F64).unwrap()).unwrap();
            let exact = theirs.forward_with(&exact, around).unwrap().into_tensor().unwrap();
            let apart = apart(exact.to_dtype(DType::F32).unwrap(), ours);
            assert!(apart < allowed, "{dtype:?} {:?}: {apart}", around.sides);
        }
    }
}
