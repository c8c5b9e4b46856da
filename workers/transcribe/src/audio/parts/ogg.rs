//! Ogg (RFC 3533): chains of streams, lost and damaged pages, and what the streams hold.

use super::super::AudioError;
use super::sniff::id3_end;
use super::{Flaws, Part, find, le32};

const MARK: &[u8] = b"OggS";
const HEADER: usize = 27;

/// A page, as far as it matters here.
struct Page<'a> {
    end: usize,
    serial: u32,
    number: u32,
    first: bool,
    last: bool,
    packet: &'a [u8],
}

/// What stands in the way of reading a page.
enum NoPage {
    CutOff,
    Broken,
}

/// One link of a chain.
#[derive(Default)]
struct Link {
    start: usize,
    end: usize,
    streams: Vec<Stream>,
    flaws: Flaws,
    /// Pages that begin no stream have come.
    begun: bool,
}

struct Stream {
    serial: u32,
    codec: Codec,
    number: u32,
    ended: bool,
}

/// What the first packet of a stream says that it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Codec {
    Read,
    Unread(&'static str),
    /// Pictures, subtitles, an index.
    Silent,
}

/// The links of the chain in a file.
///
/// # Errors
/// Streams that are all of codecs that nobody here reads.
pub(super) fn split(file: &[u8]) -> Result<Vec<Part<'_>>, AudioError> {
    let mut links = vec![Link::default()];
    let mut at = id3_end(file).min(file.len());
    while at < file.len() {
        match page(file, at) {
            Ok(page) => {
                add(&mut links, &page, at);
                at = page.end;
            }
            Err(NoPage::CutOff) => {
                mark(&mut links, |flaws| flaws.truncated = true);
                break;
            }
            Err(NoPage::Broken) => {
                mark(&mut links, |flaws| flaws.damaged = true);
                at = find(file, MARK, at + 1).unwrap_or(file.len());
            }
        }
    }
    links.retain(|link| !link.streams.is_empty());
    if let Some(link) = links.last_mut() {
        link.flaws.truncated |= link.streams.iter().any(|stream| stream.codec == Codec::Read && !stream.ended);
    }
    parts(file, links)
}

fn parts(file: &[u8], links: Vec<Link>) -> Result<Vec<Part<'_>>, AudioError> {
    let codecs = || links.iter().flat_map(|link| &link.streams).map(|stream| stream.codec);
    if !links.is_empty() && !codecs().any(|codec| codec == Codec::Read) {
        let unread = codecs().find_map(|codec| if let Codec::Unread(name) = codec { Some(name) } else { None });
        return Err(match unread {
            Some(codec) => AudioError::Unread { container: "ogg", codec: codec.to_owned() },
            None => AudioError::NoTrack { container: "ogg" },
        });
    }
    let part = |link: Link| {
        let mut flaws = link.flaws;
        // A link between others that nobody reads is sound that is lost.
        flaws.damaged |= !link.streams.iter().any(|stream| stream.codec == Codec::Read);
        Part { bytes: &file[link.start..link.end], seekable: true, flaws, ..Part::default() }
    };
    Ok(links.into_iter().map(part).collect())
}

fn mark(links: &mut [Link], change: impl Fn(&mut Flaws)) {
    if let Some(link) = links.last_mut() {
        change(&mut link.flaws);
    }
}

fn add(links: &mut Vec<Link>, page: &Page<'_>, at: usize) {
    if page.first && links.last().is_some_and(|link| link.begun) {
        links.push(Link { start: at, ..Link::default() });
    }
    let Some(link) = links.last_mut() else { return };
    if link.streams.is_empty() {
        link.start = at;
    }
    link.end = page.end;
    link.begun |= !page.first;
    if page.first {
        let codec = codec(page.packet);
        link.streams.push(Stream { serial: page.serial, codec, number: page.number, ended: page.last });
    } else if let Some(stream) = link.streams.iter_mut().find(|stream| stream.serial == page.serial) {
        link.flaws.damaged |= page.number.wrapping_sub(stream.number) > 1;
        stream.number = page.number;
        stream.ended |= page.last;
    }
}

fn page(file: &[u8], at: usize) -> Result<Page<'_>, NoPage> {
    let rest = &file[at..];
    if !rest.starts_with(&MARK[..rest.len().min(4)]) {
        return Err(NoPage::Broken);
    }
    let header = rest.get(..HEADER).ok_or(NoPage::CutOff)?;
    let lengths = rest.get(HEADER..HEADER + usize::from(header[26])).ok_or(NoPage::CutOff)?;
    let body = HEADER + lengths.len();
    let length = body + lengths.iter().map(|length| usize::from(*length)).sum::<usize>();
    let whole = rest.get(..length).ok_or_else(|| cut_or_broken(rest))?;
    if Some(checksum(whole)) != le32(header, 22) {
        return Err(NoPage::Broken);
    }
    let number = |at| le32(header, at).unwrap_or(0);
    let [first, last] = [2, 4].map(|flag| header[5] & flag != 0);
    Ok(Page { end: at + length, serial: number(14), number: number(18), first, last, packet: &whole[body..] })
}

/// A page that reaches behind the end is cut off, unless others follow: then its lengths are wrong.
fn cut_or_broken(rest: &[u8]) -> NoPage {
    if find(rest, MARK, 4).is_some() { NoPage::Broken } else { NoPage::CutOff }
}

fn codec(packet: &[u8]) -> Codec {
    let starts = |mark: &[u8]| packet.starts_with(mark);
    match () {
        () if starts(b"OpusHead") || starts(b"\x01vorbis") || starts(b"\x7fFLAC") => Codec::Read,
        () if starts(b"Speex   ") => Codec::Unread("Speex"),
        () if starts(b"fLaC") => Codec::Unread("FLAC in the old mapping"),
        () if starts(b"CELT    ") => Codec::Unread("CELT"),
        () if starts(b"PCM     ") => Codec::Unread("PCM in Ogg"),
        () => Codec::Silent,
    }
}

/// The page's checksum with its own place taken as zeros (RFC 3533, section 6): polynomial
/// 0x04c11db7, not reflected.
fn checksum(page: &[u8]) -> u32 {
    let step = |sum: u32, byte: u8| sum << 8 ^ TABLE[usize::from((sum >> 24) as u8 ^ byte)];
    let head = page[..22].iter().copied().chain([0; 4]);
    head.chain(page[26..].iter().copied()).fold(0, step)
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};
