//! Laws that hold whatever profiles and command lines say, tried with many of them.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::fixture::*;
use super::invocation::BindArgument;
use super::mount::{Access, Class, Mount, View};
use super::*;

/// What there is in each place of [`machine`], so that rules meet each other often.
const NAMES: [&str; 10] =
    ["a", "b", "a/a", "a/b", "b/a", "a/a/a", "a/.env", "a/b/.env", "l", "b/l"];

fn path() -> impl Strategy<Value = String> {
    let root = prop::sample::select(vec!["~", "${PROJECT}", "/data", "/usr"]);
    (root, prop::sample::select(NAMES.to_vec())).prop_map(|(root, name)| format!("{root}/{name}"))
}

/// A machine where the paths of [`path`] are directories, files and links of every kind.
fn machine() -> Case {
    let mut case = Case::debian();
    for root in ["/home/u", "/home/u/p", "/data", "/usr"] {
        for dir in ["a", "b", "a/a", "a/b", "b/a", "a/a/a"] {
            case = case.disk(|disk| disk.file(format!("{root}/{dir}/.env"), "S"));
        }
        case = case.disk(|disk| {
            disk.link(format!("{root}/l"), "a").link(format!("{root}/b/l"), "/data/a")
        });
    }
    case
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever profiles and command lines say: no hide is undone, nothing is made in the
    /// project, no mount covers an earlier one by accident.
    #[test]
    fn the_order_holds(
        hide in prop::collection::vec(path(), 0..3),
        read_only in prop::collection::vec(path(), 0..3),
        read_write in prop::collection::vec(path(), 0..3),
        tools in prop::collection::vec(path(), 0..2),
        binds in prop::collection::vec((path(), prop::option::of(path()), any::<bool>()), 0..3),
    ) {
        let case = machine().with(|case| {
            let all = |paths: &[String]| paths.iter().map(|path| at(1, path.clone())).collect::<Vec<_>>();
            case.settings.hide = all(&hide);
            case.settings.read_only = all(&read_only);
            case.settings.read_write = all(&read_write);
            case.settings.tools = all(&tools);
            let expand = |path: &str| path.replace('~', "/home/u").replace("${PROJECT}", "/home/u/p");
            case.invocation.binds = binds.iter().map(|(source, destination, writable)| BindArgument {
                source: expand(source).into(),
                destination: destination.as_deref().map(|path| expand(path).into()),
                writable: *writable,
            }).collect();
        });
        let Ok(policy) = case.policy() else { return Ok(()) };
        check_order(&policy)?;
        check_mount_points(&policy, &case)?;
        for hidden in &hide {
            let path = hidden.replace('~', "/home/u").replace("${PROJECT}", "/home/u/p");
            check_hidden(&policy, &case, Path::new(&path))?;
        }
    }
}

/// Parents before children, each destination once, hides behind everything but the seals.
fn check_order(policy: &Policy) -> Result<(), TestCaseError> {
    let mut seen: Vec<&Path> = Vec::new();
    let steps = policy.mounts.iter().filter(|step| step.class != Class::Seal);
    let mut hidden = false;
    for step in steps {
        let destination = step.mount.destination();
        hidden |= step.class == Class::Hide;
        prop_assert_eq!(hidden, step.class == Class::Hide);
        for earlier in &seen {
            prop_assert!(
                hidden || !earlier.starts_with(destination),
                "{destination:?} covers {earlier:?}"
            );
        }
        seen.push(destination);
    }
    Ok(())
}

/// Every mount point below a bind exists on the host, or is prepared in the private home.
fn check_mount_points(policy: &Policy, case: &Case) -> Result<(), TestCaseError> {
    for (index, step) in policy.mounts.iter().enumerate() {
        if matches!(step.mount, Mount::RemountReadOnly { .. } | Mount::Symlink { .. }) {
            continue;
        }
        let destination = step.mount.destination();
        let view = View::of(&policy.mounts[..index], &case.disk);
        let Some(host) = view.host_path(destination) else { continue };
        if host.starts_with("/proc") {
            continue;
        }
        match host.strip_prefix(&policy.private_home) {
            Ok(relative) => {
                let prepared = policy.prepare.iter().any(|prepare| match prepare {
                    Prepare::Directory { path, .. } | Prepare::File { path, .. } => {
                        path.as_path().starts_with(relative)
                    }
                    _ => false,
                });
                prop_assert!(prepared, "{destination:?}");
            }
            Err(_) => {
                prop_assert_eq!(
                    case.disk.canonicalize(&host),
                    Some(host.clone()),
                    "{:?}",
                    destination
                );
            }
        }
    }
    Ok(())
}

/// No path inside leads to what is hidden.
fn check_hidden(policy: &Policy, case: &Case, hidden: &Path) -> Result<(), TestCaseError> {
    let Some(real) = case.disk.canonicalize(hidden) else { return Ok(()) };
    let view = View::of(&policy.mounts, &case.disk);
    for step in &policy.mounts {
        let Mount::Bind { source, destination, access: Access::Read | Access::Write, .. } =
            &step.mount
        else {
            continue;
        };
        let source = source.path();
        let inside: PathBuf = match (real.strip_prefix(&source), source.starts_with(&real)) {
            (_, true) => destination.clone(),
            (Ok(rest), _) => destination.join(rest),
            _ => continue,
        };
        let leads = view.host_path(&inside);
        prop_assert!(leads.is_none_or(|host| !host.starts_with(&real)), "{hidden:?} at {inside:?}");
    }
    Ok(())
}
