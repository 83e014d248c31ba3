//! Decides what is certain about an exec whose program was met at its start. `verified` promises:
//! a program was executed by this exec; the file its path names (seen from the sandbox's root) is
//! the very file that ran, or for a script the one whose first line names what ran; what ran was
//! given exactly these arguments, as far as they are kept (a script is not given its first); and
//! none of its own code had run before that was read. Whatever is not proven is not called so.
#![forbid(unsafe_code)]

use std::os::fd::AsFd;

use super::Limits;
use super::arguments::split;
use super::record::{Called, FileId, Names, Started};
use super::root::{self, Root, StartCode};
use crate::bytes::Bytes;
use crate::log::event::Outcome;

/// Scripts whose interpreters are scripts: the kernel's limit (execve(2)).
const LEVELS: usize = 5;

/// What is certain.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// See [`Outcome`].
    pub outcome: Outcome,
    /// The argv that ran, where it is not the one of the call.
    pub argv: Option<Vec<Bytes>>,
    /// The file that ran, by its name inside.
    pub exe: Option<Bytes>,
}

/// Judges one start.
pub fn judge(
    root: &mut Root,
    called: Option<&Called>,
    started: &Started,
    limits: &Limits,
) -> Verdict {
    let exe = started.exe.as_ref().map(AsFd::as_fd);
    let id = exe.and_then(|exe| rustix::fs::fstat(exe).ok()).as_ref().map(FileId::of);
    let proof = match (called, id) {
        (Some(called), Some(id)) => prove(root, called, started.argv.as_deref(), id),
        _ => Proof::Nothing,
    };
    let outcome = match (&proof, exe) {
        _ if started.ambiguous => Outcome::Unverified,
        (Proof::Same | Proof::Script, Some(exe)) => match root.start_code(exe) {
            StartCode::Fixed => Outcome::Verified,
            StartCode::Writable => Outcome::OwnLoader,
            StartCode::Unclear => Outcome::Unverified,
        },
        (Proof::OtherArgv, _) => Outcome::Changed,
        // In another root the same path may well name another file.
        (Proof::OtherFile, Some(exe)) if matches!(root.holds(exe), Ok(Some(_))) => Outcome::Changed,
        _ => Outcome::Unverified,
    };
    let argv = started.argv.as_deref().filter(|_| proof != Proof::Script);
    Verdict { outcome, argv: argv.map(|argv| within(limits, argv)), exe: exe.and_then(root::name) }
}

/// The first arguments, as many as the log keeps.
fn within(limits: &Limits, argv: &[u8]) -> Vec<Bytes> {
    let mut room = limits.arguments;
    split(argv)
        .take(limits.count)
        .map_while(|argument| {
            let kept = argument.get(..limits.argument.min(room)).unwrap_or(argument);
            let argument = (room > 0).then(|| Bytes::from(kept));
            room = room.saturating_sub(kept.len() + 1);
            argument
        })
        .collect()
}

#[derive(Debug, PartialEq, Eq)]
enum Proof {
    /// File and argv are those of the call.
    Same,
    /// The interpreter of the script that was called, with its argv.
    Script,
    /// Another argv.
    OtherArgv,
    /// The argv of the call, and another file.
    OtherFile,
    /// It cannot be told.
    Nothing,
}

/// `ran` is the argv that ran, where it is not the one of the call; `id` the file that ran.
fn prove(root: &mut Root, called: &Called, ran: Option<&[u8]>, id: FileId) -> Proof {
    let Some(ran) = ran else {
        return match root.named(called) {
            Some(named) if named == id => Proof::Same,
            Some(_) => Proof::OtherFile,
            None => Proof::Nothing,
        };
    };
    let script = script_name(called);
    let Names::Path(path) = &called.names else {
        // A script in an open file cannot be read again from outside.
        let maybe = split(ran).any(|argument| argument == script.as_slice());
        return if maybe { Proof::Nothing } else { Proof::OtherArgv };
    };
    let mut before = vec![script];
    let mut file = path.clone();
    for _ in 0..LEVELS {
        let Some(line) = root.script(&file) else { break };
        if let Some(argument) = line.argument {
            before.insert(0, argument);
        }
        let Some(next) = absolute(&line.interpreter, called.cwd.as_ref()) else { break };
        before.insert(0, line.interpreter);
        let Ok(found) = root.find(&next) else { break };
        if found.id == id {
            let before: Vec<&[u8]> = before.iter().map(Vec::as_slice).collect();
            let same = called.arguments.same_behind(&before, ran);
            return if same { Proof::Script } else { Proof::OtherArgv };
        }
        file = next;
    }
    Proof::OtherArgv
}

/// The name under which the kernel hands a script to its interpreter (execveat(2)).
fn script_name(called: &Called) -> Vec<u8> {
    match &called.at {
        Some(at) if at.dirfd != libc::AT_FDCWD && !called.path.0.starts_with(b"/") => {
            let fd = format!("/dev/fd/{}", at.dirfd).into_bytes();
            if called.path.0.is_empty() { fd } else { [&fd, &b"/"[..], &called.path.0].concat() }
        }
        _ => called.path.0.clone(),
    }
}

fn absolute(path: &[u8], cwd: Option<&Bytes>) -> Option<Bytes> {
    if path.starts_with(b"/") {
        return Some(Bytes::from(path));
    }
    Some(Bytes([&cwd?.0, &b"/"[..], path].concat()))
}
