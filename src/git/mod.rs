//! The private git directory of a session, and what comes back out of it. Inside, a copy `P` that
//! claudebox made is mounted in the place of the project's `.git`; whatever is written there is the
//! agent's word, and is only ever read in a box of its own ([`boxed`]). Commits come back as objects
//! that git has checked, refs and the index by the three-way rules of [`sync::rules`]. It must never run a
//! git of the host on `P`, nor read a file of it by its path.
//!
//! ```text
//! SESSION/git.json     what is where, and how the refs stood when host and P last agreed (record)
//! SESSION/git/         P, and what the sync keeps beside it
//! .git/refs/claudebox/SESSION/heads/*    the agent's branches, as they were imported
//! .git/refs/claudebox/SESSION/backup/*   tips that a rewritten or deleted branch of the host had
//! .git/refs/claudebox/SESSION/pin/*      what P borrows from the host, so that no gc takes it
//! ```

pub mod boxed;
pub mod call;
pub mod commit;
pub mod fingerprint;
pub mod limits;
pub mod names;
pub mod oid;
pub mod outside;
pub mod private;
pub mod record;
pub mod sync;
pub mod version;
pub mod worktree;
mod written;
