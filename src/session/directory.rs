//! Directories that only their owner may enter, and nothing may be planted in. It must never
//! follow a symbolic link or take over what another user made.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

use crate::error::{Error, Result, Tried as _};
use crate::visible::visible_path;

/// Makes a directory (mode 0700, with its parents) unless it is there, and checks that it belongs
/// to this user and is closed to all others.
pub fn make_private(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .tried(|| format!("make the directory {}", visible_path(path)))?;
    check_private(path)
}

/// Makes a directory that must not be there yet; `false` if it is.
pub fn make_new(path: &Path) -> Result<bool> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(err) => Err(err).tried(|| format!("make the directory {}", visible_path(path))),
    }
}

fn check_private(path: &Path) -> Result<()> {
    let name = visible_path(path);
    let found = path.symlink_metadata().tried(|| format!("look at {name}"))?;
    if !found.is_dir() {
        return Err(Error::launcher(format!("{name} is not a directory"))
            .hint("move it away; claudebox makes the directory itself"));
    }
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        let owner = found.uid();
        return Err(Error::launcher(format!(
            "the directory {name} belongs to user {owner}, and this is user {user}"
        ))
        .hint("check XDG_STATE_HOME, XDG_RUNTIME_DIR and HOME: they should be this user's"));
    }
    if found.mode() & 0o077 != 0 {
        return Err(Error::launcher(format!("other users may enter the directory {name}"))
            .hint(format!("run: chmod 700 {name}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn a_directory_open_to_others_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        make_private(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(make_private(&path).unwrap_err().to_string().contains("other users"));
    }

    #[test]
    fn a_link_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let (target, link) = (root.path().join("target"), root.path().join("link"));
        make_private(&target).unwrap();
        symlink(&target, &link).unwrap();
        assert!(make_private(&link).unwrap_err().to_string().contains("not a directory"));
    }
}
