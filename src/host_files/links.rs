//! Where links lead within a project. A link in the place of a host-executable file, or on the way to one,
//! makes another path as good as the one in the table: whoever writes there is executed. That need not
//! exist yet: a link that leads nowhere today is filled by the agent. It must never open anything.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::known::Target;
use super::survey::{Kind, Survey};
use super::table::Entry;
use crate::bytes::Bytes;
use crate::host::follow::{Followed, follow};

/// Paths, and the entry of the table that each stands for.
pub type Paths = BTreeMap<Bytes, &'static Entry>;

/// The most paths that count although their names are not in the table. Each is compared with every
/// name in a project.
pub const MOST: usize = 1024;

/// How often links in what links lead to are looked for.
pub const ROUNDS: usize = 2;

/// Where these paths lead, for those that lead to another path within the project.
pub fn ends(root: &Path, paths: &Paths, read_link: &dyn Fn(&Path) -> Option<PathBuf>) -> Paths {
    let end = |(path, entry): (&'_ Bytes, &&'static Entry)| -> Vec<(Bytes, &'static Entry)> {
        let whole = root.join(path.as_path());
        let Some(Followed { links, end }) = follow(&whole, read_link) else { return Vec::new() };
        let above = whole.parent().unwrap_or(root);
        let own = links.iter().find_map(|link| of_whoever_asks(&link.through()));
        // Whoever asks stands in the project, or beside the link.
        let asked = own.iter().flat_map(|rest| [root.join(rest), above.join(rest)]);
        let within = |end: PathBuf| Some(Bytes::from(end.strip_prefix(root).ok()?));
        let ends = asked.chain([end.clone()]).filter_map(within);
        ends.filter(|end| !end.0.is_empty() && end != path).map(|end| (end, *entry)).collect()
    };
    paths.iter().flat_map(end).collect()
}

/// What stands behind `/proc/self/cwd`, proc(5): for each process it is another directory.
fn of_whoever_asks(path: &Path) -> Option<PathBuf> {
    let mut names = path.strip_prefix("/proc").ok()?.components().skip(1);
    (names.next()?.as_os_str() == "cwd").then(|| names.collect())
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
