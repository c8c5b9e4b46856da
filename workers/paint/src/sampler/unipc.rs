//! UniPC, data prediction: Zhao et al., arXiv:2302.04867. Each answer of the model first corrects the step
//! that led to it, then predicts the next one.

use super::dpm;
use super::schedule::{Step, alpha_sigma, clean_of};
use super::spacing;
use super::sum::{PAST, Sum};
use super::walk::Walk;

pub(super) fn steps(walk: &Walk<'_>) -> Vec<Step> {
    let (timesteps, sigmas) = levels(walk);
    let most = walk.config.solver_order.min(PAST);
    let order = |index: usize| {
        let left = timesteps.len() - index;
        let last = if walk.config.lower_order_final { left } else { most };
        most.min(last).min(index + 1)
    };
    let step = |(index, timestep): (usize, &f64)| {
        let (alpha, sigma) = alpha_sigma(sigmas[index]);
        let clean = clean_of(walk.prediction(), alpha, sigma);
        let corrected = match index {
            0 => Sum::SAMPLE,
            _ => Stretch::new(walk, &sigmas, index - 1, order(index - 1)).correct(),
        };
        let next = Stretch::new(walk, &sigmas, index, order(index)).predict(corrected);
        Step { keep: Some(Sum::CLEAN), base: Some(corrected), ..Step::new(*timestep, clean, next) }
    };
    timesteps.iter().enumerate().map(step).collect()
}

fn levels(walk: &Walk<'_>) -> (Vec<f64>, Vec<f64>) {
    let (mut timesteps, sigmas) = dpm::levels(walk);
    if walk.karras {
        let trained = walk.levels.sigmas();
        let whole = |sigma: &f64| spacing::timestep_of(*sigma, &trained).round_ties_even();
        timesteps = sigmas[..timesteps.len()].iter().map(whole).collect();
    }
    (timesteps, sigmas)
}

/// One step between two noise levels, in the paper's terms.
struct Stretch {
    /// `-h`: the change of `lambda = -ln(level)`, negated.
    minus_h: f64,
    /// `B(h)`.
    scale: f64,
    /// Places of the earlier answers, in steps of `h` from the start; the last is 1, the end.
    places: Vec<f64>,
    alpha: f64,
    /// Factor of the sample at the start.
    fade: f64,
}

impl Stretch {
    fn new(walk: &Walk<'_>, sigmas: &[f64], index: usize, order: usize) -> Self {
        let (from, to) = (sigmas[index], sigmas[index + 1]);
        let ((_, sigma_from), (alpha, sigma)) = (alpha_sigma(from), alpha_sigma(to));
        let minus_h = (to / from).ln();
        let place = |back: usize| (from / sigmas[index - back]).ln() / -minus_h;
        let places = (1..order).map(place).chain([1.0]).collect();
        let scale = if walk.config.is_bh1() { minus_h } else { minus_h.exp_m1() };
        Self { minus_h, scale, places, alpha, fade: sigma / sigma_from }
    }

    /// The end of the step, from its start `x` and the newest answer: `CLEAN`, with those before it.
    fn predict(&self, x: Sum) -> Sum {
        let earlier = self.places.len() - 1;
        let weights = match earlier {
            0 => Vec::new(),
            1 => vec![0.5],
            _ => self.weights(earlier),
        };
        let straight = x.times(self.fade).plus(-self.alpha * self.minus_h.exp_m1(), Sum::CLEAN);
        self.bend(straight, &weights, Sum::CLEAN, 0)
    }

    /// The end of the step once more, from its start, put aside, and the answer found at its end.
    fn correct(&self) -> Sum {
        let weights = match self.places.len() {
            1 => vec![0.5],
            order => self.weights(order),
        };
        let newest = Sum::past(0);
        let straight = Sum::BASE.times(self.fade).plus(-self.alpha * self.minus_h.exp_m1(), newest);
        let (last, earlier) = (weights[weights.len() - 1], &weights[..weights.len() - 1]);
        let bent = self.bend(straight, earlier, newest, 1);
        let factor = -self.alpha * self.scale * last;
        bent.plus(factor, Sum::CLEAN).plus(-factor, newest)
    }

    /// Adds the differences of earlier answers, `past(first)` and on, to the `newest`.
    fn bend(&self, straight: Sum, weights: &[f64], newest: Sum, first: usize) -> Sum {
        let terms = weights.iter().zip(&self.places).enumerate();
        terms.fold(straight, |sum, (back, (weight, place))| {
            let factor = -self.alpha * self.scale * weight / place;
            sum.plus(factor, Sum::past(first + back)).plus(-factor, newest)
        })
    }

    /// Solves for the weights of `count` differences: powers of their places times the weights give the
    /// functions phi of the paper.
    fn weights(&self, count: usize) -> Vec<f64> {
        let mut phi = self.minus_h.exp_m1() / self.minus_h - 1.0;
        let mut factorial = 1.0;
        let mut rows = Vec::with_capacity(count);
        for power in 0..count {
            let mut row: Vec<f64> = self.places[..count].iter().map(|place| place.powi(power as i32)).collect();
            row.push(phi * factorial / self.scale);
            rows.push(row);
            factorial *= (power + 2) as f64;
            phi = phi / self.minus_h - 1.0 / factorial;
        }
        solve(rows)
    }
}

/// Gauss's elimination of a few equations, right-hand side last; places differ, so no pivot is zero.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let count = rows.len();
    for pivot in 0..count {
        let reference = rows[pivot].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(index, _)| *index != pivot) {
            let factor = row[pivot] / reference[pivot];
            row.iter_mut().zip(&reference).for_each(|(value, above)| *value -= factor * above);
        }
    }
    rows.iter().enumerate().map(|(index, row)| row[count] / row[index]).collect()
}
