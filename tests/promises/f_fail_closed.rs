//! F: what is asked for and cannot be enforced is an error; nothing ever runs unsandboxed.

use crate::common::place::Place;
use crate::common::{must_have_sandbox, user::users};
use crate::script;

#[test]
fn promise_f_an_unknown_key_is_an_error_with_file_line_and_caret() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let profile = place.home_file(
            ".config/claudebox/profiles/odd.toml",
            "extends = [\"default\"]\n[netwrok]\nmode = \"none\"\n",
        );
        let run =
            place.claudebox(["run", "--no-monitor", "--profile", "odd", "--", "touch", "ran"]);
        let output = run.run().code(2);
        assert!(output.stderr.contains(profile.to_str().unwrap()), "{}", output.stderr);
        assert!(output.stderr.contains(":2:"), "{}", output.stderr);
        assert!(output.stderr.contains('^'), "{}", output.stderr);
        assert!(output.stderr.contains("network"), "did you mean: {}", output.stderr);
        assert!(!place.project().join("ran").exists());
    }
}

#[test]
fn promise_f_without_bwrap_nothing_runs() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        // A machine without bwrap: PATH holds nothing but the program to run.
        let bin = place.root().join("tmp/bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink("/usr/bin/touch", bin.join("touch")).unwrap();
        let run = place.claudebox(["run", "--no-monitor", "--", "touch", "ran"]).env("PATH", &bin);
        run.run().code(125).complains("bwrap");
        assert!(!place.project().join("ran").exists());
    }
}

#[test]
fn promise_f_a_required_log_that_cannot_be_had_is_an_error() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        // Inside a sandbox there is a listener already; only the own sandbox can be nested in.
        let profile = "extends = [\"default\"]\nnested-userns = true\n";
        place.home_file(".config/claudebox/profiles/nesting.toml", profile);
        if user.is_root() {
            let run =
                place.claudebox(["run", "--no-monitor", "--profile", "nesting", "--", "true"]);
            run.run().code(2).complains("root");
            continue;
        }
        let inner = "mkdir -p $HOME/inner && cd $HOME/inner && \
            /run/claudebox/claudebox run --no-monitor --project . -- touch ran; \
            echo \"code $?\"; ls";
        let arguments = ["run", "--no-monitor", "--profile", "nesting", "--", "sh", "-c", inner];
        let output = place.claudebox(arguments).run();
        assert!(output.stdout.contains("code 125"), "{output:#?}");
        assert!(output.stderr.contains("listener"), "{output:#?}");
        assert!(!output.stdout.contains("ran\n"), "{output:#?}");
    }
}

#[test]
fn promise_f_a_projects_own_file_cannot_loosen_anything() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let home = place.home();
        place.home_file(".ssh/id_ed25519", "a key");
        let loosening = format!("[files]\nread-only = [\"{}/.ssh\"]\n", home.display());
        place.project_file(".claudebox.toml", loosening);
        let read = "cat $HOME/.ssh/id_ed25519";
        script(&place, &[], read).run().code(2).complains("claudebox trust");
        // Control: once it is trusted, it does what it says.
        place.claudebox(["trust", "--yes"]).run().code(0);
        script(&place, &[], read).run().code(0).says("a key");
        // And a changed file is a stranger again.
        place.project_file(".claudebox.toml", "[network]\nmode = \"host\"\n");
        script(&place, &[], read).run().code(2).complains("claudebox trust");
    }
}
