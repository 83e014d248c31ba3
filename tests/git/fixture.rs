//! A repository of the host's with a session that is over, and its private git directory, made by a few
//! lines of shell: enough for the sync, which has to live with whatever stands there. `agent` is what
//! was done inside, with the private directory mounted over `.git`.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::common::place::Place;
use crate::common::run::{Output, Run};
use crate::common::user::User;

/// The session's id.
pub(crate) const ID: &str = "4k7xq2ab";

/// How every repository begins.
pub(crate) const FILES: &str = "printf 'one\\n' >f1; printf 'two\\n' >f2; mkdir e; printf 'a\\n' >e/a\n\
    git add .; git commit -qm base; git branch side; git tag v1\n";

/// A name for the author of commits: what the environment of a test says is not passed on.
pub(crate) const NAMED: &str =
    "git config user.name Someone; git config user.email someone@example.invalid\n";

/// A place in whose project a script was run on the host, after its author got a name.
pub(crate) fn prepared(user: User, script: &str) -> Place {
    let place = Place::new(user);
    host(&place, &format!("{NAMED}{script}"));
    place
}

/// What a script on the host says, in the project.
pub(crate) fn host(place: &Place, script: &str) -> String {
    place.command("sh").args(["-c", &format!("set -e\n{script}")]).run().code(0).stdout
}

/// A session with these options, in which a script runs.
pub(crate) fn session(place: &Place, options: &[&str], script: &str) -> Run {
    let words = ["run", "--no-monitor"].iter().chain(options);
    place.claudebox(words.chain(&["--", "sh", "-c", script]))
}

/// A session in the project with a private git directory, in which a script runs to its first error.
pub(crate) fn inside(place: &Place, script: &str) -> Run {
    session(place, &["--git", "private"], &format!("set -e\n{script}"))
}

/// The host, and a session.
pub(crate) struct Repository {
    pub(crate) place: Place,
}

impl Repository {
    /// After `before` was done on the host, a session begins.
    pub(crate) fn new(user: User, before: &str) -> Self {
        let place = Place::new(user);
        let this = Self { place };
        this.host(&format!("{FILES}{before}"));
        this.begin();
        this
    }

    /// Makes the private directory from what is there now.
    pub(crate) fn begin(&self) {
        let (session, private, inside) = (self.session(), self.private(), self.inside());
        self.host(&format!(
            "mkdir -p {session} {private} {inside}; chmod 700 {session}\n\
             (cd .git && tar -c --exclude=./objects --exclude=./config --exclude=./modules \
                 --exclude=./refs/claudebox .) | tar -x -C {private}\n\
             mkdir -p {private}/objects/info {private}/objects/pack\n\
             echo {inside} >{private}/objects/info/alternates\n\
             cp .git/config {private}/config\n\
             git config -f {private}/config core.checkStat minimal\n",
            session = session.display(),
            private = private.display(),
            inside = inside.display(),
        ));
        let record = self.record();
        self.place.home_file(format!("{SESSION}/git.json"), record.to_string());
        let session = json!({
            "v": 1, "id": ID, "created": 1, "project": self.place.project(),
            "cwd": self.place.project(), "profile": "claude", "network": "none",
            "command": "sh", "mode": "terminal", "runtime": self.place.root().join("run/none"),
        });
        self.place.home_file(format!("{SESSION}/session.json"), session.to_string());
    }

    fn record(&self) -> Value {
        let (project, git_dir) = (self.place.project(), self.place.project().join(".git"));
        let head = self.host("git symbolic-ref -q HEAD || true").stdout;
        let commit = self.host("git rev-parse -q --verify HEAD || true").stdout;
        let head = match head.trim() {
            "" => json!({ "detached": commit.trim() }),
            branch => json!({ "branch": branch }),
        };
        let refs = self.host("git for-each-ref --format='%(objectname) %(refname)'").stdout;
        let refs: serde_json::Map<String, Value> = refs
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(oid, name)| (name.to_owned(), oid.into()))
            .collect();
        let index = self.host("git ls-files --stage -z | sha256sum | cut -d' ' -f1").stdout;
        let stashes = self.host("git rev-list -g refs/stash -- 2>/dev/null || true").stdout;
        let format = self.host("git rev-parse --show-object-format").stdout;
        json!({
            "version": 1, "work_tree": project, "git_dir": git_dir, "private": self.private(),
            "objects": [{ "host": git_dir.join("objects"), "inside": self.inside() }],
            "object_format": format.trim(), "ref_format": "files",
            "program": "/usr/bin/git", "bwrap": "/usr/bin/bwrap",
            "base": {
                "head": head, "refs": refs, "index": index.trim(),
                "stashes": stashes.lines().collect::<Vec<_>>(),
            },
        })
    }

    pub(crate) fn session(&self) -> PathBuf {
        self.place.home().join(SESSION)
    }

    pub(crate) fn private(&self) -> PathBuf {
        self.session().join("git")
    }

    /// Where the host's objects are inside.
    fn inside(&self) -> PathBuf {
        self.place.root().join("objects/0")
    }

    /// Something the user does, which must succeed.
    pub(crate) fn host(&self, script: &str) -> Output {
        Self::shell(self.place.command("sh"), script)
    }

    /// Something the agent does, which must succeed.
    pub(crate) fn agent(&self, script: &str) -> Output {
        let project = self.place.project();
        let bwrap = self.place.command("bwrap").args(["--dev-bind", "/", "/"]).args([
            "--bind".as_ref(),
            self.private().as_os_str(),
            project.join(".git").as_os_str(),
            "--ro-bind".as_ref(),
            project.join(".git/objects").as_os_str(),
            self.inside().as_os_str(),
            "--chdir".as_ref(),
            project.as_os_str(),
            "sh".as_ref(),
        ]);
        Self::shell(bwrap, script)
    }

    fn shell(run: Run, script: &str) -> Output {
        // A shell that is to stop at an error does not stop at `! COMMAND`.
        let prelude =
            "set -e\nno() { if \"$@\" >/dev/null 2>&1; then echo \"$@ succeeds\"; exit 1; fi; }\n";
        let output = run.args(["-c", &format!("{prelude}{script}")]).run();
        assert_eq!(output.code, 0, "{script}\n{}\n{}", output.stdout, output.stderr);
        output
    }

    /// `claudebox sync`, which must succeed.
    pub(crate) fn sync(&self) -> Output {
        let output = self.place.claudebox(["sync", ID]).run();
        assert_eq!(output.code, 0, "{}\n{}", output.stdout, output.stderr);
        output
    }

    /// What git says of the repository, and that nothing was left behind.
    pub(crate) fn is_sound(&self) {
        let fsck = self.host("git fsck --no-dangling --no-progress 2>&1").stdout;
        assert!(!fsck.contains("error") && !fsck.contains("missing"), "{fsck}");
        let left = self.host(
            "find .git \\( -name '*.lock' -o -name 'tmp_*' -o -name 'claudebox-*' \\) -print; \
             ls .git/objects | grep incoming || true",
        );
        assert_eq!(left.stdout, "");
        let session = self.session();
        assert!(!session.join("git-journal.json").exists());
        assert!(!session.join("git-sync/quarantine").exists());
    }

    /// What is checked out, with its state, here or there.
    pub(crate) fn state(run: impl Fn(&str) -> Output) -> String {
        run("git symbolic-ref -q HEAD || echo detached; git rev-parse -q --verify HEAD || echo unborn\n\
             git status --porcelain")
        .stdout
    }

    /// That git says on the host what it says inside.
    pub(crate) fn is_the_same(&self) {
        let (host, agent) = (Self::state(|it| self.host(it)), Self::state(|it| self.agent(it)));
        assert_eq!(host, agent, "left: the host");
    }
}

const SESSION: &str = ".local/state/claudebox/sessions/4k7xq2ab";
