//! The attacker: `claudebox __attack`, in the sandbox. It tries each thing of its list and prints what
//! came of it, a line of JSON each.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr as UnixAddr, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use caps::CapSet;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE};

use super::act::{Act, Answer, CODE, ORDERS};
use crate::error::{Error, Result, Tried as _};
use crate::sys::attempt;

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Attacks, and exits with [`CODE`].
pub fn act() -> ExitCode {
    match attack() {
        Ok(()) => ExitCode::from(CODE),
        Err(error) => {
            crate::error::report(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn attack() -> Result<()> {
    let no_orders = || {
        Error::usage("there is nothing to attack here")
            .hint("the attack is started with `claudebox doctor --attack`")
    };
    let orders = fs::read(ORDERS).map_err(|_| no_orders())?;
    let acts: Vec<Act> = serde_json::from_slice(&orders).map_err(|_| no_orders())?;
    // A pid 1 of the host's may end by what is tried, and all with it; a mount would be the host's.
    if !is_sandbox() {
        return Err(Error::launcher(
            "pid 1 is not the sandbox's, so nothing is tried: it could harm \
             this machine",
        ));
    }
    for (number, act) in acts.iter().enumerate() {
        let (done, says, file) = match attempt(act) {
            Ok((says, file)) => (true, says, file),
            Err(err) => (false, err.to_string(), None),
        };
        let answer = Answer { number, done, says, file };
        let line = serde_json::to_string(&answer).tried(|| "write an answer")?;
        writeln!(io::stdout(), "{line}").tried(|| "write an answer")?;
    }
    Ok(())
}

/// What was got, and the identity of what was opened.
type Got = (String, Option<(u64, u64)>);

fn attempt(act: &Act) -> io::Result<Got> {
    let got = |says: &str| Ok((says.to_owned(), None));
    match act {
        Act::Create(path) => {
            OpenOptions::new().write(true).create_new(true).open(path.as_path())?;
            got("made")
        }
        Act::Write(path) => write(path.as_path()),
        Act::Read(path) => read(path.as_path()),
        Act::Variable(name) => match std::env::var_os(name) {
            Some(_) => got("set"),
            None => Err(io::Error::other("not set")),
        },
        Act::Connect(endpoint) => {
            let mut last = io::Error::other("no address");
            for address in endpoint.to_socket_addrs()? {
                match TcpStream::connect_timeout(&address, PATIENCE) {
                    Ok(_) => return got("connected"),
                    Err(err) => last = err,
                }
            }
            Err(last)
        }
        Act::Query { server, name } => query(*server, name),
        Act::Abstract(name) => {
            UnixStream::connect_addr(&UnixAddr::from_abstract_name(name)?)?;
            got("connected")
        }
        Act::EndInit => {
            for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGSEGV] {
                kill(Pid::from_raw(1), signal)?;
            }
            // Had it worked, nobody would be here.
            Err(io::Error::other("it lives"))
        }
        Act::SetUserId(path) => {
            fs::set_permissions(path.as_path(), Permissions::from_mode(0o4755))?;
            got("set")
        }
        Act::Capability => capability(),
        Act::LeaveBehind(seconds) => {
            let quiet = || Stdio::null();
            let child = Command::new("sleep")
                .arg(seconds.to_string())
                .stdin(quiet())
                .stdout(quiet())
                .stderr(quiet())
                .process_group(0)
                .spawn()?;
            got(&format!("process {}", child.id()))
        }
        Act::Call(call) => attempt::call(*call).and_then(|()| got("done")),
    }
}

/// Asks a name server for the text at a name.
fn query(server: SocketAddr, name: &str) -> io::Result<Got> {
    let name = Name::new_unchecked(name).into_owned();
    let question = Question::new(name, TYPE::TXT.into(), CLASS::IN.into(), false);
    let mut packet = Packet::new_query(1);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(question);
    let packet = packet.build_bytes_vec().map_err(io::Error::other)?;
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(server)?;
    socket.send(&packet)?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    let answer = Packet::parse(&answer[..length]).map_err(io::Error::other)?;
    match (answer.rcode(), answer.answers.len()) {
        (RCODE::NoError, 1..) => Ok(("answered".to_owned(), None)),
        (code, _) => Err(io::Error::other(format!("no answer ({code:?})"))),
    }
}

/// Whether pid 1 is the inner stage.
fn is_sandbox() -> bool {
    let name = |pid: &str| fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    let own = name("self");
    !own.is_empty() && name("1") == own
}

fn write(path: &Path) -> io::Result<Got> {
    let stat = fs::metadata(path)?;
    let identity = (stat.dev(), stat.ino());
    if stat.is_dir() {
        drop(tempfile::NamedTempFile::new_in(path)?);
    } else {
        OpenOptions::new().append(true).open(path)?;
    }
    Ok(("can be written".to_owned(), Some(identity)))
}

fn read(path: &Path) -> io::Result<Got> {
    if fs::metadata(path)?.is_dir() {
        return match fs::read_dir(path)?.next() {
            Some(entry) => Ok((format!("holds {}", entry?.file_name().display()), None)),
            None => Err(io::Error::other("empty")),
        };
    }
    match File::open(path)?.read(&mut [0; 1])? {
        0 => Err(io::Error::other("empty")),
        _ => Ok(("can be read".to_owned(), None)),
    }
}

fn capability() -> io::Result<Got> {
    let sets = [
        CapSet::Effective,
        CapSet::Permitted,
        CapSet::Inheritable,
        CapSet::Ambient,
        CapSet::Bounding,
    ];
    for set in sets {
        if let Some(held) = caps::read(None, set).map_err(io::Error::other)?.iter().next() {
            return Ok((format!("{held} ({set:?})"), None));
        }
    }
    Err(io::Error::other("no capability in any set"))
}
