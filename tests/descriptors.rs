//! The exec watcher with too few descriptors. The limit is the whole process's, so this test has one for
//! itself.

#[cfg(test)]
#[path = "execs/harness.rs"]
#[expect(dead_code, reason = "it is made for the tests of `execs`")]
mod harness;

#[cfg(test)]
mod tests {
    use claudebox::log::event::{Exec, Outcome};
    use nix::sys::resource::{Resource, setrlimit};

    use crate::harness::{self, Setup, storm, watch};

    #[test]
    fn few_descriptors_lose_ends_and_no_exec() {
        let work = harness::work();
        let mut storm = storm("sleep", 100);
        harness::kernel();
        setrlimit(Resource::RLIMIT_NOFILE, 110, 4096).unwrap();
        let log = watch(storm.current_dir(work.path()), &Setup::default());
        let sleeps: Vec<_> = log.execs().filter(|exec| exec.argv[0].as_ref() == b"sleep").collect();
        assert_eq!(sleeps.len(), 100);
        let verified = |exec: &&&Exec| log.outcome(exec) == Outcome::Verified;
        let count = sleeps.iter().filter(verified).count();
        assert!(count > 0 && count < 100, "{count}");
        assert!(!log.failed);
    }
}
