//! Where a test runs claudebox: an own home with its XDG directories, an own git project beside
//! it, and a fixed environment. All of it is below one directory, which goes away at the end.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::run::Run;
use super::user::User;

/// The program under test.
const CLAUDEBOX: &str = env!("CARGO_BIN_EXE_claudebox");

/// Home, project, runtime directory and user of a test.
#[derive(Debug)]
pub(crate) struct Place {
    root: TempDir,
    user: User,
    executable: PathBuf,
}

impl Place {
    /// A fresh home and a fresh git project, both of `user`.
    pub(crate) fn new(user: User) -> Self {
        // Not in /tmp: a sandbox has its own there, so that a leak through it would not be seen.
        let root = tempfile::Builder::new().prefix("cb-").tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        user.own(root.path());
        let mut place = Self { root, user, executable: PathBuf::from(CLAUDEBOX) };
        for directory in ["home", "project", "run", "tmp"] {
            place.directory(&place.root.path().join(directory), 0o700);
        }
        place.lead_to_systemd();
        if !reachable(&place.executable) {
            place = place.installed();
        }
        place.git(&["init", "--quiet", "--initial-branch=main"]);
        place
    }

    /// The same with a copy of the program, as `make install` makes one.
    pub(crate) fn installed(mut self) -> Self {
        self.executable = self.root.path().join("claudebox");
        // By another process: a descriptor open for writing here, even for a moment, would be
        // inherited by what another thread starts just then, and a program that is open for
        // writing cannot be executed.
        let copied = Command::new("cp").arg(CLAUDEBOX).arg(&self.executable).status();
        assert!(copied.unwrap().success());
        self
    }

    /// The user.
    pub(crate) fn user(&self) -> User {
        self.user
    }

    /// The directory that holds everything.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// The home directory.
    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// The project directory.
    pub(crate) fn project(&self) -> PathBuf {
        self.root.path().join("project")
    }

    /// claudebox's state directory.
    pub(crate) fn state(&self) -> PathBuf {
        self.home().join(".local/state/claudebox")
    }

    /// The program under test, where the user can execute it.
    pub(crate) fn executable(&self) -> &Path {
        &self.executable
    }

    /// Makes a file of the user, with all directories above it; the path is relative to the home.
    pub(crate) fn home_file(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        self.file(&self.home(), path.as_ref(), content.as_ref())
    }

    /// The same, relative to the project.
    pub(crate) fn project_file(
        &self,
        path: impl AsRef<Path>,
        content: impl AsRef<[u8]>,
    ) -> PathBuf {
        self.file(&self.project(), path.as_ref(), content.as_ref())
    }

    /// A run of claudebox in the project.
    pub(crate) fn claudebox<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Run {
        self.command(&self.executable).args(arguments)
    }

    /// A run of any program in the project, with the same environment and user.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Run {
        Run::new(program, self.user, self.project(), self.environment())
    }

    /// The same as whoever runs the tests, who may do more than the place's user.
    pub(crate) fn command_as_caller(&self, program: impl AsRef<OsStr>) -> Run {
        Run::new(program, User::Caller, self.project(), self.environment())
    }

    /// git in the project, which must succeed; its output.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        self.command("git").args(arguments).run().code(0).stdout
    }

    /// The whole environment of a run. Nothing of the caller's is in it.
    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        let (root, home) = (self.root.path(), self.home());
        let user = if self.user.is_root() { "root" } else { "claudebox-test" };
        [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
            ("HOME", home.clone().into_os_string()),
            ("USER", user.into()),
            ("LOGNAME", user.into()),
            ("SHELL", "/bin/bash".into()),
            ("LANG", "C.UTF-8".into()),
            ("TERM", "xterm-256color".into()),
            ("TMPDIR", root.join("tmp").into_os_string()),
            ("XDG_CONFIG_HOME", home.join(".config").into_os_string()),
            ("XDG_STATE_HOME", home.join(".local/state").into_os_string()),
            ("XDG_CACHE_HOME", home.join(".cache").into_os_string()),
            ("XDG_DATA_HOME", home.join(".local/share").into_os_string()),
            ("XDG_RUNTIME_DIR", root.join("run").into_os_string()),
            ("GIT_AUTHOR_NAME", "Test".into()),
            ("GIT_AUTHOR_EMAIL", "test@example.invalid".into()),
            ("GIT_COMMITTER_NAME", "Test".into()),
            ("GIT_COMMITTER_EMAIL", "test@example.invalid".into()),
        ]
        .map(|(name, value): (&str, OsString)| (OsString::from(name), value))
        .to_vec()
    }

    /// Text with this place's paths replaced by `[HOME]`, `[PROJECT]` and `[ROOT]`.
    pub(crate) fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (path, name) in [
            (self.home(), "[HOME]"),
            (self.project(), "[PROJECT]"),
            (self.root.path().to_owned(), "[ROOT]"),
        ] {
            text = text.replace(path.to_str().unwrap(), name);
        }
        text
    }

    /// The runtime directory is the place's own, and leads to the user's systemd, where there is one: with it
    /// a session has the limits that it has in a login.
    fn lead_to_systemd(&self) {
        let uid = fs::metadata(self.home()).unwrap().uid();
        let login = PathBuf::from(format!("/run/user/{uid}"));
        for name in ["systemd", "bus"] {
            if login.join("systemd/private").exists() && login.join("bus").exists() {
                symlink(login.join(name), self.root.path().join("run").join(name)).unwrap();
            }
        }
    }

    fn directory(&self, path: &Path, mode: u32) {
        fs::create_dir(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        self.user.own(path);
    }

    fn file(&self, base: &Path, path: &Path, content: &[u8]) -> PathBuf {
        let mut directory = base.to_owned();
        for part in path.parent().unwrap_or(Path::new("")) {
            directory.push(part);
            if !directory.exists() {
                self.directory(&directory, 0o755);
            }
        }
        let file = base.join(path);
        fs::write(&file, content).unwrap();
        self.user.own(&file);
        file
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("CLAUDEBOX_TEST_KEEP").is_some() {
            self.root.disable_cleanup(true);
        }
    }
}

/// Whether everyone can get at a file (the checkout may be in a closed home such as /root).
fn reachable(path: &Path) -> bool {
    path.ancestors().skip(1).all(|directory| {
        fs::metadata(directory).is_ok_and(|facts| facts.permissions().mode() & 0o001 != 0)
    })
}
