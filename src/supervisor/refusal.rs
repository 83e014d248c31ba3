//! Turns the words of a bwrap that could not set up the sandbox into an error that says what to
//! do. Distributions forbid user namespaces in different ways; each has its own fix.
#![forbid(unsafe_code)]

use crate::error::Error;
use crate::visible::push_visible;

/// What the machine says about user namespaces, read from `/proc/sys` after a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Userns {
    /// `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu 23.10 and later) is 1.
    pub(super) apparmor: bool,
    /// `kernel.unprivileged_userns_clone` (Debian's patch) is 0.
    pub(super) clone_off: bool,
    /// `user.max_user_namespaces` is 0.
    pub(super) none_allowed: bool,
    /// This is inside of a sandbox of ours, which sets `CLAUDEBOX`.
    pub(super) nested: bool,
}

impl Userns {
    pub(super) fn read() -> Self {
        let is = |path: &str, value: &str| {
            std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
        };
        Self {
            apparmor: is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
            clone_off: is("/proc/sys/kernel/unprivileged_userns_clone", "0"),
            none_allowed: is("/proc/sys/user/max_user_namespaces", "0"),
            nested: std::env::var_os("CLAUDEBOX").is_some(),
        }
    }
}

/// The error for what bwrap (or the inner stage, before it could reach us) wrote.
pub(super) fn explain(stderr: &[u8], userns: Userns) -> Error {
    let words = words(stderr);
    let error = Error::launcher(if words.is_empty() {
        "bwrap ended before the sandbox was ready, and did not say why".to_owned()
    } else {
        format!("bwrap could not set up the sandbox: {words}")
    });
    let about_namespaces = [
        // "to creating new namespace" until 0.8, "to create new namespace" since.
        "No permissions to creat",
        "Creating new namespace failed",
        "setting up uid map",
        "loopback: Failed",
        "unshare user ns",
        "Can't mount proc",
    ];
    if about_namespaces.iter().any(|part| words.contains(part)) {
        return namespaces(error, userns);
    }
    if words.contains("Can't find source path") {
        return error
            .hint("a path that the profile or `--bind` names is gone since it was checked");
    }
    if words.contains("execvp") {
        return error.hint(
            "the claudebox program could not be executed inside; is it on a \
                           filesystem that is mounted noexec, or only readable by root?",
        );
    }
    error.hint("`claudebox explain --bwrap` prints the whole bwrap command")
}

fn namespaces(error: Error, userns: Userns) -> Error {
    if userns.nested && userns.apparmor {
        return error.hint(
            "this is inside of a sandbox of claudebox already, and Ubuntu's AppArmor profile of \
             bwrap lets nothing in one make another",
        );
    }
    if userns.nested {
        return error.hint(
            "this is inside of a sandbox of claudebox already: `nested-userns = true` in its \
             profile would let another be made in it",
        );
    }
    if userns.apparmor {
        return error.hint(
            "Ubuntu's AppArmor forbids user namespaces to programs it does not know: install \
             `apparmor-profiles`, then `sudo ln -s /usr/share/apparmor/extra-profiles/\
             bwrap-userns-restrict /etc/apparmor.d/` and `sudo apparmor_parser -r \
             /etc/apparmor.d/bwrap-userns-restrict`",
        );
    }
    if userns.clone_off {
        return error.hint(
            "user namespaces are switched off: `sudo sysctl kernel.unprivileged_userns_clone=1`",
        );
    }
    if error.brief().contains("max_*_namespaces exceeded") {
        return error.hint(
            "no more namespaces are allowed: `sudo sysctl user.max_user_namespaces=15000 \
             user.max_net_namespaces=15000`",
        );
    }
    if userns.none_allowed {
        return error
            .hint("no user namespace is allowed: `sudo sysctl user.max_user_namespaces=15000`");
    }
    error.hint(
        "bwrap needs user namespaces; in a container they are usually forbidden by its seccomp or \
         AppArmor profile (Docker: `--security-opt seccomp=unconfined --security-opt \
         apparmor=unconfined`), and below chroot(8) always (unshare(2))",
    )
}

/// The lines, each without bwrap's name, joined for one line of a terminal.
pub(super) fn words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = |line: &str| {
        let mut shown = String::new();
        line.trim()
            .trim_start_matches("bwrap: ")
            .chars()
            .for_each(|ch| push_visible(&mut shown, ch));
        shown
    };
    text.lines().map(line).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn shown(stderr: &str, userns: Userns) -> String {
        let error = explain(stderr.as_bytes(), userns);
        format!("{error}\n{}", error.hints().join("\n"))
    }

    #[test]
    fn ubuntu_is_named_with_its_fix() {
        let userns = Userns { apparmor: true, ..Userns::default() };
        let text = shown("bwrap: setting up uid map: Permission denied\n", userns);
        assert_snapshot!(text, @r"
        bwrap could not set up the sandbox: setting up uid map: Permission denied
        Ubuntu's AppArmor forbids user namespaces to programs it does not know: install `apparmor-profiles`, then `sudo ln -s /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/` and `sudo apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict`
        ");
    }

    #[test]
    fn each_way_to_forbid_namespaces_has_its_fix() {
        let words = "bwrap: No permissions to creating new namespace, likely because the kernel \
                     does not allow non-privileged user namespaces.";
        let off = shown(words, Userns { clone_off: true, ..Userns::default() });
        assert!(off.contains("unprivileged_userns_clone=1"));
        let none = shown(words, Userns { none_allowed: true, ..Userns::default() });
        assert!(none.contains("max_user_namespaces="));
        let exceeded = "bwrap: Creating new namespace failed: nesting depth or \
                        /proc/sys/user/max_*_namespaces exceeded (ENOSPC)";
        assert!(shown(exceeded, Userns::default()).contains("max_net_namespaces="));
        let nested = shown(words, Userns { nested: true, ..Userns::default() });
        assert!(nested.contains("nested-userns"));
        let ubuntu = Userns { nested: true, apparmor: true, ..Userns::default() };
        assert!(!shown(words, ubuntu).contains("nested-userns"));
        let elsewhere = shown(words, Userns::default());
        assert!(elsewhere.contains("container") && elsewhere.contains("chroot"));
        // bwrap 0.9.
        let newer = "bwrap: No permissions to create new namespace, likely because the kernel does \
                     not allow non-privileged user namespaces.";
        let off = shown(newer, Userns { clone_off: true, ..Userns::default() });
        assert!(off.contains("unprivileged_userns_clone=1"), "{off}");
    }

    #[test]
    fn nothing_foreign_reaches_the_terminal() {
        let text =
            shown("bwrap: Can't find source path /x\x1b]0;y\x07: No such file", Userns::default());
        assert_snapshot!(text, @r"
        bwrap could not set up the sandbox: Can't find source path /x\x1b]0;y\x07: No such file
        a path that the profile or `--bind` names is gone since it was checked
        ");
    }
}
