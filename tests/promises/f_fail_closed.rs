//! F: what is asked for and cannot be enforced is an error; nothing ever runs unsandboxed.

use std::process::Command;

use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};
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

        // Control: that key is all that is wrong.
        let right = "extends = [\"default\"]\n[network]\nmode = \"none\"\n";
        place.home_file(".config/claudebox/profiles/odd.toml", right);
        place
            .claudebox(["run", "--no-monitor", "--profile", "odd", "--", "touch", "ran"])
            .run()
            .code(0);
        assert!(place.project().join("ran").exists());
    }
}

#[test]
fn promise_f_without_bwrap_nothing_runs() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        // A machine without bwrap: PATH holds nothing but the program to run.
        let bin = place.root().join("tmp/bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink("/usr/bin/touch", bin.join("touch")).unwrap();
        let run = place.claudebox(["run", "--no-monitor", "--", "touch", "ran"]).env("PATH", &bin);
        run.run().code(125).complains("bwrap");
        assert!(!place.project().join("ran").exists());

        // Control: bwrap is all that was missing.
        for program in ["bwrap", "git"] {
            let found = crate::common::program(program).unwrap();
            std::os::unix::fs::symlink(found, bin.join(program)).unwrap();
        }
        let run = place.claudebox(["run", "--no-monitor", "--", "touch", "ran"]).env("PATH", &bin);
        run.run().code(0);
        assert!(place.project().join("ran").exists());
    }
}

/// Takes the one listener a process tree can have, then becomes another program: what WSL2's
/// mirrored networking and an outer sandbox do.
const TAKES_THE_LISTENER: &str = r"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv) {
    struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
    struct sock_fprog program = {1, &allow};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (fd < 0) return 99;
    /* The descriptor closes on exec, and with it the listener goes: somebody must hold it. */
    if (fork() == 0) { prctl(PR_SET_PDEATHSIG, 9); close(0); close(1); close(2); pause(); }
    execv(argv[1], argv + 1);
    return 98;
}
";

#[test]
fn promise_f_a_required_log_that_cannot_be_had_is_an_error() {
    must_have_sandbox();
    must_have(&["cc"]);
    for user in users() {
        let place = Place::new(user);
        let taker = place.root().join("tmp/taker");
        let source = place.project_file("taker.c", TAKES_THE_LISTENER);
        let built = Command::new("cc").arg("-o").args([&taker, &source]).status().unwrap();
        assert!(built.success());
        let claudebox = place.executable().to_str().unwrap().to_owned();
        let run = |options: &[&str]| {
            let mut arguments = vec![claudebox.as_str(), "run", "--no-monitor"];
            arguments.extend(options);
            arguments.extend(["--", "touch", "ran"]);
            place.command(&taker).args(arguments).run()
        };
        run(&[]).code(125).complains("listener").complains("--no-exec-log");
        assert!(!place.project().join("ran").exists());
        // Control: the listener is all that was missing. And a profile may ask for less.
        run(&["--no-exec-log"]).code(0);
        assert!(place.project().join("ran").exists());
        let profile = "extends = [\"default\"]\nexec-log = \"best-effort\"\n";
        place.home_file(".config/claudebox/profiles/less.toml", profile);
        run(&["--profile", "less"]).code(0);
        place.claudebox(["log"]).run().code(0).says("listener");
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
