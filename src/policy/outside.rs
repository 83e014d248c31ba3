//! The programs that run outside of the sandbox: bwrap, tmux, git, `nix-store`. It must never let one run
//! that what is inside could have written, in this session or in an earlier one like it.
#![forbid(unsafe_code)]

use std::path::Path;

use super::binds;
use super::draft::Draft;
use super::mount::{Access, Mount, Step};
use crate::error::{Error, Result};
use crate::visible::visible_path;

/// Whether something inside could put another program in the place of this one (canonical).
pub(super) fn lets_replace(steps: &[Step], program: &Path) -> bool {
    steps.iter().any(|step| match &step.mount {
        Mount::Bind { source, access: Access::Write, .. } => program.starts_with(source.path()),
        _ => false,
    })
}

/// The error for one that could be replaced.
pub fn replaceable(program: &Path) -> Error {
    Error::launcher(format!(
        "{} could be written inside, and is not started outside of the sandbox",
        visible_path(program)
    ))
}

/// Finds a program that is to run while the policy is still being made, and refuses it before it does. Not
/// every mount is known by then: what the command line binds is looked up.
///
/// # Errors
/// That one, with `hint`.
pub(super) fn refuse_replaceable(
    draft: &Draft<'_>,
    name: &str,
    also: Option<&Path>,
    hint: &str,
) -> Result<()> {
    let Some(program) = draft.facts.program(draft.host, name, also) else { return Ok(()) };
    let bound = binds::writable(draft)?;
    let replaced = lets_replace(&draft.steps, &program)
        || bound.iter().any(|place| program.starts_with(place));
    if replaced { Err(replaceable(&program).hint(hint)) } else { Ok(()) }
}
