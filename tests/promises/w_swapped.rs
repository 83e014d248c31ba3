//! W and H: nothing is mounted through a link that comes into the project after it was settled what to
//! mount. What is mounted was opened without following one, and the inner stage looks whether it is
//! where it was to be.

use std::fs;
use std::os::unix::fs::symlink;

use claudebox::plan::{Arg, FdSource, Plan};
use claudebox::policy::invocation::BindArgument;

use crate::built::Built;
use crate::bwrap;
use crate::common::place::Place;
use crate::common::user::User;
use crate::common::{must_have_sandbox, user::users};
use crate::outside::tree;

const SECRET: &str = "wahlomat-7782-secret";

/// What becomes a link, and where it leads.
const SWAPS: [(&str, &str); 8] = [
    // Out of the project: the directory beside it becomes the project, or gets a mount point.
    ("", "victim"),
    ("point", "/oldroot[VICTIM]"),
    // Elsewhere in the project: what was to be read-only is not, and the agent takes its place.
    (".git", "c"),
    (".git/hooks", "../a"),
    (".git/config", "../a/b/.envrc"),
    ("a", "c"),
    ("a/b", "../c/b"),
    ("a/b/.envrc", "../../c/config"),
];

/// What is read-only in the project. The victim has a like of each, and the directory `c` in the
/// project too, so that a link to it is as good.
const PROTECTED: [&str; 3] = [".git/hooks/pre-commit", ".git/config", "a/b/.envrc"];
const LIKES: [&str; 5] = ["HEAD", "config", "hooks/pre-commit", "info/exclude", "b/.envrc"];

const ATTACK: &str = "cat secret 2>/dev/null; echo evil > new
    for link in .git .git/hooks .git/config a a/b a/b/.envrc; do
        [ -L $link ] && cp -rL $link $link.new && rm $link && mv $link.new $link
    done
    for file in .git/hooks/pre-commit .git/config a/b/.envrc; do echo evil > $file; done; true";

fn prepared(user: User) -> Place {
    let place = Place::new(user);
    for file in PROTECTED {
        place.project_file(file, "mine");
        place.project_file(format!("../victim/{file}"), "mine");
    }
    for file in LIKES {
        place.project_file(format!("c/{file}"), "mine");
        place.project_file(format!("../victim/c/{file}"), "mine");
        place.project_file(format!("../victim/.git/{file}"), "mine");
    }
    place.project_file("../victim/secret", SECRET);
    place.project_file("../victim/point/deep/sample", "");
    place.project_file("point/deep/sample", "");
    place
}

/// As with a bwrap that has no `--bind-fd`, and as every launcher does that hands over paths.
fn by_path(plan: &mut Plan) {
    for index in 1..plan.args.len() {
        let Arg::Fd(FdSource::Path { beneath, path }) = &plan.args[index] else { continue };
        let path = beneath.as_path().join(path.as_path());
        plan.args[index] = Arg::Literal(path.as_path().into());
        let Arg::Literal(option) = &plan.args[index - 1] else { panic!("no option before it") };
        let option = option.as_path().to_str().unwrap().trim_end_matches("-fd").to_owned();
        plan.args[index - 1] = Arg::Literal(option.as_str().into());
    }
}

/// Settles a session, swaps something for a link, and starts it; the exit code, and whether the
/// victim was read or is not what it was, or the agent took the place of what was read-only.
fn attack(user: User, (swapped, target): (&str, &str), by_descriptor: bool) -> (i32, bool) {
    let place = prepared(user);
    let (victim, elsewhere) = (place.root().join("victim"), place.home_file("elsewhere/file", ""));
    let mut session = Built::new(&place, &["sh", "-c", ATTACK]);
    session.invocation.binds.push(BindArgument {
        source: elsewhere.parent().unwrap().into(),
        destination: Some(place.project().join("point/deep")),
        writable: true,
    });
    let mut policy = session.policy();
    if !by_descriptor && swapped == "point" {
        // bwrap resolves its sources before it builds: what leads it out is the way to a mount point.
        policy.mounts.retain(|step| step.mount.destination() != place.project().join(swapped));
    }
    let mut plan = session.plan_of(&policy);
    if !by_descriptor && swapped != "point" {
        by_path(&mut plan);
    }
    let before = tree(&victim);
    let path = if swapped.is_empty() { place.project() } else { place.project().join(swapped) };
    fs::rename(&path, place.root().join("aside")).unwrap();
    symlink(target.replace("[VICTIM]", victim.to_str().unwrap()), &path).unwrap();
    let output = session.run(&plan).directory(place.root()).run();
    let evil = |file: &&str| {
        fs::read(place.project().join(file)).is_ok_and(|content| content == b"evil\n")
    };
    let escaped = output.stdout.contains(SECRET) || tree(&victim) != before;
    (output.code, escaped || PROTECTED.iter().any(evil))
}

#[test]
fn promise_w_nothing_is_mounted_through_a_link_that_came_late() {
    must_have_sandbox();
    for user in users() {
        for swap in SWAPS {
            assert_eq!(attack(user, swap, true), (125, false), "{swap:?}");
            // Control: by its path, the same leads out of the project.
            let (code, succeeded) = attack(user, swap, false);
            let leads = swap.0.is_empty() || bwrap::follows_links();
            assert_eq!(succeeded, leads, "{swap:?} by its path: {code}");
        }
    }
}

/// bwrap finds the mount point by a path, whatever the source was.
#[test]
fn promise_w_a_mount_behind_a_link_is_seen_before_the_agent_runs() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let shown = place.home_file("shown/file", "");
        place.project_file("behind/sample", "");
        symlink("behind", place.project().join("link")).unwrap();
        let session = Built::new(&place, &["echo", "the agent runs"]);
        let mut plan = session.plan();
        let source = FdSource::Path { beneath: shown.parent().unwrap().into(), path: "".into() };
        let destination = Arg::Literal((*place.project().join("link/point")).into());
        plan.args.extend([Arg::Literal("--ro-bind-fd".into()), Arg::Fd(source), destination]);
        let output = session.run(&plan).run().code(125).complains("is not mounted as it was to be");
        assert_eq!(output.stdout, "");
        // Control: nothing is expected of what is mounted by its path.
        by_path(&mut plan);
        session.run(&plan).run().code(0).says("the agent runs");
    }
}
