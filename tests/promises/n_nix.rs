//! N: the daemon of Nix fetches from anywhere for whoever reaches its socket, so nothing inside reaches it
//! unless a profile asks for it and accepts that. The machine has a real Nix with a daemon: a mount
//! namespace whose `/nix` is a directory of the test, in which claudebox is started. What came of it is
//! judged by what is in that directory, and by what the world was asked for.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use crate::common::place::Place;
use crate::common::run::{Output, Run};
use crate::common::user::{User, users};
use crate::common::world::World;
use crate::common::{must_have, must_have_sandbox};

/// Starts the daemon, prepares, runs what is behind it, and ends the daemon. It is waited for until it
/// answers: what cannot reach it must not be what came too early.
const MACHINE: &str = r#"
export NIX_CONFIG="build-users-group =
sandbox = false
substituters =
download-attempts = 1"
nix-daemon </dev/null >"$TMPDIR/daemon" 2>&1 & daemon=$!
until nix --extra-experimental-features nix-command store ping --store daemon >/dev/null 2>&1
do sleep 0.02; done
eval "$PREPARE"; unset NIX_CONFIG PREPARE
"$@"; code=$?; kill $daemon; exit $code
"#;

/// A raw derivation, which needs nothing but a shell.
const BUILD: &str = "nix-build --no-out-link -E 'derivation { name = \"built\"; \
    system = builtins.currentSystem; builder = \"/bin/sh\"; args = [ \"-c\" \"echo inside > $out\" ]; }'";

/// Asks the daemon to add a file to the store.
const PLANT: &str = "echo x > planted; NIX_REMOTE=daemon nix-store --add planted";

/// Fetches from a host that no rule names.
const FETCH: &str = "nix-build --no-out-link --option substituters '' --option download-attempts 1 -E \
    'import <nix/fetchurl.nix> { url = \"http://refused.test/x\"; \
    sha256 = \"0000000000000000000000000000000000000000000000000000\"; }'";

/// A machine with Nix.
struct Machine {
    place: Place,
    world: World,
}

impl Machine {
    fn new(user: User) -> Self {
        must_have_sandbox();
        must_have(&["nix", "nix-daemon", "nix-store", "nix-build"]);
        let place = Place::new(user).installed();
        for directory in ["nix", "nix/store"] {
            fs::create_dir(place.root().join(directory)).unwrap();
            user.own(&place.root().join(directory));
        }
        Self { place, world: World::new() }
    }

    fn profile(&self, text: &str) {
        self.place.home_file(".config/claudebox/profiles/default.toml", text);
    }

    /// claudebox on this machine.
    fn claudebox(&self, prepare: &str, arguments: &[&str]) -> Run {
        let root = self.place.root().to_str().unwrap();
        let nix = format!("{root}/nix");
        let run = self.place.command("bwrap").args([
            "--ro-bind",
            "/usr",
            "/usr",
            "--ro-bind",
            "/etc",
            "/etc",
        ]);
        let links = ["bin", "sbin", "lib", "lib64"];
        let links = links.map(|name| (fs::read_link(format!("/{name}")), format!("/{name}")));
        let links = links.into_iter().filter_map(|(to, at)| Some((to.ok()?, at)));
        let run = links.fold(run, |run, (to, at)| {
            run.args([OsStr::new("--symlink"), to.as_os_str(), at.as_ref()])
        });
        run.args([
            "--dev-bind",
            "/dev",
            "/dev",
            "--bind",
            "/proc",
            "/proc",
            "--dev-bind",
            "/sys",
            "/sys",
            "--tmpfs",
            "/tmp",
        ])
        .args(["--bind", root, root, "--bind", &nix, "/nix"])
        .args(["--setenv", "PREPARE", prepare, "--chdir", self.place.project().to_str().unwrap()])
        .env("http_proxy", self.world.proxy())
        .env("HTTPS_PROXY", self.world.proxy())
        .args(["sh", "-c", MACHINE, "-"])
        .args([self.place.executable().as_os_str()])
        .args(arguments)
    }

    fn script(&self, options: &[&str], script: &str) -> Output {
        let run = [&["run", "--no-monitor"], options, &["--", "sh", "-c", script]].concat();
        self.claudebox("", &run).run()
    }

    /// What of the host's store has this name.
    fn stored(&self, name: &str) -> Option<PathBuf> {
        let Ok(store) = fs::read_dir(self.place.root().join("nix/store")) else { return None };
        let mut paths = store.map(|entry| entry.unwrap().path());
        paths.find(|path| path.to_str().unwrap().ends_with(&format!("-{name}")))
    }
}

#[test]
fn promise_n_the_store_of_nix_comes_without_its_daemon() {
    for user in users() {
        let machine = Machine::new(user);
        for nix in ["", "nix = \"store\"\n", "nix = \"none\"\n", "nix = \"private\"\n"] {
            machine.profile(nix);
            let output = machine.script(&[], &format!("{PLANT}; echo tried"));
            output.code(0).says("tried");
            assert_eq!(machine.stored("planted"), None, "{nix}");
        }
        // Control: a read-only bind of all of /nix does not protect the socket.
        machine.profile("");
        let output = machine.script(&["--ro-bind", "/nix"], PLANT).code(0);
        assert!(machine.stored("planted").is_some(), "{output:#?}");
    }
}

#[test]
fn promise_n_a_private_nix_builds_and_fetches_by_the_rules() {
    for user in users() {
        let machine = Machine::new(user);
        machine.profile("nix = \"private\"\n");
        let built =
            machine.script(&[], &format!("path=$({BUILD}) && cat $path && echo $path > path"));
        assert_eq!(built.code(0).stdout, "inside\n");
        assert_eq!(machine.stored("built"), None, "it is not the host's store");
        // It is there in the next session of the project.
        machine
            .script(&[], "nix-store --query --hash $(cat path) && cat $(cat path)")
            .code(0)
            .says("inside");

        machine.world.asked();
        let output = machine.script(&[], FETCH);
        assert_ne!(output.code, 0);
        assert_eq!(machine.world.asked(), [""; 0], "{output:#?}");
        // Controls: by a rule, and by the daemon, for which no rule holds.
        let output = machine.script(&["--allow", "refused.test:80"], FETCH);
        assert!(!machine.world.asked().is_empty(), "{output:#?}");
        machine.profile("nix = \"daemon\"\nnix-accept = [\"network\", \"trust\"]\n");
        let output = machine.script(&[], FETCH);
        assert!(!machine.world.asked().is_empty(), "{output:#?}");
    }
}

#[test]
fn promise_f_the_daemon_of_nix_is_had_when_what_it_opens_is_accepted() {
    for user in users() {
        let machine = Machine::new(user);
        machine.profile("nix = \"daemon\"\n");
        let refused =
            machine.script(&[], BUILD).code(2).complains("default.toml:1: `nix` is \"daemon\"");
        assert!(refused.stderr.contains("nix-accept = [\"network\"]"), "{refused:#?}");
        machine.profile("nix = \"daemon\"\nnix-accept = [\"network\"]\n");
        if user.is_root() {
            machine.script(&[], BUILD).code(2).complains("the daemon trusts you (you are root)");
            machine.profile("nix = \"daemon\"\nnix-accept = [\"network\", \"trust\"]\n");
        }
        assert_eq!(machine.stored("built"), None);
        machine.script(&[], &format!("cat $({BUILD})")).code(0).says("inside");
        let built = machine.stored("built").expect("the daemon has built it outside");
        assert_eq!(fs::read_to_string(built).unwrap(), "inside\n");
        let explained = machine.claudebox("", &["explain", "--", "true"]).run().code(0);
        explained.says("weakened").says("nix: the daemon fetches from anywhere");
    }
}

/// A program from the host's store runs with what it needs of it, and sees nothing else there.
#[test]
fn promise_h_a_private_nix_shows_of_the_store_what_is_needed() {
    const TOOL: &str = r#"derivation {
      name = "tool"; system = builtins.currentSystem; builder = "/bin/sh";
      words = builtins.toFile "words" "from the store";
      args = [ "-c" ''/bin/mkdir -p $out/bin; echo '#!/bin/sh' > $out/bin/tool
        echo "/bin/cat $words; echo; ls /nix/store" >> $out/bin/tool; /bin/chmod 755 $out/bin/tool'' ]; }"#;
    for user in users() {
        let machine = Machine::new(user);
        machine.place.project_file("tool.nix", TOOL);
        machine.place.project_file("unrelated", "of others");
        let link = machine.place.root().join("tool");
        let prepare = format!(
            "nix-build --out-link {} tool.nix && nix-store --add unrelated",
            link.display()
        );
        let tool = link.join("bin/tool");
        let run = ["run", "--no-monitor", "--", tool.to_str().unwrap()];
        let seen = |nix: &str| {
            machine.profile(nix);
            machine.claudebox(&prepare, &run).run().code(0).says("\nfrom the store\n").stdout
        };
        let private = seen("nix = \"private\"\n");
        // Before it stands what was said while it was prepared.
        let inside = private.rsplit("from the store").next().unwrap();
        assert!(inside.contains("-tool\n") && inside.contains("-words\n"), "{private}");
        assert!(!inside.contains("unrelated") && !inside.contains("-tool.drv\n"), "{private}");
        // Control: all of it.
        let all = seen("nix = \"store\"\n");
        let inside = all.rsplit("from the store").next().unwrap();
        assert!(inside.contains("-unrelated\n") && inside.contains("-tool.drv\n"), "{all}");
    }
}
