//! What outsiders, and each part of the pipeline itself, cannot do. Rows as in docs/security.md.

mod guarded;
mod injection;
mod logins;
mod permissions;
mod secrets;
mod tls;
mod voice;
mod work;
