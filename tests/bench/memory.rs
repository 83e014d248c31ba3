//! The supervisor's memory after very many execs. The session waits at each stage until it has
//! been looked at; the supervisor is found as the parent of bwrap.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::report::{Fact, Report};
use crate::workbench::Workbench;

/// At most this, in megabytes.
const PEAK: f64 = 8.0;

/// Spawns up to each count, and waits to be told to go on. Only builtins wait: what is executed
/// is what is counted.
const STAGES: &str = "
done=0
for count in \"$@\"; do
    ./workload spawn 1 $((count - done)) >/dev/null
    done=$count
    : >\"reached-$count\"
    read -r go <\"go-$count\"
done
";

pub(crate) fn measure(bench: &Workbench, report: &mut Report) -> Result<(), String> {
    eprintln!("memory");
    let project = bench.place.project();
    let counts: Vec<String> = bench.size.execs.iter().map(u32::to_string).collect();
    for count in &counts {
        let fifo = project.join(format!("go-{count}"));
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).map_err(|err| err.to_string())?;
    }
    bench.place.project_file("stages.sh", STAGES);
    let mut command = vec!["sh", "stages.sh"];
    command.extend(counts.iter().map(String::as_str));
    let day = Duration::from_secs(24 * 3600);
    let session = bench.claudebox.run(&bench.place, &command).deadline(day).start();
    let mut facts = Vec::new();
    let mut resident = Vec::new();
    for count in &counts {
        let reached = project.join(format!("reached-{count}"));
        while !reached.exists() {
            if !Path::new(&format!("/proc/{}", session.pid())).exists() {
                crate::workbench::succeeded(session.wait())?;
                return Err(format!("the session ended before {count} execs"));
            }
            sleep(Duration::from_millis(20));
        }
        // The log is written in batches; the last one is part of it.
        sleep(Duration::from_millis(500));
        let supervisor = parent_of_bwrap(session.pid()).ok_or("no parent of bwrap was found")?;
        let (now, peak) = (status(supervisor, "VmRSS:")?, status(supervisor, "VmHWM:")?);
        eprintln!("  {count} execs: {now:.2} MB, peak {peak:.2} MB");
        resident.push(now);
        facts.push(megabytes(&format!("supervisor after {count} execs"), now, None));
        facts.push(megabytes(&format!("its peak by then ({count} execs)"), peak, Some(PEAK)));
        fs::write(project.join(format!("go-{count}")), "go\n").map_err(|err| err.to_string())?;
    }
    crate::workbench::succeeded(session.wait())?;
    if let ([first, ..], [.., last]) = (&resident[..], &resident[..]) {
        facts.push(megabytes("grown between the first and the last", last - first, None));
    }
    report.facts("Memory of the supervisor", &facts);
    Ok(())
}

pub(crate) fn megabytes(name: &str, value: f64, target: Option<f64>) -> Fact {
    Fact { name: name.to_owned(), value, unit: "MB", target }
}

/// `pid` or the one below it that started bwrap.
pub(crate) fn parent_of_bwrap(pid: i32) -> Option<i32> {
    let children = children(pid);
    let is_bwrap = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "bwrap")
    };
    if children.iter().any(is_bwrap) {
        return Some(pid);
    }
    children.into_iter().find_map(parent_of_bwrap)
}

/// Of all its threads.
fn children(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
        })
        .collect()
}

/// A line of `/proc/PID/status` that is in KiB, in megabytes.
pub(crate) fn status(pid: i32, key: &str) -> Result<f64, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|err| err.to_string())?;
    let line = text.lines().find(|line| line.starts_with(key));
    let kib: Option<f64> = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    kib.map(|kib| kib * 1024.0 / 1e6).ok_or_else(|| format!("no {key} of process {pid}"))
}
