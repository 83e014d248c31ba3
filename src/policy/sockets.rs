//! Sockets of the host, each turned on by itself. Every one of them lets what is inside act
//! through a program outside, so every one is shown as a weakening.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::draft::{Bind, Draft};
use super::mount::{Access, Class, Mount, Step};
use super::system::{EMPTY_SIZE, size_in_memory};
use crate::error::{Error, Result};
use crate::lexical::clean;
use crate::plan::Prepare;
use crate::profile::origin::{LayerKind, Origin, Settled};
use crate::visible::visible_path;

/// A socket that can be turned on.
struct Socket {
    /// Its name in a profile.
    name: &'static str,
    /// What a process inside can do with it.
    danger: &'static str,
    /// The paths that it consists of, and the variables that lead there.
    find: fn(&Machine<'_>) -> Option<Found>,
}

/// What a socket consists of on this machine.
#[derive(Default)]
struct Found {
    /// The first must exist; the others are bound where they exist.
    paths: Vec<PathBuf>,
    /// Set inside.
    environment: Vec<(&'static str, PathBuf)>,
}

impl Found {
    fn path(path: impl Into<PathBuf>) -> Option<Self> {
        let path = clean(&path.into());
        path.is_absolute().then(|| Self { paths: vec![path], environment: Vec::new() })
    }

    fn and(mut self, path: PathBuf) -> Self {
        self.paths.push(path);
        self
    }

    fn with(mut self, name: &'static str, value: impl Into<PathBuf>) -> Self {
        self.environment.push((name, value.into()));
        self
    }
}

const SOCKETS: [Socket; 8] = [
    Socket {
        name: "ssh-agent",
        danger: "signs with every key of your ssh-agent",
        find: |on| {
            let path = on.variable("SSH_AUTH_SOCK")?;
            Some(Found::path(&path)?.with("SSH_AUTH_SOCK", path))
        },
    },
    Socket {
        name: "gpg-agent",
        danger: "signs and decrypts with every key of your gpg-agent",
        find: |on| {
            let home =
                on.variable("GNUPGHOME").unwrap_or_else(|| on.draft.host.home.join(".gnupg"));
            let runtime = on.runtime().map(|dir| dir.join("gnupg/S.gpg-agent"));
            let socket = runtime
                .filter(|path| on.draft.facts.lstat(path).is_some())
                .unwrap_or_else(|| home.join("S.gpg-agent"));
            Some(Found::path(socket)?.and(home.join("pubring.kbx")).and(home.join("trustdb.gpg")))
        },
    },
    Socket {
        name: "xdg-runtime",
        danger: "reaches D-Bus, systemd, the keyring and every other service of your session",
        find: |on| Found::path(on.runtime()?),
    },
    Socket {
        name: "docker",
        danger: "is root on the host",
        find: |on| {
            let named = on
                .variable("DOCKER_HOST")
                .and_then(|host| host.to_str()?.strip_prefix("unix://").map(PathBuf::from));
            let path = named.unwrap_or_else(|| "/run/docker.sock".into());
            let mut host = std::ffi::OsString::from("unix://");
            host.push(&path);
            Some(Found::path(path)?.with("DOCKER_HOST", host))
        },
    },
    Socket {
        name: "wayland",
        danger: "reads the clipboard and, with some compositors, the screen",
        find: |on| {
            let name = on.variable("WAYLAND_DISPLAY").unwrap_or_else(|| "wayland-0".into());
            let path = on.runtime().unwrap_or_default().join(&name);
            Some(Found::path(path)?.with("WAYLAND_DISPLAY", name))
        },
    },
    Socket {
        name: "x11",
        danger: "reads every keystroke and types into every window",
        find: |on| {
            let display = on.variable("DISPLAY")?;
            let number = display.to_str()?.strip_prefix(':')?.split('.').next()?.to_owned();
            let cookie = on.variable("XAUTHORITY");
            let cookie = cookie.unwrap_or_else(|| on.draft.host.home.join(".Xauthority"));
            let found = Found::path(format!("/tmp/.X11-unix/X{number}"))?;
            Some(found.and(cookie.clone()).with("DISPLAY", display).with("XAUTHORITY", cookie))
        },
    },
    Socket {
        name: "dbus",
        danger: "starts programs outside through services of your session",
        find: |on| {
            let address = on.variable("DBUS_SESSION_BUS_ADDRESS");
            let named = address.as_ref().and_then(|address| {
                address
                    .to_str()?
                    .strip_prefix("unix:path=")?
                    .split([',', ';'])
                    .next()
                    .map(PathBuf::from)
            });
            let path = named.or_else(|| Some(on.runtime()?.join("bus")))?;
            let mut address = std::ffi::OsString::from("unix:path=");
            address.push(&path);
            Some(Found::path(path)?.with("DBUS_SESSION_BUS_ADDRESS", address))
        },
    },
    Socket {
        name: "pipewire",
        danger: "listens to the microphone, and records the screen where a portal lets it",
        find: |on| {
            let runtime = on.runtime()?;
            Some(Found::path(runtime.join("pipewire-0"))?.and(runtime.join("pulse/native")))
        },
    },
];

/// The machine, as sockets are looked for.
struct Machine<'a> {
    draft: &'a Draft<'a>,
}

impl Machine<'_> {
    fn variable(&self, name: &str) -> Option<PathBuf> {
        let value = self.draft.host.environment.get(OsStr::new(name))?;
        (!value.is_empty()).then(|| value.into())
    }

    fn runtime(&self) -> Option<PathBuf> {
        self.variable("XDG_RUNTIME_DIR").map(|dir| clean(&dir)).filter(|dir| dir.is_absolute())
    }
}

/// Adds the sockets that are on.
pub(super) fn mounts(draft: &mut Draft<'_>) -> Result<()> {
    for socket in &SOCKETS {
        let Some(on) = wanted(draft, socket.name).filter(|on| on.value) else { continue };
        let found = (socket.find)(&Machine { draft }).and_then(|found| existing(draft, found));
        let Some(found) = found else {
            missing(draft, socket.name, &on)?;
            continue;
        };
        add(draft, socket, found, &on.origin)?;
    }
    Ok(())
}

/// Whether a socket is on, and who said so: the command line wins over the profile.
fn wanted(draft: &Draft<'_>, name: &'static str) -> Option<Settled<bool>> {
    let typed = match name {
        "ssh-agent" => draft.invocation.allow_ssh_agent,
        "gpg-agent" => draft.invocation.allow_gpg_agent,
        "xdg-runtime" => draft.invocation.allow_xdg_runtime,
        _ => None,
    };
    let Some(value) = typed else { return draft.settings.sockets.get(name).cloned() };
    let source = format!("--{}allow-{name}", if value { "" } else { "no-" });
    let origin = Origin { layer: LayerKind::CommandLine, source, line: 0 };
    Some(Settled { value, origin })
}

/// What of it is on this machine; `None` where its first path is not.
fn existing(draft: &Draft<'_>, mut found: Found) -> Option<Found> {
    let first = found.paths.first().cloned();
    found.paths.retain(|path| draft.facts.canonicalize(path).is_some());
    (found.paths.first() == first.as_ref()).then_some(found)
}

/// What was typed must be had; what a profile for many machines says is left out where it is not.
fn missing(draft: &mut Draft<'_>, name: &str, on: &Settled<bool>) -> Result<()> {
    if on.origin.layer == LayerKind::CommandLine {
        let error = Error::usage(format!("{}: there is no {name} here", on.origin.source));
        return Err(match name {
            // A directory that a login makes: nobody starts it.
            "xdg-runtime" => {
                error.hint("XDG_RUNTIME_DIR is not set, or leads to nothing: a login sets it")
            }
            _ => error.hint(format!("start the {name} first, and see that its variable is set")),
        });
    }
    draft.left_out.push(format!("sockets.{name}: there is none on this machine"));
    Ok(())
}

fn add(draft: &mut Draft<'_>, socket: &Socket, found: Found, origin: &Origin) -> Result<()> {
    draft.weakened.push(format!("{}: {}", socket.name, socket.danger));
    for path in &found.paths {
        let Some(real) = draft.facts.canonicalize(path) else { continue };
        runtime_directory(draft, path, origin)?;
        let access = if socket.name == "xdg-runtime" { Access::Write } else { Access::Read };
        draft.bind(&Bind {
            source: &real,
            destination: path,
            access,
            class: Class::Socket,
            why: socket.name,
            origin: Some(origin),
        })?;
        if socket.name == "xdg-runtime" {
            hide_own(draft, path)?;
        }
    }
    draft.extra_environment.extend(found.environment);
    Ok(())
}

/// What lies in `$XDG_RUNTIME_DIR` gets a directory that is as private inside, and can be written.
fn runtime_directory(draft: &mut Draft<'_>, path: &Path, origin: &Origin) -> Result<()> {
    let Some(runtime) = (Machine { draft }).runtime() else { return Ok(()) };
    if !path.starts_with(&runtime) {
        return Ok(());
    }
    if !draft.extra_environment.iter().any(|(name, _)| *name == "XDG_RUNTIME_DIR") {
        draft.extra_environment.push(("XDG_RUNTIME_DIR", runtime.clone()));
    }
    let taken = draft.steps.iter().any(|step| runtime == step.mount.destination());
    if taken || path == runtime {
        return Ok(());
    }
    let size = size_in_memory(draft).value;
    draft.add(Step {
        mount: Mount::Tmpfs { destination: runtime, mode: 0o700, size },
        class: Class::Socket,
        why: "holds sockets".to_owned(),
        origin: Some(origin.clone()),
    })
}

/// The supervisor's control sockets and tmux' own, with which everything here could be undone.
fn hide_own(draft: &mut Draft<'_>, runtime: &Path) -> Result<()> {
    let own = draft.host.dirs.runtime.clone();
    if !own.starts_with(runtime) {
        return Ok(());
    }
    let root = (&*own).into();
    draft.prepare.push(Prepare::Directory { root, path: "".into() });
    draft.created.insert(own.clone(), super::mount::Node::Directory);
    draft.add(Step {
        mount: Mount::Tmpfs { destination: own, mode: 0, size: EMPTY_SIZE },
        class: Class::Hide,
        why: format!("claudebox's own sockets in {}", visible_path(runtime)),
        origin: None,
    })
}
