//! The tools of everyday work do their work inside: compilers, interpreters, git, debuggers.

mod common;

use common::place::Place;
use common::user::users;

/// Runs a shell script in the sandbox, as everyone, and looks for what it must print.
#[track_caller]
fn works(script: &str, says: &str) {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.project_file("hello.c", "#include <stdio.h>\nint main(void) { puts(\"hi\"); }\n");
        let script = format!("set -e\n{script}");
        place
            .claudebox(["run", "--no-monitor", "--", "sh", "-c", &script])
            .run()
            .code(0)
            .says(says);
    }
}

#[test]
fn gcc_compiles_what_then_runs() {
    works("gcc -O1 -o hello hello.c; ./hello", "hi\n");
}

#[test]
fn make_builds() {
    works("printf 'hello: hello.c\\n\\tgcc -o $@ $<\\n' >Makefile; make -s -j2; ./hello", "hi\n");
}

#[test]
fn python_starts_processes() {
    works(
        "/usr/bin/python3 -c 'import subprocess; print(subprocess.check_output([\"expr\", \"6\", \"*\", \"7\"]))'",
        "42",
    );
}

#[test]
fn node_starts_processes() {
    works(
        "node -e 'console.log(require(\"child_process\").execSync(\"expr 6 \\\\* 7\").toString())'",
        "42",
    );
}

#[test]
fn git_commits_in_the_project() {
    works(
        "git add hello.c; git -c user.name=a -c user.email=b@example.invalid commit -qm Greet; \
         git log --oneline",
        "Greet",
    );
}

#[test]
fn gdb_runs_a_program_and_reads_its_variables() {
    works(
        "gcc -g -o hello hello.c; gdb -batch -ex 'break main' -ex run -ex 'print 6 * 7' ./hello",
        "= 42",
    );
}

#[test]
fn strace_follows_children() {
    works(
        "strace -f -e trace=execve -o trace sh -c 'sh -c \"/bin/true; :\"; :'; grep -c 'execve(\"/bin/true' trace",
        "1\n",
    );
}
