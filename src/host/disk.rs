//! The disk as [`Facts`]: each question is one or two system calls, nothing is remembered.
//! It must never write.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::OFlags;

use super::{Facts, FileFacts, FileKind, Host, NIX_STORE, Written};
use crate::error::Result;
use crate::git;
use crate::git::private::linked::Linked;
use crate::git::private::repository::Repository;
use crate::host_files::survey::{FirstLook, Survey};
use crate::host_files::walk::{Limits, Look, walk};
use crate::session::record::Record;
use crate::session::{Sessions, homes, places};
use crate::subprocess::{self, Group};
use crate::visible::visible;

/// How long `nix-store` may take; a daemon of Nix that is stuck never answers.
const LIMIT: Duration = Duration::from_secs(30);

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Facts for Disk {
    fn lstat(&self, path: &Path) -> Option<FileFacts> {
        fs::symlink_metadata(path).ok().map(|found| facts_of(&found))
    }

    fn read_link(&self, path: &Path) -> Option<PathBuf> {
        fs::read_link(path).ok()
    }

    fn canonicalize(&self, path: &Path) -> Option<PathBuf> {
        // realpath(3) asks for each component; most of what is asked for is not there.
        fs::symlink_metadata(path).ok()?;
        fs::canonicalize(path).ok()
    }

    fn read_head(&self, path: &Path, max: usize) -> Option<Vec<u8>> {
        let file = open_regular(path)?;
        let mut head = Vec::new();
        let max = u64::try_from(max).unwrap_or(u64::MAX);
        file.take(max).read_to_end(&mut head).ok()?;
        Some(head)
    }

    fn program(&self, host: &Host, name: &str, also: Option<&Path>) -> Option<PathBuf> {
        host.program(name, also)
    }

    fn host_files(&self, project: &Path, look: &FirstLook<'_>) -> Survey {
        let FirstLook { own_git, extra } = *look;
        let look =
            Look { limits: Limits::START, own_git, packages: false, extra, into: &|_: &[u8]| true };
        walk(project, &look).unwrap_or(Survey { unseen: 1, ..Survey::default() })
    }

    fn repository(
        &self,
        project: &Path,
        linked: Option<&Linked>,
        host: &Host,
    ) -> Result<Repository> {
        git::private::survey::look(project, linked, host).map_err(git::private::refuse::instead)
    }

    fn projects(&self, host: &Host) -> Vec<Written> {
        let sessions = Sessions::new(&host.dirs).all().into_iter();
        // A session may be removed; what it left is not.
        let homes = homes::all(&host.dirs.state).into_iter().map(|home| home.project);
        let places = sessions.flat_map(|found| {
            let Record { project, places, .. } = found.record;
            [project].into_iter().chain(places).map(PathBuf::from)
        });
        places.chain(homes).map(Written::from).chain(places::all(&host.dirs.state)).collect()
    }

    fn links(&self, path: &Path) -> Vec<OsString> {
        let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
        // The kind comes with the name; lstat(2) is asked only by file systems that do not tell.
        let is_link = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_symlink());
        let links = entries.flatten().filter(is_link);
        let mut names: Vec<OsString> = links.map(|entry| entry.file_name()).collect();
        names.sort();
        names
    }

    fn requisites(&self, host: &Host, paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
        let program = host.program(NIX_STORE, None).ok_or("there is no nix-store on PATH")?;
        let mut ask = Command::new(program);
        // One program under many names: it looks at its own.
        ask.arg0(NIX_STORE).args(["--query", "--requisites"]).args(paths);
        ask.env_clear().env("HOME", &host.home);
        ask.env("PATH", host.path_outside());
        if let Some(remote) = host.environment.get(OsStr::new("NIX_REMOTE")) {
            ask.env("NIX_REMOTE", remote);
        }
        paths_of(ask, LIMIT).map_err(|why| format!("{NIX_STORE}: {why}"))
    }
}

/// The paths that `nix-store` prints, one a line.
fn paths_of(ask: Command, limit: Duration) -> Result<Vec<PathBuf>, String> {
    let output = subprocess::output(ask, Group::Own, limit).map_err(|err| err.to_string())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.is_empty()).unwrap_or("it failed");
        return Err(visible(last));
    }
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map(|line| PathBuf::from(OsString::from_vec(line.to_vec()))).collect())
}

/// Opens a regular file for reading. `O_NONBLOCK`, because a FIFO in an agent's place for a file
/// would otherwise hold the start up for ever.
fn open_regular(path: &Path) -> Option<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).ok()?;
    let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}

/// What of lstat(2) policy asks for.
pub(crate) fn facts_of(found: &fs::Metadata) -> FileFacts {
    let kind = if found.is_symlink() {
        FileKind::Symlink
    } else if found.is_dir() {
        FileKind::Directory
    } else if found.is_file() {
        FileKind::File
    } else {
        FileKind::Other
    };
    let born = found.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    FileFacts {
        kind,
        uid: found.uid(),
        mode: found.mode() & 0o7777,
        size: found.size(),
        born: born.map(|born| born.as_nanos()).filter(|born| *born != 0),
        number: (found.dev(), found.ino()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_fifo_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
        assert_eq!(Disk.read_head(&fifo, 10), None);
        assert_eq!(Disk.lstat(&fifo).unwrap().kind, FileKind::Other);
    }

    #[test]
    fn a_head_is_only_a_head() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, "#!/bin/sh\nbody").unwrap();
        assert_eq!(Disk.read_head(&file, 9).unwrap(), b"#!/bin/sh");
    }

    #[test]
    fn links_are_found_among_other_files() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        for (name, target) in [("b", "file"), ("a", "/nowhere")] {
            std::os::unix::fs::symlink(target, dir.path().join(name)).unwrap();
        }
        assert_eq!(Disk.links(dir.path()), ["a", "b"]);
        assert!(Disk.links(&dir.path().join("file")).is_empty());
    }

    #[test]
    fn a_daemon_of_nix_that_is_stuck_does_not_hold_the_start_up() {
        let mut ask = Command::new("/bin/sh");
        ask.args(["-c", "sleep 60"]);
        let error = paths_of(ask, Duration::from_millis(50)).unwrap_err();
        assert_eq!(error, "no answer in 50ms");
    }

    #[test]
    fn the_store_is_not_asked_by_a_program_of_the_project() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let bin = root.join("project/bin");
        fs::create_dir_all(&bin).unwrap();
        let script = "#!/bin/sh\necho /nix/store/x\necho \"$PATH\"\n";
        fs::write(bin.join(NIX_STORE), script).unwrap();
        fs::set_permissions(bin.join(NIX_STORE), fs::Permissions::from_mode(0o755)).unwrap();
        let environment = [("PATH".into(), bin.clone().into_os_string())];
        let host = Host { cwd: root.clone(), environment: environment.into(), ..Host::default() };
        let named = Host { named: Some("project".into()), ..host.clone() };
        let error = Disk.requisites(&named, &[]).unwrap_err();
        assert_eq!(error, "there is no nix-store on PATH");
        let control = Disk.requisites(&host, &[]).unwrap();
        assert_eq!(control, ["/nix/store/x".into(), bin]);
    }
}
