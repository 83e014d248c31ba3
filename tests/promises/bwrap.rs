//! What the installed bwrap does by itself. A control of what claudebox does against links shows them to
//! lead somewhere only with a bwrap that follows them; which do is asked by trying, for distributions
//! backport.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

/// Whether it makes a mount point where a link in the sandbox leads (CVE-2026-87766).
pub(crate) fn follows_links() -> bool {
    let place = tempfile::tempdir().unwrap();
    let [shown, victim] = ["shown", "victim"].map(|name| place.path().join(name));
    for directory in [&shown, &victim] {
        fs::create_dir(directory).unwrap();
    }
    // bwrap has the host's tree there while it builds the sandbox's.
    let mut led = std::ffi::OsString::from("/oldroot");
    led.push(&victim);
    symlink(led, shown.join("link")).unwrap();
    let mut bwrap = Command::new("bwrap");
    bwrap.arg("--unshare-all").arg("--bind").args([shown.as_os_str(), "/shown".as_ref()]);
    bwrap.args(["--ro-bind", "/usr", "/shown/link/made", "true"]);
    // There is no program to execute in it: it ends once all is mounted, or where a link is refused.
    bwrap.output().unwrap();
    victim.join("made").exists()
}
