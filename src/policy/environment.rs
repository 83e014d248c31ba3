//! The environment inside: what a profile or the command line names, and a few variables that the
//! sandbox decides. Nothing else of the caller's is passed, since tokens live there.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::draft::{Bind, Draft};
use super::links::{Trust, planted};
use super::mount::{Access, Class, View};
use super::paths::place;
use super::upstream;
use crate::error::{Error, Result};
use crate::host::{FileKind, Host};
use crate::lexical::clean;
use crate::profile::origin::{LayerKind, Origin};
use crate::visible::visible;

/// A variable inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: OsString,
    /// Its value. Never shown where it is [`From::Caller`].
    pub value: OsString,
    /// Where it comes from.
    pub from: From,
    /// Who asked for it; `None` for what is always so.
    pub origin: Option<Origin>,
}

/// Where a variable comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The sandbox decides it.
    Sandbox,
    /// A profile says it.
    Profile,
    /// The caller's environment or command line: perhaps a secret.
    Caller,
}

/// Variables that the sandbox decides, or that lead to something outside which is not there. A
/// profile that passes `*` does not pass these.
const NOT_PASSED: [&str; 22] = [
    "HOME",
    "USER",
    "LOGNAME",
    "PATH",
    "SHELL",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "_",
    "TMPDIR",
    "TMP",
    "TEMP",
    "TMUX",
    "TMUX_PANE",
    "XDG_RUNTIME_DIR",
    "SSH_AUTH_SOCK",
    "DOCKER_HOST",
    "WAYLAND_DISPLAY",
    "DISPLAY",
    "XAUTHORITY",
    "DBUS_SESSION_BUS_ADDRESS",
    "NIX_REMOTE",
];

/// Where programs are on any system.
const STANDARD_PATH: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The directories of the caller's `PATH`. A relative entry depends on who looks, and is left out.
pub(super) fn host_path(host: &Host) -> Vec<PathBuf> {
    let path = host.environment.get(OsStr::new("PATH"));
    let mut seen = BTreeSet::new();
    std::env::split_paths(path.map_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"), |path| path))
        .filter(|dir| dir.is_absolute())
        .map(|dir| clean(&dir))
        .filter(|dir| seen.insert(dir.clone()))
        .collect()
}

/// All of it. A later rule wins: the sandbox, `pass`, `set`, `--env`.
pub(super) fn settle(draft: &mut Draft<'_>, path: &[PathBuf]) -> Result<Vec<Variable>> {
    let mut all = BTreeMap::new();
    let mut put = |variable: Variable| {
        all.insert(variable.name.clone(), variable);
    };
    own(draft, path).into_iter().for_each(&mut put);
    passed(draft).into_iter().for_each(&mut put);
    for (name, value) in &draft.settings.set {
        let origin = Some(value.origin.clone());
        let text = draft.variables.expand(value)?.into_os_string();
        put(Variable { name: name.into(), value: text, from: From::Profile, origin });
    }
    for entry in &draft.invocation.config_env {
        put(assigned(draft, &entry.value, &entry.origin)?);
    }
    let typed = Origin { layer: LayerKind::CommandLine, source: "--env".to_owned(), line: 0 };
    for text in &draft.invocation.env {
        put(assigned(draft, text, &typed)?);
    }
    let home = all.get(OsStr::new("HOME"));
    if let Some(Variable { from: From::Profile | From::Caller, origin: Some(origin), .. }) = home {
        return Err(Error::usage(format!("{}: HOME cannot be set", place(origin)))
            .hint("the home inside is claudebox's own, at the path of yours"));
    }
    Ok(all.into_values().collect())
}

fn own(draft: &Draft<'_>, path: &[PathBuf]) -> Vec<Variable> {
    let user = draft.host.user.clone();
    let mut own: Vec<(&str, OsString)> = vec![
        ("HOME", draft.host.home.clone().into()),
        ("USER", user.clone()),
        ("LOGNAME", user),
        ("PATH", path_inside(draft, path)),
        ("SHELL", login_shell(draft)),
    ];
    own.extend(draft.extra_environment.iter().map(|(name, value)| (*name, value.clone().into())));
    let variable = |(name, value): (&str, OsString)| Variable {
        name: name.into(),
        value,
        from: From::Sandbox,
        origin: None,
    };
    own.into_iter().map(variable).collect()
}

/// The caller's `PATH` as far as it is visible, the directories of `tools`, the standard ones.
fn path_inside(draft: &Draft<'_>, path: &[PathBuf]) -> OsString {
    let view = View::of(&draft.steps, draft.facts);
    let tools = draft.settings.tools.iter().filter_map(|tool| draft.variables.path(tool).ok());
    let tools = tools.map(|dir| match dir.file_name().map(OsStr::as_bytes) {
        Some(b"bin" | b"sbin" | b"shims") => dir,
        _ => dir.join("bin"),
    });
    let tools = tools.filter(|dir| draft.facts.lstat(dir).is_some());
    let all = path.iter().cloned().chain(tools).chain(STANDARD_PATH.map(PathBuf::from));
    let mut seen = BTreeSet::new();
    // One directory under two names (/bin and /usr/bin) would be searched twice.
    let visible = all.filter(|dir| {
        view.resolve(dir).is_some_and(|found| {
            found.kind == FileKind::Directory
                && !found.host.starts_with(&draft.private_home)
                && seen.insert(found.inside)
        })
    });
    let visible: Vec<Vec<u8>> = visible.map(|dir| dir.into_os_string().into_vec()).collect();
    OsString::from_vec(visible.join(&b':'))
}

/// The caller's shell, or what there is inside.
pub(super) fn login_shell(draft: &Draft<'_>) -> OsString {
    let view = View::of(&draft.steps, draft.facts);
    let theirs = draft.host.environment.get(OsStr::new("SHELL")).map(PathBuf::from);
    let candidates = theirs.into_iter().chain(["/bin/bash", "/bin/sh"].map(PathBuf::from));
    let mut there = candidates
        .filter(|shell| view.resolve(shell).is_some_and(|found| found.kind == FileKind::File));
    there.next().unwrap_or_else(|| "/bin/sh".into()).into()
}

/// The shell of a new pane.
pub(super) fn shell(draft: &Draft<'_>, environment: &[Variable]) -> Vec<OsString> {
    if let Some(shell) = &draft.settings.shell {
        return shell.value.iter().map(OsString::from).collect();
    }
    let shell = environment.iter().find(|variable| variable.name == "SHELL");
    vec![shell.map_or_else(|| "/bin/sh".into(), |shell| shell.value.clone())]
}

fn passed(draft: &Draft<'_>) -> Vec<Variable> {
    let mut passed = Vec::new();
    for (name, value) in &draft.host.environment {
        let pass = draft.settings.pass.iter().rfind(|pattern| matches(&pattern.value, name));
        let Some(pass) = pass.filter(|_| may_be_passed(draft, name)) else { continue };
        // There is no way to the host's proxy from a network of names.
        if draft.own_names && upstream::is_about_proxies(name) {
            continue;
        }
        if name == "TERMINFO" && !is_visible(draft, Path::new(value)) {
            continue;
        }
        passed.push(Variable {
            name: name.clone(),
            value: value.clone(),
            from: From::Caller,
            origin: Some(pass.origin.clone()),
        });
    }
    passed
}

fn may_be_passed(draft: &Draft<'_>, name: &OsStr) -> bool {
    !NOT_PASSED.iter().any(|own| name == *own) && denied(draft, name).is_none()
}

fn denied<'d>(draft: &Draft<'d>, name: &OsStr) -> Option<&'d Origin> {
    let deny = draft.settings.deny_env.iter().find(|pattern| matches(&pattern.value, name));
    deny.map(|pattern| &pattern.origin)
}

/// A trailing `*` matches any ending.
pub(super) fn matches(pattern: &str, name: &OsStr) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.as_bytes().starts_with(start.as_bytes()),
        None => name == pattern,
    }
}

fn is_visible(draft: &Draft<'_>, path: &Path) -> bool {
    View::of(&draft.steps, draft.facts).resolve(path).is_some()
}

/// `--env NAME=VALUE` or `--env NAME`, or such an entry of the configuration's `env`.
fn assigned(draft: &Draft<'_>, text: &OsStr, origin: &Origin) -> Result<Variable> {
    let bytes = text.as_bytes();
    let equals = bytes.iter().position(|byte| *byte == b'=');
    let name = OsStr::from_bytes(&bytes[..equals.unwrap_or(bytes.len())]);
    if name.is_empty() {
        return Err(Error::usage(format!("{}: the name is missing", place(origin)))
            .hint("write --env NAME to pass a variable, --env NAME=VALUE to set one"));
    }
    let value = match equals {
        Some(equals) => OsStr::from_bytes(&bytes[equals + 1..]).to_owned(),
        None => callers_value(draft, name, origin)?,
    };
    let (name, origin) = (name.to_owned(), Some(origin.clone()));
    Ok(Variable { name, value, from: From::Caller, origin })
}

/// Only the name was said: the caller's value.
fn callers_value(draft: &Draft<'_>, name: &OsStr, origin: &Origin) -> Result<OsString> {
    let (said, shown) = (place(origin), visible(name.as_bytes()));
    // How a value is given where this was said.
    let given = match origin.layer {
        LayerKind::Config => format!("\"{shown}=VALUE\""),
        _ => format!("--env {shown}=VALUE"),
    };
    if let Some(origin) = denied(draft, name) {
        return Err(Error::usage(format!("{said}: {shown} is denied by {}", place(origin)))
            .hint(format!("take it out of `environment.deny`, or give a value: {given}")));
    }
    draft.host.environment.get(name).cloned().ok_or_else(|| {
        Error::usage(format!("{said}: {shown} is not set in your environment"))
            .hint(format!("export it first, or give a value: {given}"))
    })
}

/// Terminal descriptions that only the caller's home or terminal brings along.
pub(super) fn terminal_descriptions(draft: &mut Draft<'_>) -> Result<()> {
    let named = draft.host.environment.get(OsStr::new("TERMINFO")).map(PathBuf::from);
    let named = named.filter(|_| {
        draft.settings.pass.iter().any(|pattern| matches(&pattern.value, OsStr::new("TERMINFO")))
    });
    for dir in named.into_iter().chain([draft.host.home.join(".terminfo")]) {
        let dir = clean(&dir);
        let Some(real) = draft.facts.canonicalize(&dir) else { continue };
        let is_directory =
            draft.facts.lstat(&real).is_some_and(|found| found.kind == FileKind::Directory);
        let holds = draft.host.home.starts_with(&real) || !dir.is_absolute();
        if holds
            || !is_directory
            || is_visible(draft, &dir)
            || draft.host.dirs.overlapping(&real).is_some()
            || planted(&dir, Trust::None, draft.host, draft.facts).is_some()
        {
            continue;
        }
        draft.bind(&Bind {
            source: &real,
            destination: &dir,
            access: Access::Read,
            class: Class::Tools,
            why: "terminal descriptions",
            origin: None,
        })?;
    }
    Ok(())
}
