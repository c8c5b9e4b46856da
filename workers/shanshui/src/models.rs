//! Models: which ones are pinned, where they lie, and how they come here.

pub(crate) mod locate;
pub(crate) mod manifest;
pub(crate) mod pull;
pub(crate) mod verify;
