//! The decisions as a table: how base, agent and host stand, and what is done. Commits are digits; one
//! contains another if it is a multiple of it.

use super::*;

/// How one side stands.
#[derive(Clone, Copy)]
struct Side {
    /// A branch, or a digit.
    head: &'static str,
    /// Below `refs/`.
    refs: &'static [(&'static str, u8)],
    index: &'static str,
    /// Nothing is staged.
    clean: bool,
    stashes: &'static [u8],
}

const SIDE: Side = Side {
    head: "main",
    refs: &[("heads/main", 1), ("heads/side", 1), ("tags/v1", 1)],
    index: "a",
    clean: true,
    stashes: &[],
};

/// A row; what is not said is as in [`SIDE`].
struct Row {
    what: &'static str,
    base: Side,
    agent: Side,
    host: Side,
    /// Commits that did not come.
    refused: &'static [u8],
    /// A branch that another worktree has.
    elsewhere: &'static str,
    /// The agent's index as a commit.
    staged: u8,
    unfinished: Option<&'static str>,
    does: &'static [&'static str],
}

const ROW: Row = Row {
    what: "nobody did anything",
    base: SIDE,
    agent: SIDE,
    host: SIDE,
    refused: &[],
    elsewhere: "",
    staged: 9,
    unfinished: None,
    does: &[],
};

const COMMITTED: Side =
    Side { refs: &[("heads/main", 2), ("heads/side", 1), ("tags/v1", 1)], index: "b", ..SIDE };

const TABLE: &[Row] = &[
    ROW,
    Row {
        what: "a commit",
        agent: COMMITTED,
        does: &["current refs/heads/main 1..2", "index 2"],
        ..ROW
    },
    Row {
        what: "a commit, and something staged",
        agent: Side { clean: false, ..COMMITTED },
        does: &["current refs/heads/main 1..2", "index 9"],
        ..ROW
    },
    Row {
        what: "something staged",
        agent: Side { index: "b", clean: false, ..SIDE },
        does: &["index 9"],
        ..ROW
    },
    Row {
        what: "a rewritten branch",
        base: COMMITTED,
        agent: Side {
            refs: &[("heads/main", 3), ("heads/side", 1), ("tags/v1", 1)],
            index: "c",
            ..SIDE
        },
        host: COMMITTED,
        does: &["current refs/heads/main 2..3 kept", "index 3"],
        ..ROW
    },
    Row {
        what: "a commit on both sides",
        agent: COMMITTED,
        host: Side {
            refs: &[("heads/main", 3), ("heads/side", 1), ("tags/v1", 1)],
            index: "c",
            ..SIDE
        },
        does: &["held refs/heads/main: both-moved"],
        ..ROW
    },
    Row {
        what: "a commit, and the user has something staged",
        agent: COMMITTED,
        host: Side { index: "c", clean: false, ..SIDE },
        does: &["held refs/heads/main: staged", "held HEAD: staged"],
        ..ROW
    },
    Row {
        what: "a commit, and the user has taken it over",
        agent: COMMITTED,
        host: COMMITTED,
        does: &[],
        ..ROW
    },
    Row {
        what: "a commit that did not come",
        agent: COMMITTED,
        refused: &[2],
        does: &["held refs/heads/main: objects"],
        ..ROW
    },
    Row {
        what: "another branch, checked out, with a commit",
        agent: Side {
            head: "new",
            refs: &[("heads/main", 1), ("heads/new", 2), ("heads/side", 1), ("tags/v1", 1)],
            index: "b",
            ..SIDE
        },
        does: &["head main..new", "index 2", "move refs/heads/new 0..2"],
        ..ROW
    },
    Row {
        what: "the same, and the user has switched",
        agent: Side {
            head: "new",
            refs: &[("heads/main", 1), ("heads/new", 2), ("heads/side", 1), ("tags/v1", 1)],
            index: "b",
            ..SIDE
        },
        host: Side { head: "side", ..SIDE },
        does: &["move refs/heads/new 0..2", "held HEAD: switched"],
        ..ROW
    },
    Row {
        what: "a branch of a name that is not taken, checked out",
        agent: Side {
            head: "-x",
            refs: &[("heads/-x", 2), ("heads/main", 1), ("heads/side", 1), ("tags/v1", 1)],
            index: "b",
            ..SIDE
        },
        does: &["head main..2", "index 2", "held refs/heads/-x: name"],
        ..ROW
    },
    Row {
        what: "the branch renamed",
        agent: Side {
            head: "new",
            refs: &[("heads/new", 1), ("heads/side", 1), ("tags/v1", 1)],
            ..SIDE
        },
        does: &["head main..new", "move refs/heads/new 0..1", "delete refs/heads/main 1..0 kept"],
        ..ROW
    },
    Row {
        what: "the branch that is checked out deleted",
        agent: Side { head: "1", refs: &[("heads/side", 1), ("tags/v1", 1)], ..SIDE },
        does: &["head main..1", "delete refs/heads/main 1..0 kept"],
        ..ROW
    },
    Row {
        what: "the same, and the user has something staged",
        agent: Side { head: "1", refs: &[("heads/side", 1), ("tags/v1", 1)], ..SIDE },
        host: Side { index: "c", clean: false, ..SIDE },
        does: &["held refs/heads/main: staged", "held HEAD: staged"],
        ..ROW
    },
    Row {
        what: "other branches",
        agent: Side {
            refs: &[("heads/main", 1), ("heads/other", 4), ("heads/side", 2), ("tags/v1", 1)],
            ..SIDE
        },
        elsewhere: "refs/heads/side",
        does: &["move refs/heads/other 0..4", "held refs/heads/side: elsewhere"],
        ..ROW
    },
    Row {
        what: "a name in the way of one that is there",
        agent: Side {
            refs: &[
                ("heads/main", 1),
                ("heads/main/x", 2),
                ("heads/side", 1),
                ("tags/side", 2),
                ("tags/v1", 1),
            ],
            ..SIDE
        },
        does: &["held refs/heads/main/x: in-the-way", "held refs/tags/side: in-the-way"],
        ..ROW
    },
    Row {
        what: "tags and notes",
        agent: Side {
            refs: &[
                ("heads/main", 1),
                ("heads/side", 1),
                ("notes/commits", 4),
                ("tags/v1", 2),
                ("tags/v2", 2),
            ],
            ..SIDE
        },
        does: &["move refs/notes/commits 0..4", "move refs/tags/v2 0..2", "held refs/tags/v1: tag"],
        ..ROW
    },
    Row {
        what: "what is not taken over",
        agent: Side {
            refs: &[
                ("heads/main", 1),
                ("heads/side", 1),
                ("remotes/o/main", 4),
                ("replace/x", 4),
                ("tags/v1", 1),
            ],
            ..SIDE
        },
        does: &[],
        ..ROW
    },
    Row {
        what: "stashes, one of which did not come",
        base: Side { stashes: &[5], ..SIDE },
        agent: Side { stashes: &[8, 7, 6], ..SIDE },
        host: Side { stashes: &[5], ..SIDE },
        refused: &[7],
        does: &["stash 6", "stash 8", "held refs/stash: objects"],
        ..ROW
    },
    Row {
        what: "in the middle of a merge",
        agent: COMMITTED,
        unfinished: Some("a merge"),
        does: &["held refs/heads/main: unfinished-inside", "held HEAD: unfinished-inside"],
        ..ROW
    },
];

fn oid(digit: u8) -> Oid {
    Oid::parse(digit.to_string().repeat(40).as_bytes()).unwrap()
}

fn digit(oid: &Oid) -> &str {
    &oid.as_str()[..1]
}

fn head(text: &str) -> Head {
    match text.parse() {
        Ok(digit) => Head::Detached(oid(digit)),
        Err(_) => Head::Branch(format!("{HEADS}{text}").as_str().into()),
    }
}

fn base(side: &Side) -> Base {
    let one =
        |(name, digit): &(&str, u8)| (Bytes::from(format!("refs/{name}").as_str()), oid(*digit));
    Base {
        head: head(side.head),
        refs: side.refs.iter().map(one).collect(),
        index: Some(side.index.to_owned()),
        stashes: side.stashes.iter().copied().map(oid).collect(),
    }
}

/// What a row says, with the host as it is given.
fn decided(row: &Row, host: Base, clean: bool) -> Decided {
    let agent = base(&row.agent);
    let commit = match &agent.head {
        Head::Branch(name) => agent.refs.get(name).cloned(),
        Head::Detached(oid) => Some(oid.clone()),
    };
    let clean_inside = row.agent.clean;
    let inside = Inside {
        staged: if clean_inside { commit.clone() } else { Some(oid(row.staged)) },
        commit,
        clean: clean_inside,
        unfinished: row.unfinished,
        now: agent,
        ..Inside::default()
    };
    let elsewhere = BTreeSet::from([row.elsewhere.into()]);
    let outside = Outside { now: host, elsewhere, ..Outside::default() };
    let why = Why::Objects { words: String::new() };
    decide(&Question {
        base: &base(&row.base),
        inside: &inside,
        outside: &outside,
        commit: outside.commit(),
        clean,
        refused: &row.refused.iter().map(|digit| (oid(*digit), why.clone())).collect(),
        left_out: &BTreeSet::new(),
        contained: &|old, new| {
            let number = |oid: &Oid| digit(oid).parse::<u8>().unwrap();
            number(new) % number(old) == 0
        },
        session: "4k7x",
    })
}

fn told(decided: &Decided) -> Vec<String> {
    let or_none = |oid: &Option<Oid>| oid.as_ref().map_or("0", digit).to_owned();
    let moved = |it: &Move| {
        let kept = if it.backup.is_some() { " kept" } else { "" };
        format!(
            "{} {}..{}{kept}",
            crate::visible::visible(&it.name),
            or_none(&it.old),
            or_none(&it.new)
        )
    };
    let at = |head: &Head| match head {
        Head::Branch(name) => crate::visible::visible(names::behind(name, HEADS).unwrap()),
        Head::Detached(oid) => digit(oid).to_owned(),
    };
    let word = |why: &Why| {
        let said = serde_json::to_value(why).unwrap();
        said["why"].as_str().unwrap().to_owned()
    };
    let held = |item: &Item| match item {
        Item::Held { name, why, .. } => {
            Some(format!("held {}: {}", crate::visible::visible(name), word(why)))
        }
        _ => None,
    };
    let mut told: Vec<String> =
        decided.current.iter().map(|it| format!("current {}", moved(it))).collect();
    told.extend(decided.head.iter().map(|(old, new)| format!("head {}..{}", at(old), at(new))));
    told.extend(decided.index.iter().map(|oid| format!("index {}", digit(oid))));
    told.extend(decided.moves.iter().map(|it| format!("move {}", moved(it))));
    told.extend(decided.deletes.iter().map(|it| format!("delete {}", moved(it))));
    told.extend(decided.stashes.iter().map(|(oid, _)| format!("stash {}", digit(oid))));
    told.extend(decided.items.iter().filter_map(held));
    told
}

/// The host when that is done.
fn done(host: &Base, decided: &Decided, agent: &Side) -> Base {
    let mut after = host.clone();
    let moves = decided.current.iter().chain(&decided.moves).chain(&decided.deletes);
    for one in moves {
        match &one.new {
            Some(oid) => after.refs.insert(one.name.clone(), oid.clone()),
            None => after.refs.remove(&one.name),
        };
    }
    if let Some((_, head)) = &decided.head {
        after.head = head.clone();
    }
    if decided.index.is_some() {
        after.index = Some(agent.index.to_owned());
    }
    for (oid, _) in &decided.stashes {
        after.stashes.insert(0, oid.clone());
    }
    after
}

#[test]
fn each_row_is_decided_as_the_table_says() {
    for row in TABLE {
        let host = base(&row.host);
        let first = decided(row, host.clone(), row.host.clean);
        assert_eq!(told(&first), row.does, "{}", row.what);
        // A sync that was killed before it wrote down the new base does it again: nothing, that is.
        let host = done(&host, &first, &row.agent);
        let again = decided(row, host, row.host.clean);
        assert!(!again.changes(), "{}: then {:?}", row.what, told(&again));
    }
}

#[test]
fn what_is_agreed_on_is_what_both_have() {
    for row in TABLE {
        let host = base(&row.host);
        let decided = decided(row, host.clone(), row.host.clean);
        let (after, agent) = (done(&host, &decided, &row.agent), base(&row.agent));
        for (name, oid) in &decided.after.refs {
            let as_before = base(&row.base).refs.get(name) == Some(oid);
            let as_both = agent.refs.get(name) == Some(oid);
            assert!(as_before || as_both, "{}: {}", row.what, crate::visible::visible(name));
        }
        if decided.current.is_some() || decided.head.is_some() {
            assert_eq!(decided.after.head, after.head, "{}", row.what);
            assert_eq!(decided.after.index, agent.index, "{}", row.what);
        }
    }
}
