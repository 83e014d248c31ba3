//! A value in a JSON file of claudebox's own. A reader sees all of it or nothing: it is written
//! beside and renamed. It must never be used for a file in a directory that an agent can write.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

/// Writes it, mode 0600.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    Prepared::new(path)?.write(value)
}

/// A file that is made and not yet in its place: to make one takes the longest.
#[derive(Debug)]
pub(crate) struct Prepared {
    file: NamedTempFile,
    path: PathBuf,
}

impl Prepared {
    /// Makes it, beside its place.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        let file = NamedTempFile::new_in(path.parent().unwrap_or(Path::new("/")))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Writes it and puts it there.
    pub(crate) fn write(mut self, value: &impl Serialize) -> io::Result<()> {
        self.file.write_all(&line(value)?)?;
        self.file.persist(&self.path)?;
        Ok(())
    }
}

/// Writes it so that a power cut, too, leaves all of it or nothing (fsync(2)).
pub(crate) fn write_synced(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut prepared = Prepared::new(path)?;
    prepared.file.write_all(&line(value)?)?;
    prepared.file.as_file().sync_all()?;
    prepared.file.persist(path)?;
    Ok(())
}

/// The value as such a file holds it.
pub(crate) fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    Ok(text)
}

/// Reads what [`write()`] wrote; `None` where there is nothing or it cannot be understood.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// The same; `None` only where there is nothing.
///
/// # Errors
/// When it cannot be read or understood.
pub(crate) fn read_if_there<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(err),
    }
}
