//! A terminal of which the test sees each byte: what arrives at the user's terminal, before any
//! emulator has made a picture of it. The test is the keyboard, and the emulator's answers.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};

use super::DEADLINE;
use super::place::Place;
use super::user::User;

/// A terminal with one program in it.
#[derive(Debug)]
pub(crate) struct Pty {
    master: File,
    arrived: Arc<Mutex<Vec<u8>>>,
    child: Child,
}

impl Pty {
    /// Opens a terminal of 160 columns and 40 rows and runs the command in it, in the project.
    pub(crate) fn open<S: AsRef<OsStr>>(
        place: &Place,
        command: impl IntoIterator<Item = S>,
    ) -> Self {
        let size = Winsize { ws_row: 40, ws_col: 160, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        // A copy of our end in the child would keep the terminal from hanging up.
        fcntl(&pty.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        if let User::Unprivileged { uid, .. } = place.user() {
            nix::unistd::fchown(pty.slave.as_fd(), Some(uid.into()), None).unwrap();
        }
        let end = || pty.slave.try_clone().unwrap();
        let mut run = Command::new("setsid");
        run.args(["--ctty", "--wait"]).args(command).env_clear().envs(place.environment());
        place.user().apply(&mut run);
        run.current_dir(place.project()).stdin(end()).stdout(end()).stderr(end());
        let child = run.spawn().unwrap();
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let master = File::from(pty.master);
        let (mut from, into) = (master.try_clone().unwrap(), Arc::clone(&arrived));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut bytes) {
                into.lock().unwrap_or_else(PoisonError::into_inner).extend(&bytes[..length]);
            }
        });
        Self { master, arrived, child }
    }

    /// Types text, or answers for the emulator.
    pub(crate) fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Every byte so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until these bytes have arrived.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        let until = Instant::now() + DEADLINE;
        while !contains(&self.bytes(), text.as_bytes()) {
            let bytes = self.bytes();
            let last = &bytes[bytes.len().saturating_sub(4000)..];
            assert!(Instant::now() < until, "{text:?} never arrived: {}", last.escape_ascii());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the program's end; its code.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> i32 {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
            }
            assert!(Instant::now() < until, "still running: {}", self.bytes().escape_ascii());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a text is in others.
pub(crate) fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// The control strings in what arrived (ECMA-48: OSC, DCS, APC, PM, SOS, and the title of `ESC k`),
/// each with its introducer and without its end.
pub(crate) fn control_strings(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == 0x1b) {
        rest = &rest[at + 1..];
        let Some(kind @ (b']' | b'P' | b'_' | b'^' | b'X' | b'k')) = rest.first() else { continue };
        let bell = |byte: &u8| *byte == 7 && *kind == b']';
        let end = rest.iter().position(|byte| *byte == 0x1b || bell(byte)).unwrap_or(rest.len());
        found.push(rest[..end].to_vec());
        rest = &rest[end..];
    }
    found
}
