//! Where claudebox's own diagnostics go: `-v` and `-vv` on the command line. Events of a session
//! are not diagnostics; they go to the log. It must never print an environment value.
#![forbid(unsafe_code)]

use std::io::{self, IsTerminal as _, Stderr, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;

/// Sends diagnostics of the level that the count of `-v` asks for to standard error.
/// A second call in one process changes nothing.
pub fn start(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let subscriber = fmt()
        .with_max_level(level)
        .with_writer(|| Lossy(io::stderr()))
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Standard error, as far as it takes something: a diagnostic that nobody can read is no reason to end.
struct Lossy(Stderr);

impl Write for Lossy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}
