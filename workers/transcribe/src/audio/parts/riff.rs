//! WAV as people have it: RIFF, RF64 and BW64 (EBU Tech 3306, ITU-R BS.2088), W64; with sizes that
//! were never filled in, and with compressed sound.

use super::super::AudioError;
use super::{Flaws, Part, adts, le32, le64, mpeg};

/// Sizes from here on stand for "not known": recorders and pipes write 0x7fff..., 0x8000...,
/// 0xffff... there.
const UNKNOWN: u64 = 0x7fff_0000;

/// One WAV file within the bytes.
#[derive(Default)]
struct Wave<'a> {
    format: &'a [u8],
    fact: &'a [u8],
    /// The sound from its first byte to the end of the file.
    sound: Option<&'a [u8]>,
    /// Its length, as far as that is known.
    size: Option<u64>,
    /// Where the next one may begin.
    end: usize,
}

/// Chunk heads differ: RIFF has a name and a size of 4 bytes each, W64 of 16 and 8.
#[derive(Clone, Copy)]
enum Form {
    Riff { ds64: Option<u64> },
    W64,
}

/// The WAV files in the bytes.
///
/// # Errors
/// A format that nobody here reads.
pub(super) fn split(mut file: &[u8]) -> Result<Vec<Part<'_>>, AudioError> {
    let mut parts = Vec::new();
    loop {
        let wave = read(file);
        let Some(sound) = wave.sound.filter(|_| wave.format.len() >= 14) else { return Ok(parts) };
        parts.extend(wave.parts(sound)?);
        let Some(next) = next_start(file, wave.end) else { return Ok(parts) };
        file = &file[next..];
    }
}

/// Where the next WAV file begins: behind the sound, or behind chunks that follow it.
fn next_start(file: &[u8], end: usize) -> Option<usize> {
    let form = Form::of(file);
    let mut at = end;
    while !is_start(file.get(at..)?) {
        let (name, body, size) = form.chunk(file, at)?;
        at = form.after(body, size);
        if !is_name(&name) {
            return None;
        }
    }
    Some(at)
}

fn is_start(bytes: &[u8]) -> bool {
    let at = |place: usize| bytes.get(place..).and_then(<[u8]>::first_chunk::<4>);
    match at(0) {
        Some(b"RIFF" | b"RF64" | b"BW64") => at(8) == Some(b"WAVE"),
        Some(b"riff") => at(24) == Some(b"wave"),
        _ => false,
    }
}

fn is_name(name: &[u8; 4]) -> bool {
    name.iter().all(u8::is_ascii_graphic) || matches!(name, b"id3 " | b"fmt ")
}

fn read(file: &[u8]) -> Wave<'_> {
    let mut form = Form::of(file);
    let mut wave = Wave { end: file.len(), ..Wave::default() };
    let mut at = form.first();
    while let Some((name, body, size)) = form.chunk(file, at) {
        let content = &file[body..];
        let within = &content[..content.len().min(usize::try_from(size).unwrap_or(usize::MAX))];
        match &name {
            b"fmt " => wave.format = within,
            b"fact" => wave.fact = within,
            b"ds64" => form = Form::Riff { ds64: le64(within, 8) },
            b"data" => {
                wave.take(file, body, form.sound_size(size));
                wave.end = form.after(wave.end, 0);
                return wave;
            }
            _ => {}
        }
        at = form.after(body, size);
    }
    wave
}

impl Form {
    fn of(file: &[u8]) -> Self {
        if file.starts_with(b"riff") { Self::W64 } else { Self::Riff { ds64: None } }
    }

    fn first(self) -> usize {
        if matches!(self, Self::W64) { 40 } else { 12 }
    }

    /// Name, place of the content and its size.
    fn chunk(self, file: &[u8], at: usize) -> Option<([u8; 4], usize, u64)> {
        let name = *file.get(at..)?.first_chunk::<4>()?;
        match self {
            Self::Riff { .. } => {
                Some((name, at.checked_add(8).filter(|body| *body <= file.len())?, le32(file, at + 4)?.into()))
            }
            Self::W64 => Some((
                name,
                at.checked_add(24).filter(|body| *body <= file.len())?,
                le64(file, at + 16)?.saturating_sub(24),
            )),
        }
    }

    fn after(self, body: usize, size: u64) -> usize {
        let align = if matches!(self, Self::W64) { 8 } else { 2 };
        body.saturating_add(usize::try_from(size).unwrap_or(usize::MAX))
            .checked_next_multiple_of(align)
            .unwrap_or(usize::MAX)
    }

    /// The size of the sound, if it is known.
    fn sound_size(self, size: u64) -> Option<u64> {
        match self {
            Self::Riff { ds64: Some(size) } => Some(size),
            Self::Riff { .. } => (1..UNKNOWN).contains(&size).then_some(size),
            Self::W64 => (size > 0 && size < u64::MAX - 48).then_some(size),
        }
    }
}

impl<'a> Wave<'a> {
    fn take(&mut self, file: &'a [u8], body: usize, size: Option<u64>) {
        let rest = &file[body..];
        // Nothing at all, and further chunks up to the end: a recording without sound.
        let size = if size.is_none() && are_chunks(rest) { Some(0) } else { size };
        let length = size.map_or(rest.len(), |size| rest.len().min(usize::try_from(size).unwrap_or(usize::MAX)));
        self.sound = Some(&rest[..length]);
        self.size = size;
        self.end = body + length;
    }

    fn parts(&self, sound: &'a [u8]) -> Result<Vec<Part<'a>>, AudioError> {
        let tag = u16::from_le_bytes([self.format[0], self.format[1]]);
        let flaws = Flaws { truncated: self.size.is_some_and(|size| size > sound.len() as u64), damaged: false };
        let mut parts = match tag {
            0x50 | 0x55 => mpeg::split(sound),
            0xff | 0x1600 | 0x1601 => adts::split(sound),
            _ => match unread(tag) {
                Some(codec) => return Err(AudioError::Unread { container: "wave", codec }),
                None => vec![Part { header: self.header(tag, sound), bytes: sound, seekable: false, flaws }],
            },
        };
        if let Some(last) = parts.last_mut() {
            last.flaws = last.flaws.and(flaws);
        }
        Ok(parts)
    }

    /// A header as the standard has it: symphonia refuses lengths of `fmt ` that others write.
    fn header(&self, tag: u16, sound: &[u8]) -> Vec<u8> {
        let mut format = self.format.to_vec();
        match tag {
            1 | 3 => format.resize(16, 0),
            6 | 7 => {
                format.truncate(16);
                format.extend([0, 0]);
            }
            _ => {}
        }
        let size = u32::try_from(sound.len()).unwrap_or(u32::MAX);
        let chunk = |name: &[u8; 4], body: &[u8]| [name.as_slice(), &(body.len() as u32).to_le_bytes(), body].concat();
        let fact = if self.fact.len() == 4 { chunk(b"fact", self.fact) } else { Vec::new() };
        let mut header = [b"RIFF\xff\xff\xff\xffWAVE".as_slice(), &chunk(b"fmt ", &format), &fact].concat();
        header.extend([b"data".as_slice(), &size.to_le_bytes()].concat());
        header
    }
}

/// Whether the bytes are chunks and nothing else.
fn are_chunks(bytes: &[u8]) -> bool {
    let (form, mut at) = (Form::Riff { ds64: None }, 0);
    while let Some((name, body, size)) = form.chunk(bytes, at) {
        if !is_name(&name) {
            return false;
        }
        at = form.after(body, size);
    }
    at > 0 && at >= bytes.len() && at <= bytes.len() + 1
}

/// Names of the formats that symphonia does not read (RFC 2361 and the registry of Microsoft).
fn unread(tag: u16) -> Option<String> {
    let name = match tag {
        1 | 2 | 3 | 6 | 7 | 0x11 | 0xfffe => return None,
        0x31 | 0x1500 => "GSM 6.10",
        0x22 => "TrueSpeech",
        0x40 | 0x45 | 0x64 | 0x140 => "G.726 ADPCM",
        0x42 | 0x14 | 0x111 => "G.723",
        0x65 | 0x28f => "G.722",
        0x83 | 0x133 => "G.729",
        0x57 | 0x38 | 0x7361 => "AMR",
        0x92 | 0x2000 => "AC-3",
        0x2001 => "DTS",
        0x160..=0x163 => "Windows Media Audio",
        0xa109 => "Speex",
        0x20 => "Yamaha ADPCM",
        0x566f | 0x674f..=0x6771 => "Vorbis in WAV",
        0x704f => "Opus in WAV",
        0xf1ac => "FLAC in WAV",
        0x706d => "AAC in WAV",
        tag => return Some(format!("WAV format 0x{tag:04x}")),
    };
    Some(name.to_owned())
}
