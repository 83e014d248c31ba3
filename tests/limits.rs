//! The control group of a session, driven through hand-made plans: by a systemd that is there, or
//! is not, and what becomes of a group that cannot be had.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test says so when it fails")]

mod supervised;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use claudebox::log::event::{Event, Limit};
use claudebox::sandbox::limits::{Group, Limits, Maker};
use claudebox::sandbox::plan::Plan;

use supervised::{Room, plan, users};

/// Does what systemd-run(1) does for who calls it: it becomes the program behind `--`.
const BECOMES_IT: &str = "#!/bin/sh
echo \"$@\" >$XDG_RUNTIME_DIR/asked
while [ \"$1\" != -- ]; do shift; done
shift
exec \"$@\"
";
/// What systemd-run(1) says where no manager answers.
const FAILS: &str = "#!/bin/sh
echo 'Failed to start transient scope unit: Connection refused' >&2
exit 1
";

/// A plan whose processes systemd limits, by a program in this directory.
fn limited(script: &str, directory: &Path, required: bool) -> Plan {
    let program = directory.join("systemd-run");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
    let runtime = Some(directory.into());
    let maker = Maker::Systemd { program: (&*program).into(), runtime };
    let group = Group { maker, memory: None, processes: Some(99), cpu: None };
    let limit = Limit { of: "processes".into(), at_most: 99, by: "systemd".into() };
    let limits = Limits { required, group: Some(group), all: vec![limit] };
    Plan { limits, ..plan(&["/bin/sh", "-c", "env; echo ran"]) }
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
fn systemd_makes_the_group_and_bwrap_gets_no_environment_of_it() {
    for user in users() {
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let room = Room::new(&limited(BECOMES_IT, directory.path(), true), *user);
        let output = room.output();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.ends_with("ran\n") && !said.contains("XDG_RUNTIME_DIR"), "{said}");
        let asked = fs::read_to_string(directory.path().join("asked")).unwrap();
        assert!(asked.contains("--user") && asked.contains("TasksMax=99"), "{asked}");
        assert_eq!(logged(&room), (vec!["systemd".to_owned()], false));
    }
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
            assert!(said.contains("transient scope") || said.contains("/nonexistent"), "{said}");
        }
    }
}
