//! Where links lead within a project. A link in the place of a host-executable file, or on the way to one,
//! makes another path as good as the one in the table: whoever writes there is executed. That need not
//! exist yet: a link that leads nowhere today is filled by the agent. It must never open anything.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::known::Target;
use super::path::ways;
use super::survey::{Kind, Survey};
use super::table::{Entry, rests};
use crate::bytes::Bytes;
use crate::host::follow::{Followed, follow};

/// Paths, and the entry of the table that each stands for.
pub type Paths = BTreeMap<Bytes, &'static Entry>;

/// The most paths that count although their names are not in the table. Each is compared with every
/// name in a project.
pub const MOST: usize = 1024;

/// How often links in what links lead to are looked for.
pub const ROUNDS: usize = 2;

/// Some of them, the most dangerous first.
pub type Ranked = Vec<(Bytes, &'static Entry)>;

/// As they are taken where there is no room for all. An agent can make any number of links, and names them as
/// it likes; but not where a tool looks first, high up, and called exactly as in the table: of `x.code-workspace`
/// or `.vscode/x` there can be thousands in one directory, of `.husky` one.
pub fn ranked(paths: &Paths) -> Ranked {
    let mut ranked: Ranked = paths.iter().map(|(path, entry)| (path.clone(), *entry)).collect();
    ranked.sort_by_cached_key(|(path, entry)| (ways(&path.0).count(), !entry.begins_with(&path.0)));
    ranked
}

/// Where these paths lead, for those that lead to another path within the project; in the order of
/// [`ranked()`].
pub fn ends(root: &Path, paths: &Paths, read_link: &dyn Fn(&Path) -> Option<PathBuf>) -> Ranked {
    let end = |(path, entry): &(Bytes, &'static Entry)| -> Ranked {
        let whole = root.join(path.as_path());
        let Some(Followed { links, end }) = follow(&whole, read_link) else { return Vec::new() };
        let above = whole.parent().unwrap_or(root);
        let own = links.iter().find_map(|link| of_whoever_asks(&link.through()));
        // Whoever asks stands in the project, or beside the link.
        let asked = own.iter().flat_map(|rest| [root.join(rest), above.join(rest)]);
        let within = |end: PathBuf| Some(Bytes::from(end.strip_prefix(root).ok()?));
        let ends = asked.chain([end.clone()]).filter_map(within);
        let of_end = |end: Bytes| -> Ranked {
            // All of the project is no answer: of `.claude -> .` what agents read in `.claude` counts.
            if end.0.is_empty() {
                let rests = rests(&path.0).map(|(rest, entry)| (Bytes::from(&*rest), entry));
                return rests.collect();
            }
            if end == *path { Vec::new() } else { vec![(end, *entry)] }
        };
        ends.flat_map(of_end).collect()
    };
    ranked(paths).iter().flat_map(end).collect()
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

/// How many paths were added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Those that were new.
    pub new: usize,
    /// Those that there was no room for.
    pub left: usize,
}

/// Adds what is new, as far as there is room.
pub fn add(known: &mut Paths, more: impl IntoIterator<Item = (Bytes, &'static Entry)>) -> Added {
    let mut added = Added::default();
    for (path, entry) in more {
        if known.contains_key(&path) {
            continue;
        }
        if known.len() >= MOST {
            added.left += 1;
            continue;
        }
        known.insert(path, entry);
        added.new += 1;
    }
    added
}

#[cfg(test)]
mod tests {
    use super::super::table::{What, find};
    use super::*;

    #[test]
    fn attack_no_number_of_links_takes_the_room_of_the_one_that_counts() {
        let deep = (0..MOST).map(|at| format!("!{at}/.husky"));
        let wild = (0..MOST).map(|at| format!("!{at}.code-workspace"));
        let upper = [".HUSKY", ".hUSKY", ".Husky"].map(str::to_owned);
        let names = deep.chain(wild).chain(upper).chain([".husky".to_owned()]);
        let paths: Paths = names
            .map(|name| (Bytes::from(&*name), find(name.as_bytes(), What::Link).unwrap()))
            .collect();
        let ranked = ranked(&paths);
        assert_eq!((ranked[0].0.clone(), ranked.len()), (".husky".into(), paths.len()));
        let mut known = Paths::new();
        let added = add(&mut known, ranked.clone());
        assert_eq!(added, Added { new: MOST, left: paths.len() - MOST });
        assert!(known.contains_key(&Bytes::from(".husky")));
        assert_eq!(add(&mut known, ranked), Added { new: 0, ..added }, "what is known takes none");
        // Control: in the order of their names it had no room.
        let mut by_name = Paths::new();
        add(&mut by_name, paths);
        assert!(!by_name.contains_key(&Bytes::from(".husky")));
    }
}
