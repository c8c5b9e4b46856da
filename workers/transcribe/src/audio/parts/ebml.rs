//! WebM and Matroska (RFC 8794, RFC 9559): documents one behind the other, cuts and damage.
//!
//! A browser records live: segment and clusters have no size, and end where their elements end.

use super::{Flaws, Part, find};

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1f43_b675;
const CLUSTER_MARK: &[u8] = &[0x1f, 0x43, 0xb6, 0x75];
const EBML_MARK: &[u8] = &[0x1a, 0x45, 0xdf, 0xa3];

/// Children of a segment and of a cluster, and the two that may lie anywhere (Void, CRC-32).
const KNOWN: [u32; 16] = [
    0x114d_9b74,
    0x1549_a966,
    0x1654_ae6b,
    0x1c53_bb6b,
    0x1941_a469,
    0x1043_a770,
    0x1254_c367,
    0xec,
    0xbf,
    0xe7,
    0xa3,
    0xa0,
    0xa7,
    0xab,
    0xaf,
    0x5854,
];

/// Largest head of a document that is repeated behind damage, in bytes.
const MAX_HEAD: usize = 1 << 16;

struct Element {
    id: u32,
    /// Where its content begins.
    body: usize,
    /// `None` where it is not known.
    size: Option<u64>,
}

/// One document on the walk.
struct Document {
    start: usize,
    /// Place and length of the segment's size.
    size: std::ops::Range<usize>,
    first_cluster: Option<usize>,
    /// Where the part in hand begins; behind damage that is not the document's start.
    from: usize,
    flaws: Flaws,
}

pub(super) fn split(file: &[u8]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut document: Option<Document> = None;
    let mut at = 0;
    while at < file.len() {
        match element(file, at) {
            Some(found) if found.id == EBML && fits(&found, file) => {
                parts.extend(document.take().map(|document| document.part(file, at)));
                document = Some(Document::new(at));
                at = next(&found, file);
            }
            Some(found) if found.id == SEGMENT && document.is_some() => {
                if let Some(document) = &mut document {
                    document.enter(at, &found, file.len());
                }
                at = found.body;
            }
            Some(found) if found.id == CLUSTER => {
                if let Some(document) = &mut document {
                    document.first_cluster.get_or_insert(at);
                    document.flaws.truncated |= !fits(&found, file);
                }
                at = found.body;
            }
            Some(found) if KNOWN.contains(&found.id) && found.size.is_some() && fits(&found, file) => {
                at = next(&found, file);
            }
            Some(found) if KNOWN.contains(&found.id) && resume(file, at).is_none() => {
                mark(&mut document, |flaws| flaws.truncated = true);
                at = file.len();
            }
            None if resume(file, at).is_none() => {
                mark(&mut document, |flaws| flaws.truncated = true);
                at = file.len();
            }
            _ => at = pass_damage(file, at, &mut document, &mut parts),
        }
    }
    parts.extend(document.map(|document| document.part(file, file.len())));
    parts
}

/// Goes on at the next cluster or document, with the head of this document before it: the demuxer
/// cannot get past the damage itself.
fn pass_damage<'a>(file: &'a [u8], at: usize, document: &mut Option<Document>, parts: &mut Vec<Part<'a>>) -> usize {
    mark(document, |flaws| flaws.damaged = true);
    let Some(next) = resume(file, at) else { return file.len() };
    if file[next..].starts_with(CLUSTER_MARK)
        && let Some(document) = document
        && document.first_cluster.is_some_and(|head| head - document.start <= MAX_HEAD)
    {
        parts.push(document.part(file, at));
        document.from = next;
    }
    next
}

fn resume(file: &[u8], at: usize) -> Option<usize> {
    (at + 1..file.len().saturating_sub(4)).find(|at| {
        let rest = &file[*at..];
        rest.starts_with(CLUSTER_MARK) || rest.starts_with(EBML_MARK) && names_itself(rest)
    })
}

/// Whether the document's type stands in its head.
fn names_itself(document: &[u8]) -> bool {
    let head = &document[..document.len().min(80)];
    find(head, b"webm", 0).is_some() || find(head, b"matroska", 0).is_some()
}

fn mark(document: &mut Option<Document>, change: impl Fn(&mut Flaws)) {
    if let Some(document) = document {
        change(&mut document.flaws);
    }
}

impl Document {
    fn new(start: usize) -> Self {
        Self { start, size: 0..0, first_cluster: None, from: start, flaws: Flaws::default() }
    }

    fn enter(&mut self, at: usize, segment: &Element, length: usize) {
        self.size = at + 4..segment.body;
        self.flaws.truncated |= segment.size.is_some_and(|size| size > (length - segment.body) as u64);
    }

    fn part<'a>(&self, file: &'a [u8], end: usize) -> Part<'a> {
        let flaws = self.flaws;
        // Where the sizes are wrong, reading straight on finds more than looking for the index.
        let whole = flaws == Flaws::default();
        if self.from == self.start && whole {
            return Part { bytes: &file[self.start..end], seekable: true, flaws, ..Part::default() };
        }
        let head_end = self.first_cluster.unwrap_or(end).min(end);
        let mut header = file[self.start..head_end].to_vec();
        // A segment of no known size: its old one counts what is not there.
        if let Some(size) = header.get_mut(self.size.start - self.start..self.size.end.saturating_sub(self.start))
            && let Some((first, rest)) = size.split_first_mut()
        {
            *first = (0xff_u16 >> rest.len()) as u8;
            rest.fill(0xff);
        }
        let from = self.from.max(head_end);
        Part { header, bytes: &file[from..end.max(from)], seekable: false, flaws }
    }
}

fn fits(element: &Element, file: &[u8]) -> bool {
    element.size.is_none_or(|size| size <= (file.len() - element.body) as u64)
}

fn next(element: &Element, file: &[u8]) -> usize {
    let size = element.size.and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
    (element.body + size).min(file.len())
}

/// An element's head: its name and size, each as long as its first byte says (RFC 8794, section 4).
fn element(file: &[u8], at: usize) -> Option<Element> {
    let first = *file.get(at)?;
    let length = first.leading_zeros() as usize + 1;
    let id = file.get(at..at + length).filter(|_| length <= 4)?;
    let id = id.iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
    let at = at + length;
    let first = *file.get(at)?;
    let length = first.leading_zeros() as usize + 1;
    let digits = file.get(at..at + length).filter(|_| length <= 8)?;
    let mask = (0xff_u16 >> length) as u8;
    let size = digits[1..].iter().fold(u64::from(first & mask), |size, byte| size << 8 | u64::from(*byte));
    let unknown = first & mask == mask && digits[1..].iter().all(|byte| *byte == 0xff);
    Some(Element { id, body: at + length, size: (!unknown).then_some(size) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(id: &[u8], body: &[u8]) -> Vec<u8> {
        [id, &[0x10, 0, (body.len() >> 8) as u8, body.len() as u8], body].concat()
    }

    /// Head, and a live segment with clusters of one block each.
    fn live(blocks: usize) -> Vec<u8> {
        let mut file = put(EBML_MARK, b"\x42\x82\x84webm");
        file.extend(b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff");
        file.extend(put(&[0x16, 0x54, 0xae, 0x6b], &[0xec, 0x80]));
        for _ in 0..blocks {
            file.extend(CLUSTER_MARK);
            file.push(0xff);
            file.extend(put(&[0xa3], &[7; 50]));
        }
        file
    }

    #[test]
    fn a_live_recording_without_sizes_is_whole_and_one_that_ends_in_an_element_is_cut() {
        let file = live(3);
        let parts = split(&file);
        assert_eq!((parts.len(), parts[0].flaws), (1, Flaws::default()));
        let cut = split(&file[..file.len() - 10]);
        assert_eq!((cut.len(), cut[0].flaws.truncated), (1, true));
    }

    #[test]
    fn documents_one_behind_the_other_are_two_parts() {
        let file = [live(2), live(1)].concat();
        let parts = split(&file);
        assert_eq!(parts.iter().map(|part| part.bytes.len()).collect::<Vec<_>>(), [live(2).len(), live(1).len()]);
        assert!(parts.iter().all(|part| part.flaws == Flaws::default()));
    }

    #[test]
    fn behind_damage_the_next_cluster_is_read_with_the_head_of_its_document() {
        let mut file = live(4);
        let second = find(&file, CLUSTER_MARK, find(&file, CLUSTER_MARK, 0).unwrap() + 1).unwrap();
        file[second..second + 8].fill(0);
        let parts = split(&file);
        assert!(parts.iter().all(|part| part.flaws.damaged));
        let last = parts.last().unwrap();
        assert!(last.header.starts_with(EBML_MARK) && last.bytes.starts_with(CLUSTER_MARK));
    }
}
