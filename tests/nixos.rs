//! claudebox on a machine that is laid out like NixOS: no /lib, no /lib64, nothing in /usr but env, the
//! system a link into the store, and every program there. The machine is made of this one's programs: they
//! are copied into a store of the test's own, with a dynamic linker of that store, and run in a mount
//! namespace in which there is nothing else.
#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::place::Place;
use common::run::Run;
use common::user::users;

/// Where the dynamic linker is on the machine: no longer than where any program looks for it now.
const LINKER: &str = "/nix/store/l-libs/ld.so";
/// The directory of all libraries.
const LIBRARIES: &str = "/nix/store/l-libs";
/// What is in the user's PATH there: no git, so that the sessions here have no private git directory.
const PROGRAMS: [&str; 6] = ["bash", "bwrap", "cat", "env", "ls", "mkdir"];

/// A store and an /etc, to be bound.
struct Machine<'p> {
    place: &'p Place,
    root: PathBuf,
}

impl<'p> Machine<'p> {
    fn new(place: &'p Place) -> Self {
        common::must_have(&["bash", "bwrap", "ldd", "ldconfig"]);
        let machine = Self { place, root: place.root().join("nixos") };
        for directory in [
            "nix/store/l-libs",
            "nix/store/p-path/bin",
            "nix/store/c-claudebox/bin",
            "nix/store/s-system",
            "nix/store/e-etc",
            "nix/var/nix/daemon-socket",
            "etc",
            "run/wrappers/bin",
        ] {
            fs::create_dir_all(machine.root.join(directory)).unwrap();
        }
        let mut libraries = BTreeSet::new();
        for name in PROGRAMS {
            let program = fs::canonicalize(common::program(name).unwrap()).unwrap();
            machine.install(&program, &format!("nix/store/p-path/bin/{name}"), &mut libraries);
        }
        let claudebox = place.executable().to_owned();
        machine.install(&claudebox, "nix/store/c-claudebox/bin/claudebox", &mut libraries);
        for library in &libraries {
            let name = library.file_name().unwrap();
            fs::copy(library, machine.root.join("nix/store/l-libs").join(name)).unwrap();
        }
        symlink("bash", machine.root.join("nix/store/p-path/bin/sh")).unwrap();
        symlink("/nix/store/p-path", machine.root.join("nix/store/s-system/sw")).unwrap();
        fs::write(machine.root.join("run/wrappers/bin/sudo"), "").unwrap();
        machine.etc();
        machine
    }

    /// Copies a program, and notes what it is linked with.
    fn install(&self, program: &Path, to: &str, libraries: &mut BTreeSet<PathBuf>) {
        let told = Command::new("ldd").arg(program).output().unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        let paths = told.split_whitespace().filter(|word| word.starts_with('/'));
        let paths: Vec<&str> = paths.filter(|path| Path::new(path).is_file()).collect();
        libraries.extend(paths.iter().map(PathBuf::from));
        let linker = paths.iter().find(|path| path.contains("/ld-")).unwrap();
        let own = fs::copy(linker, self.root.join("nix").join(&LINKER["/nix/".len()..]));
        own.unwrap();
        let mut bytes = fs::read(program).unwrap();
        let asked = format!("{linker}\0");
        assert!(LINKER.len() < asked.len(), "{linker}");
        let at = bytes.windows(asked.len()).position(|window| window == asked.as_bytes()).unwrap();
        bytes[at..at + asked.len()].fill(0);
        bytes[at..at + LINKER.len()].copy_from_slice(LINKER.as_bytes());
        let copy = self.root.join(to);
        fs::write(&copy, bytes).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What of /etc there is; every other file a link to /etc/static.
    fn etc(&self) {
        let etc = self.root.join("etc");
        fs::write(etc.join("ld.so.conf"), format!("{LIBRARIES}\n")).unwrap();
        let made = Command::new(common::program("ldconfig").unwrap())
            .arg("-X")
            .arg("-r")
            .arg(&self.root)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        fs::copy("/etc/passwd", etc.join("passwd")).unwrap();
        fs::copy("/etc/group", etc.join("group")).unwrap();
        fs::write(etc.join("resolv.conf"), "").unwrap();
        fs::write(etc.join("shadow"), "secret").unwrap();
        fs::write(self.root.join("nix/store/e-etc/profile"), "# of NixOS\n").unwrap();
        symlink("/nix/store/e-etc", etc.join("static")).unwrap();
        symlink("/etc/static/profile", etc.join("profile")).unwrap();
    }

    /// claudebox there.
    fn claudebox(&self, arguments: &[&str]) -> Run {
        let at = |path: &str| self.root.join(path).to_str().unwrap().to_owned();
        let place = self.place.root().to_str().unwrap();
        let sw = "/run/current-system/sw/bin";
        self.place
            .command("bwrap")
            .args(["--bind", &at("nix"), "/nix", "--bind", &at("etc"), "/etc"])
            .args(["--ro-bind", &at("run/wrappers"), "/run/wrappers"])
            .args(["--symlink", "/nix/store/s-system", "/run/current-system"])
            .args(["--symlink", &format!("{sw}/sh"), "/bin/sh"])
            .args(["--symlink", &format!("{sw}/env"), "/usr/bin/env"])
            .args([
                "--dev-bind",
                "/dev",
                "/dev",
                "--bind",
                "/proc",
                "/proc",
                "--dev-bind",
                "/sys",
                "/sys",
            ])
            .args(["--tmpfs", "/tmp", "--bind", place, place])
            .args(["--chdir", self.place.project().to_str().unwrap()])
            .args([
                "--setenv",
                "PATH",
                &format!("/run/wrappers/bin:{sw}"),
                "--setenv",
                "SHELL",
                "/bin/sh",
            ])
            .args(["/nix/store/c-claudebox/bin/claudebox"])
            .args(arguments)
    }
}

#[test]
fn everything_is_found_where_nixos_has_it() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let machine = Machine::new(&place);
        let script = "#!/usr/bin/env sh\nread line < /etc/profile; echo \"$line\"\n";
        let file = place.project_file("script", script);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let look = "./script; command -v cat; echo $0; echo written > here; mkdir /tmp/x && ls /tmp
            for path in /lib /lib64 /etc/shadow /run/wrappers /nix/var/nix/daemon-socket; do
              test -e $path && echo \"there: $path\"; done; ls /; exit 3";
        let output = machine
            .claudebox(&["run", "--no-monitor", "--git", "shared", "--", "sh", "-c", look])
            .run()
            .code(3);
        let sw = "/run/current-system/sw/bin";
        let expected =
            format!("# of NixOS\n{sw}/cat\nsh\nx\nbin\ndev\netc\nnix\nproc\nrun\ntmp\nusr\nvar\n");
        assert_eq!(output.stdout, expected, "{}", output.stderr);
        assert_eq!(fs::read_to_string(place.project().join("here")).unwrap(), "written\n");
        // A private store has of this one what it needs; here nobody can say what that is.
        place.home_file(".config/claudebox/profiles/default.toml", "nix = \"private\"\n");
        let refused = machine
            .claudebox(&["run", "--no-monitor", "--git", "shared", "--", "sh", "-c", "true"])
            .run();
        refused.code(125).complains("there is no nix-store on PATH").complains("nix = \"store\"");
    }
}
