//! W: the mounts and Landlock each refuse by themselves what an attacker can do to a directory that is
//! not to be written. Every attack is run against each layer alone, and against none, where it must
//! succeed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use claudebox::plan::Demand;

use crate::built::{Built, writable};
use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};

const PROGRAM: &str = include_str!("../programs/writes.py");

/// Where the directories are inside. Not below a place that can be written, as /tmp or the home: there
/// Landlock, whose rules only allow, and all that is below, is no second layer.
const INSIDE: &str = "/victims";

/// Who refuses an attack.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// The mounts, and Landlock without them.
    Both,
    /// The mounts only: Landlock has no rule for what is not content (landlock(7)).
    Mounts,
}
use By::{Both, Mounts};

/// The attacks of `tests/programs/writes.py`.
const ATTACKS: [(&str, By); 40] = [
    ("create", Both),
    ("append_to_a_file", Both),
    ("truncate", Both),
    ("truncate_while_reading", Both),
    ("unlink", Both),
    ("rename", Both),
    ("rename_over", Both),
    ("exchange", Both),
    ("make_directory", Both),
    ("remove_directory", Both),
    ("make_link", Both),
    ("make_hard_link", Both),
    ("make_fifo", Both),
    ("make_socket", Both),
    ("make_whiteout", Both),
    ("unnamed_file", Both),
    ("shared_memory", Both),
    ("open_the_read_only_again", Both),
    ("open_by_o_path", Both),
    ("open_by_dev_fd", Both),
    ("through_proc_root", Both),
    ("through_the_root_of_another", Both),
    ("through_proc_cwd", Both),
    ("by_dot_dot", Both),
    ("through_a_link_of_the_project", Both),
    ("by_a_magic_link_in_a_link", Both),
    ("handle", Both),
    ("remount", Both),
    ("mount_attributes", Both),
    ("unmount", Both),
    ("clone_of_the_tree", Both),
    ("namespace_of_ones_own", Both),
    ("change_root", Both),
    ("mode", Mounts),
    ("mode_by_descriptor", Mounts),
    ("times", Mounts),
    ("times_by_o_path", Mounts),
    ("extended_attribute", Mounts),
    ("access_list", Mounts),
    ("flags", Mounts),
];

/// A directory for each attack.
fn victims(place: &Place, name: &str) -> PathBuf {
    let root = place.root().join(name);
    for (attack, _) in ATTACKS {
        let directory = root.join(attack).join("directory");
        fs::create_dir_all(&directory).unwrap();
        for file in ["../file", "../other", "below"] {
            let file = directory.join(file);
            fs::write(&file, "mine").unwrap();
            place.user().own(&file);
        }
        place.user().own(&directory);
        place.user().own(&root.join(attack));
    }
    place.user().own(&root);
    root
}

/// All that can be told of a tree but when it was read.
fn look(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let facts = fs::symlink_metadata(&path).unwrap();
        if facts.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let content = if facts.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let owner = (facts.uid(), facts.gid(), facts.nlink());
        let changed = (facts.mtime(), facts.mtime_nsec(), facts.ctime(), facts.ctime_nsec());
        let line = format!("{:o} {owner:?} {changed:?} {}", facts.mode(), content.escape_ascii());
        found.insert(path, line);
    }
    found
}

/// Which attacks changed something, by what is seen from outside.
fn succeeded(place: &Place, name: &str, mounts: bool, landlock: bool) -> Vec<&'static str> {
    let victims = victims(place, name);
    let mut command = vec!["python3", "-c", PROGRAM, INSIDE];
    command.extend(ATTACKS.map(|(attack, _)| attack));
    let session = Built::new(place, &command).ro_bind(&victims, INSIDE);
    let mut plan = session.plan();
    if !mounts {
        writable(&mut plan, Path::new(INSIDE));
    }
    plan.inner.landlock.demand = if landlock { Demand::Required } else { Demand::Off };
    let looks = || ATTACKS.map(|(attack, _)| look(&victims.join(attack)));
    let before = looks();
    session.run(&plan).run().code(0);
    let changed = ATTACKS.iter().zip(before).zip(looks()).filter(|((_, old), new)| old != new);
    let changed = changed.map(|(((attack, _), _), _)| *attack).collect();
    for link in ["link-to-victim", "magic-link"] {
        let _ = fs::remove_file(place.project().join(link));
    }
    changed
}

#[test]
fn promise_w_the_mounts_and_landlock_each_hold_alone() {
    must_have_sandbox();
    must_have(&["python3"]);
    for user in users() {
        let place = &Place::new(user);
        let none: [&str; 0] = [];
        assert_eq!(succeeded(place, "mounts", true, false), none, "the mounts alone");
        let not_content = ATTACKS.iter().filter(|(_, by)| *by == Mounts);
        let not_content: Vec<&str> = not_content.map(|(attack, _)| *attack).collect();
        assert_eq!(succeeded(place, "landlock", false, true), not_content, "Landlock alone");
        // Control: with neither, all of them succeed.
        let all = ATTACKS.map(|(attack, _)| attack);
        assert_eq!(succeeded(place, "neither", false, false), all, "with neither layer");
    }
}
