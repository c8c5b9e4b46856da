//! Keys and values of a head as the products of attention read them.

use crate::{
    functions::{larger, maximum, nearest},
    isa::{COLUMNS, Isa, Work, dispatch},
    packed::{Group, groups_for},
    path::Kernels,
    rows::Rows,
};

/// Keys and values of one head. Keys lie as the weights of a product with a query do, values as those
/// of a product with the weights of the softmax.
#[derive(Debug, Default)]
pub struct KeysValues {
    pub(crate) length: usize,
    pub(crate) width: usize,
    /// Panels of 64 keys.
    pub(crate) keys: Vec<Group>,
    /// Of each key, filled up to whole panels.
    pub(crate) key_scales: Vec<f32>,
    /// What a zero point of one adds to the score of a key.
    pub(crate) key_shifts: Vec<f32>,
    /// One panel: 64 values wide, as long as all panels of keys together.
    pub(crate) values: Vec<Group>,
    /// Of each value of a row.
    pub(crate) value_scales: Vec<f32>,
}

impl KeysValues {
    /// The widest head: a panel has as many columns.
    pub const MAX_WIDTH: usize = COLUMNS;

    /// The keys, filled up to whole panels.
    pub(crate) fn padded(&self) -> usize {
        self.length.next_multiple_of(COLUMNS)
    }

    fn reset(&mut self, length: usize, width: usize) {
        (self.length, self.width) = (length, width);
        let (padded, groups) = (self.padded(), groups_for(width));
        for (all, count) in [(&mut self.keys, padded / COLUMNS * groups), (&mut self.values, padded / 4)] {
            all.clear();
            all.resize(count, Group::ZERO);
        }
        self.key_scales.clear();
        self.key_scales.resize(padded, 0.0);
        self.key_shifts.clear();
        self.key_shifts.resize(padded, 0.0);
        self.value_scales.clear();
        self.value_scales.resize(COLUMNS, 0.0);
    }
}

impl Kernels {
    /// Packs so many keys and values of a head, in place of those that were there.
    ///
    /// # Panics
    /// If the head is wider than [`KeysValues::MAX_WIDTH`], or keys and values differ in width.
    pub fn pack_head(self, keys: Rows<'_>, values: Rows<'_>, length: usize, to: &mut KeysValues) {
        assert!(keys.width == values.width && keys.width <= COLUMNS, "a head of {} values", keys.width);
        to.reset(length, keys.width);
        dispatch(self.path(), Pack { keys, values, to });
    }
}

struct Pack<'a> {
    keys: Rows<'a>,
    values: Rows<'a>,
    to: &'a mut KeysValues,
}

impl Work for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, _: I) {
        let Self { keys, values, to } = self;
        pack_keys(keys, to);
        pack_values(values, to);
    }
}

/// The mean over all keys changes the scores of a query alike, and the softmax does not see it:
/// without it, the bytes are left for what differs.
#[inline(always)]
fn pack_keys(keys: Rows<'_>, to: &mut KeysValues) {
    let (length, width, groups) = (to.length, to.width, groups_for(to.width));
    let mut mean = [0f32; COLUMNS];
    for key in (0..length).map(|at| line(keys, at)) {
        mean.iter_mut().zip(key).for_each(|(mean, key)| *mean += key);
    }
    mean.iter_mut().for_each(|mean| *mean /= length as f32);
    for at in 0..length {
        let mut row = line(keys, at);
        row.iter_mut().zip(&mean).for_each(|(key, mean)| *key -= mean);
        let scale = larger(maximum(&row.map(f32::abs)) / 127.0, f32::MIN_POSITIVE);
        let inverse = scale.recip();
        let bytes = row.map(|value| nearest(value * inverse) as i8);
        let panel = &mut to.keys[at / COLUMNS * groups..][..groups];
        for (group, four) in panel.iter_mut().zip(bytes[..width.next_multiple_of(4)].as_chunks::<4>().0) {
            group.0.as_chunks_mut::<4>().0[at % COLUMNS] = *four;
        }
        to.key_scales[at] = scale;
        to.key_shifts[at] = -scale * bytes.iter().map(|byte| i32::from(*byte)).sum::<i32>() as f32;
    }
}

/// A row, filled up with zeros.
#[inline(always)]
fn line(rows: Rows<'_>, at: usize) -> [f32; COLUMNS] {
    let row = rows.row(at);
    row.first_chunk().copied().unwrap_or_else(|| {
        let mut line = [0.0; COLUMNS];
        line[..row.len()].copy_from_slice(row);
        line
    })
}

#[inline(always)]
fn pack_values(values: Rows<'_>, to: &mut KeysValues) {
    let mut largest = [0f32; COLUMNS];
    for value in (0..to.length).map(|at| line(values, at)) {
        largest.iter_mut().zip(value).for_each(|(largest, value)| *largest = larger(value.abs(), *largest));
    }
    let scales = largest.map(|largest| larger(largest / 127.0, f32::MIN_POSITIVE));
    let inverse = scales.map(f32::recip);
    to.value_scales.copy_from_slice(&scales);
    for (four, group) in to.values.iter_mut().take(to.length.div_ceil(4)).enumerate() {
        // Put together as numbers: single bytes, four apart, would be written one by one.
        let mut columns = [0u32; COLUMNS];
        for k in 0..4.min(to.length - 4 * four) {
            let row = line(values, 4 * four + k);
            for c in 0..COLUMNS {
                columns[c] |= (nearest(row[c] * inverse[c]) as u32 & 0xff) << (8 * k);
            }
        }
        for (column, bytes) in group.0.as_chunks_mut::<4>().0.iter_mut().zip(columns) {
            *column = bytes.to_le_bytes().map(u8::cast_signed);
        }
    }
}
