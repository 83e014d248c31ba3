//! Laws that hold whatever profiles and command lines say, tried with many of them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::fixture::*;
use super::invocation::BindArgument;
use super::mount::{Access, Class, Mount, View};
use super::*;
use crate::cases::cases;
use crate::plan::{Arg, FdSource};
use crate::sandbox::compile;

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
    #![proptest_config(cases(400))]

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

/// A file name of any bytes, often one that looks like an option.
fn any_name() -> impl Strategy<Value = OsString> {
    let options = ["--bind", "--", "-", "--args", "--perms", "0", "--ro-bind\n/", "--cap-add"];
    let bytes = prop_oneof![
        prop::sample::select(options.to_vec()).prop_map(|name| name.as_bytes().to_vec()),
        prop::collection::vec(1_u8.., 1..12),
    ];
    bytes
        .prop_filter("a name", |name| !name.contains(&b'/') && name != b"." && name != b"..")
        .prop_map(OsString::from_vec)
}

/// bwrap's options in our arguments, with how many operands each takes: bwrap(1).
const ARITIES: [(&str, usize); 22] = [
    ("--unshare-all", 0),
    ("--unshare-user", 0),
    ("--share-net", 0),
    ("--as-pid-1", 0),
    ("--disable-userns", 0),
    ("--cap-drop", 1),
    ("--perms", 1),
    ("--size", 1),
    ("--dev", 1),
    ("--proc", 1),
    ("--tmpfs", 1),
    ("--dir", 1),
    ("--remount-ro", 1),
    ("--chdir", 1),
    ("--bind", 2),
    ("--ro-bind", 2),
    ("--bind-fd", 2),
    ("--ro-bind-fd", 2),
    ("--symlink", 2),
    ("--file", 2),
    ("--ro-bind-data", 2),
    ("--ro-bind-try", 2),
];

/// Reads arguments as bwrap does: what each mount's option and last operand are.
fn read_as_bwrap(args: &[Arg]) -> Option<Vec<(&'static str, PathBuf)>> {
    let mut mounts = Vec::new();
    let mut rest = args;
    while let [Arg::Literal(option), tail @ ..] = rest {
        let (option, arity) =
            ARITIES.into_iter().find(|(name, _)| name.as_bytes() == option.as_ref())?;
        let (operands, tail) = tail.split_at_checked(arity)?;
        match operands.last() {
            Some(Arg::Literal(last)) if !["--cap-drop", "--perms", "--size"].contains(&option) => {
                mounts.push((option, last.as_path().to_owned()));
            }
            Some(Arg::Fd(FdSource::Data(_) | FdSource::Content(_) | FdSource::Path { .. })) => {
                return None;
            }
            _ => {}
        }
        rest = tail;
    }
    rest.is_empty().then_some(mounts)
}

proptest! {
    #![proptest_config(cases(200))]

    /// Whatever files are called: bwrap sees the mounts of the policy, in order, and no other option.
    #[test]
    fn no_name_becomes_an_option(
        project in any_name(),
        sub in any_name(),
        bound in any_name(),
        destination in any_name(),
        fds: bool,
    ) {
        let project = Path::new("/home/u").join(project);
        let source = Path::new("/data").join(bound);
        let mut case = Case::debian()
            .disk(|disk| disk.file(project.join(".git/HEAD"), "").dir(project.join(&sub)))
            .disk(|disk| disk.file(source.join("x"), ""));
        case.host.cwd = project.join(&sub);
        if !fds {
            case.host.bwrap = Some(bwrap(&[]));
        }
        case.invocation.binds = vec![BindArgument {
            source: source.clone(),
            destination: Some(Path::new("/data2").join(destination)),
            writable: true,
        }];
        // The project may be called as one of the home's own directories, which is refused.
        let Ok(policy) = case.policy() else { return Ok(()) };
        let plan = compile::plan(&policy, &case.host).unwrap();
        let read = read_as_bwrap(&plan.args);
        prop_assert!(read.is_some(), "{:?}", plan.args);
        let mut read = read.unwrap_or_default();
        prop_assert_eq!(read.pop(), Some(("--chdir", policy.cwd.clone())));
        let destinations: Vec<_> = read.into_iter().map(|(_, path)| path).collect();
        let wanted: Vec<_> =
            policy.mounts.iter().map(|step| step.mount.destination().to_owned()).collect();
        prop_assert_eq!(destinations, wanted);
        let nul = |arg: &Arg| matches!(arg, Arg::Literal(word) if word.0.contains(&0));
        prop_assert!(!plan.args.iter().any(nul));
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
                    Prepare::Directory { path, .. } | Prepare::MountPoint { path, .. } => {
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
