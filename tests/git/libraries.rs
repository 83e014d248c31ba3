//! Tools that are no git, but read and write its files by a library of their own: each does inside what it
//! does outside on a repository like it, and what it did comes back.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::agent::agents;
use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};

/// Two commits, what is staged, changed and untracked; packed and loose.
const PREPARE: &str = "set -e
    export GIT_AUTHOR_DATE='2030-01-01T00:00:00Z' GIT_COMMITTER_DATE='2030-01-01T00:00:00Z'
    git config user.name Someone; git config user.email someone@example.invalid
    mkdir d; echo 0 >d/x; echo 0 >a; echo 0 >b; git add .; git commit -qm first; git gc -q
    echo 1 >>a; git commit -qam second; git tag start; git branch side; echo 2 >>b; git add b; echo 333 >d/x
    echo n >new; printf '/tool*\\n__pycache__\\n' >.git/info/exclude\n";

/// How the repository stands, as git says.
const STATE: &str = "git symbolic-ref HEAD; git status --porcelain; git for-each-ref; git log --format='%H %an %s' --all
    git fsck --no-dangling --no-progress 2>&1";

/// Runs a tool in two places that were made in the same way, in one of them inside. `path`: a directory of
/// Python's modules that it needs.
fn same(install: impl Fn(&Place), tool: &str, path: Option<&Path>) {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let ready = || {
            let place = Place::new(user);
            place.command("sh").args(["-c", PREPARE]).run().code(0);
            install(&place);
            place
        };
        let (one, other) = (ready(), ready());
        let mut run =
            vec!["run".to_owned(), "--no-monitor".into(), "--git".into(), "private".into()];
        let mut outside = one.command("sh").args(["-ec", tool]);
        if let Some(path) = path.map(|path| path.to_str().unwrap()) {
            outside = outside.env("PYTHONPATH", path);
            run.extend([
                "--ro-bind".into(),
                path.into(),
                "--env".into(),
                format!("PYTHONPATH={path}"),
            ]);
        }
        run.extend(["--", "sh", "-ec", tool].map(str::to_owned));
        let outside = outside.run().code(0);
        let inside = other.claudebox(run).run().code(0);
        assert!(outside.stdout.contains("second"), "{}", outside.stdout);
        assert_eq!(other.redact(&inside.stdout), one.redact(&outside.stdout), "as {user:?}");
        let [left, right] = [&one, &other]
            .map(|place| place.command("sh").args(["-c", STATE]).run().code(0).stdout);
        assert_eq!(left, right, "as {user:?}: {}", inside.stderr);
    }
}

#[test]
fn libgit2() {
    must_have(&["python3"]);
    let found = Command::new("/usr/bin/python3").args(["-c", "import pygit2"]).status().unwrap();
    assert!(found.success(), "no python3-pygit2 on this machine; run `tests/setup.sh test`");
    let tool = include_str!("libraries/libgit2.py");
    same(|place| drop(place.project_file("tool.py", tool)), "/usr/bin/python3 tool.py", None);
}

#[test]
fn gix() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/git/install-gix.sh");
    let installed = std::fs::read_to_string(&script).unwrap();
    let version = installed.lines().find_map(|line| line.strip_prefix("version=")).unwrap();
    let path: PathBuf = agents().with_file_name(format!("gix-{version}"));
    assert!(path.is_dir(), "no gitoxide on this machine; run `tests/setup.sh test`");
    let tool = include_str!("libraries/gix.py");
    same(
        |place| drop(place.project_file("tool.py", tool)),
        "/usr/bin/python3 tool.py",
        Some(&path),
    );
}

#[test]
fn go_git() {
    must_have(&["go"]);
    let library = Path::new("/usr/share/gocode");
    assert!(
        library.join("src/github.com/go-git/go-git").is_dir(),
        "no golang-github-go-git-go-git-dev on this machine; run `tests/setup.sh test`"
    );
    // Kept between runs: it compiles the half of Go's library.
    let cache = format!("{}/go", env!("CARGO_TARGET_TMPDIR"));
    let built = tempfile::tempdir().unwrap();
    let (binary, source) = (built.path().join("tool"), built.path().join("src/tool"));
    // Only what has a `go.mod` finds the library under the name of its major version.
    std::fs::create_dir_all(&source).unwrap();
    std::fs::write(source.join("go.mod"), "module tool\n").unwrap();
    std::fs::write(source.join("main.go"), include_str!("libraries/go_git.go")).unwrap();
    let path = format!("{}:{}", built.path().display(), library.display());
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(&binary).arg("tool").env("GOCACHE", &cache).env("GOPATH", path);
    let output = go.env("GO111MODULE", "off").env("CGO_ENABLED", "0").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let install = |place: &Place| {
        let tool = place.project_file("tool", std::fs::read(&binary).unwrap());
        let open = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        std::fs::set_permissions(tool, open).unwrap();
    };
    same(install, "./tool", None);
}
