//! WAV files, honest and lying.

/// A WAV file of 32-bit float samples.
pub(crate) fn float_wav(rate: u32, channels: u16, samples: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    wav(&Header { format: 3, rate, channels, bits: 32, block_align: 4 * channels, size: None }, &data)
}

pub(crate) struct Header {
    pub(crate) format: u16,
    pub(crate) channels: u16,
    pub(crate) rate: u32,
    pub(crate) bits: u16,
    pub(crate) block_align: u16,
    /// Declared size of the data; `None` is the truth.
    pub(crate) size: Option<u32>,
}

pub(crate) const HONEST: Header = Header { format: 1, channels: 1, rate: 16_000, bits: 16, block_align: 2, size: None };

pub(crate) fn wav(header: &Header, data: &[u8]) -> Vec<u8> {
    let size = header.size.unwrap_or(data.len() as u32);
    let mut out = b"RIFF".to_vec();
    out.extend(size.wrapping_add(36).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0");
    out.extend(header.format.to_le_bytes());
    out.extend(header.channels.to_le_bytes());
    out.extend(header.rate.to_le_bytes());
    out.extend(header.rate.wrapping_mul(header.block_align.into()).to_le_bytes());
    out.extend(header.block_align.to_le_bytes());
    out.extend(header.bits.to_le_bytes());
    out.extend(b"data");
    out.extend(size.to_le_bytes());
    out.extend(data);
    out
}
