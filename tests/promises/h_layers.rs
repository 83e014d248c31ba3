//! H: what is not named cannot be read, by two layers: it is not mounted, and where a mount showed it by
//! mistake, Landlock would refuse it. What an agent planted in its private home leads the next session
//! nowhere. Sockets of the host cannot be reached.

use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use claudebox::plan::{Arg, Demand, Plan};
use claudebox::policy::Policy;
use claudebox::profile::origin::{LayerKind, Origin, Settled};
use claudebox::profile::schema::NetworkMode;

use crate::built::Built;
use crate::bwrap;
use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::outside::tree;

const SECRET: &str = "wahlomat-7783-secret";
const READS: &str = include_str!("../programs/reads.py");
/// The ways of `tests/programs/reads.py`.
const WAYS: usize = 12;

/// Mounts something that no profile named, as a mistake in the order of mounts would.
fn show(plan: &mut Plan, source: &Path, destination: &str) {
    let word = |word: &str| Arg::Literal(word.into());
    // Before the root is made read-only.
    let at = plan.args.iter().position(|arg| *arg == word("--remount-ro")).unwrap();
    let shown = [word("--ro-bind"), word(source.to_str().unwrap()), word(destination)];
    plan.args.splice(at..at, shown);
}

#[test]
fn promise_h_landlock_alone_hides_what_a_mount_shows_by_mistake() {
    must_have_sandbox();
    must_have(&["python3"]);
    for user in users() {
        let place = Place::new(user);
        let keys = place.root().join("keys");
        fs::create_dir(&keys).unwrap();
        let mut program = fs::read("/bin/true").unwrap();
        program.extend_from_slice(SECRET.as_bytes());
        fs::write(keys.join("id"), program).unwrap();
        fs::set_permissions(keys.join("id"), fs::Permissions::from_mode(0o755)).unwrap();
        user.own(&keys.join("id"));
        user.own(&keys);
        let session = Built::new(&place, &["python3", "-c", READS, "/shown/id", SECRET]);
        let read = |shown: bool, landlock: Demand| {
            let mut plan = session.plan();
            if shown {
                show(&mut plan, &keys, "/shown");
            }
            plan.inner.landlock.demand = landlock;
            let output = session.run(&plan).run().code(0);
            let _ = fs::remove_file(place.project().join("read-link"));
            output.stdout
        };
        assert_eq!(read(false, Demand::Off), "", "the mounts alone");
        assert_eq!(read(true, Demand::Required), "", "Landlock alone");
        // Control: with neither, every way leads there.
        let all = read(true, Demand::Off);
        assert_eq!(all.lines().count(), WAYS, "{all}");
    }
}

/// Abstract sockets belong to the network namespace: `none` and `allow` hide them, and with the host's network
/// Landlock does.
#[test]
fn promise_h_abstract_sockets_of_the_host_are_out_of_reach() {
    must_have_sandbox();
    must_have(&["python3"]);
    for user in users() {
        let place = Place::new(user);
        let name = place.root().file_name().unwrap().to_str().unwrap();
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let attack = format!(
            "import socket\nfor kind in (1, 2, 5):\n try: socket.socket(1, kind).connect('\\0{name}')\n \
             except OSError: pass"
        );
        let reached = |network: NetworkMode, landlock: Demand| {
            let origin = Origin { layer: LayerKind::User, source: "test".into(), line: 1 };
            let session = Built::new(&place, &["python3", "-c", &attack]);
            let session = session.with(|settings| {
                settings.network.mode = Some(Settled { value: network, origin });
            });
            let mut plan = session.plan();
            plan.inner.landlock.demand = landlock;
            session.run(&plan).run().code(0);
            listener.accept().is_ok()
        };
        assert!(!reached(NetworkMode::None, Demand::Off), "the network namespace alone");
        assert!(!reached(NetworkMode::Allow, Demand::Off), "the same, with rules");
        assert!(!reached(NetworkMode::Host, Demand::Required), "Landlock alone");
        // Control: with neither, somebody connects.
        assert!(reached(NetworkMode::Host, Demand::Off));
    }
}

/// Sockets with a name are files: whoever sees one can connect, read-only or not.
#[test]
fn promise_h_sockets_of_the_host_are_not_there() {
    must_have_sandbox();
    must_have(&["python3"]);
    for user in users() {
        let place = Place::new(user);
        let mut listeners = Vec::new();
        for directory in ["home", "run", "tmp"] {
            let path = place.root().join(directory).join("socket");
            let listener = UnixListener::bind(&path).unwrap();
            listener.set_nonblocking(true).unwrap();
            user.own(&path);
            listeners.push((path, listener));
        }
        let paths: Vec<PathBuf> = listeners.iter().map(|(path, _)| path.clone()).collect();
        let attack = format!(
            "import os, socket\nfor path in {paths:?}:\n for prefix in ('', '/proc/self/root', \
             '/proc/1/root', '/proc/1/cwd/../..'):\n  try: \
             socket.socket(1).connect(prefix + path)\n  except OSError: pass"
        );
        let reached = |session: &Built<'_>| {
            session.output().code(0);
            listeners.iter().filter(|(_, listener)| listener.accept().is_ok()).count()
        };
        let session = Built::new(&place, &["python3", "-c", &attack]);
        assert_eq!(reached(&session), 0);
        // Control: where they are bound, they answer, although the bind is read-only.
        let bound = paths.iter().fold(session, |session, path| session.ro_bind(path, path));
        assert_eq!(reached(&bound), 3);
    }
}

/// What an earlier session leaves in its private home, where the next one has mount points: what to
/// plant, and where. `[OUT]` is a directory of the host, by the name that bwrap sees it under.
const PLANTS: [(&str, &str); 8] = [
    (".config", "link [OUT]"),
    (".config/deep", "link [OUT]"),
    (".config/deep/point", "link [OUT]/new"),
    (".config", "link /proc/self/cwd[OUT]"),
    (".config/deep", "link ../../../../../../../../../../..[OUT]"),
    (".config", "file"),
    (".config/deep/point", "fifo"),
    (".config/deep", "closed"),
];

fn plant(place: &Place, home: &Path, (path, what): (&str, &str), out: &Path) {
    let path = home.join(path);
    fs::create_dir_all(home).unwrap();
    for parent in [&home.join(".config"), &home.join(".config/deep")] {
        if parent != &path && path.starts_with(parent) {
            fs::create_dir_all(parent).unwrap();
        }
    }
    match what.split_once(' ') {
        Some((_, target)) => {
            let out = format!("/oldroot{}", out.display());
            symlink(target.replace("[OUT]", &out), &path).unwrap();
        }
        None if what == "file" => fs::write(&path, "").unwrap(),
        None if what == "fifo" => {
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        None => {
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        }
    }
    for path in path.ancestors().take_while(|path| *path != place.home()) {
        place.user().own(path);
    }
}

#[test]
fn promise_h_what_was_planted_in_the_private_home_leads_nowhere() {
    must_have_sandbox();
    for user in users() {
        let mut made = 0;
        for (index, row) in PLANTS.iter().enumerate() {
            let place = Place::new(user);
            let shown = place.home_file("shown/file", "what is bound");
            let out = place.root().join("out");
            fs::create_dir(&out).unwrap();
            user.own(&out);
            let point = place.home().join(".config/deep/point");
            let script = format!("cat {}/file", point.display());
            let session = Built::new(&place, &["sh", "-c", &script]);
            let session = session.ro_bind(shown.parent().unwrap(), &point);
            let policy = session.policy();
            plant(&place, &policy.private_home, *row, &out);
            let before = tree(&out);
            let output = session.run(&session.plan_of(&policy)).run().code(0);
            assert_eq!(output.stdout, "what is bound", "{row:?}");
            assert_eq!(tree(&out), before, "{row:?}");

            // Control: without the preparation of the home, a link leads bwrap out of it.
            if index < 3 {
                fs::remove_dir_all(&policy.private_home).unwrap();
                plant(&place, &policy.private_home, *row, &out);
                session.run(&session.plan_of(&unprepared(policy))).run();
                made += usize::from(tree(&out) != before);
            }
        }
        let leads = if bwrap::follows_links() { 2 } else { 0 };
        assert_eq!(made, leads, "bwrap makes a mount point where the link leads");
    }
}

/// The same mounts with nothing made ready for them.
fn unprepared(mut policy: Policy) -> Policy {
    policy.prepare.clear();
    policy.mounts.retain(|step| {
        let inside = step.mount.destination();
        !inside.ends_with(".config") && !inside.ends_with(".config/deep")
    });
    policy
}
