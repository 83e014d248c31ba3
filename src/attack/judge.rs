//! Whether the sandbox has held, of one attempt: what the attacker says, against what is seen outside.
#![forbid(unsafe_code)]

use std::path::Path;

use super::act::Answer;
use super::attempt::{Attempt, Holds};

/// What can be seen from outside.
pub(super) trait Outside {
    /// There is something of this name.
    fn is_there(&self, path: &Path) -> bool;
    /// Device and inode.
    fn identity(&self, path: &Path) -> Option<(u64, u64)>;
    /// An exec of this `sleep` is in the log.
    fn is_logged(&self, seconds: u32) -> bool;
    /// The log tells that this host was refused.
    fn is_told(&self, host: &str) -> bool;
    /// It runs.
    fn lives(&self, seconds: u32) -> bool;
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The sandbox held; why.
    Held(String),
    /// It did not.
    Broken(String),
    /// Nobody promises it.
    Open(&'static str),
}

/// Judges one attempt. Without an answer the attacker was ended by what it did, which nothing of the
/// list may do.
pub(super) fn judge(attempt: &Attempt, answer: Option<&Answer>, outside: &dyn Outside) -> Verdict {
    use Verdict::{Broken, Held, Open};
    let Some(answer) = answer else { return Broken("it was never answered".to_owned()) };
    let says = answer.says.clone();
    match &attempt.holds {
        Holds::NotPromised(why) => Open(why),
        Holds::Refused | Holds::Told(_) if answer.done => Broken(says),
        Holds::Told(host) if !outside.is_told(host) => {
            Broken(format!("the log does not tell of it; inside: {says}"))
        }
        Holds::NotThere(path) if outside.is_there(path) => Broken("it is there".to_owned()),
        Holds::NotThere(_) if answer.done => Held("not there outside".to_owned()),
        Holds::Done | Holds::SameFile(_) if !answer.done => Broken(says),
        Holds::Refused | Holds::Told(_) | Holds::NotThere(_) | Holds::Done => Held(says),
        Holds::SameFile(path) if answer.file.is_some() && answer.file == outside.identity(path) => {
            Held(says)
        }
        Holds::SameFile(_) => Broken("what is written inside is not the host's".to_owned()),
        Holds::Logged(seconds) if outside.is_logged(*seconds) => {
            Held("it is in the log".to_owned())
        }
        Holds::Logged(_) => Broken("it is not in the log".to_owned()),
        Holds::Dead(seconds) if outside.lives(*seconds) => Broken("it lives".to_owned()),
        Holds::Dead(_) if !answer.done => Broken(format!("it could not be tried: {says}")),
        Holds::Dead(_) => Held("it is dead".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::list::attempts;
    use super::super::list::tests::scene;
    use super::*;

    struct Nothing;

    impl Outside for Nothing {
        fn is_there(&self, _: &Path) -> bool {
            false
        }
        fn identity(&self, _: &Path) -> Option<(u64, u64)> {
            Some((1, 2))
        }
        fn is_logged(&self, _: u32) -> bool {
            true
        }
        fn is_told(&self, _: &str) -> bool {
            true
        }
        fn lives(&self, _: u32) -> bool {
            false
        }
    }

    struct Everything;

    impl Outside for Everything {
        fn is_there(&self, _: &Path) -> bool {
            true
        }
        fn identity(&self, _: &Path) -> Option<(u64, u64)> {
            None
        }
        fn is_logged(&self, _: u32) -> bool {
            false
        }
        fn is_told(&self, _: &str) -> bool {
            false
        }
        fn lives(&self, _: u32) -> bool {
            true
        }
    }

    fn answer(done: bool) -> Answer {
        Answer { number: 0, done, says: "so".to_owned(), file: done.then_some((1, 2)) }
    }

    #[test]
    fn every_attempt_can_be_held_and_can_be_lost() {
        for attempt in attempts(&scene()) {
            let right = !matches!(attempt.holds, Holds::Refused | Holds::Told(_));
            let held = judge(&attempt, Some(&answer(right)), &Nothing);
            assert!(matches!(held, Verdict::Held(_)), "{attempt:?}");
            let lost = judge(&attempt, Some(&answer(!right)), &Everything);
            assert!(matches!(lost, Verdict::Broken(_)), "{attempt:?}");
            let unanswered = judge(&attempt, None, &Nothing);
            assert!(matches!(unanswered, Verdict::Broken(_)), "{attempt:?}");
        }
    }

    #[test]
    fn what_failed_and_is_not_told_of_was_not_refused() {
        let list = attempts(&scene());
        let told = list.iter().filter(|attempt| matches!(attempt.holds, Holds::Told(_)));
        let verdicts = told.map(|attempt| judge(attempt, Some(&answer(false)), &Everything));
        assert!(verdicts.clone().count() > 3);
        assert!(verdicts.into_iter().all(|verdict| matches!(verdict, Verdict::Broken(_))));
    }

    #[test]
    fn what_is_written_must_be_the_hosts_own() {
        let list = attempts(&scene());
        let attempt =
            list.iter().find(|attempt| matches!(attempt.holds, Holds::SameFile(_))).unwrap();
        let other = Answer { file: Some((9, 9)), ..answer(true) };
        assert!(matches!(judge(attempt, Some(&other), &Nothing), Verdict::Broken(_)));
    }
}
