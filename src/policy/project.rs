//! Which directory is the project: the one place an agent may write. It must never settle on a
//! directory that another user controls, or that holds more than a project.
#![forbid(unsafe_code)]

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::links::{Trust, planted};
use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::host::{Facts, FileKind, Host};
use crate::visible::{visible, visible_path};

/// The project of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// The directory, canonical.
    pub root: PathBuf,
    /// The starting directory, relative to `root`; empty for `root` itself.
    pub start: PathBuf,
    /// What git has there.
    pub git: GitEntry,
}

/// The `.git` of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitEntry {
    /// There is none.
    Absent,
    /// A repository of its own.
    Directory,
    /// A file that points to a repository elsewhere (gitrepository-layout(5)): a linked worktree
    /// or a submodule.
    Pointer {
        /// The git directory it names, as written.
        target: Bytes,
    },
}

impl Project {
    /// The directory that the agent starts in, absolute.
    pub fn start_directory(&self) -> PathBuf {
        // `join("")` would leave a slash at the end.
        if self.start.as_os_str().is_empty() {
            self.root.clone()
        } else {
            self.root.join(&self.start)
        }
    }
}

/// What to do where no project is, for a command that has the option.
const NAME_IT: &str = "name the directory that the agent may write: --project DIR";
/// The same, for one that has not.
const GO_THERE: &str = "go to the project: cd DIR";

/// Settles the project: `argument` (`--project`), or else the git root around the current
/// directory.
///
/// # Errors
/// Usage errors: no project there, not the caller's own, or a directory that is no project.
pub fn find(argument: Option<&Path>, host: &Host, facts: &dyn Facts) -> Result<Project> {
    let cwd = current(host, facts)?;
    let root = match argument {
        Some(dir) => Some(named(dir, &cwd, host, facts)?),
        None => git_root(&cwd, facts),
    };
    let Some(root) = root else {
        refuse_what_is_no_project(&cwd, host, NAME_IT)?;
        return Err(outside_git(&cwd)
            .hint(format!("{NAME_IT} (here: --project .)"))
            .hint("or make it a repository: git init"));
    };
    at(root, &cwd, host, facts, NAME_IT)
}

/// The project around the current directory, for a command that takes no other.
///
/// # Errors
/// As of [`find`].
pub fn find_here(host: &Host, facts: &dyn Facts) -> Result<Project> {
    let cwd = current(host, facts)?;
    let root = git_root(&cwd, facts).ok_or_else(|| outside_git(&cwd).hint(GO_THERE))?;
    at(root, &cwd, host, facts, GO_THERE)
}

fn current(host: &Host, facts: &dyn Facts) -> Result<PathBuf> {
    if let Some(link) = planted(&host.cwd, Trust::Within, host, facts) {
        return Err(Error::usage(format!(
            "the way to the current directory is {}, a link that leads out of its repository or project",
            visible_path(&link)
        ))
        .hint("an agent could have made it; if where it leads is meant: cd \"$(pwd -P)\""));
    }
    facts.canonicalize(&host.cwd).ok_or_else(|| {
        Error::launcher(format!("cannot find the current directory {}", visible_path(&host.cwd)))
    })
}

/// The project with this root. `way`: what to do where it is none.
fn at(root: PathBuf, cwd: &Path, host: &Host, facts: &dyn Facts, way: &str) -> Result<Project> {
    refuse_what_is_no_project(&root, host, way)?;
    let git = git_entry(&root, facts);
    check_owner(&root, host, facts)?;
    if git != GitEntry::Absent {
        check_owner(&root.join(".git"), host, facts)?;
    }
    let start = cwd.strip_prefix(&root).unwrap_or(Path::new("")).to_owned();
    Ok(Project { root, start, git })
}

/// `--project DIR`
fn named(dir: &Path, cwd: &Path, host: &Host, facts: &dyn Facts) -> Result<PathBuf> {
    let path = cwd.join(dir);
    let shown = visible_path(&path);
    if let Some(link) = planted(&path, Trust::None, host, facts) {
        return Err(Error::usage(format!(
            "--project: {} is a link in a repository or project, and is not followed",
            visible_path(&link)
        ))
        .hint("an agent could have made it; name what it leads to, if that is meant"));
    }
    let root = facts
        .canonicalize(&path)
        .ok_or_else(|| Error::usage(format!("--project: {shown} does not exist")))?;
    match facts.lstat(&root).map(|found| found.kind) {
        Some(FileKind::Directory) => Ok(root),
        _ => Err(Error::usage(format!("--project: {shown} is not a directory"))),
    }
}

/// The error for a directory that is in no repository.
pub fn outside_git(directory: &Path) -> Error {
    Error::usage(format!("{} is not inside a git repository", visible_path(directory)))
}

/// The nearest directory at or above `cwd` that git takes for a work tree.
pub(super) fn git_root(cwd: &Path, facts: &dyn Facts) -> Option<PathBuf> {
    cwd.ancestors().find(|dir| git_entry(dir, facts) != GitEntry::Absent).map(Path::to_owned)
}

/// What git sees in `dir`: a `.git` directory without a `HEAD` is none, as for git itself.
pub(super) fn git_entry(dir: &Path, facts: &dyn Facts) -> GitEntry {
    let git = dir.join(".git");
    match facts.lstat(&git).map(|found| found.kind) {
        Some(FileKind::Directory) if facts.lstat(&git.join("HEAD")).is_some() => {
            GitEntry::Directory
        }
        Some(FileKind::Symlink) => {
            GitEntry::Pointer { target: facts.read_link(&git).unwrap_or_default().into() }
        }
        Some(FileKind::File) => {
            let text = facts.read_head(&git, 4096).unwrap_or_default();
            let target = text.strip_prefix(b"gitdir:").unwrap_or_default().trim_ascii();
            GitEntry::Pointer { target: target.into() }
        }
        _ => GitEntry::Absent,
    }
}

/// The error for a project whose git directory is elsewhere.
pub fn pointer_refused(root: &Path, target: &Bytes) -> Error {
    let shown = visible_path(root);
    let at = visible(target);
    let main = main_worktree(&root.join(target.as_path()));
    let (kind, way) = match main {
        Some(main) if target.0.windows(11).any(|part| part == b"/worktrees/") => (
            "a linked worktree",
            format!("start in the main worktree: --project {}", visible_path(&main)),
        ),
        Some(main) => (
            "a submodule",
            format!("start in the repository around it: --project {}", visible_path(&main)),
        ),
        None => ("not the home of its own repository", "start in the repository itself".to_owned()),
    };
    Error::usage(format!("{shown} is {kind}: its git directory is {at}"))
        .hint(way)
        .hint("or go without git inside: a profile with `git = \"none\"`")
}

/// `/x/main` of `/x/main/.git/worktrees/w` or `/x/main/.git/modules/m`.
fn main_worktree(target: &Path) -> Option<PathBuf> {
    let git = target.ancestors().find(|dir| dir.file_name().is_some_and(|name| name == ".git"))?;
    Some(git.parent()?.to_owned())
}

/// git's own rule (`safe.directory`, CVE-2022-24765): what another user owns is not trusted, as
/// its `.git/config` names programs to run. Root, too, is no friend of another's directory.
fn check_owner(path: &Path, host: &Host, facts: &dyn Facts) -> Result<()> {
    let shown = visible_path(path);
    let Some(found) = facts.lstat(path) else {
        return Err(Error::launcher(format!("cannot look at {shown}")));
    };
    if found.uid == host.uid {
        return Ok(());
    }
    let error = Error::usage(format!(
        "{shown} belongs to user {}, and claudebox runs as user {}",
        found.uid, host.uid
    ));
    Err(if host.uid == 0 {
        error.hint("start claudebox as the owner, without sudo")
    } else {
        error
            .hint(format!("take it over (`chown -R {} DIR`), or work on a copy of yours", host.uid))
    })
}

/// Where programs keep keys, tokens and what they start by themselves, in a home.
const SECRETS: [&str; 12] = [
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".password-store",
    ".mozilla",
    ".config/gcloud",
    ".config/gh",
    ".config/autostart",
    ".config/systemd",
];

/// System directories that are never a project, with everything below.
const SYSTEM_TREES: [&str; 12] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/nix",
    "/proc",
    "/run/claudebox",
    "/sbin",
    "/sys",
    "/usr",
];

/// Directories that hold more than a project, though a project can be below them.
const SHARED_DIRECTORIES: [&str; 12] = [
    "/",
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/run/user",
    "/srv",
    "/tmp",
    "/var",
    "/var/tmp",
];

fn refuse_what_is_no_project(root: &Path, host: &Host, way: &str) -> Result<()> {
    let shown = visible_path(root);
    let refuse =
        |why: &str| Err(Error::usage(format!("{shown} cannot be the project: {why}")).hint(way));
    if host.home == root && root != Path::new("/") {
        return refuse("it is your home, with keys and tokens in it");
    }
    if host.home.starts_with(root) {
        return refuse("your home is below it");
    }
    if SECRETS.iter().any(|name| root.starts_with(host.home.join(name))) {
        return refuse("keys and tokens are kept there");
    }
    if SYSTEM_TREES.iter().any(|tree| root.starts_with(tree))
        || SHARED_DIRECTORIES.iter().any(|dir| root == Path::new(dir))
    {
        return refuse("it is a directory of the system");
    }
    if let Some(own) = host.dirs.overlapping(root) {
        return refuse(&format!("claudebox keeps its own files in {}", visible_path(own)));
    }
    if root.as_os_str().as_bytes().len() > 3800 {
        return refuse("its path is too long");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dirs::Dirs;
    use crate::error::Kind;
    use crate::host::fake::FakeDisk;

    fn host(cwd: &str) -> Host {
        Host {
            uid: 1000,
            home: "/home/u".into(),
            cwd: cwd.into(),
            dirs: Dirs {
                config: "/home/u/.config/claudebox".into(),
                state: "/home/u/.local/state/claudebox".into(),
                cache: "/home/u/.cache/claudebox".into(),
                runtime: "/run/user/1000/claudebox".into(),
            },
            ..Host::default()
        }
    }

    fn disk() -> FakeDisk {
        FakeDisk::of(1000)
            .file("/home/u/p/.git/HEAD", "ref: refs/heads/main\n")
            .dir("/home/u/p/sub dir/deep")
            .dir("/home/u/plain")
            .link("/home/u/link", "p/sub dir")
            .file("/home/u/wt/.git", "gitdir: /home/u/p/.git/worktrees/wt\n")
            .file("/etc/.git/HEAD", "")
    }

    fn fails(argument: Option<&str>, cwd: &str, disk: &FakeDisk) -> String {
        let error = find(argument.map(Path::new), &host(cwd), disk).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        std::iter::once(error.to_string())
            .chain(error.hints().iter().map(|hint| format!("hint: {hint}")))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn the_git_root_is_the_project_and_the_start_is_kept() {
        for cwd in ["/home/u/p/sub dir/deep", "/home/u/link/deep"] {
            let project = find(None, &host(cwd), &disk()).unwrap();
            assert_eq!(project.root, Path::new("/home/u/p"));
            assert_eq!(project.start, Path::new("sub dir/deep"));
            assert_eq!(project.git, GitEntry::Directory);
        }
    }

    #[test]
    fn outside_git_a_directory_must_be_named() {
        insta::assert_snapshot!(fails(None, "/home/u/plain", &disk()), @r"
        /home/u/plain is not inside a git repository
        hint: name the directory that the agent may write: --project DIR (here: --project .)
        hint: or make it a repository: git init
        ");
        let project = find(Some(Path::new(".")), &host("/home/u/plain"), &disk()).unwrap();
        assert_eq!(
            (project.root.as_path(), project.git),
            (Path::new("/home/u/plain"), GitEntry::Absent)
        );
    }

    #[test]
    fn where_no_project_can_be_nothing_is_hinted_that_could_not_work() {
        let disk = disk().dir("/tmp");
        for cwd in ["/home/u", "/", "/tmp"] {
            let message = fails(None, cwd, &disk);
            assert!(message.contains("cannot be the project"), "{message}");
            assert!(!message.contains("--project .") && !message.contains("git init"), "{message}");
        }
    }

    #[test]
    fn a_command_without_the_option_does_not_hint_it() {
        let error = find_here(&host("/home/u/plain"), &disk()).unwrap_err();
        assert_eq!(error.to_string(), "/home/u/plain is not inside a git repository");
        assert_eq!(error.hints(), [GO_THERE]);
        let error = find_here(&host("/etc"), &disk()).unwrap_err();
        assert_eq!(error.hints(), [GO_THERE]);
        let project = find_here(&host("/home/u/p/sub dir"), &disk()).unwrap();
        assert_eq!(project.root, Path::new("/home/u/p"));
    }

    #[test]
    fn a_git_directory_without_head_is_none() {
        let disk = FakeDisk::of(1000).file("/home/u/p/.git/HEAD", "").dir("/home/u/p/x/.git");
        assert_eq!(find(None, &host("/home/u/p/x"), &disk).unwrap().root, Path::new("/home/u/p"));
    }

    #[test]
    fn what_holds_more_than_a_project_is_refused() {
        let disk = disk().dir("/usr/src/x").dir("/tmp").dir("/home/u/.local/state/claudebox/x");
        let disk = disk.dir("/home/u/.ssh").dir("/home/u/.config/systemd/user");
        for dir in [
            "/",
            "/home",
            "/home/u",
            "/etc",
            "/usr/src/x",
            "/tmp",
            "/home/u/.local",
            "/home/u/.local/state/claudebox/x",
            "/home/u/.ssh",
            "/home/u/.config/systemd/user",
        ] {
            let message = fails(Some(dir), "/home/u/plain", &disk);
            assert!(message.contains("cannot be the project") && message.contains("--project DIR"));
        }
    }

    #[test]
    fn anothers_directory_is_refused() {
        let theirs = disk().owned("/home/u/p", 1001);
        insta::assert_snapshot!(fails(None, "/home/u/p", &theirs), @r"
        /home/u/p belongs to user 1001, and claudebox runs as user 1000
        hint: take it over (`chown -R 1000 DIR`), or work on a copy of yours
        ");
        let theirs = disk().owned("/home/u/p/.git", 1001);
        assert!(fails(None, "/home/u/p", &theirs).contains("/home/u/p/.git belongs to"));
        let root = Host { uid: 0, ..host("/home/u/p") };
        let error = find(None, &root, &disk()).unwrap_err();
        assert_eq!(error.hints(), ["start claudebox as the owner, without sudo"]);
    }

    #[test]
    fn a_linked_worktree_names_its_main() {
        let project = find(None, &host("/home/u/wt"), &disk()).unwrap();
        let GitEntry::Pointer { target } = project.git else { panic!("{project:?}") };
        let error = pointer_refused(&project.root, &target);
        assert_eq!(
            error.to_string(),
            "/home/u/wt is a linked worktree: its git directory is /home/u/p/.git/worktrees/wt"
        );
        assert_eq!(error.hints()[0], "start in the main worktree: --project /home/u/p");
        let sub = Bytes::from("../.git/modules/sub");
        let error = pointer_refused(Path::new("/home/u/p/sub"), &sub);
        assert!(error.to_string().contains("a submodule"));
    }
}
