//! What came and what changed, from two looks at a project. It must never do I/O: the content of a
//! file that may have changed is asked of the caller.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use super::index::Index;
use super::path::{is_at_or_below, join, name, parent, ways};
use super::record::{MOST_READ, Record};
use super::survey::{Item, Kind, Survey, read_entry, write_entry};
use super::table::{self, BARE, Entry, GITLINK, When, is_written_by_git};
use crate::bytes::Bytes;

/// What happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It was not there at the start.
    New,
    /// It is not what it was at the start.
    Changed,
    /// It was there at the start.
    Gone,
    /// It is as it was, and counts only now: a link leads to it.
    Reached,
}

impl Change {
    /// For a person.
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Gone => "gone",
            Self::Reached => "reached",
        }
    }
}

/// One host-executable file, or a directory of them, that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Where, relative to the project.
    pub path: Bytes,
    /// Why it counts.
    #[serde(serialize_with = "write_entry", deserialize_with = "read_entry", rename = "name")]
    pub entry: &'static Entry,
    /// What happened.
    pub change: Change,
    /// Git tracks it now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tracked: bool,
    /// It is older than the session, where nobody looked at its start: it may be the user's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub older: bool,
}

impl Finding {
    /// Whether it may be moved out of the project: what git tracks is git's to move.
    pub fn may_be_moved(&self) -> bool {
        !self.tracked && !self.older && self.change != Change::Gone
    }
}

/// Everything that is not as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// One after the other, by path.
    pub list: Vec<Finding>,
    /// How many directories nobody looked at.
    pub unseen: u64,
    /// How many more there are in directories of installed packages, where nothing executes them by itself.
    pub in_packages: u64,
}

/// Compares a project with what it was. `index` is what git tracks now, `None` where that cannot be
/// told: then nothing is. `content` answers what [`Record::contents`] holds.
pub fn compare(
    record: &Record,
    now: &Survey,
    index: Option<&Index>,
    content: &mut dyn FnMut(&Bytes, &Item) -> Option<String>,
) -> Findings {
    let tracks = |path: &[u8]| index.is_some_and(|index| index.tracks(path));
    let tracked = |path: &Bytes| tracks(&path.0);
    let mut findings = Findings { unseen: now.unseen, ..Findings::default() };
    let mut compare = Compare { record, now, content };
    // The last directory that is wholly new: what is below it goes with it.
    let mut whole: Option<&Bytes> = None;
    // The last directory that is older than the session and was told of.
    let mut older_above: Option<&Bytes> = None;
    for (path, item) in &now.items {
        if whole.is_some_and(|whole| is_at_or_below(&path.0, &whole.0)) {
            continue;
        }
        let Some(change) = compare.change(path, item) else { continue };
        if item.package && !(item.entry.when.in_packages() && compare.is_run_there(path, item)) {
            if item.kind == Kind::Directory {
                whole = Some(path).filter(|_| change == Change::New);
            }
            findings.in_packages += 1;
            continue;
        }
        // A link leads there. Moved away, `HEAD` would take the repository with it.
        let of_git = record.known.own_git && is_written_by_git(&path.0);
        let store = [&b".git/objects"[..], b".git/refs"];
        let store = store.iter().any(|store| is_at_or_below(&path.0, store));
        let tracked = tracked(path) || (of_git && (store || change == Change::Changed));
        let change = if tracked { compare.unless_reached(path, item, change) } else { change };
        let older = compare.is_older(path, item);
        if older && older_above.is_some_and(|above| is_at_or_below(&path.0, &above.0)) {
            continue;
        }
        if item.kind == Kind::Directory {
            // With something tracked below it, each file in it is told of by itself.
            if older {
                older_above = Some(path);
                let (path, entry) = (path.clone(), item.entry);
                findings.list.push(Finding { path, entry, change, tracked, older });
                continue;
            }
            if tracks(&path.0) || change == Change::Changed {
                continue;
            }
            whole = Some(path);
        }
        findings.list.push(Finding {
            path: path.clone(),
            entry: item.entry,
            change,
            tracked,
            older,
        });
    }
    findings.list.extend(compare.gone(&tracked));
    let links = index.map(|index| index.gitlinks.as_slice()).unwrap_or_default();
    let new = links.iter().filter(|path| !record.known.gitlinks.iter().any(|old| old.0 == **path));
    findings.list.extend(new.map(|path| Finding {
        path: path.as_slice().into(),
        entry: &GITLINK,
        change: Change::New,
        tracked: true,
        older: false,
    }));
    findings.list.sort_by(|a, b| a.path.cmp(&b.path));
    findings
}

struct Compare<'a> {
    record: &'a Record,
    now: &'a Survey,
    content: &'a mut dyn FnMut(&Bytes, &Item) -> Option<String>,
}

impl Compare<'_> {
    fn change(&mut self, path: &Bytes, item: &Item) -> Option<Change> {
        let known = &self.record.known;
        if known.protects(&path.0) {
            return None;
        }
        if let Some(before) = known.items.get(path) {
            return (!self.is_same(path, before, item)).then_some(Change::Changed);
        }
        if self.is_older(path, item) {
            return Some(Change::Changed);
        }
        let told = self.is_new(path, item) && !self.goes_with_its_head(path, item);
        told.then_some(Change::New)
    }

    /// Whether it stood somewhere before the session, where nobody looked, and may have come here since, or,
    /// a directory, have got something in it. A renamed directory takes along what is in it as it was.
    fn is_older(&self, path: &Bytes, item: &Item) -> bool {
        let began = self.record.began;
        let unlooked = item.package || self.record.known.unseen > 0;
        let moved = match item.kind {
            Kind::Directory => item.ctime >= began && item.born.is_some_and(|born| born < began),
            _ => item.ctime < began && item.above.is_some_and(|above| above >= began),
        };
        unlooked && moved && !self.record.known.items.contains_key(path)
    }

    /// What git tracks and nobody touched since the start is not new where only a link makes it count. (By a
    /// name of the table it may have come with a directory that was renamed, which leaves its time.)
    fn unless_reached(&self, path: &Bytes, item: &Item, change: Change) -> Change {
        let untouched = item.kind != Kind::Directory && item.ctime < self.record.began;
        let by_link = table::unit(&path.0).is_none() && *item.entry != BARE;
        if change == Change::New && untouched && by_link { Change::Reached } else { change }
    }

    /// Whether what git runs is of a repository: a package brings the hooks of its authors along (`.husky/`),
    /// and where neither it nor what holds it has a repository of its own, git runs none of them.
    fn is_run_there(&self, path: &Bytes, item: &Item) -> bool {
        let holds = |way: &[u8]| {
            let git = Bytes(join(way, b".git"));
            !way.is_empty() && self.now.items.contains_key(&git)
        };
        item.entry.when != When::GitUsed || ways(&path.0).any(holds)
    }

    fn is_new(&self, path: &Bytes, item: &Item) -> bool {
        let known = &self.record.known;
        // Nobody looked there at the start. Nothing inside can set a change time.
        let older = (item.package || known.unseen > 0) && item.ctime < self.record.began;
        !older && !known.protects(&path.0) && !known.items.contains_key(path)
    }

    fn is_same(&mut self, path: &Bytes, before: &Item, now: &Item) -> bool {
        if before.kind != now.kind {
            return false;
        }
        if now.kind == Kind::Directory {
            return true;
        }
        let untouched =
            before.ino == now.ino && before.ctime == now.ctime && before.size == now.size;
        let whole = now.size <= MOST_READ;
        let equal = before.mode == now.mode && before.size == now.size && whole;
        untouched || (equal && self.has_content(path, now))
    }

    fn has_content(&mut self, path: &Bytes, now: &Item) -> bool {
        let before = self.record.content(path);
        before.is_some() && (self.content)(path, now).as_deref() == before
    }

    /// A bare repository is told of once: by its `HEAD`, if that is new. Where a path may belong to two,
    /// both have to be: a new `HEAD` beside an old repository would hide what became of that one.
    fn goes_with_its_head(&self, path: &Bytes, item: &Item) -> bool {
        if *item.entry != BARE || name(&path.0) == b"HEAD" {
            return false;
        }
        let mut heads =
            heads(path).filter_map(|head| self.now.items.get_key_value(&head)).peekable();
        heads.peek().is_some() && heads.all(|(head, item)| self.is_new(head, item))
    }

    /// What was there and is not. Where not everything was looked at, nobody knows.
    fn gone(&self, tracked: &dyn Fn(&Bytes) -> bool) -> Vec<Finding> {
        if self.now.unseen > 0 {
            return Vec::new();
        }
        let known = &self.record.known;
        let mut gone: Vec<Finding> = Vec::new();
        for (path, item) in &known.items {
            let told = gone.last().is_some_and(|last| is_at_or_below(&path.0, &last.path.0));
            let missing = !self.now.items.contains_key(path) && !known.protects(&path.0);
            if missing && !told && !item.package && *item.entry != BARE {
                let (path, entry, tracked) = (path.clone(), item.entry, tracked(path));
                gone.push(Finding { path, entry, change: Change::Gone, tracked, older: false });
            }
        }
        gone
    }
}

/// The `HEAD` of the bare repository that a path may belong to: it is beside it, or beside the `hooks`
/// that it is in. A `HEAD` is its own.
fn heads(path: &Bytes) -> impl Iterator<Item = Bytes> {
    let directory = parent(&path.0);
    let hook = name(directory) == b"hooks" && name(&path.0) != b"HEAD";
    let above = hook.then(|| parent(directory));
    std::iter::once(directory).chain(above).map(|directory| Bytes(join(directory, b"HEAD")))
}

#[cfg(test)]
mod tests {
    use super::super::known::Known;
    use super::super::table::{NESTED, What};
    use super::*;
    use crate::host_files::index;

    const FILE: u32 = 0o100_644;

    fn item(path: &str, kind: Kind, ino: u64) -> (Bytes, Item) {
        let what = if kind == Kind::Directory { What::Directory } else { What::File };
        let own = table::find(path.as_bytes(), what);
        let above = table::unit(path.as_bytes()).map(|(_, entry)| entry);
        let item = Item {
            entry: own.or(above).unwrap_or(&BARE),
            unit: own.is_some(),
            package: path.contains("node_modules"),
            kind,
            ino,
            mode: 0o644,
            size: 1,
            linked: false,
            ctime: (ino.cast_signed(), 0),
            born: None,
            above: None,
        };
        (path.into(), item)
    }

    fn survey(items: &[(&str, Kind, u64)]) -> Survey {
        let items = items.iter().map(|(path, kind, ino)| item(path, *kind, *ino)).collect();
        Survey { items, ..Survey::default() }
    }

    fn record(items: &[(&str, Kind, u64)], protected: &[&str]) -> Record {
        let known = Known {
            items: survey(items).items,
            protected: protected.iter().map(|path| Bytes::from(*path)).collect(),
            ..Known::default()
        };
        let contents = known.items.keys().map(|path| (path.clone(), "old".to_owned())).collect();
        Record { known, contents, began: (100, 0), ..Record::default() }
    }

    fn found(record: &Record, now: &Survey, tracked: &[(&str, u32)], content: &str) -> Vec<String> {
        let index = index::read(&index::tests::index(tracked), &[]).unwrap();
        let findings = compare(record, now, Some(&index), &mut |_, _| Some(content.to_owned()));
        let line = |finding: &Finding| {
            let tracked = if finding.tracked { " tracked" } else { "" };
            let path = finding.path.as_path().display();
            format!("{} {path}{tracked}", finding.change.word())
        };
        let mut lines: Vec<String> = findings.list.iter().map(line).collect();
        if findings.in_packages > 0 {
            lines.push(format!("{} in packages", findings.in_packages));
        }
        lines
    }

    use Kind::{Directory as D, File as F};

    #[test]
    fn what_is_wholly_new_is_told_of_once() {
        let now = survey(&[
            (".envrc", F, 1),
            (".vscode", D, 2),
            (".vscode/tasks.json", F, 3),
            ("a/.husky", D, 4),
            ("a/.husky/_", D, 5),
            ("a/.husky/_/x", F, 6),
            ("a/.husky/pre-commit", F, 7),
        ]);
        let tracked = [("a/.husky/pre-commit", FILE)];
        assert_eq!(
            found(&record(&[], &[]), &now, &tracked, ""),
            ["new .envrc", "new .vscode", "new a/.husky/_", "new a/.husky/pre-commit tracked"]
        );
    }

    #[test]
    fn only_another_content_is_a_change() {
        let before = [(".envrc", F, 1), ("b/.envrc", F, 2)];
        let now = survey(&[(".envrc", F, 1), ("b/.envrc", F, 9)]);
        let tracked = [("b/.envrc", FILE)];
        assert_eq!(found(&record(&before, &[]), &now, &tracked, "old"), [""; 0]);
        assert_eq!(
            found(&record(&before, &[]), &now, &tracked, "new"),
            ["changed b/.envrc tracked"]
        );
        let mut executable = now.clone();
        executable.items.get_mut(&Bytes::from("b/.envrc")).unwrap().mode = 0o755;
        assert_eq!(
            found(&record(&before, &[]), &executable, &[], "old"),
            ["changed b/.envrc"],
            "a hook that can be executed is another"
        );
        let directory = survey(&[(".envrc", F, 1), ("b/.envrc", D, 2)]);
        assert_eq!(found(&record(&before, &[]), &directory, &[], "old"), [""; 0]);
    }

    #[test]
    fn what_nothing_inside_can_change_is_the_users_own() {
        let before = [(".idea", D, 1)];
        let now = survey(&[(".idea", D, 1), (".idea/workspace.xml", F, 200)]);
        assert_eq!(found(&record(&before, &[".idea"]), &now, &[], "new"), [""; 0]);
        assert_eq!(found(&record(&before, &[]), &now, &[], "new"), ["new .idea/workspace.xml"]);
        assert_eq!(found(&record(&before, &[]), &Survey::default(), &[], ""), ["gone .idea"]);
    }

    #[test]
    fn where_nobody_looked_the_change_time_decides() {
        let now = survey(&[("a/.envrc", F, 99), ("b/.envrc", F, 100)]);
        let mut record = record(&[], &[]);
        assert_eq!(found(&record, &now, &[], ""), ["new a/.envrc", "new b/.envrc"]);
        record.known.unseen = 1;
        assert_eq!(found(&record, &now, &[], ""), ["new b/.envrc"]);
        record.booted = 1 << 60;
        record.doubt_the_clock(0);
        let all = ["new a/.envrc", "new b/.envrc"];
        assert_eq!(found(&record, &now, &[], ""), all, "the clock was set back meanwhile");
    }

    #[test]
    fn packages_are_counted_except_for_what_git_and_shells_run() {
        let now = survey(&[
            ("node_modules/a/.envrc", F, 100),
            ("node_modules/b/.envrc", F, 99),
            ("node_modules/a/.vscode", D, 101),
            ("node_modules/a/.idea", D, 102),
        ]);
        let record = record(&[], &[]);
        assert_eq!(found(&record, &now, &[], ""), ["new node_modules/a/.envrc", "2 in packages"]);
    }

    #[test]
    fn a_packages_own_hooks_are_counted_where_no_repository_runs_them() {
        let record = record(&[], &[]);
        let mut items = vec![
            ("node_modules/a/.husky", D, 101),
            ("node_modules/a/.husky/pre-commit", F, 102),
            ("node_modules/a/.envrc", F, 103),
        ];
        let counted = ["new node_modules/a/.envrc", "1 in packages"];
        assert_eq!(found(&record, &survey(&items), &[], ""), counted);
        // A repository that stands there, or around it, runs them. It is told of itself where it is new.
        for git in ["node_modules/a/.git", "node_modules/.git"] {
            items.push((git, D, 50));
            let lines = found(&record, &survey(&items), &[], "");
            assert!(lines.contains(&"new node_modules/a/.husky".to_owned()), "{git}: {lines:?}");
            items.pop();
        }
    }

    #[test]
    fn a_bare_repository_is_its_head() {
        let paths = ["r/HEAD", "r/config", "r/hooks", "r/hooks/post-checkout"];
        let now = survey(&paths.map(|path| (path, if path == "r/hooks" { D } else { F }, 100)));
        assert_eq!(found(&record(&[], &[]), &now, &[], ""), ["new r/HEAD"]);
        let before = record(&[("r/HEAD", F, 100), ("r/config", F, 5)], &[]);
        assert_eq!(found(&before, &now, &[], "x"), ["changed r/config", "new r/hooks"]);
        // What git does not track can be moved, whatever stands beside it.
        let tracked = [("r/HEAD", FILE), ("r/config", FILE)];
        let expected = ["changed r/config tracked", "new r/hooks"];
        assert_eq!(found(&before, &now, &tracked, "x"), expected);
    }

    #[test]
    fn a_new_repository_around_another_hides_nothing_of_it() {
        for inner in ["fix/y", "fix/hooks"] {
            let path = |name: &str| format!("{inner}/{name}");
            let (head, config) = (path("HEAD"), path("config"));
            let before = record(&[(&head, F, 1), (&config, F, 2)], &[]);
            let now = survey(&[("fix/HEAD", F, 100), (&head, F, 1), (&config, F, 101)]);
            let tracked = [(&*head, FILE), (&*config, FILE)];
            let expected = ["new fix/HEAD".to_owned(), format!("changed {config} tracked")];
            assert_eq!(found(&before, &now, &tracked, "x"), expected);
            // It had none.
            let before = record(&[(&head, F, 1)], &[]);
            let tracked = [(&*head, FILE)];
            let expected = ["new fix/HEAD".to_owned(), format!("new {config}")];
            assert_eq!(found(&before, &now, &tracked, "x"), expected);
        }
    }

    #[test]
    fn a_repository_that_nobody_saw_is_not_new_with_its_configuration() {
        let mut record = record(&[], &[]);
        let now = survey(&[("r/HEAD", F, 99), ("r/config", F, 100)]);
        assert_eq!(found(&record, &now, &[], ""), ["new r/HEAD"]);
        record.known.unseen = 1;
        assert_eq!(found(&record, &now, &[], ""), ["new r/config"]);
    }

    #[test]
    fn a_new_submodule_and_its_repository() {
        let now = survey(&[("sub/.git", D, 100), ("sub/.git/config", F, 100)]);
        let links = [("sub", 0o160_000)];
        let found = found(&record(&[], &[]), &now, &links, "");
        assert_eq!(found, ["new sub tracked", "new sub/.git"]);
        assert_eq!(now.items[&Bytes::from("sub/.git")].entry, &NESTED);
    }

    #[test]
    fn an_index_that_cannot_be_read_tracks_nothing() {
        let now = survey(&[(".envrc", F, 1)]);
        let findings = compare(&record(&[], &[]), &now, None, &mut |_, _| None);
        assert!(findings.list[0].may_be_moved());
    }
}
