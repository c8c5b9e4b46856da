//! Attention of one query to a few keys, as floats: those of the tokens written so far.

use crate::{
    functions::{exp, maximum, sum_of},
    isa::{Isa, Work, dispatch},
    path::Kernels,
    rows::Rows,
};

impl Kernels {
    /// The mean of the first values, so many, weighted by the softmax of the scores of their keys, for
    /// one query that carries the scale of the scores.
    ///
    /// # Panics
    /// If the sizes do not fit, or there is no key.
    pub fn attend_floats(self, query: &[f32], [keys, values]: [Rows<'_>; 2], length: usize, out: &mut [f32]) {
        assert!(length > 0 && query.len() == keys.width && out.len() == values.width, "sizes of an attention");
        dispatch(self.path(), Attend { query, keys, values, length, out });
    }
}

struct Attend<'a> {
    query: &'a [f32],
    keys: Rows<'a>,
    values: Rows<'a>,
    length: usize,
    out: &'a mut [f32],
}

impl Work for Attend<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, _: I) {
        let product = |at| sum_of(self.query, self.keys.row(at), I::mul_add);
        let scores: Vec<f32> = (0..self.length).map(product).collect();
        let largest = maximum(&scores);
        let mut total = 0.0;
        self.out.fill(0.0);
        for (at, score) in scores.iter().enumerate() {
            let weight = exp::<I>(score - largest);
            total += weight;
            for (out, value) in self.out.iter_mut().zip(self.values.row(at)) {
                *out = I::mul_add(weight, *value, *out);
            }
        }
        let inverse = f32::recip(total);
        self.out.iter_mut().for_each(|out| *out *= inverse);
    }
}
