# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_claudebox_global_optspecs
    string join \n no-monitor project= w/worktree= base= split-direction= no-tmux-config network= allow= host-port= publish= bind= ro-bind= env= allow-ssh-agent allow-gpg-agent allow-xdg-runtime no-exec-log host-files= git= v/verbose monitor tmux-config no-allow-ssh-agent no-allow-gpg-agent no-allow-xdg-runtime exec-log no-verbose h/help V/version
end

function __fish_claudebox_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_claudebox_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_claudebox_using_subcommand
    set -l cmd (__fish_claudebox_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c claudebox -n "__fish_claudebox_needs_command" -l project -d 'The project directory, instead of the git root of the current directory' -r -F
complete -c claudebox -n "__fish_claudebox_needs_command" -s w -l worktree -d 'Work in a linked worktree NAME of its own, on the branch `claudebox/NAME`; made if it is not there' -r
complete -c claudebox -n "__fish_claudebox_needs_command" -l base -d 'Where the branch of a new worktree begins, instead of HEAD' -r
complete -c claudebox -n "__fish_claudebox_needs_command" -l split-direction -d 'How the window is split for the log pane' -r -f -a "auto\t'Side by side when the terminal is at least three times as wide as high'
horizontal\t'Side by side'
vertical\t'One above the other'"
complete -c claudebox -n "__fish_claudebox_needs_command" -l network -d 'Which network there is inside' -r -f -a "allow\t'What rules allow, by name and port'
none\t'Only a loopback of its own'
host\t'The host\'s, all of it. Shown as weakened'"
complete -c claudebox -n "__fish_claudebox_needs_command" -l allow -d 'Let HOST be reached, at port 443 if no other is given; may be `*.HOST` or `@GROUP`' -r
complete -c claudebox -n "__fish_claudebox_needs_command" -l host-port -d 'Make a port of this machine\'s loopback reachable inside, at the same number' -r
complete -c claudebox -n "__fish_claudebox_needs_command" -l publish -d 'Make a port inside reachable on this machine\'s loopback' -r
complete -c claudebox -n "__fish_claudebox_needs_command" -l bind -d 'Make a path writable inside' -r
complete -c claudebox -n "__fish_claudebox_needs_command" -l ro-bind -d 'Make a path readable inside' -r
complete -c claudebox -n "__fish_claudebox_needs_command" -l env -d 'Pass an environment variable, or set it' -r
complete -c claudebox -n "__fish_claudebox_needs_command" -l host-files -d 'What happens at the end to new files that programs of the host execute by themselves' -r -f -a "ask\t'A person on a terminal decides about each; without one they are set aside'
report\t'They stay, and are named'
set-aside\t'They are moved out of the project, into the session\'s directory'"
complete -c claudebox -n "__fish_claudebox_needs_command" -l git -d 'What of git works inside' -r -f -a "private\t'A private copy of `.git`, from which only commits come back'
shared\t'The project\'s own `.git`, pinned; hooks, config and info read-only'
read-only\t'The whole of `.git` read-only: no commits'
none\t'`.git` is hidden'"
complete -c claudebox -n "__fish_claudebox_needs_command" -l no-monitor -d 'Run in this terminal, without tmux and the log pane [opposite: --monitor]'
complete -c claudebox -n "__fish_claudebox_needs_command" -l no-tmux-config -d 'Do not load the user\'s tmux configuration [opposite: --tmux-config]'
complete -c claudebox -n "__fish_claudebox_needs_command" -l allow-ssh-agent -d 'Let the agent use your ssh-agent [opposite: --no-allow-ssh-agent]'
complete -c claudebox -n "__fish_claudebox_needs_command" -l allow-gpg-agent -d 'Let the agent use your gpg-agent [opposite: --no-allow-gpg-agent]'
complete -c claudebox -n "__fish_claudebox_needs_command" -l allow-xdg-runtime -d 'Bind all of `$XDG_RUNTIME_DIR` [opposite: --no-allow-xdg-runtime]'
complete -c claudebox -n "__fish_claudebox_needs_command" -l no-exec-log -d 'Do not observe execs, for `strace --seccomp-bpf` and other programs that need the listener [opposite: --exec-log]'
complete -c claudebox -n "__fish_claudebox_needs_command" -s v -l verbose -d 'Say more about what claudebox does; twice: everything [opposite: --no-verbose]'
complete -c claudebox -n "__fish_claudebox_needs_command" -l monitor
complete -c claudebox -n "__fish_claudebox_needs_command" -l tmux-config
complete -c claudebox -n "__fish_claudebox_needs_command" -l no-allow-ssh-agent
complete -c claudebox -n "__fish_claudebox_needs_command" -l no-allow-gpg-agent
complete -c claudebox -n "__fish_claudebox_needs_command" -l no-allow-xdg-runtime
complete -c claudebox -n "__fish_claudebox_needs_command" -l exec-log
complete -c claudebox -n "__fish_claudebox_needs_command" -l no-verbose
complete -c claudebox -n "__fish_claudebox_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c claudebox -n "__fish_claudebox_needs_command" -s V -l version -d 'Print version'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "run" -d 'Run an agent, or any command, in the sandbox'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "explain" -d 'Show what `run` would do with the same arguments, and where each value comes from'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "ls" -d 'List sessions'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "attach" -d 'Attach to a running session'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "keep" -d 'Bring back what was set aside when a session ended'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "sync" -d 'Bring a session\'s commits, branches and index from its own git directory into yours'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "worktree" -d 'List, compare, merge and remove the worktrees that `run --worktree` made'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "log" -d 'Show the commands that a session executed'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "allow" -d 'Let a running session reach a host from now on'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "net" -d 'Show which hosts a session may reach, and which it reached and was refused'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "verify" -d 'Check that a session\'s log is complete and unchanged (0 ok, 1 broken, 2 incomplete, 3 cannot verify)'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "profile" -d 'List, show, check, compare and make profiles'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "trust" -d 'Trust a project\'s `.claudebox.toml` and `.worktreeinclude` as they stand now'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "doctor" -d 'Say what this machine can do, and what to do where it cannot'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "completions" -d 'Print a completion script'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "man" -d 'Print the manual page'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "schema" -d 'Print the JSON schema of a profile'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "__inner" -d 'The inner stage, started by bwrap'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "__attack" -d 'The attacker of `doctor --attack`, inside the sandbox'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "__demo" -d 'The scripted agent of the demo, inside the sandbox'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "__supervise" -d 'The supervisor, started in the agent pane'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "__shell" -d 'A shell in a running session\'s sandbox, started by a new pane'
complete -c claudebox -n "__fish_claudebox_needs_command" -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l profile -d 'The profile, by name or file, for the command after `--`' -r -F
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l project -d 'The project directory, instead of the git root of the current directory' -r -F
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -s w -l worktree -d 'Work in a linked worktree NAME of its own, on the branch `claudebox/NAME`; made if it is not there' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l base -d 'Where the branch of a new worktree begins, instead of HEAD' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l split-direction -d 'How the window is split for the log pane' -r -f -a "auto\t'Side by side when the terminal is at least three times as wide as high'
horizontal\t'Side by side'
vertical\t'One above the other'"
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l network -d 'Which network there is inside' -r -f -a "allow\t'What rules allow, by name and port'
none\t'Only a loopback of its own'
host\t'The host\'s, all of it. Shown as weakened'"
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l allow -d 'Let HOST be reached, at port 443 if no other is given; may be `*.HOST` or `@GROUP`' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l host-port -d 'Make a port of this machine\'s loopback reachable inside, at the same number' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l publish -d 'Make a port inside reachable on this machine\'s loopback' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l bind -d 'Make a path writable inside' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l ro-bind -d 'Make a path readable inside' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l env -d 'Pass an environment variable, or set it' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l host-files -d 'What happens at the end to new files that programs of the host execute by themselves' -r -f -a "ask\t'A person on a terminal decides about each; without one they are set aside'
report\t'They stay, and are named'
set-aside\t'They are moved out of the project, into the session\'s directory'"
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l git -d 'What of git works inside' -r -f -a "private\t'A private copy of `.git`, from which only commits come back'
shared\t'The project\'s own `.git`, pinned; hooks, config and info read-only'
read-only\t'The whole of `.git` read-only: no commits'
none\t'`.git` is hidden'"
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l no-monitor -d 'Run in this terminal, without tmux and the log pane [opposite: --monitor]'
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l no-tmux-config -d 'Do not load the user\'s tmux configuration [opposite: --tmux-config]'
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l allow-ssh-agent -d 'Let the agent use your ssh-agent [opposite: --no-allow-ssh-agent]'
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l allow-gpg-agent -d 'Let the agent use your gpg-agent [opposite: --no-allow-gpg-agent]'
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l allow-xdg-runtime -d 'Bind all of `$XDG_RUNTIME_DIR` [opposite: --no-allow-xdg-runtime]'
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l no-exec-log -d 'Do not observe execs, for `strace --seccomp-bpf` and other programs that need the listener [opposite: --exec-log]'
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -s v -l verbose -d 'Say more about what claudebox does; twice: everything [opposite: --no-verbose]'
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l monitor
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l tmux-config
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l no-allow-ssh-agent
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l no-allow-gpg-agent
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l no-allow-xdg-runtime
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l exec-log
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -l no-verbose
complete -c claudebox -n "__fish_claudebox_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l profile -d 'The profile, by name or file, for the command after `--`' -r -F
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l project -d 'The project directory, instead of the git root of the current directory' -r -F
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -s w -l worktree -d 'Work in a linked worktree NAME of its own, on the branch `claudebox/NAME`; made if it is not there' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l base -d 'Where the branch of a new worktree begins, instead of HEAD' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l split-direction -d 'How the window is split for the log pane' -r -f -a "auto\t'Side by side when the terminal is at least three times as wide as high'
horizontal\t'Side by side'
vertical\t'One above the other'"
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l network -d 'Which network there is inside' -r -f -a "allow\t'What rules allow, by name and port'
none\t'Only a loopback of its own'
host\t'The host\'s, all of it. Shown as weakened'"
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l allow -d 'Let HOST be reached, at port 443 if no other is given; may be `*.HOST` or `@GROUP`' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l host-port -d 'Make a port of this machine\'s loopback reachable inside, at the same number' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l publish -d 'Make a port inside reachable on this machine\'s loopback' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l bind -d 'Make a path writable inside' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l ro-bind -d 'Make a path readable inside' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l env -d 'Pass an environment variable, or set it' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l host-files -d 'What happens at the end to new files that programs of the host execute by themselves' -r -f -a "ask\t'A person on a terminal decides about each; without one they are set aside'
report\t'They stay, and are named'
set-aside\t'They are moved out of the project, into the session\'s directory'"
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l git -d 'What of git works inside' -r -f -a "private\t'A private copy of `.git`, from which only commits come back'
shared\t'The project\'s own `.git`, pinned; hooks, config and info read-only'
read-only\t'The whole of `.git` read-only: no commits'
none\t'`.git` is hidden'"
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l bwrap -d 'Print the bwrap command'
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l json -d 'Print everything as JSON'
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l no-monitor -d 'Run in this terminal, without tmux and the log pane [opposite: --monitor]'
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l no-tmux-config -d 'Do not load the user\'s tmux configuration [opposite: --tmux-config]'
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l allow-ssh-agent -d 'Let the agent use your ssh-agent [opposite: --no-allow-ssh-agent]'
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l allow-gpg-agent -d 'Let the agent use your gpg-agent [opposite: --no-allow-gpg-agent]'
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l allow-xdg-runtime -d 'Bind all of `$XDG_RUNTIME_DIR` [opposite: --no-allow-xdg-runtime]'
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l no-exec-log -d 'Do not observe execs, for `strace --seccomp-bpf` and other programs that need the listener [opposite: --exec-log]'
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -s v -l verbose -d 'Say more about what claudebox does; twice: everything [opposite: --no-verbose]'
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l monitor
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l tmux-config
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l no-allow-ssh-agent
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l no-allow-gpg-agent
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l no-allow-xdg-runtime
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l exec-log
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -l no-verbose
complete -c claudebox -n "__fish_claudebox_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c claudebox -n "__fish_claudebox_using_subcommand ls" -s a -l all -d 'Sessions of every project'
complete -c claudebox -n "__fish_claudebox_using_subcommand ls" -l json -d 'One JSON object a line'
complete -c claudebox -n "__fish_claudebox_using_subcommand ls" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand attach" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand keep" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand sync" -l sign -d 'When the session is over: make its commits anew, signed with your key'
complete -c claudebox -n "__fish_claudebox_using_subcommand sync" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and not __fish_seen_subcommand_from list diff merge apply rm gc help" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and not __fish_seen_subcommand_from list diff merge apply rm gc help" -f -a "list" -d 'List the project\'s worktrees, and how each stands'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and not __fish_seen_subcommand_from list diff merge apply rm gc help" -f -a "diff" -d 'Show what was done in one since it began, committed or not'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and not __fish_seen_subcommand_from list diff merge apply rm gc help" -f -a "merge" -d 'Merge the commits of one into the branch that is checked out'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and not __fish_seen_subcommand_from list diff merge apply rm gc help" -f -a "apply" -d 'Stage what was done in one, committed or not, in the main work tree; nothing is committed'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and not __fish_seen_subcommand_from list diff merge apply rm gc help" -f -a "rm" -d 'Remove one, with its branch'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and not __fish_seen_subcommand_from list diff merge apply rm gc help" -f -a "gc" -d 'Remove all that hold no work which is nowhere else'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and not __fish_seen_subcommand_from list diff merge apply rm gc help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from list" -l json -d 'One JSON object a line'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from merge" -l into -d 'Into this branch, which need not be checked out' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from merge" -l squash -d 'As one commit'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from merge" -l rebase -d 'Each commit made anew on top of the branch'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from merge" -l sign -d 'Sign the commits that are made with your key'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from merge" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from apply" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from rm" -l force -d 'Remove also what would be lost by it'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from gc" -l force -d 'Remove also what would be lost by it'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from gc" -l dry-run -d 'Only say what would be removed'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from gc" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the project\'s worktrees, and how each stands'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from help" -f -a "diff" -d 'Show what was done in one since it began, committed or not'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from help" -f -a "merge" -d 'Merge the commits of one into the branch that is checked out'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from help" -f -a "apply" -d 'Stage what was done in one, committed or not, in the main work tree; nothing is committed'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Remove one, with its branch'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from help" -f -a "gc" -d 'Remove all that hold no work which is nowhere else'
complete -c claudebox -n "__fish_claudebox_using_subcommand worktree; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c claudebox -n "__fish_claudebox_using_subcommand log" -l grep -d 'Only commands and hosts that match this regular expression' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand log" -s f -l follow -d 'Keep showing what comes'
complete -c claudebox -n "__fish_claudebox_using_subcommand log" -l json -d 'The events as they stand in the log, one JSON object a line'
complete -c claudebox -n "__fish_claudebox_using_subcommand log" -l failed -d 'Only commands that failed or died of a signal, and hosts that were refused or not reached'
complete -c claudebox -n "__fish_claudebox_using_subcommand log" -l tree -d 'Show which command started which'
complete -c claudebox -n "__fish_claudebox_using_subcommand log" -l all -d 'Show everything: helpers, misses along PATH and repeats are not folded'
complete -c claudebox -n "__fish_claudebox_using_subcommand log" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand allow" -l session -d 'A session\'s id or an unambiguous beginning of it; the project\'s latest if absent' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand allow" -l always -d 'In every later session of the same profile, too: it is written into your own profile'
complete -c claudebox -n "__fish_claudebox_using_subcommand allow" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand net" -l all -d 'Name every host of a group'
complete -c claudebox -n "__fish_claudebox_using_subcommand net" -l json -d 'One JSON object'
complete -c claudebox -n "__fish_claudebox_using_subcommand net" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand verify" -l all -d 'Every session; the exit code is that of the worst verdict'
complete -c claudebox -n "__fish_claudebox_using_subcommand verify" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and not __fish_seen_subcommand_from list show check diff new path help" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and not __fish_seen_subcommand_from list show check diff new path help" -f -a "list" -d 'List the profiles there are'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and not __fish_seen_subcommand_from list show check diff new path help" -f -a "show" -d 'Print a profile\'s file, comments and all'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and not __fish_seen_subcommand_from list show check diff new path help" -f -a "check" -d 'Check a profile and everything it extends'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and not __fish_seen_subcommand_from list show check diff new path help" -f -a "diff" -d 'Show what differs between two profiles, each with what it extends (0 nothing, 1 something)'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and not __fish_seen_subcommand_from list show check diff new path help" -f -a "new" -d 'Write a profile of your own: a commented skeleton, or with a command what one run of it showed'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and not __fish_seen_subcommand_from list show check diff new path help" -f -a "path" -d 'Print where a profile\'s file is'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and not __fish_seen_subcommand_from list show check diff new path help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and __fish_seen_subcommand_from new" -l from -d 'Run this command once in this terminal, under the profile `default`, and write what it used; what it is refused stays refused, and is written as a comment. Words are split as a shell does it' -r
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and __fish_seen_subcommand_from new" -l force -d 'Replace a profile of yours, or write beside one that is built in'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and __fish_seen_subcommand_from path" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the profiles there are'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print a profile\'s file, comments and all'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "check" -d 'Check a profile and everything it extends'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "diff" -d 'Show what differs between two profiles, each with what it extends (0 nothing, 1 something)'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "new" -d 'Write a profile of your own: a commented skeleton, or with a command what one run of it showed'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "path" -d 'Print where a profile\'s file is'
complete -c claudebox -n "__fish_claudebox_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c claudebox -n "__fish_claudebox_using_subcommand trust" -s y -l yes -d 'Do not ask'
complete -c claudebox -n "__fish_claudebox_using_subcommand trust" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand doctor" -l profile -d 'The profile whose sandbox is attacked, by name or file, and whose `assert` is tried' -r -F
complete -c claudebox -n "__fish_claudebox_using_subcommand doctor" -l attack -d 'Attack a sandbox in a scratch project, and say which promises held (0 all, 1 not all)'
complete -c claudebox -n "__fish_claudebox_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand completions" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand man" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand schema" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand __inner" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand __attack" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand __demo" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand __supervise" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand __shell" -s h -l help -d 'Print help'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "run" -d 'Run an agent, or any command, in the sandbox'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "explain" -d 'Show what `run` would do with the same arguments, and where each value comes from'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "ls" -d 'List sessions'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "attach" -d 'Attach to a running session'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "keep" -d 'Bring back what was set aside when a session ended'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "sync" -d 'Bring a session\'s commits, branches and index from its own git directory into yours'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "worktree" -d 'List, compare, merge and remove the worktrees that `run --worktree` made'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "log" -d 'Show the commands that a session executed'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "allow" -d 'Let a running session reach a host from now on'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "net" -d 'Show which hosts a session may reach, and which it reached and was refused'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "verify" -d 'Check that a session\'s log is complete and unchanged (0 ok, 1 broken, 2 incomplete, 3 cannot verify)'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "profile" -d 'List, show, check, compare and make profiles'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "trust" -d 'Trust a project\'s `.claudebox.toml` and `.worktreeinclude` as they stand now'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "doctor" -d 'Say what this machine can do, and what to do where it cannot'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "completions" -d 'Print a completion script'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "man" -d 'Print the manual page'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "schema" -d 'Print the JSON schema of a profile'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "__inner" -d 'The inner stage, started by bwrap'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "__attack" -d 'The attacker of `doctor --attack`, inside the sandbox'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "__demo" -d 'The scripted agent of the demo, inside the sandbox'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "__supervise" -d 'The supervisor, started in the agent pane'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "__shell" -d 'A shell in a running session\'s sandbox, started by a new pane'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and not __fish_seen_subcommand_from run explain ls attach keep sync worktree log allow net verify profile trust doctor completions man schema __inner __attack __demo __supervise __shell help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and __fish_seen_subcommand_from worktree" -f -a "list" -d 'List the project\'s worktrees, and how each stands'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and __fish_seen_subcommand_from worktree" -f -a "diff" -d 'Show what was done in one since it began, committed or not'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and __fish_seen_subcommand_from worktree" -f -a "merge" -d 'Merge the commits of one into the branch that is checked out'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and __fish_seen_subcommand_from worktree" -f -a "apply" -d 'Stage what was done in one, committed or not, in the main work tree; nothing is committed'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and __fish_seen_subcommand_from worktree" -f -a "rm" -d 'Remove one, with its branch'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and __fish_seen_subcommand_from worktree" -f -a "gc" -d 'Remove all that hold no work which is nowhere else'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and __fish_seen_subcommand_from profile" -f -a "list" -d 'List the profiles there are'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and __fish_seen_subcommand_from profile" -f -a "show" -d 'Print a profile\'s file, comments and all'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and __fish_seen_subcommand_from profile" -f -a "check" -d 'Check a profile and everything it extends'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and __fish_seen_subcommand_from profile" -f -a "diff" -d 'Show what differs between two profiles, each with what it extends (0 nothing, 1 something)'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and __fish_seen_subcommand_from profile" -f -a "new" -d 'Write a profile of your own: a commented skeleton, or with a command what one run of it showed'
complete -c claudebox -n "__fish_claudebox_using_subcommand help; and __fish_seen_subcommand_from profile" -f -a "path" -d 'Print where a profile\'s file is'
