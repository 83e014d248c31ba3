//! Where links lead within a project. A link in the place of a host-executable file, or on the way to one,
//! makes another path as good as the one in the table: whoever writes there is executed. That need not
//! exist yet: a link that leads nowhere today is filled by the agent. It must never open anything.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::Path;

use super::known::Target;
use super::survey::{Kind, Survey};
use super::table::Entry;
use crate::bytes::Bytes;
use crate::host::Facts;
use crate::host::follow::follow;

/// Paths, and the entry of the table that each stands for.
pub type Paths = BTreeMap<Bytes, &'static Entry>;

/// The most paths that count although their names are not in the table. Each is compared with every
/// name in a project.
pub const MOST: usize = 1024;

/// How often links in what links lead to are looked for.
pub const ROUNDS: usize = 2;

/// Where these paths lead, for those that lead to another path within the project.
pub fn ends(root: &Path, paths: &Paths, facts: &dyn Facts) -> Paths {
    let end = |(path, entry): (&Bytes, &&'static Entry)| {
        let end = follow(&root.join(path.as_path()), facts)?.end;
        let end = Bytes::from(end.strip_prefix(root).ok()?);
        (!end.0.is_empty() && end != *path).then_some((end, *entry))
    };
    paths.iter().filter_map(end).collect()
}

/// The links that a look found.
pub fn found(survey: &Survey) -> Paths {
    let links = survey.items.iter().filter(|(_, item)| item.kind == Kind::Link);
    links.map(|(path, item)| (path.clone(), item.entry)).collect()
}

/// As they are written down.
pub fn targets(paths: &Paths) -> Vec<Target> {
    let target = |(path, entry): (&Bytes, &&'static Entry)| Target { path: path.clone(), entry };
    paths.iter().map(target).collect()
}

/// Adds what is new, as far as there is room; answers with how many are.
pub fn add(known: &mut Paths, more: Paths) -> usize {
    let before = known.len();
    for (path, entry) in more {
        if known.len() >= MOST {
            break;
        }
        known.entry(path).or_insert(entry);
    }
    known.len() - before
}
