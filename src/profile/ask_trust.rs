//! `claudebox trust`: shows what a project's profile asks for, and trusts it if the user does. What is
//! trusted is the text that was shown, and never what stands in the file by then.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::command::say;
use super::include::FILE as INCLUDE;
use super::library::Library;
use super::project::{FILE, Own};
use super::trust::Trust;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::visible::{visible, visible_path};

/// `claudebox trust [FILE]`: shows what the project's profile sets beyond what a stranger may, asks,
/// and trusts exactly the text that was shown. `confirm` answers the question; where nobody can be
/// asked it is for the caller to say so.
pub fn command(
    out: &mut dyn Write,
    host: &Host,
    file: Option<&Path>,
    project: &Path,
    confirm: &mut dyn FnMut(&mut dyn Write) -> Result<bool>,
) -> Result<()> {
    let project = match file {
        Some(file) => project_of(host, file)?,
        None => project.to_owned(),
    };
    let Some(own) = Own::read(&Library::of(host), &project)? else {
        let path = visible_path(&project.join(FILE));
        return Err(Error::usage(format!(
            "there is no {path} to trust, and no `{INCLUDE}` beside it"
        )));
    };
    let trust = Trust::of(host);
    let shown = visible_path(&own.path);
    if trust.digest(&own.path)?.as_deref() == Some(own.digest.as_str()) {
        return say(out, &format!("{shown} is trusted as it stands.\n"));
    }
    if own.beyond().is_empty() {
        return say(out, &format!("{shown} only hides, denies and lowers; it needs no trust.\n"));
    }
    say(out, &describe(&own))?;
    if !confirm(out)? {
        return Err(Error::usage(format!("{shown} is not trusted; nothing has changed")));
    }
    trust.set(&own.path, &own.digest)?;
    say(out, "Trusted as it stands now; any change takes that back.\n")
}

/// What the user is asked to trust.
fn describe(own: &Own) -> String {
    use std::fmt::Write as _;
    let mut text =
        format!("{} sets, beyond what an untrusted profile may:\n", visible_path(&own.path));
    for (source, said) in own.beyond() {
        let line = source.origin(&said.span).line;
        let (key, value) = (visible(&said.key), visible(&said.value));
        let _ = writeln!(text, "  {key} = {value}   ({}:{line})", source.name);
    }
    text
}

/// The project that a profile named on the command line belongs to.
fn project_of(host: &Host, file: &Path) -> Result<PathBuf> {
    let shown = visible_path(file);
    if file.file_name().is_none_or(|name| name != FILE) {
        return Err(Error::usage(format!("{shown} is not a project's own profile"))
            .hint(format!("only `{FILE}` and `{INCLUDE}` in a project's directory need trust")));
    }
    let parent = host.cwd.join(file).parent().map(Path::to_owned).unwrap_or_default();
    parent.canonicalize().map_err(|err| Error::usage(format!("cannot find {shown}: {err}")))
}
