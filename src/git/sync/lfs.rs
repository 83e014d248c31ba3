//! Files of git-lfs that are new inside. The store of git-lfs (`lfs/objects` in the git directory) has each
//! under the SHA-256 of its content, so that can be checked: what is not what its name says does not come.
//! The private store is the agent's: no link in it is followed, nothing but a regular file is opened, and
//! there is an end to it. What is in the host's store is never replaced.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, fstat, mkdirat, openat, renameat_with,
    unlinkat,
};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::quarantine::common;
use super::report::{Item, LFS};
use super::rules::Why;
use crate::error::{Error, Result, Tried as _};
use crate::git::outside::Repository;
use crate::git::record::Record;
use crate::hex::hexadecimal;
use crate::nofollow::{self, DIRECTORY};
use crate::visible::visible_path;

/// Where git-lfs has its files, below its store.
const OBJECTS: &str = "objects";

/// What may come at one time.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Names in the store that are looked at.
    names: usize,
    /// Bytes of what is new.
    bytes: u64,
}

const BOUNDS: Bounds = Bounds { names: 200_000, bytes: 8 << 30 };

/// What came, and what did not.
#[derive(Debug, Default)]
struct Came {
    files: u64,
    bytes: u64,
    /// Names of files that are not what they say, and of what is no file.
    forged: Vec<String>,
    /// There is more than may come.
    more: bool,
}

/// Brings what the host has not. What goes wrong is held, and no reason to hold a commit.
pub(super) fn bring(record: &Record, session: &str) -> Vec<Item> {
    let private = record.private.as_path();
    let opened = openat(CWD, private, OFlags::PATH | DIRECTORY, Mode::empty())
        .and_then(|root| nofollow::beneath(root, Path::new("lfs/objects"), OFlags::RDONLY));
    // Nearly always there is none; and who puts something else there brings nothing.
    let Ok(from) = opened else { return Vec::new() };
    let came = store(record).and_then(|store| {
        let tried = || format!("take them over to {}", visible_path(&store));
        take_over(&from, &store, session, BOUNDS).tried(tried)
    });
    match came {
        Ok(came) => told(&came),
        Err(error) => vec![held(error.to_string())],
    }
}

fn held(words: String) -> Item {
    Item::Held { name: LFS.into(), why: Why::Lfs { words }, kept: None }
}

fn told(came: &Came) -> Vec<Item> {
    let mut items = Vec::new();
    if came.files > 0 {
        items.push(Item::Lfs { files: came.files, bytes: came.bytes });
    }
    if let Some(first) = came.forged.first() {
        let count = came.forged.len();
        items.push(held(format!("{count} of its files are not what their names say ({first})")));
    }
    if came.more {
        items.push(held("there is more than comes at one time".to_owned()));
    }
    items
}

/// The host's store: in the repository, or where the user's configuration says (git-lfs-config(5)). The
/// repository's own may be a stranger's: it names one that is there, and not where one is made.
fn store(record: &Record) -> Result<PathBuf> {
    let common = common(record.git_dir.as_path());
    let call = Repository::of(record).call("read the configuration of git-lfs");
    let asked = ["config", "--null", "--show-scope", "--type=path", "--get", "lfs.storage"];
    let said = call.args(asked).outcome()?;
    let mut parts = said.output.split(|byte| *byte == 0);
    let (scope, set) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if !said.status.success() || set.is_empty() {
        return Ok(common.join("lfs"));
    }
    let store = common.join(OsStr::from_bytes(set));
    // A link of the user's is followed, one that stands in a repository is not.
    let store = fs::canonicalize(&store).unwrap_or(store);
    let is_own = matches!(scope, b"local" | b"worktree");
    if is_own && !store.join(OBJECTS).is_dir() {
        let shown = visible_path(&store);
        let why =
            format!("`lfs.storage` of the repository's own configuration is no store: {shown}");
        return Err(Error::launcher(why));
    }
    Ok(store)
}

fn take_over(from: &OwnedFd, store: &Path, session: &str, bounds: Bounds) -> io::Result<Came> {
    let mut came = Came::default();
    let mut left = bounds.names;
    let mut to = None;
    for one in directories(from, &mut left)? {
        let Ok(first) = openat(from, &*one, DIRECTORY, Mode::empty()) else { continue };
        for other in directories(&first, &mut left)? {
            let Ok(second) = openat(&first, &*other, DIRECTORY, Mode::empty()) else { continue };
            for name in names(&second, &mut left)? {
                if !is_name(&name, &one, &other) {
                    continue;
                }
                let to = match &to {
                    Some(to) => to,
                    None => to.insert(To::open(store, session)?),
                };
                to.one(&second, &name, bounds, &mut came)?;
            }
        }
    }
    came.more |= left == 0;
    Ok(came)
}

/// The host's store, open.
struct To {
    objects: OwnedFd,
    /// Where a file is until it has been checked.
    scratch: OwnedFd,
    name: String,
}

impl To {
    fn open(store: &Path, session: &str) -> io::Result<Self> {
        fs::create_dir_all(store)?;
        let store = openat(CWD, store, DIRECTORY, Mode::empty())?;
        let (objects, scratch) = (make(&store, OBJECTS)?, make(&store, "tmp")?);
        let name = format!("claudebox-{session}");
        // One that a killed sync left.
        remove(&scratch, &name)?;
        Ok(Self { objects, scratch, name })
    }

    fn one(&self, from: &OwnedFd, name: &str, bounds: Bounds, came: &mut Came) -> io::Result<()> {
        let path = Path::new(&name[..2]).join(&name[2..4]).join(name);
        if nofollow::beneath(&self.objects, &path, OFlags::PATH).is_ok() {
            return Ok(());
        }
        // Whatever stands there: a FIFO would hold up who opens it.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = openat(from, name, flags, Mode::empty());
        let file = opened.ok().map(|file| Ok::<_, Errno>((fstat(&file)?, file))).transpose()?;
        let plain = |stat: &rustix::fs::Stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        };
        let Some((stat, file)) = file.filter(|(stat, _)| plain(stat)) else {
            came.forged.push(name.to_owned());
            return Ok(());
        };
        let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
        if size > bounds.bytes - came.bytes {
            came.more = true;
            return Ok(());
        }
        let copied = self.copy(File::from(file), size, name, &path);
        if !matches!(copied, Ok(true)) {
            remove(&self.scratch, &self.name)?;
        }
        if copied? {
            came.files += 1;
            came.bytes += size;
        } else {
            came.forged.push(name.to_owned());
        }
        Ok(())
    }

    /// Copies it, and puts the copy in its place if that is what the name says.
    fn copy(&self, from: File, size: u64, name: &str, path: &Path) -> io::Result<bool> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let mut to = File::from(openat(&self.scratch, &*self.name, flags, mode)?);
        let mut hash = Sha256::new();
        let mut from = from.take(size);
        let mut buffer = vec![0; 256 << 10];
        loop {
            let length = from.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            hash.update(&buffer[..length]);
            to.write_all(&buffer[..length])?;
        }
        if hexadecimal(&hash.finalize()) != name {
            return Ok(false);
        }
        let mut directory = None;
        for part in path.parent().into_iter().flatten() {
            let above = directory.as_ref().unwrap_or(&self.objects);
            directory = Some(make(above, part)?);
        }
        let directory = directory.as_ref().unwrap_or(&self.objects);
        match renameat_with(&self.scratch, &*self.name, directory, name, RenameFlags::NOREPLACE) {
            // The user's own git-lfs was faster.
            Err(Errno::EXIST) => remove(&self.scratch, &self.name)?,
            other => other?,
        }
        Ok(true)
    }
}

/// A directory, which may be there.
fn make(at: &OwnedFd, name: impl AsRef<OsStr>) -> io::Result<OwnedFd> {
    let name = name.as_ref();
    match mkdirat(at, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok(openat(at, name, DIRECTORY, Mode::empty())?)
}

fn remove(at: &OwnedFd, name: &str) -> io::Result<()> {
    match unlinkat(at, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// The names in a directory of the agent's, as far as one looks.
fn names(at: &OwnedFd, left: &mut usize) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(at)? {
        let Some(rest) = left.checked_sub(1) else { break };
        *left = rest;
        if let Ok(name) = entry?.file_name().to_str() {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Those of the first and second level: two hexadecimal digits.
fn directories(at: &OwnedFd, left: &mut usize) -> io::Result<Vec<String>> {
    Ok(names(at, left)?
        .into_iter()
        .filter(|name| name.len() == 2 && is_hexadecimal(name))
        .collect())
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether this is the name of a file of git-lfs that belongs into these directories.
fn is_name(name: &str, one: &str, other: &str) -> bool {
    name.len() == 64 && is_hexadecimal(name) && name[..2] == *one && name[2..4] == *other
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn put(store: &Path, name: &str, content: &[u8]) -> PathBuf {
        let path = store.join(&name[..2]).join(&name[2..4]).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn name_of(content: &[u8]) -> String {
        hexadecimal(&Sha256::digest(content))
    }

    fn took(from: &Path, to: &Path, bounds: Bounds) -> Came {
        let from = File::open(from).unwrap().into();
        take_over(&from, to, "4k7x", bounds).unwrap()
    }

    #[test]
    fn what_is_what_its_name_says_comes_and_nothing_else() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let [good, there, forged, link, fifo] =
            [&b"good"[..], b"there", b"forged", b"/etc/hostname", b"fifo"].map(name_of);
        put(from.path(), &good, b"good");
        put(from.path(), &there, b"there");
        put(from.path(), &forged, b"something else");
        let secret = to.path().join("secret");
        fs::write(&secret, "/etc/hostname").unwrap();
        let path = put(from.path(), &link, b"");
        fs::remove_file(&path).unwrap();
        symlink(&secret, &path).unwrap();
        let path = put(from.path(), &fifo, b"");
        fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        // Directories elsewhere, by a link, and names that are none.
        symlink(from.path().join(&good[..2]), from.path().join("zz")).unwrap();
        symlink("/etc", from.path().join("0a")).unwrap();
        fs::write(from.path().join("x"), "").unwrap();
        let store = to.path().join("lfs");
        let old = put(&store.join("objects"), &there, b"the host's");

        let came = took(from.path(), &store, BOUNDS);
        assert_eq!((came.files, came.bytes, came.more), (1, 4, false));
        let mut forged = vec![forged, link, fifo];
        forged.sort();
        assert_eq!(came.forged, forged);
        let path = store.join("objects").join(&good[..2]).join(&good[2..4]).join(&good);
        assert_eq!(fs::read(path).unwrap(), b"good");
        assert_eq!(fs::read(old).unwrap(), b"the host's");
        assert_eq!(fs::read_dir(store.join("tmp")).unwrap().count(), 0);
        assert_eq!(took(from.path(), &store, BOUNDS).files, 0, "again");
    }

    #[test]
    fn there_is_an_end_to_it_and_the_rest_comes_later() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for content in [b"aaaa", b"bbbb", b"cccc"] {
            put(from.path(), &name_of(content), content);
        }
        // What a killed sync left does no harm.
        fs::create_dir_all(to.path().join("tmp")).unwrap();
        fs::write(to.path().join("tmp/claudebox-4k7x"), "half").unwrap();
        let bounds = Bounds { bytes: 8, ..BOUNDS };
        let came = took(from.path(), to.path(), bounds);
        assert_eq!((came.files, came.more), (2, true));
        let came = took(from.path(), to.path(), bounds);
        assert_eq!((came.files, came.more), (1, false));
        assert!(took(from.path(), to.path(), Bounds { names: 3, ..BOUNDS }).more);
        let large = File::create(put(from.path(), &"0".repeat(64), b"")).unwrap();
        large.set_len(1 << 40).unwrap();
        assert!(took(from.path(), to.path(), BOUNDS).more);
    }
}
