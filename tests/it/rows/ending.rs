//! SIGTERM at every moment of a worker's life.

use std::ffi::CString;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use shanshui_tests::{Job, PATIENCE, Process, Stack, ends_well, picture_model, whisper};

use super::{Worker, painting, small};
use crate::start::copy;

/// An idle worker ends within this: its pull of one second, and as much again for a busy machine.
const IDLE: Duration = Duration::from_secs(2);
/// A worker that loads its model ends within this.
const LOADING: Duration = Duration::from_secs(5);
