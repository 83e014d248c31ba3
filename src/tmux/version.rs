//! Which tmux this is. tmux has no way to ask for a feature, so its version decides, from the one
//! line of `tmux -V`. It must never refuse a version it merely does not know.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::visible::visible;

/// How far a tmux can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// As designed.
    Full,
    /// 3.2: programs can write to the user's terminal past tmux (`allow-passthrough` came with 3.3).
    Passthrough,
}

/// Judges the answer of `tmux -V`: "tmux 3.3a", "tmux next-3.7", "tmux openbsd-7.4", "tmux master".
/// Before 3.2 a second `-f`, `new-session -e` and `terminal-features` are missing.
pub fn judge(answer: &[u8]) -> Result<Support> {
    let text = String::from_utf8_lossy(answer);
    let name = text.trim().strip_prefix("tmux ").unwrap_or(text.trim());
    let number = name.strip_prefix("next-").unwrap_or(name);
    match major_minor(number) {
        Some(version) if version < (3, 2) => Err(Error::launcher(format!(
            "tmux {} is too old: the log pane needs tmux 3.2 or later",
            visible(name)
        ))
        .hint("install a newer tmux, or run with --no-monitor")),
        Some((3, 2)) => Ok(Support::Passthrough),
        // A name without a number is a development version or OpenBSD's, which follows it.
        _ => Ok(Support::Full),
    }
}

fn major_minor(number: &str) -> Option<(u32, u32)> {
    let (major, rest) = number.split_once('.')?;
    let digits = rest.find(|ch: char| !ch.is_ascii_digit()).unwrap_or(rest.len());
    Some((major.parse().ok()?, rest[..digits].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        let full = [
            "tmux 3.3a\n",
            "tmux 3.10\n",
            "tmux next-3.7",
            "tmux openbsd-7.4",
            "tmux master",
            "tmux 4.0-rc",
        ];
        for answer in full {
            assert_eq!(judge(answer.as_bytes()).unwrap(), Support::Full, "{answer}");
        }
        assert_eq!(judge(b"tmux 3.2a\n").unwrap(), Support::Passthrough);
        for answer in ["tmux 3.1c", "tmux 2.9a", "tmux 1.8"] {
            assert!(
                judge(answer.as_bytes()).unwrap_err().to_string().contains("too old"),
                "{answer}"
            );
        }
    }
}
