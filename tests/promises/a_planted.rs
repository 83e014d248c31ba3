//! A: what a session leaves in the directories of an agent's state is not there on the host, which
//! would execute or obey it, and what the host has there, sockets of daemons too, is out of reach.
//! For the agents but Claude Code, of which `a_agent_state.rs` is; with a script in the agent's place.

use std::fmt::Write as _;
use std::fs;

use crate::common::must_have_sandbox;
use crate::common::place::Place;
use crate::common::user::users;

/// A profile, and what of the home belongs to its agent.
struct State {
    profile: &'static str,
    directories: &'static [&'static str],
    /// What the host's agent executes or obeys, and has: to be read, not to be changed.
    obeyed: &'static [&'static str],
    /// What the host has that is nothing for inside.
    hidden: &'static [&'static str],
}

const STATES: [State; 7] = [
    State {
        profile: "amp",
        directories: &[".config/amp", ".config/agents", ".local/share/amp", ".cache/amp"],
        obeyed: &[
            ".config/amp/settings.json",
            ".config/amp/plugins/x.ts",
            ".config/agents/skills/x/SKILL.md",
        ],
        hidden: &[".local/share/amp/session.json", ".cache/amp/logs/cli.log"],
    },
    State {
        profile: "claude-code-router",
        directories: &[".claude-code-router"],
        obeyed: &[
            ".claude-code-router/config.json",
            ".claude-code-router/custom-router.js",
            ".claude-code-router/plugins/x.js",
            ".claude-code-router/presets/x/manifest.json",
        ],
        hidden: &[".claude-code-router/logs/ccr-x.log", ".claude-code-router/x.js"],
    },
    State {
        profile: "codex",
        directories: &[".codex"],
        obeyed: &[
            ".codex/config.toml",
            ".codex/hooks.json",
            ".codex/AGENTS.md",
            ".codex/rules/default.rules",
            ".codex/skills/x/SKILL.md",
            ".codex/packages/standalone/current/bin/codex",
        ],
        hidden: &[
            ".codex/app-server-control/app-server-control.sock",
            ".codex/app-server-daemon/pid",
            ".codex/sessions/2026/01/01/rollout-x.jsonl",
            ".codex/.env",
        ],
    },
    State {
        profile: "copilot",
        directories: &[".copilot", ".cache/copilot"],
        obeyed: &[
            ".copilot/settings.json",
            ".copilot/hooks/x.json",
            ".copilot/mcp-config.json",
            ".copilot/installed-plugins/x/plugin.json",
            ".copilot/skills/x/SKILL.md",
            ".copilot/copilot-instructions.md",
        ],
        hidden: &[
            ".copilot/session-state/x/events.jsonl",
            ".copilot/permissions-config.json",
            ".cache/copilot/pkg/linux-x64/1.0.0/index.js",
        ],
    },
    State {
        profile: "gemini",
        directories: &[".gemini"],
        obeyed: &[
            ".gemini/settings.json",
            ".gemini/GEMINI.md",
            ".gemini/extensions/x/hooks/hooks.json",
        ],
        hidden: &[".gemini/tmp/x/chats/y.json", ".gemini/.env"],
    },
    State {
        profile: "opencode",
        directories: &[".config/opencode", ".opencode", ".local/share/opencode"],
        obeyed: &[
            ".config/opencode/opencode.json",
            ".config/opencode/plugin/x.js",
            ".opencode/bin/opencode",
            ".opencode/agent/x.md",
        ],
        hidden: &[".local/share/opencode/storage/x.json", ".local/share/opencode/mcp-auth.json"],
    },
    State {
        profile: "qwen",
        directories: &[".qwen"],
        obeyed: &[
            ".qwen/settings.json",
            ".qwen/.env",
            ".qwen/QWEN.md",
            ".qwen/commands/x.toml",
            ".qwen/extensions/x/qwen-extension.json",
            ".qwen/skills/x/SKILL.md",
        ],
        hidden: &[".qwen/projects/x/chats/y.jsonl", ".qwen/mcp-oauth-tokens.json"],
    },
];

impl State {
    /// Every name: what the host has, and one that nobody has heard of in each directory.
    fn names(&self) -> Vec<String> {
        let unknown = self.directories.iter().map(|directory| format!("{directory}/unknown"));
        let known = self.obeyed.iter().chain(self.hidden).map(|name| (*name).to_owned());
        known.chain(unknown).collect()
    }

    /// Says what is seen, and then writes to all of it, and beside it.
    fn script(&self) -> String {
        let mut script = String::new();
        for name in self.names() {
            let _ = writeln!(
                script,
                "[ -e ~/{name} ] && echo 'seen {name}'
                mkdir -p \"$(dirname ~/{name})\"; echo planted > ~/{name}; \
                echo planted > \"$(dirname ~/{name})/beside\"; rm -f ~/{name}; echo planted > ~/{name}"
            );
        }
        script + "true"
    }

    /// What stands in the host's files now, and nothing where there is none.
    fn on_the_host(&self, place: &Place) -> Vec<(String, Option<String>)> {
        let names = self.names().into_iter();
        names.map(|name| (name.clone(), fs::read_to_string(place.home().join(name)).ok())).collect()
    }
}

#[test]
fn promise_a_nothing_is_planted_in_an_agents_state() {
    must_have_sandbox();
    for user in users() {
        for state in &STATES {
            let place = Place::new(user);
            for name in state.obeyed.iter().chain(state.hidden) {
                place.home_file(name, "the host's");
            }
            let before = state.on_the_host(&place);
            let script = state.script();
            let run = || {
                let arguments = ["run", "--no-monitor", "--profile", state.profile];
                place.claudebox(arguments).args(["--", "bash", "-c", &script]).run().code(0).stdout
            };
            let seen = run();
            assert_eq!(state.on_the_host(&place), before, "{}", state.profile);
            for name in state.obeyed {
                assert!(seen.contains(&format!("seen {name}\n")), "{seen}");
            }
            for name in state.hidden {
                assert!(!seen.contains(name), "{seen}");
            }
            for directory in state.directories {
                let beside = place.home().join(directory).join("beside");
                assert!(!beside.exists(), "{}", beside.display());
            }

            // Control: where the directories are shared as a whole, all of that is there.
            let shared: Vec<String> =
                state.directories.iter().map(|name| format!("\"~/{name}\"")).collect();
            let layer = format!("state = [{}]\n", shared.join(", "));
            place.home_file(format!(".config/claudebox/profiles/{}.toml", state.profile), layer);
            let seen = run();
            for name in state.hidden {
                assert!(seen.contains(&format!("seen {name}\n")), "{seen}");
            }
            let after = state.on_the_host(&place);
            let planted = |(name, content): &(String, Option<String>)| {
                name.ends_with("/unknown") && content.as_deref() == Some("planted\n")
            };
            assert!(after.iter().any(planted), "{after:?}");
        }
    }
}
