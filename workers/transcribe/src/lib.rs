//! Speech to text: Whisper as a stage of the pipeline.

pub mod decoding;
pub mod whisper;
pub mod audio;
pub mod gate;
pub mod mel;
pub mod options;
pub mod record;
pub mod stage;
