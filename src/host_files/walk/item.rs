//! What is kept of a file that was found.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Stat, StatxFlags, statx};

use super::super::survey::{Item, Kind, Stamp};
use super::super::table::Entry;

pub(super) fn ctime(stat: &Stat) -> Stamp {
    (stat.st_ctime, u32::try_from(stat.st_ctime_nsec).unwrap_or_default())
}

pub(super) fn born(at: &OwnedFd, name: &[u8]) -> Option<Stamp> {
    let found = statx(at, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BTIME).ok()?;
    let told = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
    told.then_some((found.stx_btime.tv_sec, found.stx_btime.tv_nsec))
}

pub(super) fn item(entry: &'static Entry, unit: bool, package: bool, stat: &Stat) -> Item {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    };
    Item {
        entry,
        unit,
        package,
        linked: kind == Kind::File && stat.st_nlink > 1,
        kind,
        ino: stat.st_ino,
        mode: stat.st_mode & 0o7777,
        size: u64::try_from(stat.st_size).unwrap_or_default(),
        ctime: ctime(stat),
        born: None,
        above: None,
    }
}
