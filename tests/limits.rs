//! The control group of a session, driven through hand-made plans: by a systemd that is there, or
//! is not, or says yes and does not do it; and what becomes of a group that cannot be had.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so when it fails"
)]

mod supervised;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use claudebox::log::event::{Event, Limit};
use claudebox::plan::Plan;
use claudebox::plan::limits::{Group, Limits, Maker};

use supervised::{PATIENCE, Room, User, eventually, plan, processes, users};

/// Passes on what busctl(1) is asked for, and says yes. [`Systemd`] reads it.
const YES: &str = "#!/bin/sh
echo \"$@\" >$XDG_RUNTIME_DIR/asking
exec mv $XDG_RUNTIME_DIR/asking $XDG_RUNTIME_DIR/asked
";
/// The same of a systemd that is too old for one property (before 252), and so refuses all.
const OLD: &str = "#!/bin/sh
case \"$*\" in
*OOMPolicy*) echo 'Cannot set property OOMPolicy, or unknown property.' >&2; exit 1 ;;
esac
echo \"$@\" >$XDG_RUNTIME_DIR/asking
exec mv $XDG_RUNTIME_DIR/asking $XDG_RUNTIME_DIR/asked
";
/// What busctl(1) says where no manager answers.
const FAILS: &str = "#!/bin/sh
echo 'Failed to connect to bus: Connection refused' >&2
exit 1
";

/// A systemd that is busy.
const SLOW: &str = "#!/bin/sh
: >$XDG_RUNTIME_DIR/asked
exec sleep 5
";

/// What becomes of those who are to be moved: bwrap and its child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moved {
    Both,
    Bwrap,
    Child,
    Nobody,
}

/// The test as systemd: another process than the supervisor, with the right to move it.
struct Systemd<'a> {
    /// Where it is asked.
    directory: &'a Path,
    moved: Moved,
}

impl Systemd<'_> {
    /// Does once what it is asked for, in the hierarchy of version 2; what that was, and the group.
    fn serve(&self) -> (String, PathBuf) {
        let until = Instant::now() + PATIENCE;
        let asked = loop {
            match fs::read_to_string(self.directory.join("asked")) {
                Ok(asked) => break asked,
                Err(_) => assert!(Instant::now() < until, "nobody asks"),
            }
            sleep(Duration::from_millis(1));
        };
        let words: Vec<&str> = asked.split_whitespace().collect();
        let scope = words.iter().find(|word| is_scope(word)).unwrap();
        let pids = words.iter().position(|word| *word == "PIDs").unwrap();
        let &[_, "au", "2", bwrap, child, "0"] = &words[pids..] else { panic!("{asked}") };
        let group = version_2().join(scope);
        fs::create_dir(&group).unwrap();
        let members = match self.moved {
            Moved::Both => vec![bwrap, child],
            Moved::Bwrap => vec![bwrap],
            Moved::Child => vec![child],
            Moved::Nobody => vec![],
        };
        for member in members {
            fs::write(group.join("cgroup.procs"), member).unwrap();
        }
        (asked, group)
    }

    /// Runs a session to its end beside itself.
    fn beside(&self, room: &Room) -> (Output, String) {
        thread::scope(|threads| {
            let serves = threads.spawn(|| self.serve());
            let output = room.output();
            let (asked, group) = serves.join().unwrap();
            // The dead are in it until the kernel is done with them.
            let until = Instant::now() + PATIENCE;
            while fs::remove_dir(&group).is_err() {
                assert!(Instant::now() < until, "something lives on in {}", group.display());
                sleep(Duration::from_millis(5));
            }
            (output, asked)
        })
    }
}

/// Where groups of version 2 are; as root they can be made there, whichever controllers it has.
fn version_2() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mount = mounts.find(|fields| fields[2] == "cgroup2").expect("control groups of version 2");
    mount[1].into()
}

fn is_scope(word: &str) -> bool {
    Path::new(word).extension() == Some("scope".as_ref())
}

/// Everybody who can be moved by this test: who is not root can move nobody.
fn movable() -> &'static [User] {
    if rustix::process::geteuid().is_root() { users() } else { &[] }
}

/// A plan whose processes systemd limits, by a program in this directory.
fn limited(script: &str, directory: &Path, required: bool) -> Plan {
    let program = directory.join("busctl");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
    let runtime = Some(directory.into());
    let maker = Maker::Systemd { program: (&*program).into(), runtime };
    let group = Group { maker, memory: None, processes: Some(99), cpu: None };
    let limit = Limit { of: "processes".into(), at_most: 99, by: "systemd".into() };
    let limits = Limits { required, group: Some(group), all: vec![limit] };
    Plan { limits, ..plan(&["/bin/sh", "-c", "env; cat /proc/self/cgroup; echo ran"]) }
}

/// What the log says of the limits, and whether it tells of a downgrade.
fn logged(room: &Room) -> (Vec<String>, bool) {
    let events = room.events();
    let by = events.iter().find_map(|event| match event {
        Event::Confined(confined) => {
            Some(confined.limits.iter().map(|limit| limit.by.clone()).collect())
        }
        _ => None,
    });
    let told = events
        .iter()
        .any(|event| matches!(event, Event::Notice(notice) if notice.kind == "limits-unavailable"));
    (by.unwrap_or_default(), told)
}

#[test]
fn the_agent_is_born_in_the_scope_that_systemd_makes() {
    for (user, script) in movable().iter().flat_map(|user| [(user, YES), (user, OLD)]) {
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let room = Room::new(&limited(script, directory.path(), true), *user);
        let systemd = Systemd { directory: directory.path(), moved: Moved::Both };
        let (output, asked) = systemd.beside(&room);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.ends_with("ran\n") && !said.contains("XDG_RUNTIME_DIR"), "{said}");
        assert!(asked.starts_with("--user ") && asked.contains(" TasksMax t 99 "), "{asked}");
        assert_eq!(asked.contains(" OOMPolicy s continue "), script == YES, "{asked}");
        let scope = asked.split_whitespace().find(|word| is_scope(word)).unwrap();
        let is_in = |line: &str| line.starts_with("0::") && line.ends_with(&format!("/{scope}"));
        assert!(said.lines().any(is_in), "{said}");
        assert_eq!(logged(&room), (vec!["systemd".to_owned()], false));
    }
}

#[test]
fn who_is_not_in_the_scope_does_not_run_whatever_systemd_says() {
    for (user, moved) in movable().iter().zip([Moved::Bwrap, Moved::Child]) {
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let room = Room::new(&limited(YES, directory.path(), true), *user);
        let (output, _) = Systemd { directory: directory.path(), moved }.beside(&room);
        assert_eq!(output.status.code(), Some(125), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("systemd could not make a scope"), "{said}");
    }
}

#[test]
fn without_the_scope_a_session_does_not_claim_its_limits() {
    for user in movable() {
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let room = Room::new(&limited(YES, directory.path(), false), *user);
        let systemd = Systemd { directory: directory.path(), moved: Moved::Nobody };
        let (output, _) = systemd.beside(&room);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(logged(&room), (vec!["not-enforced".to_owned()], true));
    }
}

/// Nothing has bound bwrap to the supervisor's life by then but the inner stage's socket.
#[test]
fn a_supervisor_that_is_killed_while_systemd_is_asked_takes_everything_along() {
    for user in users() {
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let room = Room::new(&limited(SLOW, directory.path(), true), *user);
        let mut session = room.spawn();
        let ours = session.id().cast_signed();
        let alive = || {
            let alive = processes().into_iter().filter(|it| it.session == ours);
            alive.filter(|it| it.name == "bwrap" || it.cmdline.contains("__inner")).count()
        };
        eventually("systemd is asked", || directory.path().join("asked").exists());
        eventually("bwrap and its child", || alive() == 2);
        session.kill().unwrap();
        session.wait().unwrap();
        eventually("their end", || alive() == 0);
    }
}

/// A group of version 2 is bwrap's from its first moment on, and so everybody's.
#[test]
fn everything_is_born_in_a_group_of_version_2() {
    for user in movable().iter().filter(|user| matches!(user, User::Current)) {
        let maker = Maker::V2((&*version_2()).into());
        let group = Group { maker, memory: None, processes: None, cpu: None };
        let limits = Limits { required: true, group: Some(group), all: vec![] };
        let plan = Plan { limits, ..plan(&["/bin/sh", "-c", "echo runs; read line"]) };
        let room = Room::new(&plan, *user);
        let mut command = room.command("users");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut session = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(session.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "runs\n");
        let ours = session.id().cast_signed();
        let inside = processes()
            .into_iter()
            .filter(|it| it.session == ours && !it.name.starts_with("supervise"));
        let groups: Vec<(String, String)> =
            inside.map(|process| (process.name, group_of(process.pid))).collect();
        assert_eq!(groups.len(), 3, "bwrap, pid 1 and the agent: {groups:?}");
        let (_, one) = &groups[0];
        assert!(one.contains("/claudebox-"), "{groups:?}");
        assert!(groups.iter().all(|(_, group)| group == one), "{groups:?}");
        drop(session.stdin.take());
        session.wait().unwrap();
        assert!(!version_2().join(one.trim_start_matches('/')).exists());
    }
}

/// The group of version 2 that a process is in.
fn group_of(pid: i32) -> String {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default().to_owned()
}

#[test]
fn a_group_that_cannot_be_had_is_a_visible_downgrade_or_an_error() {
    let none = Maker::V2("/nonexistent".into());
    for maker in [None, Some(none)] {
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let with = |required| {
            let mut plan = limited(FAILS, directory.path(), required);
            if let (Some(maker), Some(group)) = (&maker, &mut plan.limits.group) {
                group.maker = maker.clone();
            }
            plan
        };
        for user in users() {
            let room = Room::new(&with(false), *user);
            let output = room.output();
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            assert_eq!(logged(&room), (vec!["not-enforced".to_owned()], true));

            let room = Room::new(&with(true), *user);
            let output = room.output();
            assert_eq!(output.status.code(), Some(125), "{output:?}");
            assert!(output.stdout.is_empty());
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("Connection refused") || said.contains("/nonexistent"), "{said}");
        }
    }
}
