//! Tells of host-executable files as they come and change, where the kernel says so at once: in the
//! project directory, and in directories that hold such files (inotify(7), from outside). It is for
//! the eye: what counts is the look at the end. It must never let what happens there grow a queue or
//! the log without bounds.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::events::notice;
use crate::bytes::Bytes;
use crate::host_files::beneath::Beneath;
use crate::host_files::compare::Change;
use crate::host_files::look;
use crate::host_files::path::{join, parent};
use crate::host_files::record::{Record, content};
use crate::host_files::survey::Kind;
use crate::host_files::table::{self, Entry, What};
use crate::log::clock::now;
use crate::log::event::{Event, HostFile};
use crate::log::text::count;
use crate::sys::fds::proc_path;

/// Directories that are watched.
const MOST_WATCHED: usize = 512;
/// What is told as it happens.
const MOST_TOLD: usize = 500;

/// What is read at one time.
const AT_ONCE: usize = 1024;

/// How long a session lasts before anything is watched. The kernel waits for every processor when an
/// inotify is closed, some ten milliseconds: more than a short command takes altogether.
const SHORT: Duration = Duration::from_millis(200);

/// What is told of while a session runs.
#[derive(Debug)]
pub(super) struct HostFiles {
    directory: PathBuf,
    begins: Option<Instant>,
    watch: Option<Watch>,
}

impl HostFiles {
    /// For the session of this directory.
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), begins: Some(Instant::now() + SHORT), watch: None }
    }

    /// When [`HostFiles::begin`] is due.
    pub(super) fn begins(&self) -> Option<Instant> {
        self.begins
    }

    /// Begins to watch. Tells what came and changed before.
    pub(super) fn begin(&mut self) -> Vec<Event> {
        self.begins = None;
        let mut events = Vec::new();
        let Some(record) = Record::read(&self.directory) else { return events };
        match Watch::begin(record) {
            Ok(mut watch) => {
                watch.catch_up(&mut events);
                self.watch = Some(watch);
            }
            // What runs inside is the same user to the kernel, and can have used up the user's watches.
            Err(errno) => events.push(unwatched(&errno.to_string())),
        }
        events
    }

    /// Ready to read when something has happened.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(|watch| watch.inotify.as_fd())
    }

    /// What has happened since.
    pub(super) fn read(&mut self) -> Vec<Event> {
        let read = self.watch.as_mut().map(Watch::read);
        read.unwrap_or_else(|| Ok(Vec::new())).unwrap_or_else(|err| {
            self.watch = None;
            vec![unwatched(&err.to_string())]
        })
    }

    /// The look at the end, everything inside being dead: what nobody has told yet.
    pub(super) fn end(mut self) -> Vec<Event> {
        let mut events = self.read();
        let told = self.watch.map(|watch| watch.told).unwrap_or_default();
        look(&self.directory, &told, &mut events);
        events
    }
}

/// The watch of one session.
#[derive(Debug)]
struct Watch {
    inotify: OwnedFd,
    project: Beneath,
    record: Record,
    /// The directories, relative to the project, by the kernel's number for them.
    watched: BTreeMap<i32, Vec<u8>>,
    told: BTreeSet<(Bytes, &'static str)>,
    /// It was said that not everything is told.
    silent: bool,
}

impl Watch {
    /// Begins; fails where the kernel has no watch left. Nothing is lost by that: everything is looked
    /// at in the end.
    fn begin(record: Record) -> Result<Self, Errno> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let project = Beneath::open(record.project.as_path())?;
        let mut directories = BTreeSet::from([Vec::new()]);
        for (path, item) in &record.known.items {
            // One that is read-only is not watched, but beside it another may come.
            directories.insert(parent(&path.0).to_vec());
            if item.kind == Kind::Directory && !record.known.protects(&path.0) {
                directories.insert(path.0.clone());
            }
        }
        let (watched, told) = (BTreeMap::new(), BTreeSet::new());
        let mut watch = Self { inotify, project, record, watched, told, silent: false };
        for directory in directories {
            // The kernel has no room for more; what can be watched is.
            if let Err(errno @ (Errno::NOSPC | Errno::NOMEM)) = watch.watch(&directory)
                && watch.watched.is_empty()
            {
                return Err(errno);
            }
        }
        Ok(watch)
    }

    /// Watches a directory; `false` where that cannot be.
    fn add(&mut self, path: &[u8]) -> bool {
        self.watch(path).is_ok()
    }

    fn watch(&mut self, path: &[u8]) -> Result<(), Errno> {
        if self.watched.len() >= MOST_WATCHED {
            return Err(Errno::MFILE);
        }
        let fd = self.project.directory_as_it_is(path)?;
        let flags = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::EXCL_UNLINK
            | WatchFlags::ONLYDIR;
        let number = inotify::add_watch(&self.inotify, proc_path(&fd), flags)?;
        self.watched.insert(number, path.to_vec());
        Ok(())
    }

    /// What came before the watch began.
    fn catch_up(&mut self, events: &mut Vec<Event>) {
        let watched: Vec<Vec<u8>> = self.watched.values().cloned().collect();
        for directory in watched {
            self.look_into(&directory, events);
        }
        for (path, held) in self.record.contents.clone() {
            let Some(item) = self.record.known.items.get(&path) else { continue };
            let change = match content(&mut self.project, &path, item) {
                Some(now) if now == held => continue,
                Some(_) => Change::Changed,
                None => Change::Gone,
            };
            let entry = item.entry;
            self.tell(&path.0, entry, change, events);
        }
    }

    fn read(&mut self) -> io::Result<Vec<Event>> {
        let mut seen = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut overflow = false;
        // Not until there is none: who makes them faster than we read would never let us go.
        let mut read = 0;
        while read < AT_ONCE || !reader.is_buffer_empty() {
            read += 1;
            match reader.next() {
                Ok(event) => {
                    overflow |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
                    let name = event.file_name().map(|name| name.to_bytes().to_vec());
                    if let (Some(name), Some(at)) = (name, self.watched.get(&event.wd())) {
                        seen.push((join(at, &name), event.events()));
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        let mut events = Vec::new();
        for (path, flags) in seen {
            self.happened(&path, flags, &mut events);
        }
        if overflow {
            self.fall_silent(&mut events);
        }
        Ok(events)
    }

    fn happened(&mut self, path: &[u8], flags: ReadFlags, events: &mut Vec<Event>) {
        let directory = flags.contains(ReadFlags::ISDIR);
        let came = flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
        if came && directory && table::is_on_the_way(path) && self.add(path) {
            self.look_into(path, events);
        }
        let Some(entry) = self.entry(path, directory) else { return };
        let known = self.record.known.items.contains_key(&Bytes::from(path));
        let gone = flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM);
        let change = match (gone, known) {
            (true, true) => Change::Gone,
            (false, true) if !directory => Change::Changed,
            (false, false) if !flags.contains(ReadFlags::ATTRIB) => Change::New,
            _ => return,
        };
        self.tell(path, entry, change, events);
    }

    /// A directory that came and was not watched at once may already hold something.
    fn look_into(&mut self, path: &[u8], events: &mut Vec<Event>) {
        let Ok(names) = self.project.names(path) else { return };
        for (name, what) in names {
            let path = join(path, &name);
            if self.is_known(&path) {
                continue;
            }
            if let Some(entry) = table::find(&path, what) {
                self.tell(&path, entry, Change::New, events);
            } else if what == What::Directory && table::is_on_the_way(&path) && self.add(&path) {
                self.look_into(&path, events);
            }
        }
    }

    fn is_known(&self, path: &[u8]) -> bool {
        self.is_kept(path) || self.record.known.items.contains_key(&Bytes::from(path))
    }

    /// Nothing inside can change it.
    fn is_kept(&self, path: &[u8]) -> bool {
        let known = &self.record.known;
        known.protects(path) || (known.own_git && path == b".git")
    }

    fn entry(&self, path: &[u8], directory: bool) -> Option<&'static Entry> {
        let known = &self.record.known;
        if self.is_kept(path) {
            return None;
        }
        let above = known.items.get(&Bytes::from(parent(path))).map(|item| item.entry);
        let extra = || {
            let target = known.targets.iter().find(|target| target.path.0 == path);
            target.map(|target| target.entry)
        };
        let own = if directory {
            table::find(path, What::Directory)
        } else {
            table::find(path, What::File).or_else(|| {
                let link = table::find(path, What::Link)?;
                self.project.is_link(path).then_some(link)
            })
        };
        above.or(own).or_else(extra)
    }

    /// Tells a change once: who writes a file a thousand times writes one line of the log.
    fn tell(&mut self, path: &[u8], entry: &'static Entry, change: Change, to: &mut Vec<Event>) {
        if self.told.len() >= MOST_TOLD {
            self.fall_silent(to);
        } else if self.told.insert((path.into(), change.word())) {
            to.push(event(path.into(), entry, change, false, "live"));
        }
    }

    fn fall_silent(&mut self, to: &mut Vec<Event>) {
        if !self.silent {
            self.silent = true;
            to.push(notice(
                "host-files-unseen",
                "host files: more happens than is told here; all of it is looked at in the end",
            ));
        }
    }
}

/// What is found in the end and was not told.
fn look(directory: &Path, told: &BTreeSet<(Bytes, &'static str)>, events: &mut Vec<Event>) {
    let found = match look::look(directory) {
        Ok(Some(found)) => found,
        Ok(None) => return,
        Err(err) => {
            let text = format!("host files: the project could not be looked at: {err}");
            events.push(notice("host-files-unseen", text));
            return;
        }
    };
    for case in found.cases {
        let finding = case.finding;
        if !told.contains(&(finding.path.clone(), finding.change.word())) {
            let (entry, change, tracked) = (finding.entry, finding.change, finding.tracked);
            events.push(event(finding.path, entry, change, tracked, "end"));
        }
    }
    if found.unseen > 0 {
        let text =
            format!("host files: {} could not be looked at", count(found.unseen, "directory"));
        events.push(notice("host-files-unseen", text));
    }
}

/// Nothing is told as it happens any more.
fn unwatched(why: &str) -> Event {
    let text =
        format!("host files: the project cannot be watched: {why}; it is looked at in the end");
    notice("host-files-unseen", text)
}

fn event(path: Bytes, entry: &'static Entry, change: Change, tracked: bool, seen: &str) -> Event {
    Event::HostFile(HostFile {
        t: now(),
        path,
        change: change.word().to_owned(),
        name: entry.pattern.to_owned(),
        who: entry.who.to_owned(),
        tracked,
        seen: seen.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{File, create_dir, remove_file};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;
    use crate::host_files::known::Known;
    use crate::profile::schema::HostFiles as Mode;

    #[test]
    fn no_more_than_so_much_is_read_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (project, session) = (dir.path().join("p"), dir.path().join("s"));
        create_dir(&project).unwrap();
        create_dir(&session).unwrap();
        Record::take(&project, Mode::Report, Known::default()).unwrap().write(&session).unwrap();
        let mut watched = HostFiles::new(&session);
        assert!(watched.begin().is_empty());
        // A made file is three events at least: made, closed, removed.
        for _ in 0..AT_ONCE {
            File::create(project.join(".envrc")).unwrap();
            remove_file(project.join(".envrc")).unwrap();
        }
        let is_ready = |watched: &HostFiles| {
            let fd = watched.fd().unwrap();
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&now)).unwrap() > 0
        };
        assert_eq!(watched.read().len(), 1, "told once");
        assert!(is_ready(&watched), "the rest is for the next time");
        for _ in 0..10 {
            watched.read();
        }
        assert!(!is_ready(&watched));
    }
}
