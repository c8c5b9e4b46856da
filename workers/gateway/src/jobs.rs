//! The gateway's own interface: jobs, their events and what they made.

pub(crate) mod cancel;
pub(crate) mod document;
pub(crate) mod erase;
pub(crate) mod events;
pub(crate) mod list;
pub(crate) mod objects;
pub(crate) mod parse;
pub(crate) mod submit;
