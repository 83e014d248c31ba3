//! What a look through a project found. It must never do I/O.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::table::{self, Entry};
use crate::bytes::Bytes;

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A socket, a FIFO or a device.
    Other,
}

/// A moment as a file system records it: seconds since the Unix epoch, and nanoseconds.
pub type Stamp = (i64, u32);

/// Something that is in the table, or in a directory of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Why it counts.
    #[serde(serialize_with = "write_entry", deserialize_with = "read_entry", rename = "name")]
    pub entry: &'static Entry,
    /// It is in the table itself, and not only below a directory that is.
    pub unit: bool,
    /// It is in a directory of installed packages.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub package: bool,
    /// What it is.
    pub kind: Kind,
    /// Its inode number.
    pub ino: u64,
    /// Its permission bits.
    pub mode: u32,
    /// Its length in bytes.
    pub size: u64,
    /// The file has more than one name (hard links): it is writable by the others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub linked: bool,
    /// When it was last changed in any way, by the kernel's clock (`st_ctime`): nothing inside can
    /// set it.
    pub ctime: Stamp,
    /// When a directory was made (`STATX_BTIME`), where the file system tells: nothing inside can set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born: Option<Stamp>,
    /// `ctime` of the directory that it stands in, where that is a part of its name in the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<Stamp>,
}

/// Everything that was found, by path relative to the project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The paths.
    pub items: BTreeMap<Bytes, Item>,
    /// How many directories were not looked at: too many, too slow, too deep or closed.
    pub unseen: u64,
    /// Packages that are repositories, in a directory of packages that was not looked at.
    pub packages: Vec<Bytes>,
}

impl Survey {
    /// What is in the table itself, outermost first.
    pub fn units(&self) -> impl Iterator<Item = (&Bytes, &Item)> {
        self.items.iter().filter(|(_, item)| item.unit)
    }

    /// What is below a directory.
    pub fn below<'s>(&'s self, path: &'s Bytes) -> impl Iterator<Item = (&'s Bytes, &'s Item)> {
        let first = [path.0.as_slice(), b"/"].concat();
        self.items
            .range(Bytes(first.clone())..)
            .take_while(move |(found, _)| found.0.starts_with(&first))
    }
}

/// An entry is written down as its pattern.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(super) fn write_entry<S: Serializer>(
    entry: &&'static Entry,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(entry.pattern)
}

pub(super) fn read_entry<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<&'static Entry, D::Error> {
    let pattern = String::deserialize(deserializer)?;
    table::by_pattern(&pattern)
        .ok_or_else(|| de::Error::custom(format!("no host-executable file is called {pattern}")))
}

/// What a session's first look is told.
#[derive(Clone, Copy, Debug)]
pub struct FirstLook<'a> {
    /// `.git` in the project itself is its repository and no nested one.
    pub own_git: bool,
    /// Paths that count although their names are not in the table.
    pub extra: &'a BTreeMap<Bytes, &'static Entry>,
}
