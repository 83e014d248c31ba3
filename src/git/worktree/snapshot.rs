//! The files of a worktree as a tree, committed or not, whatever the agent in it is doing. They are an
//! agent's: no filter runs over them, no repository among them is looked into, and what becomes of
//! them is kept apart from the user's repository unless it is to go there. It must never change the
//! worktree's own index.

use std::fs::{self, File, FileTimes};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{Known, Main};
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::git::call::{Call, Limits, PATIENT};
use crate::git::limits::Size;
use crate::git::oid::Oid;
use crate::git::outside::Repository;
use crate::session::directory::make_private;
use crate::session::lock;
use crate::visible::visible_path;

/// Where they are, in the directory of a repository's worktrees.
const DIRECTORY: &str = ".look";
/// The most repositories in a worktree that are left out by name.
const MOST_REPOSITORIES: usize = 1000;

/// Where the objects go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Away again, with the snapshot.
    Apart,
    /// Into the repository.
    Repository,
}

/// The tree. What it is kept in is removed when this is dropped.
#[derive(Debug)]
pub struct Snapshot {
    /// All files that git does not ignore.
    pub tree: Oid,
    /// What the worktree's `HEAD` leads to.
    pub head: Oid,
    /// Repositories among the files, which are left out.
    pub repositories: Vec<Bytes>,
    /// Why not every file is in it, ready for a terminal.
    pub incomplete: Option<String>,
    directory: PathBuf,
    objects: Option<PathBuf>,
    _lock: File,
}

impl Snapshot {
    /// Takes it.
    ///
    /// # Errors
    /// When the worktree is not there, or git cannot read it.
    pub fn take(main: &Main<'_>, known: &Known, store: Store) -> Result<Self> {
        let shown = visible_path(&known.path);
        let git_dir = known.git_dir.as_deref().filter(|_| known.there);
        let git_dir = git_dir.ok_or_else(|| not_there(known))?;
        let above = main.directory.join(DIRECTORY);
        make_private(&above)?;
        let locked = lock_path(main, known);
        let lock = lock::take(&locked).tried(|| format!("lock {}", visible_path(&locked)))?;
        let directory = above.join(&known.name);
        let tried = || format!("look at {shown}");
        remove(&directory).tried(tried)?;
        fs::create_dir(&directory).tried(tried)?;
        let mut taken = Self {
            // Until it is known.
            tree: known.commit()?.clone(),
            head: known.commit()?.clone(),
            repositories: Vec::new(),
            incomplete: None,
            objects: None,
            directory,
            _lock: lock,
        };
        taken.copy_index(&git_dir.join("index")).tried(tried)?;
        if store == Store::Apart {
            let objects = taken.directory.join("objects");
            Self::borrow(main, &objects).tried(tried)?;
            taken.objects = Some(objects);
        }
        let repository =
            Repository { program: &main.survey.program, git_dir, work_tree: &known.path };
        if let Some(head) = repository.commit()? {
            taken.head = head;
        }
        taken.add(&repository)?;
        Ok(taken)
    }

    /// A call that finds its objects.
    #[must_use]
    pub fn with(&self, call: Call) -> Call {
        match &self.objects {
            Some(objects) => call.env("GIT_OBJECT_DIRECTORY", objects),
            None => call,
        }
    }

    /// With its time: git compares that with those of the files.
    fn copy_index(&self, index: &Path) -> io::Result<()> {
        let copy = self.directory.join("index");
        fs::copy(index, &copy)?;
        let modified = fs::metadata(index)?.modified()?;
        File::options().write(true).open(&copy)?.set_times(FileTimes::new().set_modified(modified))
    }

    fn borrow(main: &Main<'_>, objects: &Path) -> io::Result<()> {
        fs::create_dir_all(objects.join("info"))?;
        let mut line = main.git_dir().join("objects").as_os_str().as_bytes().to_vec();
        if line.contains(&b'\n') {
            return Err(io::Error::other("git takes no object directory of that name"));
        }
        line.push(b'\n');
        fs::write(objects.join("info/alternates"), line)
    }

    fn add(&mut self, repository: &Repository<'_>) -> Result<()> {
        let call = |what| -> Result<Call> {
            let call = repository.call_without_programs(what)?;
            let call = call.env("GIT_INDEX_FILE", self.directory.join("index"));
            let file_size = Some(Size::default().file);
            Ok(self
                .with(call.config("core.splitIndex", "false"))
                .limits(Limits { file_size, ..PATIENT }))
        };
        let what = "look at the files";
        let listed =
            call(what)?.args(["ls-files", "--others", "--exclude-standard", "-z"]).run()?;
        // Only a repository is a directory in this list.
        let found = listed.split(|byte| *byte == 0).filter(|path| path.ends_with(b"/"));
        let repositories: Vec<Bytes> = found.map(Bytes::from).collect();
        if repositories.len() > MOST_REPOSITORIES {
            let error =
                format!("cannot {what}: there are more than {MOST_REPOSITORIES} repositories");
            return Err(Error::launcher(error));
        }
        // A submodule's own repository may be an agent's by now, and is not asked what it has.
        let staged = call(what)?.args(["ls-files", "--stage", "-z"]).run()?;
        let submodules: Vec<Bytes> = submodules(&staged).map(Bytes::from).collect();
        let left_out = |path: &Bytes| {
            let word = [b":(exclude,top,literal)", path.0.as_slice()].concat();
            std::ffi::OsString::from(Bytes(word))
        };
        let added = call(what)?
            .args(["add", "--all", "--ignore-errors", "--", ":/"])
            .args(repositories.iter().chain(&submodules).map(left_out))
            .outcome()?;
        let said = call("write down the files")?.arg("write-tree").run()?;
        self.tree = Oid::parse(said.trim_ascii_end()).ok_or_else(|| {
            Error::launcher(format!("cannot {what}: git's answer is not understood"))
        })?;
        self.repositories = repositories;
        self.incomplete = (!added.status.success()).then(|| match added.words.as_str() {
            "" => "git could not read all of it".to_owned(),
            words => words.to_owned(),
        });
        Ok(())
    }

    /// How many files are not as they are in a commit or tree.
    ///
    /// # Errors
    /// When git cannot compare them.
    pub fn changed(&self, main: &Main<'_>, since: &Oid) -> Result<usize> {
        let call = self.with(main.call("compare the files")).limits(PATIENT);
        let call = call.args(["diff-tree", "-r", "-z", "--name-only", "--no-renames"]);
        let said = call.args([since.as_str(), self.tree.as_str()]).run()?;
        // The last name ends in NUL, too.
        Ok(said.split(|byte| *byte == 0).count() - 1 + self.repositories.len())
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // What stays is removed before the next.
        let _ = remove(&self.directory);
    }
}

/// Takes away what looks at a worktree that is gone now have left.
pub(super) fn forget(main: &Main<'_>, known: &Known) {
    // Where it stays it is in nobody's way.
    let _ = fs::remove_file(lock_path(main, known));
}

fn lock_path(main: &Main<'_>, known: &Known) -> PathBuf {
    main.directory.join(DIRECTORY).join(format!("{}.lock", known.name))
}

/// The error for a worktree that is none any more.
pub(super) fn not_there(known: &Known) -> Error {
    let shown = visible_path(&known.path);
    Error::usage(format!("the worktree {shown} is not there, or git does not know it"))
        .hint(format!("`claudebox worktree rm {}` takes the rest away", known.name))
}

/// The submodules in what `git ls-files --stage -z` says: `MODE OID STAGE`, a tab, the path.
fn submodules(staged: &[u8]) -> impl Iterator<Item = &[u8]> {
    let entries = staged.split(|byte| *byte == 0).filter(|entry| entry.starts_with(b"160000 "));
    entries.filter_map(|entry| entry.splitn(2, |byte| *byte == b'\t').nth(1))
}

/// Claudebox's own directory, in which nobody else writes.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        _ => Ok(()),
    }
}
