//! Brings what the agent's refs lead to, and writes it down in refs of claudebox's own; takes these away
//! when the host has what they lead to. It must never touch a ref that is not below
//! `refs/claudebox/SESSION`.

use std::collections::{BTreeMap, BTreeSet};

use super::apply::Apply;
use super::import::Import;
use super::inside::Inside;
use super::journal::Move;
use super::own::{backup, kept_as, own};
use super::report::Item;
use super::rules::{self, Why};
use super::{Looked, Sync};
use crate::bytes::Bytes;
use crate::error::Result;
use crate::git::names::{self, HEADS, NOTES, TAGS};
use crate::git::oid::Oid;
use crate::git::outside::Outside;
use crate::git::record::{Base, Record};

/// The most new refs that come at once: each is a file in the user's repository.
const MOST: usize = 1000;

/// What came of an import.
pub(super) struct Imported {
    /// What did not come, and why.
    pub(super) refused: BTreeMap<Oid, Why>,
    /// Refs that are too many.
    pub(super) left_out: BTreeSet<Bytes>,
    /// What there is to tell.
    pub(super) items: Vec<Item>,
}

impl Sync<'_> {
    /// Brings what the agent's refs lead to, and writes it down in refs of claudebox's own.
    pub(super) fn import(
        &self,
        apply: &Apply<'_>,
        record: &Record,
        looked: &Looked<'_>,
        extra: Vec<(String, Oid)>,
    ) -> Result<Imported> {
        let Looked { boxed, inside, outside } = *looked;
        let mut items = Vec::new();
        let mut wanted: BTreeMap<Bytes, (Option<&Bytes>, Oid)> = BTreeMap::new();
        for (name, oid) in changed(&record.base, inside, outside) {
            if let Some(kept) = kept_as(self.session, name, oid) {
                wanted.insert(kept, (Some(name), oid.clone()));
            }
        }
        for (name, oid) in extra {
            wanted.insert(format!("{}{name}", own(self.session)).as_str().into(), (None, oid));
        }
        // Tags go last, by the order of names.
        let rest = wanted.keys().nth(MOST).cloned();
        let rest = rest.map(|first| wanted.split_off(&first)).unwrap_or_default();
        let tips: BTreeSet<Oid> = wanted.values().map(|(_, oid)| oid.clone()).collect();
        let (scratch, size) = (self.scratch(), self.size);
        let (running, lock) = (self.running, apply.lock);
        let import = Import { record, boxed, outside, scratch: &scratch, running, size, lock };
        let mut refused = import.bring(&tips)?;
        let left_out = rest.values().filter_map(|(name, _)| (*name).cloned()).collect();
        // What has no name is not left out by one.
        let nameless = rest.into_values().filter(|(name, _)| name.is_none()).map(|(_, oid)| oid);
        refused.extend(nameless.map(|oid| (oid, Why::TooMany)));
        let mut moves = Vec::new();
        for (kept, (name, oid)) in &wanted {
            let old = outside.own.get(kept).cloned();
            if refused.contains_key(oid) {
                if let (Some(name), Some(why)) = (name, refused.get(oid)) {
                    items.push(Item::Held { name: (*name).clone(), why: why.clone(), kept: None });
                }
                continue;
            }
            if old.as_ref() == Some(oid) {
                continue;
            }
            if let Some(name) = name {
                let (name, to, kept) = ((*name).clone(), oid.clone(), kept.clone());
                items.push(Item::Imported { name, to, kept });
            }
            moves.push(Move { name: kept.clone(), old, new: Some(oid.clone()), backup: None });
        }
        moves.extend(self.gone(inside, outside));
        if !moves.is_empty() {
            apply.move_own(&moves)?;
        }
        Ok(Imported { refused, left_out, items })
    }

    /// Branches that came before and are not there any more: what they had is kept as a backup.
    fn gone(&self, inside: &Inside, outside: &Outside) -> Vec<Move> {
        let heads = format!("{}heads/", own(self.session));
        let gone = |(name, had): (&Bytes, &Oid)| {
            let short = names::behind(name, &heads)?;
            let inside_name = Bytes([HEADS.as_bytes(), short].concat());
            let there = inside.now.refs.contains_key(&inside_name)
                || inside.symbolic.contains(&inside_name);
            (!there).then(|| Move {
                name: name.clone(),
                old: Some(had.clone()),
                new: None,
                backup: Some(backup(self.session, &inside_name, had)),
            })
        };
        outside.own.iter().filter_map(gone).collect()
    }

    /// After the end: what the host has now needs no ref of claudebox's own, and what nobody borrows any
    /// more no pin. `held`: what is checked out is held, and with it what is staged.
    pub(super) fn tidy(
        &self,
        apply: &Apply<'_>,
        inside: &Inside,
        refused: &BTreeMap<Oid, Why>,
        held: bool,
    ) -> Result<()> {
        let mut outside = apply.repository.refs()?;
        outside.now.head = apply.repository.head()?;
        let prefix = own(self.session);
        let mut moves = Vec::new();
        for (name, oid) in &outside.own {
            let Some(short) = names::behind(name, &prefix) else { continue };
            let part = |kind: &str| short.strip_prefix(kind.as_bytes());
            let of_host = [("heads/", HEADS), ("tags/", TAGS), ("notes/", NOTES)]
                .iter()
                .find_map(|(kind, prefix)| Some([prefix.as_bytes(), part(kind)?].concat()));
            let over = match of_host {
                Some(of_host) => match outside.now.refs.get(&Bytes(of_host)) {
                    Some(now) => now == oid || apply.repository.contains(oid, now)?,
                    None => false,
                },
                None if part("pin/").is_some() => refused.is_empty(),
                None if short == b"index" => !held,
                None if short == b"head" => outside.commit() == Some(oid),
                None if part("stash/").is_some() => {
                    let of_stash = part("stash/").and_then(Oid::parse);
                    of_stash.is_some_and(|oid| inside.now.stashes.contains(&oid))
                }
                None => false,
            };
            if over {
                moves.push(deleted(name, oid));
            }
        }
        apply.move_own(&moves)
    }

    /// Lets go of what was pinned.
    pub(super) fn unpin(&self, apply: &Apply<'_>) -> Result<()> {
        let outside = apply.repository.refs_below(&[&format!("{}pin/", own(self.session))])?;
        let moves: Vec<Move> = outside.own.iter().map(|(name, oid)| deleted(name, oid)).collect();
        apply.move_own(&moves)
    }
}

fn deleted(name: &Bytes, had: &Oid) -> Move {
    Move { name: name.clone(), old: Some(had.clone()), new: None, backup: None }
}

/// The agent's refs that are not as they were, nor as they are on the host.
fn changed<'a>(
    base: &'a Base,
    inside: &'a Inside,
    outside: &'a Outside,
) -> impl Iterator<Item = (&'a Bytes, &'a Oid)> {
    inside.now.refs.iter().filter(|(name, oid)| {
        let kinds = [HEADS, TAGS, NOTES];
        kinds.iter().any(|prefix| names::behind(name, prefix).is_some())
            && base.refs.get(*name) != Some(oid)
            && outside.now.refs.get(*name) != Some(oid)
    })
}

/// What else is needed: the commit that is checked out, what is staged, the stashes.
pub(super) fn extra_tips(base: &Base, inside: &Inside, outside: &Outside) -> Vec<(String, Oid)> {
    let mut tips = Vec::new();
    let named: BTreeSet<&Oid> = outside.now.refs.values().collect();
    if let Some(commit) = &inside.commit
        && !named.contains(commit)
        && !inside.now.refs.values().any(|oid| oid == commit)
    {
        tips.push(("head".to_owned(), commit.clone()));
    }
    let index = &inside.now.index;
    if let Some(staged) = &inside.staged
        && !inside.clean
        && *index != outside.now.index
        && *index != base.index
    {
        tips.push(("index".to_owned(), staged.clone()));
    }
    for stash in rules::stashes(&base.stashes, &inside.now.stashes, &outside.now.stashes) {
        tips.push((format!("stash/{stash}"), stash.clone()));
    }
    tips
}
