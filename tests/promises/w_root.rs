//! W, for sessions of root: to the kernel what belongs to root is its own, also where it is the whole machine's.
//! No other user's session can do any of this, so nothing is tried there.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use crate::common::place::Place;
use crate::common::user::User;
use crate::common::{must_have, must_have_sandbox};
use crate::script;

#[test]
fn promise_w_root_changes_no_mode_of_the_kernels_files() {
    must_have_sandbox();
    must_have(&["bwrap"]);
    if !User::Caller.is_root() {
        return;
    }
    let file = "/proc/execdomains";
    let place = Place::new(User::Caller);
    // In a procfs that has not looked before.
    let mode = || {
        let look = ["-pf", "--mount-proc", "stat", "-c", "%a", file];
        place.command("unshare").args(look).run().code(0).stdout
    };
    let before = mode();
    let attack = format!("chmod 600 {file}; echo 5 >/proc/1/oom_score_adj; cat /proc/self/comm");
    script(&place, &[], &attack).run().says("cat");
    assert_eq!(mode(), before);
    // Control: every procfs has the same.
    let bare = ["--unshare-all", "--dev-bind", "/", "/", "--proc", "/proc", "chmod", "600", file];
    place.command("bwrap").args(bare).run().code(0);
    let changed = mode();
    let restore = fs::Permissions::from_mode(0o444);
    fs::set_permissions(file, restore).unwrap();
    assert_eq!((before.trim(), changed.trim()), ("444", "600"));
}

/// Mode and times of a device, and whether it is still one to everybody.
fn state(device: &str) -> (u32, i64, i64) {
    let found = fs::metadata(device).unwrap();
    (found.mode(), found.mtime(), found.ctime())
}

#[test]
fn promise_w_root_changes_no_device_of_the_machine() {
    must_have_sandbox();
    must_have(&["bwrap"]);
    if !User::Caller.is_root() {
        return;
    }
    let place = Place::new(User::Caller);
    let device = "/dev/full";
    let before = state(device);
    // By its name, by a descriptor that was opened inside, and by those that come from outside.
    let attack = format!(
        "chmod 600 {device}; touch {device}; chown 1:1 {device}; chmod 600 /proc/self/fd/0
         chmod 600 /proc/self/fd/1; exec 3<>{device}; chmod 600 /proc/self/fd/3
         echo x > /dev/null && head -c 4 /dev/zero | wc -c >&2; echo x > /dev/full || echo full >&2"
    );
    let binary = place.executable().display();
    let streams = format!("exec {binary} run --no-monitor -- sh -c \"$1\" <{device} >{device}");
    let run = place.command("sh").args(["-c", &streams, "sh", &attack]).run();
    run.complains("4").complains("full");
    assert_eq!(state(device), before);
    // Control: bwrap as it is.
    let bare = ["--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "chmod", "600", device];
    place.command("bwrap").args(bare).run().code(0);
    let changed = state(device);
    fs::set_permissions(device, fs::Permissions::from_mode(0o666)).unwrap();
    assert_ne!(changed, before);
}
