//! The box: a bwrap of its own around every git that reads what an agent wrote. There is nothing in it
//! but the system's programs, the private git directory and the object directories that it borrows
//! from: no network, no home, no other process, no capability. A flaw of git that a crafted pack
//! reaches is met there. It must never show a directory of the host's to be written.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::call::{self, Limits, Outcome};
use super::record::Record;
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::subprocess::Group;
use crate::sys::{fds, process};

/// Where the private git directory is in the box.
pub const GIT_DIR: &str = "/g";

/// Where a copy of the agent's index is in the box.
pub const INDEX: &str = "/tmp/index";

/// How much a box may write outside of the private directory, bytes: a copy of the index.
const SCRATCH: u64 = 1 << 30;
/// How much memory each process in a box may ask for, bytes.
const MEMORY: u64 = 4 << 30;

/// Where programs and libraries are, as far as there is such a thing.
const SYSTEM: [&str; 8] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"];

/// What git is told in a box. The agent's configuration is there, and none of the user's.
const FLAGS: [&str; 8] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.alternateRefsCommand=true",
    "core.compression=0",
    "gc.auto=0",
    "maintenance.auto=false",
    "safe.directory=*",
    "uploadpack.allowAnySHA1InWant=true",
];

/// What the box can do to the private directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    Read,
    /// Put objects into it as well.
    Write,
}

/// A box for one private directory.
#[derive(Debug)]
pub struct Boxed<'a> {
    record: &'a Record,
    /// An empty file, to be mounted where git would find more object directories.
    empty: PathBuf,
}

impl<'a> Boxed<'a> {
    /// For the private directory of this record. `scratch` is a directory of claudebox's own.
    ///
    /// # Errors
    /// When there can be no file in `scratch`.
    pub fn new(record: &'a Record, scratch: &Path) -> Result<Self> {
        let empty = scratch.join("empty");
        fs::write(&empty, "").tried(|| "make an empty file for the boxes of git")?;
        Ok(Self { record, empty })
    }

    /// Runs a script of sh(1) in the box, in which `git` is the host's, with what the box must not be
    /// asked for set. `index`: what becomes a file of the box's own, [`INDEX`].
    ///
    /// # Errors
    /// As of [`super::call::Call::outcome`].
    pub fn script(
        &self,
        what: &str,
        script: &str,
        access: Access,
        index: Option<OwnedFd>,
    ) -> Result<Outcome> {
        let mut command = Command::new(self.record.bwrap.as_path());
        command.env_clear().current_dir("/").args(self.arguments(access, index.as_ref()));
        if let Some(index) = index {
            process::hand_over(&mut command, index);
        }
        command.args([
            "/bin/sh",
            "-c",
            &format!("git() {{ \"$GIT\" {}\"$@\"; }}\n{script}", flags()),
        ]);
        let limits = Limits { memory: Some(MEMORY), file_size: Some(SCRATCH), ..Limits::default() };
        call::run(command, what, b"", limits, Group::Kept)
    }

    /// The value of `--upload-pack` with which git fetches from the box, by a call that says
    /// [`call::Call::starts_a_box`]; the repository is then [`GIT_DIR`], which git puts behind it.
    ///
    /// # Errors
    /// When a path has a NUL in it, which no path has.
    pub fn upload_pack(&self) -> Result<OsString> {
        let mut words: Vec<OsString> = vec![self.record.bwrap.as_os_str().into()];
        words.extend(self.arguments(Access::Read, None));
        words.push(self.record.program.as_os_str().into());
        for flag in FLAGS {
            words.extend(["-c".into(), flag.into()]);
        }
        words.push("upload-pack".into());
        let mut line = Vec::new();
        for word in words {
            let quoted = shlex::bytes::try_quote(word.as_bytes())
                .map_err(|_| Error::launcher("cannot quote a path for the box of git"))?;
            line.extend_from_slice(&quoted);
            line.push(b' ');
        }
        line.pop();
        Ok(OsString::from_vec(line))
    }

    fn arguments(&self, access: Access, index: Option<&OwnedFd>) -> Vec<OsString> {
        let mut args: Vec<OsString> = Vec::new();
        let mut put = |words: &[&OsStr]| args.extend(words.iter().map(|word| (*word).to_owned()));
        for word in ["--unshare-all", "--die-with-parent", "--clearenv"] {
            put(&[word.as_ref()]);
        }
        put(&["--cap-drop".as_ref(), "ALL".as_ref()]);
        for path in SYSTEM.map(Path::new) {
            let Ok(found) = path.symlink_metadata() else { continue };
            match (found.is_symlink(), fs::read_link(path)) {
                (true, Ok(to)) => put(&["--symlink".as_ref(), to.as_ref(), path.as_ref()]),
                _ => put(&["--ro-bind".as_ref(), path.as_ref(), path.as_ref()]),
            }
        }
        for path in self.beside_the_system() {
            put(&["--ro-bind".as_ref(), path.as_ref(), path.as_ref()]);
        }
        put(&["--dev".as_ref(), "/dev".as_ref()]);
        let size = SCRATCH.to_string();
        put(&["--size".as_ref(), size.as_ref(), "--tmpfs".as_ref(), "/tmp".as_ref()]);
        if let Some(index) = index {
            let number = fds::number(index);
            put(&["--file".as_ref(), number.as_ref(), INDEX.as_ref()]);
        }
        let bind = match access {
            Access::Read => "--ro-bind",
            Access::Write => "--bind",
        };
        let git_dir: &OsStr = GIT_DIR.as_ref();
        put(&[bind.as_ref(), self.record.private.as_os_str(), git_dir]);
        for store in &self.record.objects {
            let (host, inside) = (store.host.as_os_str(), store.inside.as_os_str());
            put(&["--ro-bind".as_ref(), host, inside]);
            let more = Path::new("info/alternates");
            if store.host.as_path().join(more).symlink_metadata().is_ok() {
                let at = store.inside.as_path().join(more);
                put(&["--ro-bind".as_ref(), self.empty.as_ref(), at.as_ref()]);
            }
        }
        // The private directory names them as they are inside, by its own name, which is not here.
        let stores: Vec<_> = self.record.objects.iter().map(|it| it.inside.0.as_slice()).collect();
        let stores = stores.join(&b':');
        let variables: [(&str, &OsStr); 11] = [
            ("GIT_ALTERNATE_OBJECT_DIRECTORIES", OsStr::from_bytes(&stores)),
            ("PATH", "/usr/bin:/bin".as_ref()),
            ("LC_ALL", "C".as_ref()),
            ("GIT", self.record.program.as_os_str()),
            ("GIT_DIR", git_dir),
            ("GIT_WORK_TREE", "/tmp".as_ref()),
            ("GIT_PROTOCOL", "version=2".as_ref()),
            // No protocol has that name; of what the agent's configuration says, none is allowed.
            ("GIT_ALLOW_PROTOCOL", "none".as_ref()),
            ("GIT_NO_REPLACE_OBJECTS", "1".as_ref()),
            ("GIT_NO_LAZY_FETCH", "1".as_ref()),
            ("GIT_CONFIG_NOSYSTEM", "1".as_ref()),
        ];
        for (name, value) in variables {
            put(&["--setenv".as_ref(), name.as_ref(), value]);
        }
        put(&["--chdir".as_ref(), git_dir, "--".as_ref()]);
        args
    }

    /// A git that is not the system's: its program, and where it has the rest.
    fn beside_the_system(&self) -> Vec<PathBuf> {
        let program = self.record.program.as_path();
        let is_there = |path: &Path| SYSTEM.iter().any(|system| path.starts_with(system));
        if is_there(program) {
            return Vec::new();
        }
        let call = call::Call::new(program, "ask git where its programs are").arg("--exec-path");
        let said = call.run().unwrap_or_default();
        let parts = PathBuf::from(OsString::from(Bytes::from(said.trim_ascii_end())));
        [program.to_owned(), parts].into_iter().filter(|path| path.is_absolute()).collect()
    }
}

fn flags() -> String {
    FLAGS.map(|flag| format!("-c '{flag}' ")).concat()
}
