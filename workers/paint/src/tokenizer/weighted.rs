//! Pieces of different weight in chunks, as AUTOMATIC1111's web UI lays them out.

use super::{Chunks, MAX_CHUNKS, Tokenizer};
use crate::error::JobError;
use crate::prompt::syntax::Piece;

/// A chunk that is full within so many tokens of a comma ends at the comma.
const COMMA_BACKTRACK: usize = 20;

/// Token ids with their weights.
type Weighted = Vec<(u32, f32)>;

/// The chunks of one prompt in the making.
struct Layout {
    size: usize,
    comma: Option<u32>,
    chunks: Vec<Weighted>,
    open: Weighted,
    /// Tokens up to the last comma in the open chunk, without it.
    last_comma: Option<usize>,
}

impl Tokenizer {
    /// The chunks of prompts in pieces; each has as many as the longest needs, the others are filled up.
    ///
    /// # Errors
    /// When the tokenizer has no answer to a piece.
    pub fn weighted_chunks(&self, prompts: &[Vec<Piece>]) -> Result<Chunks, JobError> {
        let rows = prompts.iter().map(|pieces| self.lay_out(pieces)).collect::<Result<Vec<_>, _>>()?;
        let count = rows.iter().map(|(chunks, _)| chunks.len()).max().unwrap_or(1);
        let (mut ids, mut weights) = (Vec::new(), Vec::new());
        for (chunks, _) in &rows {
            let filled = (0..count).map(|index| chunks.get(index).map(Vec::as_slice).unwrap_or_default());
            let (row_ids, row_weights): (Vec<_>, Vec<_>) = filled.map(|chunk| self.wrap_weighted(chunk)).unzip();
            ids.push(row_ids);
            weights.push(row_weights);
        }
        let weighted = weights.iter().flatten().flatten().any(|weight| *weight != 1.0);
        let truncated = rows.iter().any(|(_, truncated)| *truncated);
        Ok(Chunks { ids, weights: weighted.then_some(weights), truncated })
    }

    fn lay_out(&self, pieces: &[Piece]) -> Result<(Vec<Weighted>, bool), JobError> {
        let size = self.positions - 2;
        let mut layout = Layout { size, comma: self.comma, chunks: Vec::new(), open: Vec::new(), last_comma: None };
        let mut truncated = false;
        for piece in pieces {
            if piece.is_break {
                layout.next_chunk();
                continue;
            }
            let (ids, cut) = self.ids(&piece.text, MAX_CHUNKS * size)?;
            truncated |= cut;
            ids.into_iter().for_each(|id| layout.push(id, piece.weight as f32));
            if layout.chunks.len() > MAX_CHUNKS {
                break;
            }
        }
        if !layout.open.is_empty() || layout.chunks.is_empty() {
            layout.next_chunk();
        }
        truncated |= layout.chunks.len() > MAX_CHUNKS;
        layout.chunks.truncate(MAX_CHUNKS);
        Ok((layout.chunks, truncated))
    }

    fn wrap_weighted(&self, chunk: &[(u32, f32)]) -> (Vec<u32>, Vec<f32>) {
        let ids: Vec<u32> = chunk.iter().map(|(id, _)| *id).collect();
        let mut weights = vec![1.0; self.positions];
        for (place, (_, weight)) in weights[1..].iter_mut().zip(chunk) {
            *place = *weight;
        }
        (self.wrap(&ids), weights)
    }
}

impl Layout {
    fn push(&mut self, id: u32, weight: f32) {
        if Some(id) == self.comma {
            self.last_comma = Some(self.open.len());
        } else if self.open.len() == self.size {
            // What follows the last comma goes with what comes.
            let near = self.last_comma.filter(|comma| self.open.len() - comma <= COMMA_BACKTRACK);
            let moved = near.map(|comma| self.open.split_off(comma + 1)).unwrap_or_default();
            self.next_chunk();
            self.open = moved;
        }
        if self.open.len() == self.size {
            self.next_chunk();
        }
        self.open.push((id, weight));
    }

    fn next_chunk(&mut self) {
        self.chunks.push(std::mem::take(&mut self.open));
        self.last_comma = None;
    }
}
