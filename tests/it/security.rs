//! What outsiders, and each part of the pipeline itself, cannot do. Rows as in docs/security.md.

mod creds;
mod guarded;
mod headers;
mod injection;
mod logins;
mod matrix;
mod old_tls;
mod permissions;
mod secrets;
mod tls;
mod voice;
mod webhooks;
mod work;
