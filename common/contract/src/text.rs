//! The job of the paint stage.

use bytes::Bytes;
use rmpv::Value;

use crate::fields::{FieldError, Fields};
use crate::job::{Job, JobMeta};

/// Most characters of a text to paint that a sender may give. The pipeline itself passes on what
/// a recording holds, however long: a stage paints the beginning and says that it was cut.
pub const MAX_TEXT: usize = 20_000;

/// A text to be painted.
#[derive(Debug, Clone, PartialEq)]
pub struct TextJob {
    /// What to paint.
    pub text: String,
    /// What every job carries.
    pub meta: JobMeta,
}

impl Job for TextJob {
    const QUEUE: &'static str = "text";

    fn from_raw(payload: Bytes) -> Result<Self, FieldError> {
        let allowed = "UTF-8 text, or an object as JSON or MessagePack";
        match std::str::from_utf8(&payload) {
            Ok(text) => Ok(Self { text: checked(text, MAX_TEXT)?, meta: JobMeta::default() }),
            Err(error) => Err(FieldError::new("payload", error, allowed)),
        }
    }

    fn from_fields(mut fields: Fields) -> Result<Self, FieldError> {
        let text = fields.text("text")?.ok_or_else(|| FieldError::missing("text", "the text to paint"))?;
        if fields.boolean("voice")? == Some(true) {
            return Err(FieldError::new("voice", true, "false; nobody speaks in a job that begins with a text"));
        }
        let meta = JobMeta::parse(fields)?;
        let limit = if meta.made.is_empty() { MAX_TEXT } else { usize::MAX };
        Ok(Self { text: checked(&text, limit)?, meta })
    }

    fn to_value(&self) -> Value {
        self.meta.to_value(vec![("text".into(), self.text.as_str().into())])
    }

    fn meta(&self) -> &JobMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut JobMeta {
        &mut self.meta
    }

    fn model(&self) -> Option<(&'static str, &str)> {
        Some(("picture.model", self.meta.picture.model.as_deref()?))
    }
}

fn checked(text: &str, limit: usize) -> Result<String, FieldError> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        return Err(FieldError::new("text", "(empty)", "at least one visible character"));
    }
    if length > limit {
        return Err(FieldError::new("text", format!("{length} characters"), format!("at most {limit} characters")));
    }
    Ok(text.to_owned())
}
