//! What is written down about a session: `session.json` when it begins, `status.json` when it
//! ends. Neither may ever hold an environment value; the command is kept as a name only.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::id::Id;
use crate::bytes::Bytes;
use crate::error::{Error, Kind, exit};
use crate::json_file;
use crate::log::event::Micros;

/// The version of both files.
pub const RECORD_VERSION: u32 = 1;

/// `session.json`: what a session is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_VERSION`]
    pub v: u32,
    /// Its id.
    pub id: Id,
    /// When it began.
    pub created: Micros,
    /// Where it stands among others: as `created`, but behind the session before it in its project even
    /// if the clock was set back meanwhile.
    #[serde(default)]
    pub rank: Micros,
    /// The project directory.
    pub project: Bytes,
    /// What else of the host the user lets it write: files and directories, canonical.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Bytes>,
    /// The directory it was started in.
    pub cwd: Bytes,
    /// The profile's name.
    pub profile: String,
    /// The network mode.
    pub network: String,
    /// The name of the program that was asked for.
    pub command: Bytes,
    /// Where the agent shows itself.
    pub mode: Mode,
    /// The tmux that its own server is of, canonical: the one that was found safe before the agent ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tmux: Option<Bytes>,
    /// The directory of its sockets.
    pub runtime: Bytes,
}

impl Record {
    /// What sessions are ordered by; one of an earlier version has no rank.
    pub fn rank(&self) -> Micros {
        self.rank.max(self.created)
    }
}

/// Where the agent shows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// In a pane of claudebox's own tmux server; can be attached to.
    Tmux,
    /// In a pane of the user's tmux.
    UserTmux,
    /// In the terminal claudebox was started in.
    Terminal,
}

/// `status.json`: how a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`RECORD_VERSION`]
    pub v: u32,
    /// The code claudebox exits with.
    pub code: u8,
    /// Why it ended, as in the log's last line; `launcher` when the agent never started.
    pub reason: String,
    /// When.
    pub ended: Micros,
    /// How many execs were logged.
    pub execs: u64,
    /// How many lines the log has, and the last hash of its chain: they show a log that was cut.
    pub events: u64,
    /// See `events`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// What went wrong, where claudebox itself failed; ready for a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// What stood on the agent's screen, where it ended too soon to be read; visible text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_words: Vec<String>,
}

impl Status {
    /// The status of a session that claudebox itself could not start or keep up.
    pub fn of_failure(error: &Error, ended: Micros) -> Self {
        Self {
            v: RECORD_VERSION,
            code: error.kind().exit_code(),
            reason: "launcher".into(),
            ended,
            execs: 0,
            events: 0,
            head: None,
            message: Some(error.to_string()),
            hints: error.hints().to_vec(),
            last_words: Vec::new(),
        }
    }

    /// The failure that this status tells of, to be reported as if it had happened here.
    pub fn failure(&self) -> Option<Error> {
        let message = self.message.as_ref()?;
        let kind = match self.code {
            exit::USAGE => Kind::Usage,
            exit::CANNOT_EXECUTE => Kind::CannotExecute,
            exit::NOT_FOUND => Kind::NotFound,
            _ => Kind::Launcher,
        };
        let error = Error::new(kind, message.clone());
        Some(self.hints.iter().fold(error, |error, hint| error.hint(hint.clone())))
    }
}

/// How much room [`reserve`] takes, in bytes: more than any status needs, last words and all.
const RESERVED: u64 = 64 << 10;
/// The same for a status without last words: what the smallest file takes anyway.
const LEAST: u64 = 4 << 10;

/// Takes the room for what [`write_reserved`] will write: on a disk that is full by then, there is
/// none to be had. `last_words`: the agent's are part of it.
pub fn reserve(path: &Path, last_words: bool) -> io::Result<()> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(reserved(path))?;
    let room = if last_words { RESERVED } else { LEAST };
    match rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, room) {
        // Some file systems cannot promise room (fallocate(2)); there it is left to luck.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// As [`json_file::write()`], into the room that was reserved.
pub fn write_reserved(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let text = json_file::line(value)?;
    let new = reserved(path);
    let fill = || {
        let mut file = File::options().write(true).open(&new)?;
        file.write_all(&text)?;
        // Gives back what was not needed; that takes longer than all the rest.
        if file.metadata()?.blocks() * 512 > LEAST {
            file.set_len(text.len() as u64)?;
        }
        fs::rename(&new, path)
    };
    fill().or_else(|_| json_file::write(path, value))
}

fn reserved(path: &Path) -> PathBuf {
    path.with_extension("new")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json_file::{read, write};

    #[test]
    fn a_failure_survives_the_file_with_its_hints() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("status.json");
        let error = Error::new(Kind::NotFound, "no such program: `x`").hint("install it");
        write(&path, &Status::of_failure(&error, 7)).unwrap();
        let read: Status = read(&path).unwrap();
        let again = read.failure().unwrap();
        assert_eq!(read.code, 127);
        assert_eq!(again.kind(), Kind::NotFound);
        assert_eq!(again.to_string(), error.to_string());
        assert_eq!(again.hints(), error.hints());
    }

    #[test]
    fn what_was_reserved_becomes_the_record() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("status.json");
        reserve(&path, true).unwrap();
        assert_eq!(read::<Status>(&path), None, "it is none yet");
        let error = Error::launcher("x");
        let status = Status::of_failure(&error, 7);
        write_reserved(&path, &status).unwrap();
        assert_eq!(read(&path), Some(status.clone()));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        assert!(fs::metadata(&path).unwrap().blocks() * 512 <= LEAST);
        // And without a reserve, as for a session of an earlier version.
        write_reserved(&path, &status).unwrap();
        assert_eq!(read(&path), Some(status));
    }

    #[test]
    fn half_a_file_is_no_record() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("session.json");
        fs::write(&path, "{\"v\":1,\"id\":\"4k7x").unwrap();
        assert_eq!(read::<Record>(&path), None);
    }
}
