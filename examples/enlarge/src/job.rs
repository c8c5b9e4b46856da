//! The job of this stage: what the paint stage passes on, and one wish of its own.

use bytes::Bytes;
use rmpv::Value;
use shanshui_pipeline::fields::{FieldError, Fields};
use shanshui_pipeline::made::MadeObject;
use shanshui_pipeline::{Job, JobMeta};

/// Smallest factor that enlarges.
pub const MIN_FACTOR: u32 = 2;
/// Beyond it there is nothing to see.
pub const MAX_FACTOR: u32 = 16;

/// Pictures to be enlarged.
#[derive(Debug, Clone, PartialEq)]
pub struct PicturesJob {
    /// How many times wider and higher; absent: as the worker is set.
    pub factor: Option<u32>,
    /// What every job carries: among it what the stages before have made.
    pub meta: JobMeta,
}

impl PicturesJob {
    /// The pictures that the stages before have made.
    pub fn pictures(&self) -> Result<Vec<MadeObject>, FieldError> {
        let objects = self.meta.made.iter().flat_map(|made| &made.objects);
        let pictures: Vec<_> = objects.filter(|object| object.kind == "picture").cloned().collect();
        if pictures.is_empty() {
            return Err(FieldError::missing("made", "pictures of a stage before; the pipeline writes it"));
        }
        Ok(pictures)
    }
}

impl Job for PicturesJob {
    const QUEUE: &'static str = "pictures";

    fn from_raw(_: Bytes) -> Result<Self, FieldError> {
        Err(FieldError::new("payload", "(raw)", "a job that a stage before passed on"))
    }

    fn from_fields(mut fields: Fields) -> Result<Self, FieldError> {
        let factor = match fields.object("enlarge")? {
            Some(mut own) => own.integer("factor", u64::from(MIN_FACTOR)..=u64::from(MAX_FACTOR))?,
            None => None,
        };
        Ok(Self { factor: factor.map(|factor| factor as u32), meta: JobMeta::parse(fields)? })
    }

    fn to_value(&self) -> Value {
        let wish = |factor: u32| ("enlarge".into(), Value::Map(vec![("factor".into(), factor.into())]));
        self.meta.to_value(self.factor.map(wish).into_iter().collect())
    }

    fn meta(&self) -> &JobMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut JobMeta {
        &mut self.meta
    }
}
