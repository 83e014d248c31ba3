//! P: to the kernel what runs inside is the same user, and can use up what a user has of inotify. Then
//! nothing is told as it happens, and that is said; the look at the end needs none.

use claudebox::log::event::Event;

use crate::common::log::Log;
use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::User};
use crate::script;

/// Takes all instances (or none), waits until the watch would have begun, and plants.
const PLANT: &str = "import ctypes, sys, time
libc = ctypes.CDLL(None)
while len(sys.argv) > 1 and libc.inotify_init1(0) >= 0: pass
time.sleep(0.6)
open('.envrc', 'w').write('evil')
time.sleep(0.4)
";

#[test]
fn promise_p_a_watch_that_cannot_be_had_is_told_of() {
    must_have_sandbox();
    must_have(&["python3"]);
    // A user that nobody else is: other tests watch, too.
    let alone = User::Unprivileged { uid: 61_234, gid: 61_234 };
    let user = if User::Caller.is_root() { alone } else { User::Caller };
    let seen = |argument: &str| {
        let place = Place::new(user);
        place.project_file("plant.py", PLANT);
        let run = format!("python3 plant.py {argument}");
        script(&place, &["--host-files", "report"], &run).run().code(0);
        let log = Log::latest(&place);
        let unwatched = |event: &Event| match event {
            Event::Notice(notice) => notice.kind == "host-files-unseen",
            _ => false,
        };
        let told = log.events.iter().filter_map(|event| match event {
            Event::HostFile(file) if file.path.0 == b".envrc" => Some(file.seen.clone()),
            _ => None,
        });
        (log.events.iter().any(unwatched), told.collect::<Vec<_>>())
    };
    assert_eq!(seen("all"), (true, vec!["end".to_owned()]));
    // Control.
    assert_eq!(seen(""), (false, vec!["live".to_owned()]));
}
