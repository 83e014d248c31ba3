//! An exec as the one line of text a person reads: what they would have typed. It must never show
//! another program than the one whose path the kernel got, nor an argument that was not there.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::event::{Exec, Outcome, Ran};
use super::quote;
use super::shell::Script;
use super::text;
use super::unwrap::{basename, unwrap};
use crate::bytes::Bytes;

/// Longer text is cut before it is kept; nobody reads on, and a log of such lines must not fill
/// the memory of who looks at it. `--json` has all of it.
const LONGEST: usize = 8 << 10;

/// Where programs are that need no path to be recognised: only the system's owner can write there.
const SYSTEM: [&[u8]; 8] = [
    b"/bin",
    b"/sbin",
    b"/usr/bin",
    b"/usr/sbin",
    b"/usr/local/bin",
    b"/usr/local/sbin",
    b"/run/current-system/sw/bin",
    b"/usr/games",
];

/// The text of a command, and what is known about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// What is shown.
    pub text: String,
    /// The script of a shell's `-c`, whose commands need not be shown again.
    pub script: Option<Script>,
    /// How much of it the text has.
    pub kept: Kept,
    /// So many columns at the beginning of the text name the program.
    pub columns: usize,
    /// The program is shown by a name that tells where it is: a system directory, or a place that
    /// was shown before.
    pub familiar: bool,
}

/// How much of a command its text has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// All of it.
    #[default]
    All,
    /// A part; SHA-256 of all that is known tells it from another.
    Part([u8; 32]),
    /// A part, and nobody knows the rest.
    Unknown,
}

/// Where a program is that a row names by its whole path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    directory: Vec<u8>,
    name: Vec<u8>,
    /// So many columns of the row's text name it.
    pub columns: usize,
}

impl Place {
    /// The program of an exec.
    pub fn of(exec: &Exec, columns: usize) -> Self {
        let path = path(exec);
        let (directory, name) = split(&path);
        Self { directory: directory.to_vec(), name: name.to_vec(), columns }
    }
}

/// Which programs were seen where. The first time a name leads to a place outside of the system's
/// directories, and whenever that place changes, the whole path is shown.
#[derive(Debug, Default)]
pub struct Places {
    seen: HashMap<Vec<u8>, Vec<u8>>,
}

impl Places {
    /// Whether an exec's program may be shown by its name alone.
    pub fn know(&self, exec: &Exec) -> bool {
        let path = path(exec);
        let (directory, name) = split(&path);
        // `./git` is another program in each directory, and so is what a descriptor leads to.
        let odd = |part: &[u8]| matches!(part, b"" | b"." | b"..");
        let one = path.strip_prefix(b"/").is_some_and(|path| {
            let mut parts = path.split(|byte| *byte == b'/');
            !matches!(parts.clone().next(), Some(b"proc" | b"dev")) && !parts.any(odd)
        });
        let seen = self.seen.get(name).is_some_and(|before| before == directory);
        is_system(&path) || (one && seen)
    }

    /// A program's whole path was in sight.
    pub fn learn(&mut self, place: &Place) {
        const MOST: usize = 1024;
        if self.seen.len() < MOST || self.seen.contains_key(&place.name) {
            self.seen.insert(place.name.clone(), place.directory.clone());
        }
    }

    /// A program was executed. The name of one of the system's stands for no other any more.
    pub fn pass(&mut self, exec: &Exec) {
        if is_system(&exec.path.0) {
            self.seen.remove(basename(&exec.path.0));
        }
    }
}

/// Whether a program is where only the system's owner can put one.
pub(super) fn is_system(path: &[u8]) -> bool {
    let (directory, _) = split(path);
    // One name below the store: `..` would lead out of it again.
    let package = directory.strip_prefix(b"/nix/store/").and_then(|it| it.strip_suffix(b"/bin"));
    let nix = package.is_some_and(|name| !name.contains(&b'/') && !name.starts_with(b"."));
    nix || SYSTEM.contains(&directory)
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let name = basename(path);
    let directory = &path[..path.len() - name.len()];
    (directory.strip_suffix(b"/").unwrap_or(directory), name)
}

/// The text for an exec, and for what is known of the image that ran. With `raw` no wrapper is
/// taken off; a program that is not `familiar` is shown with its path. `snapshots`: see [`unwrap`].
pub fn command(
    exec: &Exec,
    ran: Option<&Ran>,
    (familiar, raw): (bool, bool),
    snapshots: Option<&[u8]>,
) -> Command {
    let argv = ran.and_then(|ran| ran.argv.as_deref()).unwrap_or(&exec.argv);
    // Where another file ran than the one the path led to, that file is the program.
    let other = ran.filter(|ran| ran.outcome == Outcome::Changed);
    let familiar = familiar && other.is_none();
    let path = match other.and_then(|ran| ran.exe.as_ref()) {
        Some(exe) => exe.0.clone(),
        None => path(exec),
    };
    let missing = missing(exec, argv);
    // A shell of the agent's own may do anything with a script, however often it was seen.
    if !raw
        && missing.is_none()
        && familiar
        && is_system(&path)
        && let Some(script) = unwrap(&path, argv, snapshots)
        && let Some(text) = quote::script(&script)
    {
        let (text, kept) = shorten(text);
        return Command { text, script: Some(Script::parse(&script)), kept, columns: 0, familiar };
    }
    plain(exec, &path, argv, missing, familiar)
}

fn plain(
    exec: &Exec,
    path: &[u8],
    argv: &[Bytes],
    missing: Option<String>,
    familiar: bool,
) -> Command {
    let mut text = program(path, argv.first(), familiar);
    let columns = text::width(&text);
    text.push_str(&quote::arguments(argv.get(1..).unwrap_or_default()));
    let (mut text, mut kept) = shorten(text);
    kept = match (&exec.argv_sha256, &missing) {
        (Some(hash), _) => Kept::Part(Sha256::digest(hash).into()),
        (None, Some(_)) => Kept::Unknown,
        (None, None) => kept,
    };
    for note in missing.into_iter().chain(exec.arch.as_deref().map(crate::visible::visible)) {
        let _ = write!(text, " ({note})");
    }
    Command { text, script: None, kept, columns, familiar }
}

/// The path argument with the descriptor it is relative to, as `/proc` names it.
fn path(exec: &Exec) -> Vec<u8> {
    const AT_FDCWD: i32 = -100;
    match exec.at {
        Some(ref at) if at.dirfd != AT_FDCWD && !exec.path.0.starts_with(b"/") => {
            let mut path = format!("/proc/self/fd/{}", at.dirfd).into_bytes();
            if !exec.path.0.is_empty() {
                path.push(b'/');
                path.extend_from_slice(&exec.path.0);
            }
            path
        }
        _ => exec.path.0.clone(),
    }
}

/// The program's name as typed. A process may call itself anything, so a first argument that is
/// not the path's own name is shown as what it is: bash's `exec -a NAME PATH`.
fn program(path: &[u8], argv0: Option<&Bytes>, familiar: bool) -> String {
    let Some(argv0) = argv0.map(|argument| argument.0.as_slice()) else {
        return quote::program(path);
    };
    if argv0 == path || (familiar && argv0 == basename(path)) {
        quote::program(argv0)
    } else if basename(argv0) == basename(path) {
        quote::program(path)
    } else {
        format!("exec -a {} {}", quote::word(argv0), quote::program(path))
    }
}

/// What is not in the text although it was in the argv.
fn missing(exec: &Exec, argv: &[Bytes]) -> Option<String> {
    if let Some(hash) = &exec.argv_sha256 {
        let hash = crate::visible::visible(hash.get(..12).unwrap_or(hash));
        return Some(format!("arguments not kept, sha256 {hash}…"));
    }
    if let Some(why) = &exec.unread {
        return Some(format!("not readable: {}", crate::visible::visible(why)));
    }
    match exec.argc?.saturating_sub(argv.len() as u64) {
        0 => Some("not all of it kept".to_owned()),
        more => Some(format!("and {more} more arguments")),
    }
}

/// The text, and how much of it that is.
fn shorten(mut text: String) -> (String, Kept) {
    let Some((at, _)) = text.char_indices().nth(LONGEST) else { return (text, Kept::All) };
    let kept = Kept::Part(Sha256::digest(&text).into());
    let cut = text[at..].chars().count();
    text.truncate(at);
    let _ = write!(text, "…(+{cut})");
    (text, kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::event::ExecAt;
    use proptest::prelude::*;

    fn exec(path: &str, argv: &[&str]) -> Exec {
        let argv = argv.iter().map(|argument| Bytes::from(*argument)).collect();
        Exec { path: path.into(), argv, ..Exec::default() }
    }

    fn text(exec: &Exec) -> String {
        command(exec, None, (Places::default().know(exec), false), None).text
    }

    #[test]
    fn a_command_reads_as_typed() {
        let cases = [
            (exec("/usr/bin/ls", &["ls", "-l"]), "ls -l"),
            (exec("./run.sh", &["./run.sh"]), "./run.sh"),
            (exec("/nix/store/abc-git/bin/git", &["git", "log"]), "git log"),
            (exec("/p/evil/git", &["git", "log"]), "/p/evil/git log"),
            (exec("/nix/store/../../p/bin/git", &["git"]), "/nix/store/../../p/bin/git"),
            (exec("/nix/store/../bin/git", &["git"]), "/nix/store/../bin/git"),
            (exec("/tmp/x", &["ls", "-l"]), "exec -a ls /tmp/x -l"),
            (exec("/bin/bash", &["-bash"]), "exec -a -bash /bin/bash"),
            (exec("/usr/bin/true", &[]), "/usr/bin/true"),
            (exec("/bin/sh", &["sh", "-c", "a\nb"]), "a⏎b"),
            (exec("/bin/sh", &["sh", "-c", "a\x1bb"]), "sh -c $'a\\eb'"),
            (exec("/tmp/sh", &["/tmp/sh", "-c", "ls"]), "/tmp/sh -c ls"),
        ];
        for (exec, want) in cases {
            assert_eq!(text(&exec), want);
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let whole = exec("/usr/bin/ls", &["ls"]);
        let cut = Exec { argc: Some(9), ..whole.clone() };
        assert_eq!(text(&cut), "ls (and 8 more arguments)");
        let short = Exec { argc: Some(1), ..whole.clone() };
        assert_eq!(text(&short), "ls (not all of it kept)");
        let hashed = Exec { argv: vec![], argv_sha256: Some("ab".repeat(32)), ..whole.clone() };
        assert_eq!(text(&hashed), "/usr/bin/ls (arguments not kept, sha256 abababababab…)");
        let unread = Exec { argv: vec![], unread: Some("EPERM".into()), ..whole.clone() };
        assert_eq!(text(&unread), "/usr/bin/ls (not readable: EPERM)");
        let arch = Exec { arch: Some("i386".into()), ..whole.clone() };
        assert_eq!(text(&arch), "ls (i386)");
        let memory =
            Exec { path: "".into(), at: Some(ExecAt { dirfd: 4, flags: 0x1000 }), ..whole };
        assert_eq!(text(&memory), "exec -a ls /proc/self/fd/4");
        let long = exec("/usr/bin/ls", &["ls", &"x".repeat(LONGEST)]);
        assert!(text(&long).ends_with("x…(+3)"));
    }

    #[test]
    fn a_strange_place_is_shown_once_and_when_it_changes() {
        let mut places = Places::default();
        let mut shown = |path: &str| {
            let exec = exec(path, &["cargo", "test"]);
            let familiar = places.know(&exec);
            places.pass(&exec);
            let command = command(&exec, None, (familiar, false), None);
            places.learn(&Place::of(&exec, command.columns));
            command.text
        };
        assert_eq!(shown("/home/u/.cargo/bin/cargo"), "/home/u/.cargo/bin/cargo test");
        assert_eq!(shown("/home/u/.cargo/bin/cargo"), "cargo test");
        assert_eq!(shown("/tmp/cargo"), "/tmp/cargo test");
        assert_eq!(shown("/home/u/.cargo/bin/cargo"), "/home/u/.cargo/bin/cargo test");
    }

    /// Where each process finds another file.
    #[test]
    fn attack_a_place_of_many_is_never_known() {
        for path in [
            "./git",
            "bin/git",
            "/proc/self/cwd/git",
            "//proc/self/cwd/git",
            "/./proc/self/fd/3/git",
            "/tmp/../proc/self/cwd/git",
            "/dev/fd/3/git",
            "/dev/fd/3",
        ] {
            let exec = exec(path, &["git", "push"]);
            let mut places = Places::default();
            places.learn(&Place::of(&exec, 0));
            assert!(!places.know(&exec), "{path}");
        }
        // Control.
        let exec = exec("/home/u/.cargo/bin/git", &["git", "push"]);
        let mut places = Places::default();
        places.learn(&Place::of(&exec, 0));
        assert!(places.know(&exec));
    }

    #[test]
    fn a_shell_of_the_agents_own_is_never_taken_off() {
        let exec = exec("/tmp/bash", &["bash", "-c", "ls"]);
        assert_eq!(command(&exec, None, (true, false), None).text, "bash -c ls");
    }

    #[test]
    fn the_argv_that_ran_is_the_one_shown() {
        let claimed = exec("/usr/bin/ls", &["ls", "-l"]);
        let argv = Some(vec!["ls".into(), "-a".into()]);
        let ran = Ran { t: 0, id: 0, outcome: Outcome::Changed, argv, exe: None, errno: None };
        let shown = command(&claimed, Some(&ran), (true, false), None);
        assert_eq!(shown.text, "/usr/bin/ls -a");
        let ran = Ran { argv: None, exe: Some("/tmp/evil".into()), ..ran };
        let shown = command(&claimed, Some(&ran), (true, false), None);
        assert_eq!(shown.text, "exec -a ls /tmp/evil -l");
    }

    proptest! {
        #[test]
        fn only_what_prints_comes_out(
            path in proptest::collection::vec(1_u8.., 0..20),
            argv in proptest::collection::vec(any::<Vec<u8>>(), 0..4),
            script: String,
            why: String,
        ) {
            let mut exec = Exec { path: path.into(), unread: Some(why), ..Exec::default() };
            exec.argv = argv.into_iter().map(Bytes).collect();
            prop_assert!(!text(&exec).chars().any(crate::visible::is_invisible));
            let shell = tests::exec("/bin/sh", &["sh", "-c", &script]);
            prop_assert!(!text(&shell).chars().any(crate::visible::is_invisible));
        }
    }
}
