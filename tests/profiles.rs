//! `claudebox profile diff` and `claudebox profile new`, through the binary. Of a profile that was
//! learned: it holds what the run did and was refused, grants nothing that the run did not have, holds no
//! secret, and is one that runs.

mod common;

use std::fs;

use common::place::Place;
use common::user::users;
use common::world::World;

/// A value that must not be in any file.
const SECRET: &str = "sk-0123456789abcdefghij";

#[test]
fn profiles_are_compared_like_files() {
    let place = Place::new(users()[0]);
    let diff = |left: &str, right: &str| place.claudebox(["profile", "diff", left, right]).run();
    assert_eq!(diff("claude", "claude").code(0).stdout, "");
    let different = diff("claude", "gemini").code(1).says("network.allow\n  - \"@anthropic\"  ");
    let line = different.stdout.lines().find(|line| line.contains("@gemini")).unwrap();
    assert!(line.starts_with("  + \"@gemini\" ") && line.contains(" gemini.toml (built in):"));
    place.home_file(
        ".config/claudebox/profiles/mine.toml",
        "extends = [\"default\"]\ngit = \"none\"\n",
    );
    let mine = place.home().join(".config/claudebox/profiles/mine.toml");
    diff("default", mine.to_str().unwrap()).code(1).says("  + \"none\"    ").says("mine.toml:2\n");
    diff("default", "defautl").code(2).complains("did you mean `default`?");
    place.claudebox(["profile", "diff", "default"]).run().code(2);
}

#[test]
fn a_skeleton_is_a_profile_that_runs_and_replaces_nothing() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let new = |words: &[&str]| place.claudebox(["profile", "new"]).args(words).run();
        new(&["env"]).code(0).says("profiles/env.toml\n").says("claudebox run env");
        place.claudebox(["profile", "check", "env"]).run().code(0).says("env: ok");
        let run = place.claudebox(["run", "--no-monitor", "env"]).run().code(0);
        assert!(run.stdout.contains("CLAUDEBOX=1"), "{}", run.stdout);
        place.home_file(".config/claudebox/profiles/env.toml", "# mine\n");
        new(&["env"]).code(2).complains("is there already").complains("--force");
        let file = place.home().join(".config/claudebox/profiles/env.toml");
        assert_eq!(fs::read_to_string(&file).unwrap(), "# mine\n");
        new(&["env", "--force"]).code(0);
        assert!(fs::read_to_string(&file).unwrap().contains("command = [\"env\"]"));
        new(&["claude"]).code(2).complains("there is a profile `claude` already");
        new(&["../x"]).code(2).complains("is not the name of a profile");
        new(&["x", "--from", "a 'b"]).code(2).complains("a quote in it is not closed");
        // Nothing has run, and nothing is written, where the command is not there.
        new(&["x", "--from", "no-such-program"]).code(127);
        assert!(!file.with_file_name("x.toml").exists());
    }
}

/// What an agent does that nobody knows: state in its home, programs, hosts; and what it must not do.
const AGENT: &str = "
mkdir -p ~/.fakeagent/logs ~/.cache/fakeagent
echo state > ~/.fakeagent/state; echo x > ~/.fakeagent/logs/1; echo x > ~/.cache/fakeagent/x
echo single > ~/.fakeagentrc; echo 'echo planted' > ~/.bashrc; echo x > \"$HOME/two
lines\"
git --version; bash -c 'shopt -s execfail; exec /usr/bin/no-such-tool-anywhere; sleep 0.3'
curl -s --http0.9 --max-time 20 http://allowed.test:8080/ > reached; curl -s --max-time 20 https://refused.test/
cat ~/.ssh/id > key; echo $AGENT_API_KEY > variable; exit 3
";

#[test]
fn what_a_run_did_becomes_a_profile() {
    common::must_have_sandbox();
    common::must_have(&["bash", "curl", "git"]);
    for user in users() {
        let place = Place::new(user);
        let world = World::new();
        place.home_file(".ssh/id", "the key");
        place.home_file("bin/fakeagent", format!("#!/bin/sh\n{AGENT}"));
        let program = place.home().join("bin/fakeagent");
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", place.home().join("bin").display());
        let in_world = |words: &[&str]| {
            place
                .claudebox(words)
                .env("PATH", &path)
                .env("http_proxy", world.proxy())
                .env("HTTPS_PROXY", world.proxy())
                .env("AGENT_API_KEY", SECRET)
        };
        place.home_file(".config/claudebox/config.toml", "allow = [\"allowed.test:8080\"]\n");
        let from = format!("fakeagent --yes --token {SECRET}");
        let new = ["profile", "new", "mine", "--from", &from, "--", "two words"];
        in_world(&new).run().code(0).says("profiles/mine.toml").complains("not granted");

        let file = place.home().join(".config/claudebox/profiles/mine.toml");
        let text = fs::read_to_string(&file).unwrap();
        for line in [
            "which ended with 3.",
            "#   \"~/.fakeagent\",  # 2 files",
            "#   ~/.fakeagentrc",
            "#   ~/.cache/fakeagent",
            "#   ~/.bashrc",
            "1 path with a name that is not written here",
            "command = [\"fakeagent\", \"--yes\", \"two words\"]",
            "programs = [\"fakeagent\"]",
            "#   \"git\",  # once",
            "#   \"curl\",  # 2 times",
            "\n#   no-such-tool-anywhere\n",
            "\n  \"allowed.test:8080\",  # once\n",
            "\n  # \"refused.test\",  # ",
            "# pass = [\"AGENT_API_KEY\"]",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains(SECRET) && !text.contains("lines"), "{text}");
        // Learning grants nothing.
        let written = |name: &str| fs::read_to_string(place.project().join(name)).unwrap();
        assert_eq!((written("key"), written("variable")), (String::new(), "\n".to_owned()));
        assert_eq!(written("reached"), "the world: allowed.test:8080");
        assert!(!world.asked().iter().any(|asked| asked.contains("refused")));

        place.claudebox(["profile", "check", "mine"]).run().code(0).says("mine: ok");
        fs::remove_file(place.home().join(".config/claudebox/config.toml")).unwrap();
        fs::remove_file(place.project().join("reached")).unwrap();
        // It runs, and reaches what the run reached, though nobody else says so now.
        in_world(&["run", "--no-monitor", "mine"]).run().code(3);
        assert_eq!(written("reached"), "the world: allowed.test:8080");
        // Once more by accident, nothing is run, and the file stays.
        in_world(&new).run().code(2).complains("is there already");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}

/// Whose terminal it is: the command is run in the one it was typed in, and is asked nothing.
#[test]
fn the_command_reads_what_is_typed() {
    common::must_have_sandbox();
    let place = Place::new(users()[0]);
    let new =
        place.claudebox(["profile", "new", "reads", "--", "sh", "-c", "read x; echo \"got $x\""]);
    new.input("this\n").run().code(0).says("got this\n");
    let file = place.home().join(".config/claudebox/profiles/reads.toml");
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(r#"command = ["sh", "-c", "read x; echo \"got $x\""]"#), "{text}");
}
