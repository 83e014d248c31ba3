//! What the path of an exec names, as far as that must be asked while the caller is stopped.
#![forbid(unsafe_code)]

use crate::bytes::Bytes;
use crate::supervisor::execs::procfs;
use crate::supervisor::execs::record::{FileId, Names};

/// What the path of an exec names, as far as that must be asked while the caller is stopped.
pub(super) fn named(tid: i32, path: &[u8], at: Option<(i32, u32)>, cwd: Option<&Bytes>) -> Names {
    let file = |link: &str| match rustix::fs::stat(format!("/proc/{tid}/{link}")) {
        Ok(stat) => Names::File(FileId::of(&stat)),
        Err(_) => Names::Unknown,
    };
    if path.is_empty() {
        return match at {
            Some((fd, flags)) if flags & libc::AT_EMPTY_PATH.cast_unsigned() != 0 => {
                file(&format!("fd/{fd}"))
            }
            _ => Names::Unknown,
        };
    }
    if path.starts_with(b"/proc/") || path.starts_with(b"/dev/fd/") {
        return own_link(path).map_or(Names::Unknown, |link| file(&link));
    }
    if path.starts_with(b"/") {
        return Names::Path(Bytes::from(path));
    }
    let base = match at {
        Some((fd, _)) if fd != libc::AT_FDCWD => procfs::link(tid, &format!("fd/{fd}")).ok(),
        _ => cwd.cloned(),
    };
    match base {
        Some(base) if base.0.starts_with(b"/") => {
            Names::Path(Bytes([base.0.as_slice(), b"/", path].concat()))
        }
        _ => Names::Unknown,
    }
}

/// The link below `/proc/PID` that a path means for whoever uses it: from outside, `self` would be
/// ourselves.
fn own_link(path: &[u8]) -> Option<String> {
    let rest = path.strip_prefix(b"/proc/self/").or(path.strip_prefix(b"/proc/thread-self/"));
    let number = match rest {
        Some(b"exe") => return Some("exe".to_owned()),
        Some(rest) => rest.strip_prefix(b"fd/")?,
        None => path.strip_prefix(b"/dev/fd/")?,
    };
    let number = std::str::from_utf8(number).ok()?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("fd/{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_the_caller_are_its_own() {
        assert_eq!(own_link(b"/proc/self/exe").as_deref(), Some("exe"));
        assert_eq!(own_link(b"/proc/thread-self/fd/3").as_deref(), Some("fd/3"));
        assert_eq!(own_link(b"/dev/fd/12").as_deref(), Some("fd/12"));
        assert_eq!(own_link(b"/proc/self/fd/../exe"), None);
        assert_eq!(own_link(b"/proc/self/root/bin/sh"), None);
        assert_eq!(own_link(b"/proc/1/exe"), None);
    }

    #[test]
    fn a_relative_path_is_below_the_directory() {
        let cwd = Bytes::from("/work");
        let want = Names::Path(Bytes::from("/work/./a"));
        assert_eq!(named(1, b"./a", None, Some(&cwd)), want);
        assert_eq!(named(1, b"a", Some((libc::AT_FDCWD, 0)), None), Names::Unknown);
        let gone = Bytes::from("(unreachable)/x");
        assert_eq!(named(1, b"a", None, Some(&gone)), Names::Unknown);
    }
}
