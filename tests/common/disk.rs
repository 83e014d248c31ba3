//! A file system of a test's own, in the place of one of its directories and as small as it wants:
//! what is full there is full for the kernel, and nothing else of the machine is.

use std::ffi::OsString;
use std::path::Path;

use super::place::Place;
use super::run::Output;
use super::user::User;

/// Runs a script of the place's user where this directory is a tmpfs with these options of mount(8)
/// (`size=`, `nr_inodes=`). `claudebox` in the script is the program under test.
pub(crate) fn on_a_small_disk(
    place: &Place,
    directory: &Path,
    options: &str,
    script: &str,
) -> Output {
    // A mount namespace needs a privilege, which an ordinary caller has in a user namespace.
    let (unshare, uid, gid): (&[&str], _, _) = match place.user() {
        User::Unprivileged { uid, gid } => (&["--mount"], uid, gid),
        User::Caller if nix::unistd::Uid::effective().is_root() => (&["--mount"], 0, 0),
        User::Caller => (&["--mount", "--user", "--map-root-user"], 0, 0),
    };
    let (uid, gid) = (uid.to_string(), gid.to_string());
    let mount = "mount -t tmpfs -o $1,mode=700,uid=$2,gid=$3 tmpfs \"$0\" && shift 3 && \
                 cd \"$PWD\" && exec \"$@\"";
    let script = with_program(place, script);
    let mut words: Vec<OsString> = unshare.iter().map(Into::into).collect();
    words.extend(["sh", "-c", mount].map(Into::into));
    words.push(directory.into());
    words.extend([options, &uid, &gid].map(Into::into));
    if let User::Unprivileged { .. } = place.user() {
        words.extend(
            ["setpriv", "--reuid", &uid, "--regid", &gid, "--clear-groups"].map(Into::into),
        );
    }
    words.extend(["sh", "-c", &script].map(Into::into));
    place.command_as_caller("unshare").args(words).run()
}

/// The script with a function `claudebox`, which is the program under test.
pub(crate) fn with_program(place: &Place, script: &str) -> String {
    format!("claudebox() {{ '{}' \"$@\"; }}\n{script}", place.executable().display())
}
