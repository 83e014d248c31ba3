//! Plans in life: what the pure core decided is given to the real bwrap, with `/bin/sh` in the
//! place of the inner stage, and judged from inside and from outside.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says so when it fails")]

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::fd::{IntoRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use claudebox::bytes::Bytes;
use claudebox::dirs::Dirs;
use claudebox::host::{Disk, Host};
use claudebox::plan::{Arg, FdSource, Plan, Prepare};
use claudebox::policy::invocation::{BindArgument, Invocation};
use claudebox::policy::mount::{Access, Class, Mount, Step};
use claudebox::policy::project;
use claudebox::policy::{Policy, resolve};
use claudebox::profile::origin::{LayerKind, Origin, Settled};
use claudebox::profile::schema::{Git, NetworkMode};
use claudebox::profile::settings::{NetworkSettings, Settings};
use claudebox::sandbox::compile;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

/// A home with a project and things that are nobody's business.
struct Scene {
    _tmp: tempfile::TempDir,
    home: PathBuf,
    project: PathBuf,
    settings: Settings,
    invocation: Invocation,
}

fn said<T>(value: T) -> Settled<T> {
    let origin = Origin { layer: LayerKind::BuiltIn, source: "test".into(), line: 1 };
    Settled { value, origin }
}

fn list(values: &[&str]) -> Vec<Settled<String>> {
    values.iter().map(|value| said((*value).to_owned())).collect()
}

impl Scene {
    fn new() -> Self {
        Self::named("p".into())
    }

    fn named(name: OsString) -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(tmp.path()).unwrap().join("home");
        let project = home.join("src").join(name);
        fs::create_dir_all(project.join("sub dir")).unwrap();
        fs::create_dir_all(home.join(".ssh")).unwrap();
        fs::create_dir_all(home.join(".agent/hooks")).unwrap();
        fs::write(home.join(".ssh/id"), "SECRET").unwrap();
        fs::write(
            home.join(".gitconfig"),
            "[user]\nname = A \"B\"\nemail = a@b\n[alias]\nx = !id\n",
        )
        .unwrap();
        let git = Command::new("git").args(["init", "-q"]).current_dir(&project).status();
        assert!(git.unwrap().success());
        let settings = Settings {
            name: "test".into(),
            system: list(&[
                "/usr",
                "/bin",
                "/sbin",
                "/lib",
                "/lib64",
                "/etc/passwd",
                "/etc/alternatives",
                "/etc/ld.so.cache",
                "/etc/resolv.conf",
                "/nix/store",
                "/run/current-system",
            ]),
            network: NetworkSettings {
                mode: Some(said(NetworkMode::None)),
                ..NetworkSettings::default()
            },
            tmp_size: Some(said(1 << 20)),
            run_size: Some(said(1 << 20)),
            pass: list(&["TERM"]),
            ..Settings::default()
        };
        Self { _tmp: tmp, home, project, settings, invocation: Invocation::default() }
    }

    fn host(&self) -> Host {
        let mut host = Host::probe().unwrap();
        host.home.clone_from(&self.home);
        host.environment.insert("HOME".into(), self.home.clone().into());
        host.cwd = self.project.join("sub dir");
        host.dirs = Dirs {
            config: self.home.join(".config/claudebox"),
            state: self.home.join(".local/state/claudebox"),
            cache: self.home.join(".cache/claudebox"),
            runtime: self.home.join(".local/state/claudebox/run"),
        };
        host
    }

    fn policy(&self, script: &str) -> (Policy, Plan) {
        let host = self.host();
        let mut invocation = self.invocation.clone();
        invocation.argv = ["sh", "-c", script].map(OsString::from).to_vec();
        let project = project::find(None, &host, &Disk).unwrap();
        let policy = resolve(&self.settings, &invocation, &host, &project, &Disk)
            .unwrap_or_else(|err| panic!("{err} {:?}", err.hints()));
        let plan = compile::plan(&policy, &host).unwrap();
        (policy, plan)
    }

    /// Runs a shell script inside, and answers with what it printed.
    fn run(&self, script: &str) -> String {
        let (_, plan) = self.policy(script);
        let output = start(&plan);
        assert!(output.stderr.is_empty() || output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether a script succeeds inside.
    fn succeeds(&self, script: &str) -> bool {
        let output = start(&self.policy(script).1);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!complaint.contains("bwrap:"), "{complaint}");
        output.status.success()
    }
}

/// What the supervisor does with a plan, without its defences.
fn start(plan: &Plan) -> Output {
    plan.prepare.iter().for_each(prepare);
    let mut bwrap = Command::new(plan.bwrap.as_path());
    for arg in &plan.args {
        match arg {
            Arg::Literal(bytes) => bwrap.arg(bytes.as_os_str()),
            Arg::Session(path) => panic!("no session has {path:?}"),
            Arg::Fd(source) => bwrap.arg(open(source).into_raw_fd().to_string()),
        };
    }
    let env = plan.inner.env.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()));
    bwrap
        .arg("--")
        .arg(plan.inner.program.as_os_str())
        .args(plan.inner.argv[1..].iter().map(Bytes::as_os_str))
        .env_clear()
        .envs(env)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Opens a descriptor that bwrap inherits.
fn open(source: &FdSource) -> OwnedFd {
    match source {
        FdSource::Data(bytes) => {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes.0).unwrap();
            let fd = OwnedFd::from(file);
            rustix::fs::seek(&fd, rustix::fs::SeekFrom::Start(0)).unwrap();
            rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::empty()).unwrap();
            fd
        }
        FdSource::Session(path) => panic!("no session has {path:?}"),
        FdSource::Content(path) => {
            rustix::fs::open(path.as_path(), OFlags::RDONLY, Mode::empty()).unwrap()
        }
        FdSource::Path { beneath, path } => {
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let root = rustix::fs::open(beneath.as_path(), flags, Mode::empty()).unwrap();
            if path.0.is_empty() {
                return root;
            }
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            rustix::fs::openat2(root, path.as_path(), OFlags::PATH, Mode::empty(), resolve)
                .unwrap_or_else(|err| panic!("{beneath:?} {path:?}: {err}"))
        }
    }
}

fn prepare(step: &Prepare) {
    let at = |root: &Bytes, path: &Bytes| root.as_path().join(path.as_path());
    match step {
        Prepare::Directory { root, path } | Prepare::Empty { root, path, .. } => {
            fs::create_dir_all(at(root, path)).unwrap();
        }
        Prepare::File { root, path, content } => {
            let path = at(root, path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &content.0).unwrap();
        }
        Prepare::MountPoint { root, path } => {
            let path = at(root, path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::File::create(path).unwrap();
        }
        Prepare::CreateMissing { root, path, content } => {
            let path = at(root, path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match content {
                Some(content) if !path.exists() => fs::write(path, &content.0).unwrap(),
                Some(_) => {}
                None => fs::create_dir_all(path).unwrap(),
            }
        }
        Prepare::Home { .. } => {}
        Prepare::Remove { root, path } => {
            let path = at(root, path);
            let _ = rustix::fs::unlinkat(CWD, &path, rustix::fs::AtFlags::empty());
        }
    }
}

/// Everything below a directory: path, kind, size.
fn listing(dir: &Path) -> Vec<String> {
    let output = Command::new("find").arg(dir).args(["-printf", "%P %y %s\\n"]).output().unwrap();
    let mut lines: Vec<String> =
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn the_session_starts_where_the_caller_stands() {
    let scene = Scene::new();
    assert_eq!(scene.run("pwd"), format!("{}\n", scene.project.join("sub dir").display()));
    assert_eq!(
        scene.run("echo $HOME; ls -A $HOME"),
        format!("{}\n.gitconfig\n.zshrc\nsrc\n", scene.home.display())
    );
}

#[test]
fn only_the_project_the_home_and_scratch_can_be_written() {
    let scene = Scene::new();
    let before = listing(&scene.home.join(".ssh"));
    let tried = scene.run(
        "for dir in . .. ../.. $HOME /tmp /var/tmp /dev/shm /run / /usr /etc /dev /run/claudebox /proc/sys \
         /home /var; do echo x 2>/dev/null >$dir/written && echo $dir; done; \
         echo x >$HOME/.ssh/id 2>/dev/null || mkdir $HOME/.ssh && echo y >$HOME/.ssh/id",
    );
    assert_eq!(
        tried.split_whitespace().collect::<Vec<_>>(),
        [".", "..", scene.home.to_str().unwrap(), "/tmp", "/var/tmp", "/dev/shm"]
    );
    assert!(scene.project.join("sub dir/written").exists());
    assert!(!scene.home.join("written").exists(), "the home inside is another");
    assert_eq!(listing(&scene.home.join(".ssh")), before);
    assert_eq!(fs::read(scene.home.join(".ssh/id")).unwrap(), b"SECRET");
    assert_eq!(scene.run("cat $HOME/written"), "x\n", "it persists");
}

#[test]
fn the_mounts_inside_are_those_of_the_policy() {
    let scene = Scene::new();
    let script = "while read -r a b c d path options rest; do echo \"$path ${options%%,*}\"; \
                  done </proc/self/mountinfo";
    let (policy, plan) = scene.policy(script);
    let output = String::from_utf8(start(&plan).stdout).unwrap();
    let writable = output.lines().filter_map(|line| line.strip_suffix(" rw"));
    // The devices of --dev, and procfs' own.
    let writable = writable.filter(|path| !path.starts_with("/dev/") || *path == "/dev/shm");
    let mut writable: Vec<PathBuf> = writable.map(PathBuf::from).collect();
    let sealed = |path: &Path| {
        let seals = |step: &Step| matches!(&step.mount, Mount::RemountReadOnly { destination } if destination == path);
        policy.mounts.iter().any(seals)
    };
    let mut meant: Vec<PathBuf> = policy.mounts.iter().filter_map(written).collect();
    meant.retain(|path| !sealed(path));
    writable.sort();
    meant.sort();
    assert_eq!(writable, meant);
    // The second layer names the outermost.
    let rules: Vec<&Path> = policy.landlock.write.iter().map(Bytes::as_path).collect();
    for path in meant {
        assert!(rules.iter().any(|rule| path.starts_with(rule)), "{path:?} in {rules:?}");
    }
}

/// Where this mount can be written, unless it is sealed later.
fn written(step: &Step) -> Option<PathBuf> {
    match &step.mount {
        Mount::Bind { destination, access: Access::Write, .. }
        | Mount::Tmpfs { destination, .. } => Some(destination.clone()),
        Mount::Proc => Some(step.mount.destination().to_owned()),
        _ => None,
    }
}

#[test]
fn kernel_settings_cannot_be_set_even_by_root() {
    let scene = Scene::new();
    assert!(scene.succeeds("test -r /proc/sys/kernel/core_pattern"));
    // Opened only: where it can be opened, it must not be written.
    assert!(!scene.succeeds("exec 3>>/proc/sys/kernel/core_pattern"));
    assert!(!scene.succeeds("exec 3>>/proc/sysrq-trigger"));
}

#[test]
fn git_works_and_what_git_outside_would_run_stays() {
    let scene = Scene::new();
    let hooks = listing(&scene.project.join(".git/hooks"));
    let config = fs::read(scene.project.join(".git/config")).unwrap();
    let log = scene.run(
        "cd .. && echo x >f && git add f && git commit -q -m 'first' && git log --format='%an|%ae|%s'",
    );
    assert_eq!(log, "A B|a@b|first\n");
    assert!(!scene.succeeds("git config user.name evil"));
    assert!(!scene.succeeds("touch ../.git/hooks/post-commit"));
    assert!(!scene.succeeds("cd .. && mv .git g || mv .git/hooks .git/h || rm -rf .git/config"));
    assert!(!scene.succeeds("git x"), "aliases are not taken over");
    assert_eq!(listing(&scene.project.join(".git/hooks")), hooks);
    assert_eq!(fs::read(scene.project.join(".git/config")).unwrap(), config);
    let outside =
        Command::new("git").args(["log", "--oneline"]).current_dir(&scene.project).output();
    assert!(outside.unwrap().status.success());
}

/// The attack on what the host executes, with and without the mounts that are made for it.
#[test]
fn host_executable_files_are_protected_by_their_mounts() {
    let scene = Scene::new();
    fs::create_dir_all(scene.project.join("a/b/.vscode")).unwrap();
    fs::write(scene.project.join("a/b/.vscode/tasks.json"), "mine").unwrap();
    let tasks = scene.project.join("a/b/.vscode/tasks.json");
    let attack = "cd ..; echo evil > a/b/.vscode/tasks.json; mv a x; mkdir -p a/b/.vscode
        echo evil > a/b/.vscode/tasks.json";
    let without = |mounts: fn(&Mount) -> bool| {
        let (mut policy, _) = scene.policy(attack);
        policy.mounts.retain(|step| step.class != Class::HostFile || !mounts(&step.mount));
        start(&compile::plan(&policy, &scene.host()).unwrap());
        fs::read_to_string(&tasks).ok()
    };
    assert_eq!(without(|_| false).as_deref(), Some("mine"));
    // Control: without the directories on the way the mount moves away with them.
    let way = |mount: &Mount| matches!(mount, Mount::Bind { access: Access::Write, .. });
    assert_eq!(without(way).as_deref(), Some("evil\n"));
    fs::remove_dir_all(scene.project.join("a")).unwrap();
    fs::rename(scene.project.join("x"), scene.project.join("a")).unwrap();
    assert_eq!(fs::read_to_string(&tasks).unwrap(), "mine");
    // Control: without any, the first line of the attack is enough.
    assert_ne!(without(|_| true).as_deref(), Some("mine"));
}

#[test]
fn git_can_be_read_only_or_hidden() {
    let mut scene = Scene::new();
    scene.settings.git = Some(said(Git::ReadOnly));
    assert!(scene.succeeds("git status") && !scene.succeeds("touch ../f; git add ../f"));
    scene.settings.git = Some(said(Git::None));
    assert!(!scene.succeeds("git status") && !scene.succeeds("touch ../.git/x"));
    assert!(scene.project.join(".git/HEAD").exists());
}

#[test]
fn the_agents_state_is_shared_but_for_what_the_host_obeys() {
    let mut scene = Scene::new();
    fs::write(scene.home.join(".agent/settings.json"), "{\"mine\":1}").unwrap();
    scene.settings.state = list(&["~/.agent", "~/.config/agent/state"]);
    scene.settings.state_readonly =
        list(&["~/.agent/settings.json", "~/.agent/hooks", "~/.agent/local.json", "~/.agent/a/b/"]);
    scene.settings.state_private = list(&["~/.agent/sessions"]);
    assert!(scene.succeeds(
        "cd ~/.agent && echo login >token.tmp && mv token.tmp token && echo x >~/.config/agent/state/y \
         && echo p >sessions/1"
    ));
    assert_eq!(fs::read(scene.home.join(".agent/token")).unwrap(), b"login\n");
    assert!(scene.home.join(".config/agent/state/y").exists());
    for attack in [
        "echo x >settings.json",
        "mv settings.json s",
        "rm -f settings.json",
        "echo x >local.json",
        "touch hooks/x",
        "mv hooks h",
        "mv a b",
        "touch a/b/x",
        "rmdir a/b",
    ] {
        assert!(!scene.succeeds(&format!("cd ~/.agent && {attack}")), "{attack}");
    }
    assert_eq!(fs::read(scene.home.join(".agent/settings.json")).unwrap(), b"{\"mine\":1}");
    assert_eq!(fs::read(scene.home.join(".agent/local.json")).unwrap(), b"{}\n");
    assert_eq!(listing(&scene.home.join(".agent/sessions")).len(), 1);
}

#[test]
fn what_is_hidden_cannot_be_had_again() {
    let mut scene = Scene::new();
    fs::write(scene.project.join(".env"), "SECRET").unwrap();
    fs::create_dir(scene.project.join("keys")).unwrap();
    fs::write(scene.project.join("keys/k"), "SECRET").unwrap();
    symlink("keys", scene.project.join("also")).unwrap();
    scene.settings.hide = list(&["${PROJECT}/.env", "${PROJECT}/keys", "${PROJECT}/also"]);
    for attack in [
        "cat ../.env",
        "chmod 600 ../.env",
        "mv ../.env ../e",
        "rm -f ../.env",
        "ls ../keys",
        "cat ../also/k",
        "chmod 700 ../keys",
        "rmdir ../keys",
        "ln ../.env ../e && cat ../e",
    ] {
        assert!(!scene.succeeds(attack), "{attack}");
    }
    let moved = scene.run("mv ../sub\\ dir ../moved; grep -rs SECRET .. ~ /tmp; true");
    assert_eq!(moved, "");
    assert_eq!(fs::read(scene.project.join(".env")).unwrap(), b"SECRET");
    assert_eq!(fs::read(scene.project.join("keys/k")).unwrap(), b"SECRET");
}

#[test]
fn binds_appear_where_they_were_asked_for() {
    let mut scene = Scene::new();
    let data = scene.home.join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("f"), "data\n").unwrap();
    fs::create_dir(scene.project.join("vendor")).unwrap();
    let bind = |source: &Path, destination: &Path, writable| BindArgument {
        source: source.into(),
        destination: Some(destination.into()),
        writable,
    };
    scene.invocation.binds = vec![
        bind(&data, &scene.project.join("vendor"), false),
        bind(&data, &scene.home.join("deep/in/home"), true),
        bind(&data.join("f"), &scene.home.join("one/file"), false),
        bind(&data, Path::new("/mnt/data"), false),
    ];
    let before = listing(&scene.project);
    let read = scene.run("cat ../vendor/f ~/deep/in/home/f ~/one/file /mnt/data/f");
    assert_eq!(read, "data\n".repeat(4));
    assert!(scene.succeeds("echo new >~/deep/in/home/new") && data.join("new").exists());
    assert!(!scene.succeeds("echo new >/mnt/data/x"));
    assert!(!scene.succeeds("mv ~/deep ~/away || mv ~/deep/in ~/away"), "the way is pinned");
    assert_eq!(listing(&scene.project), before);
    assert!(!scene.home.join("deep").exists() && !scene.home.join("one").exists());
}

#[test]
fn any_project_name_works_and_nothing_is_left_in_it() {
    for name in
        [&b"with space"[..], b"new\nline", b"quo'te\"$(touch x)`", b"not utf-8 \xff\xfe", b"-rf"]
    {
        let scene = Scene::named(OsString::from_vec(name.to_vec()));
        let before = listing(&scene.project);
        assert!(scene.succeeds("test -e ../.git/HEAD && test ! -e ../../other"), "{name:?}");
        assert_eq!(listing(&scene.project), before);
    }
}

#[test]
fn a_program_of_the_hidden_home_starts() {
    let scene = Scene::new();
    let bin = scene.home.join(".local/bin");
    let package = scene.home.join(".local/share/agent/1.0");
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir_all(&package).unwrap();
    fs::copy("/bin/sh", package.join("agent")).unwrap();
    symlink("../share/agent/1.0/agent", bin.join("agent")).unwrap();
    let mut host = scene.host();
    host.environment.insert("PATH".into(), format!("{}:/usr/bin", bin.display()).into());
    let project = project::find(None, &host, &Disk).unwrap();
    let mut invocation = scene.invocation.clone();
    invocation.argv =
        ["agent", "-c", "echo started; agent -c 'echo again'"].map(OsString::from).into();
    let policy = resolve(&scene.settings, &invocation, &host, &project, &Disk).unwrap();
    let output = start(&compile::plan(&policy, &host).unwrap());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "started\nagain\n", "{output:?}");
}

#[test]
fn nothing_of_the_caller_is_in_the_environment() {
    let scene = Scene::new();
    let names =
        scene.run("env | cut -d= -f1 | sort | grep -v '^_$\\|^PWD$\\|^SHLVL$\\|^OLDPWD$\\|^TERM$'");
    assert_eq!(
        names.split_whitespace().collect::<Vec<_>>(),
        ["HOME", "LOGNAME", "PATH", "SHELL", "USER"]
    );
}
