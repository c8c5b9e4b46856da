//! Models: which ones are pinned, where they lie, and how they come here.

pub(crate) mod bucket;
pub(crate) mod hub;
pub(crate) mod locate;
pub(crate) mod manifest;
pub(crate) mod name;
pub(crate) mod pull;
mod staging;
pub(crate) mod verify;
