//! The names of claudebox's own refs on the host, below `refs/claudebox/SESSION`: where what an agent made
//! is kept, and what a ref of the host's had before. Pure.
#![forbid(unsafe_code)]

use crate::bytes::Bytes;
use crate::git::names::{self, HEADS, NOTES, TAGS};
use crate::git::oid::Oid;

/// The ref that keeps what a branch, a tag or notes had.
pub(super) fn backup(session: &str, name: &Bytes, had: &Oid) -> Bytes {
    let short = [HEADS, TAGS, "refs/"].iter().find_map(|prefix| names::behind(name, prefix));
    let short = short.unwrap_or(&name.0);
    let begin = format!("{}backup/", own(session));
    Bytes([begin.as_bytes(), short, b"@", had.short().as_bytes()].concat())
}

/// Where the refs of a session are.
pub(super) fn own(session: &str) -> String {
    format!("{}{session}/", names::OWN)
}

/// Where what a ref of the agent's leads to is kept: by its name, or by the object's where the name of a
/// branch is not taken.
pub(super) fn kept_as(session: &str, name: &Bytes, oid: &Oid) -> Option<Bytes> {
    let is_branch = names::behind(name, HEADS).is_some();
    let odd = || format!("{}odd/{oid}", own(session)).as_str().into();
    imported(session, name).or_else(|| is_branch.then(odd))
}

/// The ref of claudebox's own that has what the agent's ref of this name has; `None` for a name that is
/// not taken.
fn imported(session: &str, name: &Bytes) -> Option<Bytes> {
    let kinds = [(HEADS, "heads/"), (TAGS, "tags/"), (NOTES, "notes/")];
    let (short, kind) =
        kinds.iter().find_map(|(prefix, kind)| Some((names::behind(name, prefix)?, kind)))?;
    names::check(short).ok()?;
    Some(Bytes([own(session).as_bytes(), kind.as_bytes(), short].concat()))
}
