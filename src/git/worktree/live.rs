//! What a session that works in a worktree has done so far. It comes to the host while it runs, and is
//! looked at only: the session goes on.

use super::{Known, Main};
use crate::error::Result;
use crate::git::oid::Oid;

/// What is known of a session that works in a worktree now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// The session.
    pub running: Option<String>,
    /// What its agent has committed so far.
    pub tip: Option<Oid>,
}

/// Whether a session works in a worktree, and what it has committed so far.
///
/// # Errors
/// When git cannot be asked.
pub fn live_tip(main: &Main<'_>, known: &Known) -> Result<Live> {
    let found = main.sessions(known).into_iter().find(|found| found.state.lives());
    let Some(found) = found else { return Ok(Live::default()) };
    let id = found.session.id.as_str().to_owned();
    let tip = main.commit(&format!("refs/claudebox/{id}/heads/{}", known.branch()))?;
    Ok(Live { running: Some(id), tip })
}
