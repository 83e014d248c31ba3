//! I: whoever runs inside has no privileges and nothing of the host's but what was meant: no
//! capability, no namespace, no keyring, no descriptor, no word of the environment; and pid 1,
//! which holds the sandbox, is out of reach.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use claudebox::plan::ErrnoFilter;
use nix::sys::signal::Signal;

use crate::common::place::Place;
use crate::common::run::Started;
use crate::common::user::{User, users};
use crate::common::{must_have, must_have_sandbox};
use crate::hostile::{Hostile, Outcomes, expected, failed, outcomes};
use crate::outside::{Marker, descendants, tree};
use crate::script;
use crate::supervised::{self, Room};

/// A value of the environment that must not be found.
const SECRET: &str = "hunter2-of-the-environment";

/// Attacks on pid 1 of `tests/programs/init.c`.
#[rustfmt::skip]
const ON_INIT: &[(&str, &str)] = &[
    ("trace_attach", "EPERM"), ("trace_seize", "EPERM"), ("memory_read", "EPERM"),
    ("memory_write", "EPERM"), ("memory_file", "EPERM"), ("memory_map", "EPERM"),
    ("memory_advise", "EPERM"), ("environment", "EPERM"), ("auxiliary_vector", "EPERM"),
    ("system_call", "EPERM"), ("input_output", "EPERM"), ("descriptor_shown", "EPERM"),
    ("descriptor_opened", "EPERM"), ("descriptor_taken", "EPERM"), ("directory_shown", "EPERM"),
    ("directory_entered", "EPERM"), ("root_entered", "EPERM"), ("executable_shown", "EPERM"),
    ("executable_opened", "EPERM"), ("namespace_shown", "EPERM"),
    ("namespace_opened", "EPERM"), ("limits_set", "EPERM"), ("starved", "EPERM"),
    // Sent, and not heard.
    ("kill_it", "EALREADY"), ("stop_it", "EALREADY"), ("any_signal", "EALREADY"),
    ("kill_thread", "EALREADY"), ("kill_by_pidfd", "EALREADY"), ("kill_by_owner", "EALREADY"),
];

#[test]
fn promise_i_pid_1_cannot_be_traced_read_or_killed() {
    must_have_sandbox();
    let init = Hostile::new("init", &[]);
    for user in users() {
        let place = Place::new(user);
        init.put_into(&place);
        let run = script(&place, &[], "./init 1; ./init victim | sed s/^/victim-/; exit 7").run();
        // The session is still there to tell how its agent ended.
        let outcomes = outcomes(&run.code(7).stdout);
        let (victim, on_init): (Outcomes, Outcomes) =
            outcomes.into_iter().partition(|(name, _)| name.starts_with("victim-"));
        let (mut on_pid_1, mut on_victim) = (expected(ON_INIT), Outcomes::new());
        if user.is_root() {
            // Nobody writes in root's /proc; debuggers have ptrace(2).
            on_pid_1.insert("memory_file".into(), "EROFS".into());
            on_victim.insert("victim-memory_file".into(), "EROFS".into());
        }
        assert_eq!(on_init, on_pid_1, "{user:?}");
        // Control: what another process of the same user is not safe from.
        assert_eq!((victim.len(), failed(&victim)), (ON_INIT.len(), on_victim), "{user:?}");
    }
}

/// A run inside that sleeps, and its processes: pid 1 and the one that sleeps.
struct Asleep {
    started: Started,
    marker: Marker,
    init: i32,
    agent: i32,
}

impl Asleep {
    fn new(place: &Place, options: &[&str], environment: &[(&str, &str)]) -> Self {
        let marker = Marker::new();
        let mut run = script(place, options, &format!("exec {}", marker.command()));
        for (name, value) in environment {
            run = run.env(name, value);
        }
        Self::started(run.start(), marker)
    }

    fn started(started: Started, marker: Marker) -> Self {
        let agent = marker.wait_until_it_runs()[0];
        let all = descendants(started.pid());
        let is_init = |pid: &&i32| status(**pid, "NSpid").split_whitespace().last() == Some("1");
        let init = *all.iter().find(is_init).unwrap();
        Self { started, marker, init, agent }
    }

    fn end(self) {
        self.started.signal(Signal::SIGKILL);
        drop(self.started);
        self.marker.wait_until_it_is_gone();
    }
}

/// A line of `/proc/PID/status`.
fn status(pid: i32, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
    line.unwrap_or_default().to_owned()
}

/// Which of these namespaces a process shares with this one.
fn shared(pid: i32) -> Vec<&'static str> {
    let of = |pid: &str, name: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
    let all = ["user", "pid", "ipc", "uts", "cgroup", "mnt", "net"];
    let same = |name: &&str| of("self", name) == of(&pid.to_string(), name);
    all.into_iter().filter(same).collect()
}

/// The sets of capabilities that hold anything.
fn capabilities(pid: i32) -> Vec<&'static str> {
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    sets.into_iter().filter(|set| status(pid, set) != "0000000000000000").collect()
}

#[test]
fn promise_i_no_capability_no_privilege_and_namespaces_of_its_own() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let inside = Asleep::new(&place, &["--network", "none"], &[]);
        for pid in [inside.init, inside.agent] {
            assert_eq!(capabilities(pid), [""; 0], "{user:?}");
            assert_eq!(shared(pid), [""; 0], "{user:?}");
            assert_eq!((&*status(pid, "NoNewPrivs"), &*status(pid, "Seccomp")), ("1", "2"));
        }
        inside.end();

        // Control: the same look at a process outside, and for root at a bwrap by itself.
        let marker = Marker::new();
        let outside = place.command("sleep").args([marker.command().split_off(6)]).start();
        let agent = marker.wait_until_it_runs()[0];
        assert!(capabilities(agent).contains(&"CapBnd"));
        assert_eq!((shared(agent).len(), &*status(agent, "Seccomp")), (7, "0"));
        drop(outside);
        if user.is_root() {
            let marker = Marker::new();
            let sleep = format!("exec {}", marker.command());
            let bwrap = ["--unshare-all", "--dev-bind", "/", "/", "sh", "-c", &sleep];
            let bare = place.command("bwrap").args(bwrap).start();
            let agent = marker.wait_until_it_runs()[0];
            assert!(capabilities(agent).contains(&"CapEff"));
            drop(bare);
        }
    }
}

#[test]
fn promise_i_the_users_keyring_stays_outside() {
    must_have_sandbox();
    let keys = Hostile::new("keys", &[]);
    for user in users() {
        let place = Place::new(user);
        keys.put_into(&place);
        let claudebox = place.executable().to_str().unwrap().to_owned();
        let run = |inside: &[&str]| {
            let words = ["plant", &claudebox, "run", "--no-monitor", "--"];
            let words = words.iter().chain(inside);
            place.command(keys.path()).args(words).run().code(0).stdout
        };
        assert_eq!(run(&["./keys", "find"]), "ENOSYS\n", "{user:?}");
        assert_eq!(run(&["sh", "-c", "cat /proc/keys 2>/dev/null; true"]), "", "{user:?}");
        // Controls: it is found, and listed, where nothing stands between.
        let find = format!("{} find; cat /proc/keys", keys.path().display());
        let bare = ["plant", "bwrap", "--unshare-all", "--dev-bind", "/", "/", "sh", "-c", &find];
        let found = place.command(keys.path()).args(bare).run().code(0).stdout;
        assert!(
            found.starts_with("planted-in-the-keyring\n") && found.contains("claudebox-test"),
            "{found}"
        );
    }
    // The second layer: with all calls allowed, the keyring is another one.
    for user in supervised::users() {
        let room = Room::new(&keys.plan(&["find"], ErrnoFilter::Off), *user);
        let supervisor = room.command("users");
        let mut planted = Command::new(keys.path());
        planted.arg("plant").arg(supervisor.get_program()).args(supervisor.get_args());
        if let supervised::User::Nobody = user {
            std::os::unix::process::CommandExt::uid(&mut planted, 65534);
        }
        let output = planted.current_dir("/").stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "ENOKEY\n", "{user:?} {said}");
    }
}

/// The descriptors of a process.
fn descriptors(pid: i32) -> BTreeSet<OsString> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn promise_i_no_descriptor_is_inherited_but_the_three() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let leak = "exec 7</ 8<\"$HOME\" 19>\"$HOME/leaked\"; exec \"$@\"";
        let leaking = |command: &[&str]| {
            let words = ["-c", leak, "bash"];
            let words = words.iter().chain(command);
            place.command("bash").args(words).start()
        };
        let marker = Marker::new();
        let (claudebox, sleep) = (place.executable().to_str().unwrap(), marker.command());
        let sleep = format!("exec {sleep}");
        let started = leaking(&[claudebox, "run", "--no-monitor", "--", "sh", "-c", &sleep]);
        let inside = Asleep::started(started, marker);
        let three: BTreeSet<OsString> = ["0", "1", "2"].map(OsString::from).into();
        assert_eq!(descriptors(inside.agent), three, "{user:?}");
        descriptors_of_pid_1(inside.init);
        inside.end();

        // Control: bwrap hands on what it got.
        let marker = Marker::new();
        let sleep = format!("exec {}", marker.command());
        let started = leaking(&["bwrap", "--dev-bind", "/", "/", "sh", "-c", &sleep]);
        let found = descriptors(marker.wait_until_it_runs()[0]);
        assert!(["7", "8", "19"].iter().all(|fd| found.contains(&OsString::from(fd))), "{found:?}");
        drop(started);
    }
}

/// The supervisor's two sockets, its pipe, that on which bwrap said which namespaces are ours, the
/// signals of its children, and three standard streams.
/// Who is not root cannot look: it is not dumpable, from outside as from inside.
fn descriptors_of_pid_1(init: i32) {
    let entries = match fs::read_dir(format!("/proc/{init}/fd")) {
        Ok(entries) => entries,
        Err(refused) => return refused_to_a_user(&refused),
    };
    let kinds = entries.map(|entry| {
        let target = fs::read_link(entry.unwrap().path()).unwrap();
        target.to_str().unwrap().split(['[', ':']).next().unwrap().to_owned()
    });
    let mut kinds: Vec<String> = kinds.collect();
    kinds.sort();
    assert_eq!(kinds, ["anon_inode", "pipe", "pipe", "pipe", "pipe", "pipe", "socket", "socket"]);
}

fn refused_to_a_user(refused: &std::io::Error) {
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    assert!(!User::Caller.is_root());
}

#[test]
fn promise_i_a_directory_is_no_standard_stream() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.home_file("document", "of the home");
        let claudebox = place.executable().to_str().unwrap();
        let read = "cat /proc/self/fd/0/document; cat /proc/self/fd/1/document >&2";
        let from_home = |redirection: &str, command: &[&str]| {
            let script = format!("exec \"$@\" {redirection}");
            let words = ["-c", &script, "bash"];
            place.command("bash").args(words.iter().chain(command)).run()
        };
        for redirection in ["<\"$HOME\"", "1<\"$HOME\"", "2<\"$HOME\""] {
            let run = ["run", "--no-monitor", "--", "sh", "-c", read];
            let run: Vec<&str> = [claudebox].into_iter().chain(run).collect();
            let run = from_home(redirection, &run);
            assert_eq!(run.code, 125, "{run:?}");
        }
        // Control: bwrap hands the directory on, and nothing hides what is below.
        let bare = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--tmpfs", "/var", "--proc"];
        let bare: Vec<&str> = bare.into_iter().chain(["/proc", "sh", "-c", read]).collect();
        from_home("<\"$HOME\"", &bare).says("of the home");
    }
}

#[test]
fn promise_i_environment_and_argv_of_what_holds_the_sandbox_are_empty_of_it() {
    must_have_sandbox();
    let holds = |pid: i32, file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
    };
    for user in users() {
        let option = ["--env", "SOME_TOKEN"];
        for (options, reaches_the_agent) in [(&[][..], false), (&option[..], true)] {
            let place = Place::new(user);
            let inside = Asleep::new(&place, options, &[("SOME_TOKEN", SECRET)]);
            // bwrap itself sets this one, and pid 1 shows it to nobody inside.
            // (Nor outside to anybody but root.)
            match fs::read(format!("/proc/{}/environ", inside.init)) {
                Ok(environ) => {
                    let project = place.project();
                    let alone = [b"PWD=", project.as_os_str().as_encoded_bytes(), b"\0"].concat();
                    assert_eq!(
                        environ.escape_ascii().to_string(),
                        alone.escape_ascii().to_string()
                    );
                }
                Err(refused) => refused_to_a_user(&refused),
            }
            // The gateway process is a copy of the supervisor's, and as far outside.
            let is_copy = |pid: &i32| {
                let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).ok();
                link("exe").as_deref() == Some(place.executable())
                    && link("ns/pid") == fs::read_link("/proc/self/ns/pid").ok()
            };
            let mut below = descendants(inside.started.pid());
            below.retain(|pid| !is_copy(pid));
            let environments: Vec<i32> =
                below.iter().copied().filter(|pid| holds(*pid, "environ")).collect();
            // Control: whoever is meant to have it is found.
            let meant = if reaches_the_agent { vec![inside.agent] } else { vec![] };
            assert_eq!(environments, meant, "{user:?}");
            let everyone = below.into_iter().chain([inside.started.pid()]);
            let told: Vec<i32> = everyone.filter(|pid| holds(*pid, "cmdline")).collect();
            assert_eq!(told, [0; 0], "{user:?}");
            for directory in [place.state(), place.root().join("run")] {
                for (path, content) in tree(&directory) {
                    assert!(!content.contains(SECRET), "{}", path.display());
                }
            }
            inside.end();
        }
    }
}

/// What can be opened for writing, without effect on others: the caller's own pressure triggers,
/// registers that ask for a capability at each write, and the settings of the sandbox's own
/// namespaces, of which its user is the owner.
#[rustfmt::skip]
const HARMLESS: [&str; 20] = [
    "mtrr", "pressure/cpu", "pressure/io", "pressure/memory",
    "sys/fs/mqueue/msg_default", "sys/fs/mqueue/msg_max", "sys/fs/mqueue/msgsize_default",
    "sys/fs/mqueue/msgsize_max", "sys/fs/mqueue/queues_max", "sys/kernel/auto_msgmni",
    "sys/kernel/msgmax", "sys/kernel/msgmnb", "sys/kernel/msgmni", "sys/kernel/ns_last_pid",
    "sys/kernel/pid_max", "sys/kernel/sem", "sys/kernel/shm_rmid_forced", "sys/kernel/shmall",
    "sys/kernel/shmmax", "sys/kernel/shmmni",
];

/// What tells of the host's memory, tasks and keys.
const TELLING: [&str; 5] =
    ["r /proc/kcore", "r /proc/kmsg", "r /proc/keys", "r /proc/sched_debug", "r /proc/timer_list"];

#[test]
fn promise_i_proc_tells_nothing_of_the_host_and_nothing_there_can_be_set() {
    must_have_sandbox();
    let proc = Hostile::new("proc", &[]);
    for user in users() {
        let place = Place::new(user);
        proc.put_into(&place);
        let run = script(&place, &[], "./proc; ls /sys").run();
        let found: BTreeSet<&str> = run.stdout.lines().collect();
        let wrong = found.iter().filter(|line| {
            let written = line.strip_prefix("w /proc/");
            TELLING.contains(line) || written.is_some_and(|path| !HARMLESS.contains(&path))
        });
        let wrong: Vec<_> = wrong.collect();
        assert_eq!(wrong, Vec::<&&str>::new(), "{user:?}");
        assert!(found.contains("r /proc/meminfo"), "{user:?} {}", run.stdout);
        assert!(!found.contains("kernel"), "{user:?}");

        let dev = script(&place, &[], "cd /dev; find . ! -type d ! -path './pts/*' | sort").run();
        let dev: Vec<&str> = dev.stdout.lines().collect();
        let known = [
            "core", "fd", "full", "null", "ptmx", "random", "stderr", "stdin", "stdout", "tty",
            "urandom", "zero",
        ];
        assert_eq!(dev, known.map(|name| format!("./{name}")), "{user:?}");
    }
    // Control: the same look on the host.
    let outside = Command::new(proc.path()).output().unwrap();
    let outside = String::from_utf8(outside.stdout).unwrap();
    assert!(outside.contains("r /proc/meminfo\n"), "{outside}");
    if users().iter().any(|user| user.is_root()) {
        assert!(outside.contains("r /proc/timer_list\n"), "{outside}");
        assert!(outside.contains("r /proc/kmsg\n"), "{outside}");
        assert!(outside.contains("w /proc/sys/kernel/core_pattern\n"), "{outside}");
    }
}

/// Makes files with the set-user-ID bit in every way that there is, each with something in it.
const WITH_THE_BIT: &str = "import ctypes, os
os.umask(0)
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, set_bit):
    try:
        with open(name, 'wb') as file: file.write(b'#!/bin/sh\\n')
        set_bit(name)
    except OSError as error: print(name, error.errno)
def call(*words):
    if libc.syscall(*words) != 0: raise OSError(ctypes.get_errno(), 'refused')
def by_descriptor(name):
    with open(name) as file: os.fchmod(file.fileno(), 0o4755)
def made_so(name, size=0):
    os.unlink(name)
    fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o4755)
    if size: os.ftruncate(fd, size)
    else: os.write(fd, b'#!/bin/sh\\n')
attempt('chmod', lambda name: os.chmod(name, 0o4755))
attempt('also-group', lambda name: os.chmod(name, 0o6755))
attempt('fchmod', by_descriptor)
attempt('fchmodat', lambda name: os.chmod(name, 0o4755, dir_fd=os.open('.', os.O_RDONLY)))
attempt('fchmodat2', lambda name: call(452, -100, name.encode(), 0o4755, 0))
attempt('upper-bits', lambda name: call(452, -100, name.encode(), ctypes.c_long(0x100000000 | 0o4755), 0))
attempt('open', made_so)
attempt('truncated', lambda name: made_so(name, 4096))
attempt('ordinary', lambda name: os.chmod(name, 0o2755))
";

#[test]
fn promise_i_no_file_is_left_that_runs_as_the_user() {
    must_have_sandbox();
    must_have(&["python3"]);
    for user in users() {
        let place = Place::new(user);
        place.project_file("bits.py", WITH_THE_BIT);
        let left = || {
            let find = ["-perm", "-4000", "-size", "+0", "-printf", "%f\n"];
            place.command("find").args(find).run().code(0).stdout
        };
        script(&place, &[], "python3 bits.py").run().code(0);
        assert_eq!(left(), "");
        let mode = fs::metadata(place.project().join("ordinary")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o2755);
        // Control: the same without a filter.
        let bare = ["--unshare-all", "--dev-bind", "/", "/", "python3", "bits.py"];
        place.command("bwrap").args(bare).run().code(0);
        let left = left();
        for name in ["chmod", "also-group", "fchmod", "fchmodat"] {
            assert!(left.lines().any(|line| line == name), "{name}: {left}");
        }
    }
}
