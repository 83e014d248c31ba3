//! Keeps the broker's thread awake for a moment where more is about to come: an answer, the next
//! connection. To be woken for it takes longer than all there is to do then, most of all in a virtual
//! machine, where another processor has to be told. It must never last: who waits for a far server sleeps.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::yield_now;

/// How long it looks without sleeping. A server on the same machine answers within that.
const MOMENT: Duration = Duration::from_micros(150);

/// See the top of this file.
#[derive(Debug, Default)]
pub(super) struct BusyPoll {
    since: Cell<Option<Instant>>,
    begun: Notify,
}

impl BusyPoll {
    /// More is about to come.
    pub(super) fn expect_more(&self) {
        self.since.set(Some(Instant::now()));
        self.begun.notify_one();
    }

    /// Whether it still may.
    fn expects(&self, now: Instant) -> bool {
        self.since.get().is_some_and(|since| now.duration_since(since) < MOMENT)
    }

    /// Stays awake whenever more is about to come. Between two turns of this task the runtime takes what
    /// has come, and asks the kernel without waiting.
    pub(super) async fn stay_awake(&self) {
        loop {
            self.begun.notified().await;
            while self.expects(Instant::now()) {
                yield_now().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_a_moment() {
        let poll = BusyPoll::default();
        let before = Instant::now();
        assert!(!poll.expects(before));
        poll.expect_more();
        assert!(poll.expects(before));
        assert!(!poll.expects(Instant::now() + MOMENT));
    }

    #[tokio::test]
    async fn others_have_their_turn_meanwhile() {
        let poll = BusyPoll::default();
        poll.expect_more();
        let other = async {
            for _ in 0..3 {
                yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = poll.stay_awake() => panic!("it ended"),
            () = other => {}
        }
    }
}
