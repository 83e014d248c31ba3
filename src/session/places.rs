//! What sessions could write, kept when they are removed: an agent may have left a link there, in the place of
//! what the user names next. A project with a repository is known by that. Each is noted with what it is, since
//! the user may move it. It must never be taken for more than a warning.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::directory;
use super::record::Record;
use crate::bytes::Bytes;
use crate::error::{Result, Tried as _};
use crate::hex::hexadecimal;
use crate::host::{Disk, Facts as _, Identity, Written};

const PLACES: &str = "places";

/// Notes them, below the state directory: a file for each, so that two sessions need no lock.
///
/// # Errors
/// When one cannot be written.
pub(super) fn note(state: &Path, record: &Record) -> Result<()> {
    let project = Some(&record.project)
        .filter(|project| Disk.lstat(&project.as_path().join(".git")).is_none());
    let notes = state.join(PLACES);
    for (at, place) in record.places.iter().chain(project).enumerate() {
        if at == 0 {
            directory::make_private(&notes)?;
        }
        let text = text(place);
        // Another directory at the same path has a note of its own.
        let note = notes.join(hexadecimal(&Sha256::digest(&text)[..16]));
        if fs::symlink_metadata(&note).is_err() {
            fs::write(&note, &text).tried(|| "note what the session may write")?;
        }
    }
    Ok(())
}

/// All of them.
pub fn all(state: &Path) -> Vec<Written> {
    let notes = fs::read_dir(state.join(PLACES)).into_iter().flatten().flatten();
    let notes = notes.filter_map(|note| of_text(&fs::read(note.path()).ok()?));
    notes.filter(|place| place.path.is_absolute()).collect()
}

/// The path, and behind a NUL byte, which none has, its numbers.
fn text(place: &Bytes) -> Vec<u8> {
    let mut text = place.0.clone();
    if let Some(Identity { born, inode, device }) =
        Disk.lstat(place.as_path()).map(|found| found.identity())
    {
        let born = born.unwrap_or_default();
        text.extend(format!("\0{inode} {device} {born}").bytes());
    }
    text
}

fn of_text(text: &[u8]) -> Option<Written> {
    let mut parts = text.splitn(2, |byte| *byte == 0);
    let path = PathBuf::from(OsStr::from_bytes(parts.next()?));
    let identity = parts.next().and_then(|numbers| {
        let mut numbers = std::str::from_utf8(numbers).ok()?.split(' ');
        let (inode, device) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        let born = Some(numbers.next()?.parse().ok()?).filter(|born| *born != 0);
        Some(Identity { born, inode, device })
    });
    Some(Written { path, identity })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_known_where_it_was_moved_to() {
        let root = tempfile::tempdir().unwrap();
        let (before, after) = (root.path().join("a b"), root.path().join("after"));
        fs::create_dir(&before).unwrap();
        let noted = of_text(&text(&before.as_path().into())).unwrap();
        assert_eq!(noted.path, before);
        fs::rename(&before, &after).unwrap();
        let of = |path: &Path| Disk.lstat(path).unwrap().identity();
        assert!(noted.identity.unwrap().is_of(&of(&after)));
        // Controls: what stands there since is another, and so is a copy.
        fs::create_dir(&before).unwrap();
        assert!(!noted.identity.unwrap().is_of(&of(&before)));
    }

    #[test]
    fn a_note_is_read_whatever_stands_in_it() {
        let path = |text: &[u8]| of_text(text).map(|place| (place.path, place.identity.is_some()));
        assert_eq!(path(b"/x"), Some(("/x".into(), false)), "of an earlier version");
        assert_eq!(path(b"/x\n\x00\x37 8 0"), Some(("/x\n".into(), true)));
        for odd in [&b"/x\0"[..], b"/x\0a b c", b"/x\x00\x37 8", b"/x\0\xff"] {
            assert_eq!(path(odd), Some(("/x".into(), false)), "{}", odd.escape_ascii());
        }
    }
}
