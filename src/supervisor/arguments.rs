//! bwrap's arguments, with every file they name open: what was opened, and not what stands at its path
//! later, is what bwrap mounts. What is mounted so is noted, for the inner stage to look whether it is.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};

use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::nofollow;
use crate::plan::{Arg, FdSource};
use crate::sandbox::inner::handshake::Mounted;
use crate::sys::fds;
use crate::visible::{visible, visible_path};

/// What becomes of a plan's arguments.
#[derive(Default)]
pub(super) struct Arguments {
    /// As `--args` reads them, each ended by NUL.
    pub(super) words: Vec<u8>,
    /// The descriptors they name.
    pub(super) opened: Vec<OwnedFd>,
    /// What is mounted by descriptor, and covered by nothing that comes later.
    pub(super) mounts: Vec<Mounted>,
}

impl Arguments {
    /// Opens what they name; `session` is the session's directory.
    pub(super) fn open(args: &[Arg], session: &Path) -> Result<Self> {
        let Self { mut words, mut opened, mut mounts } = Self::default();
        for (index, arg) in args.iter().enumerate() {
            if let Some(destination) = destination(&args[index..]) {
                mounts.retain(|earlier: &Mounted| {
                    !earlier.destination.as_path().starts_with(destination.as_path())
                });
            }
            match arg {
                Arg::Literal(word) if word.0.contains(&0) => {
                    let shown = visible(word);
                    return Err(Error::launcher(format!(
                        "a NUL byte in the bwrap argument {shown}"
                    )));
                }
                Arg::Literal(word) => words.extend_from_slice(word.as_ref()),
                Arg::Session(path) => {
                    let path = session.join(path.as_path());
                    words.extend_from_slice(path.as_os_str().as_bytes());
                }
                Arg::Fd(source) => {
                    let fd = open(source, session)?;
                    words.extend_from_slice(fds::number(&fd).as_bytes());
                    if let Some(before) = index.checked_sub(1) {
                        mounts.extend(mounted(&args[before..], &fd)?);
                    }
                    opened.push(fd);
                }
            }
            words.push(0);
        }
        Ok(Self { words, opened, mounts })
    }
}

/// Where the operation that begins here mounts something.
fn destination(args: &[Arg]) -> Option<&Bytes> {
    let Arg::Literal(option) = args.first()? else { return None };
    let at = match option.as_ref() {
        b"--tmpfs" | b"--dev" | b"--proc" => 1,
        b"--bind" | b"--ro-bind" | b"--bind-fd" | b"--ro-bind-fd" | b"--ro-bind-data" => 2,
        _ => return None,
    };
    match args.get(at)? {
        Arg::Literal(destination) => Some(destination),
        Arg::Fd(_) | Arg::Session(_) => None,
    }
}

/// What the operation that begins here mounts, if it does so by this descriptor.
fn mounted(args: &[Arg], fd: &OwnedFd) -> Result<Option<Mounted>> {
    let [
        Arg::Literal(option),
        Arg::Fd(FdSource::Path { .. } | FdSource::Session(_)),
        Arg::Literal(destination),
        ..,
    ] = args
    else {
        return Ok(None);
    };
    let stat = fstat(fd).tried(|| format!("examine what is to be {}", visible(destination)))?;
    Ok(Some(Mounted {
        destination: destination.clone(),
        device: stat.st_dev,
        inode: stat.st_ino,
        read_only: option.as_ref() == b"--ro-bind-fd",
    }))
}

fn open(source: &FdSource, session: &Path) -> Result<OwnedFd> {
    match source {
        FdSource::Data(bytes) => {
            fds::sealed("bwrap-data", bytes.as_ref()).tried(|| "make a memory file")
        }
        FdSource::Content(path) => {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            openat(CWD, path.as_path(), flags, Mode::empty())
                .map_err(|errno| not_opened(&visible(path), errno))
        }
        FdSource::Path { beneath, path } => open_beneath(beneath.as_path(), path.as_path()),
        FdSource::Session(path) => open_beneath(session, path.as_path()),
    }
}

fn open_beneath(beneath: &Path, path: &Path) -> Result<OwnedFd> {
    let shown = visible_path(&beneath.join(path));
    let root = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, beneath, root, Mode::empty())
        .and_then(|root| nofollow::beneath(root, path, OFlags::PATH))
        .map_err(|errno| not_opened(&shown, errno))
}

fn not_opened(shown: &str, errno: rustix::io::Errno) -> Error {
    let error = Error::launcher(format!("cannot open {shown}: {errno}"));
    match errno {
        rustix::io::Errno::LOOP => error.hint(
            "a component of it is a symbolic link: the project could point it anywhere, so it is \
             not followed",
        ),
        rustix::io::Errno::NOSYS => error.hint(
            "the kernel has no openat2(2) (Linux 5.6), or a container around this one forbids it: \
             without it links would be followed",
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn arguments_are_ended_by_nul_and_name_their_descriptors() {
        let data = Arg::Fd(FdSource::Data(Bytes::from("x")));
        let file = Arg::Literal(Bytes(b"a \n\xff".to_vec()));
        let Arguments { words, opened, mounts } =
            Arguments::open(&[Arg::Literal("--file".into()), data, file], Path::new("/")).unwrap();
        assert_eq!(mounts, []);
        let number = fds::number(&opened[0]);
        assert_eq!(words, [b"--file\0", number.as_bytes(), b"\0a \n\xff\0"].concat());
    }

    #[test]
    fn what_is_covered_later_is_not_expected() {
        let dir = tempfile::tempdir().unwrap();
        let word = |word: &str| Arg::Literal(word.into());
        let fd = || Arg::Fd(FdSource::Path { beneath: dir.path().into(), path: "".into() });
        let mut args = vec![word("--bind-fd"), fd(), word("/a"), word("--ro-bind-fd"), fd()];
        args.extend([word("/a/b"), word("--tmpfs"), word("/a/b"), word("--ro-bind-fd"), fd()]);
        args.push(word("/c"));
        let mounts = Arguments::open(&args, Path::new("/")).unwrap().mounts;
        let shown = |mounted: &Mounted| (mounted.destination.clone(), mounted.read_only);
        let shown: Vec<(Bytes, bool)> = mounts.iter().map(shown).collect();
        assert_eq!(shown, [("/a".into(), false), ("/c".into(), true)]);
    }

    #[test]
    fn what_is_the_sessions_is_found_in_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("git/private")).unwrap();
        let fd = Arg::Fd(FdSource::Session("git/private".into()));
        let word = |word: &str| Arg::Literal(word.into());
        let args = [word("--bind-fd"), fd, word("/p/.git"), Arg::Session("git".into())];
        let Arguments { words, mounts, .. } = Arguments::open(&args, dir.path()).unwrap();
        assert_eq!(mounts[0].destination, "/p/.git".into());
        assert!(words.ends_with(format!("{}/git\0", dir.path().display()).as_bytes()));
    }

    #[test]
    fn an_argument_cannot_smuggle_in_another() {
        assert!(
            Arguments::open(&[Arg::Literal(Bytes(b"/x\0--bind\0/".to_vec()))], Path::new("/"))
                .is_err()
        );
    }

    #[test]
    fn a_link_that_the_project_planted_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/etc", dir.path().join("link")).unwrap();
        let at =
            |path: &str| FdSource::Path { beneath: Bytes::from(dir.path()), path: path.into() };
        for path in ["link", "link/passwd", "../x", "/etc"] {
            assert!(open(&at(path), Path::new("/")).is_err(), "{path}");
        }
        std::fs::create_dir(dir.path().join("real")).unwrap();
        assert!(open(&at("real"), Path::new("/")).is_ok());
    }
}
