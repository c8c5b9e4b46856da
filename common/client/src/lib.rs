//! What every sender of jobs does: it submits them, and reads from their events what became of them.
//! The commands `say` and `draw` use it, and so does the gateway.

mod recording;
mod story;
mod submit;

pub use recording::{fits, stored, upload};
pub use story::{Picture, StageTime, Story, lane_of};
pub use submit::{SubmitError, check_digest, check_name, check_until, name, submit};
