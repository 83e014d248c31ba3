//! What goes over a connection, counted as it goes: `claudebox net` looks at it meanwhile.
#![forbid(unsafe_code)]

use std::cell::Cell;

/// What went over a connection.
#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) sent: Cell<u64>,
    pub(super) received: Cell<u64>,
}
