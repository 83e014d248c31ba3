//! What programs of the host execute of a checkout by another name than the table's: where links of the
//! table lead, and the hooks of `core.hooksPath`. It must never follow a link out of the work tree.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::Main;
use crate::bytes::Bytes;
use crate::host::reached::reached;
use crate::host::{Disk, Facts as _};
use crate::host_files::links::{self, Paths};
use crate::host_files::survey::FirstLook;
use crate::host_files::table;

/// These paths, relative to the main work tree, as it is now.
pub(super) fn paths(main: &Main<'_>) -> Paths {
    let hooks = hooks(main).unwrap_or_default();
    let survey = Disk.host_files(&main.root, &FirstLook { own_git: true, extra: &hooks });
    let mut paths = hooks;
    let ends = links::ends(&main.root, &links::found(&survey), &|path| Disk.read_link(path));
    links::add(&mut paths, ends);
    paths
}

/// Where git takes its hooks from, if that is in the work tree.
fn hooks(main: &Main<'_>) -> Option<Paths> {
    let asked = ["config", "--null", "--show-scope", "--type=path", "--get-all", "core.hooksPath"];
    let said =
        main.repository().call_at_work("read the configuration").args(asked).outcome().ok()?;
    let fields: Vec<&[u8]> = said.output.split(|byte| *byte == 0).collect();
    // Our own call says on the command line that there are none.
    let (pairs, _) = fields.as_chunks::<2>();
    let path = pairs.iter().rfind(|[scope, _]| *scope != b"command").map(|[_, path]| path)?;
    let path = main.root.join(Path::new(OsStr::from_bytes(path)));
    let entry = table::by_pattern(".githooks/")?;
    // A link on the way is as good as what it leads to: who makes it another chooses the hooks.
    let paths = reached(&path, &main.root, &Disk).into_iter();
    Some(paths.map(|path| (Bytes::from(path), entry)).collect())
}
