//! PNG with text chunks: W3C Portable Network Graphics, section 11.3.3.

use anyhow::Result;
use png::{BitDepth, ColorType, Compression, Encoder, Filter};

use super::{Metadata, Picture};

/// The keyword under which picture programs look for the parameters.
const PARAMETERS: &str = "parameters";
/// The keyword of our receipt.
const RECEIPT: &str = "shanshui";

/// Filter and compression are fixed, so that the same picture has the same bytes.
pub(super) fn encode(picture: &Picture, metadata: Metadata<'_>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, picture.width, picture.height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    encoder.set_filter(Filter::Adaptive);
    // A tEXt chunk is Latin-1, and NUL ends a keyword: both are the standard's.
    let parameters = metadata.parameters.replace('\0', "");
    if parameters.chars().all(|c| u32::from(c) < 256) {
        encoder.add_text_chunk(PARAMETERS.to_owned(), parameters)?;
    } else {
        encoder.add_itxt_chunk(PARAMETERS.to_owned(), parameters)?;
    }
    encoder.add_itxt_chunk(RECEIPT.to_owned(), metadata.receipt.to_owned())?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&picture.rgb)?;
    writer.finish()?;
    Ok(bytes)
}
