//! A painted picture, and the files it becomes.

mod exif;
mod parameters;
mod png;

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};

pub use parameters::Parameters;

/// Out of 100; below about 90 colours bleed at the edges of flat areas.
const JPEG_QUALITY: u8 = 92;

/// Eight-bit RGB, rows from the top, no padding.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

/// What travels inside the file.
#[derive(Clone, Copy, Debug)]
pub struct Metadata<'a> {
    /// The text that picture programs read, see [`Parameters`].
    pub parameters: &'a str,
    /// Our receipt, as JSON.
    pub receipt: &'a str,
}

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Lossless; parameters and receipt as text chunks.
    Png,
    /// Lossy; parameters and receipt in the EXIF block.
    Jpeg,
    /// Lossless WebP; parameters and receipt in the EXIF block.
    Webp,
}

impl Picture {
    /// The file's bytes: the same for the same picture, metadata and version of this code.
    ///
    /// # Errors
    /// When the pixels do not fill the picture, or the metadata does not fit the format.
    pub fn encode(&self, format: Format, metadata: Metadata<'_>) -> Result<Vec<u8>> {
        let (width, height, bytes) = (self.width, self.height, self.rgb.len());
        ensure!(
            bytes > 0 && bytes as u128 == u128::from(width) * u128::from(height) * 3,
            "picture: {bytes} bytes do not fill {width}x{height} pixels of three"
        );
        match format {
            Format::Png => png::encode(self, metadata).context("cannot encode PNG"),
            Format::Jpeg => {
                let mut bytes = Vec::new();
                let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
                self.write_with_exif(encoder, metadata).context("cannot encode JPEG")?;
                Ok(bytes)
            }
            Format::Webp => {
                let mut bytes = Vec::new();
                let encoder = WebPEncoder::new_lossless(&mut bytes);
                self.write_with_exif(encoder, metadata).context("cannot encode WebP")?;
                Ok(bytes)
            }
        }
    }

    fn write_with_exif(&self, mut encoder: impl ImageEncoder, metadata: Metadata<'_>) -> Result<()> {
        encoder.set_exif_metadata(exif::block(metadata)?)?;
        encoder.write_image(&self.rgb, self.width, self.height, ExtendedColorType::Rgb8)?;
        Ok(())
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({}x{})", self.width, self.height)
    }
}

impl Format {
    /// The file name's ending, without a dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
        }
    }

    /// The media type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }
}

impl FromStr for Format {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "png" => Ok(Self::Png),
            "jpeg" | "jpg" => Ok(Self::Jpeg),
            "webp" => Ok(Self::Webp),
            _ => {
                let name: String = name.chars().take(64).collect();
                bail!("picture.format: {name:?} is not allowed; allowed: png, jpeg, webp")
            }
        }
    }
}
