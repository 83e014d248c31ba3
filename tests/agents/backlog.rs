//! Backlog.md: no agent, but what agents keep tasks with. Its page is fetched from outside.
