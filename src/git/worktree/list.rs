//! How the worktrees of a repository stand. A look is a look: what cannot be seen is said to be
//! unknown, and nothing is changed by it.

use super::judge::Hold;
use super::live::live_tip;
use super::record::Record;
use super::snapshot::{Snapshot, Store};
use super::{Known, Main, diff};
use crate::bytes::Bytes;
use crate::error::Result;
use crate::git::oid::Oid;
use crate::git::record::Head;
use crate::git::sync::ending;
use crate::session::State;

/// How one stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The worktree.
    pub known: Known,
    /// What it has checked out, where that is not its own branch.
    pub head: Option<Head>,
    /// The commit that it began at.
    pub base: Option<Oid>,
    /// The branch that it began at, by its full name.
    pub from: Option<Bytes>,
    /// So many commits has it, and the branch it began at has not.
    pub ahead: Option<usize>,
    /// So many has that branch, and it has not.
    pub behind: Option<usize>,
    /// So many files are in no commit.
    pub changed: Option<usize>,
    /// The latest session that worked in it, and how it stands.
    pub session: Option<(String, State)>,
    /// Something that a session did has not come.
    pub not_here: Option<Hold>,
}

/// Looks at all.
///
/// # Errors
/// When git cannot be asked at all.
pub fn list(main: &Main<'_>) -> Result<Vec<Standing>> {
    main.known()?.0.into_iter().map(|known| one(main, known)).collect()
}

fn one(main: &Main<'_>, known: Known) -> Result<Standing> {
    let live = live_tip(main, &known)?;
    let known = Known { tip: live.tip.or_else(|| known.tip.clone()), ..known };
    let record = Record::read(&main.directory, &known.name);
    let from = record.and_then(|record| record.from);
    let base = diff::base(main, &known).ok();
    let upstream = match &from {
        Some(name) => main.commit(&String::from_utf8_lossy(&name.0))?,
        None => None,
    };
    let upstream = upstream.or_else(|| base.clone());
    let apart = |one: &Option<Oid>, other: &Option<Oid>| match (one, other) {
        (Some(one), Some(other)) => main.count([one.as_str(), "--not", other.as_str()]).ok(),
        _ => None,
    };
    let changed = match Snapshot::take(main, &known, Store::Apart) {
        Ok(snapshot) if snapshot.incomplete.is_none() => {
            let head =
                if live.running.is_some() { &known.tip } else { &Some(snapshot.head.clone()) };
            head.as_ref().and_then(|head| snapshot.changed(main, head).ok())
        }
        _ => None,
    };
    let sessions = main.sessions(&known);
    let over = sessions.iter().filter(|found| !found.state.lives());
    let not_here = over.filter_map(|found| {
        let session = found.session.id.as_str().to_owned();
        ending::open(&found.session).map(|why| Hold::NotHere { session, why })
    });
    Ok(Standing {
        head: main.head(&known).filter(|head| *head != Head::Branch(known.full().as_str().into())),
        not_here: not_here.take(1).next(),
        session: sessions
            .first()
            .map(|found| (found.session.id.as_str().to_owned(), found.state.clone())),
        ahead: apart(&known.tip, &upstream),
        behind: apart(&upstream, &known.tip),
        base,
        from,
        changed,
        known,
    })
}
