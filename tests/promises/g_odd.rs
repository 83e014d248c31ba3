//! G and W: a repository whose parts are links, FIFOs or sockets neither holds up the start nor leads
//! out of the project. Its author made it so, or an agent of an earlier session.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::stat::Mode;

use crate::common::place::Place;
use crate::common::{must_have_sandbox, user::users};
use crate::outside::tree;
use crate::script;

/// What is made of what, and claudebox's exit code: 2 where it is no repository to work in, or to make
/// a private copy of.
const ODD: [(&str, &str, i32); 18] = [
    (".git", "link", 2),
    (".git", "pointer", 2),
    (".git", "fifo", 2),
    (".git", "socket", 2),
    (".git", "file", 2),
    (".git/HEAD", "fifo", 2),
    (".git/HEAD", "link", 2),
    (".git/config", "fifo", 2),
    (".git/config", "link", 2),
    (".git/config", "directory", 2),
    (".git/hooks", "fifo", 0),
    (".git/hooks", "link", 0),
    (".git/hooks", "socket", 0),
    (".git/index", "fifo", 2),
    (".git/info", "link", 2),
    (".envrc", "fifo", 0),
    (".vscode", "link", 0),
    ("a\n/../b/.envrc", "link", 0),
];

/// Writes wherever a link of [`ODD`] could lead.
const ATTACK: &str =
    "for path in .git .git/HEAD .git/config .git/hooks .git/info .vscode b/.envrc; do
        [ -p $path ] || { echo evil > $path; echo evil > $path/new; echo evil > $path/hooks/new; }
    done 2>/dev/null; echo the agent ran";

fn make(place: &Place, path: &Path, what: &str) {
    if path.is_dir() {
        fs::rename(path, place.root().join("aside")).unwrap();
    } else {
        let _ = fs::remove_file(path);
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match what {
        "link" => symlink(place.root().join("victim"), path).unwrap(),
        "pointer" => fs::write(path, "gitdir: ../victim\n").unwrap(),
        "file" => fs::write(path, "\0\0").unwrap(),
        "directory" => fs::create_dir(path).unwrap(),
        "socket" => drop(UnixListener::bind(path).unwrap()),
        _ => nix::unistd::mkfifo(path, Mode::S_IRWXU).unwrap(),
    }
    place.user().own(path);
    place.user().own(path.parent().unwrap());
}

#[test]
fn promise_g_an_odd_repository_neither_hangs_nor_leads_away() {
    must_have_sandbox();
    for user in users() {
        for (path, what, code) in ODD {
            let place = Place::new(user);
            place.project_file("../victim/HEAD", "ref: refs/heads/main\n");
            place.project_file("../victim/hooks/sample", "mine");
            place.project_file("a\n/x", "");
            make(&place, &place.project().join(path), what);
            let victim = place.root().join("victim");
            let before = tree(&victim);
            let output = script(&place, &["--host-files", "report"], ATTACK).run().code(code);
            assert_eq!(output.stdout.contains("the agent ran"), code == 0, "{path:?} {what}");
            assert_eq!(tree(&victim), before, "{path:?} {what}");
            // With git as it was, the mounts alone have to hold.
            let shared = ["--host-files", "report", "--git", "shared"];
            let code = if path == ".git" { 2 } else { 0 };
            script(&place, &shared, ATTACK).run().code(code);
            assert_eq!(tree(&victim), before, "{path:?} {what}");

            // Control: without the sandbox, a link leads there.
            if what == "link" {
                place.command("sh").args(["-c", ATTACK]).run();
                assert!(path.contains("HEAD") || tree(&victim) != before, "{path:?}");
            }
        }
    }
}
