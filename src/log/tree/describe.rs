//! What is shown of one command: its words, whether the line above says it already, whether it is
//! the agent's own housekeeping, and how deep it stands. It must never decide when.
#![forbid(unsafe_code)]

use super::Tree;
use super::own::Agent;
use crate::log::command::{self, Command};
use crate::log::event::{Exec, ExecId, Outcome, Ran};
use crate::log::node::Node;
use crate::log::row::is_uncertain;
use crate::log::said::says;
use crate::log::unwrap::{basename, codex_step};

impl Tree {
    /// Works out what is shown for a node.
    pub(super) fn describe(&mut self, key: ExecId) {
        let Some(node) = self.nodes.get(&key) else { return };
        let raw = self.rules.raw;
        let familiar = self.places.know(&node.exec);
        // Only what Claude Code starts itself reads its snapshot.
        let snapshots = self.rules.snapshots.as_deref().filter(|_| self.is_direct(key));
        let ran = node.ran.as_ref();
        let shown = command::command(&node.exec, ran, (familiar, raw), snapshots);
        let said = self.said(key, node, &shown);
        let helper = self.helper(key, &shown).filter(|_| self.is_sure_of(node));
        if node.exec.depth == 0 {
            match &mut self.agent {
                Some(agent) => agent.executes(&node.exec),
                None => self.agent = Some(Agent::new(&node.exec)),
            }
        } else if self.is_direct(key)
            && let Some(agent) = &mut self.agent
        {
            agent.starts(&node.exec);
        }
        if let Some(node) = self.nodes.get_mut(&key) {
            (node.command, node.said, node.helper) = (shown, said, helper);
        }
    }

    /// The command above whose line says this one already.
    fn said(&self, key: ExecId, node: &Node, shown: &Command) -> Option<ExecId> {
        // A tree is there to be counted and followed: what a line says has its own place below it.
        // Who asks for words asks for every command that has them: the line may not be among those.
        let all = self.rules.raw || self.rules.whole || self.rules.greps;
        if all || !self.is_sure_of(node) {
            return None;
        }
        let parent = node.parent?;
        let pid = node.exec.pid;
        let chained = self.nodes.get(&parent).is_some_and(|above| above.exec.pid == pid);
        // A chain of execs in one process: the one just before counts, too.
        let process = self.processes.get(&pid).filter(|_| chained);
        let current = process.map(|process| process.current).filter(|current| *current != key);
        [Some(parent), current].into_iter().flatten().find(|key| {
            self.nodes.get(key).is_some_and(|above| {
                let line = (&above.exec, &above.command);
                // What is folded as the agent's own has no line that could say it.
                (above.said.is_some() || above.helper.is_none())
                    && self.has_run(above)
                    && says(line, (&node.exec, shown), chained)
            })
        })
    }

    /// It is certain by now that a command has run: what it was asked to run may be what it started.
    pub(super) fn say_again(&mut self, key: ExecId) {
        let Some(Node { children, exec: Exec { pid, .. }, .. }) = self.nodes.get(&key) else {
            return;
        };
        let said: Vec<_> = children
            .iter()
            .filter_map(|child| Some((*child, self.nodes.get(child)?)))
            .filter(|(_, node)| node.exec.pid != *pid)
            .map(|(child, node)| (child, self.said(child, node, &node.command)))
            .collect();
        for (child, said) in said {
            if let Some(node) = self.nodes.get_mut(&child) {
                node.said = said;
            }
        }
    }

    /// Whether `step` is only Codex on its way to `next`, and nothing else has run meanwhile.
    pub(super) fn is_step_to(&self, step: ExecId, next: ExecId) -> bool {
        let (Some(step), Some(next)) = (self.nodes.get(&step), self.nodes.get(&next)) else {
            return false;
        };
        // Anybody can have a file of that name.
        let codex = step.parent.and_then(|parent| self.nodes.get(&parent)).is_some_and(|above| {
            let own = self.agent.as_ref().is_some_and(|agent| agent.is_program(&above.exec));
            own && above.exec.pid == step.exec.ppid && basename(&above.exec.path.0) == b"codex"
        });
        let leads_to = codex_step(&step.exec.path.0, &step.exec.argv);
        codex
            && !self.rules.raw
            && !step.started
            && self.is_sure_of(step)
            && self.is_sure_of(next)
            && leads_to == Some((&next.exec.path, next.exec.argv.as_slice()))
    }

    /// Whether what a command's caller showed is what ran, as far as this machine can tell.
    fn is_sure_of(&self, node: &Node) -> bool {
        !node.ran.as_ref().is_some_and(|ran| is_doubtful(ran, self.rules.verifies))
    }

    /// Whether a command has run, with what its caller showed. While that is not decided it may still
    /// turn out to have failed, and whatever its process then starts is none of what its words say.
    pub(super) fn has_run(&self, node: &Node) -> bool {
        use Outcome::{OwnLoader, Unverified, Verified};
        let ran = node.ran.as_ref().map(|ran| ran.outcome);
        self.is_sure_of(node) && matches!(ran, Some(Verified | OwnLoader | Unverified))
    }

    /// Works out how deep a node is shown.
    pub(super) fn place(&mut self, key: ExecId) {
        let Some(node) = self.nodes.get(&key) else { return };
        let above = node.parent.and_then(|parent| self.nodes.get(&parent));
        let depth = match above {
            Some(above) => above.depth + usize::from(above.is_shown() && above.exec.depth > 0),
            // What is below the agent stands at the margin, like the agent.
            None => usize::try_from(node.exec.depth.saturating_sub(1)).unwrap_or(0),
        };
        if let Some(node) = self.nodes.get_mut(&key) {
            node.depth = depth;
        }
    }
}

/// Whether it is not certain that what the caller showed is what ran, although it could be.
pub(super) fn is_doubtful(ran: &Ran, verifies: bool) -> bool {
    ran.argv.is_some() || ran.outcome == Outcome::Changed || (verifies && is_uncertain(ran.outcome))
}

/// Whether it was not executed, as surely as this machine can tell. Where it can, a path that leads
/// nowhere says little: whoever ran may have removed the file, or have called with another path.
pub(super) fn is_miss(ran: &Ran, verifies: bool) -> bool {
    match ran.outcome {
        Outcome::Failed => true,
        Outcome::ProbablyFailed => !verifies && ran.errno.is_some(),
        _ => false,
    }
}
