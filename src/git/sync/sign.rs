//! `sync --sign`: the commits of a session that is over, made anew with the user's signature. Keys are
//! never inside, so what the agent commits is not signed. Trees, messages and authors stay; who commits
//! is the user, now. It must never take an agent's word for a signature: what is signed is made
//! anew, whatever signature it had. Nor may it move a branch that is not as it came.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::AsFd as _;

use super::apply::put;
use super::ending::not_private;
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::git::call::PATIENT;
use crate::git::commit::{self, Commit};
use crate::git::names::{self, HEADS};
use crate::git::oid::Oid;
use crate::git::outside::Repository;
use crate::git::private::setting::{LIST, listing};
use crate::git::record::Record;
use crate::session::{Session, lock};
use crate::visible::{visible, visible_path};

/// A branch that the session moved.
#[derive(Debug)]
struct Moved<'r> {
    name: &'r Bytes,
    /// What came, and what it has.
    came: &'r Oid,
}

/// Signs what a session brought, and says what became of each branch.
///
/// # Errors
/// When there is no key, or git says no: no branch has moved then. When it cannot be written down that
/// they have.
pub fn command(session: &Session, out: &mut dyn Write) -> Result<()> {
    let id = session.id.as_str();
    let path = session.directory.join("git.lock");
    let lock = lock::take(&path).tried(|| format!("lock {}", visible_path(&path)))?;
    let Some(record) = Record::read(&session.directory) else { return Err(not_private(id)) };
    let repository = Repository::of(&record);
    let said = repository.call("read the configuration").args(LIST).run()?;
    commit::may_sign(&listing(&said).unwrap_or_default())?;
    let start = record.start.as_ref().ok_or_else(|| {
        Error::usage(format!(
            "which commits session {id} made is not known: an older claudebox began it"
        ))
        .hint("sign them yourself: git rebase --exec 'git commit --amend --no-edit -S' BASE")
    })?;
    let moved = moved(&record, start, &repository.refs()?.now.refs, out);
    if moved.is_empty() {
        let _ = writeln!(out, "nothing to sign");
        return Ok(());
    }
    let signed = sign(&repository, &moved, start)?;
    let message = format!("claudebox: session {id}, signed");
    repository
        .call("move the branches")
        .limits(PATIENT)
        .outlives_us(lock.as_fd())?
        .args(["update-ref", "--create-reflog", "-m", &message, "--stdin", "-z"])
        .input(transaction(&moved, &signed))
        .run()?;
    let mut after = record.clone();
    let pairs = moved.iter().filter_map(|it| Some((it.name.clone(), signed.get(it.came)?.clone())));
    after.signed.extend(pairs);
    after.write(&session.directory).tried(|| "write down what was signed")?;
    tell(&moved, &signed, out);
    Ok(())
}

/// The branches that are as they came, and have work of the session's; of the others it is said why not.
fn moved<'r>(
    record: &'r Record,
    start: &BTreeMap<Bytes, Oid>,
    now: &BTreeMap<Bytes, Oid>,
    out: &mut dyn Write,
) -> Vec<Moved<'r>> {
    let mut moved = Vec::new();
    for (name, came) in &record.base.refs {
        let Some(branch) = names::behind(name, HEADS).filter(|_| start.get(name) != Some(came))
        else {
            continue;
        };
        let shown = visible(branch);
        match now.get(name) {
            Some(has) if has == came => moved.push(Moved { name, came }),
            Some(has) if Some(has) == record.signed.get(name) => {
                let _ = writeln!(out, "branch {shown} is signed already");
            }
            _ => {
                let _ = writeln!(out, "branch {shown} is not as it came, and is not signed");
            }
        }
    }
    moved
}

/// What `git update-ref --stdin -z` is told. A branch that was moved to a commit that was there has nothing
/// to sign.
fn transaction(moved: &[Moved<'_>], signed: &BTreeMap<Oid, Oid>) -> Vec<u8> {
    let mut input = b"start\0".to_vec();
    for Moved { name, came } in moved {
        let Some(new) = signed.get(*came) else { continue };
        put(&mut input, name, new, Some(came));
    }
    input.extend_from_slice(b"prepare\0commit\0");
    input
}

fn tell(moved: &[Moved<'_>], signed: &BTreeMap<Oid, Oid>, out: &mut dyn Write) {
    for Moved { name, came } in moved {
        let shown = visible(names::behind(name, HEADS).unwrap_or_default());
        let text = match signed.get(*came) {
            Some(new) => format!("branch {shown} is signed: {}..{}", came.short(), new.short()),
            None => format!("branch {shown} has no commit of the session's"),
        };
        let _ = writeln!(out, "{text}");
    }
    let (count, s) = (signed.len(), if signed.len() == 1 { "" } else { "s" });
    let _ = writeln!(out, "{count} commit{s} signed");
}

/// Makes anew what these branches have and no branch had at the start, nor a remote; each once, its parents
/// before it.
fn sign(
    repository: &Repository<'_>,
    moved: &[Moved<'_>],
    start: &BTreeMap<Bytes, Oid>,
) -> Result<BTreeMap<Oid, Oid>> {
    let mut input: Vec<&str> = Vec::new();
    for Moved { came, .. } in moved {
        input.extend([came.as_str(), "\n"]);
    }
    // One may be gone by now.
    for old in start.values() {
        input.extend(["^", old.as_str(), "\n"]);
    }
    let said = repository
        .call("list commits")
        .args(["rev-list", "--topo-order", "--reverse", "--ignore-missing", "--stdin"])
        .args(["--not", "--remotes"])
        .input(input.concat())
        .run()?;
    let oids: Vec<Oid> = said.split(|byte| *byte == b'\n').filter_map(Oid::parse).collect();
    let mut signed: BTreeMap<Oid, Oid> = BTreeMap::new();
    for (oid, commit) in oids.iter().zip(commit::read(repository, &oids)?) {
        let parent = |parent: &Oid| signed.get(parent).unwrap_or(parent).clone();
        let parents = commit.parents.iter().map(parent).collect();
        let new = commit::make(repository, &Commit { parents, ..commit.clone() }, true)?;
        signed.insert(oid.clone(), new);
    }
    Ok(signed)
}
