//! Bytes as lower-case hexadecimal digits, as hashes stand in names and in the log.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

/// Two digits for each byte.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
