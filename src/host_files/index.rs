//! Which host-executable files git tracks: a reader of the index, gitformat-index(5), versions 2 to 4.
//! No git is asked: its configuration and its index may be an attacker's. The index is agent text too,
//! so every length is checked, and a file that does not add up to its last byte is not believed.
//! (The `gix-index` crate would bring along seventy others, and maps the file: who truncates a
//! mapped file ends its reader.) It must never do I/O.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::Path;

use super::known::Target;
use super::path::{parent, ways};
use super::table::{self, What};
use crate::hex::hexadecimal;
use crate::host::{Facts, FileKind};

/// No index is read beyond this: it holds some 600,000 files.
pub const MAX_SIZE: usize = 64 << 20;

/// What of an index matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Files that are in the table or in a directory of the table, sorted.
    tracked: Vec<Vec<u8>>,
    /// Commits in the place of a directory: submodules.
    pub gitlinks: Vec<Vec<u8>>,
    /// Directories that a sparse index holds as one entry, each with a slash at its end.
    collapsed: Vec<Vec<u8>>,
    /// The name of the file that holds the other half of a split index.
    pub shared: Option<String>,
}

impl Index {
    /// Whether git tracks this path, or something below it.
    pub fn tracks(&self, path: &[u8]) -> bool {
        let first = self.tracked.partition_point(|known| known.as_slice() < path);
        let at_or_below = self.tracked[first..]
            .iter()
            .take_while(|known| known.starts_with(path))
            .any(|known| matches!(known.get(path.len()), None | Some(b'/')));
        // git never tracks what is called `.git`, whatever it says of the directory around it.
        let can_be = path.split(|byte| *byte == b'/').all(|part| part != b".git");
        at_or_below || can_be && self.collapsed.iter().any(|directory| path.starts_with(directory))
    }

    /// Whether it is a sparse one, in which a directory may stand for files and submodules below it.
    pub fn is_collapsed(&self) -> bool {
        !self.collapsed.is_empty()
    }

    /// Adds the other half of a split index. What one of them names counts, though the first may
    /// have taken it back: too much is then writable for git, and is compared.
    pub fn join(&mut self, other: Self) {
        self.tracked.extend(other.tracked);
        self.tracked.sort_unstable();
        self.gitlinks.extend(other.gitlinks);
        self.collapsed.extend(other.collapsed);
        self.shared = None;
    }

    fn add(&mut self, path: &[u8], mode: u32, of: &mut OfTable<'_>) {
        match mode & 0o170_000 {
            0o160_000 => self.gitlinks.push(path.to_vec()),
            0o040_000 => self.collapsed.push(path.to_vec()),
            _ if of.holds(path) => self.tracked.push(path.to_vec()),
            _ => {}
        }
    }
}

/// What makes a directory a bare repository, or what git runs of one.
fn is_of_bare(name: &[u8], directory: &[u8]) -> bool {
    matches!(name, b"HEAD" | b"config" | b"commondir")
        || directory == b"hooks"
        || directory.ends_with(b"/hooks")
}

/// Whether files are in the table, asked for each of an index: neighbours share their directory, which
/// is asked about once.
struct OfTable<'a> {
    /// Thousands, perhaps, and an index has a hundred thousand files.
    targets: BTreeSet<&'a [u8]>,
    directory: Vec<u8>,
    /// The directory is in the table, or below one that is.
    inside: bool,
}

impl OfTable<'_> {
    /// In the table; or a file that could make its directory a bare repository.
    fn holds(&mut self, path: &[u8]) -> bool {
        let directory = parent(path);
        if directory != self.directory {
            self.directory = directory.to_vec();
            // As if it held a file of no special name.
            self.inside = table::unit(&[directory, b"/-"].concat()).is_some();
            let targets = &self.targets;
            self.inside |= ways(directory).chain([directory]).any(|way| targets.contains(way));
        }
        let name = &path[path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1)..];
        self.inside
            || is_of_bare(name, directory)
            || (table::may_match(name) && table::find(path, What::File).is_some())
            || self.targets.contains(path)
    }
}

/// Reads an index; `None` where it is none, or of a kind that is not known. `targets` are paths that
/// count although their names are not in the table.
pub fn read(bytes: &[u8], targets: &[Target]) -> Option<Index> {
    // SHA-1 or SHA-256: the file does not say. With the wrong one it does not add up.
    [20, 32].into_iter().find_map(|hash| read_with(bytes, hash, targets))
}

fn read_with(bytes: &[u8], hash: usize, targets: &[Target]) -> Option<Index> {
    let mut rest = Rest(bytes.get(..bytes.len().checked_sub(hash)?)?);
    let (b"DIRC", version @ 2..=4) = (rest.take(4)?, rest.number()?) else { return None };
    let mut index = Index::default();
    let targets = targets.iter().map(|target| &*target.path.0).collect();
    let mut of = OfTable { targets, directory: Vec::new(), inside: false };
    let mut path = Vec::new();
    for _ in 0..rest.number()? {
        let mode = rest.entry(version, hash, &mut path)?;
        index.add(&path, mode, &mut of);
    }
    while !rest.0.is_empty() {
        let name = rest.take(4)?;
        let size = usize::try_from(rest.number()?).ok()?;
        let content = rest.take(size)?;
        match name {
            b"link" => index.shared = shared(content.get(..hash)?),
            // A capital letter: it may be passed over.
            [b'A'..=b'Z', ..] | b"sdir" => {}
            _ => return None,
        }
    }
    index.tracked.sort_unstable();
    Some(index)
}

fn shared(hash: &[u8]) -> Option<String> {
    let any = hash.iter().any(|byte| *byte != 0);
    any.then(|| format!("sharedindex.{}", hexadecimal(hash)))
}

/// What has not been read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// One entry: its path goes into `path`, which holds the one before; its mode is answered.
    fn entry(&mut self, version: u32, hash: usize, path: &mut Vec<u8>) -> Option<u32> {
        let before = self.0.len();
        let stat = self.take(40)?;
        let mode = u32::from_be_bytes(stat.get(24..28)?.try_into().ok()?);
        if !matches!(mode, 0o100_644 | 0o100_755 | 0o100_664 | 0o120_000 | 0o160_000 | 0o040_000) {
            return None;
        }
        self.take(hash)?;
        let flags = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        if flags & 0x4000 != 0 {
            if version == 2 {
                return None;
            }
            self.take(2)?;
        }
        if version == 4 {
            let kept = path.len().checked_sub(self.stripped()?)?;
            path.truncate(kept);
            path.extend_from_slice(self.until_nul()?);
            return Some(mode);
        }
        path.clear();
        path.extend_from_slice(self.until_nul()?);
        // The NUL just taken is the first of up to eight that fill the entry.
        let length = before - self.0.len();
        let filling = self.take(length.next_multiple_of(8) - length)?;
        filling.iter().all(|byte| *byte == 0).then_some(mode)
    }

    fn until_nul(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let taken = self.take(end)?;
        self.take(1)?;
        Some(taken)
    }

    /// How many bytes of the path before are cut off: the variable-width number of a packfile's
    /// `OFS_DELTA`, gitformat-pack(5).
    fn stripped(&mut self) -> Option<usize> {
        let mut value = 0_usize;
        loop {
            let byte = self.take(1)?[0];
            value = value.checked_mul(128)?.checked_add(usize::from(byte & 0x7f))?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
            value = value.checked_add(1)?;
        }
    }
}

/// The index of a repository, by its git directory; `None` where there is one that cannot be read.
pub fn of_repository(git: &Path, targets: &[Target], facts: &dyn Facts) -> Option<Index> {
    let one = |path: &Path| {
        facts.lstat(path).filter(|found| found.kind == FileKind::File)?;
        let bytes = facts.read_head(path, MAX_SIZE + 1)?;
        read(&bytes, targets).filter(|_| bytes.len() <= MAX_SIZE)
    };
    let path = git.join("index");
    if facts.lstat(&path).is_none() {
        return Some(Index::default());
    }
    let mut index = one(&path)?;
    if let Some(shared) = index.shared.clone() {
        index.join(one(&git.join(shared))?);
    }
    Some(index)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// An index of version 2 with these paths.
    pub(crate) fn index(entries: &[(&str, u32)]) -> Vec<u8> {
        let mut bytes = b"DIRC".to_vec();
        bytes.extend(2_u32.to_be_bytes());
        bytes.extend(u32::try_from(entries.len()).unwrap().to_be_bytes());
        for (path, mode) in entries {
            let start = bytes.len();
            bytes.extend([0; 24]);
            bytes.extend(mode.to_be_bytes());
            bytes.extend([0; 12 + 20]);
            bytes.extend(u16::try_from(path.len()).unwrap().to_be_bytes());
            bytes.extend(path.as_bytes());
            bytes.push(0);
            bytes.resize(start + (bytes.len() - start).next_multiple_of(8), 0);
        }
        bytes.extend([7; 20]);
        bytes
    }

    fn git(directory: &Path, arguments: &[&str]) {
        let mut git = Command::new("git");
        git.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", directory);
        let done = git.args(arguments).current_dir(directory).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {done:?}");
    }

    /// A repository with files of every kind, and its index read back.
    fn of_git(init: &[&str], then: &[&[&str]]) -> Index {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        git(at, &[&["init", "-q", "."], init].concat());
        for path in [".envrc", "a.c", "a/.vscode/tasks.json", "a/.vscode/x/y", "b/mise.toml", "zz"]
        {
            std::fs::create_dir_all(at.join(path).parent().unwrap()).unwrap();
            std::fs::write(at.join(path), path).unwrap();
        }
        git(at, &["add", "."]);
        let commit = "160000,1234567890123456789012345678901234567890,sub";
        if init.is_empty() {
            git(at, &["update-index", "--add", "--cacheinfo", commit]);
        }
        for arguments in then {
            git(at, arguments);
        }
        let bytes = std::fs::read(at.join(".git/index")).unwrap();
        let mut index = read(&bytes, &[]).unwrap();
        if let Some(shared) = index.shared.clone() {
            index.join(read(&std::fs::read(at.join(".git").join(shared)).unwrap(), &[]).unwrap());
        }
        index
    }

    #[track_caller]
    fn check(index: &Index) {
        for tracked in [".envrc", "a/.vscode", "a/.vscode/tasks.json", "a/.vscode/x", "b/mise.toml"]
        {
            assert!(index.tracks(tracked.as_bytes()), "{tracked} in {index:?}");
        }
        for other in [".envr", ".envrc/x", "a/.vscode/t", "b/.envrc", "a/.vscode/tasks.jso"] {
            assert!(!index.tracks(other.as_bytes()), "{other} in {index:?}");
        }
    }

    #[test]
    fn every_format_that_git_writes_is_read() {
        let two = of_git(&[], &[]);
        check(&two);
        assert_eq!(two.gitlinks, [b"sub".to_vec()]);
        let three = of_git(&[], &[&["update-index", "--skip-worktree", "zz"]]);
        check(&three);
        check(&of_git(&[], &[&["update-index", "--index-version", "4"]]));
        check(&of_git(&[], &[&["update-index", "--split-index"]]));
        check(&of_git(&["--object-format=sha256"], &[]));
        let four = &["update-index", "--index-version", "4"];
        check(&of_git(&["--object-format=sha256"], &[four]));
    }

    #[test]
    fn a_path_that_counts_by_another_reason_is_tracked_too() {
        let bytes = index(&[("conf/a/x", 0o100_644), ("conf/b", 0o100_644), ("hooks", 0o100_644)]);
        let target = |path: &str| Target { path: path.into(), entry: &table::NESTED };
        let index = read(&bytes, &[target("conf/a"), target("hooks")]).unwrap();
        assert!(index.tracks(b"conf/a") && index.tracks(b"conf/a/x") && index.tracks(b"hooks"));
        assert!(!index.tracks(b"conf/b"));
    }

    #[test]
    fn a_sparse_index_tracks_what_it_does_not_show() {
        let commit: &[&str] = &["-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "m"];
        let sparse: &[&str] = &["sparse-checkout", "set", "--cone", "--sparse-index", "b"];
        let index = of_git(&[], &[&["rm", "-q", "--cached", "sub"], commit, sparse]);
        assert!(index.tracks(b"a/.vscode"), "{index:?}");
        assert!(index.tracks(b"b/mise.toml") && !index.tracks(b"b/.envrc"));
        // A repository that somebody makes there is not git's.
        assert!(!index.tracks(b"a/s/.git") && !index.tracks(b"a/s/.git/config"));
    }

    #[test]
    fn what_does_not_add_up_is_not_believed() {
        let good = index(&[(".envrc", 0o100_644), ("a/.husky/x", 0o100_755)]);
        assert!(read(&good, &[]).unwrap().tracks(b"a/.husky"));
        for length in 0..good.len() {
            assert_eq!(read(&good[..length], &[]), None, "cut at {length}");
        }
        assert_eq!(read(&[good.as_slice(), b"x"].concat(), &[]), None);
        assert_eq!(read(&index(&[(".envrc", 0o140_644)]), &[]), None);
        let mut many = good;
        many[8..12].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(read(&many, &[]), None);
    }

    proptest! {
        #[test]
        fn neighbours_change_nothing(
            paths in proptest::collection::vec(
                "(a|[.]vscode|[.]git|[.]claude|hooks|HEAD)(/(b|[.]envrc|x|hooks|settings[.]json|HEAD|config)){0,3}", 0..20),
        ) {
            let mut of = OfTable { targets: BTreeSet::new(), directory: Vec::new(), inside: false };
            for path in paths {
                let path = path.as_bytes();
                let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                let bare = is_of_bare(name, parent(path));
                prop_assert_eq!(of.holds(path), table::unit(path).is_some() || bare);
            }
        }

        #[test]
        fn any_entries_are_read_back(
            entries in proptest::collection::vec(
                ("[a-z.]{1,3}(/([.]envrc|[a-z]{1,2}|\\PC{1,3})){0,2}", any::<bool>()), 0..12),
        ) {
            let mode = |link: bool| if link { 0o160_000 } else { 0o100_644 };
            let entries: Vec<(&str, u32)> = entries
                .iter()
                .filter(|(path, _)| !path.contains('\0'))
                .map(|(path, link)| (path.as_str(), mode(*link)))
                .collect();
            let read = read(&index(&entries), &[]).unwrap();
            let links: Vec<_> = entries
                .iter()
                .filter(|(_, mode)| *mode == 0o160_000)
                .map(|(path, _)| path.as_bytes().to_vec())
                .collect();
            prop_assert_eq!(&read.gitlinks, &links);
            for (path, _) in entries.iter().filter(|(path, mode)| {
                *mode == 0o100_644 && path.ends_with("/.envrc")
            }) {
                prop_assert!(read.tracks(path.as_bytes()), "{}", path);
            }
        }

        #[test]
        fn no_bytes_make_it_fail_otherwise(
            version in 0_u8..6, count: u32, rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let head = [b"DIRC\0\0\0".as_slice(), &[version], &count.to_be_bytes()].concat();
            let _ = read(&[head, rest.clone()].concat(), &[]);
            let _ = read(&rest, &[]);
        }

        /// Cut anywhere it is none: half an index would leave out what git tracks.
        #[test]
        fn half_an_index_is_none(names in proptest::collection::vec("[a-z]{1,9}", 1..8), part in 0_usize..100) {
            let entries: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 0o100_644)).collect();
            let whole = index(&entries);
            prop_assert_eq!(read(&whole[..whole.len() * part / 100], &[]), None);
        }

        #[test]
        fn nothing_makes_it_fail_otherwise(
            at in 0_usize..200, byte: u8, tail in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut bytes = index(&[("a/.envrc", 0o100_644), ("b", 0o160_000), ("c/HEAD", 0o100_644)]);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.extend(tail);
            let _ = read(&bytes, &[]);
            for version in [3, 4] {
                bytes[7] = version;
                let _ = read(&bytes, &[]);
            }
        }
    }
}
