//! A transcript as people use it: subtitles in two formats, and plain text.

use std::fmt::Write as _;

use super::Segment;

/// SubRip: numbered blocks, times with a comma before the milliseconds.
#[must_use]
pub fn srt(segments: &[Segment]) -> String {
    let mut out = String::new();
    for (number, segment) in spoken(segments).enumerate() {
        let (start, end) = (time(segment.start, ','), time(segment.end, ','));
        // Writing to a string cannot fail.
        let _ = write!(out, "{}\n{start} --> {end}\n{}\n\n", number + 1, one_line(&segment.text));
    }
    out
}

/// WebVTT (<https://www.w3.org/TR/webvtt1/>).
#[must_use]
pub fn vtt(segments: &[Segment]) -> String {
    let mut out = "WEBVTT\n\n".to_owned();
    for segment in spoken(segments) {
        let text = one_line(&segment.text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let (start, end) = (time(segment.start, '.'), time(segment.end, '.'));
        let _ = write!(out, "{start} --> {end}\n{text}\n\n");
    }
    out
}

/// One line for each segment.
#[must_use]
pub fn txt(segments: &[Segment]) -> String {
    spoken(segments).map(|segment| one_line(&segment.text) + "\n").collect()
}

fn spoken(segments: &[Segment]) -> impl Iterator<Item = &Segment> {
    segments.iter().filter(|segment| !segment.text.trim().is_empty())
}

/// An empty line would end the block.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn time(seconds: f64, point: char) -> String {
    let milliseconds = (seconds.max(0.0) * 1000.0).round() as u64;
    let (rest, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (rest, seconds) = (rest / 60, rest % 60);
    format!("{:02}:{:02}:{seconds:02}{point}{milliseconds:03}", rest / 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: f64, end: f64, text: &str) -> Segment {
        Segment {
            start,
            end,
            text: text.to_owned(),
            tokens: Vec::new(),
            avg_logprob: -0.2,
            compression_ratio: 1.0,
            no_speech_prob: 0.0,
            temperature: 0.0,
            words: Vec::new(),
        }
    }

    fn talk() -> Vec<Segment> {
        vec![
            segment(0.0, 2.5, "A white owl."),
            segment(2.5, 2.5, " "),
            segment(3599.9996, 7261.04, "Tom &\n\nJerry --> <b>"),
        ]
    }

    #[test]
    fn subrip_counts_from_one_and_writes_commas() {
        let expected = "1\n00:00:00,000 --> 00:00:02,500\nA white owl.\n\n\
                        2\n01:00:00,000 --> 02:01:01,040\nTom & Jerry --> <b>\n\n";
        assert_eq!(srt(&talk()), expected);
    }

    #[test]
    fn webvtt_has_a_head_and_no_markup() {
        let expected = "WEBVTT\n\n00:00:00.000 --> 00:00:02.500\nA white owl.\n\n\
                        01:00:00.000 --> 02:01:01.040\nTom &amp; Jerry --&gt; &lt;b&gt;\n\n";
        assert_eq!(vtt(&talk()), expected);
    }

    #[test]
    fn text_is_a_line_for_each_segment() {
        assert_eq!(txt(&talk()), "A white owl.\nTom & Jerry --> <b>\n");
        assert_eq!((srt(&[]), vtt(&[]).as_str(), txt(&[])), (String::new(), "WEBVTT\n\n", String::new()));
    }
}
