//! I: no signal leaves the sandbox, by two layers: inside, nobody has a number for a process of the host,
//! and where the process namespace was shared by mistake, Landlock's scope would refuse it.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use claudebox::bytes::Bytes;
use claudebox::plan::{Arg, Demand, ErrnoFilter, ExecLog, Plan};

use crate::common::must_have_sandbox;
use crate::hostile::Hostile;
use crate::supervised::{Room, User, users};

/// The ways of `tests/programs/signals.c`.
const WAYS: usize = 9;

/// Processes of a user, each the leader of a group.
struct Victims(Vec<Child>);

impl Victims {
    fn new(user: User) -> Self {
        let victim = || {
            let mut command = Command::new("sleep");
            command.arg("1000").process_group(0);
            if let User::Nobody = user {
                command.uid(65534).gid(65534);
            }
            command.spawn().unwrap()
        };
        Self((0..WAYS).map(|_| victim()).collect())
    }

    fn pids(&self) -> Vec<String> {
        self.0.iter().map(|victim| victim.id().to_string()).collect()
    }

    /// Which of them live once `expected` do, or after ten seconds. A signal is queued before its
    /// sender's session is over, but whom it kills needs a processor to die on.
    fn living(&mut self, expected: usize) -> Vec<usize> {
        std::thread::sleep(Duration::from_millis(100));
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let mut living = Vec::new();
            for (index, victim) in self.0.iter_mut().enumerate() {
                if victim.try_wait().unwrap().is_none() {
                    living.push(index);
                }
            }
            if living.len() <= expected || Instant::now() > end {
                return living;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Victims {
    fn drop(&mut self) {
        for victim in &mut self.0 {
            let _ = victim.kill();
            let _ = victim.wait();
        }
    }
}

/// The same plan with the host's processes in view.
fn share_processes(plan: &mut Plan) {
    let word = |word: &str| Arg::Literal(Bytes::from(word));
    let at =
        |plan: &Plan, option: &str| plan.args.iter().position(|arg| *arg == word(option)).unwrap();
    let all = at(plan, "--unshare-all");
    let namespaces = ["--unshare-ipc", "--unshare-net", "--unshare-uts", "--unshare-cgroup"];
    plan.args.splice(all..=all, namespaces.map(word));
    let init = at(plan, "--as-pid-1");
    plan.args.remove(init);
    let proc = at(plan, "--proc");
    plan.args.splice(proc..proc + 2, ["--dev-bind", "/proc", "/proc"].map(word));
}

#[test]
fn promise_i_no_signal_reaches_a_process_of_the_host() {
    must_have_sandbox();
    let attacker = Hostile::new("signals", &[]);
    for user in users() {
        let living = |shared: bool, landlock: Demand, expected: usize| {
            let mut victims = Victims::new(*user);
            let pids = victims.pids();
            let pids: Vec<&str> = pids.iter().map(String::as_str).collect();
            // Landlock's files are off in this plan, and no filter is there: the scopes alone.
            let mut plan = attacker.plan(&pids, ErrnoFilter::Off);
            plan.exec_log = ExecLog::Off;
            plan.inner.landlock.demand = landlock;
            if shared {
                share_processes(&mut plan);
            }
            let output = Room::new(&plan, *user).output();
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            victims.living(expected)
        };
        let everybody: Vec<usize> = (0..WAYS).collect();
        assert_eq!(living(false, Demand::Off, WAYS), everybody, "the process namespace alone");
        assert_eq!(living(true, Demand::Required, WAYS), everybody, "Landlock's scope alone");
        // Control: with neither, every way leads there.
        assert_eq!(living(true, Demand::Off, 0), [0_usize; 0]);
    }
}
