//! What a session knows of its project's host-executable files from the start: what was there, and
//! what of it nothing inside can change. It travels with the plan. It must never do I/O.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::path::is_at_or_below;
use super::survey::{Item, read_entry, write_entry};
use super::table::Entry;
use crate::bytes::Bytes;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// `.git` in the project itself is its repository.
    pub own_git: bool,
    /// Where that is, for a linked worktree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_dir: Option<Bytes>,
    /// What was there. Of a read-only directory only itself.
    #[serde(with = "pairs")]
    pub items: BTreeMap<Bytes, Item>,
    /// What links of the table lead to, within the project, whether it is there or not.
    pub targets: Vec<Target>,
    /// These links, and the directories of hooks: each may lead to another path at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Target>,
    /// What is read-only inside, or not there at all, with everything below; sorted.
    pub protected: Vec<Bytes>,
    /// Submodules.
    pub gitlinks: Vec<Bytes>,
    /// How many directories were not looked at.
    pub unseen: u64,
}

/// A path that counts although its name is not in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Relative to the project.
    pub path: Bytes,
    /// The link's.
    #[serde(serialize_with = "write_entry", deserialize_with = "read_entry", rename = "name")]
    pub entry: &'static Entry,
}

impl Known {
    /// Whether nothing inside can change this path.
    pub fn protects(&self, path: &[u8]) -> bool {
        self.protected.iter().any(|root| is_at_or_below(path, &root.0))
    }

    /// [`Known::targets`] by path.
    pub fn extra(&self) -> BTreeMap<Bytes, &'static Entry> {
        self.targets.iter().map(|target| (target.path.clone(), target.entry)).collect()
    }
}

/// A map whose keys are bytes is a list of pairs in JSON.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{Bytes, Item};

    pub(super) fn serialize<S: Serializer>(
        items: &BTreeMap<Bytes, Item>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(items)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Bytes, Item>, D::Error> {
        Ok(Vec::<(Bytes, Item)>::deserialize(deserializer)?.into_iter().collect())
    }
}
