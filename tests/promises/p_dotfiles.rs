//! G, W: files of the user's own configuration that a link puts in the project, as with dotfiles. What git
//! obeys in every directory, and what the next claudebox obeys, an agent cannot change. The
//! control is the same without claudebox.

use std::os::unix::fs::symlink;

use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::script;

#[test]
fn promise_g_a_configuration_of_git_that_is_a_link_into_the_project_is_not_rewritten() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        for git in ["private", "shared", "none"] {
            let place = Place::new(user);
            let executed = place.root().join("tmp/executed");
            place.project_file("dot/gitconfig", "[user]\n\tname = U\n");
            symlink(place.project().join("dot/gitconfig"), place.home().join(".gitconfig"))
                .unwrap();
            place.git(&["add", "."]);
            place.git(&["commit", "-qm", "dotfiles"]);
            let attack = format!(
                "printf '[core]\\n\\tfsmonitor = touch {}; false\\n' > evil
                 cat evil >> dot/gitconfig; mv -f evil dot/gitconfig; mv dot d2; true",
                executed.display()
            );
            let status = || place.command("git").args(["-C", "..", "init", "-q", "x"]).run();
            let runs = || {
                status();
                place.command("git").args(["-C", "../x", "status"]).run();
                executed.exists()
            };
            script(&place, &["--git", git], &attack).run().code(0);
            assert!(!runs(), "{git}");
            // Control.
            place.command("sh").args(["-c", &attack.replace("mv dot d2; ", "")]).run().code(0);
            assert!(runs());
        }
    }
}

#[test]
fn promise_g_a_configuration_of_git_that_is_not_there_yet_does_not_come_unnoticed() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        symlink(place.project().join("gitconfig"), place.home().join(".gitconfig")).unwrap();
        let run = script(&place, &[], "echo '[core]' > gitconfig").run().code(0);
        assert!(run.stderr.contains("set aside"), "{}", run.stderr);
        assert!(!place.project().join("gitconfig").exists());
    }
}

/// A repository's own configuration includes a file of the work tree, or one beside itself.
#[test]
fn promise_g_what_a_shared_repository_includes_is_not_rewritten() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        for (file, named) in [("inc", "../inc"), (".git/more", "more")] {
            for there in [true, false] {
                let place = Place::new(user);
                if there {
                    place.project_file(file, "");
                }
                place.git(&["config", "include.path", named]);
                let executed = place.root().join("tmp/executed");
                let attack = format!(
                    "printf '[core]\\n\\tfsmonitor = touch {}; false\\n' > {file}; true",
                    executed.display()
                );
                let runs = || {
                    place.command("git").args(["status"]).run();
                    executed.exists()
                };
                script(&place, &["--git", "shared"], &attack).run().code(0);
                assert!(!runs(), "{file} {there}");
                // Control.
                place.command("sh").args(["-c", &attack]).run().code(0);
                assert!(runs());
            }
        }
    }
}

/// A link of the project on the way, which leads on to a file elsewhere.
#[test]
fn promise_w_a_link_of_the_project_on_the_way_to_a_configuration_is_no_way_in() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.home_file("real/config.toml", "");
        symlink("../home/real/config.toml", place.project().join("cfg.toml")).unwrap();
        place.home_file(".config/claudebox/profiles/default.toml", "");
        let config = place.home().join(".config/claudebox/config.toml");
        symlink(place.project().join("cfg.toml"), config).unwrap();
        place.home_file(".ssh/key", "secret");
        let attack = "rm cfg.toml; echo 'ro-bind = [\"~/.ssh\"]' > cfg.toml";
        let run = script(&place, &[], attack).run().code(0);
        assert!(run.stderr.contains("cfg.toml"), "{}", run.stderr);
        let read = script(&place, &[], "cat ~/.ssh/key").run();
        assert!(!read.stdout.contains("secret"));
        // Control: that file, obeyed, shows it.
        place.command("sh").args(["-c", attack]).run();
        assert_eq!(script(&place, &[], "cat ~/.ssh/key").run().stdout, "secret");
    }
}

#[test]
fn promise_w_a_profile_that_is_a_link_into_the_project_is_not_rewritten() {
    must_have_sandbox();
    for user in users() {
        for name in
            ["profiles/default.toml", "config.toml", "groups.toml", "profiles/extended.toml"]
        {
            let place = Place::new(user);
            let own = if name == "groups.toml" { "[groups]\n" } else { "# mine\n" };
            place.project_file("dot/own.toml", own);
            let link = place.home().join(".config/claudebox").join(name);
            let start = match name {
                "profiles/extended.toml" => {
                    // A profile can name another file, without any link.
                    let extends =
                        format!("extends = [{:?}]\n", place.project().join("dot/own.toml"));
                    place.home_file(".config/claudebox/profiles/default.toml", &extends);
                    None
                }
                _ => Some(link),
            };
            if let Some(link) = start {
                place.home_file(".config/claudebox/profiles/keep.toml", "");
                symlink(place.project().join("dot/own.toml"), link).unwrap();
            }
            let attack = "echo x >> dot/own.toml; echo x > t; mv -f t dot/own.toml; mv dot d2; cat d*/own.toml";
            let run = script(&place, &[], attack).run().code(0);
            assert_eq!(run.stdout, own, "{name}: {}", run.stderr);
            // Control: another file beside it.
            let control = attack.replace("own.toml", "other.toml");
            place.project_file("dot/other.toml", own);
            let run = script(&place, &[], &control).run().code(0);
            assert_ne!(run.stdout, own);
        }
    }
}
