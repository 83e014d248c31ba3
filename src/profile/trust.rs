//! Which project profiles the user trusts: one file for each, in claudebox's own state directory,
//! where no sandbox can write. Trust is in bytes, not in a path: any change takes it back.

use std::fs::DirBuilder;
use std::io::Write;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::command::say;
use super::library::{self, Library};
use super::project::{FILE, Own};
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::hex::hexadecimal;
use crate::host::Host;
use crate::json_file;
use crate::visible::{visible, visible_path};

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
    /// [`Own::digest`]
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

/// `claudebox trust [FILE]`: shows what the project's profile sets beyond what a stranger may, asks,
/// and trusts exactly the text that was shown. `confirm` answers the question; where nobody can be
/// asked it is for the caller to say so.
pub fn command(
    out: &mut dyn Write,
    host: &Host,
    file: Option<&Path>,
    project: &Path,
    confirm: &mut dyn FnMut(&mut dyn Write) -> Result<bool>,
) -> Result<()> {
    let project = match file {
        Some(file) => project_of(host, file)?,
        None => project.to_owned(),
    };
    let Some(own) = Own::read(&Library::of(host), &project)? else {
        let path = visible_path(&project.join(FILE));
        return Err(Error::usage(format!("there is no {path} to trust")));
    };
    let trust = Trust::of(host);
    let shown = visible_path(&own.path);
    if trust.digest(&own.path)?.as_deref() == Some(own.digest.as_str()) {
        return say(out, &format!("{shown} is trusted as it stands.\n"));
    }
    if own.beyond().is_empty() {
        return say(out, &format!("{shown} only hides, denies and lowers; it needs no trust.\n"));
    }
    say(out, &describe(&own))?;
    if !confirm(out)? {
        return Err(Error::usage(format!("{shown} is not trusted; nothing has changed")));
    }
    trust.set(&own.path, &own.digest)?;
    say(out, "Trusted as it stands now; any change takes that back.\n")
}

/// What the user is asked to trust.
fn describe(own: &Own) -> String {
    use std::fmt::Write as _;
    let mut text =
        format!("{} sets, beyond what an untrusted profile may:\n", visible_path(&own.path));
    for (source, said) in own.beyond() {
        let line = source.origin(&said.span).line;
        let (key, value) = (visible(&said.key), visible(&said.value));
        let _ = writeln!(text, "  {key} = {value}   ({}:{line})", source.name);
    }
    text
}

/// The project that a profile named on the command line belongs to.
fn project_of(host: &Host, file: &Path) -> Result<PathBuf> {
    let shown = visible_path(file);
    if file.file_name().is_none_or(|name| name != FILE) {
        return Err(Error::usage(format!("{shown} is not a project's own profile"))
            .hint(format!("only `{FILE}` in a project's directory needs trust")));
    }
    let parent = host.cwd.join(file).parent().map(Path::to_owned).unwrap_or_default();
    parent.canonicalize().map_err(|err| Error::usage(format!("cannot find {shown}: {err}")))
}
