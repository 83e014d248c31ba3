//! Programs that want the log to show another argv, or another program, than what ran. What really
//! ran tells so itself. No event that says `verified` may be wrong; and what was read at the call
//! must often be wrong, else the attack was none.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use claudebox::log::event::Outcome;

use crate::harness::{self, Log, Setup, compile, watch};

#[derive(Debug, Default)]
struct Score {
    execs: usize,
    verified: usize,
    changed: usize,
    unconfirmed: usize,
    /// Said `verified` and is wrong.
    wrong: usize,
    /// Read at the call and is wrong.
    deceived: usize,
}

/// Runs these attacks and compares the log with what the programs told.
fn attack(mode: &str, writer: &str, count: usize) -> Score {
    assert_eq!(mode.len(), 6);
    let work = harness::work();
    let report = work.path().join("report");
    std::fs::write(&report, "").unwrap();
    let (one, two) = (compile("race.c", "race-a", &[]), compile("race.c", "race-b", &[]));
    let mut race = Command::new(&one);
    race.args(["driver", mode, "000000"]).current_dir(work.path());
    race.env("REPORT", &report).env("COUNT", count.to_string()).env("WRITER", writer);
    race.env("PATH_A", &one).env("PATH_B", &two);
    let log = watch(&mut race, &Setup::default());
    assert!(log.output.status.success(), "{:?}", log.output);
    let score = score(&log, &told(&report));
    assert_eq!(score.wrong, 0, "{mode} {writer}: {score:?}");
    // Every attack's exec is in the log, whatever is said of it.
    assert!(score.execs >= count * 9 / 10, "{mode} {writer}: {score:?}");
    score
}

/// What ran under each number: the word and the file.
fn told(report: &Path) -> HashMap<String, (String, String)> {
    let text = std::fs::read_to_string(report).unwrap();
    text.lines()
        .map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            let mut next = || words.next().unwrap();
            (next(), (next(), next()))
        })
        .collect()
}

fn score(log: &Log, told: &HashMap<String, (String, String)>) -> Score {
    let mut score = Score::default();
    for exec in log.with("report") {
        let [_, _, word, number] = exec.argv.as_slice() else { panic!("{exec:?}") };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let ran = log.ran(exec.id);
        let Some((real_word, real_file)) = told.get(&text(number.as_ref())) else { continue };
        let file = PathBuf::from(exec.path.as_path());
        let file = file.file_name().unwrap().to_str().unwrap().to_owned();
        if file == "race" {
            // The exec that was to fail. Whatever the old program does, it did not run.
            let failed = matches!(ran.outcome, Outcome::Failed | Outcome::ProbablyFailed);
            assert!(failed, "{ran:?}");
            continue;
        }
        let right = text(word.as_ref()) == *real_word && file == *real_file;
        score.execs += 1;
        score.deceived += usize::from(!right);
        match ran.outcome {
            Outcome::Verified => {
                score.verified += 1;
                score.wrong += usize::from(!right);
            }
            Outcome::Changed => {
                score.changed += 1;
                // The alarm names what ran.
                let exe = ran.exe.as_ref().unwrap().as_path().file_name().unwrap();
                assert_eq!(exe.to_str().unwrap(), real_file, "{ran:?}");
                if let Some(argv) = &ran.argv {
                    assert_eq!(text(argv[2].as_ref()), *real_word, "{ran:?}");
                }
            }
            _ => score.unconfirmed += 1,
        }
    }
    score
}

/// The attack worked on what was read at the call, and did not on what is called verified.
fn beaten(score: &Score) {
    assert!(score.deceived > 0, "nothing was attacked: {score:?}");
    assert!(score.verified > 0 && score.changed > 0, "{score:?}");
}

#[test]
fn a_sibling_thread_flips_path_and_argv() {
    beaten(&attack("plain-", "thread", 500));
    beaten(&attack("Plain-", "thread", 200));
}

#[test]
fn a_process_that_shares_the_memory_flips_path_and_argv() {
    beaten(&attack("plain-", "vm", 500));
    // The writer keeps the old program's memory: nothing can be confirmed, and nothing is.
    let score = attack("Plain-", "vm", 200);
    assert_eq!(score.verified, 0, "{score:?}");
}

#[test]
fn another_process_flips_path_and_argv_in_a_shared_mapping() {
    beaten(&attack("plain-", "shared", 500));
    beaten(&attack("Plain-", "shared", 200));
}

#[test]
fn another_process_flips_path_and_argv_through_proc() {
    beaten(&attack("plain-", "mem", 500));
    beaten(&attack("Plain-", "mem", 200));
}

/// A thread executes; the leader, with an argv made up to match, does what new programs do.
#[test]
fn the_old_leader_pretends_to_be_the_new_program() {
    beaten(&attack("thread", "shared", 200));
    beaten(&attack("Thread", "shared", 200));
}

#[test]
fn old_threads_pretend_to_be_the_new_program() {
    beaten(&attack("leader", "shared", 200));
    beaten(&attack("Leader", "shared", 200));
}

#[test]
fn after_an_exec_that_failed_the_old_program_pretends() {
    beaten(&attack("failed", "thread", 200));
    // It sets up its thread as a new program does, with its own memory in use: from then on it could as well
    // be one that hides its first start. Nothing is confirmed, and nothing wrong is.
    // Whether its threads ever run at the right moment is the scheduler's affair, for a whole run.
    let attacked = (0..5).any(|_| {
        let score = attack("Failed", "thread", 200);
        assert_eq!(score.verified, 0, "{score:?}");
        score.deceived > 0
    });
    assert!(attacked, "nothing was attacked");
}
