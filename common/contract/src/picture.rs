//! What a job asks of the paint stage.

use rmpv::Value;

use crate::fields::{FieldError, Fields};

/// Longest side in pixels that any configuration may allow.
const MAX_SIDE: u64 = 4096;

/// Wishes for the pictures of one job; what is absent is the model's recommendation.
///
/// Ranges here are those of the format. A worker refuses more than its own limits allow.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PictureSpec {
    /// Name of the model; absent or `default`: the worker's.
    pub model: Option<String>,
    /// Width in pixels, a multiple of 8.
    pub width: Option<u32>,
    /// Height in pixels, a multiple of 8.
    pub height: Option<u32>,
    /// Denoising steps.
    pub steps: Option<u32>,
    /// Classifier-free guidance scale (Ho & Salimans 2022); 1 or less switches it off.
    pub guidance: Option<f64>,
    /// What the picture should not show.
    pub negative: String,
    /// Seed of the noise; absent: random, and written down in the receipt.
    pub seed: Option<u64>,
    /// Number of pictures.
    pub count: Option<u32>,
    /// Sampler by its name in A1111 or diffusers.
    pub sampler: Option<String>,
    /// File format.
    pub format: Option<String>,
    /// Fields this version does not know.
    pub extra: Vec<(Value, Value)>,
}

impl PictureSpec {
    /// Reads the object at `picture`; no object means no wishes.
    pub fn parse(fields: Option<Fields>) -> Result<Self, FieldError> {
        let Some(mut fields) = fields else { return Ok(Self::default()) };
        Ok(Self {
            model: fields.name("model")?,
            width: side(&mut fields, "width")?,
            height: side(&mut fields, "height")?,
            steps: fields.integer("steps", 1..=1000)?.map(|n| n as u32),
            guidance: fields.number("guidance", 0.0..=100.0)?,
            negative: fields.text("negative")?.unwrap_or_default(),
            seed: fields.integer("seed", 0..=u64::MAX)?,
            count: fields.integer("count", 1..=64)?.map(|n| n as u32),
            sampler: fields.name("sampler")?,
            format: fields.parsed("format", "png, jpeg or webp", format_name)?,
            extra: fields.rest(),
        })
    }

    /// The object again, for the next queue.
    pub fn to_value(&self) -> Value {
        let mut entries = self.extra.clone();
        let mut put = |name: &str, value: Option<Value>| {
            entries.extend(value.map(|value| (name.into(), value)));
        };
        put("model", self.model.as_deref().map(Into::into));
        put("width", self.width.map(Into::into));
        put("height", self.height.map(Into::into));
        put("steps", self.steps.map(Into::into));
        put("guidance", self.guidance.map(Into::into));
        put("negative", (!self.negative.is_empty()).then(|| self.negative.as_str().into()));
        put("seed", self.seed.map(Into::into));
        put("count", self.count.map(Into::into));
        put("sampler", self.sampler.as_deref().map(Into::into));
        put("format", self.format.as_deref().map(Into::into));
        Value::Map(entries)
    }
}

fn side(fields: &mut Fields, name: &str) -> Result<Option<u32>, FieldError> {
    let Some(pixels) = fields.integer(name, 8..=MAX_SIDE)? else { return Ok(None) };
    if !pixels.is_multiple_of(8) {
        let allowed = format!("a multiple of 8 from 8 to {MAX_SIDE}");
        return Err(FieldError::new(&fields.path(name), pixels, allowed));
    }
    Ok(Some(pixels as u32))
}

fn format_name(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "jpg" => Some("jpeg".into()),
        "png" | "jpeg" | "webp" => Some(lower),
        _ => None,
    }
}
