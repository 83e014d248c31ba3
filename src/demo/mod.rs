//! The demo: a scripted agent that needs no key and reaches no host, so that a newcomer sees in half a
//! minute what claudebox is. It executes real commands, some of which the sandbox must refuse,
//! and judges each by what really happened. It must never say "refused" of something it has not
//! tried, and never touch anything that it did not make.

mod elf;
mod scratch;
mod script;
mod stage;

pub use scratch::{Scratch, prepare};

use std::process::ExitCode;

use script::{Attempt, Step};
use stage::Stage;

/// Set for every command that the demo is "asked to run": the tool marker of its profile.
pub const TOOL_MARKER: &str = "CLAUDEBOX_DEMO_TOOL";

/// Plays the agent, inside the sandbox, in the scratch project. Fails if anything that should be
/// refused was not, or if a step of ordinary work went wrong.
pub fn act() -> ExitCode {
    let mut stage = Stage::new();
    let task = match scratch::Task::read() {
        Ok(task) => task,
        Err(error) => {
            crate::error::report(&error);
            return ExitCode::from(error.kind().exit_code());
        }
    };
    stage.say("I am a scripted agent: no model, no key, nothing to reach. My commands are real,");
    stage.say("and the log shows each one as the kernel saw it. First, ordinary work.");
    stage.intend("Write a script, as an editor does: this executes nothing.");
    if let Err(error) = std::fs::write(script::SCRIPT, script::SCRIPT_TEXT) {
        stage.wrong(&format!("cannot write {}: {error}", script::SCRIPT));
    }
    let failed = script::work().iter().filter(|step| !work(&mut stage, step)).count();
    stage.say("");
    stage.say("Now what an agent should not be able to do, however it was talked into it.");
    let attempts = script::attempts(&task);
    let held = attempts.iter().filter(|attempt| try_it(&mut stage, attempt)).count();
    stage.say("");
    stage.verdict(held, attempts.len());
    stage.wait_for_reader();
    if failed == 0 && held == attempts.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One step of ordinary work; whether it ended as it should.
fn work(stage: &mut Stage, step: &Step) -> bool {
    stage.intend(step.intent);
    let outcome = stage.run(&step.argv);
    let right = outcome.code == step.code;
    if !right {
        stage.wrong(&format!("expected exit code {}, got {}", step.code, outcome.code));
    }
    right
}

/// One forbidden thing; whether the sandbox held.
fn try_it(stage: &mut Stage, attempt: &Attempt) -> bool {
    stage.intend(attempt.intent);
    let outcome = stage.run(&attempt.argv);
    let held = !(attempt.succeeded)(&outcome);
    stage.judge(held, attempt.refused);
    held
}
