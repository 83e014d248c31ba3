//! The judge: lays out a scene of its own, has the attacker run in it as a session of the profile
//! would, and looks at the host afterwards. All that it makes goes away again.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;

use super::act::{Act, Answer, CODE, ORDERS};
use super::attempt::Attempt;
use super::judge::{Outside, judge};
use super::list::{self, VARIABLE};
use super::report::{self, Line};
use super::scene::Scene;
use crate::doctor::{failure, own_command};
use crate::error::{Result, Tried as _, printed};
use crate::host::Host;
use crate::log::event::{Confined, Event};
use crate::log::reader::{Entry, Reader};
use crate::network::gateway::LESSER;
use crate::policy::invocation::{Invocation, ProfileChoice};
use crate::policy::paths::Variables;
use crate::profile::config::Config;
use crate::profile::origin::Settled;
use crate::profile::schema::{ExecLog, HostFiles};
use crate::sandbox::inner;
use crate::visible::visible_path;

/// Something that is promised did not hold.
const LOST: u8 = 1;
/// The first Landlock ABI with scopes (landlock(7)).
const ABI_SCOPES: u32 = 6;

/// Attacks, and says what held. Answers with 0 where everything that is promised did, else with 1.
///
/// # Errors
/// When the sandbox cannot be started at all.
pub fn attack(profile: Option<&Path>, host: &Host, out: &mut dyn Write) -> Result<u8> {
    let stage = Stage::build(host)?;
    let mut scene = stage.scene(profile, host)?;
    let attempts = list::attempts(&scene);
    let acts: Vec<&Act> = attempts.iter().map(|attempt| &attempt.act).collect();
    let orders = serde_json::to_vec(&acts).tried(|| "write the attacker's list")?;
    write(&stage.project().join(ORDERS), &orders)?;
    let (code, answers) = stage.run(profile, host)?;
    let seen = stage.seen().tried(|| "read the log of the attack")?;
    // What scopes there are is known when the sandbox has run.
    scene.scoped = seen.scoped;
    let attempts = list::attempts(&scene);
    let judged = attempts.iter().enumerate().map(|(number, attempt)| Line {
        promise: attempt.promise,
        verdict: judge(attempt, answers.get(&number), &seen),
        what: attempt.what.clone(),
    });
    let mut lines: Vec<Line> = judged.collect();
    attempts.iter().filter_map(Attempt::planted).for_each(|path| {
        // Only where the sandbox did not hold is there anything; it is the attacker's own.
        let _ = fs::remove_file(path);
    });
    lines.push(report::exit_code(code, CODE));
    lines.push(report::litter(&names(&stage.project())?, &list::remains(&scene)));
    printed(report::write(&lines, out))?;
    Ok(if lines.iter().all(Line::is_fine) { 0 } else { LOST })
}

/// What the judge has laid out; all of it goes away with it.
struct Stage {
    /// Holds the project, and nothing else. In /var/tmp: /tmp is private inside, and what is written
    /// beside a project there would look like an escape without being one.
    outer: TempDir,
    /// The sessions of the attack, apart from the user's.
    state: TempDir,
    /// In the home.
    secret: TempDir,
    listener: TcpListener,
    /// Lives as long as anybody may connect.
    _abstract: UnixListener,
    name: String,
}

impl Stage {
    fn build(host: &Host) -> Result<Self> {
        let temporary = |prefix: &str, directory: &Path| {
            tempfile::Builder::new()
                .prefix(prefix)
                .tempdir_in(directory)
                .tried(|| format!("make a directory in {}", visible_path(directory)))
        };
        let outer = temporary("claudebox-attack-", Path::new("/var/tmp"))?;
        let state = temporary("claudebox-attack-state-", Path::new("/var/tmp"))?;
        let secret = temporary(".claudebox-attack-", &host.home)?;
        let name = format!("attack-{}", names_apart(&outer, &secret));
        let listener = TcpListener::bind("127.0.0.1:0").tried(|| "listen on the loopback")?;
        let abstract_socket = SocketAddr::from_abstract_name(&name)
            .and_then(|address| UnixListener::bind_addr(&address))
            .tried(|| "listen on an abstract socket")?;
        let laid_out = Self { outer, state, secret, listener, _abstract: abstract_socket, name };
        write(&laid_out.secret_file(), b"a secret of claudebox doctor\n")?;
        let git = laid_out.project().join(".git");
        for directory in ["hooks", "info", "objects", "refs/heads"] {
            let directory = git.join(directory);
            fs::create_dir_all(&directory)
                .tried(|| format!("make {}", visible_path(&directory)))?;
        }
        write(&git.join("HEAD"), b"ref: refs/heads/main\n")?;
        write(&git.join("config"), b"[core]\n\trepositoryformatversion = 0\n\tbare = false\n")?;
        Ok(laid_out)
    }

    fn project(&self) -> PathBuf {
        self.outer.path().join("project")
    }

    fn secret_file(&self) -> PathBuf {
        self.secret.path().join("secret")
    }

    /// What is promised to whom, by the profile and this machine.
    fn scene(&self, profile: Option<&Path>, host: &Host) -> Result<Scene> {
        let config = Config::load(host)?;
        let project = self.project();
        let invocation = Invocation {
            profile: profile
                .map_or(ProfileChoice::ForCommand, |name| ProfileChoice::Named(name.to_owned())),
            argv: vec![inner::PROGRAM.into(), "__attack".into()],
            project: Some(project.clone()),
            ..Invocation::default()
        };
        let (settings, policy) = crate::settle(&invocation, &config, host)?;
        let variables = Variables { home: &host.home, project: &project, start: Path::new("") };
        let paths = |list: &[Settled<String>]| -> Result<Vec<PathBuf>> {
            list.iter().map(|path| variables.path(path)).collect()
        };
        let address = self.listener.local_addr().tried(|| "listen on the loopback")?;
        Ok(Scene {
            home: host.home.clone(),
            secret: self.secret_file(),
            name: self.name.clone(),
            endpoint: address.to_string(),
            network: policy.network.value.clone(),
            scoped: false,
            logged: policy.exec_log.value == ExecLog::Required,
            nested: policy.nested_userns.value,
            set_aside: policy.host_files.value != HostFiles::Report,
            private_git: policy.private_git.is_some(),
            must_not_read: paths(&settings.must_not_read)?,
            must_write: paths(&settings.must_write)?,
            must_not_reach: settings.must_not_reach.iter().map(|to| to.value.clone()).collect(),
            project,
        })
    }

    /// Runs the attacker; its exit code, and its answers by their numbers.
    fn run(
        &self,
        profile: Option<&Path>,
        host: &Host,
    ) -> Result<(Option<i32>, BTreeMap<usize, Answer>)> {
        let mut command = own_command(host);
        command.args(["run", "--no-monitor", "--project"]).arg(self.project());
        if let Some(profile) = profile {
            command.arg("--profile").arg(profile);
        }
        let output = command
            .args(["--", inner::PROGRAM, "__attack"])
            .env("XDG_STATE_HOME", self.state.path())
            .env(VARIABLE, "a secret of claudebox doctor")
            .stdin(Stdio::null())
            .output()
            .tried(|| format!("execute {}", visible_path(&host.executable)))?;
        let lines = output.stdout.split(|byte| *byte == b'\n');
        let answers: BTreeMap<usize, Answer> = lines
            .filter_map(|line| serde_json::from_slice::<Answer>(line).ok())
            .map(|answer| (answer.number, answer))
            .collect();
        if answers.is_empty() {
            return Err(failure(&output.stderr));
        }
        Ok((output.status.code(), answers))
    }

    /// What the log of the attack tells.
    fn seen(&self) -> io::Result<Seen> {
        let mut seen = Seen::default();
        let mut sessions = fs::read_dir(self.state.path().join("claudebox/sessions"))?;
        let session = sessions.next().ok_or_else(|| io::Error::other("there is none"))??;
        let mut reader = Reader::open(&session.path())?;
        while let Some(entry) = reader.next_entry()? {
            let Entry::Event(event, _) = entry else { continue };
            match *event {
                Event::Confined(Confined { landlock, landlock_abi, .. }) => {
                    seen.scoped = landlock == "fully" && landlock_abi >= ABI_SCOPES;
                }
                Event::Notice(notice) if notice.kind == LESSER => seen.lesser = true,
                Event::Refused(refused) => {
                    seen.refused.insert(refused.host.to_ascii_lowercase());
                }
                Event::Exec(exec) => {
                    let words = exec.argv.iter();
                    seen.words
                        .extend(words.map(|word| String::from_utf8_lossy(&word.0).into_owned()));
                }
                _ => {}
            }
        }
        Ok(seen)
    }
}

/// What can be told apart of two random names.
fn names_apart(outer: &TempDir, secret: &TempDir) -> String {
    let end = |directory: &TempDir| {
        let name = directory.path().to_string_lossy().into_owned();
        name.rsplit('-').next().unwrap_or_default().to_owned()
    };
    format!("{}{}", end(outer), end(secret))
}

/// See [`Outside`].
#[derive(Debug, Default)]
struct Seen {
    /// All words of all commands.
    words: Vec<String>,
    /// Hosts that were refused.
    refused: BTreeSet<String>,
    /// There is no gateway that sees whatever is tried.
    lesser: bool,
    /// Landlock keeps the host's abstract sockets out of reach.
    scoped: bool,
}

impl Outside for Seen {
    fn is_there(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    fn identity(&self, path: &Path) -> Option<(u64, u64)> {
        let stat = path.metadata().ok()?;
        Some((stat.dev(), stat.ino()))
    }

    fn is_logged(&self, seconds: u32) -> bool {
        self.words.contains(&seconds.to_string())
    }

    fn is_told(&self, host: &str) -> bool {
        self.lesser || self.refused.contains(&host.to_ascii_lowercase())
    }

    fn lives(&self, seconds: u32) -> bool {
        let wanted = format!("sleep\0{seconds}\0");
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut commands =
            processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        commands.any(|command| command == wanted.as_bytes())
    }
}

fn names(directory: &Path) -> Result<Vec<String>> {
    let read = fs::read_dir(directory).tried(|| format!("read {}", visible_path(directory)))?;
    let mut names: Vec<String> =
        read.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).tried(|| format!("write {}", visible_path(path)))
}
