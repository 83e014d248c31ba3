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
use crate::error::{Error, Result, Tried as _};
use crate::json_file;
use crate::subprocess::{self, Group};
use crate::visible::{visible, visible_path};

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
    if found.mode() & 0o4000 != 0 {
        // Nothing starts with it, and bwrap 0.12 answers nothing.
        return Ok(Some(Bwrap { path: program, options: BTreeSet::new(), setuid: true }));
    }
    let identity = Identity::of(&program, &found);
    if let Some(options) = recall(cache, &identity) {
        return Ok(Some(Bwrap { path: program, options, setuid: false }));
    }
    let options = ask(&program, LIMIT)?;
    remember(cache, identity, &options);
    Ok(Some(Bwrap { path: program, options, setuid: false }))
}

/// Runs `bwrap --help` with an empty environment and takes the options out of it. A bwrap that fails, for
/// want of memory or of a library, is an error of now: what it does not say must not be kept.
fn ask(program: &Path, limit: Duration) -> Result<BTreeSet<String>> {
    let mut command = Command::new(program);
    command.arg("--help").env_clear();
    let output = subprocess::output(command, Group::Own, limit)
        .tried(|| format!("run {} --help", visible_path(program)))?;
    let options = options_of(&output.stdout);
    if output.status.success() && !options.is_empty() {
        return Ok(options);
    }
    let said = visible(output.stderr.trim_ascii());
    let how = if said.is_empty() { output.status.to_string() } else { said };
    let shown = visible_path(program);
    Err(Error::launcher(format!("{shown} does not say what it can do: {how}"))
        .hint(format!("see what `{shown} --help` says; if it is broken, install bubblewrap again")))
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

/// The options from the cache, if they are of this very program. None at all is no answer of a bwrap's.
fn recall(cache: &Path, identity: &Identity) -> Option<BTreeSet<String>> {
    let cached: Cached = json_file::read(&cache.join(CACHE))?;
    (cached.of == *identity && !cached.options.is_empty()).then_some(cached.options)
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
    use super::*;
    use crate::dirs::Dirs;
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

    fn host(root: &Path) -> Host {
        Host {
            cwd: root.into(),
            environment: [("PATH".into(), root.join("bin").into())].into(),
            dirs: Dirs { cache: root.join("cache"), ..Dirs::default() },
            ..Host::default()
        }
    }

    #[test]
    fn what_a_bwrap_that_fails_does_not_say_is_not_kept() {
        let tmp = tempfile::tempdir().unwrap();
        let host = host(tmp.path());
        let program = tmp.path().join("bin/bwrap");
        let flag = tmp.path().join("works");
        // The same file: only how it fares changes, as when memory is short.
        script(
            &tmp.path().join("bin"),
            &format!(
                "test -e {} || {{ echo 'no lib' >&2; exit 127; }}; echo --args",
                flag.display()
            ),
        );
        let error = find(&host).unwrap_err();
        let expected = format!("{} does not say what it can do: no lib", program.display());
        assert_eq!(error.to_string(), expected);
        assert!(!error.hints().is_empty());
        // As an earlier claudebox kept it.
        let identity = Identity::of(&program, &fs::metadata(&program).unwrap());
        remember(&host.dirs.cache, identity, &BTreeSet::new());
        fs::write(&flag, "").unwrap();
        assert!(find(&host).unwrap().unwrap().has("--args"));
        script(&tmp.path().join("bin"), "exit 0");
        assert!(find(&host).unwrap_err().to_string().ends_with("exit status: 0"));
        script(&tmp.path().join("bin"), "echo --args; kill -9 $$");
        assert!(find(&host).unwrap_err().to_string().contains("signal: 9"));
    }

    #[test]
    fn it_is_asked_once_and_again_when_it_changed() {
        let tmp = tempfile::tempdir().unwrap();
        let (bin, cache) = (tmp.path().join("bin"), tmp.path().join("cache"));
        script(&bin, "echo x >> $0.asked; echo --args");
        let host = host(tmp.path());
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
