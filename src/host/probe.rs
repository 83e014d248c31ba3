//! Looks at the machine and the caller: one pass at start, no process spawned; and, for who makes a plan,
//! the first `bwrap --help`. It must never create or change anything but its own cache.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Cgroups, Host, bwrap};
use crate::dirs::Dirs;
use crate::error::{Error, Result, Tried as _};
use crate::visible::visible_path;

impl Host {
    /// Probes this machine for the caller of this process, bwrap included.
    ///
    /// # Errors
    /// As of [`Self::probe_for`] and [`Self::find_bwrap`].
    pub fn probe() -> Result<Self> {
        let mut host = Self::probe_for(None)?;
        host.find_bwrap()?;
        Ok(host)
    }

    /// All but bwrap, for a project that the command line may name. No program is executed: an agent may
    /// have put one on `PATH`, and this runs with every pane and every command.
    ///
    /// # Errors
    /// When there is no home directory, no current directory, or `$XDG_RUNTIME_DIR/claudebox` is
    /// another's.
    pub fn probe_for(project: Option<&Path>) -> Result<Self> {
        let environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        let uid = rustix::process::geteuid().as_raw();
        let home = home(&environment, uid)?;
        let dirs = Dirs::of(&environment, &home, uid)?;
        let cwd = std::env::current_dir().map_err(|err| {
            Error::launcher(format!("cannot find the current directory: {err}"))
                .hint("change to a directory that exists, then start claudebox again")
        })?;
        Ok(Self {
            uid,
            user: user(&environment, uid),
            gid: rustix::process::getegid().as_raw(),
            executable: std::env::current_exe().tried(|| "find claudebox's own program")?,
            named: project.map(Path::to_owned),
            bwrap: None,
            landlock_abi: crate::sys::landlock::abi(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            name: OsStr::from_bytes(rustix::system::uname().nodename().to_bytes()).to_owned(),
            memory: memory(),
            cgroups: Cgroups::probe(uid, private_runtime(&environment, uid).as_deref()),
            terminal: terminal(),
            home,
            cwd: logical_cwd(&environment).unwrap_or(cwd),
            dirs,
            environment,
        })
    }

    /// Looks for bwrap, which whoever makes a plan needs.
    ///
    /// # Errors
    /// When a bwrap is there and does not answer `--help`.
    pub fn find_bwrap(&mut self) -> Result<()> {
        self.bwrap = bwrap::find(self)?;
        Ok(())
    }

    /// The current directory, canonical where it still exists.
    pub fn here(&self) -> PathBuf {
        self.cwd.canonicalize().unwrap_or_else(|_| self.cwd.clone())
    }
}

/// `$USER`, `$LOGNAME`, or where both are unset the name in the user database.
fn user(environment: &BTreeMap<OsString, OsString>, uid: u32) -> OsString {
    let named = ["USER", "LOGNAME"].into_iter().find_map(|name| environment.get(OsStr::new(name)));
    named.filter(|name| !name.is_empty()).cloned().unwrap_or_else(|| {
        match nix::unistd::User::from_uid(uid.into()) {
            Ok(Some(user)) => user.name.into(),
            _ => uid.to_string().into(),
        }
    })
}

/// `$HOME`, or where it is unset the home of the user database.
fn home(environment: &BTreeMap<OsString, OsString>, uid: u32) -> Result<PathBuf> {
    let home = match absolute(environment, "HOME") {
        Some(home) => home,
        None => nix::unistd::User::from_uid(uid.into())
            .tried(|| "look up the user")?
            .map(|user| user.dir)
            .ok_or_else(|| {
                Error::launcher(format!("HOME is not set, and user {uid} is not in /etc/passwd"))
                    .hint("set HOME to a directory of yours")
            })?,
    };
    Ok(fs::canonicalize(&home).unwrap_or(home))
}

/// `$PWD`, if it is another name of the current directory (what pwd(1) prints).
fn logical_cwd(environment: &BTreeMap<OsString, OsString>) -> Option<PathBuf> {
    let logical = absolute(environment, "PWD")?;
    let same = |a: &fs::Metadata, b: &fs::Metadata| a.dev() == b.dev() && a.ino() == b.ino();
    same(&fs::metadata(&logical).ok()?, &fs::metadata(".").ok()?).then_some(logical)
}

/// The size of the terminal on standard input. A line that does not know its size (a serial console,
/// `script`) says 0, and is taken for what a terminal always was.
fn terminal() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(std::io::stdin()).ok()?;
    let known = |size: u16, otherwise| if size == 0 { otherwise } else { size };
    Some((known(size.ws_col, 80), known(size.ws_row, 24)))
}

/// The variable, if it is set and absolute: the XDG base directory specification says to ignore
/// a relative value.
fn absolute(environment: &BTreeMap<OsString, OsString>, name: &str) -> Option<PathBuf> {
    let value = environment.get(OsStr::new(name)).map(PathBuf::from)?;
    value.is_absolute().then_some(value)
}

impl Dirs {
    /// The directories of this caller. Nothing is created.
    fn of(environment: &BTreeMap<OsString, OsString>, home: &Path, uid: u32) -> Result<Self> {
        let base = |name, default| {
            real(
                absolute(environment, name).unwrap_or_else(|| home.join(default)).join("claudebox"),
            )
        };
        let state = base("XDG_STATE_HOME", ".local/state");
        let runtime = match private_runtime(environment, uid) {
            Some(dir) => {
                let runtime = dir.join("claudebox");
                check_free_or_private(&runtime, uid)?;
                real(runtime)
            }
            None => state.join("run"),
        };
        Ok(Self {
            config: base("XDG_CONFIG_HOME", ".config"),
            cache: base("XDG_CACHE_HOME", ".cache"),
            state,
            runtime,
        })
    }
}

/// The path with every link on the way followed, as far as it exists: what is shared is compared with
/// claudebox's own directories, and must not reach them by another name.
fn real(path: PathBuf) -> PathBuf {
    let existing = path.ancestors().find_map(|dir| Some((fs::canonicalize(dir).ok()?, dir)));
    match existing {
        Some((real, dir)) if dir != path => {
            path.strip_prefix(dir).map_or_else(|_| path.clone(), |rest| real.join(rest))
        }
        Some((real, _)) => real,
        None => path,
    }
}

/// `$XDG_RUNTIME_DIR`, where it is this user's and nobody else's.
fn private_runtime(environment: &BTreeMap<OsString, OsString>, uid: u32) -> Option<PathBuf> {
    absolute(environment, "XDG_RUNTIME_DIR").filter(|dir| is_private(dir, uid))
}

/// The machine's memory, bytes (sysinfo(2)).
fn memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(info.mem_unit.into())
}

/// A directory that is ours and nobody else's to enter, and no symbolic link.
fn is_private(dir: &Path, uid: u32) -> bool {
    let others = |found: &fs::Metadata| found.mode().trailing_zeros() < 6;
    fs::symlink_metadata(dir)
        .is_ok_and(|found| found.is_dir() && found.uid() == uid && !others(&found))
}

/// Refuses a runtime directory that another put there, or can enter (CVE-2026-46406 is a socket
/// in a directory of a predictable name).
fn check_free_or_private(dir: &Path, uid: u32) -> Result<()> {
    if fs::symlink_metadata(dir).is_err() || is_private(dir, uid) {
        return Ok(());
    }
    let shown = visible_path(dir);
    Err(Error::launcher(format!("{shown} is not a directory that only you can enter"))
        .hint(format!("look who made it (`ls -ld {shown}`), then remove it")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn environment(pairs: &[(&str, &Path)]) -> BTreeMap<OsString, OsString> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn relative_base_directories_are_ignored() {
        let env = environment(&[("XDG_CONFIG_HOME", Path::new("conf"))]);
        let dirs = Dirs::of(&env, Path::new("/home/u"), 0).unwrap();
        assert_eq!(dirs.config, Path::new("/home/u/.config/claudebox"));
        assert_eq!(dirs.runtime, Path::new("/home/u/.local/state/claudebox/run"));
    }

    #[test]
    fn a_state_directory_has_one_name() {
        let tmp = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(tmp.path()).unwrap();
        fs::create_dir_all(root.join("data/state")).unwrap();
        symlink("data/state", root.join("link")).unwrap();
        for name in ["link", "data/../link", "data/state/../state"] {
            let env = environment(&[("XDG_STATE_HOME", &root.join(name))]);
            let dirs = Dirs::of(&env, Path::new("/h"), 0).unwrap();
            assert_eq!(dirs.state, root.join("data/state/claudebox"));
            assert!(dirs.overlapping(&root.join("data")).is_some());
        }
    }

    #[test]
    fn a_runtime_directory_is_used_only_if_it_is_ours_alone() {
        let tmp = tempfile::tempdir().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let env = environment(&[("XDG_RUNTIME_DIR", tmp.path())]);
        let mode = |mode| {
            fs::set_permissions(tmp.path(), fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(0o700);
        let own = tmp.path().join("claudebox");
        assert_eq!(Dirs::of(&env, Path::new("/h"), uid).unwrap().runtime, own);
        let fallback = Path::new("/h/.local/state/claudebox/run");
        assert_eq!(Dirs::of(&env, Path::new("/h"), uid + 1).unwrap().runtime, fallback);
        mode(0o750);
        assert_eq!(Dirs::of(&env, Path::new("/h"), uid).unwrap().runtime, fallback);
        mode(0o700);
        symlink("/tmp", &own).unwrap();
        assert!(Dirs::of(&env, Path::new("/h"), uid).is_err());
    }

    #[test]
    fn this_machine_can_be_probed() {
        let host = Host::probe().unwrap();
        assert!(host.home.is_absolute() && host.cwd.is_absolute());
        assert!(!host.kernel.is_empty());
    }
}
