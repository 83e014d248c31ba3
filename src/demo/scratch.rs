//! The demo's scratch project: a small git repository in a fresh directory outside home and /tmp,
//! and a fake key in the home for the demo to fail to read. Made outside by the front end, which
//! also looks afterwards whether anything got out; all of it goes away at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::error::{Error, Result, Tried as _};
use crate::host::Host;
use crate::proc_stat::start_time;
use crate::visible::visible_path;

/// Where the task stands in the project, for [`super::act`].
const TASK: &str = "task.json";

/// Somebody's on the internet, and in no profile's rules.
const HOST: &str = "example.com";

/// What the demo needs to know to try what it should not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Task {
    /// The fake key.
    pub(super) secret_path: PathBuf,
    /// What is in it.
    pub(super) secret_text: String,
    /// A file in /etc that does not exist.
    pub(super) etc_path: PathBuf,
    /// The start time of the claudebox outside, in clock ticks since boot.
    pub(super) start_ticks: u64,
    /// A host that nothing allows.
    pub(super) host: String,
}

impl Task {
    /// Reads the task in the current directory.
    pub(super) fn read() -> Result<Self> {
        let no_task = || {
            Error::usage("this is not the demo's scratch project")
                .hint("the demo is started with `claudebox run demo`")
        };
        let text = fs::read(TASK).map_err(|_| no_task())?;
        serde_json::from_slice(&text).map_err(|_| no_task())
    }
}

/// The scratch project and the fake key; both are removed when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    /// Holds the project, and must hold nothing else at the end.
    outer: TempDir,
    /// Holds the fake key; there for its end only.
    secret: TempDir,
    task: Task,
}

/// Makes the scratch project, as the caller, before the session starts.
///
/// The project lies in /var/tmp: /tmp is private inside, and a file written beside a project there
/// would look like an escape without being one.
pub fn prepare(host: &Host) -> Result<Scratch> {
    let outer = tempfile::Builder::new()
        .prefix("claudebox-demo-")
        .tempdir_in("/var/tmp")
        .tried(|| "make the demo's directory in /var/tmp")?;
    let home = &host.home;
    let secret = tempfile::Builder::new()
        .prefix(".claudebox-demo-")
        .tempdir_in(home)
        .tried(|| format!("make the demo's fake key in {}", visible_path(home)))?;
    let name = outer.path().file_name().unwrap_or_default().to_owned();
    let secret_path = secret.path().join("id_ed25519");
    let secret_text = format!("FAKE KEY of the claudebox demo, {}", visible_path(Path::new(&name)));
    write(&secret_path, &secret_text)?;
    let etc_path = Path::new("/etc").join(&name);
    let task = Task {
        secret_path,
        secret_text,
        etc_path,
        start_ticks: own_start_ticks()?,
        host: HOST.to_owned(),
    };

    let scratch = Scratch { outer, secret, task };
    let project = scratch.project();
    fs::create_dir(&project).tried(|| format!("make {}", visible_path(&project)))?;
    write(&project.join("hello.txt"), "a few words to count\n")?;
    let task = serde_json::to_string_pretty(&scratch.task).tried(|| "write the demo's task")?;
    write(&project.join(TASK), &task)?;
    init_git(&project, host)?;
    Ok(scratch)
}

impl Scratch {
    /// The project directory.
    pub fn project(&self) -> PathBuf {
        self.outer.path().join("project")
    }

    /// What got out, judged from outside after the session; nothing, if the sandbox held.
    pub fn escaped(&self) -> Vec<PathBuf> {
        let project = self.project();
        let beside = fs::read_dir(self.outer.path()).into_iter().flatten().flatten();
        let mut escaped: Vec<PathBuf> =
            beside.map(|entry| entry.path()).filter(|path| *path != project).collect();
        let hook = project.join(".git/hooks/pre-commit");
        escaped.extend([self.task.etc_path.clone(), hook].into_iter().filter(|path| path.exists()));
        let secret = fs::read_to_string(&self.task.secret_path).unwrap_or_default();
        if secret != self.task.secret_text {
            escaped.push(self.task.secret_path.clone());
        }
        escaped
    }

    /// Leaves everything where it is: a session that was only detached still works in it.
    pub fn keep(mut self) {
        self.outer.disable_cleanup(true);
        self.secret.disable_cleanup(true);
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).tried(|| format!("write {}", visible_path(path)))
}

/// An empty repository without templates, so that no hook of the caller's is in it.
fn init_git(project: &Path, host: &Host) -> Result<()> {
    let missing =
        || Error::launcher("cannot find git").hint("the demo needs git; install it and try again");
    let git = host.program("git", None).ok_or_else(missing)?;
    let output = Command::new(git)
        .args(["init", "--quiet", "--template=", "--initial-branch=main"])
        .arg(project)
        .env_remove("GIT_DIR")
        .stdin(Stdio::null())
        .output()
        .tried(|| "execute git")?;
    if !output.status.success() {
        let said = crate::visible::visible(output.stderr.trim_ascii());
        return Err(Error::launcher(format!("git init failed: {said}")));
    }
    let hooks = project.join(".git/hooks");
    fs::create_dir(&hooks).tried(|| format!("make {}", visible_path(&hooks)))
}

fn own_start_ticks() -> Result<u64> {
    let stat = fs::read("/proc/self/stat").tried(|| "read /proc/self/stat")?;
    start_time(&stat).ok_or_else(|| Error::launcher("cannot understand /proc/self/stat"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (TempDir, Scratch) {
        let home = tempfile::tempdir().unwrap();
        let host = Host { home: home.path().to_owned(), ..Host::probe_for(None).unwrap() };
        let scratch = prepare(&host).unwrap();
        (home, scratch)
    }

    #[test]
    fn nothing_has_escaped_from_a_fresh_scratch_project() {
        let (_home, scratch) = scratch();
        assert_eq!(scratch.escaped(), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_escapes_is_seen() {
        let (_home, scratch) = scratch();
        let beside = scratch.project().join("../left-behind");
        fs::write(&beside, "").unwrap();
        fs::write(&scratch.task.secret_path, "changed").unwrap();
        assert_eq!(scratch.escaped().len(), 2);
    }

    #[test]
    fn nothing_is_left_behind() {
        let (home, scratch) = scratch();
        let project = scratch.project();
        assert!(project.join(TASK).exists());
        drop(scratch);
        assert!(!project.exists());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
