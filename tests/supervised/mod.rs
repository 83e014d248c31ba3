//! Starts sessions from hand-made plans, without a profile between, so that a test can leave out
//! one defence; and looks from outside at what lives.
#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::allow_attributes, reason = "which part differs")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use claudebox::bytes::Bytes;
use claudebox::log::event::Event;
use claudebox::plan::limits::{Limits, Rlimits};
use claudebox::plan::{
    Arg, Demand, ErrnoFilter, ExecLog, InnerPlan, Landlock, PLAN_VERSION, Plan, Summary,
};
use claudebox::sandbox::inner::PROGRAM;

/// How long anything may take on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A plan for `argv`: a read-only `/usr`, everything else empty.
pub(crate) fn plan(argv: &[&str]) -> Plan {
    let isolate = "--unshare-all --unshare-user --cap-drop ALL --as-pid-1";
    let mounts = "--ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib \
                  --symlink usr/lib64 /lib64 --proc /proc --dev /dev --tmpfs /tmp";
    let ours = ["--ro-bind", claudebox().to_str().unwrap(), PROGRAM];
    let words = isolate.split_whitespace().chain(mounts.split_whitespace()).chain(ours);
    let list = |list: &[&str]| list.iter().map(|word| Bytes::from(*word)).collect::<Vec<_>>();
    let argv = list(argv);
    Plan {
        version: PLAN_VERSION,
        summary: Summary { agent: argv.clone(), ..Summary::default() },
        prepare: vec![],
        mirrors: vec![],
        git: None,
        bwrap: Bytes::from(bwrap()),
        args: words.map(|word| Arg::Literal(Bytes::from(word))).collect(),
        network: claudebox::network::plan::Network::None,
        limits: Limits::default(),
        inner: InnerPlan {
            version: PLAN_VERSION,
            program: argv[0].clone(),
            argv,
            env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("TERM".into(), "dumb".into())],
            cwd: "/tmp".into(),
            shell: list(&["/bin/sh", "-i"]),
            landlock: Landlock {
                demand: Demand::BestEffort,
                files: true,
                read: list(&["/"]),
                write: list(&["/tmp", "/dev", "/proc"]),
            },
            rlimits: Rlimits::default(),
            errno_filter: ErrnoFilter::All,
            exec_log: ExecLog::Required,
        },
        exec_log: ExecLog::Required,
        verify: true,
    }
}

fn bwrap() -> PathBuf {
    which::which("bwrap").expect("bubblewrap is installed")
}

/// The program under test, where every user can execute it.
pub(crate) fn claudebox() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| reachable(Path::new(env!("CARGO_BIN_EXE_claudebox"))))
}

/// The path itself, or a copy: a checkout may be in a closed home such as /root.
fn reachable(program: &Path) -> PathBuf {
    let open = |path: &Path| fs::metadata(path).is_ok_and(|it| it.permissions().mode() & 1 != 0);
    if program.ancestors().skip(1).all(open) {
        return program.to_owned();
    }
    // One for each checkout, since nobody removes it.
    let directory = Path::new("/var/tmp/claudebox-test-programs");
    fs::create_dir_all(directory).unwrap();
    let built = fs::metadata(program).unwrap();
    let name = program.file_name().unwrap().to_str().unwrap();
    let checkout = fs::metadata(program.parent().unwrap()).unwrap().ino();
    let copy = directory.join(format!("{name}-{checkout}"));
    let fresh = |copy: fs::Metadata| copy.len() == built.len() && copy.mtime() >= built.mtime();
    if !fs::metadata(&copy).is_ok_and(fresh) {
        let new = tempfile::NamedTempFile::new_in(directory).unwrap().into_temp_path();
        // Not by fs::copy: what another thread starts just then would inherit the open file.
        assert!(
            Command::new("cp")
                .arg("--preserve=mode")
                .arg(program)
                .arg(&new)
                .status()
                .unwrap()
                .success()
        );
        new.persist(&copy).unwrap();
    }
    copy
}

/// The program that runs a plan.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| example("supervise"))
}

/// One of the programs in `examples`. `cargo test --test NAME` does not build them, so this does.
pub(crate) fn example(name: &str) -> PathBuf {
    let bin = Path::new(env!("CARGO_BIN_EXE_claudebox")).parent().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--example", name]);
    if bin.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success());
    reachable(&bin.join("examples").join(name))
}

/// Whether a sandbox in a sandbox cannot be had whatever the plan says: Ubuntu's AppArmor profile of bwrap
/// leaves what it starts without capabilities in any user namespace.
pub(crate) fn nesting_is_forbidden() -> bool {
    let restricted = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
    fs::read_to_string(restricted).is_ok_and(|text| text.trim() == "1")
}

/// Who runs a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum User {
    /// Whoever runs the tests.
    Current,
    /// uid and gid 65534, where root runs the tests: another kernel path than root's.
    Nobody,
}

/// All that can be tried here.
pub(crate) fn users() -> &'static [User] {
    if rustix::process::geteuid().is_root() {
        &[User::Current, User::Nobody]
    } else {
        &[User::Current]
    }
}

/// The directory of one session: its plan, its socket, its events.
#[derive(Debug)]
pub(crate) struct Room {
    dir: tempfile::TempDir,
    user: User,
}

impl User {
    /// Makes the command run as this user.
    pub(crate) fn apply(self, command: &mut Command) {
        if let Self::Nobody = self {
            command.uid(65534).gid(65534);
        }
    }
}

impl Room {
    pub(crate) fn new(plan: &Plan, user: User) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Another user runs the session; in life the directory is its own and 0700.
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(dir.path(), open).unwrap();
        fs::write(dir.path().join("plan"), serde_json::to_vec(plan).unwrap()).unwrap();
        Self { dir, user }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The supervisor, in a process session of its own, so that all it starts can be found again.
    pub(crate) fn command(&self, terminal: &str) -> Command {
        let mut command = Command::new("setsid");
        if terminal == "own" || terminal == "tty" {
            command.arg("--ctty");
        }
        let terminal = if terminal == "own" { "own" } else { "users" };
        command.args([program(), &self.path().join("plan"), self.path()]);
        command.arg(self.path().join("events")).arg(terminal).current_dir("/");
        self.user.apply(&mut command);
        command
    }

    pub(crate) fn spawn(&self) -> Child {
        let mut command = self.command("users");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    pub(crate) fn output(&self) -> Output {
        self.command("users").stdin(Stdio::null()).output().unwrap()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        let text = fs::read_to_string(self.path().join("events")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Runs a plan to its end.
pub(crate) fn output(plan: &Plan) -> Output {
    Room::new(plan, User::Current).output()
}

/// Waits until it is so.
pub(crate) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(5));
    }
}

/// One process, as `/proc` shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) session: i32,
    pub(crate) name: String,
    pub(crate) cmdline: String,
}

/// Everything alive; zombies are not.
pub(crate) fn processes() -> BTreeSet<Process> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        entry.unwrap().file_name().to_str().and_then(|name| name.parse::<i32>().ok())
    });
    pids.filter_map(process).collect()
}

fn process(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, tail) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    if fields[0] == "Z" || fields[0] == "X" {
        return None;
    }
    let cmdline = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(Process {
        pid,
        parent: fields[1].parse().ok()?,
        session: fields[3].parse().ok()?,
        name: head.split_once('(')?.1.to_owned(),
        cmdline: String::from_utf8_lossy(&cmdline).replace('\0', " "),
    })
}
