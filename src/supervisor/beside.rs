//! What works beside the agent, in threads of its own: the import of its branches, and the login that is
//! kept in step. It must begin before the agent does: what cannot be had is then an error of the start,
//! and not the end of a session without a word.
#![forbid(unsafe_code)]

use super::execs::Execs;
use super::git::{Before, Live};
use super::mirror::{Kept, Pairs};
use crate::error::{Result, Tried as _};

/// The threads.
pub(super) struct Beside {
    git: Option<Live>,
    mirror: Option<Kept>,
}

impl Beside {
    /// Starts them.
    ///
    /// # Errors
    /// When there is no descriptor or thread left; none goes on then.
    pub(super) fn begin(git: Option<&Before>, pairs: Option<Pairs>, execs: &Execs) -> Result<Self> {
        let mirror = pairs.map(Pairs::keep).transpose()?;
        match git.map(|git| git.clone().live(execs.notes())).transpose() {
            Ok(git) => Ok(Self { git, mirror }),
            Err(err) => {
                // It would pass a login on, long after.
                mirror.map(Kept::end);
                Err(err).tried(|| "watch the agent's git directory")
            }
        }
    }

    /// Waits for the import's end; what it is at it finishes. Answers with the rest, which ends last.
    pub(super) fn end_git(self) -> Option<Kept> {
        if let Some(git) = self.git {
            git.end();
        }
        self.mirror
    }
}
