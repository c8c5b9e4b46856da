//! What every sender of jobs does: it submits them, and reads from their events what became of them.
//! The commands `say` and `draw` use it, and so does the gateway.

mod recording;
mod story;
mod submit;

pub use recording::{fits, upload};
pub use story::{Picture, StageTime, Story};
pub use submit::{SubmitError, check_until, name, submit};
