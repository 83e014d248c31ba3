//! tmux: argv for it, and what it answers.
