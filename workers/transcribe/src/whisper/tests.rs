//! A tiny random Whisper, written by the tests themselves in both formats.

mod damage;
mod forward;
mod formats;
mod tiny;
