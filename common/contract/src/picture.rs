//! What a job asks of the paint stage.

use std::ops::RangeInclusive;

use rmpv::Value;

use crate::fields::{FieldError, Fields};

/// Pixels of a side that any configuration may allow; a multiple of [`GRID`].
pub const SIDE: RangeInclusive<u64> = 8..=4096;
/// What sides are multiples of.
pub const GRID: u64 = 8;
/// Denoising steps.
pub const STEPS: RangeInclusive<u64> = 1..=1000;
/// Pictures of one job.
pub const COUNT: RangeInclusive<u64> = 1..=64;
/// Guidance scale.
pub const GUIDANCE: RangeInclusive<f64> = 0.0..=100.0;
/// Names of shapes.
pub(crate) const SHAPES: [&str; 4] = ["square", "portrait", "landscape", "wide"];
/// Names of file formats.
pub(crate) const FORMATS: [&str; 3] = ["png", "jpeg", "webp"];
/// Names of syntaxes.
pub(crate) const SYNTAXES: [&str; 2] = ["plain", "a1111"];
/// Weights of a LoRA.
pub(crate) const WEIGHT: RangeInclusive<f64> = -100.0..=100.0;
/// Most LoRA files of one job.
pub(crate) const MAX_LORAS: usize = 16;

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
    /// The form of the picture, where no side is given: `square`, `portrait`, `landscape` or `wide`.
    pub shape: Option<String>,
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
    /// How the texts are read: `plain`, or `a1111` for its weights and tags.
    pub syntax: Option<String>,
    /// Names of LoRA files that the worker has, and how strongly each counts.
    pub loras: Vec<(String, f64)>,
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
            shape: fields.parsed("shape", "square, portrait, landscape or wide", shape_name)?,
            steps: fields.integer("steps", STEPS)?.map(|n| n as u32),
            guidance: fields.number("guidance", GUIDANCE)?,
            negative: fields.text("negative")?.unwrap_or_default(),
            seed: fields.integer("seed", 0..=u64::MAX)?,
            count: fields.integer("count", COUNT)?.map(|n| n as u32),
            sampler: fields.name("sampler")?,
            format: fields.parsed("format", "png, jpeg or webp", format_name)?,
            syntax: fields.parsed("syntax", "plain or a1111", syntax_name)?,
            loras: loras(&mut fields)?,
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
        put("shape", self.shape.as_deref().map(Into::into));
        put("steps", self.steps.map(Into::into));
        put("guidance", self.guidance.map(Into::into));
        put("negative", (!self.negative.is_empty()).then(|| self.negative.as_str().into()));
        put("seed", self.seed.map(Into::into));
        put("count", self.count.map(Into::into));
        put("sampler", self.sampler.as_deref().map(Into::into));
        put("format", self.format.as_deref().map(Into::into));
        put("syntax", self.syntax.as_deref().map(Into::into));
        put("loras", loras_value(&self.loras));
        Value::Map(entries)
    }
}

/// `picture.loras` with these names and weights; nothing for none.
pub fn loras_value(loras: &[(String, f64)]) -> Option<Value> {
    let one = |(name, weight): &(String, f64)| {
        Value::Map(vec![("name".into(), name.as_str().into()), ("weight".into(), (*weight).into())])
    };
    (!loras.is_empty()).then(|| Value::Array(loras.iter().map(one).collect()))
}

fn side(fields: &mut Fields, name: &str) -> Result<Option<u32>, FieldError> {
    let Some(pixels) = fields.integer(name, SIDE)? else { return Ok(None) };
    if !pixels.is_multiple_of(GRID) {
        let allowed = format!("a multiple of {GRID} from {} to {}", SIDE.start(), SIDE.end());
        return Err(FieldError::new(&fields.path(name), pixels, allowed));
    }
    Ok(Some(pixels as u32))
}

fn format_name(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "jpg" => Some("jpeg".into()),
        known => FORMATS.contains(&known).then_some(lower),
    }
}

fn shape_name(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    SHAPES.contains(&lower.as_str()).then_some(lower)
}

fn syntax_name(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    SYNTAXES.contains(&lower.as_str()).then_some(lower)
}

/// A list of `{"name": "detail", "weight": 0.8}`; the weight may be left out.
fn loras(fields: &mut Fields) -> Result<Vec<(String, f64)>, FieldError> {
    let path = fields.path("loras");
    let allowed = format!("a list of up to {MAX_LORAS} objects with a name and a weight");
    let list = match fields.take("loras") {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= MAX_LORAS => list,
        Some(other) => return Err(FieldError::new(&path, other, allowed)),
    };
    let one = |(at, value): (usize, Value)| {
        let mut fields = Fields::new(&format!("{path}[{at}]"), value)?;
        let name = fields.name("name")?.ok_or_else(|| FieldError::missing(&fields.path("name"), "a name"))?;
        Ok((name, fields.number("weight", WEIGHT)?.unwrap_or(1.0)))
    };
    list.into_iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<PictureSpec, FieldError> {
        let value = rmpv::ext::to_value(serde_json::from_str::<serde_json::Value>(json).unwrap()).unwrap();
        PictureSpec::parse(Some(Fields::new("picture", value).unwrap()))
    }

    #[test]
    fn syntax_and_loras_come_through_every_queue() {
        let spec = read(r#"{"syntax": "A1111", "loras": [{"name": "detail", "weight": 0.8}, {"name": "b"}]}"#).unwrap();
        assert_eq!(spec.syntax.as_deref(), Some("a1111"));
        assert_eq!(spec.loras, [("detail".to_owned(), 0.8), ("b".to_owned(), 1.0)]);
        let again = PictureSpec::parse(Some(Fields::new("picture", spec.to_value()).unwrap())).unwrap();
        assert_eq!(again, spec);
    }

    #[test]
    fn wrong_loras_are_named_with_their_place() {
        for (wrong, field) in [
            (r#""detail""#, "picture.loras"),
            ("[1]", "picture.loras[0]"),
            (r#"[{"weight": 1}]"#, "picture.loras[0].name"),
            (r#"[{"name": "a"}, {"name": "b", "weight": "much"}]"#, "picture.loras[1].weight"),
        ] {
            assert_eq!(read(&format!("{{\"loras\": {wrong}}}")).unwrap_err().field, field, "{wrong}");
        }
        let error = read(r#"{"shape": "round"}"#).unwrap_err().to_string();
        assert_eq!(error, "picture.shape: round is not allowed; allowed: square, portrait, landscape or wide");
        let error = read(r#"{"syntax": "compel"}"#).unwrap_err().to_string();
        assert_eq!(error, "picture.syntax: compel is not allowed; allowed: plain or a1111");
    }
}
