//! The work itself: one picture file in, one larger picture file out.

use std::io::Cursor;
use std::path::Path;

use image::imageops::FilterType;
use image::{ImageFormat, ImageReader};
use shanshui_pipeline::fields::FieldError;
use shanshui_pipeline::{Code, Failure, OrFailure};

/// Enlarges with Lanczos' filter; the file keeps its format. The same bytes give the same bytes.
///
/// # Errors
/// What is no picture, and a result of more than `max_pixels`: neither gets better by trying again.
pub fn enlarge(bytes: &[u8], format: ImageFormat, factor: u32, max_pixels: u64) -> Result<Vec<u8>, Failure> {
    let reader = || ImageReader::with_format(Cursor::new(bytes), format);
    // The size is known before anything is decoded.
    let (width, height) = reader().into_dimensions().or_reject()?;
    let pixels = u64::from(width) * u64::from(height);
    if pixels.saturating_mul(u64::from(factor).pow(2)) > max_pixels {
        let most = (max_pixels as f64 / pixels as f64).sqrt() as u64;
        let allowed = format!("at most {most} for a picture of {width} x {height}");
        return Err(Failure::reject(Code::TooLarge, FieldError::new("enlarge.factor", factor, allowed).to_string()));
    }
    let picture = reader().decode().or_reject()?;
    let larger = picture.resize_exact(width * factor, height * factor, FilterType::Lanczos3);
    let mut file = Cursor::new(Vec::new());
    larger.write_to(&mut file, format).or_reject()?;
    Ok(file.into_inner())
}

/// The format and the extension of a picture, by its key.
///
/// # Errors
/// A key that no painter gives to a picture.
pub fn format_of(key: &str) -> Result<(ImageFormat, &str), FieldError> {
    let extension = Path::new(key).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension {
        "png" => Ok((ImageFormat::Png, extension)),
        "jpg" => Ok((ImageFormat::Jpeg, extension)),
        "webp" => Ok((ImageFormat::WebP, extension)),
        _ => Err(FieldError::new("made", key, "pictures that end in png, jpg or webp")),
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

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
}
