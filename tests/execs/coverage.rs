//! Every way to execute a program is in the log, with its argv, its outcome and its end.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use claudebox::log::event::{Exec, Exit, Outcome};
use claudebox::sys::pidfd::ExitSource;

use crate::harness::{self, Log, Setup, compile, watch};

fn leaf() -> std::path::PathBuf {
    compile("leaf.c", "leaf", &[])
}

/// What waitpid gave: a status, or minus a signal.
fn waited(log: &Log, name: &str) -> i32 {
    let stdout = log.stdout();
    let line = stdout.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{name} is not in {stdout}")).parse().unwrap()
}

fn told(exit: &Exit) -> i32 {
    exit.status.map_or_else(|| -i32::from(exit.signal.unwrap()), i32::from)
}

fn spawns(setup: &Setup) -> Log {
    let work = harness::work();
    let spawns = compile("spawns.c", "spawns", &[]);
    watch(Command::new(spawns).arg(leaf()).current_dir(work.path()), setup)
}

const VERIFIED: &[&str] = &[
    "fork",
    "vfork",
    "posix_spawn",
    "system",
    "execveat",
    "empty-path",
    "proc-fd",
    "thread",
    "after-misses",
    "signal",
    "env-chain",
    "at-edge",
    "clone-vfork",
    "after-check",
    "self",
];

#[test]
fn every_way_to_execute_is_logged_and_confirmed() {
    let log = spawns(&Setup::default());
    for name in VERIFIED {
        let exec = *log.with(name).last().unwrap_or_else(|| panic!("{name} is not in the log"));
        assert_eq!(log.outcome(exec), Outcome::Verified, "{exec:?} {:?}", log.ran(exec.id));
        let exit = log.exit(exec.id).unwrap_or_else(|| panic!("{name} has no end"));
        assert_eq!(told(exit), waited(&log, name), "{name}");
        assert_eq!(exit.src, "pidfd");
    }
    for exec in log.execs() {
        log.ran(exec.id);
    }
    assert!(!log.failed);
}

#[test]
fn argv_is_exact_and_where_it_is_cut_it_says_so() {
    let log = spawns(&Setup::default());
    let fork = log.only("fork");
    assert_eq!(fork.path.as_path(), leaf());
    assert_eq!(fork.argv, [b"leaf" as &[u8], b"10", b"fork"].map(Into::into));
    assert_eq!((fork.argc, fork.unread.as_deref()), (None, None));
    let text = "\x1b[31m\n\u{202e}".as_bytes();
    let odd = [b"\xff", text].concat();
    assert!(log.execs().any(|exec| exec.argv.last().is_some_and(|arg| arg.0 == odd)));
    let many = log.with("many").into_iter().next().unwrap();
    assert_eq!((many.argv.len(), many.argc), (512, Some(20_002)));
    assert_eq!(log.outcome(many), Outcome::Verified);
    let big =
        log.execs().find(|exec| exec.argv.iter().any(|arg| arg.0.starts_with(b"bbb"))).unwrap();
    assert_eq!((big.argv[2].0.len(), big.argc), (4096, Some(4)));
    assert_eq!(log.outcome(big), Outcome::Verified);
    // What is behind the huge argument is out of reach.
    assert_eq!(log.outcome(log.only("huge")), Outcome::Unverified);
    let none = log.execs().find(|exec| exec.argv.is_empty() && exec.unread.is_none()).unwrap();
    assert_eq!(log.outcome(none), Outcome::Verified, "{none:?} {:?}", log.ran(none.id));
}

#[test]
fn failures_are_certain_and_named() {
    let log = spawns(&Setup::default());
    let cases = [("missing", "ENOENT"), ("directory", "EACCES"), ("no-x", "EACCES")];
    for (name, errno) in cases {
        let exec = log.only(name);
        let ran = log.ran(exec.id);
        assert_eq!((ran.outcome, ran.errno.as_deref()), (Outcome::Failed, Some(errno)), "{name}");
        assert!(log.exit(exec.id).is_none(), "{name} ran nothing that could end");
    }
    let only = log.ran(log.only("only-missing").id);
    assert!(matches!(only.outcome, Outcome::Failed | Outcome::ProbablyFailed), "{only:?}");
    assert_eq!(only.errno.as_deref(), Some("ENOENT"));
    let unread: Vec<&Exec> = log.execs().filter(|exec| exec.unread.is_some()).collect();
    assert_eq!(unread.len(), 4, "{unread:#?}");
    for exec in unread {
        assert_eq!(exec.unread.as_deref(), Some("EFAULT"));
        assert_eq!(log.outcome(exec), Outcome::Failed, "{exec:?}");
    }
}

#[test]
fn what_its_own_code_could_have_forged_is_not_called_verified() {
    let log = spawns(&Setup::default());
    assert_eq!(log.outcome(log.only("memfd")), Outcome::OwnLoader);
    // The file itself lies in the writable directory.
    let work = harness::work();
    let copy = work.path().join("copy");
    std::fs::copy(leaf(), &copy).unwrap();
    let log = watch(Command::new(&copy).arg("3").current_dir(work.path()), &Setup::default());
    assert_eq!(log.outcome(log.only("3")), Outcome::OwnLoader);
    // It lies where nobody can write, and its loader does not.
    let loader = work.path().join("loader");
    std::fs::copy("/lib64/ld-linux-x86-64.so.2", &loader).unwrap();
    let flag = format!("-Wl,--dynamic-linker={}", loader.display());
    let own = compile("leaf.c", "leaf-own-loader", &[&flag]);
    let log = watch(Command::new(own).arg("3").current_dir(work.path()), &Setup::default());
    assert_eq!(log.outcome(log.only("3")), Outcome::OwnLoader);
}

#[test]
fn a_question_is_no_exec() {
    let log = spawns(&Setup::default());
    assert_eq!(log.outcome(log.only("check")), Outcome::Checked);
    assert!(log.exit(log.only("check").id).is_none());
}

#[test]
fn of_racing_threads_one_wins() {
    let log = spawns(&Setup::default());
    let raced = log.with("raced");
    assert!(raced.len() <= 8 && !raced.is_empty());
    let count = |outcome| raced.iter().filter(|exec| log.outcome(exec) == outcome).count();
    assert_eq!(count(Outcome::Verified), 1, "{raced:#?}");
    assert_eq!(count(Outcome::Superseded), raced.len() - 1);
    let won = raced.iter().find(|exec| log.outcome(exec) == Outcome::Verified).unwrap();
    assert_eq!(told(log.exit(won.id).unwrap()), 24);
}

#[test]
fn without_confirmation_calls_are_logged_all_the_same() {
    let log = spawns(&Setup { verify: false, ..Setup::default() });
    for name in VERIFIED {
        let exec = *log.with(name).last().unwrap();
        assert_eq!(log.outcome(exec), Outcome::Unverified, "{name}");
        assert_eq!(told(log.exit(exec.id).unwrap()), waited(&log, name), "{name}");
    }
    assert_eq!(log.ran(log.only("missing").id).errno.as_deref(), Some("ENOENT"));
}

#[test]
fn older_kernels_tell_how_a_process_says_it_ends() {
    let log = spawns(&Setup { exits: ExitSource::ExitGroup, ..Setup::default() });
    for name in VERIFIED.iter().filter(|name| **name != "signal") {
        let exec = *log.with(name).last().unwrap();
        assert_eq!(log.outcome(exec), Outcome::Verified, "{name}");
        let exit = log.exit(exec.id).unwrap();
        assert_eq!((exit.src.as_str(), told(exit)), ("exit-group", waited(&log, name)), "{name}");
    }
    let exit = log.exit(log.only("signal").id).unwrap();
    assert_eq!((exit.src.as_str(), exit.status, exit.signal), ("unknown", None, None));
}

#[test]
fn every_kind_of_program_is_confirmed() {
    let mut kinds = vec![
        ("static", vec!["-static"]),
        ("static-pie", vec!["-static-pie"]),
        ("no-pie", vec!["-no-pie"]),
    ];
    #[cfg(target_arch = "x86_64")]
    kinds.extend([("i386", vec!["-m32"]), ("i386-static", vec!["-m32", "-static"])]);
    let work = harness::work();
    for (name, flags) in kinds {
        let program = compile("leaf.c", &format!("leaf-{name}"), &flags);
        let script = format!("{} 5 one; {} 6 two; true", program.display(), program.display());
        let mut shell = Command::new("/bin/sh");
        let log = watch(shell.args(["-c", &script]).current_dir(work.path()), &Setup::default());
        for (argument, status) in [("one", 5), ("two", 6)] {
            let exec = log.only(argument);
            assert_eq!(log.outcome(exec), Outcome::Verified, "{name} {:?}", log.ran(exec.id));
            assert_eq!(log.exit(exec.id).unwrap().status, Some(status), "{name}");
        }
    }
}

/// The parent of most processes asks for them at once, which is what wakes the watcher.
#[test]
fn a_death_that_nobody_asks_for_is_noticed() {
    let program = "import subprocess, time\n\
        late = subprocess.Popen(['/bin/true', 'late'])\n\
        time.sleep(1)\n\
        late.wait()\n";
    // No module of /tmp, where it runs.
    let log = watch(Command::new("python3").args(["-I", "-c", program]), &Setup::default());
    let exit = log.exit(log.only("late").id).unwrap();
    assert_eq!(exit.status, Some(0));
    // Twice the time in which nothing else happened, at most.
    assert!(exit.dur_us < 500_000, "{exit:?}");
}

#[test]
fn a_program_without_a_c_library_is_logged_and_not_confirmed() {
    let bare = compile("bare.c", "bare", &["-nostdlib", "-static"]);
    let work = harness::work();
    let script = format!("{} one; true", bare.display());
    let mut shell = Command::new("/bin/sh");
    let log = watch(shell.args(["-c", &script]).current_dir(work.path()), &Setup::default());
    let exec = log.only("one");
    let outcome = log.outcome(exec);
    assert!(matches!(outcome, Outcome::Unverified | Outcome::Unknown), "{outcome:?}");
    assert_eq!(log.exit(exec.id).unwrap().status, Some(9));
}

/// With capabilities of its own user namespace a program could so take another's name.
#[test]
fn a_program_that_changes_what_is_said_of_it_is_not_confirmed() {
    let work = harness::work();
    let flags = ["-nostdlib", "-static", "-DSTART"];
    let plain = compile("bare.c", "bare-start", &flags);
    let changes = compile("bare.c", "bare-set-mm", &[&flags[..], &["-DSET_MM"]].concat());
    let script = format!("{} plain; {} changes; true", plain.display(), changes.display());
    let mut shell = Command::new("/bin/sh");
    let log = watch(shell.args(["-c", &script]).current_dir(work.path()), &Setup::default());
    assert_eq!(log.outcome(log.only("plain")), Outcome::Verified);
    assert_eq!(log.outcome(log.only("changes")), Outcome::Unverified);
}

#[test]
fn scripts_are_confirmed_behind_their_interpreters() {
    let work = harness::work();
    let write = |name: &str, text: &str| {
        let path = work.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    };
    write("plain", "#!/bin/sh\nexit 7\n");
    write("option", "#!/bin/sh -e  \nexit 7\n");
    write("env", "#!/usr/bin/env sh\nexit 7\n");
    let inner = write("inner", "#!/bin/sh -e\nexit 7\n");
    write("nested", &format!("#!{} x y\n", inner.display()));
    write("lost", "#!/nonexistent/interpreter\n");
    write("text", "exit 7\n");
    let script = "./plain a1; ./option '' a2; ./env a3; ./nested a4; ./lost a5; ./text a6; true";
    let mut shell = Command::new("/bin/bash");
    let log = watch(shell.args(["-c", script]).current_dir(work.path()), &Setup::default());
    for argument in ["a1", "a2", "a4"] {
        let exec = log.only(argument);
        let ran = log.ran(exec.id);
        assert_eq!(ran.outcome, Outcome::Verified, "{argument} {ran:?}");
        assert_eq!(ran.argv, None);
        assert_eq!(log.exit(exec.id).unwrap().status, Some(7));
    }
    // env(1) is the interpreter, then it executes sh.
    let env = log.with("a3");
    assert_eq!(log.outcome(env[0]), Outcome::Verified);
    assert_eq!(log.outcome(env.last().unwrap()), Outcome::Verified);
    let lost = log.ran(log.with("a5")[0].id);
    assert_eq!(lost.errno.as_deref(), Some("ENOENT"), "{lost:?}");
    let text = log.ran(log.with("a6")[0].id);
    assert_eq!(text.errno.as_deref(), Some("ENOEXEC"), "{text:?}");
}

#[test]
fn a_search_along_the_path_is_one_thing() {
    let work = harness::work();
    let mut env = Command::new("/usr/bin/env");
    env.args(["-S", "PATH=/nonexistent:/usr/games:/usr/bin:/bin", "nice", "true", "found"]);
    let log = watch(env.current_dir(work.path()), &Setup::default());
    let tries: Vec<&Exec> =
        log.execs().filter(|exec| exec.argv.first().is_some_and(|arg| arg.0 == b"nice")).collect();
    assert!(tries.len() >= 3, "{tries:#?}");
    assert_eq!(tries[0].retry_of, None);
    for pair in tries.windows(2) {
        assert_eq!(pair[1].retry_of, Some(pair[0].id));
        // env(1) has executed before: that its program is the same is known by where it lies.
        assert_eq!(log.ran(pair[0].id).outcome, Outcome::Failed);
        assert_eq!(log.ran(pair[0].id).errno.as_deref(), Some("ENOENT"));
    }
    assert_eq!(log.outcome(tries.last().unwrap()), Outcome::Verified);
}

/// Its death alone lets go of the old program's memory: nothing has run for that.
#[test]
fn a_failure_nobody_asks_for_is_not_said_to_have_run() {
    let work = harness::work();
    let late = "import subprocess, time
child = subprocess.Popen(['/usr/bin/env', 'no-such-program'])
time.sleep(0.5)
child.wait()";
    let mut python = Command::new("/usr/bin/python3");
    let log = watch(python.args(["-c", late]).current_dir(work.path()), &Setup::default());
    for exec in log.with("no-such-program").iter().filter(|exec| exec.argv.len() == 1) {
        let failed = matches!(log.outcome(exec), Outcome::Failed | Outcome::ProbablyFailed);
        assert!(failed, "{exec:?} {:?}", log.ran(exec.id));
    }
}

#[test]
fn the_tree_names_parents_roots_and_depths() {
    let work = harness::work();
    let script = "( ( sh -c 'sh -c \"true; true deep; /bin/true deepest\"; true' one; true ) ); \
                  sh -c '/bin/true other; true' two; true";
    let mut shell = Command::new("/bin/sh");
    let log = watch(shell.args(["-c", script]).current_dir(work.path()), &Setup::default());
    let agent = log.execs().next().unwrap();
    assert_eq!((agent.parent, agent.root, agent.depth), (None, None, 0));
    let (one, two) = (log.only("one"), log.only("two"));
    for call in [one, two] {
        assert_eq!((call.parent, call.root, call.depth), (Some(agent.id), Some(call.id), 1));
    }
    let deepest = log.only("deepest");
    assert_eq!((deepest.root, deepest.depth), (Some(one.id), 3));
    let other = log.only("other");
    assert_eq!((other.parent, other.root, other.depth), (Some(two.id), Some(two.id), 2));
    assert_eq!(other.cwd.as_ref().unwrap().as_path(), work.path());
}

#[test]
fn attack_what_lost_its_ancestors_is_no_call_of_the_agents() {
    let work = harness::work();
    // A double fork, and both of it gone when the last one executes something.
    let script = "sh -c '(sleep 0.5; exec /bin/sh -c \"/bin/true below; true\" orphan) & true' launcher; \
                  /bin/true child; sleep 2";
    let mut shell = Command::new("/bin/sh");
    let log = watch(shell.args(["-c", script]).current_dir(work.path()), &Setup::default());
    let agent = log.execs().next().unwrap();
    let (orphan, below) = (log.only("orphan"), log.only("below"));
    assert_eq!((orphan.parent, orphan.root, orphan.depth), (Some(agent.id), None, 1));
    assert_ne!(orphan.ppid, agent.pid);
    assert_eq!((below.parent, below.root, below.depth), (Some(orphan.id), None, 2));
    // Control: what the agent has started.
    let child = log.only("child");
    assert_eq!((child.root, child.depth, child.ppid), (Some(child.id), 1, agent.pid));
}

#[test]
fn a_tool_call_is_marked_with_all_it_starts() {
    let work = harness::work();
    let script = "/bin/true before; MARK=1 sh -c 'env -i /bin/true inside; true' marked; \
                  /bin/true after; true";
    let setup = Setup { marker: Some("MARK".to_owned()), ..Setup::default() };
    let mut shell = Command::new("/bin/sh");
    let log = watch(shell.args(["-c", script]).current_dir(work.path()), &setup);
    for (name, tool) in [("before", false), ("marked", true), ("after", false)] {
        assert_eq!(log.only(name).tool, tool, "{name}");
    }
    assert!(log.with("inside").iter().all(|exec| exec.tool));
}

#[test]
fn runtimes_are_confirmed() {
    let work = harness::work();
    let python = "import subprocess, os\n\
                  subprocess.run(['true', 'py-run'])\n\
                  os.system('/bin/true py-system')\n\
                  os.waitpid(os.posix_spawn('/bin/true', ['true', 'py-spawn'], os.environ), 0)\n";
    let log = watch(
        Command::new("/usr/bin/python3").args(["-c", python]).current_dir(work.path()),
        &Setup::default(),
    );
    for name in ["py-run", "py-system", "py-spawn"] {
        let exec = *log.with(name).last().unwrap_or_else(|| panic!("{name}: {:?}", log.output));
        assert_eq!(log.outcome(exec), Outcome::Verified, "{name}");
    }
    assert_eq!(log.outcome(log.execs().next().unwrap()), Outcome::Verified);
}
