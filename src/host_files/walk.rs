//! The look through a project, at the start and at the end. An agent wrote these directories: no link
//! is followed, a closed directory is opened for the moment of looking, and time, memory and number
//! are bounded. What could not be looked at is counted, so that nothing is taken for seen that was not.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FileType, RawDir, Stat, StatxFlags, fstat, statat, statx};
use rustix::io::Errno;

use super::beneath::Beneath;
use super::path::{join, name as last_name, parent};
use super::survey::{Item, Kind, Stamp, Survey};
use super::table::{self, BARE, Entry, GIT_LINK, NESTED, What};
use crate::bytes::Bytes;

/// How much a look may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Directories that are opened.
    pub directories: u64,
    /// Entries that are read.
    pub entries: u64,
    /// Time.
    pub time: Duration,
}

impl Limits {
    /// While a person waits for the agent.
    pub const START: Self =
        Self { directories: 20_000, entries: 200_000, time: Duration::from_millis(330) };
    /// When the agent has ended.
    pub const END: Self =
        Self { directories: 1_000_000, entries: 5_000_000, time: Duration::from_secs(10) };
}

/// The most that is found. Who plants more is told of as not looked at.
const MOST_ITEMS: usize = 50_000;
/// Bytes of the paths of directories that wait for their turn.
const MOST_WAITING: usize = 64 << 20;

/// What is to be looked at.
pub struct Look<'a> {
    /// How much it may cost.
    pub limits: Limits,
    /// `.git` in the project itself is its repository and no nested one.
    pub own_git: bool,
    /// Directories of installed packages too.
    pub packages: bool,
    /// Paths that count although their names are not in the table.
    pub extra: &'a BTreeMap<Bytes, &'static Entry>,
    /// Whether to look into a directory of the table, or below one.
    pub into: &'a dyn Fn(&[u8]) -> bool,
}

/// A directory that waits for its turn.
struct Waiting {
    path: Vec<u8>,
    /// It is a directory of the table, or below one.
    inside: Option<&'static Entry>,
    git: InGit,
    package: bool,
    probe: Probe,
}

/// Whether packages in it are asked if they are repositories, where they are not looked at otherwise.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Probe {
    /// It holds no packages, or they are looked at.
    No,
    /// They are, beside what is on the way.
    Too,
    /// Nothing else is looked at.
    Only,
}

/// Where in a git directory something is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InGit {
    /// In none.
    No,
    /// In one: only what the table names in it counts.
    Yes,
    /// In the project's own: a link counts as well.
    Own,
    /// Below that, where git writes: nothing but a link counts.
    Written,
}

/// Where git writes in its directory, below which links count too.
const WRITTEN: [&[u8]; 3] = [b"refs", b"logs", b"objects"];

/// Looks through a directory.
///
/// # Errors
/// When the directory itself cannot be opened.
pub fn walk(root: &Path, look: &Look<'_>) -> io::Result<Survey> {
    let mut walk = Walk {
        beneath: Beneath::open(root)?,
        look,
        until: Instant::now() + look.limits.time,
        survey: Survey::default(),
        waiting: VecDeque::new(),
        packages: VecDeque::new(),
        weight: 0,
        entries: 0,
        extra_names: look.extra.keys().map(|path| last_name(&path.0)).collect(),
    };
    let (path, probe) = (Vec::new(), Probe::No);
    walk.wait(Waiting { path, inside: None, git: InGit::No, package: false, probe });
    walk.all();
    Ok(walk.survey)
}

struct Walk<'a> {
    beneath: Beneath,
    look: &'a Look<'a>,
    until: Instant,
    survey: Survey,
    /// The shallow ones first: there a tool looks first, and an agent cannot bury them.
    waiting: VecDeque<Waiting>,
    /// Come last.
    packages: VecDeque<Waiting>,
    weight: usize,
    entries: u64,
    /// The last names of [`Look::extra`].
    extra_names: HashSet<&'a [u8]>,
}

impl Walk<'_> {
    fn all(&mut self) {
        let mut opened = 0;
        let mut buffer = Vec::with_capacity(32 << 10);
        while let Some(next) = self.waiting.pop_front().or_else(|| self.packages.pop_front()) {
            self.weight -= next.path.len();
            let Limits { directories, entries, .. } = self.look.limits;
            if opened >= directories || self.entries >= entries || Instant::now() >= self.until {
                self.survey.unseen += 1;
                continue;
            }
            opened += 1;
            match self.directory(&next, buffer.spare_capacity_mut()) {
                // It is gone, or something else by now: there is nothing to see.
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(_) => self.survey.unseen += 1,
            }
        }
    }

    fn wait(&mut self, directory: Waiting) {
        let length = directory.path.len();
        if self.weight + length > MOST_WAITING {
            self.survey.unseen += 1;
            return;
        }
        self.weight += length;
        let queue = if directory.package { &mut self.packages } else { &mut self.waiting };
        queue.push_back(directory);
    }

    fn directory(&mut self, at: &Waiting, buffer: &mut [MaybeUninit<u8>]) -> Result<(), Errno> {
        let fd = self.beneath.directory(&at.path)?;
        let mut signs = Signs::default();
        let mut entries = RawDir::new(&fd, buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            self.entries += 1;
            let kind = match entry.file_type() {
                FileType::Unknown => match statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(_) => continue,
                },
                known => known,
            };
            if at.probe != Probe::No && kind == FileType::Directory {
                self.probe(at, &fd, name);
            }
            if at.probe == Probe::Only {
                continue;
            }
            signs.note(name);
            self.entry(at, &fd, name, kind);
        }
        if at.inside.is_none() && at.git == InGit::No && signs.bare() {
            self.bare(at, &fd);
        }
        Ok(())
    }

    fn entry(&mut self, at: &Waiting, fd: &OwnedFd, name: &[u8], kind: FileType) {
        let what = match kind {
            FileType::Directory => What::Directory,
            FileType::Symlink => What::Link,
            _ => What::File,
        };
        if at.git == InGit::Written {
            return self.written(at, fd, name, what);
        }
        // Most names are neither a directory nor in the table: they cost no memory.
        if what == What::File
            && at.inside.is_none()
            && !table::may_match(name)
            && !self.may_be_extra(name)
        {
            return;
        }
        let path = join(&at.path, name);
        let entry = self.unit(&path, what);
        // What a link from elsewhere leads to is no package's own.
        let package = at.package && !self.look.extra.contains_key(&Bytes::from(&*path));
        let inside = at.inside.or(entry);
        let own = self.look.own_git && path == b".git" && what == What::Directory;
        let link = at.git == InGit::Own && what == What::Link;
        if let Some(entry) = inside.filter(|_| !own).or_else(|| link.then_some(&GIT_LINK)) {
            self.add(&path, entry, (at.inside.is_none(), package), (fd, name));
        }
        if what != What::Directory {
            return;
        }
        let package = package || table::holds_packages(name);
        let on_the_way = self.is_on_the_way(&path);
        let git = match inside {
            _ if own => InGit::Own,
            Some(entry) if *entry == NESTED => InGit::Yes,
            None if at.git == InGit::Own && WRITTEN.contains(&name) => InGit::Written,
            None if at.git != InGit::No && on_the_way => InGit::Yes,
            _ => InGit::No,
        };
        let enter = match inside {
            Some(_) if git == InGit::No => (self.look.into)(&path),
            Some(_) => true,
            None if git == InGit::Written || on_the_way => true,
            None => at.git == InGit::No && (self.look.packages || !package),
        };
        let probe = match inside.is_none() && git == InGit::No && self.probes(at, name) {
            false => Probe::No,
            true if enter => Probe::Too,
            true => Probe::Only,
        };
        if enter || probe == Probe::Only {
            let inside = inside.filter(|_| git == InGit::No);
            self.wait(Waiting { path, inside, git, package, probe });
        }
    }

    /// Whether a directory holds packages that are not looked at: `node_modules`, and `@scope` in it.
    fn probes(&self, at: &Waiting, name: &[u8]) -> bool {
        let scope = at.probe != Probe::No && name.starts_with(b"@");
        !self.look.packages && (scope || (!at.package && table::holds_packages(name)))
    }

    /// Who works on a package keeps its repository in it: what that names counts from the start.
    fn probe(&mut self, at: &Waiting, fd: &OwnedFd, name: &[u8]) {
        if at.probe == Probe::Only && name.starts_with(b"@") {
            let (path, package, probe) = (join(&at.path, name), true, Probe::Only);
            return self.wait(Waiting { path, inside: None, git: InGit::No, package, probe });
        }
        if statat(fd, join(name, b".git"), AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            self.survey.packages.push(Bytes(join(&at.path, name)));
        }
    }

    /// What is below `refs`, `logs` or `objects` of the project's own repository. Objects are made new, so
    /// that only the directories for them count.
    fn written(&mut self, at: &Waiting, fd: &OwnedFd, name: &[u8], what: What) {
        let path = join(&at.path, name);
        // A link of the project leads to it.
        let target = self.look.extra.get(&Bytes::from(&*path)).filter(|_| what != What::Link);
        if let Some(entry) = target.copied() {
            self.found(&path, entry, at, (fd, name));
            if what == What::Directory && (self.look.into)(&path) {
                let (inside, git, package) = (Some(entry), InGit::No, at.package);
                self.wait(Waiting { path, inside, git, package, probe: Probe::No });
            }
            return;
        }
        let objects = at.path == b".git/objects" && name != b"info";
        match what {
            What::Link => self.found(&path, &GIT_LINK, at, (fd, name)),
            What::Directory if !objects || self.is_on_the_way(&path) => {
                let (git, package) = (InGit::Written, at.package);
                self.wait(Waiting { path, inside: None, git, package, probe: Probe::No });
            }
            What::Directory | What::File => {}
        }
    }

    /// Whether the name is the last of a path that counts although it is not in the table.
    fn may_be_extra(&self, name: &[u8]) -> bool {
        self.extra_names.contains(name)
    }

    /// Whether a path that counts although it is not in the table is below this one.
    fn is_on_the_way(&self, path: &[u8]) -> bool {
        let first = Bytes([path, b"/"].concat());
        let next = self.look.extra.range(first.clone()..).next();
        next.is_some_and(|(extra, _)| extra.0.starts_with(&first.0))
    }

    /// The entry of this path itself.
    fn unit(&self, path: &[u8], what: What) -> Option<&'static Entry> {
        let extra = || self.look.extra.get(&Bytes::from(path)).copied();
        table::find(path, what).or_else(extra)
    }

    fn found(&mut self, path: &[u8], entry: &'static Entry, at: &Waiting, file: (&OwnedFd, &[u8])) {
        self.add(path, entry, (at.inside.is_none(), at.package), file);
    }

    fn add(
        &mut self,
        path: &[u8],
        entry: &'static Entry,
        (unit, package): (bool, bool),
        file: (&OwnedFd, &[u8]),
    ) {
        let look = || statat(file.0, file.1, AtFlags::SYMLINK_NOFOLLOW);
        let stat = match look() {
            // A directory that can only be read tells names, and nothing of what they are.
            Err(Errno::ACCESS) => self.beneath.unlock(parent(path)).and_then(|()| look()),
            other => other,
        };
        let stat = match stat {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return,
            Err(_) => {
                self.survey.unseen += 1;
                return;
            }
        };
        if self.survey.items.len() >= MOST_ITEMS {
            self.survey.unseen += 1;
            return;
        }
        let mut item = item(entry, unit, package, &stat);
        if item.kind == Kind::Directory {
            item.born = born(file.0, file.1);
        } else if entry.pattern.contains('/') {
            item.above = fstat(file.0).ok().map(|stat| ctime(&stat));
        }
        self.survey.items.insert(path.into(), item);
    }

    /// What makes a directory a bare repository.
    fn bare(&mut self, at: &Waiting, fd: &OwnedFd) {
        for name in [&b"HEAD"[..], b"config", b"commondir", b"hooks"] {
            let path = join(&at.path, name);
            self.found(&path, &BARE, at, (fd, name));
            let hooks = name == b"hooks" && self.survey.items.contains_key(&Bytes::from(&*path));
            if hooks && (self.look.into)(&path) {
                let (inside, package) = (Some(&BARE), at.package);
                let git = InGit::No;
                self.wait(Waiting { path, inside, git, package, probe: Probe::No });
            }
        }
    }
}

/// What stands in a directory and makes it a repository, gitrepository-layout(5).
#[derive(Default)]
struct Signs {
    head: bool,
    objects: bool,
    refs: bool,
    elsewhere: bool,
}

impl Signs {
    fn note(&mut self, name: &[u8]) {
        match name {
            _ if name.eq_ignore_ascii_case(b"HEAD") => self.head = true,
            _ if name.eq_ignore_ascii_case(b"objects") => self.objects = true,
            _ if name.eq_ignore_ascii_case(b"refs") => self.refs = true,
            _ if name.eq_ignore_ascii_case(b"commondir") => self.elsewhere = true,
            _ => {}
        }
    }

    fn bare(&self) -> bool {
        self.head && (self.elsewhere || (self.objects && self.refs))
    }
}

fn ctime(stat: &Stat) -> Stamp {
    (stat.st_ctime, u32::try_from(stat.st_ctime_nsec).unwrap_or_default())
}

fn born(at: &OwnedFd, name: &[u8]) -> Option<Stamp> {
    let found = statx(at, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BTIME).ok()?;
    let told = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
    told.then_some((found.stx_btime.tv_sec, found.stx_btime.tv_nsec))
}

fn item(entry: &'static Entry, unit: bool, package: bool, stat: &Stat) -> Item {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    };
    Item {
        entry,
        unit,
        package,
        linked: kind == Kind::File && stat.st_nlink > 1,
        kind,
        ino: stat.st_ino,
        mode: stat.st_mode & 0o7777,
        size: u64::try_from(stat.st_size).unwrap_or_default(),
        ctime: ctime(stat),
        born: None,
        above: None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    static NOTHING: BTreeMap<Bytes, &Entry> = BTreeMap::new();
    static EVERYWHERE: fn(&[u8]) -> bool = |_| true;

    fn look(own_git: bool) -> Look<'static> {
        Look { limits: Limits::END, own_git, packages: true, extra: &NOTHING, into: &EVERYWHERE }
    }

    fn project(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        dir
    }

    fn found(survey: &Survey) -> Vec<String> {
        let line = |(path, item): (&Bytes, &Item)| {
            let package = if item.package { " package" } else { "" };
            let below = if item.unit { "" } else { " below" };
            format!("{} {}{below}{package}", path.as_path().display(), item.entry.pattern)
        };
        survey.items.iter().map(line).collect()
    }

    #[test]
    fn packages_that_are_repositories_are_found_without_a_look_at_the_others() {
        let dir = project(&[
            "a/node_modules/@s/k/.git/HEAD",
            "a/node_modules/@s/plain/.envrc",
            "a/node_modules/m/.git",
            "a/node_modules/m/@x/y/.git",
            "node_modules/on/the/way",
            "node_modules/on/.git/HEAD",
        ]);
        symlink("m", dir.path().join("a/node_modules/link")).unwrap();
        let extra = BTreeMap::from([(Bytes::from(&b"node_modules/on/the/way"[..]), &BARE)]);
        let quick = Look { packages: false, extra: &extra, ..look(true) };
        let survey = walk(dir.path(), &quick).unwrap();
        let mut packages: Vec<String> =
            survey.packages.iter().map(|path| path.as_path().display().to_string()).collect();
        packages.sort();
        assert_eq!(packages, ["a/node_modules/@s/k", "a/node_modules/m", "node_modules/on"]);
        let on_the_way = ["node_modules/on/.git .git/ package", "node_modules/on/the/way HEAD"];
        assert_eq!(found(&survey), on_the_way);
        assert!(walk(dir.path(), &look(true)).unwrap().packages.is_empty());
    }

    #[test]
    fn names_are_found_wherever_they_stand() {
        let dir = project(&[
            ".envrc",
            ".git/HEAD",
            ".git/config",
            ".git/objects/aa/.envrc",
            "a/b/.vscode/x/tasks.json",
            "a/plain",
            "bare.git/HEAD",
            "bare.git/config",
            "bare.git/objects/x",
            "bare.git/refs/x",
            "node_modules/m/.envrc",
            "node_modules/m/.vscode/s",
            "sub/.git/HEAD",
            "sub/.git/config",
            "sub/.git/objects/x",
            "tree/HEAD",
            "tree/commondir",
        ]);
        let survey = walk(dir.path(), &look(true)).unwrap();
        insta::assert_snapshot!(found(&survey).join("\n"), @r"
        .envrc .envrc
        .git/config .git/config
        a/b/.vscode .vscode/
        a/b/.vscode/x .vscode/ below
        a/b/.vscode/x/tasks.json .vscode/ below
        bare.git/HEAD HEAD
        bare.git/config HEAD
        node_modules/m/.envrc .envrc package
        node_modules/m/.vscode .vscode/ package
        node_modules/m/.vscode/s .vscode/ below package
        sub/.git .git/
        sub/.git/config .git/config
        tree/HEAD HEAD
        tree/commondir HEAD
        ");
        assert_eq!(survey.unseen, 0);
        let other = walk(dir.path(), &look(false)).unwrap();
        assert!(found(&other).contains(&".git .git/".to_owned()));
        let quick = Look { packages: false, ..look(true) };
        assert!(
            !found(&walk(dir.path(), &quick).unwrap()).iter().any(|line| line.contains("node"))
        );
    }

    #[test]
    fn a_link_is_found_and_not_followed() {
        let dir = project(&["real/settings.json", "real/tasks.json"]);
        for name in [".vscode", ".claude", "other"] {
            symlink("real", dir.path().join(name)).unwrap();
        }
        symlink("..", dir.path().join("real/loop")).unwrap();
        let survey = walk(dir.path(), &look(true)).unwrap();
        assert_eq!(found(&survey), [".claude .claude/settings*.json", ".vscode .vscode/"]);
    }

    #[test]
    fn a_link_counts_where_git_writes_in_the_projects_repository() {
        let dir = project(&[
            ".git/HEAD",
            ".git/logs/refs/x",
            ".git/objects/aa/x",
            ".git/objects/info/x",
            ".git/refs/heads/x",
            ".git/annex/x",
        ]);
        for link in [
            "COMMIT_EDITMSG",
            "annex/y",
            "hooks",
            "logs/HEAD",
            "logs/refs/heads",
            "objects/aa/y",
            "objects/bb",
            "objects/info/y",
            "refs/heads/y",
        ] {
            symlink("/elsewhere", dir.path().join(".git").join(link)).unwrap();
        }
        insta::assert_snapshot!(found(&walk(dir.path(), &look(true)).unwrap()).join("\n"), @"
        .git/COMMIT_EDITMSG (link in .git)
        .git/hooks .git/hooks/
        .git/logs/HEAD (link in .git)
        .git/logs/refs/heads (link in .git)
        .git/objects/bb (link in .git)
        .git/objects/info/y (link in .git)
        .git/refs/heads/y (link in .git)
        ");
        // In one that is not the project's all of it is new, or nothing.
        assert_eq!(found(&walk(dir.path(), &look(false)).unwrap()).len(), 2);
    }

    #[test]
    fn a_closed_directory_hides_nothing() {
        let dir = project(&["a/b/.envrc"]);
        for path in ["a/b", "a"] {
            fs::set_permissions(dir.path().join(path), Permissions::from_mode(0o001)).unwrap();
        }
        let survey = walk(dir.path(), &look(true)).unwrap();
        assert_eq!(found(&survey), ["a/b/.envrc .envrc"]);
        let mode = fs::metadata(dir.path().join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o001);
        for path in ["a", "a/b"] {
            fs::set_permissions(dir.path().join(path), Permissions::from_mode(0o700)).unwrap();
        }
    }

    #[test]
    fn what_a_limit_leaves_out_is_counted_and_is_the_deepest() {
        let dir = project(&["a/b/c/d/.envrc", "a/.envrc", "z/.envrc"]);
        let limits = Limits { directories: 3, ..Limits::END };
        let survey = walk(dir.path(), &Look { limits, ..look(true) }).unwrap();
        assert_eq!(found(&survey), ["a/.envrc .envrc", "z/.envrc .envrc"]);
        assert_eq!(survey.unseen, 1);
        let limits = Limits { time: Duration::ZERO, ..Limits::END };
        assert_eq!(walk(dir.path(), &Look { limits, ..look(true) }).unwrap().unseen, 1);
    }

    #[test]
    fn what_is_deeper_than_any_path_is_counted() {
        let dir = project(&["f"]);
        let mut at: OwnedFd = fs::File::open(dir.path()).unwrap().into();
        let name = "d".repeat(200);
        for _ in 0..25 {
            rustix::fs::mkdirat(&at, &*name, rustix::fs::Mode::RWXU).unwrap();
            let flags = rustix::fs::OFlags::DIRECTORY;
            at = rustix::fs::openat(&at, &*name, flags, rustix::fs::Mode::empty()).unwrap();
        }
        assert_eq!(walk(dir.path(), &look(true)).unwrap().unseen, 1);
    }

    #[test]
    fn an_extra_path_counts_whatever_its_name() {
        let dir = project(&["conf/editor/tasks.json"]);
        let extra = [(Bytes::from("conf/editor"), table::find(b".vscode", What::Link).unwrap())];
        let extra = BTreeMap::from(extra);
        let survey = walk(dir.path(), &Look { extra: &extra, ..look(true) }).unwrap();
        assert_eq!(
            found(&survey),
            ["conf/editor .vscode/", "conf/editor/tasks.json .vscode/ below"]
        );
    }
}
