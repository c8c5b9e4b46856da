//! Bytes to recordings: one file may hold several, one behind the other, and may be cut or damaged.
//!
//! Demuxers stop at the end of the first recording and pass over damage in silence. So the bytes are
//! walked before, by their structure alone: where each recording begins, whether it is whole, and
//! which codec or container nobody here reads.

mod adts;
mod boxes;
mod ebml;
mod flac;
mod frames;
mod iff;
mod mpeg;
mod ogg;
mod riff;
mod sniff;

use super::AudioError;
pub(super) use boxes::index_first;

/// One recording, to be read by one demuxer from its first byte to its last.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Part<'a> {
    /// What to read before `bytes`: a header put right, or that of the recording before the damage.
    pub(super) header: Vec<u8>,
    pub(super) bytes: &'a [u8],
    /// Whether the demuxer may look at the end first. Without it symphonia cannot guess the length
    /// of an MP3 from its first frames and cut off what lies behind.
    pub(super) seekable: bool,
    pub(super) flaws: Flaws,
}

impl Part<'_> {
    /// All of it where it lies in one piece, else what follows the header.
    pub(super) fn piece(&self) -> &[u8] {
        if self.bytes.is_empty() { &self.header } else { self.bytes }
    }
}

/// What is wrong with a recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flaws {
    /// It ends before its own end.
    pub(super) truncated: bool,
    /// Something in the middle is missing or broken.
    pub(super) damaged: bool,
}

impl Flaws {
    pub(super) fn and(self, other: Self) -> Self {
        Self { truncated: self.truncated || other.truncated, damaged: self.damaged || other.damaged }
    }
}

/// Most recordings in one file; a radio station's day of songs has fewer.
const MAX_PARTS: usize = 1000;

/// The recordings in a file, in order.
///
/// # Errors
/// What nobody here reads, by its name.
pub(super) fn split(bytes: &[u8]) -> Result<Vec<Part<'_>>, AudioError> {
    let mut parts = match sniff::container(bytes) {
        sniff::Container::Riff => riff::split(bytes)?,
        sniff::Container::Mpeg => mpeg::split(bytes),
        sniff::Container::Ogg => ogg::split(bytes)?,
        sniff::Container::Ebml => ebml::split(bytes),
        sniff::Container::Mp4 => boxes::split(bytes)?,
        sniff::Container::Adts => adts::split(bytes),
        sniff::Container::Flac => flac::split(bytes),
        sniff::Container::Iff => iff::split(bytes),
        sniff::Container::Foreign { container, codec } => {
            return Err(AudioError::Unread { container, codec: codec.to_owned() });
        }
        sniff::Container::Other(what) => return Err(AudioError::NoRecording { what }),
        sniff::Container::Unknown => Vec::new(),
    };
    parts.truncate(MAX_PARTS);
    if parts.is_empty() {
        parts.push(Part { bytes, seekable: true, ..Part::default() });
    }
    Ok(parts)
}

/// Where `pattern` lies first from `from` on.
fn find(bytes: &[u8], pattern: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(pattern.len()).position(|window| window == pattern).map(|at| from + at)
}

/// A number of the file, little end first.
fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
