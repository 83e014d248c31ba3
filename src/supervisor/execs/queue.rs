//! What the receiving thread hands to the writing thread. It is bounded, and nothing in it is ever
//! dropped: when it fills up, records become small; when it is full, the receiver waits, and with
//! it the process whose exec is next.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much may wait to be written.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Number of items.
    pub items: usize,
    /// Bytes of all items.
    pub bytes: usize,
}

/// The bounds of a session: they keep the supervisor below 8 MB.
pub const BOUNDS: Bounds = Bounds { items: 4096, bytes: 2 << 20 };

/// The writer lets this much time pass before it takes what has come, so that it does not wake
/// beside the very process that was let go on.
const BATCH: Duration = Duration::from_millis(15);

/// Something that waits to be written.
pub trait Weigh {
    /// Its bytes, on the heap and off.
    fn weight(&self) -> usize;
}

/// The queue between two threads.
#[derive(Debug)]
pub struct Queue<T> {
    bounds: Bounds,
    state: Mutex<State<T>>,
    /// The reader has something to do.
    filled: Condvar,
    /// A writer that waited has room.
    emptied: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    bytes: usize,
    /// Nothing will come any more.
    closed: bool,
    /// The end is near: what comes is taken at once.
    hurried: bool,
    /// Nobody takes any more: what is pushed is gone. Only after [`Queue::abandon`].
    abandoned: bool,
}

/// How the queue stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// There is room.
    Low,
    /// It is filling up: keep records small.
    High,
}

impl<T: Weigh> Queue<T> {
    /// An empty queue.
    pub fn new(bounds: Bounds) -> Self {
        let state = State {
            items: VecDeque::new(),
            bytes: 0,
            closed: false,
            hurried: false,
            abandoned: false,
        };
        Self { bounds, state: Mutex::new(state), filled: Condvar::new(), emptied: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for one more, and says how the queue stands.
    pub fn reserve(&self) -> Pressure {
        let full = |state: &mut State<T>| {
            !state.abandoned
                && (state.items.len() >= self.bounds.items || state.bytes >= self.bounds.bytes)
        };
        let state =
            self.emptied.wait_while(self.state(), full).unwrap_or_else(PoisonError::into_inner);
        let filling =
            state.items.len() * 4 >= self.bounds.items * 3 || state.bytes * 2 >= self.bounds.bytes;
        if filling { Pressure::High } else { Pressure::Low }
    }

    /// Adds an item. It never waits: only who would let an exec go on must [`Queue::reserve`].
    pub fn push(&self, item: T) {
        let mut state = self.state();
        if state.abandoned {
            return;
        }
        let (was_empty, was_urgent) = (state.items.is_empty(), self.urgent(&state));
        state.bytes += item.weight();
        state.items.push_back(item);
        if was_empty || (!was_urgent && self.urgent(&state)) {
            self.filled.notify_one();
        }
    }

    fn urgent(&self, state: &State<T>) -> bool {
        state.hurried
            || state.items.len() * 2 >= self.bounds.items
            || state.bytes * 4 >= self.bounds.bytes
    }

    /// The end is near: what is there is taken now, and whatever comes at once.
    pub fn hurry(&self) {
        self.state().hurried = true;
        self.filled.notify_one();
    }

    /// Waits for items and moves all into `taken`; false when none will come any more.
    pub fn take(&self, taken: &mut VecDeque<T>) -> bool {
        let state = self
            .filled
            .wait_while(self.state(), |state| state.items.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let (mut state, _) = self
            .filled
            .wait_timeout_while(state, BATCH, |state| !state.closed && !self.urgent(state))
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.items, taken);
        state.bytes = 0;
        let more = !(taken.is_empty() && state.closed);
        drop(state);
        self.emptied.notify_all();
        more
    }

    /// Nothing will come any more.
    pub fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
    }

    /// Nobody will take any more: nobody waits any more either.
    pub fn abandon(&self) {
        let mut state = self.state();
        state.abandoned = true;
        state.items = VecDeque::new();
        state.bytes = 0;
        drop(state);
        self.emptied.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    impl Weigh for usize {
        fn weight(&self) -> usize {
            *self
        }
    }

    #[test]
    fn order_is_kept_and_the_end_is_told() {
        let queue = Queue::new(BOUNDS);
        (0..5).for_each(|item| queue.push(item));
        queue.close();
        let mut taken = VecDeque::new();
        assert!(queue.take(&mut taken));
        assert_eq!(taken, [0, 1, 2, 3, 4]);
        taken.clear();
        assert!(!queue.take(&mut taken));
    }

    #[test]
    fn a_full_queue_makes_the_receiver_wait_and_loses_nothing() {
        let queue = Arc::new(Queue::new(Bounds { items: 8, bytes: 1 << 20 }));
        let sender = Arc::clone(&queue);
        let thread = std::thread::spawn(move || {
            for item in 0..1000 {
                sender.reserve();
                sender.push(item);
            }
            sender.close();
        });
        let (mut all, mut taken) = (Vec::new(), VecDeque::new());
        while queue.take(&mut taken) {
            assert!(taken.len() <= 8);
            all.extend(taken.drain(..));
        }
        thread.join().unwrap();
        assert!(all.into_iter().eq(0..1000));
    }

    #[test]
    fn pressure_rises_before_the_queue_is_full() {
        let queue = Queue::new(Bounds { items: 100, bytes: 100 });
        assert_eq!(queue.reserve(), Pressure::Low);
        queue.push(60);
        assert_eq!(queue.reserve(), Pressure::High);
        queue.push(60);
        queue.abandon();
        assert_eq!(queue.reserve(), Pressure::Low);
    }
}
