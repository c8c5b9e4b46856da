//! The work itself: what is enlarged, and what is refused.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use shanshui_enlarge::resize::{enlarge, format_of};
use shanshui_pipeline::Failure;

fn file(format: ImageFormat) -> Vec<u8> {
    let picture = RgbImage::from_fn(8, 6, |x, y| Rgb([x as u8 * 30, y as u8 * 40, 90]));
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).unwrap();
    file.into_inner()
}

#[test]
fn every_format_is_enlarged_in_its_own_and_always_to_the_same_bytes() {
    for (key, sides) in [("jobs/a/0.png", (16, 12)), ("0.jpg", (16, 12)), ("0.webp", (16, 12))] {
        let (format, _) = format_of(key).unwrap();
        let larger = enlarge(&file(format), format, 2, 1 << 20).unwrap();
        assert_eq!(larger, enlarge(&file(format), format, 2, 1 << 20).unwrap());
        assert_eq!(image::guess_format(&larger).unwrap(), format);
        let picture = image::load_from_memory(&larger).unwrap();
        assert_eq!((picture.width(), picture.height()), sides, "{key}");
    }
}

#[test]
fn a_smooth_picture_stays_what_it_is() {
    let larger = enlarge(&file(ImageFormat::Png), ImageFormat::Png, 2, 1 << 20).unwrap();
    let (small, large) =
        (image::load_from_memory(&file(ImageFormat::Png)).unwrap(), image::load_from_memory(&larger).unwrap());
    let (small, large) = (small.to_rgb8(), large.to_rgb8());
    for (x, y, pixel) in small.enumerate_pixels() {
        let near = large.get_pixel(2 * x, 2 * y);
        assert!(
            pixel.0.iter().zip(near.0).all(|(one, other)| one.abs_diff(other) <= 16),
            "{x} {y}: {pixel:?} {near:?}"
        );
    }
}

#[test]
fn what_is_no_picture_or_becomes_too_large_is_refused() {
    let refused = |bytes: &[u8], factor| match enlarge(bytes, ImageFormat::Png, factor, 200) {
        Err(Failure::Reject(error)) => format!("{error:#}"),
        other => panic!("{other:?}"),
    };
    refused(b"no picture", 2);
    let error = refused(&file(ImageFormat::Png), 3);
    assert_eq!(error, "enlarge.factor: 3 is not allowed; allowed: at most 2 for a picture of 8 x 6");
    assert!(format_of("jobs/a/0.gif").unwrap_err().to_string().contains("png, jpg or webp"));
}
