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
