//! Gets the filter that reports every exec into force, with a listener for the supervisor, which has
//! tried before whether that works here. After this nothing here may exec: only the supervisor's
//! answer lets an exec return.
#![forbid(unsafe_code)]

use super::handshake::Observed;
use crate::filters::notify::{self, Stops};
use crate::sys::seccomp::{self, Listener};

/// Installs it, if execs are to be observed. Also answers what the supervisor is to be told.
pub(super) fn install(stops: Option<Stops>) -> (Option<Listener>, Observed) {
    let Some(stops) = stops else { return (None, Observed::Off) };
    match seccomp::install(&notify::program(stops)) {
        Ok(listener) => {
            let killable = listener.killable;
            (Some(listener), Observed::On { killable })
        }
        Err(err) => {
            let errno = err.raw_os_error().unwrap_or(libc::EIO);
            (None, Observed::Unavailable { errno })
        }
    }
}
