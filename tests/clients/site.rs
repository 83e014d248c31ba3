//! The servers that stand for allowed hosts: a site with registries and a repository, under names that
//! a certificate authority made for the test vouches for; git's own server; and a server of ssh.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::common::agent::agents;
use crate::common::must_have;
use crate::common::place::Place;
use crate::common::user::{User, users};
use crate::common::world::World;

/// The names that the certificate is for.
const NAMES: [&str; 6] =
    ["www.example", "git.example", "npm.example", "pypi.example", "crates.example", "ip6.example"];

/// The site. Its processes run as an ordinary user, and end with it.
#[derive(Debug)]
pub(crate) struct Site {
    root: TempDir,
    user: User,
    running: Vec<Child>,
    /// The port of HTTP.
    pub(crate) http: u16,
    /// The port of HTTPS.
    pub(crate) https: u16,
}

impl Site {
    /// Starts it.
    pub(crate) fn new() -> Self {
        must_have(&["python3", "openssl", "git"]);
        let root = tempfile::Builder::new().prefix("site-").tempdir_in("/var/tmp").unwrap();
        let user = users()[0];
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        user.own(root.path());
        let mut site = Self { root, user, running: Vec::new(), http: 0, https: 0 };
        site.certify();
        let program = site.path("site.py");
        fs::write(&program, include_str!("site.py")).unwrap();
        let mut server = site.command("python3");
        server.arg(&program).arg(site.root.path()).args(["cert.pem", "key.pem"]);
        let mut child = server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut ports = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ports).unwrap();
        site.running.push(child);
        let (http, https) = ports.trim().split_once(' ').unwrap();
        (site.http, site.https) = (http.parse().unwrap(), https.parse().unwrap());
        site
    }

    /// Puts it into the world, at its names.
    pub(crate) fn put(&self, world: &World) {
        for name in NAMES {
            world.put(format!("{name}:80"), self.http);
            world.put(format!("{name}:443"), self.https);
        }
    }

    /// A path of it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The certificate of who vouches for it.
    pub(crate) fn authority(&self) -> Vec<u8> {
        fs::read(self.path("ca.pem")).unwrap()
    }

    /// Starts `git daemon` for its repository; the port.
    pub(crate) fn git_daemon(&mut self) -> u16 {
        let port = free_port();
        // Not by `git`, which would be killed instead of it.
        let path = self.command("git").arg("--exec-path").output().unwrap().stdout;
        let path = PathBuf::from(String::from_utf8(path).unwrap().trim());
        let mut daemon = self.command(path.join("git-daemon"));
        daemon.args(["--listen=127.0.0.1", "--export-all", "--reuseaddr"]);
        daemon.arg(format!("--port={port}")).arg(format!("--base-path={}", text(self.root.path())));
        self.running.push(daemon.stderr(Stdio::null()).spawn().unwrap());
        until_it_listens(port);
        port
    }

    /// Starts OpenSSH's server as an ordinary user; the port. `id` and `known_hosts` of the site are
    /// what a client needs.
    pub(crate) fn sshd(&mut self) -> u16 {
        must_have(&["ssh", "ssh-keygen"]);
        for key in ["host", "id"] {
            let mut make = self.command("ssh-keygen");
            make.args(["-q", "-t", "ed25519", "-N", "", "-f", key]);
            assert!(make.status().unwrap().success());
        }
        let host = fs::read_to_string(self.path("host.pub")).unwrap();
        fs::write(self.path("known_hosts"), format!("ssh.example {host}")).unwrap();
        let port = free_port();
        let root = text(self.root.path());
        let configuration = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {root}/host\nPidFile none\n\
             AuthorizedKeysFile {root}/id.pub\nStrictModes no\nUsePAM no\n"
        );
        fs::write(self.path("sshd_config"), configuration).unwrap();
        let mut server = self.command(sshd());
        server.args(["-D", "-e", "-f", "sshd_config"]).stderr(Stdio::null());
        self.running.push(server.spawn().unwrap());
        until_it_listens(port);
        port
    }

    /// Whom it runs as.
    pub(crate) fn login(&self) -> String {
        let uid = match self.user {
            User::Unprivileged { uid, .. } => nix::unistd::Uid::from_raw(uid),
            User::Caller => nix::unistd::Uid::effective(),
        };
        nix::unistd::User::from_uid(uid).unwrap().unwrap().name
    }

    /// A program of the site's, in its directory and with nothing of the caller's.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        self.user.apply(&mut command);
        command.current_dir(self.root.path()).env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin").env("HOME", self.root.path());
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Site");
            command.env(format!("GIT_{role}_EMAIL"), "site@example.invalid");
        }
        command
    }

    /// Makes an authority, and the site's certificate by it.
    fn certify(&self) {
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
        let names = NAMES.map(|name| format!("DNS:{name}")).join(",");
        let names = format!("subjectAltName={names}");
        let authority = "-subj /CN=claudebox-test -keyout ca.key -out ca.pem -addext \
                         keyUsage=critical,keyCertSign";
        let site = "-subj /CN=site -keyout key.pem -out cert.pem -CA ca.pem -CAkey ca.key -addext \
                    basicConstraints=critical,CA:false -addext";
        for (words, more) in [(authority, None), (site, Some(&names))] {
            let mut openssl = self.command("openssl");
            openssl.args(["req", "-x509"]).args(key).args(words.split_whitespace()).args(more);
            let output = openssl.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a place needs to trust the site: the authority's certificate in the project, and the
/// variables by which programs are told of it.
pub(crate) fn trusting(place: &Place, site: &Site) -> Vec<String> {
    let file = place.project_file("ca.pem", site.authority());
    let variables = [
        "CURL_CA_BUNDLE",
        "SSL_CERT_FILE",
        "NODE_EXTRA_CA_CERTS",
        "REQUESTS_CA_BUNDLE",
        "PIP_CERT",
        "CARGO_HTTP_CAINFO",
        "GIT_SSL_CAINFO",
        "npm_config_cafile",
    ];
    variables.iter().flat_map(|name| ["--env".into(), format!("{name}={}", text(&file))]).collect()
}

/// OpenSSH's server: the system's, or the one that `tests/setup.sh` unpacked.
fn sshd() -> PathBuf {
    let unpacked = agents().with_file_name("sshd").join("usr/sbin/sshd");
    let system = PathBuf::from("/usr/sbin/sshd");
    [system, unpacked]
        .into_iter()
        .find(|file| file.exists())
        .unwrap_or_else(|| panic!("no sshd on this machine; run `tests/setup.sh test`"))
}

/// A port that nobody has, as far as can be said.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn until_it_listens(port: u16) {
    crate::until("the server listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
