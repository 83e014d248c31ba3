//! The record of a session's start, in its directory: what the end is compared with, also by another
//! process, when the supervisor was killed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::time::TimeValLike as _;
use nix::time::{ClockId, clock_gettime};
use rustix::fs::readlinkat;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::beneath::Beneath;
use super::known::Known;
use super::survey::{Item, Kind, Stamp};
use crate::bytes::Bytes;
use crate::hex::hexadecimal;
use crate::json_file;
use crate::profile::schema::HostFiles;

/// The version of the files.
pub const VERSION: u32 = 1;

/// What of a file is read. Whether a longer one has changed is told by its change time alone.
pub(super) const MOST_READ: u64 = 1 << 20;

/// So little, in nanoseconds, that the clock may be set back: no agent starts as soon as that.
const UNNOTICED: i64 = 10_000_000;

/// So much, in nanoseconds, and the machine has booted again, or somebody set the clock.
const ANOTHER_BOOT: u64 = 1_000_000_000;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`]
    pub v: u32,
    /// The project directory.
    pub project: Bytes,
    /// Its device and inode: another directory of that name is another project.
    pub device: u64,
    /// See `device`.
    pub ino: u64,
    /// When, by the wall clock.
    pub began: Stamp,
    /// When the machine booted, by the wall clock, in nanoseconds since the Unix epoch: another number
    /// later in the same boot means that the clock was set.
    #[serde(default)]
    pub booted: i64,
    /// What happens at the end.
    pub mode: HostFiles,
    /// What was there.
    pub known: Known,
    /// The content of what can change inside: a hash, or a link's target; sorted by path.
    pub contents: Vec<(Bytes, String)>,
}

impl Record {
    /// Takes it.
    ///
    /// # Errors
    /// When the project cannot be opened.
    pub fn take(project: &Path, mode: HostFiles, known: Known) -> io::Result<Self> {
        let mut beneath = Beneath::open(project)?;
        let stat = beneath.stat()?;
        let loose: BTreeMap<_, _> =
            known.items.iter().filter(|(path, _)| !known.protects(&path.0)).collect();
        let contents = loose
            .into_iter()
            .filter_map(|(path, item)| Some((path.clone(), content(&mut beneath, path, item)?)))
            .collect();
        Ok(Self {
            v: VERSION,
            project: project.into(),
            device: stat.st_dev,
            ino: stat.st_ino,
            began: now(),
            booted: booted(),
            mode,
            known,
            contents,
        })
    }

    /// If the clock was set back since, nothing counts as older than the session any more: what was made
    /// inside may carry a time before its start. `booted` is what [`booted`] says now.
    pub fn doubt_the_clock(&mut self, booted: i64) {
        if booted < self.booted.saturating_sub(UNNOTICED) {
            self.began = (i64::MIN, 0);
        }
    }

    /// Whether the project is the directory of this device and inode. A file system may have another device
    /// number after the machine has booted again; `booted` is what [`booted`] says now.
    pub fn is_of(&self, device: u64, ino: u64, booted: i64) -> bool {
        let same_boot = booted.abs_diff(self.booted) < ANOTHER_BOOT;
        ino == self.ino && (device == self.device || !same_boot)
    }

    /// What a file held.
    pub fn content(&self, path: &Bytes) -> Option<&str> {
        let at = self.contents.binary_search_by(|(known, _)| known.cmp(path)).ok()?;
        Some(self.contents.get(at)?.1.as_str())
    }

    /// Writes it into a session's directory.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        json_file::write(&directory.join("host-files.json"), self)
    }

    /// Reads it back.
    pub fn read(directory: &Path) -> Option<Self> {
        let read: Self = json_file::read(&directory.join("host-files.json"))?;
        (read.v == VERSION).then_some(read)
    }
}

/// What a file holds, to be compared: `None` for what holds nothing, or cannot be read.
pub(crate) fn content(beneath: &mut Beneath, path: &Bytes, item: &Item) -> Option<String> {
    match item.kind {
        Kind::File => {
            let file = File::from(beneath.file(&path.0).ok()?);
            let mut hash = Sha256::new();
            let mut buffer = [0; 16 << 10];
            let mut file = file.take(MOST_READ);
            loop {
                match file.read(&mut buffer).ok()? {
                    0 => return Some(hexadecimal(&hash.finalize())),
                    read => hash.update(&buffer[..read]),
                }
            }
        }
        Kind::Link => {
            let (directory, name) = beneath.place(&path.0).ok()?;
            let target = readlinkat(directory, name, Vec::new()).ok()?;
            Some(hexadecimal(&Sha256::digest(target.as_bytes())))
        }
        Kind::Directory | Kind::Other => None,
    }
}

fn now() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos())
}

/// See [`Record::booted`].
pub(super) fn booted() -> i64 {
    let once = || {
        let up = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
        let now = clock_gettime(ClockId::CLOCK_REALTIME).ok()?;
        Some((now - up).num_nanoseconds())
    };
    // Who has to wait between the two looks sees too late a boot.
    (0..5).filter_map(|_| once()).min().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;

    use super::super::walk::{Limits, Look, walk};
    use super::*;

    #[test]
    fn the_clock_is_believed_until_it_is_set_back() {
        let mut record = Record { began: (100, 0), booted: booted(), ..Record::default() };
        record.doubt_the_clock(booted());
        record.doubt_the_clock(booted() + 3_600_000_000_000);
        assert_eq!(record.began, (100, 0));
        record.doubt_the_clock(booted() - 3_600_000_000_000);
        assert_eq!(record.began, (i64::MIN, 0));
    }

    #[test]
    fn another_device_is_the_same_one_after_a_boot() {
        let record = Record { device: 1, ino: 2, booted: 5, ..Record::default() };
        assert!(record.is_of(1, 2, 5));
        assert!(!record.is_of(3, 2, 5) && !record.is_of(1, 3, 5));
        assert!(record.is_of(3, 2, 60_000_000_000));
        assert!(!record.is_of(3, 4, 60_000_000_000));
    }

    #[test]
    fn a_record_survives_the_file_whatever_the_names_are() {
        let project = tempfile::tempdir().unwrap();
        let odd = project.path().join(std::ffi::OsStr::from_bytes(b"odd\xff\n"));
        fs::create_dir(&odd).unwrap();
        fs::write(odd.join(".envrc"), "x").unwrap();
        fs::write(project.path().join(".envrc"), vec![b'x'; 3 << 20]).unwrap();
        std::os::unix::fs::symlink("odd", project.path().join(".vscode")).unwrap();
        let extra = BTreeMap::new();
        let look = Look {
            limits: Limits::START,
            own_git: false,
            packages: false,
            extra: &extra,
            into: &|_| true,
        };
        let items = walk(project.path(), &look).unwrap().items;
        let known = Known { items, protected: vec![".envrc".into()], ..Known::default() };
        let taken = Record::take(project.path(), HostFiles::Report, known).unwrap();
        assert_eq!(taken.contents.len(), 2, "nothing of what is protected: {:?}", taken.contents);
        let directory = tempfile::tempdir().unwrap();
        taken.write(directory.path()).unwrap();
        assert_eq!(Record::read(directory.path()).as_ref(), Some(&taken));
        assert!(taken.content(&Bytes(b"odd\xff\n/.envrc".to_vec())).is_some());
        assert_eq!(taken.content(&".envrc".into()), None);
        let text = fs::read_to_string(directory.path().join("host-files.json")).unwrap();
        assert!(!text.contains("odd\n"));
    }
}
