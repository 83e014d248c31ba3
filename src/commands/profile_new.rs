//! `claudebox profile new`: the run that is watched, and what is written of it. The run is an ordinary
//! one, under the profile `default`, in this terminal; nothing is granted that `default` does not grant.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::cli::{NewArgs, RunArgs};
use crate::error::{Error, Result, Tried as _, printed, say};
use crate::front;
use crate::host::Host;
use crate::learn::home::{Look, Written};
use crate::learn::observed::Observed;
use crate::learn::text::{self, Seen};
use crate::log::reader::{Entry, Reader};
use crate::plan::Prepare;
use crate::policy::Policy;
use crate::policy::home::STARTUP_FILES;
use crate::policy::invocation::Invocation;
use crate::profile::config::Config;
use crate::profile::create::New;
use crate::profile::library::Library;
use crate::session::Sessions;
use crate::visible::{visible, visible_path};

/// The profile that a command is watched under.
const UNDER: &str = "default";

/// Writes the profile; answers with the exit code, which is not that of the command.
pub(super) fn new(
    args: &NewArgs,
    library: &Library,
    host: &Host,
    out: &mut dyn Write,
) -> Result<u8> {
    let new = New::named(library, &args.name, args.force)?;
    let words = command(args)?;
    let text = if words.is_empty() {
        text::skeleton(&args.name)
    } else {
        text::learned(&watch(words, host)?)
    };
    let path = new.write(&text)?;
    let name = &args.name;
    printed(writeln!(
        out,
        "wrote {}\nlook at it, then: claudebox profile check {name} && claudebox run {name}",
        visible_path(&path)
    ))?;
    Ok(0)
}

/// The command as words; empty where none was given.
fn command(args: &NewArgs) -> Result<Vec<OsString>> {
    let mut words = Vec::new();
    if let Some(typed) = &args.from {
        let split = shlex::bytes::split(typed.as_bytes()).filter(|words| !words.is_empty());
        let split = split.ok_or_else(|| {
            Error::usage(format!("--from: `{}` is no command", visible(typed.as_bytes())))
                .hint("a quote in it is not closed, or it is empty")
        })?;
        words.extend(split.into_iter().map(OsString::from_vec));
    }
    words.extend(args.argv.iter().cloned());
    Ok(words)
}

/// Runs the command, and looks at what it did.
fn watch(argv: Vec<OsString>, host: &Host) -> Result<Seen> {
    // What a profile cannot hold is said before anything runs.
    let words = argv.iter().map(|word| {
        word.to_str().map(str::to_owned).ok_or_else(|| {
            Error::usage(format!("`{}` is not text", visible(word.as_bytes())))
                .hint("a profile is text, and so is every word of its command")
        })
    });
    let words: Vec<String> = words.collect::<Result<_>>()?;
    let config = Config::load(host)?;
    let run = RunArgs { profile: Some(UNDER.into()), argv, ..RunArgs::default() };
    let mut invocation = Invocation::of_run(&run, &config)?;
    invocation.monitor = false;
    let (policy, plan) = crate::plan(&invocation, &config, host)?;
    let look = || Look::at(&policy.private_home).tried(|| "look at the private home");
    let before = look()?;
    say(format_args!(
        "watching one run under `{UNDER}`: what it is refused is written down, and not granted"
    ));
    let code = front::run(&policy, &plan, &invocation, host)?;
    let after = look()?;
    let found = Sessions::new(&host.dirs).latest_of(&policy.project.root)?;
    if found.state.lives() {
        return Err(Error::launcher(format!("session {} still runs", found.session.id))
            .hint("a profile is made of what a run did when it is over"));
    }
    let written = Written::of(&after.since(&before, &own_files(&policy)), &STARTUP_FILES);
    Ok(Seen {
        argv: words,
        code,
        observed: read(&found.session.directory)?,
        written,
        cut: before.cut || after.cut,
        variables: variables(&policy, host),
    })
}

fn read(directory: &Path) -> Result<Observed> {
    let mut observed = Observed::default();
    let mut read = || -> io::Result<()> {
        let mut reader = Reader::open(directory)?;
        while let Some(entry) = reader.next_entry()? {
            if let Entry::Event(event, _) = entry {
                observed.event(*event);
            }
        }
        Ok(())
    };
    read().tried(|| "read the log of the session")?;
    observed.over();
    Ok(observed)
}

/// What claudebox itself makes in the private home, relative to it.
fn own_files(policy: &Policy) -> BTreeSet<PathBuf> {
    let made = policy.prepare.iter().filter_map(|step| match step {
        Prepare::File { root, path, .. } | Prepare::MountPoint { root, path } => {
            (root.as_path() == policy.private_home).then(|| path.as_path().to_owned())
        }
        _ => None,
    });
    made.collect()
}

/// The names of the caller's variables that a login may be in, and that were not passed on.
fn variables(policy: &Policy, host: &Host) -> BTreeSet<String> {
    let passed = |name: &OsStr| policy.environment.iter().any(|variable| variable.name == name);
    let endings = ["_API_KEY", "_TOKEN", "_BASE_URL", "_API_BASE"];
    let names =
        host.environment.keys().filter(|name| !passed(name)).filter_map(|name| name.to_str());
    let plain = |name: &&str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.chars().all(|ch| ch.is_ascii_alphanumeric() || ch == '_')
    };
    let may_be = names.filter(plain).filter(|name| endings.iter().any(|end| name.ends_with(end)));
    may_be.map(str::to_owned).collect()
}
