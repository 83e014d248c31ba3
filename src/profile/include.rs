//! The project's `.worktreeinclude`: which of the files that git ignores a worktree gets a copy of. It is
//! a stranger's text, and what it names are often secrets, so it counts for nothing until the user
//! trusts these very bytes. What it means is git's affair ([`crate::git::worktree::include`]).

use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::command::say;
use super::directory::Directory;
use super::trust::Trust;
use crate::error::{Error, Result};
use crate::hex::hexadecimal;
use crate::host::Host;
use crate::visible::{visible, visible_path};

/// The file's name.
pub const FILE: &str = ".worktreeinclude";

/// The file, read once: what is shown, hashed and used is the same text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// What it says, in the words of gitignore(5).
    pub text: String,
    digest: String,
}

impl Include {
    /// Reads that of this project, if it has one.
    ///
    /// # Errors
    /// When it is no regular file, too large, or no UTF-8.
    pub fn read(project: &Path) -> Result<Option<Self>> {
        let Some(source) = Directory::open(project)?.read(Path::new(FILE))? else {
            return Ok(None);
        };
        let text = source.text().to_owned();
        let digest = hexadecimal(&Sha256::digest(text.as_bytes()));
        Ok(Some(Self { path: project.join(FILE), text, digest }))
    }

    /// Whether it names anything.
    pub fn is_empty(&self) -> bool {
        self.patterns().next().is_none()
    }

    /// Whether the user trusts it as it stands.
    ///
    /// # Errors
    /// When the store of trust cannot be read.
    pub fn is_trusted(&self, host: &Host) -> Result<bool> {
        Ok(Trust::of(host).digest(&self.path)?.as_deref() == Some(&self.digest))
    }

    fn patterns(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
    }
}

/// `claudebox trust`: shows which files it names, asks, and trusts exactly what was shown.
///
/// # Errors
/// When the user says no.
pub fn trust(
    out: &mut dyn Write,
    host: &Host,
    include: &Include,
    confirm: &mut dyn FnMut(&mut dyn Write) -> Result<bool>,
) -> Result<()> {
    let shown = visible_path(&include.path);
    if include.is_trusted(host)? {
        return say(out, &format!("{shown} is trusted as it stands.\n"));
    }
    let mut text =
        format!("{shown} copies into each new worktree what git ignores and these match:\n");
    for line in include.patterns() {
        text += &["  ", &visible(line), "\n"].concat();
    }
    say(out, &text)?;
    if !confirm(out)? {
        return Err(Error::usage(format!("{shown} is not trusted; nothing has changed")));
    }
    Trust::of(host).set(&include.path, &include.digest)?;
    say(out, "Trusted as it stands now; any change takes that back.\n")
}
