//! What is made from the command line's own definition: the manual page and the completions.
//! Both are committed below `docs/`, and a test holds them against this code. It must never
//! repeat by hand what `cli` already says.
#![forbid(unsafe_code)]

use std::io::{self, Write};

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::cli::Cli;

const PROGRAM: &str = "claudebox";

/// The variable by which a completion script asks for candidates.
pub const COMPLETING: &str = "_CLAUDEBOX_COMPLETE";

/// Writes the completion script of a shell. It asks the `claudebox` on PATH.
pub fn completions(shell: Shell, out: &mut dyn Write) -> io::Result<()> {
    let shells = Shells::builtins();
    let name = shell.to_string();
    let script = shells.completer(&name).ok_or_else(|| io::Error::other("an unknown shell"))?;
    script.write_registration(COMPLETING, PROGRAM, PROGRAM, PROGRAM, out)
}

/// Writes the manual page: one page for all commands, in roff.
pub fn man(out: &mut dyn Write) -> io::Result<()> {
    let mut command = Cli::command();
    command.build();
    let page = clap_mangen::Man::new(command.clone()).manual("User Commands");
    page.render_title(out)?;
    page.render_name_section(out)?;
    section(out, "SYNOPSIS", &synopsis(&command))?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    section(out, "COMMANDS", "")?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        subcommand(out, sub)?;
    }
    section(out, "EXIT STATUS", EXIT_STATUS)?;
    section(out, "FILES", FILES)
}

/// One command: its own page, its headings one level down.
fn subcommand(out: &mut dyn Write, command: &Command) -> io::Result<()> {
    let page = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    page.render_description_section(&mut text)?;
    section(&mut text, "SYNOPSIS", &synopsis(command))?;
    let own = |arg: &Arg| !arg.is_hide_set() && arg.get_id() != "help";
    if command.get_arguments().any(own) {
        page.render_options_section(&mut text)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).replace('-', " ");
    writeln!(out, ".SS {name}")?;
    for line in String::from_utf8_lossy(&text).lines() {
        match line.strip_prefix(".SH ") {
            Some("DESCRIPTION") => {}
            Some(heading) => writeln!(out, ".PP\n\\fI{heading}\\fR\n.br")?,
            None => writeln!(out, "{line}")?,
        }
    }
    for nested in
        command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
    {
        subcommand(out, nested)?;
    }
    Ok(())
}

/// As `--help` has it: `clap_mangen` names every option there, without its value.
fn synopsis(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace('-', "\\-");
    usage.lines().map(str::trim).collect::<Vec<_>>().join("\n.br\n")
}

fn section(out: &mut dyn Write, heading: &str, text: &str) -> io::Result<()> {
    writeln!(out, ".SH {heading}\n{}", text.trim())
}

const EXIT_STATUS: &str = "
claudebox exits with the code of the agent; 128 + N if signal N ended it. Its own failures:
.TP
2
The command line or a profile is wrong.
.TP
125
The launcher failed: the machine lacks something, or a file could not be used.
.TP
126
The agent was found and cannot be executed.
.TP
127
The agent was not found.
";

const FILES: &str = "
.TP
$XDG_CONFIG_HOME/claudebox/config.toml
Defaults for the run options, by their long names.
.TP
$XDG_CONFIG_HOME/claudebox/profiles/NAME.toml, /etc/claudebox/profiles/NAME.toml
Profiles of the user and of the system.
.TP
$XDG_CONFIG_HOME/claudebox/groups.toml, /etc/claudebox/groups.toml
Groups of hosts for rules of the network.
.TP
$XDG_STATE_HOME/claudebox/sessions/ID/
The record of a session: session.json, events.jsonl, status.json.
.TP
$XDG_STATE_HOME/claudebox/homes/
The private homes, one per profile and project.
.TP
\\&.claudebox.toml
A project's own file. Until it is trusted it can only take away.
";
