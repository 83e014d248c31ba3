//! The look at the end of a session: what of the project's host-executable files is not as it was at the
//! start. It must never look while something inside lives.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::geteuid;

use super::beneath::Beneath;
use super::compare::compare;
use super::found::Found;
use super::index::{self, Index};
use super::links::{self, Paths};
use super::record::{Record, booted, content};
use super::survey::{Kind, Survey};
use super::table::{self, What, holds_packages};
use super::walk::{Limits, Look, walk};
use crate::bytes::Bytes;
use crate::host::{Disk, follow};

/// Looks at what a session left behind, unless somebody has already; `None` for a session without a
/// record. Nothing inside may live.
pub fn look(directory: &Path) -> io::Result<Option<Found>> {
    if let Some(found) = Found::read(directory)? {
        return Ok(Some(found));
    }
    let Some(mut record) = Record::read(directory) else { return Ok(None) };
    record.doubt_the_clock(booted());
    let mut project = open(&record)?;
    let (survey, index) = follow(&mut record, &mut project)?;
    let mut read = |path: &Bytes, item: &_| content(&mut project, path, item);
    let found = Found::new(compare(&record, &survey, index.as_ref(), &mut read));
    found.write(directory)?;
    Ok(Some(found))
}

/// The project of a record, if it is still the same directory.
pub(super) fn open(record: &Record) -> io::Result<Beneath> {
    let project = Beneath::open(record.project.as_path())?;
    let stat = project.stat()?;
    if record.is_of(stat.st_dev, stat.st_ino, booted()) {
        return Ok(project);
    }
    Err(io::Error::other("it is another directory than at the start"))
}

/// Looks through the project, and again for as long as links lead to what was not looked for: an agent
/// fills what a link of the start leads to, or turns one on the way to somewhere else.
fn follow(record: &mut Record, project: &mut Beneath) -> io::Result<(Survey, Option<Index>)> {
    let root = record.project.clone();
    let root = root.as_path();
    // An agent may have closed the directory of a link.
    let beneath = RefCell::new(Beneath::open(root)?);
    let read_link = |path: &Path| match path.strip_prefix(root) {
        Ok(path) => beneath.borrow_mut().read_link(path.as_os_str().as_bytes()),
        Err(_) => fs::read_link(path).ok(),
    };
    let known = &record.known;
    let mut extra = known.extra();
    let before = known.links.iter().chain(&known.targets);
    let before = before.map(|target| (target.path.clone(), target.entry)).collect();
    let mut ends = links::ends(root, &before, &read_link);
    let mut round = 0;
    loop {
        links::add(&mut extra, ends);
        record.known.targets = links::targets(&extra);
        let index = read_index(record, project);
        let mut survey = look_through(record, &extra, index.as_ref())?;
        // A link that is called like a directory of the table (`bin/mise`) and leads to a file is none. That
        // file is the project's, where it is looked at again, or not the user's: an agent makes others a directory.
        let is_file = |path: &Bytes| {
            let end = follow::follow(&root.join(path.as_path()), &read_link).map(|it| it.end);
            end.is_some_and(|end| {
                let found = fs::symlink_metadata(&end);
                let anothers = |found: &fs::Metadata| found.uid() != geteuid().as_raw();
                found.is_ok_and(|found| {
                    found.is_file() && (end.starts_with(root) || anothers(&found))
                })
            })
        };
        let known = &record.known.items;
        survey.items.retain(|path, item| {
            let by_name = item.kind == Kind::Link
                && !known.contains_key(path)
                && table::find(&path.0, What::Link).is_some()
                && table::find(&path.0, What::File).is_none();
            !by_name || !is_file(path)
        });
        // One that is new and that git does not track is set aside itself.
        let stays = |path: &Bytes| {
            let tracked = index.as_ref().is_some_and(|index| index.tracks(&path.0));
            tracked || record.known.items.contains_key(path)
        };
        let mut found = links::found(&survey);
        found.retain(|path, _| stays(path));
        ends = links::ends(root, &found, &read_link);
        ends.retain(|(path, _)| !extra.contains_key(path) && !survey.items.contains_key(path));
        if ends.is_empty() || round == links::ROUNDS {
            survey.unseen += ends.len() as u64;
            return Ok((survey, index));
        }
        round += 1;
    }
}

fn look_through(record: &Record, extra: &Paths, index: Option<&Index>) -> io::Result<Survey> {
    let into = |path: &[u8]| {
        let known = &record.known;
        let tracked = || index.is_some_and(|index| index.tracks(path));
        // Where nobody looked at the start it is not known to be new: a file in it may have been changed.
        let unknown = || known.unseen > 0 || path.split(|byte| *byte == b'/').any(holds_packages);
        !known.protects(path)
            && (known.items.contains_key(&Bytes::from(path)) || tracked() || unknown())
    };
    let own_git = record.known.own_git;
    let look = Look { limits: Limits::END, own_git, packages: true, extra, into: &into };
    walk(record.project.as_path(), &look)
}

/// What git tracks now. The index is the agent's word: it can name a file to keep it from being moved,
/// as it could by a commit; either way it is told of.
fn read_index(record: &Record, project: &mut Beneath) -> Option<Index> {
    if let Some(git_dir) = &record.known.git_dir {
        return index::of_repository(git_dir.as_path(), &record.known.targets, &Disk);
    }
    if !record.known.own_git {
        return Some(Index::default());
    }
    let mut read = |name: &[u8]| {
        let file = match project.file(&[b".git/", name].concat()) {
            Err(Errno::NOENT) => return Some(Index::default()),
            other => File::from(other.ok()?),
        };
        let mut bytes = Vec::new();
        file.take(index::MAX_SIZE as u64 + 1).read_to_end(&mut bytes).ok()?;
        index::read(&bytes, &record.known.targets).filter(|_| bytes.len() <= index::MAX_SIZE)
    };
    let mut index = read(b"index")?;
    if let Some(shared) = index.shared.clone() {
        index.join(read(shared.as_bytes())?);
    }
    Some(index)
}
