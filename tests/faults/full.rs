//! A disk that is really full: that of the project, when the agent's git work is to come back, and that
//! of the sockets, at the start.

use std::fs;

use crate::common::disk::on_a_small_disk;
use crate::common::place::Place;
use crate::common::user::users;
use crate::common::{must_have, must_have_sandbox};
use crate::outside::{Marker, tree};

/// What the agent committed is kept, and comes when there is room.
#[test]
fn the_projects_disk_is_full_at_the_end() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let (place, marker) = (Place::new(user), Marker::new());
        let script = format!(
            "git init -q -b main; git config user.name N; git config user.email n@e.invalid
             echo 1 >one; git add one; git commit -qm outside
             claudebox run --no-monitor --git private -- sh -c '{} & echo 2 >two; git add two
                 git commit -qm inside; cat /dev/zero >fill 2>/dev/null; exit 7'; echo code $?
             claudebox ls; claudebox sync; echo full $?
             rm fill; claudebox sync; echo sync $?
             git fsck && git log --format=%s; git status --porcelain; find .git -name \"*.lock\"
             claudebox verify; echo verify $?
             claudebox run --no-monitor -- true; echo next $?",
            marker.command()
        );
        let output = on_a_small_disk(&place, &place.project(), "size=2m", &script).code(0);
        marker.wait_until_it_is_gone();
        let told = "the agent's git work is not all here";
        let output = output.complains(told).complains("No space left on device");
        let lines: Vec<&str> = output.stdout.lines().collect();
        assert!(output.stdout.contains("ended 7"), "{output:#?}");
        let words = ["code 7", "full 125", "sync 0", "inside", "outside", "verify 0", "next 0"];
        let at: Vec<Option<usize>> =
            words.iter().map(|word| lines.iter().position(|line| line == word)).collect();
        assert!(at.is_sorted() && at[0].is_some(), "{at:?} {output:#?}");
        // Nothing staged, changed or locked stands between the commits and the check of the log.
        assert!(lines[at[4].unwrap() + 1].contains(" ok: "), "{output:#?}");
    }
}

/// `/run/user/UID` is a small tmpfs, and others fill it. With room for one file less than is needed, and
/// for two less, and so on, nothing starts and nothing is left.
#[test]
fn the_disk_of_the_sockets_is_full() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let before = tree(&place.project());
        let run = place.root().join("run");
        let script = "claudebox run --no-monitor -- touch ran; echo code $?
            find \"$XDG_RUNTIME_DIR\" -mindepth 2; claudebox ls; claudebox verify --all; echo verify $?";
        let mut room = 0;
        loop {
            room += 1;
            let options = format!("size=64k,nr_inodes={room}");
            let output = on_a_small_disk(&place, &run, &options, script).code(0);
            assert!(!output.stdout.contains(run.to_str().unwrap()), "left: {output:#?}");
            assert!(output.stdout.contains("verify 0"), "{room}: {output:#?}");
            if place.project().join("ran").exists() {
                // The control: room is all that was missing.
                assert!(room > 1 && output.stdout.contains("code 0\n"), "{output:#?}");
                break;
            }
            assert_eq!(tree(&place.project()), before, "litter");
            assert!(room < 20, "it never started: {output:#?}");
            output.says("code 125").complains("No space left on device");
        }
        fs::remove_file(place.project().join("ran")).unwrap();
    }
}
