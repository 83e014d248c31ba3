//! The Nix files: each is Nix, in nixpkgs' own format, without unused names; and what the flake
//! offers evaluates, builds and runs, with a real Nix and a stand-in for nixpkgs, without a network.
//! `docs/nix.md` says what of it only a machine with nixpkgs can show.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "nix/unused.rs"]
mod unused;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::place::Place;
use common::user::{User, users};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// All of them, with their text.
fn files() -> Vec<(PathBuf, String)> {
    let mut directories = vec![Path::new(ROOT).join("nix")];
    let mut files = vec![Path::new(ROOT).join("flake.nix")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "nix") {
                files.push(path);
            }
        }
    }
    let read = |path: PathBuf| (fs::read_to_string(&path).unwrap(), path);
    files.into_iter().map(read).map(|(text, path)| (path, text)).collect()
}

#[test]
fn every_file_is_nix_and_uses_what_it_names() {
    for (path, text) in files() {
        let parsed = rnix::Root::parse(&text);
        assert!(parsed.errors().is_empty(), "{}: {:?}", path.display(), parsed.errors());
        let unused = unused::names(&text);
        assert!(unused.is_empty(), "{}: unused: {unused:?}", path.display());
    }
}

/// Expressions, and options as they stand in a configuration.
#[test]
fn what_the_documentation_shows_is_nix() {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/nix.md")).unwrap();
    let blocks: Vec<&str> = text.split("```nix\n").skip(1).collect();
    assert!(blocks.len() > 2);
    for block in blocks {
        let block = block.split("```").next().unwrap();
        let is_nix = |text: &str| rnix::Root::parse(text).errors().is_empty();
        assert!(is_nix(block) || is_nix(&format!("{{ {block} }}")), "{block}");
    }
}

/// `CLAUDEBOX_TEST_WRITE=1 cargo test --test nix formatted` writes them so.
#[test]
fn every_file_is_formatted() {
    let mut wrong = Vec::new();
    for (path, text) in files() {
        let formatted = nixfmt_rs::format(&text).unwrap();
        if formatted == text {
            continue;
        }
        if std::env::var_os("CLAUDEBOX_TEST_WRITE").is_some() {
            fs::write(&path, formatted).unwrap();
        }
        wrong.push(path);
    }
    assert!(wrong.is_empty(), "not as nixfmt writes them: {wrong:?}");
}

#[test]
fn the_updater_keeps_its_promises() {
    common::must_have(&["python3"]);
    let output = Command::new("python3").arg("nix/tests/update.py").current_dir(ROOT).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_readme_has_the_packages_that_there_are() {
    common::must_have(&["python3"]);
    let scratch = tempfile::tempdir().unwrap();
    fs::create_dir(scratch.path().join("nix")).unwrap();
    for file in ["nix/update", "nix/locks.py", "nix/agents.json", "Cargo.toml", "README.md"] {
        fs::copy(Path::new(ROOT).join(file), scratch.path().join(file)).unwrap();
    }
    let update = scratch.path().join("nix/update");
    let status = Command::new("python3").arg(update).arg("--table").status().unwrap();
    assert_eq!(status.code(), Some(0), "the README's table is old: run `nix/update --table`");
}

/// `nix/tests/run.sh` as this user. Where the caller is another one, cargo's files may be out of reach:
/// then the package's source is not checked once more.
fn works_as(user: User) {
    common::must_have(&["nix", "bwrap", "git", "python3"]);
    let place = Place::new(user);
    let scratch = place.root().join("nix");
    fs::create_dir(&scratch).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let mut prepare = place
        .command_as_caller("bash")
        .args([OsString::from("nix/tests/run.sh"), "prepare".into(), scratch.clone().into()])
        .args([place.executable()])
        .directory(ROOT)
        .env("PATH", &path);
    if user == User::Caller {
        let target = Path::new(env!("CARGO_BIN_EXE_claudebox")).ancestors().nth(2).unwrap();
        prepare = prepare.env("CARGO_TARGET_DIR", target);
    }
    for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
        if let Some(value) = std::env::var_os(name) {
            prepare = prepare.env(name, value);
        }
    }
    prepare.run().code(0);
    user.own(&scratch);
    let run = place
        .command("bash")
        .args([scratch.join("checkout/nix/tests/run.sh").into(), OsString::from("run")])
        .args([&scratch])
        .env("PATH", &path)
        .deadline(Duration::from_secs(900))
        .run();
    run.code(0).complains("nix: all of it holds");
}

#[test]
fn what_the_flake_offers_works() {
    common::must_have_sandbox();
    users().into_iter().for_each(works_as);
}
