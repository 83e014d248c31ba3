//! What bwrap says of the sandbox it makes (`--info-fd`, `--json-status-fd`), which comes in parts. bwrap
//! is trusted, and has started nothing foreign yet; but a number of a process can be another's by now.
#![forbid(unsafe_code)]

use serde::Deserialize;

/// Longer than what any bwrap says, in bytes.
const LIMIT: usize = 4096;

/// What bwrap says, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Info {
    /// The process that becomes pid 1 inside.
    pub(crate) child_pid: i32,
    /// The inode of its network namespace.
    pub(crate) net_namespace: Option<u64>,
}

/// What has been heard so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// All of it.
    Info(Info),
    /// There is more to come.
    Part,
    /// Nothing more comes: bwrap ended before.
    Ended,
    /// It is not what a bwrap says.
    TooMuch,
}

/// The parts so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said(Vec<u8>);

impl Said {
    /// Takes the next part; an empty one is the end.
    pub(crate) fn hear(&mut self, part: &[u8]) -> Heard {
        self.0.extend_from_slice(part);
        match serde_json::from_slice(&self.0) {
            Ok(info) => Heard::Info(info),
            Err(_) if part.is_empty() => Heard::Ended,
            Err(_) if self.0.len() >= LIMIT => Heard::TooMuch,
            Err(_) => Heard::Part,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bwrap_says_is_heard_in_parts() {
        let mut said = Said::default();
        assert_eq!(said.hear(b"{\n    \"child-pid\": 12"), Heard::Part);
        let info = Info { child_pid: 1234, net_namespace: None };
        assert_eq!(said.hear(b"34,\n    \"pid-namespace\": 5\n}\n"), Heard::Info(info));
        assert_eq!(Said::default().hear(b""), Heard::Ended);
        assert_eq!(Said::default().hear(&[b'['; LIMIT]), Heard::TooMuch);
    }
}
