//! How many connections this process may have.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::links::Limits;

/// Connections at a time, and requests in work where a connection has several.
const MOST: usize = 4096;
/// Files that are opened for so many connections, and for NATS and the object store.
const FILES: u64 = 8192;

/// As many as the limits of the system leave room for. Behind a proxy all have one address.
pub(super) fn connections() -> Limits {
    let all = share(files());
    if all < MOST {
        tracing::warn!(connections = all, "few files may be open at a time (ulimit -n), and so few connections");
    }
    Limits { all, address: all / 2, patience: Duration::ZERO }
}

/// Files that may be open. Most systems give a process few, and more to whoever asks.
fn files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(few) = current.filter(|current| *current < FILES) else { return FILES };
    let more = maximum.map_or(FILES, |maximum| maximum.min(FILES));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(more), maximum });
    if raised.is_ok() { more } else { few }
}

/// A quarter is left for all else, so that callers whose requests are in work reach NATS and the store.
fn share(files: u64) -> usize {
    usize::try_from(files - files / 4).unwrap_or(MOST).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s33_connections_leave_files_for_all_else() {
        assert_eq!([share(FILES), share(1024), share(256)], [MOST, 768, 192]);
        assert!(files() > 0 && connections().address <= connections().all);
    }
}
