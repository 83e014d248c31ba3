//! Keeps a few keys of JSON files in the home in step with the copies that the agent has: a login
//! made or renewed inside reaches the host at once (a token that was renewed is worth nothing any
//! more, so the old one must not stay anywhere), and one made on the host reaches the session. The
//! file itself cannot be shared: it is replaced by renaming, and holds more than a login. It must
//! never follow a link that the agent made, and never let the agent decide where it writes.
#![forbid(unsafe_code)]

mod exchange;
mod named;
mod place;

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use self::exchange::{Keys, Seen};
use self::place::Place;
use crate::error::{Error, Result, Tried as _};
use crate::plan::{Mirror, Plan};

/// How long a session lasts before anything is watched: closing an inotify takes the kernel ten
/// milliseconds, more than a short command.
const SHORT: Duration = Duration::from_millis(200);
/// The least time between two looks, so that who rewrites a file all the time costs little.
const PAUSE: Duration = Duration::from_millis(20);
/// And at least so many times what the last look took: who writes a large file shall not cost more.
const RESTS: u32 = 20;
/// How often it is tried to write what somebody else writes just then.
const TRIES: usize = 16;
/// How often is looked where the kernel has no watch left: what runs inside is the same user to it,
/// and can use up all that a user is granted.
const SELDOM: Duration = Duration::from_secs(5);

/// One file and its copy.
#[derive(Debug)]
struct Pair {
    mirror: Mirror,
    host: Place,
    copy: Place,
    seen: Seen,
    /// Why something could not be passed, the last time.
    failed: Option<String>,
}

/// The files of a session, before the agent starts.
#[derive(Debug)]
pub(super) struct Pairs(Vec<Pair>);

impl Pairs {
    /// Gives each copy what the host has now.
    ///
    /// # Errors
    /// When a copy cannot be written.
    pub(super) fn begin(plan: &Plan) -> Result<Self> {
        plan.mirrors.iter().map(Pair::begin).collect::<Result<_>>().map(Self)
    }

    /// Keeps them in step from now on, in a thread of its own.
    ///
    /// # Errors
    /// When there is no descriptor or thread left.
    pub(super) fn keep(self) -> Result<Kept> {
        if self.0.is_empty() {
            return Ok(Kept(None));
        }
        let stop = eventfd(0, EventfdFlags::CLOEXEC).tried(|| "make an eventfd")?;
        let stopped = stop.try_clone().tried(|| "make an eventfd")?;
        let mut pairs = self.0;
        let work = move || {
            watch(&mut pairs, &stopped);
            pairs
        };
        let thread = std::thread::Builder::new().name("mirror".to_owned()).spawn(work);
        Ok(Kept(Some((stop, thread.tried(|| "start a thread")?))))
    }
}

/// Files that are kept in step.
#[derive(Debug)]
pub(super) struct Kept(Option<(OwnedFd, JoinHandle<Vec<Pair>>)>);

impl Kept {
    /// The last look, everything inside being dead. What could not be passed, a phrase each.
    pub(super) fn end(self) -> Vec<String> {
        let Some((stop, thread)) = self.0 else { return Vec::new() };
        // Can only fail if the counter is full, and then the thread is awake.
        let _ = rustix::io::write(&stop, &1_u64.to_ne_bytes());
        let mut pairs = thread.join().unwrap_or_default();
        pairs.iter_mut().for_each(Pair::pass);
        pairs.into_iter().filter_map(|pair| pair.failed).collect()
    }
}

/// Looks whenever something happens in one of the directories, until it is told to stop.
fn watch(pairs: &mut [Pair], stop: &OwnedFd) {
    if wait(stop, None, Some(SHORT)) {
        return;
    }
    let inotify = watches(pairs).ok();
    let seldom = inotify.is_none().then_some(SELDOM);
    loop {
        let began = Instant::now();
        pairs.iter_mut().for_each(Pair::pass);
        let pause = PAUSE.max(began.elapsed() * RESTS);
        if wait(stop, None, Some(pause)) || wait(stop, inotify.as_ref(), seldom) {
            return;
        }
        inotify.as_ref().map(drain);
    }
}

/// Waits for the watch, the stop, or so long; answers whether it is the stop.
fn wait(stop: &OwnedFd, inotify: Option<&OwnedFd>, at_most: Option<Duration>) -> bool {
    let timeout = at_most.and_then(|time| Timespec::try_from(time).ok());
    let mut ready = vec![PollFd::new(stop, PollFlags::IN)];
    ready.extend(inotify.map(|inotify| PollFd::new(inotify, PollFlags::IN)));
    loop {
        match poll(&mut ready, timeout.as_ref()) {
            Err(Errno::INTR) => {}
            Err(_) => return true,
            Ok(_) => return !ready[0].revents().is_empty(),
        }
    }
}

fn watches(pairs: &[Pair]) -> Result<OwnedFd, Errno> {
    let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let flags = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
    for pair in pairs {
        pair.copy.watch(&inotify, flags)?;
        // What the host only has to be given is not waited for.
        if !pair.mirror.both.is_empty() {
            pair.host.watch(&inotify, flags | WatchFlags::DELETE | WatchFlags::MOVED_FROM)?;
        }
    }
    Ok(inotify)
}

/// Forgets what happened: everything is looked at anyway. Not all, where more comes than can be forgotten.
fn drain(inotify: &OwnedFd) {
    let mut buffer = [MaybeUninit::uninit(); 16 << 10];
    let mut reader = inotify::Reader::new(inotify, &mut buffer);
    for _ in 0..4096 {
        if reader.next().is_err() {
            return;
        }
    }
}

impl Pair {
    fn begin(mirror: &Mirror) -> Result<Self> {
        let host = Place::new(std::path::Path::new("/"), mirror.host.as_path());
        let copy = Place::new(mirror.root.as_path(), mirror.copy.as_path());
        let mut pair =
            Self { mirror: mirror.clone(), host, copy, seen: Seen::default(), failed: None };
        // A file of the host's that cannot be read as one stays out of it.
        let host = pair.host.read().unwrap_or_default();
        pair.copy.clear().tried(|| format!("prepare {}", pair.copy))?;
        let mut content = pair.copy.read().unwrap_or_default();
        let (changes, seen) = exchange::begin(pair.keys(), &host, &content);
        pair.seen = seen;
        if !changes.to_copy.is_empty() {
            exchange::apply(&mut content, &changes.to_copy);
            pair.copy.write(&content).tried(|| format!("prepare {}", pair.copy))?;
        }
        Ok(pair)
    }

    fn keys(&self) -> Keys<'_> {
        Keys { both: &self.mirror.both, first: &self.mirror.first }
    }

    /// Passes what has changed.
    fn pass(&mut self) {
        for _ in 0..TRIES {
            match self.try_pass() {
                Ok(false) => {}
                Ok(true) => return self.failed = None,
                Err(err) => return self.failed = Some(err.to_string()),
            }
        }
    }

    /// Answers `false` where the host's file was written in just this moment: what it had would have
    /// been lost.
    fn try_pass(&mut self) -> Result<bool> {
        // What the agent leaves there need not be a file, and not JSON: then it says nothing.
        let Ok(copy) = self.copy.read_named(self.keys()) else { return Ok(true) };
        let news = exchange::is_news(self.keys(), &self.seen, &copy);
        if !news && self.mirror.both.is_empty() {
            return Ok(true);
        }
        let shown = self.host.to_string();
        let stamp = self.host.stamp();
        let mut host = match self.host.read() {
            Ok(host) => host,
            Err(_) if !news => return Ok(true),
            Err(err) => return Err(not_passed(&shown, &err)),
        };
        let mut seen = self.seen.clone();
        let changes = exchange::pass(self.keys(), &mut seen, &host, &copy);
        if !changes.to_copy.is_empty() {
            let Ok(mut whole) = self.copy.read() else { return Ok(true) };
            exchange::apply(&mut whole, &changes.to_copy);
            self.copy.write(&whole).tried(|| format!("write {}", self.copy))?;
        }
        if !changes.to_host.is_empty() {
            host.extend(changes.to_host);
            let written = self.host.write_if(&host, || self.host.stamp() == stamp);
            if !written.map_err(|err| not_passed(&shown, &err))? {
                return Ok(false);
            }
        }
        self.seen = seen;
        Ok(true)
    }
}

fn not_passed(shown: &str, err: &std::io::Error) -> Error {
    Error::launcher(format!("a login made inside could not be taken over into {shown}: {err}"))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    /// What an earlier session's agent can leave in the place of its login.
    const PLANTED: [fn(&Path); 6] = [
        |at| symlink("/etc/passwd", at).unwrap(),
        |at| symlink("nowhere", at).unwrap(),
        |at| fs::create_dir_all(at.join("a/b")).unwrap(),
        |at| mkfifoat(CWD, at, Mode::RUSR).unwrap(),
        |at| fs::write(at, "[[[").unwrap(),
        |at| {
            fs::write(at, "{}").unwrap();
            fs::set_permissions(at, Permissions::from_mode(0o000)).unwrap();
        },
    ];

    #[test]
    fn nothing_that_was_left_in_its_place_keeps_a_session_from_having_the_login() {
        for plant in PLANTED {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().canonicalize().unwrap();
            fs::create_dir(root.join("home")).unwrap();
            fs::write(root.join("host.json"), r#"{"login": {"t": "1"}}"#).unwrap();
            plant(&root.join("home/copy.json"));
            let mirror = Mirror {
                host: root.join("host.json").into(),
                root: root.join("home").into(),
                copy: "copy.json".into(),
                both: vec!["login".to_owned()],
                first: vec![],
            };
            let pair = Pair::begin(&mirror).unwrap();
            assert_eq!(pair.copy.read().unwrap(), pair.host.read().unwrap());
            assert!(fs::symlink_metadata(root.join("home/copy.json")).unwrap().is_file());
        }
    }
}
