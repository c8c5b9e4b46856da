//! Speech to text: Whisper as a stage of the pipeline.

pub mod audio;
pub mod decoding;
pub mod folder;
pub mod gate;
pub mod mel;
pub mod options;
pub mod partial;
pub mod record;
pub mod stage;
pub mod voice;
pub mod whisper;
