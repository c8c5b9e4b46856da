//! Ogg streams of the shortest Opus packets there are.

/// So many packets of 60 ms each, a byte a packet; the last page says that the stream has
/// `claimed` frames at 48 kHz.
pub(crate) fn opus(packets: usize, claimed: u64) -> Vec<u8> {
    let head = b"OpusHead\x01\x01\0\0\x80\xbb\0\0\0\0\0";
    let mut stream = page(2, 0, 0, &[head]);
    stream.extend(page(0, 0, 1, &[b"OpusTags\0\0\0\0\0\0\0\0"]));
    let pages = packets.div_ceil(255);
    for number in 0..pages {
        let last = number + 1 == pages;
        let here = if last { packets - number * 255 } else { 255 };
        let granule = if last { claimed } else { (number as u64 + 1) * 255 * 2880 };
        // Configuration 3: SILK, narrow band, 60 ms; no byte of sound.
        stream.extend(page(if last { 4 } else { 0 }, granule, number as u32 + 2, &vec![&b"\x18"[..]; here]));
    }
    stream
}

/// RFC 3533, section 6.
fn page(kind: u8, granule: u64, number: u32, packets: &[&[u8]]) -> Vec<u8> {
    let mut page = [b"OggS\0", &[kind][..], &granule.to_le_bytes(), b"once", &number.to_le_bytes(), &[0; 4]].concat();
    page.push(packets.len() as u8);
    page.extend(packets.iter().map(|packet| packet.len() as u8));
    page.extend(packets.concat());
    let sum = checksum(&page);
    page[22..26].copy_from_slice(&sum.to_le_bytes());
    page
}

fn checksum(page: &[u8]) -> u32 {
    page.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| sum << 1 ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 })
    })
}
