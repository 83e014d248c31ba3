//! R: what is inside cannot take more of the machine than the profile grants. A fork bomb, a memory
//! hog and a full /tmp end inside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use claudebox::log::event::{Confined, Event};
use nix::sys::signal::Signal;
use nix::unistd::{AccessFlags, access};

use crate::common::log::Log;
use crate::common::place::Place;
use crate::common::run::Started;
use crate::common::user::{User, users};
use crate::common::{DEADLINE, must_have, must_have_sandbox};
use crate::outside::descendants;
use crate::script;

/// Far below what `greedy` asks for, and enough for a sandbox.
const TIGHT: &str = "
extends = [\"default\"]
[limits]
tmp-size = \"4MiB\"
processes = 60
open-files = 64
file-size = \"2MiB\"
memory = \"96MiB\"
cpu = 0.2
";
/// The control: the same without limits.
const LOOSE: &str = "
extends = [\"default\"]
[limits]
tmp-size = \"64MiB\"
enforce = \"off\"
";
/// All it wants, the one that stays last.
const GREEDY: &str = "./greedy tmp-size 32; ./greedy file-size 8; ./greedy open-files 300; \
                      ./greedy memory 192; ./greedy cpu 200; ./greedy processes 200";

/// A session of `greedy` that has taken what it could get.
struct Taken {
    place: Place,
    session: Started,
}

impl Taken {
    fn under(user: User, profile: &str) -> Self {
        let place = Place::new(user);
        let greedy = place.project().join("greedy");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/greedy.c");
        let built = Command::new("cc").arg("-o").args([&greedy, &source]).status().unwrap();
        assert!(built.success());
        place.home_file(".config/claudebox/profiles/limited.toml", profile);
        let session = script(&place, &["--profile", "limited"], GREEDY).start();
        let taken = Self { place, session };
        let until = Instant::now() + DEADLINE;
        while taken.text("processes").is_empty() {
            assert!(Instant::now() < until, "greedy never had enough");
            thread::sleep(Duration::from_millis(10));
        }
        taken
    }

    fn text(&self, what: &str) -> String {
        fs::read_to_string(self.place.project().join(what)).unwrap_or_default()
    }

    /// What it says it got.
    fn got(&self, what: &str) -> u64 {
        self.text(what).parse().unwrap()
    }

    /// How often the scheduler made it wait for its quota, by its control group.
    fn throttled(&self) -> u64 {
        let inside = *descendants(self.session.pid()).last().unwrap();
        groups(inside)
            .iter()
            .filter_map(|group| fs::read_to_string(group.join("cpu.stat")).ok())
            .filter_map(|text| {
                text.lines()
                    .find_map(|line| line.strip_prefix("nr_throttled ")?.parse::<u64>().ok())
            })
            .sum()
    }

    fn confined(&self) -> Confined {
        let found = Log::latest(&self.place).events.into_iter().find_map(|event| match event {
            Event::Confined(confined) => Some(confined),
            _ => None,
        });
        found.unwrap()
    }
}

/// The control groups of a process that are claudebox's.
fn groups(pid: i32) -> Vec<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let line = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (hierarchy, group) = (fields.next()?, fields.next()?);
        let path = Path::new("/sys/fs/cgroup").join(hierarchy).join(group.trim_start_matches('/'));
        group.contains("/claudebox-").then_some(path)
    };
    text.lines().filter_map(line).collect()
}

#[test]
fn promise_r_nothing_inside_takes_more_than_it_is_granted() {
    must_have_sandbox();
    must_have(&["cc"]);
    for user in users() {
        let tight = Taken::under(user, TIGHT);
        let loose = Taken::under(user, LOOSE);
        let confined = tight.confined();
        assert_eq!(confined.limits.len(), 5, "{confined:?}");
        let enforced = |of: &str| {
            let limit = confined.limits.iter().find(|limit| limit.of == of).unwrap();
            limit.by != "not-enforced"
        };
        // Version 1, and root: nothing is in the way.
        let v1 = access("/sys/fs/cgroup/memory", AccessFlags::W_OK).is_ok();
        if user.is_root() && v1 {
            assert!(["memory", "processes", "cpu"].into_iter().all(enforced), "{confined:?}");
        }
        // What nothing enforces is the control's case, and must have been said.
        let said = tight.place.claudebox(["explain", "--profile", "limited", "--", "true"]).run();
        for what in ["memory", "cpu"].into_iter().filter(|what| !enforced(what)) {
            let weakened = said.stdout.lines().any(|line| {
                line.contains("limits: ")
                    && line.contains(what)
                    && line.contains("cannot be limited")
            });
            assert!(weakened, "{what} in {}", said.stdout);
        }

        assert!(tight.got("tmp-size") <= 4 << 20);
        assert_eq!(loose.got("tmp-size"), 32 << 20);
        let large =
            |taken: &Taken| fs::metadata(taken.place.project().join("large")).unwrap().len();
        assert_eq!((large(&tight), large(&loose)), (2 << 20, 8 << 20));
        assert!(tight.got("open-files") < 64);
        assert_eq!(loose.got("open-files"), 300);
        let memory = if enforced("memory") { 0..96 } else { 192..193 };
        assert!(memory.contains(&tight.got("memory")), "{}", tight.got("memory"));
        assert_eq!(loose.got("memory"), 192);
        assert_eq!(tight.throttled() > 0, enforced("cpu"));
        assert_eq!(loose.throttled(), 0);

        // A user's processes are counted everywhere, root's in a group; bwrap outside may come on top.
        let count = |taken: &Taken| descendants(taken.session.pid()).len();
        assert!(count(&loose) > 200);
        assert_eq!(count(&tight) <= 62, enforced("processes"), "{}", count(&tight));
        for taken in [tight, loose] {
            taken.session.signal(Signal::SIGTERM);
            taken.session.wait().code(143);
        }
    }
}

#[test]
fn promise_r_what_is_required_and_cannot_be_enforced_is_an_error() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let profile = |enforce: &str| {
            let text = format!("{TIGHT}enforce = \"{enforce}\"\n");
            place.home_file(".config/claudebox/profiles/limited.toml", text);
        };
        let run = || script(&place, &["--profile", "limited"], "touch ran").run();
        profile("best-effort");
        let explained = place.claudebox(["explain", "--profile", "limited", "--", "true"]).run();
        let possible = !explained.code(0).stdout.contains("not-enforced");
        profile("required");
        if possible {
            run().code(0);
            continue;
        }
        run().code(125).complains("memory").complains("limits.enforce");
        assert!(!place.project().join("ran").exists());
        // Control: it is for the limits.
        profile("best-effort");
        run().code(0);
        assert!(place.project().join("ran").exists());
    }
}

#[test]
fn promise_r_no_control_group_is_left_behind() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let running = || {
            let session = script(&place, &[], "touch runs; exec sleep 1000").start();
            let until = Instant::now() + DEADLINE;
            while fs::remove_file(place.project().join("runs")).is_err() {
                assert!(Instant::now() < until, "it never ran");
                thread::sleep(Duration::from_millis(5));
            }
            let inside = *descendants(session.pid()).last().unwrap();
            (session, groups(inside))
        };
        let exist = |groups: &[PathBuf]| groups.iter().filter(|group| group.exists()).count();
        let (session, ended) = running();
        assert_eq!(exist(&ended), ended.len());
        session.signal(Signal::SIGTERM);
        session.wait().code(143);
        assert_eq!(exist(&ended), 0, "{ended:?}");

        // Nobody is left to remove it; systemd does, and where there is none the next session.
        let (session, killed) = running();
        let inside = descendants(session.pid());
        session.signal(Signal::SIGKILL);
        session.wait().code(137);
        let until = Instant::now() + DEADLINE;
        while inside.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
            assert!(Instant::now() < until, "something lives on");
            thread::sleep(Duration::from_millis(5));
        }
        // Another test's session may have come first.
        script(&place, &[], "true").run().code(0);
        while exist(&killed) > 0 {
            assert!(Instant::now() < until, "still there: {killed:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
