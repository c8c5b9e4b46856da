//! Reads what a store tells of its bucket, in every form that stores and their bridges send.
//!
//! The bytes are a stranger's. Nothing here fetches anything, follows an address or panics.

mod clouds;
mod key;
mod records;
mod unwrap;

use crate::watch::Watch;

/// Largest event, in bytes: what the stream takes. AWS sends at most 64 KiB.
pub const MAX_BYTES: usize = 1 << 20;

/// An object that an event tells of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its bucket.
    pub bucket: String,
    /// Its key, as the object is called.
    pub key: String,
    /// The key as it stood in the event, where the store may not have encoded it.
    pub as_it_stands: Option<String>,
    /// The version, where the store has any.
    pub version: Option<String>,
    /// The version is one that the S3 protocol knows: an object can be asked for by it.
    pub by_version: bool,
    /// Its ETag, without quotes.
    pub etag: Option<String>,
    /// Order among the events of one key.
    pub sequencer: Option<String>,
    /// Its size in bytes, if the event says it.
    pub size: Option<u64>,
}

/// Something in an event that starts no job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// As it should be: a removal, a test event, an object that is the pipeline's own.
    Passed(String),
    /// It cannot be read, or must not be followed.
    Refused(String),
}

/// What an event says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Objects to take, each once.
    pub found: Vec<Found>,
    /// All else that was in it.
    pub notes: Vec<Note>,
}

impl Reading {
    /// Why the event, or a part of it, is refused.
    pub fn refused(&self) -> Option<&str> {
        self.notes.iter().find_map(|note| match note {
            Note::Refused(why) => Some(why.as_str()),
            Note::Passed(_) => None,
        })
    }

    fn pass(&mut self, why: impl Into<String>) {
        self.notes.push(Note::Passed(why.into()));
    }

    fn refuse(&mut self, why: impl Into<String>) {
        self.notes.push(Note::Refused(why.into()));
    }

    /// Keeps an object unless it is not to be taken, or was in the event before.
    fn offer(&mut self, watch: &Watch, found: Found) {
        if found.bucket != watch.bucket {
            return self.pass(format!("bucket {} is not watched", short(&found.bucket)));
        }
        if let Err(why) = key::check(&found.key) {
            return self.refuse(why);
        }
        if let Some(why) = watch.passes_over(&found.key) {
            return self.pass(why);
        }
        match self.found.iter_mut().find(|other| same(other, &found)) {
            Some(other) if is_later(&found, other) => *other = found,
            Some(_) => {}
            None => self.found.push(found),
        }
    }
}

/// Reads one event.
pub fn read(payload: &[u8], watch: &Watch) -> Reading {
    let mut reading = Reading::default();
    if payload.len() > MAX_BYTES {
        reading.refuse(format!("an event of {} bytes is not allowed; allowed: {MAX_BYTES}", payload.len()));
        return reading;
    }
    // serde_json refuses more than 128 levels.
    match serde_json::from_slice(payload) {
        Ok(value) => unwrap::message(&value, unwrap::WRAPS, watch, &mut reading),
        Err(error) => reading.refuse(format!("no JSON: {error}")),
    }
    reading
}

/// Two versions of one key are two recordings; without versions only the last one is still there.
fn same(one: &Found, other: &Found) -> bool {
    one.key == other.key && one.version == other.version
}

/// Sequencers are hexadecimal numbers of differing lengths: AWS asks to pad them on the left.
fn is_later(one: &Found, other: &Found) -> bool {
    let (one, other) = (one.sequencer.as_deref(), other.sequencer.as_deref());
    let plain = |text: Option<&str>| text.unwrap_or_default().trim_start_matches('0').to_ascii_uppercase();
    let (one, other) = (plain(one), plain(other));
    (one.len(), &one) >= (other.len(), &other)
}

/// A stranger's text, safe for one line.
fn short(text: &str) -> String {
    const SHOWN: usize = 80;
    let cut = if text.chars().nth(SHOWN).is_some() { "…" } else { "" };
    text.chars().take(SHOWN).flat_map(char::escape_debug).chain(cut.chars()).collect()
}

#[cfg(test)]
mod tests;
