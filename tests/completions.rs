//! Completion by Tab, through the script of a real shell: what it offers is what there is now.

mod common;

use common::place::Place;
use common::user::users;
use common::{must_have, must_have_sandbox};

/// What bash would offer for the last of these words, in the project.
fn offered(place: &Place, words: &[&str]) -> Vec<String> {
    let script = "source <(\"$CLAUDEBOX\" completions bash)\n\
        PATH=${CLAUDEBOX%/*}:$PATH\n\
        COMP_WORDS=(claudebox \"$@\") COMP_CWORD=$# COMP_TYPE=9\n\
        _clap_complete_claudebox claudebox \"${@: -1}\" ''\n\
        printf '%s\\n' \"${COMPREPLY[@]}\"\n";
    let bash = place.command("bash").env("CLAUDEBOX", place.executable());
    let said = bash.args(["--norc", "-c", script, "bash"].iter().chain(words)).run().code(0);
    assert_eq!(said.stderr, "");
    said.stdout.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
}

#[test]
fn what_there_is_is_offered() {
    must_have(&["bash"]);
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.home_file(
            ".config/claudebox/profiles/mine.toml",
            "extends = [\"base\"]\nagent.command = [\"sh\"]\n",
        );
        place.home_file(".config/claudebox/groups.toml", "[groups]\nours = [\"x.example\"]\n");
        assert_eq!(offered(&place, &["ver"]), ["verify"]);
        assert_eq!(offered(&place, &["run", "--no-monitor", "mi"]), ["mine"]);
        assert_eq!(offered(&place, &["run", "--profile", "def"]), ["default"]);
        assert_eq!(offered(&place, &["allow", "@ou"]), ["@ours"]);
        assert_eq!(offered(&place, &["run", "--network=n"]), ["--network=none"]);
        // No profile begins so, and none that names no agent is offered in the place of one.
        place.project_file("my own.toml", "");
        assert_eq!(offered(&place, &["run", "my"]), ["my own.toml"]);
        assert_eq!(offered(&place, &["run", "def"]), <[&str; 0]>::default());

        assert_eq!(offered(&place, &["log", "0"]), <[&str; 0]>::default());
        place.claudebox(["run", "--no-monitor", "--", "true"]).run().code(0);
        let ids = place.claudebox(["ls", "--json"]).run().code(0).stdout;
        let id = ids.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(offered(&place, &["log", &id[..4]]), [id]);
        // It is over: there is nothing to attach to.
        assert_eq!(offered(&place, &["attach", &id[..4]]), <[&str; 0]>::default());
    }
}

#[test]
fn worktrees_are_offered_by_name() {
    must_have(&["bash", "git"]);
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.git(&["commit", "-q", "--allow-empty", "-m", "base"]);
        place.claudebox(["run", "--no-monitor", "-w", "fix-it", "--", "true"]).run().code(0);
        assert_eq!(offered(&place, &["worktree", "merge", "f"]), ["fix-it"]);
        assert_eq!(offered(&place, &["worktree", "rm", "fix-it", ""])[0], "fix-it");
    }
}

#[test]
fn nothing_is_offered_where_nothing_can_be_read() {
    must_have(&["bash"]);
    let place = Place::new(users()[0]);
    place.home_file(".config/claudebox/groups.toml", "no groups");
    assert_eq!(offered(&place, &["allow", "@"]), <[&str; 0]>::default());
    let shell = place.claudebox(["--", "claudebox", "log", ""]).env("_CLAUDEBOX_COMPLETE", "tcsh");
    shell.run().code(125).complains("cannot complete");
}
