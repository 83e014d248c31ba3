//! P: what an agent makes a link in a repository that it shares is no way for the user's git to write
//! elsewhere. The control is the same without claudebox.

use std::fs;

use crate::common::place::Place;
use crate::common::user::users;
use crate::common::{must_have, must_have_sandbox};
use crate::script;

/// Links, and what the user does next. `$V` is what the user has elsewhere.
const LINKS: [(&str, &str); 3] = [
    ("rm -f .git/logs/HEAD; ln -s $V .git/logs/HEAD", "git checkout -q -b other"),
    ("rm -f .git/COMMIT_EDITMSG; ln -s $V .git/COMMIT_EDITMSG", "git commit -q --allow-empty -m x"),
    ("mv .git/logs/refs .git/logs/old; ln -s ${V%/*} .git/logs/refs", "git checkout -q -b other"),
];

fn prepared(place: &Place) -> std::path::PathBuf {
    place.git(&["commit", "-q", "--allow-empty", "-m", "base"]);
    let victims = place.root().join("victims");
    fs::create_dir(&victims).unwrap();
    place.user().own(&victims);
    let victim = victims.join("victim");
    fs::write(&victim, "").unwrap();
    place.user().own(&victim);
    victim
}

/// What stands beside it, and how large each is.
fn state(victim: &std::path::Path) -> Vec<(std::ffi::OsString, u64)> {
    let entries = fs::read_dir(victim.parent().unwrap()).unwrap().flatten();
    let mut state: Vec<_> =
        entries.map(|it| (it.file_name(), it.metadata().unwrap().len())).collect();
    state.sort();
    state
}

#[test]
fn promise_p_a_link_in_a_shared_repository_leads_no_git_of_the_users_elsewhere() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        for (link, then) in LINKS {
            let place = Place::new(user);
            let victim = prepared(&place);
            let attack = format!("V={}; {link}", victim.display());
            let before = state(&victim);
            let output = script(&place, &["--git", "shared"], &attack).run().code(0);
            assert!(output.stderr.contains("set aside"), "{}", output.stderr);
            place.command("sh").args(["-c", then]).run();
            assert_eq!(state(&victim), before, "{link}");

            // Control.
            let place = Place::new(user);
            let victim = prepared(&place);
            let before = state(&victim);
            let both = format!("V={}; {link}; {then}", victim.display());
            place.command("sh").args(["-c", &both]).run().code(0);
            assert_ne!(state(&victim), before, "{both}");
        }
    }
}
