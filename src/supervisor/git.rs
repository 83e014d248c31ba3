//! The agent's branches as they come, while the session runs: about a second after they moved they are
//! in `refs/claudebox` on the host, and in the log. A thread of its own, since git takes its time. What
//! the user has is touched at the end only. It must never read the private directory but by a look at
//! its files' times; the rest is done in boxes.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};

use super::control::Answer;
use super::events::notice;
use crate::git::fingerprint::{self, Fingerprint};
use crate::git::limits::Size;
use crate::git::record::Record;
use crate::git::sync::Sync;
use crate::git::sync::ending;
use crate::git::sync::report::{Item, Told};
use crate::git::sync::watch::Watch;
use crate::log::clock::now;
use crate::log::event::{Event, Git};
use crate::ready::ready_by;
use crate::sys::fds;

/// How long a session lasts before anything is watched, as for host-executable files.
const SHORT: Duration = Duration::from_millis(200);
/// How long after a change it is looked at: what moves one branch often moves another.
const SETTLE: Duration = Duration::from_millis(700);
/// How often it is looked where the kernel has no watch left.
const UNWATCHED: Duration = Duration::from_secs(2);
/// How much longer than an import took one waits for the next: an agent that makes branches without end
/// has a fifth of a processor for them.
const REST: u32 = 4;
/// The most lines of one import in the log.
const MOST: usize = 100;

/// How a session's git directory looked before anything ran.
#[derive(Clone)]
pub(super) struct Before {
    directory: PathBuf,
    session: String,
    privates: Vec<Private>,
}

/// One of its repositories.
#[derive(Clone)]
struct Private {
    path: PathBuf,
    branches: Option<Fingerprint>,
    /// All that could come back.
    state: Option<Fingerprint>,
}

impl Before {
    /// Looks; `None` where the session's git is not private.
    pub(super) fn look(directory: &Path, session: &str) -> Option<Self> {
        let record = Record::read(directory)?;
        let all = record.submodules.iter().chain([&record]);
        let privates = all.map(|it| Private::look(it.private.as_path())).collect();
        Some(Self { directory: directory.to_owned(), session: session.to_owned(), privates })
    }

    /// Whether anything may have changed that could come back.
    fn is_touched(&self) -> bool {
        self.privates
            .iter()
            .any(|private| private.state.is_none() || private.state != state(&private.path))
    }

    /// Begins to import.
    pub(super) fn live(self, note: impl Fn(Event) + Send + 'static) -> io::Result<Live> {
        let stop = eventfd(0, EventfdFlags::CLOEXEC)?;
        let stopped = stop.try_clone()?;
        let work =
            move || Importing { before: self, stop: stopped, note, said: BTreeSet::new() }.run();
        let thread = thread::Builder::new().name("git".to_owned()).spawn(work)?;
        Ok(Live { stop, thread })
    }
}

impl Private {
    fn look(path: &Path) -> Self {
        Self { path: path.to_owned(), branches: branches(path), state: state(path) }
    }
}

fn branches(private: &Path) -> Option<Fingerprint> {
    fingerprint::of(private, fingerprint::BRANCHES, fingerprint::MOST)
}

fn state(private: &Path) -> Option<Fingerprint> {
    fingerprint::of(private, fingerprint::STATE, fingerprint::MOST)
}

/// The thread.
pub(super) struct Live {
    stop: OwnedFd,
    thread: JoinHandle<()>,
}

impl Live {
    /// Waits for its end; what it is at it finishes.
    pub(super) fn end(self) {
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
        let _ = self.thread.join();
    }
}

struct Importing<N> {
    before: Before,
    stop: OwnedFd,
    note: N,
    /// What was said to be held, or to have gone wrong: said once.
    said: BTreeSet<String>,
}

impl<N: Fn(Event)> Importing<N> {
    fn run(mut self) {
        let Ok(false) = self.waits(&[], Instant::now() + SHORT) else { return };
        let mut watches: Vec<Watch> =
            self.before.privates.iter().filter_map(|it| Watch::begin(&it.path).ok()).collect();
        let all = watches.len() == self.before.privates.len();
        // What came before the watch did is looked for at once.
        let mut due = Some(Instant::now() + SETTLE);
        loop {
            let far = Instant::now() + if all { Duration::from_secs(3600) } else { UNWATCHED };
            match self.waits(&watches, due.unwrap_or(far)) {
                Ok(false) => {}
                _ => return,
            }
            let mut happened = !all;
            for watch in &mut watches {
                let fd = PollFd::from_borrowed_fd(watch.as_fd(), PollFlags::IN);
                if matches!(ready_by(&mut [fd], Instant::now()), Ok(true)) {
                    happened = true;
                    if watch.read().is_err() {
                        return;
                    }
                }
            }
            if happened && due.is_none() {
                due = Some(Instant::now() + SETTLE);
            }
            if due.is_some_and(|due| due <= Instant::now()) {
                due = None;
                let begun = Instant::now();
                if self.changed() {
                    self.import();
                    let rest = begun.elapsed() * REST;
                    let Ok(false) = self.waits(&[], Instant::now() + rest) else { return };
                }
            }
        }
    }

    /// Waits until then, or until something happens; whether it is over.
    fn waits(&self, watches: &[Watch], until: Instant) -> io::Result<bool> {
        let fds = watches.iter().map(AsFd::as_fd).chain([self.stop.as_fd()]);
        let mut fds: Vec<PollFd<'_>> =
            fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        ready_by(&mut fds, until)?;
        Ok(fds.last().is_some_and(|stop| !stop.revents().is_empty()))
    }

    fn changed(&mut self) -> bool {
        let mut changed = false;
        for private in &mut self.before.privates {
            let now = branches(&private.path);
            changed |= now.is_none() || now != private.branches;
            private.branches = now;
        }
        changed
    }

    fn import(&mut self) {
        let Before { directory, session, .. } = &self.before;
        let session = session.clone();
        let sync = Sync { directory, session: &session, running: true, size: Size::default() };
        match sync.branches() {
            Ok(told) => {
                for event in events(&session, &told.unwrap_or_default()) {
                    if !matches!(&event, Event::Git(git) if git.what == "held" && !self.is_news(&git.text))
                    {
                        (self.note)(event);
                    }
                }
            }
            Err(error) => {
                let words = format!("git: not imported: {error}");
                if self.is_news(&words) {
                    (self.note)(notice("git-not-imported", words));
                }
            }
        }
    }

    fn is_news(&mut self, words: &str) -> bool {
        self.said.len() < MOST && self.said.insert(words.to_owned())
    }
}

/// Lets go of what was pinned, nothing having run inside. Who comes later would look for work in a box, which
/// cannot be had either where no sandbox can, and say that work is missing.
pub(super) fn not_started(directory: &Path, session: &str) {
    let _ = ending::end(directory, session, false);
}

/// The sync at the end, everything inside being dead: what the log says of it.
pub(super) fn end(before: &Before) -> Vec<Event> {
    let Before { directory, session, .. } = before;
    let ending = ending::end(directory, session, before.is_touched());
    let Some(ending) = ending else { return Vec::new() };
    let mut all = events(session, &ending.told);
    if let Some((message, _)) = ending.failed {
        all.push(notice("git-not-imported", format!("git: not synced: {message}")));
    }
    all
}

/// A sync that the user asked for while the session runs, as the one who did it tells: what the log says
/// of it.
pub(super) fn synced(session: &str, fds: Vec<OwnedFd>) -> (Answer, Vec<Event>) {
    let file = fds.into_iter().next().ok_or_else(|| io::Error::other("nothing came with it"));
    let told =
        file.and_then(fds::read_sealed).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
    let told: Vec<Told> = match told {
        Ok(told) => told,
        Err(err) => {
            let message = format!("cannot read what was synced: {err}");
            return (Answer::Refused { message, hints: Vec::new() }, Vec::new());
        }
    };
    let mut events = events(session, &told);
    for event in &mut events {
        if let Event::Git(git) = event {
            git.asked = true;
        }
    }
    (Answer::Noted, events)
}

fn events(session: &str, told: &[Told]) -> Vec<Event> {
    let of = |told: &Told| -> Vec<Event> {
        let one = |item: &Item| event(session, told, item);
        told.items.iter().map(one).collect()
    };
    let mut events: Vec<Event> = told.iter().flat_map(of).collect();
    let left = events.len().saturating_sub(MOST);
    if left > 0 {
        events.truncate(MOST);
        events.push(notice("git-unseen", format!("git: and {left} more refs")));
    }
    events
}

fn event(session: &str, told: &Told, item: &Item) -> Event {
    let (what, name) = item.word();
    let to = match item {
        Item::Imported { to, .. } | Item::Stash { oid: to } => Some(to.as_str().to_owned()),
        Item::Ref { action, .. } => action.to().map(|oid| oid.as_str().to_owned()),
        _ => None,
    };
    let kept = match item {
        Item::Imported { kept, .. } => Some(kept.clone()),
        Item::Ref { backup: kept, .. } | Item::Held { kept, .. } => kept.clone(),
        _ => None,
    };
    let text = item.line(session).text;
    let submodule = told.submodule.clone();
    let what = what.to_owned();
    Event::Git(Git { t: now(), what, name, submodule, to, kept, text, asked: false })
}
