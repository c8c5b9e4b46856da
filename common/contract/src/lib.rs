//! What travels through Shanshui, for anyone who speaks to it: jobs, events, names and keys.
//!
//! This crate knows nothing of NATS, S3 or models. `docs/contract.md` is its specification.

pub mod asyncapi;
pub mod audio;
pub mod code;
pub mod event;
pub mod fields;
pub mod id;
pub mod job;
pub mod key;
pub mod made;
pub mod names;
pub mod picture;
pub mod schema;
pub mod step;
pub mod text;
pub mod trace;
pub mod wire;

pub use audio::{AudioJob, AudioSource, Task};
pub use code::Code;
pub use event::{Envelope, Event};
pub use fields::{FieldError, Fields};
pub use id::JobId;
pub use job::{Job, JobMeta};
pub use key::ObjectKey;
pub use made::{Made, MadeObject};
pub use names::Names;
pub use picture::PictureSpec;
pub use step::Step;
pub use text::TextJob;
