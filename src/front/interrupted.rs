//! Ctrl-C at the question about host-executable files: it ends claudebox, as ever, and the question stays open.
//! Before it does, a thread says what has become of the files until then. It must never answer for the person.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::{SigSet, Signal, raise};

use super::say;
use crate::host_files::settle;
use crate::log::text::count;
use crate::session::Session;
use crate::visible::visible_path;

/// For as long as it is kept, an interrupt is told of.
pub(super) struct Told {
    over: Arc<AtomicBool>,
    interrupt: SigSet,
}

impl Told {
    /// Begins to wait for one. Where no thread can be had, it ends claudebox without a word.
    pub(super) fn of(session: &Session) -> Option<Self> {
        let interrupt = SigSet::from_iter([Signal::SIGINT]);
        // A thread has its maker's mask: here and there it is only waited for.
        interrupt.thread_block().ok()?;
        let told = Self { over: Arc::default(), interrupt };
        let (over, session) = (told.over.clone(), session.clone());
        let wait = move || {
            if interrupt.wait().is_ok() {
                if !over.load(Ordering::Acquire) {
                    tell(&session);
                }
                let _ = interrupt.thread_unblock();
                let _ = raise(Signal::SIGINT);
            }
        };
        thread::Builder::new().name("interrupted".into()).spawn(wait).ok().map(|_| told)
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        let _ = self.interrupt.thread_unblock();
    }
}

fn tell(session: &Session) {
    let id = &session.id;
    // Behind what the terminal shows for the key.
    let _ = writeln!(anstream::stderr());
    say(format_args!(
        "interrupted: what is not decided is where it was, and the next claudebox command here asks again"
    ));
    let moved = settle::waiting(session).unwrap_or_default();
    if moved > 0 {
        let (moved, directory) = (count(moved as u64, "file"), session.directory.join("aside"));
        say(format_args!(
            "{moved} set aside so far, in {}; `claudebox keep {id}` asks about the rest, and brings back what is set aside",
            visible_path(&directory)
        ));
    }
}
