//! Removes what a session that is over left in claudebox's own directories. It must never remove one that
//! runs, nor follow a link: its git directory was written by an agent.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Session, lock};
use crate::error::{Error, Result, Tried as _};
use crate::visible::visible_path;

/// How a directory is called that is being removed, before the session's id, or its own name. That is no id: nobody takes
/// one that a killed removal left for a session.
pub const BEGUN: &str = ".removing-";

impl Session {
    /// Removes it.
    ///
    /// # Errors
    /// When it runs, or cannot be removed.
    pub fn remove(&self) -> Result<()> {
        let shown = || format!("remove session {}", self.id);
        let lock = lock::try_take(&self.lock_path()).tried(shown)?;
        if lock.is_none() {
            return Err(Error::usage(format!("session {} still runs", self.id)));
        }
        let begun = self.directory.with_file_name(format!("{BEGUN}{}", self.id));
        fs::rename(&self.directory, &begun).tried(shown)?;
        // Nothing is pending of what is not there.
        let _ = fs::remove_file(self.pending_path());
        self.remove_runtime();
        tree(&begun).tried(|| format!("remove {}", visible_path(&begun)))
    }
}

/// Removes what killed removals left below the directory of all sessions.
pub fn remove_begun(sessions: &Path) {
    let entries = fs::read_dir(sessions).into_iter().flatten().flatten();
    let begun =
        entries.filter(|it| it.file_name().as_encoded_bytes().starts_with(BEGUN.as_bytes()));
    for entry in begun {
        let _ = tree(&entry.path());
    }
}

/// A directory with all that is in it, also where an agent closed one.
pub(super) fn tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(err) if err.kind() == io::ErrorKind::PermissionDenied => {
            open(path)?;
            fs::remove_dir_all(path)
        }
        other => other,
    }
}

fn open(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // A link is none.
        if entry.file_type()?.is_dir() {
            open(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::session::Sessions;
    use crate::session::tests::{dirs, draft};

    #[test]
    fn one_that_runs_stays_and_one_that_is_over_goes() {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let sessions = Sessions::new(&dirs);
        let (session, locks) = sessions.create(draft("/p")).unwrap();
        assert!(session.remove().unwrap_err().to_string().contains("still runs"));
        drop(locks);

        let outside = root.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("x"), "").unwrap();
        let closed = session.directory.join("git/a/b");
        fs::create_dir_all(&closed).unwrap();
        symlink(&outside, closed.join("link")).unwrap();
        fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
        session.remove().unwrap();
        assert!(sessions.all().is_empty() && sessions.without_record().is_empty());
        assert!(!session.directory.exists() && outside.join("x").exists());
    }

    #[test]
    fn what_a_killed_removal_left_goes_later() {
        let root = tempfile::tempdir().unwrap();
        let left = root.path().join(format!("{BEGUN}abcdefgh"));
        fs::create_dir_all(left.join("git")).unwrap();
        fs::create_dir(root.path().join("abcdefgh")).unwrap();
        remove_begun(root.path());
        assert!(!left.exists() && root.path().join("abcdefgh").exists());
    }
}
