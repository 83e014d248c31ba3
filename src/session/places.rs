//! What sessions could write besides their projects, kept when they are removed: an agent may have left a
//! link there, in the place of what the user names next. It must never be taken for more than a warning.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::directory;
use crate::bytes::Bytes;
use crate::error::{Result, Tried as _};
use crate::hex::hexadecimal;

const PLACES: &str = "places";

/// Notes them, below the state directory: a file for each, so that two sessions need no lock.
///
/// # Errors
/// When one cannot be written.
pub(super) fn note(state: &Path, places: &[Bytes]) -> Result<()> {
    let Some(_) = places.first() else { return Ok(()) };
    let notes = state.join(PLACES);
    directory::make_private(&notes)?;
    for place in places {
        let note = notes.join(hexadecimal(&Sha256::digest(&place.0)[..16]));
        if fs::symlink_metadata(&note).is_err() {
            fs::write(&note, &place.0).tried(|| "note what the session may write")?;
        }
    }
    Ok(())
}

/// All of them.
pub fn all(state: &Path) -> Vec<PathBuf> {
    let notes = fs::read_dir(state.join(PLACES)).into_iter().flatten().flatten();
    let place =
        |note: fs::DirEntry| Some(PathBuf::from(OsStr::from_bytes(&fs::read(note.path()).ok()?)));
    notes.filter_map(place).filter(|place| place.is_absolute()).collect()
}
