//! The events that the supervisor writes itself, and the verdict on a session that the last of
//! them tells.
#![forbid(unsafe_code)]

use std::time::Instant;

use sha2::{Digest as _, Sha256};

use crate::bytes::Bytes;
use crate::error::{Error, exit};
use crate::hex::hexadecimal;
use crate::log::clock::now;
use crate::log::event::{End, Event, FORMAT_VERSION, Notice, Start};
use crate::plan::Plan;
use crate::sandbox::inner::handshake::Status;

/// Reasons of [`End::reason`].
const AGENT_EXITED: &str = "agent-exited";
const AGENT_SIGNALED: &str = "agent-signaled";
const NOT_EXECUTED: &str = "not-executed";
const NOT_STARTED: &str = "not-started";
const TERMINATED: &str = "terminated";
const SANDBOX_KILLED: &str = "sandbox-killed";
const GIVEN_UP: &str = "given-up";
const LOG_FAILED: &str = "log-failed";

/// How a session ended, or why it did not begin.
#[derive(Debug)]
pub(super) struct Verdict {
    /// The code claudebox exits with.
    pub(super) code: u8,
    /// See [`End::reason`].
    pub(super) reason: &'static str,
    /// What claudebox has to say about it.
    pub(super) error: Option<Error>,
}

impl Verdict {
    fn failed(reason: &'static str, error: Error) -> Self {
        Self { code: error.kind().exit_code(), reason, error: Some(error) }
    }

    pub(super) fn not_started(error: Error) -> Self {
        Self::failed(NOT_STARTED, error)
    }

    /// claudebox cannot go on, though the agent may have run.
    pub(super) fn given_up(error: Error) -> Self {
        Self::failed(GIVEN_UP, error)
    }

    pub(super) fn not_executed(error: Error) -> Self {
        Self::failed(NOT_EXECUTED, error)
    }

    pub(super) fn log_failed(error: Error) -> Self {
        Self::failed(LOG_FAILED, error)
    }

    pub(super) fn is_log_failed(&self) -> bool {
        self.reason == LOG_FAILED
    }

    /// Whether the inner stage is to be ended, because it does not end by itself.
    pub(super) fn leaves_it_running(&self) -> bool {
        !matches!(self.reason, AGENT_EXITED | AGENT_SIGNALED | NOT_EXECUTED)
    }

    /// The agent's own end.
    pub(super) fn ended(status: Status) -> Self {
        let reason = match status {
            Status::Exited(_) => AGENT_EXITED,
            Status::Signaled(_) => AGENT_SIGNALED,
        };
        Self { code: status.code(), reason, error: None }
    }

    /// Ended by a signal to claudebox, before there was an agent or although it did not obey.
    pub(super) fn terminated(signal: i32) -> Self {
        let number = u8::try_from(signal).unwrap_or_default();
        Self { code: Status::Signaled(number).code(), reason: TERMINATED, error: None }
    }

    /// Somebody killed bwrap or the inner stage.
    pub(super) fn sandbox_killed() -> Self {
        let code = exit::SIGNAL_BASE.saturating_add(9);
        Self { code, reason: SANDBOX_KILLED, error: None }
    }
}

pub(super) fn start(plan: &Plan, session: &str) -> Start {
    let summary = &plan.summary;
    let home = plan.inner.env.iter().find(|(name, _)| name.0 == b"HOME");
    Start {
        v: FORMAT_VERSION,
        t: now(),
        session: session.to_owned(),
        claudebox: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        profile: summary.profile.clone(),
        agent: summary.agent.clone(),
        project: summary.project.clone(),
        network: summary.network.clone(),
        weakened: summary.weakened.clone(),
        plan: digest(plan),
        tool_marker: summary.tool_marker.clone(),
        home: home.map(|(_, value)| value.clone()),
        helpers: summary.helpers.clone(),
    }
}

/// `since`: when the supervisor began, if there was an agent.
pub(super) fn end(verdict: &Verdict, execs: u64, since: Option<Instant>) -> End {
    let length = since.map(|since| u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX));
    End { t: now(), execs, code: verdict.code, reason: verdict.reason.to_owned(), dur_us: length }
}

pub(super) fn notice(kind: &str, text: impl Into<String>) -> Event {
    Event::Notice(Notice { t: now(), kind: kind.to_owned(), text: text.into() })
}

/// SHA-256 of the plan without its environment values, hexadecimal.
fn digest(plan: &Plan) -> String {
    let mut plan = plan.clone();
    for (_, value) in &mut plan.inner.env {
        *value = Bytes::default();
    }
    hexadecimal(&Sha256::digest(serde_json::to_vec(&plan).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That an agent has run is what the reason says; what is inside is then to be ended.
    #[test]
    fn a_session_that_is_given_up_was_started() {
        let verdict = Verdict::given_up(Error::launcher("cannot watch the session"));
        assert!(verdict.leaves_it_running());
        let end = end(&verdict, 7, Some(Instant::now()));
        assert_eq!((end.code, end.reason.as_str(), end.execs), (exit::LAUNCHER, "given-up", 7));
        assert!(end.dur_us.is_some());
    }
}
