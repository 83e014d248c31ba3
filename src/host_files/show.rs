//! Shows a person what a finding holds, before it is kept or set aside: the beginning of each file, and
//! where links lead. Everything in it is an agent's text, made visible; a file is opened as a file,
//! and nothing is followed.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read as _;

use rustix::fs::{AtFlags, Dir, FileType, readlinkat, statat};
use rustix::io::Errno;

use super::beneath::Beneath;
use crate::bytes::Bytes;
use crate::log::quote;
use crate::visible::visible;

/// Lines in all.
const MOST_LINES: usize = 120;
/// Files in all.
const MOST_FILES: usize = 40;
/// Bytes of one file.
const MOST_BYTES: u64 = 8 << 10;
/// Bytes of one line.
const WIDEST: usize = 240;

/// The lines to show for what stands at a path.
pub(super) fn lines(project: &mut Beneath, path: &Bytes) -> Vec<String> {
    let mut lines = Vec::new();
    let mut waiting = VecDeque::from([path.0.clone()]);
    let mut files = 0;
    while let Some(path) = waiting.pop_front() {
        files += 1;
        if files > MOST_FILES || lines.len() >= MOST_LINES {
            lines.push("... there is more".to_owned());
            break;
        }
        if let Err(errno) = one(project, &path, &mut lines, &mut waiting) {
            lines.push(format!("{}: {errno}", quote::word(&path)));
        }
    }
    lines
}

fn one(
    project: &mut Beneath,
    path: &[u8],
    lines: &mut Vec<String>,
    waiting: &mut VecDeque<Vec<u8>>,
) -> Result<(), Errno> {
    let shown = quote::word(path);
    let (directory, name) = project.place(path)?;
    let stat = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            let mut names = Vec::new();
            for entry in Dir::read_from(project.directory(path)?)?.take(10 * MOST_FILES) {
                let entry = entry?;
                if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                    names.push([path, b"/", entry.file_name().to_bytes()].concat());
                }
            }
            names.sort();
            if names.is_empty() {
                lines.push(format!("{shown}/ is empty"));
            }
            waiting.extend(names);
        }
        FileType::Symlink => {
            let target = readlinkat(&directory, name, Vec::new())?;
            lines.push(format!("{shown} -> {}", quote::word(target.as_bytes())));
        }
        FileType::RegularFile => {
            let executable = if stat.st_mode & 0o111 == 0 { "" } else { ", executable" };
            lines.push(format!("{shown} ({} bytes{executable}):", stat.st_size));
            let mut bytes = Vec::new();
            let file = File::from(project.file(path)?);
            if file.take(MOST_BYTES).read_to_end(&mut bytes).is_err() {
                return Err(Errno::IO);
            }
            lines.extend(text(&bytes));
        }
        _ => lines.push(format!("{shown} is neither a file nor a directory")),
    }
    Ok(())
}

/// The beginning of a file, indented.
fn text(bytes: &[u8]) -> Vec<String> {
    let all = bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n');
    let mut lines: Vec<String> = all
        .take(MOST_LINES + 1)
        .map(|line| {
            let cut = if line.len() > WIDEST { "..." } else { "" };
            format!("    {}{cut}", visible(&line[..line.len().min(WIDEST)]))
        })
        .collect();
    if lines.len() > MOST_LINES {
        lines.truncate(MOST_LINES);
        lines.push("    ...".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_links_and_control_bytes_are_shown_as_text() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(".vscode/empty")).unwrap();
        fs::write(dir.path().join(".vscode/tasks.json"), "{\n\"a\": \x1b[31m\n}\n").unwrap();
        symlink("/etc/passwd", dir.path().join(".vscode/link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join(".vscode/z"), rustix::fs::Mode::RUSR)
            .unwrap();
        let mut project = Beneath::open(dir.path()).unwrap();
        insta::assert_snapshot!(lines(&mut project, &".vscode".into()).join("\n"), @r#"
        .vscode/empty/ is empty
        .vscode/link -> /etc/passwd
        .vscode/tasks.json (15 bytes):
            {
            "a": \x1b[31m
            }
        .vscode/z is neither a file nor a directory
        "#);
        fs::write(dir.path().join("long"), "x\n".repeat(100_000)).unwrap();
        let shown = lines(&mut project, &"long".into());
        assert!(shown.len() < MOST_LINES + 5);
        assert!(lines(&mut project, &"../x".into())[0].starts_with("../x: "));
    }
}
