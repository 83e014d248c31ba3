//! The Nix files: every name they use is one that nixpkgs has, every path in them is there, and
//! they offer what `docs/` says. The evaluation is offline, against a stand-in for nixpkgs.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// Evaluates `tests/nix/evaluate.nix`, without a store and without a configuration.
fn evaluate() -> Value {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new("nix-instantiate")
        .args(["--eval", "--strict", "--json", "tests/nix/evaluate.nix"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home.path())
        .env("NIX_REMOTE", "dummy://")
        .output()
        .expect("nix-instantiate is needed (Debian: nix-bin); tests/setup.sh installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn flake_offers_the_package_on_each_platform() {
    let outputs = evaluate();
    assert_eq!(outputs["inputs"], json!(["nixpkgs"]));
    assert_eq!(outputs["overlay"], json!(["claudebox"]));
    for system in ["x86_64-linux", "aarch64-linux"] {
        let package = &outputs["packages"][system]["default"];
        assert_eq!(package["pname"], env!("CARGO_PKG_NAME"));
        assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(package["meta"]["mainProgram"], env!("CARGO_PKG_NAME"));
        assert_eq!(package["cargoLock"], "Cargo.lock");
        assert_eq!(outputs["packages"][system]["claudebox"], *package);
        assert_eq!(outputs["devShells"][system]["default"]["inputsFrom"][0], *package);
    }
}

#[test]
fn package_holds_every_file_that_the_manifest_names() {
    let outputs = evaluate();
    let source = outputs["packages"]["x86_64-linux"]["default"]["src"].as_array().unwrap();
    let manifest: toml::Table = include_str!("../Cargo.toml").parse().unwrap();
    let programs = ["bench", "example", "test", "bin"]
        .iter()
        .filter_map(|kind| manifest.get(*kind)?.as_array())
        .flatten()
        .filter_map(|program| program.get("path")?.as_str());
    for path in programs.chain(["src/main.rs", "Cargo.toml", "Cargo.lock"]) {
        let top = Path::new(path).components().next().unwrap();
        let top = top.as_os_str().to_str().unwrap();
        assert!(source.iter().any(|name| name == top), "{path} is not in the package's source");
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(), "{path} is missing");
    }
}
