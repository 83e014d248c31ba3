//! Promise D: death is certain. Whatever of supervisor and bwrap is killed, at whatever moment,
//! nothing that was inside lives on; and nothing inside can prepare itself to do so.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so when it fails"
)]

mod supervised;

use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use claudebox::log::event::Event;
use claudebox::plan::{Demand, Plan};
use claudebox::sandbox::inner::PROGRAM;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use supervised::{Process, Room, User, eventually, plan, processes, users};

/// An agent that leaves the session, the process group and its parents behind, and says so in
/// its argv; then it stays.
fn stubborn(mark: &str) -> Plan {
    let script = format!(
        "trap '' HUP INT TERM; (setsid sh -c 'trap \"\" HUP TERM; sleep {mark}; :' &) ; \
         sleep {mark} & sleep {mark}; :"
    );
    plan(&["/bin/sh", "-c", &script])
}

/// A number of seconds that no other test sleeps.
fn mark(case: u32) -> String {
    format!("{}.{case:04}", 100_000 + std::process::id())
}

/// What of a session is alive: by its process session, or by the mark where it left that.
fn alive(supervisor: &Child, mark: &str) -> Vec<Process> {
    let session = i32::try_from(supervisor.id()).unwrap();
    let ours = |process: &Process| process.session == session || process.cmdline.contains(mark);
    processes().into_iter().filter(ours).collect()
}

fn kill_all(victims: &[Process]) {
    for victim in victims {
        let _ = kill(Pid::from_raw(victim.pid), Signal::SIGKILL);
    }
}

fn nothing_lives(supervisor: &Child, mark: &str, case: &str) {
    let mut last = Vec::new();
    let deadline = std::time::Instant::now() + supervised::PATIENCE;
    while std::time::Instant::now() < deadline {
        last = alive(supervisor, mark);
        if last.is_empty() {
            return;
        }
        sleep(Duration::from_millis(2));
    }
    kill_all(&last);
    panic!("{case}: alive after {:?}: {last:#?}", supervised::PATIENCE);
}

fn running(room: &Room, mark: &str) -> Child {
    let supervisor = room.spawn();
    // The agent, its background child and the one that left the session.
    let sleeps = |process: &Process| process.cmdline.starts_with("sleep ");
    eventually("the agent runs", || {
        alive(&supervisor, mark).into_iter().filter(sleeps).count() == 3
    });
    supervisor
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

fn bwraps(supervisor: &Child, mark: &str) -> Vec<Process> {
    let mut found = alive(supervisor, mark);
    let supervisor = pid_of(supervisor).as_raw();
    found.retain(|process| process.name == "bwrap" && process.parent == supervisor);
    found
}

/// Whether the supervisor is gone within two seconds.
fn ends_by_itself(supervisor: &mut Child) -> bool {
    (0..200).any(|_| {
        sleep(Duration::from_millis(10));
        supervisor.try_wait().unwrap().is_some()
    })
}

/// How a session is killed.
#[derive(Clone, Copy, Debug)]
enum Kill {
    Supervisor,
    StoppedSupervisor,
    Bwrap,
}

impl Kill {
    /// Whether there was somebody to strike.
    fn strike(self, supervisor: &Child, mark: &str) -> bool {
        let pid = pid_of(supervisor);
        match self {
            Self::Supervisor => kill(pid, Signal::SIGKILL).is_ok(),
            Self::StoppedSupervisor => {
                let _ = kill(pid, Signal::SIGSTOP);
                sleep(Duration::from_millis(1));
                kill(pid, Signal::SIGKILL).is_ok()
            }
            Self::Bwrap => {
                let bwraps = bwraps(supervisor, mark);
                kill_all(&bwraps);
                !bwraps.is_empty()
            }
        }
    }
}

#[test]
fn killing_any_of_them_at_any_stage_of_the_start_leaves_nothing() {
    for (number, user) in (0..).zip(users()) {
        for (kind, how) in (0..).zip([Kill::Supervisor, Kill::StoppedSupervisor, Kill::Bwrap]) {
            for step in 0..60 {
                let mark = mark(number * 1000 + kind * 100 + step);
                let room = Room::new(&stubborn(&mark), *user);
                let mut supervisor = room.spawn();
                sleep(Duration::from_micros(u64::from(step) * 500));
                // It may be too early for there to be a bwrap. Then the session runs, and what has
                // to end it is the supervisor's own death. Otherwise the supervisor cleans up.
                if !how.strike(&supervisor, &mark) || !ends_by_itself(&mut supervisor) {
                    let _ = kill(pid_of(&supervisor), Signal::SIGKILL);
                }
                nothing_lives(&supervisor, &mark, &format!("{user:?} {how:?} {step}"));
                supervisor.wait().unwrap();
            }
        }
    }
}

/// bwrap clones its child and then releases it: in between, its death must not leave the child
/// waiting, nor the supervisor for the child.
#[test]
fn a_bwrap_that_is_killed_as_soon_as_it_is_there_ends_the_session() {
    for (number, user) in (0..).zip(users()) {
        for step in 0..60 {
            let mark = mark(6000 + number * 100 + step);
            let room = Room::new(&stubborn(&mark), *user);
            let mut supervisor = room.spawn();
            let mut found = Vec::new();
            eventually("there is a bwrap", || {
                found = bwraps(&supervisor, &mark);
                !found.is_empty()
            });
            sleep(Duration::from_micros(u64::from(step) * 20));
            kill_all(&found);
            eventually("the supervisor ends", || supervisor.try_wait().unwrap().is_some());
            let code = supervisor.wait().unwrap().code();
            assert!(matches!(code, Some(125 | 137)), "{user:?} {step}: {code:?}");
            nothing_lives(&supervisor, &mark, &format!("{user:?} {step}"));
        }
    }
}

#[test]
fn killing_a_running_session_leaves_nothing() {
    for (number, user) in (0..).zip(users()) {
        for (kind, how) in (0..).zip([Kill::Supervisor, Kill::StoppedSupervisor, Kill::Bwrap]) {
            let mark = mark(3000 + number * 10 + kind);
            let room = Room::new(&stubborn(&mark), *user);
            let mut supervisor = running(&room, &mark);
            how.strike(&supervisor, &mark);
            nothing_lives(&supervisor, &mark, &format!("{user:?} {how:?}"));
            supervisor.wait().unwrap();
        }
    }
}

#[test]
fn a_killed_bwrap_is_reported_as_such() {
    let mark = mark(4000);
    let room = Room::new(&stubborn(&mark), User::Current);
    let mut supervisor = running(&room, &mark);
    kill_all(&bwraps(&supervisor, &mark));
    assert_eq!(supervisor.wait().unwrap().code(), Some(137));
    let events = room.events();
    let Some(Event::End(end)) = events.last() else { panic!("{events:?}") };
    assert_eq!((end.code, end.reason.as_str()), (137, "sandbox-killed"));
}

#[test]
fn a_stopped_bwrap_dies_with_the_supervisor() {
    let mark = mark(4100);
    let room = Room::new(&stubborn(&mark), User::Current);
    let mut supervisor = running(&room, &mark);
    for bwrap in bwraps(&supervisor, &mark) {
        kill(Pid::from_raw(bwrap.pid), Signal::SIGSTOP).unwrap();
    }
    kill(pid_of(&supervisor), Signal::SIGKILL).unwrap();
    nothing_lives(&supervisor, &mark, "stopped bwrap");
    supervisor.wait().unwrap();
}

/// The kernel's way alone: an inner stage that cannot run cannot see its socket closed.
#[test]
fn a_stopped_inner_stage_dies_with_the_supervisor() {
    for (number, user) in (0..).zip(users()) {
        let mark = mark(4200 + number);
        let room = Room::new(&stubborn(&mark), *user);
        let mut supervisor = running(&room, &mark);
        let inner = alive(&supervisor, &mark);
        let inner = inner.iter().find(|process| process.cmdline.starts_with(PROGRAM)).unwrap();
        kill(Pid::from_raw(inner.pid), Signal::SIGSTOP).unwrap();
        kill(pid_of(&supervisor), Signal::SIGKILL).unwrap();
        nothing_lives(&supervisor, &mark, &format!("{user:?}"));
        supervisor.wait().unwrap();
    }
}

/// What a process inside tries on pid 1, in perl, which every Debian has: trace it, write to its
/// memory, read its descriptors, signal it. Prints what worked.
const ATTACK: &str = r#"
    my ($ptrace, $pidfd_open, $getfd, $victim) = splice @ARGV, 0, 4;
    my @done;
    push @done, 'attach' if syscall($ptrace, 16, $victim + 0, 0, 0) == 0;
    push @done, 'seize' if syscall($ptrace, 0x4206, $victim + 0, 0, 0) == 0;
    push @done, 'mem' if open(my $mem, '+<', "/proc/$victim/mem");
    push @done, 'read-mem' if open(my $mem, '<', "/proc/$victim/mem");
    push @done, 'fd' if defined readlink("/proc/$victim/fd/0");
    push @done, 'root' if defined readlink("/proc/$victim/root");
    my $pidfd = syscall($pidfd_open, $victim + 0, 0);
    push @done, 'getfd' if $pidfd >= 0 && syscall($getfd, $pidfd, 0, 0) >= 0;
    print join(' ', 'worked:', @done), "\n";
    if ($victim == 1) { kill $_, 1 for 1 .. 64; }
    print "still here\n";
    $| = 1; sleep 1000 if @ARGV;
"#;

fn attack(victim: &str, then: &[&str]) -> Plan {
    let numbers = [libc::SYS_ptrace, libc::SYS_pidfd_open, libc::SYS_pidfd_getfd];
    let numbers = numbers.map(|number| number.to_string());
    let perl = ["/usr/bin/perl", "-e", ATTACK, &numbers[0], &numbers[1], &numbers[2], victim];
    let argv: Vec<&str> = perl.into_iter().chain(then.iter().copied()).collect();
    let mut plan = plan(&argv);
    plan.inner.landlock.demand = Demand::Off;
    plan
}

#[test]
fn nothing_inside_can_trace_read_or_signal_the_init() {
    for user in users() {
        let output = Room::new(&attack("1", &[]), *user).output();
        let words = String::from_utf8(output.stdout).unwrap();
        assert_eq!(words, "worked:\nstill here\n", "{user:?}");
        assert_eq!(output.status.code(), Some(0));
    }
}

/// The control: on a process that does not hide itself, the same attack works.
#[test]
fn the_attack_on_the_init_works_on_another_process() {
    for user in users() {
        let mut plan = attack("VICTIM", &[]);
        let words = plan.inner.argv.split_off(1);
        let script = "sleep 100 & exec perl \"$@\" $!";
        plan.inner.program = "/bin/sh".into();
        plan.inner.argv = ["/bin/sh", "-c", script, "sh"].map(Into::into).to_vec();
        plan.inner.argv.extend(words.into_iter().filter(|word| *word != "VICTIM".into()));
        let output = Room::new(&plan, *user).output();
        let words = String::from_utf8(output.stdout).unwrap();
        assert!(words.starts_with("worked: attach"), "{user:?}: {words}");
        for way in ["mem", "fd", "root", "getfd"] {
            assert!(words.contains(way), "{user:?} {way}: {words}");
        }
    }
}

#[test]
fn who_attacked_the_init_dies_with_the_supervisor() {
    for (number, user) in (0..).zip(users()) {
        let mark = mark(5000 + number);
        let room = Room::new(&attack("1", &[&mark]), *user);
        let mut command = room.command("users");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut supervisor = command.spawn().unwrap();
        eventually("the attack runs", || {
            let perl = |process: &Process| process.name == "perl";
            alive(&supervisor, &mark).iter().any(perl)
        });
        sleep(Duration::from_millis(200));
        kill(pid_of(&supervisor), Signal::SIGKILL).unwrap();
        nothing_lives(&supervisor, &mark, &format!("{user:?}"));
        supervisor.wait().unwrap();
    }
}
