//! The supervisor and the inner stage, driven through hand-made plans: exit codes, what the agent
//! starts with, signals, the log's first and last words, and what is said when it cannot work.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test says so when it fails")]

mod supervised;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use claudebox::bytes::Bytes;
use claudebox::log::event::{Event, ExecLogStatus};
use claudebox::plan::{Arg, Demand, ErrnoFilter, ExecLog, FdSource, Plan, Prepare};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use supervised::{
    PATIENCE, Room, User, eventually, nesting_is_forbidden, output, plan, processes, program, users,
};

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn sh(script: &str) -> Plan {
    plan(&["/bin/sh", "-c", script])
}

/// Root cannot map its own uid in a namespace inside a namespace (`user_namespaces(7)`).
fn unprivileged() -> User {
    if rustix::process::geteuid().is_root() { User::Nobody } else { User::Current }
}

fn literals(words: &[&str]) -> Vec<Arg> {
    words.iter().map(|word| Arg::Literal(Bytes::from(*word))).collect()
}

#[test]
fn the_exit_code_is_the_agents() {
    for user in users() {
        for (script, expected) in [("exit 0", 0), ("exit 7", 7), ("exit 255", 255)] {
            assert_eq!(code(&Room::new(&sh(script), *user).output()), expected, "{script}");
        }
        for signal in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGSEGV] {
            let script = format!("kill -{} $$", signal as i32);
            assert_eq!(code(&Room::new(&sh(&script), *user).output()), 128 + signal as i32);
        }
    }
}

#[test]
fn an_agent_that_is_not_there_or_no_program_is_named() {
    let missing = output(&plan(&["/usr/bin/no-such-agent"]));
    assert_eq!(code(&missing), 127);
    assert!(stderr(&missing).contains("/usr/bin/no-such-agent"), "{}", stderr(&missing));
    let no_program = output(&plan(&["/usr/bin"]));
    assert_eq!(code(&no_program), 126);
    assert!(stderr(&no_program).contains("Permission denied"), "{}", stderr(&no_program));
}

#[test]
fn the_agent_starts_with_what_the_plan_says_and_nothing_else() {
    let script = "env | sort; pwd; ls /proc/self/fd; cat /proc/1/environ 2>/dev/null | wc -c; \
                  grep -E '^(Cap|NoNewPrivs|SigBlk|SigIgn)' /proc/self/status; echo err >&2";
    let mut asked = sh(script);
    asked.inner.env = vec![("PATH".into(), "/usr/bin".into()), ("A".into(), Bytes(vec![0xff]))];
    let room = Room::new(&asked, User::Current);
    let mut command = room.command("users");
    command.env("SECRET", "value").stdin(Stdio::null());
    let output = command.output().unwrap();
    let none = "0000000000000000";
    // Signals 32 and 33 are the C library's own, and it lets nobody change them.
    let said = String::from_utf8_lossy(&output.stdout)
        .replace("SigIgn:\t0000000180000000", &format!("SigIgn:\t{none}"));
    let expected = format!(
        "A=\u{fffd}\nPATH=/usr/bin\nPWD=/tmp\n/tmp\n0\n1\n2\n3\n0\nSigBlk:\t{none}\n\
         SigIgn:\t{none}\nCapInh:\t{none}\nCapPrm:\t{none}\nCapEff:\t{none}\nCapBnd:\t{none}\n\
         CapAmb:\t{none}\nNoNewPrivs:\t1\n"
    );
    // Descriptor 3 is the directory that ls reads.
    assert_eq!(said, expected);
    assert_eq!(stderr(&output), "err\n");
}

/// An inherited descriptor would lead out of the sandbox.
#[test]
fn no_descriptor_of_the_caller_is_open_inside() {
    let room = Room::new(&sh("ls /proc/self/fd | tr '\\n' ' '"), User::Current);
    let script = "exec 7</ 8</etc/passwd; exec \"$@\"";
    let inner = room.command("users");
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(inner.get_program()).args(inner.get_args());
    assert_eq!(stdout(&command.stdin(Stdio::null()).output().unwrap()), "0 1 2 3 ");
}

/// `request` as perl's ioctl, by the 64-bit call: the upper half is set, which a comparison of all
/// 64 bits would let pass.
#[test]
fn nothing_can_be_typed_into_a_terminal() {
    for request in [0x5412_u64, 0x541c, 0xffff_ffff_0000_5412] {
        let script = format!(
            "my $x = 'x'; my $r = syscall({}, 0, {request}, $x); \
             print $r == 0 ? 'typed' : $!{{EPERM}} ? 'refused' : \"other $!\"",
            libc::SYS_ioctl
        );
        let output = output(&plan(&["/usr/bin/perl", "-MErrno", "-e", &script]));
        assert_eq!(stdout(&output), "refused", "{request:#x}: {}", stderr(&output));
    }
}

#[test]
fn landlock_refuses_what_the_plan_does_not_name() {
    let script = "cat /usr/lib/os-release >/dev/null 2>&1 && echo readable; \
                  cp /usr/lib/os-release /tmp/x 2>/dev/null && echo copied";
    let mut asked = sh(script);
    asked.inner.landlock.read =
        ["/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"]
            .map(Bytes::from)
            .to_vec();
    let room = Room::new(&asked, User::Current);
    assert_eq!(stdout(&room.output()), "");
    let confined = room.events().into_iter().find_map(|event| match event {
        Event::Confined(confined) => Some(confined),
        _ => None,
    });
    // Scopes are ABI 6's (Linux 6.12): a kernel before them rules files, and says that this is not all.
    let landlock = confined.unwrap().landlock;
    assert_ne!(landlock, "not-enforced");

    // Who requires it gets all of it, or nothing.
    asked.inner.landlock.demand = Demand::Required;
    let output_of_all = output(&asked);
    assert_eq!(code(&output_of_all) != 125, landlock == "fully", "{}", stderr(&output_of_all));
    assert_eq!(stdout(&output_of_all), "");

    asked.inner.landlock.demand = Demand::Off;
    assert_eq!(stdout(&output(&asked)), "readable\ncopied\n");
}

/// Landlock forbids every mount while it rules files, its scopes alone do not; the errno filter
/// forbids them, too.
#[test]
fn without_file_rules_and_with_the_calls_a_nested_sandbox_can_mount() {
    let script = "bwrap --unshare-user --ro-bind / / --tmpfs /tmp true && echo nested";
    let mut asked = sh(script);
    let nested = |plan: &Plan| stdout(&Room::new(plan, unprivileged()).output());
    assert_eq!(nested(&asked), "");
    asked.inner.landlock.files = false;
    assert_eq!(nested(&asked), "");
    asked.inner.landlock.files = true;
    asked.inner.errno_filter = ErrnoFilter::Nesting;
    assert_eq!(nested(&asked), "");
    asked.inner.landlock.files = false;
    let expected = if nesting_is_forbidden() { "" } else { "nested\n" };
    assert_eq!(nested(&asked), expected);
}

#[test]
fn the_log_begins_and_ends_in_order() {
    for log in [ExecLog::Off, ExecLog::Required] {
        let mut asked = sh("true; exit 3");
        (asked.exec_log, asked.inner.exec_log) = (log, log);
        let room = Room::new(&asked, User::Current);
        assert_eq!(code(&room.output()), 3);
        let events = room.events();
        let (Event::Start(start), Event::Confined(confined)) = (&events[0], &events[1]) else {
            panic!("{events:?}")
        };
        assert_eq!((start.session.as_str(), start.plan.len()), ("example", 64));
        let observed = matches!(confined.exec_log, ExecLogStatus::On { .. });
        assert_eq!(observed, log == ExecLog::Required);
        let Some(Event::End(end)) = events.last() else { panic!("{events:?}") };
        assert_eq!((end.code, end.reason.as_str()), (3, "agent-exited"));
        assert_eq!(end.execs > 0, observed, "{end:?}");
    }
}

#[test]
fn the_first_line_of_the_log_holds_no_environment_value() {
    let mut asked = sh("true");
    asked.inner.env.push(("TOKEN".into(), "hunter2".into()));
    let room = Room::new(&asked, User::Current);
    assert_eq!(code(&room.output()), 0);
    assert!(!fs::read_to_string(room.path().join("events")).unwrap().contains("hunter2"));
}

#[test]
fn no_value_of_the_environment_stands_in_an_argv() {
    let mut asked = sh("sleep 100");
    let value = format!("hunter2-{}", std::process::id());
    asked.inner.env.push(("TOKEN".into(), Bytes::from(value.as_str())));
    let room = Room::new(&asked, User::Current);
    let mut supervisor = room.spawn();
    let session = i32::try_from(supervisor.id()).unwrap();
    eventually("the agent runs", || {
        processes().iter().any(|one| one.session == session && one.cmdline == "sleep 100 ")
    });
    let told: Vec<_> = processes().into_iter().filter(|one| one.cmdline.contains(&value)).collect();
    assert_eq!(told, []);
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
}

#[test]
fn a_request_to_end_reaches_the_agent_and_is_enforced_in_the_end() {
    let script = "trap 'echo asked; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    assert_eq!(terminated(script, Signal::SIGTERM), (Some(9), "ready\nasked\n".into()));
    let deaf = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let began = Instant::now();
    assert_eq!(terminated(deaf, Signal::SIGTERM), (Some(143), "ready\n".into()));
    assert!(began.elapsed().as_secs() >= 5);
    let interrupted = "trap 'echo int; exit 4' INT; echo ready; while :; do sleep 0.05; done";
    assert_eq!(terminated(interrupted, Signal::SIGINT), (Some(4), "ready\nint\n".into()));
}

fn terminated(script: &str, signal: Signal) -> (Option<i32>, String) {
    let room = Room::new(&sh(script), User::Current);
    let mut supervisor = room.spawn();
    let mut lines = BufReader::new(supervisor.stdout.take().unwrap());
    let mut said = String::new();
    lines.read_line(&mut said).unwrap();
    kill(Pid::from_raw(i32::try_from(supervisor.id()).unwrap()), signal).unwrap();
    while lines.read_line(&mut said).unwrap() > 0 {}
    (supervisor.wait().unwrap().code(), said)
}

#[test]
fn a_start_that_fails_says_why() {
    let mut missing = sh("true");
    missing.args.extend(literals(&["--ro-bind", "/no/such/path", "/x"]));
    let mut no_cwd = sh("true");
    no_cwd.inner.cwd = "/no/such/directory".into();
    let mut no_bwrap = sh("true");
    no_bwrap.bwrap = "/no/such/bwrap".into();
    let mut version = sh("true");
    version.inner.version += 1;
    let cases = [
        (missing, "/no/such/path", "a path that the profile"),
        (no_cwd, "cannot enter /no/such/directory inside", ""),
        (no_bwrap, "cannot execute /no/such/bwrap", "install bubblewrap"),
        (version, "another version", ""),
    ];
    for (plan, words, hint) in cases {
        let room = Room::new(&plan, User::Current);
        let output = room.output();
        let said = stderr(&output);
        assert_eq!(code(&output), 125, "{said}");
        assert!(said.contains(words) && said.contains(hint), "{said}");
        let Some(Event::End(end)) = room.events().pop() else { panic!("no end in the log") };
        assert_eq!((end.code, end.reason.as_str()), (125, "not-started"));
    }
}

#[test]
fn what_the_project_controls_is_opened_without_following_links() {
    let project = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc", project.path().join("data")).unwrap();
    let path = || FdSource::Path { beneath: project.path().into(), path: "data".into() };
    let mut asked = sh("cat /x/file");
    asked.args.extend(literals(&["--ro-bind-fd"]));
    asked.args.push(Arg::Fd(path()));
    asked.args.extend(literals(&["/x"]));
    let refused = output(&asked);
    assert_eq!(code(&refused), 125);
    assert!(stderr(&refused).contains("symbolic link"), "{}", stderr(&refused));

    fs::remove_file(project.path().join("data")).unwrap();
    fs::create_dir(project.path().join("data")).unwrap();
    fs::write(project.path().join("data/file"), "inside").unwrap();
    assert_eq!(stdout(&output(&asked)), "inside");
}

#[test]
fn the_host_is_prepared_and_data_is_handed_over_by_descriptor() {
    let state = tempfile::tempdir().unwrap();
    let root = Bytes::from(state.path());
    let mut asked = sh("cat /home/a/rc /data");
    asked.prepare.push(Prepare::File {
        root: root.clone(),
        path: "home/a/rc".into(),
        content: "rc ".into(),
    });
    asked.args.extend(literals(&["--bind"]));
    asked.args.push(Arg::Literal(state.path().join("home").into()));
    asked.args.extend(literals(&["/home", "--ro-bind-data"]));
    asked.args.push(Arg::Fd(FdSource::Data("data".into())));
    asked.args.extend(literals(&["/data"]));
    assert_eq!(stdout(&output(&asked)), "rc data");
}

#[test]
fn a_log_that_cannot_be_written_at_the_start_ends_the_session() {
    let room = Room::new(&sh("echo ran"), User::Current);
    std::os::unix::fs::symlink("/dev/full", room.path().join("events")).unwrap();
    let output = room.output();
    assert_eq!((code(&output), stdout(&output).as_str()), (125, ""));
    assert!(stderr(&output).contains("No space left"), "{}", stderr(&output));
}

/// The log is a pipe here, whose reader goes away while the agent works.
#[test]
fn a_log_that_breaks_off_ends_the_session_only_where_it_is_required() {
    let working = "i=0; while [ $i -lt 40 ]; do sleep 0.05; i=$((i+1)); done; exit 6";
    for (log, expected) in [(ExecLog::Required, 125), (ExecLog::BestEffort, 6)] {
        let mut asked = sh(working);
        (asked.exec_log, asked.inner.exec_log) = (log, log);
        let room = Room::new(&asked, User::Current);
        mkfifo(&room.path().join("events"), Mode::from_bits_truncate(0o600)).unwrap();
        let supervisor = room.spawn();
        let mut lines = BufReader::new(File::open(room.path().join("events")).unwrap()).lines();
        let confined = lines.by_ref().any(|line| line.unwrap().contains("\"confined\""));
        assert!(confined);
        drop(lines);
        let output = supervisor.wait_with_output().unwrap();
        assert_eq!(code(&output), expected, "{log:?}: {}", stderr(&output));
        if log == ExecLog::Required {
            assert!(
                stderr(&output).contains("cannot write the log: Broken pipe"),
                "{}",
                stderr(&output)
            );
        }
    }
}

/// A session inside a session: the kernel allows one listener.
fn nested(log: ExecLog) -> Plan {
    let mut inner = sh("echo nested; exit 5");
    (inner.exec_log, inner.inner.exec_log) = (log, log);
    inner.inner.landlock.demand = Demand::Off;
    let inside = claudebox::sandbox::inner::PROGRAM;
    for arg in &mut inner.args {
        if *arg == Arg::Literal(supervised::claudebox().into()) {
            *arg = Arg::Literal(inside.into());
        }
    }
    let mut outer = plan(&["/run/supervise", "/run/plan", "/tmp", "/tmp/events", "users"]);
    outer.inner.landlock.files = false;
    outer.inner.errno_filter = ErrnoFilter::Nesting;
    outer.args.extend(literals(&["--ro-bind", program().to_str().unwrap(), "/run/supervise"]));
    outer.args.extend(literals(&["--ro-bind-data"]));
    outer.args.push(Arg::Fd(FdSource::Data(serde_json::to_vec(&inner).unwrap().into())));
    outer.args.extend(literals(&["/run/plan"]));
    outer
}

#[test]
fn a_second_listener_is_refused_or_done_without_as_the_plan_says() {
    let refused = Room::new(&nested(ExecLog::Required), unprivileged()).output();
    let said = stderr(&refused);
    assert_eq!((code(&refused), stdout(&refused).as_str()), (125, ""), "{said}");
    if nesting_is_forbidden() {
        assert!(said.contains("bwrap could not set up the sandbox"), "{said}");
        return;
    }
    assert!(said.contains("another seccomp listener is active"), "{said}");
    assert!(said.contains("--no-exec-log") && said.contains("best-effort"), "{said}");

    let without = Room::new(&nested(ExecLog::BestEffort), unprivileged()).output();
    assert_eq!((code(&without), stdout(&without).as_str()), (5, "nested\n"));
}

#[test]
fn the_control_socket_is_the_owners_alone() {
    let room = Room::new(&sh("sleep 100"), User::Current);
    let mut supervisor = room.spawn();
    let socket = room.path().join("control.sock");
    eventually("the socket is there", || {
        fs::metadata(&socket).is_ok_and(|it| it.permissions().mode() & 0o777 == 0o600)
    });
    if rustix::process::geteuid().is_root() {
        // Who may open it because of the directory's mode is still another user.
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(ask_for_a_shell_as_nobody(room.path()), Some(129));
    }
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
}

/// A connection that is closed without an answer reads as a hang-up.
fn ask_for_a_shell_as_nobody(runtime: &Path) -> Option<i32> {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new("script");
    let line = format!("{} shell {}", program().display(), runtime.display());
    command.args(["-qec", &line, "/dev/null"]).uid(65534).gid(65534);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}
