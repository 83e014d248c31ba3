//! Which project profiles the user trusts: one file for each, in claudebox's own state directory,
//! where no sandbox can write. Trust is in bytes, not in a path: any change takes it back.

use std::fs::DirBuilder;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::library;
use crate::bytes::Bytes;
use crate::error::{Result, Tried as _};
use crate::hex::hexadecimal;
use crate::host::Host;
use crate::json_file;
use crate::visible::visible_path;

/// The store of trust.
#[derive(Clone, Debug)]
pub struct Trust {
    dir: PathBuf,
}

/// What a file of the store says.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// The profile, absolute; for the eye, and against a collision of names.
    path: Bytes,
    /// [`super::project::Own::digest`]
    sha256: String,
}

impl Trust {
    /// The store of this user.
    pub fn of(host: &Host) -> Self {
        Self { dir: host.dirs.state.join("trust") }
    }

    /// The digest that the user trusts for this profile, if any.
    pub fn digest(&self, path: &Path) -> Result<Option<String>> {
        let file = self.file(path);
        let Some(bytes) = library::read(&file)? else { return Ok(None) };
        let entry: Entry = serde_json::from_slice(&bytes)
            .tried(|| format!("understand {}", visible_path(&file)))
            .map_err(|err| err.hint("remove that file and trust the project again"))?;
        Ok((entry.path.as_path() == path).then_some(entry.sha256))
    }

    /// Trusts a profile with this digest, and no other version of it.
    pub fn set(&self, path: &Path, digest: &str) -> Result<()> {
        let tried = || format!("remember that {} is trusted", visible_path(path));
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).tried(tried)?;
        let entry = Entry { path: path.into(), sha256: digest.to_owned() };
        json_file::write_synced(&self.file(path), &entry).tried(tried)
    }

    fn file(&self, path: &Path) -> PathBuf {
        let name = hexadecimal(&Sha256::digest(path.as_os_str().as_bytes()));
        self.dir.join(format!("{name}.json"))
    }
}
