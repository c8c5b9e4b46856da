//! Fields of `picture` that only this worker reads.

use std::fmt::Display;

use serde_json::Value;
use shanshui_pipeline::fields::FieldError;
use shanshui_pipeline::picture::PictureSpec;

use crate::prompt::syntax::Syntax;

/// What they ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// How the texts are read.
    pub syntax: Syntax,
    /// Adaptations by name and weight.
    pub loras: Vec<(String, f64)>,
    /// The form of the picture, where its sides are not given.
    pub shape: Shape,
}

/// Sides in eighths of the model's own. None has more pixels than the square, and both stay multiples
/// of what the UNet halves three times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape(Option<(usize, usize)>);

impl Shape {
    /// Width and height, for a model whose own are `best`.
    pub fn of(self, best: (usize, usize)) -> (usize, usize) {
        self.0.map_or(best, |(width, height)| (best.0 * width / 64 * 8, best.1 * height / 64 * 8))
    }
}

/// Longest name of an adaptation.
const MAX_NAME: usize = 128;
/// Most adaptations of one job.
const MAX_LORAS: usize = 16;

impl Wishes {
    /// Reads `picture.syntax` and `picture.loras`.
    ///
    /// # Errors
    /// Names the field, its value and what is allowed.
    pub fn read(spec: &PictureSpec) -> Result<Self, FieldError> {
        let field = |name: &str| {
            let found = spec.extra.iter().find(|(key, _)| key.as_str() == Some(name));
            found.and_then(|(_, value)| serde_json::to_value(value).ok()).unwrap_or(Value::Null)
        };
        Ok(Self { syntax: syntax(&field("syntax"))?, loras: loras(&field("loras"))?, shape: shape(&field("shape"))? })
    }
}

fn syntax(value: &Value) -> Result<Syntax, FieldError> {
    let wrong = || {
        let found = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        FieldError::new("picture.syntax", found, "plain or a1111")
    };
    match value {
        Value::Null => Ok(Syntax::Plain),
        value => value.as_str().and_then(|name| name.parse().ok()).ok_or_else(wrong),
    }
}

fn shape(value: &Value) -> Result<Shape, FieldError> {
    let sides = match value.as_str() {
        None if value.is_null() => return Ok(Shape::default()),
        Some("square") => (8, 8),
        Some("portrait") => (6, 9),
        Some("landscape") => (9, 6),
        Some("wide") => (10, 6),
        other => {
            let found = other.map_or_else(|| value.to_string(), str::to_owned);
            return Err(FieldError::new("picture.shape", found, "square, portrait, landscape or wide"));
        }
    };
    Ok(Shape(Some(sides)))
}

/// A list of `{"name": "detail", "weight": 0.8}`; the weight may be left out.
fn loras(value: &Value) -> Result<Vec<(String, f64)>, FieldError> {
    let allowed = "a list of up to 16 objects with a name and a weight";
    let wrong = |value: &dyn Display| FieldError::new("picture.loras", value, allowed);
    if value.is_null() {
        return Ok(Vec::new());
    }
    let list = value.as_array().filter(|list| list.len() <= MAX_LORAS).ok_or_else(|| wrong(value))?;
    let one = |item: &Value| {
        let name =
            item["name"].as_str().filter(|name| (1..=MAX_NAME).contains(&name.len())).ok_or_else(|| wrong(item))?;
        let weight = match &item["weight"] {
            Value::Null => 1.0,
            weight => weight.as_f64().ok_or_else(|| wrong(item))?,
        };
        Ok((name.to_owned(), weight))
    };
    list.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_follows_the_model_and_has_no_more_pixels_than_its_square() {
        let sides = |name: &str, side: usize| shape(&name.into()).unwrap().of((side, side));
        assert_eq!((sides("portrait", 512), sides("wide", 512)), ((384, 576), (640, 384)));
        assert_eq!((sides("landscape", 1024), sides("wide", 128)), ((1152, 768), (160, 96)));
        assert_eq!(shape(&Value::Null).unwrap().of((768, 512)), (768, 512));
        let error = shape(&"round".into()).unwrap_err().to_string();
        assert_eq!(error, "picture.shape: round is not allowed; allowed: square, portrait, landscape or wide");
    }

    #[test]
    fn wishes_are_read_and_wrong_ones_are_named() {
        let list: Value = serde_json::from_str(r#"[{"name": "detail", "weight": 0.8}, {"name": "b"}]"#).unwrap();
        assert_eq!(loras(&list).unwrap(), [("detail".to_owned(), 0.8), ("b".to_owned(), 1.0)]);
        for wrong in [r#""detail""#, r#"[1]"#, r#"[{"weight": 1}]"#, r#"[{"name": "a", "weight": "much"}]"#] {
            let error = loras(&serde_json::from_str(wrong).unwrap()).unwrap_err();
            assert_eq!(error.field, "picture.loras", "{wrong}");
        }
        assert_eq!(syntax(&"A1111".into()).unwrap(), Syntax::A1111);
        assert_eq!(syntax(&Value::Null).unwrap(), Syntax::Plain);
        let error = syntax(&"compel".into()).unwrap_err().to_string();
        assert_eq!(error, "picture.syntax: compel is not allowed; allowed: plain or a1111");
    }
}
