//! What `claudebox explain` shows: every decision with the place it comes from, the mounts in
//! their order, what is weaker than it could be. It must never show the value of a variable that
//! the caller passed or typed, and never a byte of foreign text unescaped.
#![forbid(unsafe_code)]

mod network;

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::Policy;
use super::environment::{From as Comes, Variable};
use super::mount::{Access, Class, Mount, Step};
use super::paths::place;
use crate::bytes::Bytes;
use crate::plan::limits;
use crate::plan::{Arg, Demand, FdSource, Mirror, Plan, Prepare};
use crate::profile::origin::{Origin, Settled};
use crate::profile::schema::{ExecLog, Git, HostFiles};
use crate::visible::{is_invisible, visible, visible_path};

/// The policy for a person.
pub fn text(policy: &Policy) -> String {
    let mut out = String::new();
    header(&mut out, policy);
    section(&mut out, "network", network::lines(policy));
    section(&mut out, "mounts, in order", policy.mounts.iter().map(mount_line));
    section(&mut out, "environment", policy.environment.iter().map(variable_line));
    section(&mut out, "made ready on the host", policy.prepare.iter().filter_map(prepare_line));
    section(&mut out, "kept in step with the host", policy.mirrors.iter().map(mirror_line));
    section(&mut out, "left out", policy.left_out.iter().cloned());
    section(&mut out, "weakened", policy.weakened.iter().cloned());
    out
}

fn header(out: &mut String, policy: &Policy) {
    let argv: Vec<String> = policy.argv.iter().map(|arg| quoted(arg.as_bytes())).collect();
    let shell: Vec<String> = policy.shell.iter().map(|arg| quoted(arg.as_bytes())).collect();
    let mut row = |name: &str, value: &str, origin: Option<&Origin>| {
        let _ = writeln!(out, "{name:<14} {}", with_place(value, origin));
    };
    row("profile", &visible(&policy.profile), None);
    if !policy.description.is_empty() {
        row("", &visible(&policy.description), None);
    }
    row("project", &visible_path(&policy.project.root), None);
    row("starts in", &visible_path(&policy.cwd), None);
    row("command", &argv.join(" "), None);
    row("program", &visible_path(&policy.program), None);
    row("shell", &shell.join(" "), None);
    for (name, value, origin) in settings(policy) {
        row(name, &value, Some(origin));
    }
}

/// The scalars, as a profile writes them.
fn settings(policy: &Policy) -> Vec<(&'static str, String, &Origin)> {
    fn named<'p, T>(
        name: &'static str,
        value: &'p Settled<T>,
        word: &str,
    ) -> (&'static str, String, &'p Origin) {
        (name, word.to_owned(), &value.origin)
    }
    let git = match policy.git.value {
        Git::Private => "private",
        Git::Shared => "shared",
        Git::ReadOnly => "read-only",
        Git::None => "none",
    };
    let exec_log = match policy.exec_log.value {
        ExecLog::Off => "off",
        ExecLog::BestEffort => "best-effort",
        ExecLog::Required => "required",
    };
    let host_files = match policy.host_files.value {
        HostFiles::Ask => "ask",
        HostFiles::Report => "report",
        HostFiles::SetAside => "set-aside",
    };
    let demand = |demand| match demand {
        Demand::Off => "off",
        Demand::BestEffort => "best-effort",
        Demand::Required => "required",
    };
    let landlock = demand(policy.landlock.demand);
    let nested = if policy.nested_userns.value { "true" } else { "false" };
    let limits = &policy.limits;
    let mut settings = vec![
        named("network", &policy.network, policy.network.value.word()),
        named("git", &policy.git, git),
        named("nix", &policy.nix, policy.nix.value.word()),
        named("exec-log", &policy.exec_log, exec_log),
        named("host-files", &policy.host_files, host_files),
        ("landlock", landlock.to_owned(), &policy.landlock_origin),
        named("nested-userns", &policy.nested_userns, nested),
        named("limits", &limits.demand, demand(limits.demand.value)),
    ];
    settings.extend(limits.shown.iter().map(|(key, held, origin)| (*key, held.clone(), origin)));
    settings
}

fn section(out: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    let _ = writeln!(out, "\n{title}");
    for line in lines {
        let _ = writeln!(out, "  {line}");
    }
}

fn with_place(value: &str, origin: Option<&Origin>) -> String {
    match origin {
        Some(origin) => format!("{value:<40} [{}]", place(origin)),
        None => value.to_owned(),
    }
}

fn mount_line(step: &Step) -> String {
    let (kind, what) = mount_words(step);
    let origin = step.origin.as_ref().map(|origin| format!(" [{}]", place(origin)));
    format!("{kind:<5} {what:<50} {}{}", visible(&step.why), origin.unwrap_or_default())
}

/// A word for the operation, and what it is done to.
fn mount_words(step: &Step) -> (&'static str, String) {
    let destination = visible_path(step.mount.destination());
    match &step.mount {
        Mount::Copy { source, destination: at } if source == at => ("copy", destination),
        Mount::Copy { source, .. } => ("copy", format!("{destination} = {}", visible_path(source))),
        Mount::Bind { source, destination: at, access, .. } => {
            let word = if *access == Access::Write { "rw" } else { "ro" };
            let source = source.path();
            if source == *at {
                (word, destination)
            } else {
                (word, format!("{destination} = {}", visible_path(&source)))
            }
        }
        Mount::Tmpfs { .. } | Mount::Mask { .. } if step.class == Class::Hide => {
            ("hide", destination)
        }
        Mount::Mask { .. } => ("hide", destination),
        Mount::File { .. } => ("file", destination),
        Mount::Tmpfs { size, .. } => ("tmpfs", format!("{destination} ({})", limits::size(*size))),
        Mount::Symlink { target, .. } => {
            ("link", format!("{destination} -> {}", visible_path(target)))
        }
        Mount::Directory { .. } => ("dir", destination),
        Mount::Proc => ("proc", destination),
        Mount::Dev => ("dev", destination),
        Mount::RemountReadOnly { .. } => ("seal", destination),
    }
}

fn variable_line(variable: &Variable) -> String {
    let name = visible(variable.name.as_bytes());
    let shown = match shown_value(variable) {
        Some(value) => format!("{name}={}", quoted(value.as_bytes())),
        None => format!("{name} (the caller's value)"),
    };
    with_place(&shown, variable.origin.as_ref())
}

/// The value, where it is no secret.
fn shown_value(variable: &Variable) -> Option<&OsStr> {
    (variable.from != Comes::Caller).then_some(variable.value.as_os_str())
}

fn prepare_line(step: &Prepare) -> Option<String> {
    let at = |root: &Bytes, path: &Bytes| visible(path_bytes(&root.as_path().join(path.as_path())));
    match step {
        Prepare::Directory { root, path } => Some(format!("directory  {}", at(root, path))),
        Prepare::File { root, path, .. } | Prepare::MountPoint { root, path } => {
            Some(format!("file       {}", at(root, path)))
        }
        Prepare::CreateMissing { root, path, .. } => Some(format!("if missing {}", at(root, path))),
        Prepare::Empty { root, path, keep } => {
            let keep: Vec<String> = keep.iter().map(|name| visible(&name.0)).collect();
            let but = if keep.is_empty() {
                String::new()
            } else {
                format!(", but for {}", keep.join(", "))
            };
            Some(format!("emptied    {}{but}", at(root, path)))
        }
        // Most of them are not there; they all are in the private home.
        Prepare::Home { .. } | Prepare::Remove { .. } => None,
    }
}

fn mirror_line(mirror: &Mirror) -> String {
    let keys = |word: &str, keys: &[String]| {
        let keys: Vec<String> = keys.iter().map(visible).collect();
        (!keys.is_empty()).then(|| format!("{word}: {}", keys.join(", ")))
    };
    let both = keys("both ways", &mirror.both);
    let first = keys("to the host, where it has none", &mirror.first);
    let keys: Vec<String> = both.into_iter().chain(first).collect();
    format!("{} ({})", visible(&mirror.host), keys.join("; "))
}

/// The bwrap command as a shell would take it, an option a line. A descriptor that the supervisor
/// opens is shown as what it is opened on.
pub fn bwrap(plan: &Plan) -> String {
    let mut out = quoted(&plan.bwrap.0);
    let mut continues = false;
    for arg in &plan.args {
        let word = match arg {
            Arg::Literal(bytes) => quoted(&bytes.0),
            Arg::Session(path) => quoted(&[b"<session>/", path.as_ref()].concat()),
            Arg::Fd(FdSource::Data(bytes)) => format!("'<fd: {} bytes>'", bytes.0.len()),
            Arg::Fd(FdSource::Content(path)) => quoted(&[b"<fd: ", path.as_ref(), b">"].concat()),
            Arg::Fd(FdSource::Session(path)) => {
                quoted(&[b"<fd: <session>/", path.as_ref(), b">"].concat())
            }
            Arg::Fd(FdSource::Path { beneath, path }) => {
                let path = beneath.as_path().join(path.as_path());
                quoted(&[b"<fd: ", path_bytes(&path), b">"].concat())
            }
        };
        let option = matches!(arg, Arg::Literal(bytes) if bytes.0.starts_with(b"--"));
        out.push_str(if option && !continues { " \\\n  " } else { " " });
        continues = match arg {
            Arg::Literal(bytes) if option => matches!(&*bytes.0, b"--perms" | b"--size"),
            _ => continues && !option,
        };
        out.push_str(&word);
    }
    let inner = super::system::OWN_PROGRAM;
    let _ = writeln!(out, " \\\n  -- {inner} __inner '<fd: supervisor>' '<fd: plan>'");
    out
}

fn path_bytes(path: &Path) -> &[u8] {
    // `join("")` leaves a slash at the end.
    match path.as_os_str().as_bytes() {
        b"/" => b"/",
        path => path.strip_suffix(b"/").unwrap_or(path),
    }
}

/// A word as a shell reads it back exactly: bare, in single quotes, or as `$'...'` where it holds
/// something that a terminal must not see.
fn quoted(word: &[u8]) -> String {
    let printable = std::str::from_utf8(word).ok().filter(|text| !text.chars().any(is_invisible));
    if let Some(text) = printable
        && let Ok(quoted) = shlex::try_quote(text)
    {
        return quoted.into_owned();
    }
    let mut out = String::from("$'");
    for byte in word {
        match byte {
            b'\'' | b'\\' => {
                out.push('\\');
                out.push(char::from(*byte));
            }
            b' '..=b'~' => out.push(char::from(*byte)),
            byte => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('\'');
    out
}

/// The policy for a program. Paths are strings, or objects with their exact bytes.
pub fn json(policy: &Policy) -> Value {
    let words = |words: &[std::ffi::OsString]| -> Vec<Bytes> {
        words.iter().map(|word| Bytes::from(word.as_os_str())).collect()
    };
    let settings: serde_json::Map<String, Value> = settings(policy)
        .into_iter()
        .map(|(name, value, origin)| {
            (name.to_owned(), json!({ "value": value, "origin": place(origin) }))
        })
        .collect();
    json!({
        "profile": policy.profile,
        "description": policy.description,
        "project": Bytes::from(&*policy.project.root),
        "cwd": Bytes::from(&*policy.cwd),
        "home": { "inside": Bytes::from(&*policy.home), "host": Bytes::from(&*policy.private_home) },
        "program": Bytes::from(&*policy.program),
        "argv": words(&policy.argv),
        "shell": words(&policy.shell),
        "settings": settings,
        "network": network::json(policy),
        "mounts": policy.mounts.iter().map(mount_json).collect::<Vec<_>>(),
        "environment": policy.environment.iter().map(variable_json).collect::<Vec<_>>(),
        "landlock": policy.landlock,
        "mirrors": policy.mirrors,
        "left-out": policy.left_out,
        "weakened": policy.weakened,
    })
}

fn mount_json(step: &Step) -> Value {
    let (kind, _) = mount_words(step);
    let mut object = json!({
        "kind": kind,
        "destination": Bytes::from(step.mount.destination()),
        "why": step.why,
        "origin": step.origin.as_ref().map(place),
    });
    match &step.mount {
        Mount::Copy { source, .. } => object["source"] = json!(Bytes::from(&**source)),
        Mount::Bind { source, .. } => object["source"] = json!(Bytes::from(source.path())),
        Mount::Tmpfs { size, mode, .. } => {
            object["size"] = json!(size);
            object["mode"] = json!(format!("{mode:04o}"));
        }
        Mount::Symlink { target, .. } => object["target"] = json!(Bytes::from(&**target)),
        _ => {}
    }
    object
}

fn variable_json(variable: &Variable) -> Value {
    json!({
        "name": Bytes::from(variable.name.as_os_str()),
        "value": shown_value(variable).map(Bytes::from),
        "origin": variable.origin.as_ref().map(place),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_quoted_for_a_shell_and_a_terminal() {
        assert_eq!(quoted(b"/usr"), "/usr");
        assert_eq!(quoted(b"a b"), "'a b'");
        assert_eq!(quoted("\u{e9}t\u{e9} x".as_bytes()), "'\u{e9}t\u{e9} x'");
        assert_eq!(quoted(b"a\n'\xff\x1b"), "$'a\\x0a\\'\\xff\\x1b'");
        assert_eq!(quoted(b""), "''");
    }

    proptest! {
        #[test]
        fn nothing_invisible_is_printed(word: Vec<u8>) {
            prop_assert!(!quoted(&word).chars().any(is_invisible));
        }
    }
}
