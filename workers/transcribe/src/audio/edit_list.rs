//! The edit list of an MP4 file (ISO/IEC 14496-12, 8.6.6): where a track really starts and ends.
//!
//! AAC encoders put 1024 to 2112 frames of run-in before the sound and say so only here; the
//! demuxer does not pass it on.

use super::sink::Heard;

/// The part of track `track_id` that the file's edit list wants to be played; `None` without a
/// list, or with one that does more than cut off a start and an end.
pub(super) fn first_edit(file: &[u8], track_id: u32) -> Option<Heard> {
    let movie = find(file, b"moov")?;
    let movie_scale = timescale(find(movie, b"mvhd")?)?;
    let track = boxes(movie).filter(|(kind, _)| *kind == b"trak").map(|(_, body)| body);
    let track = track.into_iter().find(|body| find(body, b"tkhd").and_then(id) == Some(track_id))?;
    let media_scale = timescale(find(find(track, b"mdia")?, b"mdhd")?)?;
    let mut edits = edits(find(find(track, b"edts")?, b"elst")?)?.filter(|edit| edit.media_time >= 0);
    let edit = edits.next()?;
    if edits.next().is_some() {
        return None;
    }
    let length = edit.duration as f64 / movie_scale;
    Some(Heard {
        skip: edit.media_time as f64 / media_scale,
        // Fragmented files leave the length open by a zero.
        keep: (edit.duration > 0).then_some(length),
    })
}

struct Edit {
    duration: u64,
    /// Media time of the first frame; -1 is an empty edit, a pause.
    media_time: i64,
}

/// All boxes that lie directly in `body`, up to the first that does not fit into it.
pub(super) fn boxes(mut body: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (size, rest) = body.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let (size, header, rest) = match u32::from_be_bytes(*size) {
            0 => (body.len() as u64, 8, rest),
            1 => {
                let (long, rest) = rest.split_first_chunk::<8>()?;
                (u64::from_be_bytes(*long), 16, rest)
            }
            size => (size.into(), 8, rest),
        };
        let content = rest.get(..usize::try_from(size.checked_sub(header)?).ok()?)?;
        body = &rest[content.len()..];
        Some((kind, content))
    })
}

pub(super) fn find<'a>(body: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(body).find(|(kind, _)| *kind == wanted).map(|(_, content)| content)
}

/// `mvhd` and `mdhd`: ticks per second, behind two times of 4 or 8 bytes.
fn timescale(header: &[u8]) -> Option<f64> {
    let at = if header.first()? == &0 { 12 } else { 20 };
    let ticks = u32::from_be_bytes(*header.get(at..)?.first_chunk()?);
    (ticks > 0).then_some(f64::from(ticks))
}

/// `tkhd`: the track's number, at the same place as the time scale of the others.
fn id(header: &[u8]) -> Option<u32> {
    let at = if header.first()? == &0 { 12 } else { 20 };
    Some(u32::from_be_bytes(*header.get(at..)?.first_chunk()?))
}

fn edits(list: &[u8]) -> Option<impl Iterator<Item = Edit>> {
    let long = list.first()? != &0;
    let entries = list.get(8..)?.chunks_exact(if long { 20 } else { 12 });
    Some(entries.filter_map(move |entry| {
        Some(if long {
            let (duration, rest) = entry.split_first_chunk::<8>()?;
            let media_time = i64::from_be_bytes(*rest.first_chunk()?);
            Edit { duration: u64::from_be_bytes(*duration), media_time }
        } else {
            let (duration, rest) = entry.split_first_chunk::<4>()?;
            let media_time = i32::from_be_bytes(*rest.first_chunk()?).into();
            Edit { duration: u32::from_be_bytes(*duration).into(), media_time }
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mp4_box(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes(), kind.as_slice(), content].concat()
    }

    fn header(at_12: u32) -> Vec<u8> {
        [[0; 12].as_slice(), &at_12.to_be_bytes()].concat()
    }

    fn movie(track_id: u32, edits: &[(u32, i32)]) -> Vec<u8> {
        let entry = |&(length, time): &(u32, i32)| [length.to_be_bytes(), time.to_be_bytes(), [0, 1, 0, 0]].concat();
        let list: Vec<u8> = edits.iter().flat_map(entry).collect();
        let list = [[0; 4].as_slice(), &(edits.len() as u32).to_be_bytes(), &list].concat();
        let track = [
            mp4_box(b"tkhd", &header(track_id)),
            mp4_box(b"edts", &mp4_box(b"elst", &list)),
            mp4_box(b"mdia", &mp4_box(b"mdhd", &header(16_000))),
        ];
        let movie = [mp4_box(b"mvhd", &header(1000)), mp4_box(b"trak", &track.concat())];
        [mp4_box(b"ftyp", b"M4A "), mp4_box(b"moov", &movie.concat())].concat()
    }

    #[test]
    fn one_edit_gives_start_and_length_in_seconds() {
        let heard = first_edit(&movie(7, &[(2500, 1024)]), 7);
        assert_eq!(heard, Some(Heard { skip: 0.064, keep: Some(2.5) }));
    }

    #[test]
    fn a_leading_pause_is_passed_over_and_an_open_end_stays_open() {
        let heard = first_edit(&movie(7, &[(300, -1), (0, 2112)]), 7);
        assert_eq!(heard, Some(Heard { skip: 0.132, keep: None }));
    }

    #[test]
    fn montages_other_tracks_and_broken_boxes_are_left_alone() {
        assert_eq!(first_edit(&movie(7, &[(100, 0), (100, 9)]), 7), None);
        assert_eq!(first_edit(&movie(7, &[(2500, 1024)]), 8), None);
        let whole = movie(7, &[(2500, 1024)]);
        for cut in 0..whole.len() {
            assert_eq!(first_edit(&whole[..cut], 7), None, "cut at {cut}");
        }
    }
}
