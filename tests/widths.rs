//! How many columns a character takes, by our count and in the tmux of this machine. Ours must never
//! be the smaller: a row that is wider than it was counted begins a line of its own.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says so when it fails")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use claudebox::log::text::width;
use claudebox::visible::is_invisible;

/// So many characters are asked about at once.
const BLOCK: usize = 4000;

/// Ends the server of a test that fails, too.
struct Server<'a>(&'a Path);

impl Server<'_> {
    fn tmux(&self, arguments: &[&str]) -> bool {
        let mut tmux = Command::new("tmux");
        tmux.args(["-u", "-f", "/dev/null", "-S"]).arg(self.0).args(arguments);
        tmux.env("LC_ALL", "C.UTF-8").env_remove("TMUX").status().unwrap().success()
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// The columns behind which the cursor stands after each character, as the terminal itself says
/// (DSR, `CSI 6 n`).
fn in_tmux(directory: &Path, characters: &[char]) -> Vec<usize> {
    let (questions, answers) = (directory.join("questions"), directory.join("answers"));
    let mut text = String::new();
    for ch in characters {
        write!(text, "\x1b[H\x1b[2K{ch}\x1b[6n").unwrap();
    }
    fs::write(&questions, text).unwrap();
    fs::write(&answers, "").unwrap();
    let socket = directory.join("tmux");
    let server = Server(&socket);
    let script =
        format!("stty raw -echo; cat {} & exec cat > {}", questions.display(), answers.display());
    assert!(server.tmux(&["new-session", "-d", "-x", "80", "-y", "24", "sh", "-c", &script]));
    for _ in 0..3000 {
        let told = fs::read_to_string(&answers).unwrap();
        if told.matches('R').count() == characters.len() {
            return told.split_terminator('R').map(column).collect();
        }
        sleep(Duration::from_millis(10));
    }
    panic!("tmux does not answer");
}

/// Of `CSI row ; column`, counted from 0.
fn column(answer: &str) -> usize {
    let (_, column) = answer.split_once(';').unwrap();
    column.parse::<usize>().unwrap() - 1
}

#[test]
fn attack_no_character_is_wider_in_tmux_than_in_a_row() {
    let shown: Vec<char> = ('\u{a0}'..=char::MAX).filter(|ch| !is_invisible(*ch)).collect();
    assert!(shown.len() > 140_000);
    let mut narrow = 0;
    for block in shown.chunks(BLOCK) {
        // A server of its own: the one before may be on its way out.
        let dir = tempfile::tempdir().unwrap();
        for (ch, columns) in block.iter().zip(in_tmux(dir.path(), block)) {
            let counted = width(&ch.to_string());
            assert!(
                counted >= columns,
                "{ch:?} has {columns} columns, and is counted as {counted}"
            );
            narrow += usize::from(columns == 0);
        }
    }
    // Control: tmux knows its characters, and few beside the marks show as nothing.
    assert!((1500..2500).contains(&narrow), "{narrow}");
}
