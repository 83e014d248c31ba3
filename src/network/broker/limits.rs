//! How much there may be at a time. What runs inside can ask for names and connections without end,
//! and all of it is kept in the supervisor. It must never let the supervisor run out of descriptors.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::rc::Rc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Names with an address, each with a listener for each of its ports.
const NAMES: usize = 2048;
/// Connections, all kinds together.
const CONNECTIONS: usize = 1024;
/// TLS hellos longer than [`SHORT_HELLO`] that are not whole yet: each is kept twice, with what rustls has
/// of it, and one may have 80 KiB.
pub(super) const LONG_HELLOS: usize = 32;
/// Bytes of a hello that anybody may keep waiting. Of today's, with a key share of ML-KEM, few have 2,000.
pub(super) const SHORT_HELLO: usize = 4096;
/// Descriptors that the rest of the supervisor needs.
const OTHERS: usize = 256;

/// How much there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) names: usize,
    pub(super) listeners: usize,
    pub(super) connections: usize,
}

impl Limits {
    /// With so many descriptors: a connection has two of them, a listener one.
    pub(super) fn of(files: usize) -> Self {
        let ours = files.saturating_sub(OTHERS);
        let connections = CONNECTIONS.min(ours / 4);
        let listeners = (ours - 2 * connections).min(2 * NAMES);
        Self { names: NAMES.min(listeners), listeners, connections }
    }

    /// With as many as this process may have.
    pub(super) fn of_process() -> Self {
        let files = getrlimit(Resource::Nofile).current;
        Self::of(files.and_then(|files| files.try_into().ok()).unwrap_or(usize::MAX))
    }
}

/// Grants this process all the descriptors it may have: 1024, the usual limit, are few.
pub(super) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused, there are fewer connections.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Counts what there is of something, up to a bound.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: Rc<Cell<usize>>,
}

/// One of them, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place(Rc<Cell<usize>>);

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: Rc::default() }
    }

    /// One more; `None` where there are too many already.
    pub(super) fn take(&self) -> Option<Place> {
        let taken = self.taken.get();
        (taken < self.most).then(|| {
            self.taken.set(taken + 1);
            Place(Rc::clone(&self.taken))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_may_be_fits_into_the_descriptors() {
        for files in [0, 100, 256, 300, 1024, 4096, 20_000, 1 << 20, usize::MAX] {
            let limits = Limits::of(files);
            let most = 2 * limits.connections + limits.listeners;
            assert!(most <= files.saturating_sub(OTHERS), "{files}: {limits:?}");
            assert!(limits.names <= limits.listeners);
        }
        assert_eq!(Limits::of(1024), Limits { names: 384, listeners: 384, connections: 192 });
        assert_eq!(Limits::of(1 << 20).connections, CONNECTIONS);
    }

    #[test]
    fn a_place_is_given_back() {
        let places = Places::new(1);
        let place = places.take().unwrap();
        assert!(places.take().is_none());
        drop(place);
        assert!(places.take().is_some());
    }
}
