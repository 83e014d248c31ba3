//! A machine with another one behind a link, in namespaces of its own: no rule and no address of the
//! machine that measures plays a part, and nothing of it is left when it is dropped.

use std::ffi::OsString;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::place::Place;
use crate::common::program;
use crate::common::run::Started;
use crate::launchers::Launcher;
use crate::workbench::{compile, succeeded};

/// The other machine's name and address, and where it serves; at this port the first one does, too,
/// on its loopback.
pub(crate) const NAME: &str = "server.bench.example";
pub(crate) const ADDRESS: &str = "10.77.0.2";
pub(crate) const PORT: &str = "7777";
/// How long all of it may take to be there.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than anything measured in it.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// See the top of this file.
pub(crate) struct World {
    running: Started,
    /// Both ends of what is measured.
    pub(crate) program: String,
}

impl World {
    /// Makes it.
    ///
    /// # Errors
    /// When a program for that is missing, or the kernel refuses such namespaces.
    pub(crate) fn new(place: &Place) -> Result<Self, String> {
        for needed in ["ip", "unshare", "nsenter"] {
            program(needed).ok_or_else(|| format!("{needed} is not installed"))?;
        }
        let program = compile(place, "net", include_str!("net.c"))?;
        let script = place.project_file("world.sh", include_str!("network-world.sh"));
        let [hosts, ready] = ["world-hosts", "world-ready"].map(|name| place.project().join(name));
        let run = place
            .command("unshare")
            .args(["--net", "--mount"])
            .args(own_user("--map-root-user"))
            .args([Path::new("sh"), &script, Path::new(&program), &hosts])
            .args([NAME, ADDRESS, PORT])
            .args([&ready]);
        let running = run.deadline(DAY).start();
        let until = Instant::now() + PATIENCE;
        while !ready.exists() {
            if !Path::new(&format!("/proc/{}/ns/net", running.pid())).exists() {
                succeeded(running.wait())?;
                return Err("the network of the benchmark has ended".to_owned());
            }
            if Instant::now() > until {
                return Err("the network of the benchmark is not there in time".to_owned());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(Self { running, program })
    }

    /// What starts a program in it, in front of the program's own words.
    fn enter(&self, place: &Place) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["nsenter".into(), "--target".into()];
        words.push(self.running.pid().to_string().into());
        words.extend(["--net", "--mount"].map(OsString::from));
        words.extend(own_user("--user").map(OsString::from));
        words.extend(own_user("--preserve-credentials").map(OsString::from));
        let mut directory = OsString::from("--wdns=");
        directory.push(place.project());
        words.push(directory);
        words
    }

    /// A program of the first machine's, in no sandbox.
    pub(crate) fn direct(&self, place: &Place, name: &str) -> Launcher {
        Launcher::new(name, self.enter(place))
    }

    /// What is started there instead of here.
    pub(crate) fn holds(&self, place: &Place, launcher: &Launcher) -> Launcher {
        launcher.behind(self.enter(place))
    }
}

/// Who is not root becomes it in a user namespace.
fn own_user(option: &str) -> Option<&str> {
    (!rustix::process::geteuid().is_root()).then_some(option)
}
