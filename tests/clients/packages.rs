//! npm, pip and cargo, each at a registry that has one package.

use crate::common::place::Place;
use crate::common::world::World;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::script;
use crate::site::{Site, trusting};

/// Runs a script as everyone, at the site: what it printed last, and what the world was asked.
fn installs(
    rule: &str,
    more: impl Fn(&Place) -> Vec<String>,
    lines: &str,
    last: &str,
    refused: &str,
) {
    must_have_sandbox();
    let (site, world) = (Site::new(), World::new());
    site.put(&world);
    for user in users() {
        let place = Place::new(user);
        let mut options = trusting(&place, &site);
        options.extend(more(&place));
        let output = script(&place, &world, &[rule], &options, lines).run().code(0);
        assert_eq!(output.stdout.lines().last(), Some(last), "{output:?}");
        assert_eq!(world.asked(), [format!("{rule}:443")]);

        // Control: the same without the rule.
        let output = script(&place, &world, &[], &options, lines).run();
        assert_ne!(output.code, 0, "{output:?}");
        assert!(output.stderr.contains(refused), "{output:?}");
        assert!(world.asked().is_empty());
    }
}

#[test]
fn npm_installs_a_package() {
    must_have(&["npm", "node"]);
    let lines = "rm -rf node_modules ~/.npm; echo '{}' > package.json
        npm install --no-audit --no-fund --fetch-retries=0 --registry=https://npm.example/npm/ thing >&2
        node -e 'console.log(require(\"thing\"))'";
    installs("npm.example", |_| vec![], lines, "a thing of npm", "ENOTFOUND");
}

#[test]
fn pip_installs_a_package() {
    must_have(&["python3"]);
    let lines =
        "rm -rf there; python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir \
            --retries 0 --target there --index-url https://pypi.example/pypi/simple/ thing
        PYTHONPATH=there python3 -c 'import thing; print(thing.NAME)'";
    let refused = "No matching distribution found for thing";
    installs("pypi.example", |_| vec![], lines, "a thing of Python", refused);
}

#[test]
fn cargo_fetches_a_crate() {
    let more = |place: &Place| {
        // The real program and not rustup's: what this test was built with.
        let programs = place.root().join("programs");
        std::fs::create_dir(&programs).unwrap();
        let copied = std::process::Command::new("cp").arg(env!("CARGO")).arg(&programs).status();
        assert!(copied.unwrap().success());
        place.project_file("src/lib.rs", "");
        let manifest = "[package]\nname = \"work\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
                        [dependencies]\nthing = \"1\"\n";
        place.project_file("Cargo.toml", manifest);
        let configuration = "[source.crates-io]\nreplace-with = \"stub\"\n\
                             [source.stub]\nregistry = \"sparse+https://crates.example/cargo/\"\n\
                             [net]\nretry = 0\n";
        place.project_file(".cargo/config.toml", configuration);
        vec!["--ro-bind".to_owned(), programs.to_str().unwrap().to_owned()]
    };
    let lines = "rm -rf vendor Cargo.lock ~/.cargo
        ../programs/cargo vendor --quiet --respect-source-config vendor >&2
        cut -d'\"' -f2 vendor/thing/src/lib.rs";
    installs("crates.example", more, lines, "a thing of Rust", "resolve host");
}
