//! E: every exec is in the log, and nothing inside can forge, edit, suppress or flood away an
//! event. How the argv that ran is known under attack is tested beside the exec watcher.

use std::process::Command;

use claudebox::log::event::{Event, Outcome};
use claudebox::plan::{Arg, ErrnoFilter};

use crate::common::log::Log;
use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::hostile::Hostile;
use crate::script;
use crate::supervised::{self, Room};

/// How many events of execs hold this argument.
fn count(log: &Log, word: &str) -> usize {
    log.execs(|argv| argv.iter().any(|argument| argument == word)).len()
}

/// No control: nothing is attacked. That something can be missing shows the builtin, which is no exec.
#[test]
fn promise_e_every_way_to_execute_is_seen() {
    must_have_sandbox();
    must_have(&["python3", "perl"]);
    for user in users() {
        let place = Place::new(user);
        let python = "import os,subprocess
subprocess.run(['true','by-subprocess'])
os.posix_spawn('/bin/true',['true','by-posix-spawn'],{})
os.system('true by-system')
pid=os.fork()
if pid==0: os.execv('/bin/true',['true','by-fork-exec'])
os.waitpid(pid,0)
fd=os.memfd_create('x',0); os.write(fd,open('/bin/true','rb').read())
pid=os.fork()
if pid==0: os.execve(fd,['true','by-memfd'],{})
os.waitpid(pid,0)
";
        place.project_file("ways.py", python);
        let ways = "env -i /bin/true by-env; sh -c 'exec true by-exec'; python3 ways.py
            perl -e 'system(\"/bin/true\",\"by-perl\")'; setsid true by-setsid; nice true by-nice
            echo by-xargs | xargs true; true by-builtin; /bin/true by-path";
        script(&place, &[], ways).run();
        let log = Log::latest(&place);
        for way in [
            "by-env",
            "by-exec",
            "by-subprocess",
            "by-posix-spawn",
            "by-fork-exec",
            "by-memfd",
            "by-perl",
            "by-setsid",
            "by-xargs",
            "by-path",
        ] {
            assert!(count(&log, way) >= 1, "{way} is not in the log");
        }
        assert!(count(&log, "by-nice") >= 1);
        // Not an exec, and said so in the documentation: a shell's builtin.
        assert_eq!(count(&log, "by-builtin"), 0);
        place.claudebox(["verify"]).run().code(0);
    }
}

#[test]
fn promise_e_a_static_program_without_libc_is_seen() {
    must_have_sandbox();
    must_have(&["cc"]);
    let source = "void _start(void){ __asm__(\"mov $60,%eax; mov $7,%edi; syscall\"); }";
    for user in users() {
        let place = Place::new(user);
        let file = place.project_file("bare.c", source);
        let bare = place.project().join("bare");
        let built = Command::new("cc")
            .args(["-static", "-nostdlib", "-o"])
            .args([&bare, &file])
            .status()
            .unwrap();
        assert!(built.success());
        script(&place, &[], "./bare marked-bare; ./bare").run().code(7);
        let log = Log::latest(&place);
        let seen = log.execs(|argv| argv == ["./bare", "marked-bare"]);
        assert_eq!(seen.len(), 1);
        // It ends by exit(2), as nothing with a libc does: where the kernel tells no statuses
        // (before Linux 6.15), exit_group(2) is seen, and this is not.
        let told = log.exit_source() == Some("pidfd");
        let status = log.exit(seen[0]).and_then(|exit| exit.status);
        assert_eq!(status, told.then_some(7));
    }
}

#[test]
fn promise_e_memory_that_nobody_else_can_read_hides_no_argument() {
    must_have_sandbox();
    let secret = Hostile::new("secret", &[]);
    let bare = Hostile::new("bare", &["-static", "-nostdlib"]);
    for user in users() {
        let place = Place::new(user);
        secret.put_into(&place);
        bare.put_into(&place);
        script(&place, &[], "./secret ./bare a-hidden-word").run().code(9);
        let log = Log::latest(&place);
        assert_eq!(log.execs(|argv| argv == ["./bare", "a-hidden-word"]).len(), 1, "{user:?}");
    }
    // Control: without the errno filter it is called with what nobody outside can read.
    let words = |filter| {
        let mut plan = secret.plan(&["/run/bare", "a-hidden-word"], filter);
        let bind = ["--ro-bind", bare.path().to_str().unwrap(), "/run/bare"];
        plan.args.extend(bind.map(|word| Arg::Literal(word.into())));
        let room = Room::new(&plan, supervised::User::Current);
        assert_eq!(room.output().status.code(), Some(9));
        let argv = |event: Event| match event {
            Event::Exec(exec) => exec.argv,
            _ => Vec::new(),
        };
        // But for the words that the program itself was started with.
        let words = room.events().into_iter().flat_map(argv).skip(3);
        words.filter(|word| word.0 == b"a-hidden-word").count()
    };
    // Before Linux 6.5 such memory is there only where the kernel was booted with `secretmem.enable`.
    let hidden = Command::new(secret.path()).status().unwrap().success();
    assert_eq!((words(ErrnoFilter::All), words(ErrnoFilter::Off)), (1, usize::from(!hidden)));
}

/// No control: there is no switch for a queue that drops. `tests/execs/pressure.rs` narrows it until who
/// executes has to wait.
#[test]
fn promise_e_a_flood_loses_nothing() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let flood = "i=0; while [ $i -lt 300 ]; do /bin/true flood & i=$((i+1)); done; wait
            /bin/true after-the-flood";
        script(&place, &[], flood).run().code(0);
        let log = Log::latest(&place);
        assert_eq!(count(&log, "flood"), 300);
        assert_eq!(count(&log, "after-the-flood"), 1);
        assert!(matches!(log.events.last(), Some(Event::End(_))));
    }
}

#[test]
fn promise_e_killing_everything_inside_suppresses_nothing() {
    must_have_sandbox();
    must_have(&["strace"]);
    for user in users() {
        let place = Place::new(user);
        let attack = "/bin/true before; kill -9 1; kill -STOP 1; (kill -9 -1) & sleep 0.2
            /bin/true after";
        script(&place, &[], attack).run();
        let log = Log::latest(&place);
        assert_eq!(count(&log, "before"), 1);
        assert!(matches!(log.events.last(), Some(Event::End(_))));
        place.claudebox(["verify"]).run().code(0);

        // Control: of a recorder that is in the sandbox with it, the same leaves no last word.
        for (attack, ends) in [("/bin/true before", true), (attack, false)] {
            let trace = place.project().join("trace");
            let bare = ["--unshare-all", "--unshare-user", "--dev-bind", "/", "/", "strace", "-f"];
            let bare =
                place.command("bwrap").args(bare).args(["-e", "execve", "-o"]).args([&trace]);
            bare.args(["sh", "-c", attack]).run();
            let trace = std::fs::read_to_string(trace).unwrap();
            assert!(trace.contains("\"before\""), "{trace}");
            let last = trace.lines().last().unwrap();
            assert_eq!(last.ends_with("+++ exited with 0 +++"), ends, "{user:?}: {trace}");
        }
    }
}

#[test]
fn promise_e_the_log_cannot_be_reached_from_inside() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let search = "find / -name 'events*.jsonl' -o -name control.sock 2>/dev/null; \
            ls -l /proc/self/fd /proc/1/fd 2>/dev/null";
        let output = script(&place, &[], search).run();
        assert!(!output.stdout.contains("events"), "{}", output.stdout);
        assert!(!output.stdout.contains("control.sock"), "{}", output.stdout);
        assert!(!output.stdout.contains("seccomp"), "no listener inside: {}", output.stdout);
        // Control: outside, where it can be seen, the same search finds it. (No option binds it.)
        let search = search.replace("find /", &format!("find {}", place.state().display()));
        place.command("sh").args(["-c", &search]).run().says("/events.jsonl");
    }
}

/// Waits until nobody has the old program's memory, and sets up its thread a second time, as a new program
/// does the first. By then its own code could have changed what it was called with.
#[cfg(target_arch = "x86_64")]
const STARTS_AGAIN: &str = "import ctypes, time
libc = ctypes.CDLL(None)
time.sleep(1.5)
at = ctypes.c_ulong()
libc.syscall(158, 0x1003, ctypes.byref(at))
libc.syscall(158, 0x1002, at)
";

#[test]
#[cfg(target_arch = "x86_64")]
fn promise_e_who_holds_the_old_memory_has_no_later_start_believed() {
    must_have_sandbox();
    must_have(&["python3"]);
    let held = Hostile::new("held", &[]);
    for user in users() {
        let place = Place::new(user);
        held.put_into(&place);
        place.project_file("again.py", STARTS_AGAIN);
        let outcome = |how: &str| {
            let run = format!("./held {how} /usr/bin/python3 again.py; true");
            script(&place, &[], &run).run().code(0);
            let log = Log::latest(&place);
            let id = log.execs(|argv| argv.get(1).is_some_and(|word| word == "again.py"))[0].id;
            let ran = log.events.iter().find_map(|event| match event {
                Event::Ran(ran) if ran.id == id => Some(format!("{:?}", ran.outcome)),
                _ => None,
            });
            ran.unwrap_or_default()
        };
        assert_ne!(outcome("held"), "Verified");
        // Control.
        assert_eq!(outcome("alone"), "Verified");
    }
}

/// What a copy of this program became, and whether the pane names it.
fn of_the_unseen(place: &Place, program: &str, how: &str) -> (Outcome, bool) {
    let run = format!("cp {program} unseen; ./hides {how} true a-word; test -e it-ran");
    script(place, &[], &run).run().code(0);
    let log = Log::latest(place);
    let id = log.execs(|argv| argv == ["true", "a-word"])[0].id;
    let ran = log.events.iter().find_map(|event| match event {
        Event::Ran(ran) if ran.id == id => Some(ran.outcome),
        _ => None,
    });
    // The shell's own row names the other program, too.
    let shown = place.claudebox(["log"]).run().code(0).stdout;
    let shown = shown.lines().any(|row| row.contains("unseen") && !row.contains("hides"));
    (ran.unwrap(), shown)
}

#[test]
#[cfg(target_arch = "x86_64")]
fn promise_e_who_holds_the_old_memory_hides_no_program_that_ran() {
    must_have_sandbox();
    let hides = Hostile::new("hides", &[]);
    let raced = Hostile::new("raced", &["-static", "-nostdlib"]);
    let fresh = |user| {
        let place = Place::new(user);
        hides.put_into(&place);
        raced.put_into(&place);
        place
    };
    let ways = [
        ("hides", "plain", Outcome::Unknown),
        ("hides", "gone", Outcome::ProbablyFailed),
        ("raced", "plain", Outcome::Unknown),
    ];
    for user in users() {
        for (program, how, held) in ways {
            let of = |who: &str| of_the_unseen(&fresh(user), program, &format!("{who} {how}"));
            assert_eq!(of("held"), (held, true), "{user:?} {program} {how}");
            // Control: the same, and nobody holds anything.
            let (alone, shown) = of("alone");
            let ran = matches!(alone, Outcome::OwnLoader | Outcome::Unverified);
            assert!(ran && shown, "{user:?} {program} {how}: {alone:?}");
        }
    }
}

/// Control of the above: what did fail is still known to have failed, and a search is one row.
#[test]
fn promise_e_a_search_along_the_path_is_one_row() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        // env(1) and nice(1) have executed before they search.
        let search = "PATH=/nowhere:$PWD:/usr/bin:/bin; env true by-env; nice true by-nice";
        place.project_file("search.sh", search);
        script(&place, &[], "sh search.sh").run().code(0);
        let log = Log::latest(&place);
        let rows = |options: &[&str], word: &str| {
            let shown = place.claudebox(["log"].iter().chain(options)).run().code(0).stdout;
            shown.lines().filter(|row| row.contains(word)).count()
        };
        for word in ["by-env", "by-nice"] {
            let tries = log.execs(|argv| argv == ["true", word]);
            assert_eq!(tries.len(), 3, "{user:?}: {tries:?}");
            assert!(tries[1..].iter().all(|exec| exec.retry_of.is_some()), "{tries:?}");
            // The hit is what the line of env(1) says already.
            assert_eq!((rows(&[], word), rows(&["--all"], word)), (1, 4), "{user:?}");
        }
    }
}
