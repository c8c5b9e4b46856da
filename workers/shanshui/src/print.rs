//! The only place that writes to standard output; all else goes to standard error.

use std::io::{self, IsTerminal, Write};

/// Writes one line to standard output, where scripts read.
pub(crate) fn line(text: impl std::fmt::Display) {
    // A reader that has gone away (`| head`) is no reason to fail.
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Writes one line to standard error, where people read.
pub(crate) fn note(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether somebody watches standard error.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}
