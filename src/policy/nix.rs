//! What of Nix there is inside: nothing, the store, a store of the project's own, or the host's daemon.
//! It must never show the daemon's socket unless that is what a profile asks for: a read-only bind does
//! not protect a socket, and who reaches the daemon has the host's network, and as a user whom it trusts
//! the host.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::draft::{Bind, Draft};
use super::environment;
use super::mount::{Access, Class, Mount, Node, Source, Step, View};
use super::nix_trust::trusted;
use super::outside;
use super::paths::place;
use super::program::Need;
use super::store::{STORE, store_path};
use crate::error::{Error, Kind, Result};
use crate::host::NIX_STORE;
use crate::lexical::is_below;
use crate::plan::Prepare;
use crate::profile::schema::{NetworkMode, Nix, NixHole};
use crate::visible::visible_path;

/// Where Nix keeps everything.
const ROOT: &str = "/nix";
/// The directory with the daemon's socket.
pub(super) const DAEMON: &str = "/nix/var/nix/daemon-socket";
/// The private root of Nix, in the private home: it goes and stays with it.
const PRIVATE: &str = ".claudebox-nix";
/// More paths than this are more arguments than bwrap takes (9000).
const MOST_PATHS: usize = 2000;

/// Whether something of the host is not shown by the key `nix`: what is Nix's own, or leads there.
pub(super) fn leaves_out(draft: &Draft<'_>, path: &Path, real: &Path) -> bool {
    let [path_in, real_in] = [path, real].map(|path| is_below(path, Path::new(ROOT)));
    // One path of the store, by its name: what a profile that was made by Nix lists.
    let named = store_path(path).is_some();
    match draft.nix.value {
        Nix::None => (path_in || real_in) && !named,
        // The profiles are links into the host's store.
        Nix::Private => path_in && !is_below(path, Path::new(STORE)),
        Nix::Store | Nix::Daemon => false,
    }
}

/// Notes which path of the host's store something visible leads to.
pub(super) fn leads_to(draft: &mut Draft<'_>, real: &Path) {
    if draft.nix.value == Nix::Private {
        draft.store_paths.extend(store_path(real));
    }
}

/// With a private store a part of the host's is no mount of its own: what is needed of it is mounted
/// path by path. Answers whether this is such a part.
pub(super) fn keeps(draft: &mut Draft<'_>, path: &Path, real: &Path) -> bool {
    leads_to(draft, real);
    draft.nix.value == Nix::Private && is_below(path, Path::new(STORE))
}

/// What the agent's program needs of the store. Answers whether that is seen to.
///
/// # Errors
/// When a profile says that there is no Nix.
pub(super) fn takes(draft: &mut Draft<'_>, need: &Need) -> Result<bool> {
    let Some(path) = store_path(&need.source) else { return Ok(false) };
    match draft.nix.value {
        Nix::Private => {
            draft.store_paths.insert(path);
            draft.store_needs.push(need.clone());
            Ok(true)
        }
        Nix::None => Err(Error::new(
            Kind::NotFound,
            format!(
                "the agent's program is in the store of Nix ({}), and `nix` is \"none\" ({})",
                visible_path(&path),
                place(&draft.nix.origin)
            ),
        )
        .hint("say `nix = \"store\"`, or name what it needs of the store in `files.system`")),
        Nix::Store | Nix::Daemon => Ok(false),
    }
}

/// The private root, or the daemon's socket.
pub(super) fn mounts(draft: &mut Draft<'_>, network: NetworkMode) -> Result<()> {
    match draft.nix.value {
        Nix::None | Nix::Store => Ok(()),
        Nix::Private => private(draft),
        Nix::Daemon => daemon(draft, network),
    }
}

fn private(draft: &mut Draft<'_>) -> Result<()> {
    let root = draft.private_home.clone();
    draft.prepare.push(Prepare::Directory { root: (&*root).into(), path: PRIVATE.into() });
    draft.add(Step {
        mount: Mount::Bind {
            source: Source::Beneath { root, path: PRIVATE.into() },
            destination: ROOT.into(),
            access: Access::Write,
            node: Node::Directory,
        },
        class: Class::Home,
        why: "a store of its own for this profile in this project".to_owned(),
        origin: Some(draft.nix.origin.clone()),
    })?;
    // Links of the system that are no part of their own, and where programs are looked for.
    let links = ["/bin/sh", "/usr/bin/env"].map(PathBuf::from);
    for path in links.into_iter().chain(environment::host_path(draft.host)) {
        if let Some(real) = draft.facts.canonicalize(&path) {
            leads_to(draft, &real);
        }
    }
    // A build cannot make namespaces inside, and root has no users to build as.
    let config = "sandbox = false\nbuild-users-group =";
    draft.extra_environment.push(("NIX_CONFIG", config.into()));
    Ok(())
}

/// With a private store: what is visible leads to these paths of the host's store, and they need others.
/// All are mounted over the private one.
///
/// # Errors
/// When that cannot be found out, or is too much.
pub(super) fn store_paths(draft: &mut Draft<'_>) -> Result<()> {
    // A closure is what is visible, and is mounted already.
    if draft.store_paths.is_empty() || draft.settings.nix_closure.is_some() {
        return Ok(());
    }
    outside::refuse_replaceable(
        draft,
        NIX_STORE,
        None,
        "take it off PATH; or `nix = \"store\"`, which asks nobody",
    )?;
    let place = place(&draft.nix.origin);
    let roots: Vec<PathBuf> = draft.store_paths.iter().cloned().collect();
    let paths = draft.facts.requisites(draft.host, &roots).map_err(|why| {
        Error::launcher(format!(
            "{place}: cannot find out what {} needs of the store of Nix: {why}",
            roots.first().map(|path| visible_path(path)).unwrap_or_default()
        ))
        .hint("`nix = \"store\"` makes all of it visible")
    })?;
    if paths.len() > MOST_PATHS {
        return Err(Error::usage(format!(
            "{place}: what is visible needs {} paths of the store of Nix, too many to mount each",
            paths.len()
        ))
        .hint("`nix = \"store\"` makes all of it visible; a private one is for a host whose system is not Nix's"));
    }
    for path in paths {
        let Some(found) = draft.facts.lstat(&path) else { continue };
        draft.add(Step {
            mount: Mount::Bind {
                source: Source::Trusted(path.clone()),
                destination: path,
                access: Access::Read,
                node: Node::of(found.kind),
            },
            class: Class::Tools,
            why: "what a program needs of the host's store".to_owned(),
            origin: Some(draft.nix.origin.clone()),
        })?;
    }
    // By a link of the system, or of a profile in the home, the program is visible now. By any other
    // name it is not.
    for need in std::mem::take(&mut draft.store_needs) {
        let view = View::of(&draft.steps, draft.facts);
        if view.resolve(&need.destination).is_none() {
            draft.add_program_part(need)?;
        }
    }
    Ok(())
}

fn daemon(draft: &mut Draft<'_>, network: NetworkMode) -> Result<()> {
    let accepts = |hole| draft.settings.nix_accept.iter().any(|accepted| accepted.value == hole);
    let origin = draft.nix.origin.clone();
    let refused = |hole: NixHole, what: &str| {
        Err(Error::usage(format!("{}: `nix` is \"daemon\", and {what}", place(&origin)))
            .hint(format!("say that you accept it: `nix-accept = [\"{}\"]`", hole.word()))
            .hint("or use `nix = \"private\"`: what it fetches obeys the network's rules"))
    };
    let restricted = network != NetworkMode::Host;
    if restricted && !accepts(NixHole::Network) {
        return refused(
            NixHole::Network,
            "the daemon fetches from anywhere for whoever asks: the rules of the network do not hold for it",
        );
    }
    let socket = Path::new(DAEMON);
    let Some(real) = draft.facts.canonicalize(socket) else {
        draft.left_out.push("nix: there is no daemon on this machine".to_owned());
        return Ok(());
    };
    let trust = trusted(draft.host, draft.facts);
    if let Some(why) = &trust
        && !accepts(NixHole::Trust)
    {
        let what =
            format!("the daemon trusts you ({why}): who reaches it as you is root on this machine");
        return refused(NixHole::Trust, &what);
    }
    if trust.is_some() {
        draft
            .weakened
            .push("nix: the daemon trusts you: who reaches it is root on the host".into());
    }
    draft.weakened.push(if restricted {
        "nix: the daemon fetches from anywhere, whatever the network's rules are".to_owned()
    } else {
        "nix: the daemon builds outside for whoever asks".to_owned()
    });
    draft.bind(&Bind {
        source: &real,
        destination: socket,
        access: Access::Read,
        class: Class::Socket,
        why: "the daemon of Nix",
        origin: Some(&origin),
    })?;
    draft.extra_environment.push(("NIX_REMOTE", "daemon".into()));
    Ok(())
}

/// Says where the socket is shown by another way: a bind of all of `/nix`, that somebody named.
pub(super) fn exposed(draft: &mut Draft<'_>) {
    if draft.nix.value == Nix::Daemon {
        return;
    }
    let shows = |step: &&Step| match &step.mount {
        Mount::Bind { source, .. } => Path::new(DAEMON).starts_with(source.path()),
        _ => false,
    };
    if let Some(step) = draft.steps.iter().find(shows) {
        let by = step.origin.as_ref().map_or_else(|| step.why.clone(), place);
        draft.weakened.push(format!(
            "nix: the daemon can be reached: its socket is in {} ({by})",
            visible_path(step.mount.destination())
        ));
    }
}
