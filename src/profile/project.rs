//! The project's own `.claudebox.toml`: a stranger's text. Untrusted, it may only take away; any
//! other key is an error until the user trusts these very bytes. It must never be opened through
//! a symbolic link, which could make the project's file mean another one.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::directory::Directory;
use super::extends::{self, OfProject};
use super::library::Library;
use super::merge::{Layer, merge};
use super::origin::LayerKind;
use super::raised::only_lower;
use super::said::{Said, said};
use super::source::Source;
use super::trust::Trust;
use crate::error::Result;
use crate::hex::hexadecimal;

/// The name of the project's own profile.
pub const FILE: &str = ".claudebox.toml";

/// A project's own profile, read once: what is parsed, shown, hashed and used is the same text.
#[derive(Debug)]
pub struct Own {
    /// Its file, absolute.
    pub path: PathBuf,
    /// Everything it consists of, parents first.
    pub layers: Vec<Layer>,
    /// SHA-256 over all files below the project that it consists of, hexadecimal.
    pub digest: String,
}

impl Own {
    /// Reads the profile of this project, if it has one.
    pub fn read(library: &Library, project: &Path) -> Result<Option<Self>> {
        let directory = Directory::open(project)?;
        let OfProject { layers, files } = extends::project(library, &directory, Path::new(FILE))?;
        if files.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { path: project.join(FILE), layers, digest: digest(&files) }))
    }

    /// What it says beyond what a stranger may say, with the file that says it.
    pub fn beyond(&self) -> Vec<(&Source, Said)> {
        let own = self.layers.iter().filter(|layer| layer.source.kind == LayerKind::Project);
        own.flat_map(|layer| {
            said(&layer.profile)
                .into_iter()
                .filter(|said| !is_harmless(said))
                .map(|said| (&layer.source, said))
        })
        .collect()
    }
}

/// The layers that the project's own profile adds to those `below` it, on a machine with so many
/// bytes of `memory`; an error where it wants more than it may.
pub fn layers(
    library: &Library,
    trust: &Trust,
    project: &Path,
    below: &[Layer],
    memory: u64,
) -> Result<Vec<Layer>> {
    let Some(own) = Own::read(library, project)? else { return Ok(Vec::new()) };
    let trusted = trust.digest(&own.path)?;
    if trusted.as_deref() == Some(own.digest.as_str()) {
        return Ok(own.layers);
    }
    let beyond = own.beyond();
    if let Some((source, first)) = beyond.first() {
        let keys: Vec<_> = beyond.iter().map(|(_, said)| said.key.as_str()).collect();
        let what = match trusted {
            Some(_) => "this project's profile has changed since you trusted it",
            None => "this project's profile is not trusted",
        };
        let title = format!("{what}, and sets `{}`", first.key);
        return Err(source
            .error(first.span.clone(), &title)
            .hint(format!("until then it may only hide, deny and lower; it sets: {}", list(&keys)))
            .hint("read it, then run `claudebox trust`"));
    }
    let settings = merge(below.to_vec());
    own.layers.iter().try_for_each(|layer| only_lower(layer, &settings, memory))?;
    Ok(own.layers)
}

/// Each key once, for a hint.
fn list(keys: &[&str]) -> String {
    let mut keys = keys.to_vec();
    keys.dedup();
    crate::visible::visible(keys.join(", "))
}

/// What a stranger may say: it hides below the project, denies variables and hosts, sets limits
/// (whether they are lower is judged by [`only_lower`]).
fn is_harmless(said: &Said) -> bool {
    match said.key.as_str() {
        "environment.deny" | "network.deny" => true,
        "limits.enforce" => false,
        // Assertions grant nothing, and no attack is run in a stranger's project.
        key if key.starts_with("limits.") || key.starts_with("assert.") => true,
        "files.hide" => !said.value.trim_start_matches('"').starts_with(['/', '~', '$']),
        _ => false,
    }
}

/// Lengths stand before names and texts, so that no two sets of files share a digest.
fn digest(files: &[(PathBuf, Source)]) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let mut hash = Sha256::new();
    for (path, source) in files {
        for bytes in [path.as_os_str().as_bytes(), source.text().as_bytes()] {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
    }
    hexadecimal(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use insta::assert_snapshot;

    use super::super::ask_trust;
    use super::super::fixture::Fixture;
    use super::*;
    use crate::profile::ProfileChoice;
    use crate::profile::settings::Settings;

    const OWN: &str = "project/.claudebox.toml";

    fn settle(fixture: &Fixture) -> Result<Settings> {
        fixture.settle(&ProfileChoice::ForCommand, &["true"])
    }

    fn refused(fixture: &Fixture) -> String {
        fixture.shown(&settle(fixture).unwrap_err())
    }

    /// `claudebox trust`, answered with yes; what it printed.
    fn trusted(fixture: &Fixture) -> String {
        let mut out = Vec::new();
        let project = fixture.path("project");
        let host = &fixture.host;
        ask_trust::command(&mut out, host, None, &project, &mut |_| Ok(true)).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.replace(&fixture.path("").display().to_string(), "/")
    }

    #[test]
    fn untrusted_it_takes_away() {
        let fixture = Fixture::new();
        fixture.write(
            OWN,
            "[files]\nhide = [\"secrets\", \"./.env\"]\n[environment]\ndeny = [\"LANG\", \"LC_*\"]\n\
             [limits]\ntmp-size = \"16MiB\"\n[network]\ndeny = [\"*.pages.dev\", \"@npm\"]\n",
        );
        let settings = settle(&fixture).unwrap();
        let hide: Vec<_> = settings.hide.iter().map(|hide| hide.value.as_str()).collect();
        assert!(hide.ends_with(&["${PROJECT}/secrets", "${PROJECT}/.env"]), "{hide:?}");
        assert!(!settings.pass.iter().any(|name| name.value == "LANG" || name.value == "LC_*"));
        assert_eq!(settings.tmp_size.unwrap().value, 16 << 20);
        let denied: Vec<_> = settings.network.deny.iter().map(|deny| deny.value.as_str()).collect();
        assert_eq!(denied, ["*.pages.dev", "@npm"]);
    }

    #[test]
    fn untrusted_it_gives_nothing() {
        let fixture = Fixture::new();
        fixture.write(OWN, "[files]\nhide = [\".env\"]\nread-write = [\"~/.ssh\"]\n");
        assert_snapshot!(refused(&fixture), @r#"
        this project's profile is not trusted, and sets `files.read-write`
         --> /project/.claudebox.toml:3:15
          |
        3 | read-write = ["~/.ssh"]
          |               ^^^^^^^^
        hint: until then it may only hide, deny and lower; it sets: files.read-write
        hint: read it, then run `claudebox trust`
        "#);
        for more in [
            "description = \"x\"",
            "extends = [\"base\"]",
            "exec-log = \"off\"",
            "nested-userns = true",
            "tools = [\"/x\"]",
            "state = [\"~/.x\"]",
            "state-copy = { \"~/.x\" = [\"k\"] }",
            "state-sync = { \"~/.x\" = [\"k\"] }",
            "state-own = [\"~/.x\"]",
            "state-emptied = { \"~/.x\" = [] }",
            "agent.command = [\"x\"]",
            "files.hide = [\"/usr/bin/git\"]",
            "files.hide = [\"~/.claude/settings.json\"]",
            "files.hide = [\"${PROJECT}/x\"]",
            "environment.pass = [\"AWS_SECRET_ACCESS_KEY\"]",
            "environment.set.LD_PRELOAD = \"/x\"",
            "network.mode = \"none\"",
            "network.mode = \"allow\"",
            "network.allow = [\"evil.example\"]",
            "network.allow = [\"@npm\"]",
            "network.host-ports = [5432]",
            "network.publish = [\"22\"]",
            "network.proxy = true",
            "network.pool = \"10.0.0.0/8\"",
            "network.transparent = \"off\"",
            "sockets.docker = true",
            "limits.tmp-size = \"64GiB\"",
            "limits.enforce = \"off\"",
            "limits.enforce = \"required\"",
            "limits.processes = \"unlimited\"",
            "limits.processes = 1000000",
            "limits.open-files = \"unlimited\"",
            "limits.memory = \"unlimited\"",
            "limits.memory = \"100%\"",
            "limits.memory = \"64GiB\"",
        ] {
            fixture.write(OWN, more);
            assert!(refused(&fixture).contains("run `claudebox trust`"), "{more}");
        }
    }

    #[test]
    fn trust_is_in_the_bytes_of_every_file_of_the_project() {
        let fixture = Fixture::new();
        fixture
            .write(OWN, "extends = [\"./box/more.toml\"]\nnetwork.mode = \"none\"\n")
            .write("project/box/more.toml", "tools = [\"/opt/x\"]\n");
        assert_snapshot!(trusted(&fixture), @r#"
        /project/.claudebox.toml sets, beyond what an untrusted profile may:
          tools = "/opt/x"   (/project/box/more.toml:1)
          extends = "./box/more.toml"   (/project/.claudebox.toml:1)
          network.mode = "none"   (/project/.claudebox.toml:2)
        Trusted as it stands now; any change takes that back.
        "#);
        let settings = settle(&fixture).unwrap();
        assert!(settings.tools.iter().any(|tool| tool.value == "/opt/x"));
        assert_eq!(settings.network.mode.unwrap().origin.layer, LayerKind::Project);
        fixture.write("project/box/more.toml", "tools = [\"/opt/y\"]\n");
        assert_snapshot!(refused(&fixture), @r#"
        this project's profile has changed since you trusted it, and sets `tools`
         --> /project/box/more.toml:1:10
          |
        1 | tools = ["/opt/y"]
          |          ^^^^^^^^
        hint: until then it may only hide, deny and lower; it sets: tools, extends, network.mode
        hint: read it, then run `claudebox trust`
        "#);
    }

    #[test]
    fn trust_is_for_this_place_and_kept_where_only_the_user_writes() {
        let fixture = Fixture::new();
        let text = "network.mode = \"none\"\n";
        fixture.write(OWN, text);
        trusted(&fixture);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let store = fixture.path("state/trust");
        let entry = fs::read_dir(&store).unwrap().next().unwrap().unwrap().path();
        assert_eq!((mode(&store), mode(&entry)), (0o700, 0o600));
        fixture.write("other/.claudebox.toml", text);
        let trust = Trust::of(&fixture.host);
        assert_eq!(trust.digest(&fixture.path("other/.claudebox.toml")).unwrap(), None);
    }

    #[test]
    fn who_says_no_trusts_nothing() {
        let fixture = Fixture::new();
        fixture.write(OWN, "network.mode = \"none\"\n");
        let project = fixture.path("project");
        let said =
            ask_trust::command(&mut Vec::new(), &fixture.host, None, &project, &mut |_| Ok(false));
        assert!(said.is_err());
        assert!(!fixture.path("state/trust").exists());
    }

    #[test]
    fn what_is_shown_before_trusting_is_safe_for_a_terminal() {
        let fixture = Fixture::new();
        fixture.write(OWN, "environment.set.A = \"\\u001b[2Jb\\nsays = 1\"\n");
        let shown = trusted(&fixture);
        assert!(shown.contains(r#"environment.set.A = "\x1b[2Jb\nsays = 1""#), "{shown}");
    }

    #[test]
    fn links_and_devices_are_refused() {
        let fixture = Fixture::new();
        let own = fixture.path(OWN);
        fixture.write("elsewhere.toml", "");
        symlink(fixture.path("elsewhere.toml"), &own).unwrap();
        assert_snapshot!(refused(&fixture), @"
        /project/.claudebox.toml is, or is behind, a symbolic link
        hint: a project's own profile must be a plain file; copy it there
        ");
        fs::remove_file(&own).unwrap();
        nix::unistd::mkfifo(&own, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert_snapshot!(refused(&fixture), @"/project/.claudebox.toml is not a regular file");
        fs::remove_file(&own).unwrap();
        fixture.write("outside/more.toml", "").write(OWN, "extends = [\"./link/more.toml\"]\n");
        symlink(fixture.path("outside"), fixture.path("project/link")).unwrap();
        assert!(refused(&fixture).contains("symbolic link"));
        fixture.write(OWN, "extends = [\"../outside/more.toml\"]\n");
        assert_snapshot!(refused(&fixture), @r#"
        a project's file can only extend files below the project, and profiles by name
         --> /project/.claudebox.toml:1:12
          |
        1 | extends = ["../outside/more.toml"]
          |            ^^^^^^^^^^^^^^^^^^^^^^
        "#);
    }
}
