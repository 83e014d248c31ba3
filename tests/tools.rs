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

#[test]
fn python_starts_pools_of_every_kind() {
    let script = "import multiprocessing as m\nif __name__ == '__main__':\n    \
        for kind in ('fork', 'spawn', 'forkserver'):\n        \
        with m.get_context(kind).Pool(2) as pool: print(kind, pool.map(abs, [-7]))\n";
    works(
        &format!("cat >pools.py <<'EOF'\n{script}EOF\npython3 pools.py | sort | tr '\\n' ' '"),
        "fork [7] forkserver [7] spawn [7]",
    );
}

#[test]
fn node_starts_threads() {
    works(
        "node -e 'new (require(\"worker_threads\").Worker)(\"console.log(6 * 7)\", {eval: true})'",
        "42",
    );
}

#[test]
fn a_program_runs_without_randomised_addresses() {
    works(
        "gcc -o hello hello.c; setarch -R ./hello; setarch -R cat /proc/self/personality",
        "00040000",
    );
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_32_bit_program_runs() {
    works("gcc -m32 -o hello hello.c; ./hello", "hi\n");
}

/// glibc for 32-bit x86 makes sockets by socketcall(2), which is not let through but done for it.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_32_bit_program_has_sockets() {
    let program = r#"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct addrinfo *found;
    socklen_t size = sizeof at;
    char text[8] = "";
    int pair[2], server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), client, peer;
    if (server < 0 || bind(server, (void *)&at, size) || listen(server, 1)) return perror("server"), 1;
    if (getsockname(server, (void *)&at, &size)) return perror("name"), 1;
    client = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    if (connect(client, (void *)&at, size)) return perror("connect"), 1;
    peer = accept(server, 0, 0);
    if (send(client, "tcp", 3, 0) != 3 || recv(peer, text, 3, MSG_WAITALL) != 3) return 1;
    puts(text);
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair)) return perror("pair"), 1;
    if (write(pair[1], "unix", 4) != 4 || read(pair[0], text, 8) != 4) return 1;
    puts(text);
    if (getaddrinfo("localhost", "80", 0, &found)) return 1;
    puts(sizeof(void *) == 4 ? "four bytes" : "no 32-bit program");
    return 0;
}
"#;
    works(
        &format!("cat >net.c <<'EOF'\n{program}EOF\ngcc -m32 -o net net.c; ./net | tr '\\n' ' '"),
        "tcp unix four bytes",
    );
}

#[test]
fn a_terminal_multiplexer_has_terminals_of_its_own() {
    works(
        "tmux -L inside new-session -d 'tty >out; sleep 60'; while [ ! -s out ]; do sleep 0.1; done; cat out; tmux -L inside kill-server",
        "/dev/pts/",
    );
}
