//! The EXIF block of JPEG and WebP: CIPA DC-008, big-endian TIFF with one sub-directory.

use anyhow::{Result, ensure};

use super::Metadata;

/// A JPEG segment holds 65,533 bytes, six of them the word `Exif`.
const MAX_BYTES: usize = 65_527;

const TAG_EXIF: u16 = 0x8769;
const TAG_MAKER_NOTE: u16 = 0x927C;
const TAG_USER_COMMENT: u16 = 0x9286;
const TYPE_LONG: u16 = 4;
const TYPE_UNDEFINED: u16 = 7;

/// Offsets from the start of the block: header 8, then a directory of one entry, then one of two.
const ROOT: u32 = 8;
const EXIF: u32 = ROOT + directory_len(1);
const DATA: u32 = EXIF + directory_len(2);

/// Parameters as `UserComment` in UTF-16, receipt as `MakerNote`: the name `shanshui`, NUL, JSON.
pub(super) fn block(metadata: Metadata<'_>) -> Result<Vec<u8>> {
    let mut comment = b"UNICODE\0".to_vec();
    comment.extend(metadata.parameters.encode_utf16().flat_map(u16::to_be_bytes));
    let note = [b"shanshui\0", metadata.receipt.as_bytes()].concat();
    let len = DATA as usize + note.len() + note.len() % 2 + comment.len();
    ensure!(len <= MAX_BYTES, "metadata: {len} bytes; allowed: at most {MAX_BYTES}");
    let comment_at = DATA + (note.len() + note.len() % 2) as u32;

    let mut block = b"MM\0\x2A".to_vec();
    block.extend(ROOT.to_be_bytes());
    directory(&mut block, &[(TAG_EXIF, TYPE_LONG, 1, EXIF)]);
    let entries = [
        (TAG_MAKER_NOTE, TYPE_UNDEFINED, note.len() as u32, DATA),
        (TAG_USER_COMMENT, TYPE_UNDEFINED, comment.len() as u32, comment_at),
    ];
    directory(&mut block, &entries);
    block.extend(&note);
    block.resize(comment_at as usize, 0);
    block.extend(&comment);
    Ok(block)
}

const fn directory_len(entries: u32) -> u32 {
    2 + 12 * entries + 4
}

/// Entries are tag, type, count, and value or offset, by rising tag; no directory follows.
fn directory(block: &mut Vec<u8>, entries: &[(u16, u16, u32, u32)]) {
    block.extend((entries.len() as u16).to_be_bytes());
    for (tag, kind, count, value) in entries {
        block.extend(tag.to_be_bytes());
        block.extend(kind.to_be_bytes());
        block.extend(count.to_be_bytes());
        block.extend(value.to_be_bytes());
    }
    block.extend([0; 4]);
}
