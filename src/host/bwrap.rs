//! Finds bwrap and asks it once for its options. It must never start a bwrap that a project
//! could have put on `PATH`: this one runs outside of every sandbox.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Bwrap, Host};
use crate::bytes::Bytes;
use crate::error::{Result, Tried as _};
use crate::json_file;
use crate::subprocess::{self, Group};
use crate::visible::visible_path;

/// The name of the cache file.
const CACHE: &str = "bwrap.json";

/// How long it may take to say what it can do.
const LIMIT: Duration = Duration::from_secs(10);

/// The bwrap of this host, with its options. `None` where there is none.
///
/// # Errors
/// When a bwrap is there and does not answer `--help`.
pub(super) fn find(host: &Host) -> Result<Option<Bwrap>> {
    let Some(program) = host.program("bwrap", None) else { return Ok(None) };
    let cache = &host.dirs.cache;
    let found = fs::metadata(&program).tried(|| format!("look at {}", visible_path(&program)))?;
    let setuid = found.mode() & 0o4000 != 0;
    let identity = Identity::of(&program, &found);
    if let Some(options) = recall(cache, &identity) {
        return Ok(Some(Bwrap { path: program, options, setuid }));
    }
    let options = ask(&program, LIMIT)?;
    remember(cache, identity, &options);
    Ok(Some(Bwrap { path: program, options, setuid }))
}

/// Runs `bwrap --help` with an empty environment and takes the options out of it.
fn ask(program: &Path, limit: Duration) -> Result<BTreeSet<String>> {
    let mut command = Command::new(program);
    command.arg("--help").env_clear();
    let output = subprocess::output(command, Group::Own, limit)
        .tried(|| format!("run {} --help", visible_path(program)))?;
    Ok(options_of(&output.stdout))
}

/// The long options that begin a line of the help text.
fn options_of(help: &[u8]) -> BTreeSet<String> {
    help.split(|byte| *byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(str::to_owned)
        .collect()
}

/// What tells one bwrap from the next.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    path: Bytes,
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    fn of(path: &Path, found: &fs::Metadata) -> Self {
        Self {
            path: path.into(),
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// The cache file.
#[derive(Debug, Serialize, Deserialize)]
struct Cached {
    of: Identity,
    options: BTreeSet<String>,
}

/// The options from the cache, if they are of this very program.
fn recall(cache: &Path, identity: &Identity) -> Option<BTreeSet<String>> {
    let cached: Cached = json_file::read(&cache.join(CACHE))?;
    (cached.of == *identity).then_some(cached.options)
}

/// Writes the cache. It is only an optimisation: whatever fails here is not a failure.
fn remember(cache: &Path, of: Identity, options: &BTreeSet<String>) {
    let store = || -> std::io::Result<()> {
        fs::create_dir_all(cache)?;
        json_file::write(&cache.join(CACHE), &Cached { of, options: options.clone() })
    };
    if let Err(err) = store() {
        tracing::debug!("the options of bwrap are not cached: {err}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::Dirs;
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    fn script(dir: &Path, text: &str) -> PathBuf {
        fs::create_dir_all(dir).unwrap();
        let path = dir.join("bwrap");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn options_begin_their_line() {
        let help =
            b"usage: bwrap [OPTIONS...]\n\n    --help    Print\n    --args FD  see --perms\n";
        assert_eq!(Vec::from_iter(options_of(help)), ["--args", "--help"]);
    }

    #[test]
    fn one_that_hangs_is_an_error() {
        let tmp = tempfile::tempdir().unwrap();
        let program = script(tmp.path(), "sleep 60");
        let error = ask(&program, Duration::from_millis(50)).unwrap_err().to_string();
        assert!(error.ends_with("/bwrap --help: no answer in 50ms"), "{error}");
    }

    #[test]
    fn it_is_asked_once_and_again_when_it_changed() {
        let tmp = tempfile::tempdir().unwrap();
        let (bin, cache) = (tmp.path().join("bin"), tmp.path().join("cache"));
        script(&bin, "echo x >> $0.asked; echo --args");
        let host = Host {
            cwd: tmp.path().into(),
            environment: [("PATH".into(), bin.clone().into())].into(),
            dirs: Dirs { cache: cache.clone(), ..Dirs::default() },
            ..Host::default()
        };
        let find = || find(&host).unwrap().unwrap();
        assert_eq!(find(), find());
        let asked = || fs::read_to_string(bin.join("bwrap.asked")).unwrap().len();
        assert_eq!(asked(), 2);
        script(&bin, "echo x >> $0.asked; echo --args; echo --bind-fd");
        assert!(find().options.contains("--bind-fd"));
        assert_eq!(asked(), 4);
        fs::write(cache.join(CACHE), "{").unwrap();
        assert!(find().options.contains("--bind-fd"));
        assert_eq!(asked(), 6);
    }
}
