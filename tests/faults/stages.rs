//! The processes of a session without panes, at each stage: before there is a bwrap, when it has
//! made its child, when the inner stage waits for the supervisor, while the agent runs, and when it
//! has ended and the supervisor does not know yet. A bwrap of the test's own, which waits at a
//! gate, and a stopped supervisor hold the stages still.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::common::run::Started;
use crate::common::user::users;
use crate::common::{program, times};
use crate::outside::{Marker, descendants};
use crate::struck::{LET_GO, Struck, cmdline, let_go, signals, strike, wait_until};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// bwrap is about to be executed.
    Before,
    /// bwrap has made its child, which has made no mount yet.
    Cloned,
    /// The inner stage is up and talks to a supervisor that does not answer.
    Confining,
    /// The agent runs.
    Running,
    /// The agent has ended; the supervisor has not heard of it.
    Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    /// The front end too, where there are no panes.
    Supervisor,
    Bwrap,
    /// bwrap's child, which becomes our pid 1.
    Init,
    Agent,
    /// The process that makes sockets for the network.
    Gateway,
}

/// Whom there is to strike.
fn victims(stage: Stage) -> &'static [Victim] {
    use Victim::{Agent, Bwrap, Gateway, Init, Supervisor};
    match stage {
        Stage::Before => &[Supervisor, Bwrap, Gateway],
        Stage::Cloned | Stage::Confining => &[Supervisor, Bwrap, Init, Gateway],
        Stage::Running => &[Supervisor, Bwrap, Init, Agent, Gateway],
        Stage::Ending => &[Supervisor, Gateway],
    }
}

/// The codes that claudebox may exit with; `None`: the session goes on as if nothing had happened.
fn expected(stage: Stage, victim: Victim, signal: Signal) -> Option<&'static [i32]> {
    let killed = signal == Signal::SIGKILL;
    let sandbox: &[i32] = match stage {
        Stage::Running => &[137],
        // The inner stage may have said that it is ready before the supervisor, which copies the git
        // directory meanwhile, looks.
        Stage::Cloned | Stage::Confining => &[125, 137],
        _ => &[125],
    };
    let by_signal: &[i32] = match signal {
        Signal::SIGHUP => &[129],
        Signal::SIGTERM => &[143],
        _ => &[137],
    };
    match victim {
        _ if signal == Signal::SIGSTOP => None,
        // It has the agent's word already.
        Victim::Supervisor if stage == Stage::Ending && !killed => None,
        // It passes the others on, or ends the start.
        Victim::Supervisor | Victim::Agent => Some(by_signal),
        // It is deaf to the others. What there is of a network stays; what is new does not come.
        Victim::Gateway if matches!(stage, Stage::Running | Stage::Ending) => None,
        Victim::Gateway => killed.then_some(&[125]),
        // To bwrap, which has the supervisor's signal mask, and to the init of a namespace nothing
        // else comes through.
        Victim::Bwrap | Victim::Init => killed.then_some(sandbox),
    }
}

/// Where the test's own bwrap waits.
struct Gate {
    directory: PathBuf,
}

impl Gate {
    /// Puts a bwrap at the front of the path that waits where the stage wants it to.
    fn new(struck: &Struck, stage: Stage) -> Self {
        let directory = struck.place.root().join("gate");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        struck.place.user().own(&directory);
        let gate = Self { directory };
        mkfifo(&gate.directory.join("gate"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        struck.place.user().own(&gate.directory.join("gate"));
        let real = program("bwrap").unwrap();
        let real = real.display();
        // Without an environment, and with nothing but what bash does itself.
        let wait = match stage {
            Stage::Before => format!(": >\"$here/at\"; read -r x <\"$here/gate\"; exec {real}"),
            Stage::Cloned | Stage::Confining => {
                format!("exec 200<>\"$here/gate\"; : >\"$here/at\"; exec {real} --block-fd 200")
            }
            Stage::Running | Stage::Ending => format!("exec {real}"),
        };
        // The boxes of git, and questions about options, do not wait.
        let script = format!(
            "#!/bin/bash\nhere=${{0%/*}}\n[ \"$1\" = --args ] || exec {real} \"$@\"\n{wait} \"$@\"\n"
        );
        let path = gate.directory.join("bwrap");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        struck.place.user().own(&path);
        gate
    }

    fn path(&self) -> String {
        format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", self.directory.display())
    }

    /// Waits until bwrap has come.
    fn await_bwrap(&self) {
        let at = self.directory.join("at");
        wait_until("bwrap at the gate", || at.exists().then_some(()));
        fs::remove_file(at).unwrap();
    }

    /// Lets it through; the file must be kept until it is.
    fn open(&self) -> fs::File {
        let_go(&self.directory.join("gate"))
    }
}

/// The bwrap of a session.
fn bwrap(started: &Started) -> i32 {
    wait_until("bwrap", || descendants(started.pid()).first().copied())
}

/// Its child.
fn init(started: &Started) -> i32 {
    wait_until("bwrap's child", || descendants(bwrap(started)).first().copied())
}

/// Its gateway process.
fn gateway(started: &Started) -> i32 {
    let is_it = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "gateway\n")
    };
    wait_until("the gateway process", || descendants(started.pid()).into_iter().find(is_it))
}

/// Brings a session to a stage.
fn bring(struck: &Struck, gate: &Gate, stage: Stage, started: &Started, marker: &Marker) {
    match stage {
        Stage::Before => gate.await_bwrap(),
        Stage::Cloned => {
            gate.await_bwrap();
            init(started);
        }
        Stage::Confining => {
            gate.await_bwrap();
            let init = init(started);
            gateway(started);
            started.signal(Signal::SIGSTOP);
            let _open = gate.open();
            wait_until("the inner stage", || {
                cmdline(init).starts_with(b"/run/claudebox\0").then_some(())
            });
        }
        Stage::Running | Stage::Ending => {
            marker.wait_until_it_runs();
            struck.wait_until_logged(marker);
        }
    }
    if stage == Stage::Ending {
        let init = init(started);
        started.signal(Signal::SIGSTOP);
        let _go = struck.let_go();
        wait_until("the end of pid 1", || cmdline(init).is_empty().then_some(()));
    }
}

fn case(struck: &Struck, gate: &Gate, stage: Stage, victim: Victim, signal: Signal) {
    let case = format!("{stage:?} {victim:?} {signal}");
    let marker = Marker::new();
    let script = Struck::agent(&marker);
    let run = ["run", "--no-monitor", "--", "sh", "-c", &script];
    let started = struck.place.claudebox(run).env("PATH", gate.path()).start();
    bring(struck, gate, stage, &started, &marker);
    let pid = match victim {
        Victim::Supervisor => started.pid(),
        Victim::Bwrap => bwrap(&started),
        Victim::Init => init(&started),
        Victim::Agent => descendants(init(&started))[0],
        Victim::Gateway => gateway(&started),
    };
    strike(pid, signal);
    if signal == Signal::SIGSTOP {
        let told = struck.state();
        assert!(matches!(&*told, "running" | "starting"), "{case}: {told}");
        strike(pid, Signal::SIGCONT);
    }
    if matches!(stage, Stage::Confining | Stage::Ending) {
        // Who was killed may be gone by now.
        let _ = kill(Pid::from_raw(started.pid()), Signal::SIGCONT);
    }
    // bwrap goes on, whether or not there is still a supervisor.
    let open = matches!(stage, Stage::Before | Stage::Cloned).then(|| gate.open());
    let expected = expected(stage, victim, signal);
    let go = (expected.is_none() && stage != Stage::Ending).then(|| {
        marker.wait_until_it_runs();
        struck.let_go()
    });
    let output = started.wait();
    let right = expected.unwrap_or(&[LET_GO]).contains(&output.code);
    assert!(right, "{case}: {output:#?}");
    drop((open, go));
    let logged = matches!(stage, Stage::Running | Stage::Ending);
    let verified = struck.check(&marker, logged, &case);
    let crashed = victim == Victim::Supervisor && signal == Signal::SIGKILL;
    assert_eq!(verified.code, if crashed { 2 } else { 0 }, "{case}: {verified:#?} {output:#?}");
}

fn stage(stage: Stage) {
    for user in users() {
        let struck = Struck::new(user);
        let gate = Gate::new(&struck, stage);
        for victim in victims(stage) {
            for signal in signals(user) {
                case(&struck, &gate, stage, *victim, *signal);
            }
        }
        struck.check_all();
    }
}

#[test]
fn before_there_is_a_bwrap() {
    stage(Stage::Before);
}

#[test]
fn when_bwrap_has_made_its_child() {
    stage(Stage::Cloned);
}

#[test]
fn when_the_inner_stage_talks_to_the_supervisor() {
    stage(Stage::Confining);
}

#[test]
fn while_the_agent_runs() {
    stage(Stage::Running);
}

#[test]
fn when_the_agent_has_ended() {
    stage(Stage::Ending);
}

/// From the agent's end to the last word of claudebox, the log's end and the status among it.
#[test]
fn at_every_moment_of_the_end() {
    for user in users() {
        let struck = Struck::new(user);
        for step in 0..u64::try_from(times(20, 400)).unwrap() {
            let marker = Marker::new();
            let script = Struck::agent(&marker);
            let run = ["run", "--no-monitor", "--", "sh", "-c", &script];
            let started = struck.place.claudebox(run).start();
            marker.wait_until_it_runs();
            let _go = struck.let_go();
            thread::sleep(Duration::from_micros(step % 20 * 700));
            // It may have ended before.
            let _ = kill(Pid::from_raw(started.pid()), Signal::SIGKILL);
            let output = started.wait();
            assert!(matches!(output.code, LET_GO | 137), "{step}: {output:#?}");
            struck.check(&marker, false, &format!("{step}"));
        }
        struck.check_all();
    }
}

/// The user logs out, and with the last session systemd-logind(8) takes `/run/user/UID` away.
#[test]
fn the_runtime_directory_is_taken_away() {
    for user in users() {
        let struck = Struck::new(user);
        let marker = Marker::new();
        let script = Struck::agent(&marker);
        let run = ["run", "--no-monitor", "--", "sh", "-c", &script];
        let started = struck.place.claudebox(run).start();
        marker.wait_until_it_runs();
        struck.wait_until_logged(&marker);
        fs::remove_dir_all(struck.place.root().join("run/claudebox")).unwrap();
        let _go = struck.let_go();
        started.wait().code(LET_GO);
        assert_eq!(struck.check(&marker, true, "no runtime directory").code, 0);
        struck.check_all();
    }
}

/// The project is moved, and another stands in its place.
#[test]
fn the_project_is_moved_away() {
    for user in users() {
        let struck = Struck::new(user);
        let marker = Marker::new();
        let script = format!("{} & read x <go; echo x >made; exit {LET_GO}", marker.command());
        let run = ["run", "--no-monitor", "--", "sh", "-c", &script];
        let started = struck.place.claudebox(run).start();
        marker.wait_until_it_runs();
        let (project, moved) = (struck.place.project(), struck.place.root().join("moved"));
        fs::rename(&project, &moved).unwrap();
        fs::create_dir(&project).unwrap();
        struck.place.user().own(&project);
        let _go = let_go(&moved.join("go"));
        started.wait().code(LET_GO);
        marker.wait_until_it_is_gone();
        assert!(moved.join("made").exists(), "the agent has what it was given");
        assert_eq!(fs::read_dir(&project).unwrap().count(), 0, "and nothing of what came after");
        struck.place.claudebox(["verify"]).run().code(0);
    }
}

/// Whoever executes waits for a supervisor that is stopped, and nothing of it is lost. Who asks it
/// something does not wait for ever. (In a pane tmux lets go on at once whoever is stopped.)
#[test]
fn a_supervisor_is_stopped_while_the_agent_works() {
    for user in users() {
        let struck = Struck::new(user);
        let marker = Marker::new();
        let script = format!(
            "{} & read x <go; i=0; while [ $i -lt 50 ]; do /bin/true work-$i & all=\"$all $!\"
             i=$((i+1)); done; wait $all; exit {LET_GO}",
            marker.command()
        );
        let run = ["run", "--no-monitor", "--", "sh", "-c", &script];
        let started = struck.place.claudebox(run).start();
        marker.wait_until_it_runs();
        struck.wait_until_logged(&marker);
        // The script itself has the word once, before a `$`.
        let work = || {
            let log = struck.place.claudebox(["log", "--json"]).run().code(0).stdout;
            log.matches("[\"/bin/true\",\"work-").count()
        };
        started.signal(Signal::SIGSTOP);
        let _go = struck.let_go();
        let silent = "has not answered within";
        struck.place.claudebox(["net"]).run().code(125).complains(silent);
        assert_eq!((struck.state().as_str(), work()), ("running", 0), "nothing runs unseen");
        started.signal(Signal::SIGCONT);
        started.wait().code(LET_GO);
        struck.check(&marker, true, "stopped at work").code(0);
        assert_eq!(work(), 50);
        struck.check_all();
    }
}
