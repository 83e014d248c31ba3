//! The mounts of a private git directory: it stands in the place of `.git`, and the host's objects,
//! which it borrows, are read-only beside it. In the work tree everything that leads a git outside into
//! a repository is read-only: the `.git` file of each submodule, the directory of one that is not
//! there yet, and the programs that the host's configuration names.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::mount::{Access, Class, Mount, Node, Source, Step};
use super::private_hides;
use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::git::private::config;
use crate::git::private::layout::{BESIDE, PRIVATE, lfs_beside, store, way_to};
use crate::git::private::linked::Linked;
use crate::git::private::programs::{InTree, Place, files_in_tree, in_tree};
use crate::git::private::refuse::refuse;
use crate::git::private::repository::{GitlinkState, Objects, One, Repository};
use crate::git::private::setting::Setting;
use crate::plan::git::{PrivateGit, PrivateRepository};
use crate::visible::{visible, visible_path};

/// Adds them; answers with what the supervisor builds. `linked`: of a linked worktree.
pub(super) fn mounts(
    draft: &mut Draft<'_>,
    linked: Option<&Linked>,
    trailer: bool,
) -> Result<PrivateGit> {
    let root = draft.project.root.clone();
    let repository = draft.facts.repository(&root, linked, draft.host)?;
    refuse(&repository)?;
    let others = repository.main.settings.iter().filter(|setting| !setting.is_local());
    let others: BTreeSet<PathBuf> = others.filter_map(Setting::file).map(Path::to_owned).collect();
    draft.told_by_git.extend(others);
    let at = match linked {
        None => root.join(".git"),
        Some(_) => BESIDE.into(),
    };
    let mut add = |mount, why: &str| {
        draft.add(Step { mount, class: Class::Git, why: why.to_owned(), origin: None })
    };
    add(
        Mount::Bind {
            source: Source::Session(PRIVATE.into()),
            destination: at.clone(),
            access: Access::Write,
            node: Node::Directory,
        },
        "git works on a private copy; the host's git never reads it",
    )?;
    if linked.is_some() {
        let content = format!("gitdir: {BESIDE}\n").as_str().into();
        let destination = root.join(".git");
        add(Mount::File { destination, content, mounted: true }, "leads to the private copy")?;
    }
    work_tree(draft, &repository, linked.is_some())?;
    let mut stores = Stores::default();
    let mut main = repository.main.clone();
    // The hook that adds the trailer stands in the git directory.
    main.settings.retain(|setting| !trailer || !setting.is("core", "hookspath"));
    let mut repositories = vec![one(&main, Path::new(""), &at, &root, None, &mut stores)];
    for module in &repository.modules {
        let (path, work_tree) = (module.path.as_path(), module.work_tree.as_path());
        let tree = root.join(work_tree);
        // The work tree is inside where it is outside; the git directory of a linked one's is not.
        let way = if linked.is_some() { tree.clone() } else { way_to(work_tree, path) };
        let at = at.join(path);
        repositories.push(one(&module.one, path, &at, &tree, Some(&way), &mut stores));
    }
    private_hides::leave_out(draft, &mut repositories)?;
    // The first store is the repository's own.
    for (number, objects) in stores.0.iter().enumerate() {
        borrow(draft, number, objects, number == 0)?;
    }
    let program = (&*repository.program).into();
    Ok(PrivateGit { program, repositories, trailer })
}

/// The object directories that anything borrows from, in the order of their numbers.
#[derive(Default)]
struct Stores(Vec<Objects>);

impl Stores {
    fn number(&mut self, objects: &Objects) -> usize {
        let known = self.0.iter().position(|known| known.path == objects.path);
        known.unwrap_or_else(|| {
            self.0.push(objects.clone());
            self.0.len() - 1
        })
    }
}

fn one(
    one: &One,
    path: &Path,
    inside: &Path,
    work_tree: &Path,
    way: Option<&Path>,
    stores: &mut Stores,
) -> PrivateRepository {
    let extension = |name: &str, otherwise: &str| {
        let set = one.settings.iter().rfind(|it| it.is_local() && it.is("extensions", name));
        let value = set.and_then(|set| set.value.as_deref());
        value.map_or_else(
            || otherwise.to_owned(),
            |value| String::from_utf8_lossy(value).into_owned(),
        )
    };
    let (object_format, ref_format) =
        (extension("objectformat", "sha1"), extension("refstorage", "files"));
    let way = way.map(Bytes::from);
    PrivateRepository {
        path: path.into(),
        inside: inside.into(),
        git_dir: (&*one.directory).into(),
        common: one.common.as_deref().map(Bytes::from),
        work_tree: work_tree.into(),
        config: config::private(&one.settings, way.as_ref().map(AsRef::as_ref)).into(),
        object_format,
        ref_format,
        objects: one
            .objects
            .iter()
            .map(|objects| ((&*objects.path).into(), store(stores.number(objects)).into()))
            .collect(),
        hidden: Vec::new(),
    }
}

/// Objects of the host, read-only. What they borrow themselves is borrowed directly, since the paths of
/// the host mean nothing inside.
fn borrow(draft: &mut Draft<'_>, number: usize, objects: &Objects, own: bool) -> Result<()> {
    let root = &draft.project.root.clone();
    let shown = visible_path(&objects.path);
    if let Some(own) = draft.host.dirs.overlapping(&objects.path) {
        return Err(Error::usage(format!(
            "git: the repository borrows objects from {shown}, where claudebox keeps its own files ({})",
            visible_path(own)
        ))
        .hint("copy them into the repository: git repack -a -d, then remove objects/info/alternates"));
    }
    let foreign = !own && !objects.path.starts_with(root);
    if foreign {
        // Who made the repository chose it.
        let says = format!(
            "git: the repository borrows objects from {shown}: all of them can be read inside"
        );
        draft.remarks.push(says.clone());
        draft.weakened.push(says);
    }
    let why = if foreign { "objects that it borrows" } else { "the objects of the host's" };
    let inside = store(number);
    read_only(draft, &objects.path, inside.clone(), Node::Directory, why)?;
    if objects.alternates {
        draft.add(Step {
            mount: Mount::File {
                destination: inside.join("info/alternates"),
                content: Bytes::default(),
                mounted: true,
            },
            class: Class::Git,
            why: "what they borrow is borrowed directly".to_owned(),
            origin: None,
        })?;
    }
    if objects.lfs
        && let Some(beside) = objects.path.parent()
    {
        let why = "the files of git-lfs that the host has";
        read_only(draft, &beside.join("lfs"), lfs_beside(number), Node::Directory, why)?;
    }
    Ok(())
}

/// What is read-only in the work tree; the directories on the way are pinned with it.
fn work_tree(draft: &mut Draft<'_>, repository: &Repository, linked: bool) -> Result<()> {
    let root = draft.project.root.clone();
    for link in &repository.gitlinks {
        let (path, shown) = (root.join(link.path.as_path()), visible(&link.path));
        let module = repository.modules.iter().find(|module| module.work_tree == link.path);
        match (link.state, module) {
            (GitlinkState::Pointer, Some(module)) if linked => {
                let to = Path::new(BESIDE).join(module.path.as_path());
                let content = [b"gitdir: ", to.as_os_str().as_bytes(), b"\n"].concat();
                draft.add(Step {
                    mount: Mount::File {
                        destination: path.join(".git"),
                        content: content.into(),
                        mounted: true,
                    },
                    class: Class::Git,
                    why: "leads to the private copy of a submodule's".to_owned(),
                    origin: None,
                })?;
            }
            (GitlinkState::Pointer, _) => {
                let why = "git outside follows it to the submodule's repository";
                within(draft, &path.join(".git"), Node::File, why)?;
            }
            (GitlinkState::Embedded, _) => {
                draft.left_out.push(format!(
                    "git: the submodule {shown} holds its own repository, which can only be read \
                     (`git submodule absorbgitdirs` moves it into .git)"
                ));
                within(draft, &path.join(".git"), Node::Directory, "the repository of a submodule")?;
            }
            (GitlinkState::Empty, _) => {
                let why = "git outside would look into a repository made here";
                within(draft, &path, Node::Directory, why)?;
            }
            (GitlinkState::Missing | GitlinkState::Other, _) => draft.weakened.push(format!(
                "git: the directory of the submodule {shown} is missing: git outside would look into \
                 a repository that the agent makes there"
            )),
        }
    }
    let mut found = InTree::default();
    let mut look = |settings: &[Setting], base: &Path| {
        let (home, facts) = (&*draft.host.home, draft.facts);
        let place = Place { root: &root, base, home, own_git: false, facts };
        in_tree(settings, place, &mut found);
        files_in_tree(settings, place, &mut found);
    };
    look(&repository.main.settings, &root);
    for module in &repository.modules {
        look(&module.one.settings, &root.join(module.work_tree.as_path()));
    }
    hold(draft, found)?;
    let ones = [&repository.main].into_iter().chain(repository.modules.iter().map(|it| &it.one));
    let filters: BTreeSet<Vec<u8>> =
        ones.flat_map(|one| config::left_behind(&one.settings)).collect();
    for filter in filters {
        draft.left_out.push(format!(
            "git: the filter `{}` does not run inside: what it would change cannot be added there",
            visible(&filter)
        ));
    }
    Ok(())
}

/// Makes programs of the work tree read-only, and says which cannot be.
fn hold(draft: &mut Draft<'_>, found: InTree) -> Result<()> {
    let root = draft.project.root.clone();
    for (path, key) in found.paths {
        let path = root.join(path);
        let Some(kind) = draft.facts.lstat(&path).map(|found| found.kind) else { continue };
        within(draft, &path, Node::of(kind), &format!("git outside uses it ({key})"))?;
    }
    draft.weakened.extend(found.open);
    Ok(())
}

fn within(draft: &mut Draft<'_>, path: &Path, node: Node, why: &str) -> Result<()> {
    if draft.steps.iter().any(|step| step.is_at(path)) {
        return Ok(());
    }
    read_only(draft, path, path.to_owned(), node, why)
}

fn read_only(
    draft: &mut Draft<'_>,
    path: &Path,
    destination: PathBuf,
    node: Node,
    why: &str,
) -> Result<()> {
    draft.add(Step {
        mount: Mount::Bind {
            source: Source::canonical(path),
            destination,
            access: Access::Read,
            node,
        },
        class: Class::Git,
        why: why.to_owned(),
        origin: None,
    })
}
