//! A job as the commands see it: sent, watched, told, and its pictures fetched.

pub(crate) mod display;
pub(crate) mod report;
pub(crate) mod save;
pub(crate) mod send;
pub(crate) mod spec;
pub(crate) mod watch;
