#!/usr/bin/env bash
# Installs what building, the demo and the tests need. Idempotent, and quick when all is there.
#
#   tests/setup.sh run     bubblewrap, tmux, git: enough for `claudebox` and its demo
#   tests/setup.sh test    also compilers, tracers, node and the unprivileged test user; the agents are
#                          installed by the tests that drive them (tests/common/agent.rs)
#   tests/setup.sh packages    installs nothing and prints the Debian packages of `test`
#
# On Debian and Ubuntu it calls apt-get (through sudo when not root). Anywhere else it installs
# nothing and says exactly what is missing. It never removes or reconfigures anything.
set -euo pipefail
cd "$(dirname "$0")/.."

# What is needed, as "program:debian-package" or "/file:debian-package".
run=(bwrap:bubblewrap tmux:tmux git:git)
build=(cc:gcc ld:binutils)
test=(make:make gcc:gcc python3:python3 node:nodejs npm:npm gdb:gdb strace:strace
    nix-instantiate:nix-bin git-lfs:git-lfs setpriv:util-linux)
# The clients of tests/clients, and what they need of the system.
test+=(ip:iproute2 curl:curl openssl:openssl ssh:openssh-client go:golang-go musl-gcc:musl-tools
    javac:default-jdk-headless /usr/lib/python3/dist-packages/pip:python3-pip
    /usr/share/doc/libwrap0:libwrap0)
# Libraries that tools use instead of git (tests/git/libraries).
test+=(/usr/lib/python3/dist-packages/pygit2:python3-pygit2
    /usr/share/gocode/src/github.com/go-git/go-git:golang-github-go-git-go-git-dev)
# 32-bit programs have system calls of their own.
[ "$(uname -m)" != x86_64 ] || test+=(/usr/lib32/crt1.o:gcc-multilib)

say() { printf 'setup: %s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

missing_packages() {
    local pair
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || [[ $pair == /* && -e ${pair%%:*} ]] || printf '%s\n' "${pair##*:}"
    done | sort -u
}

install_packages() {
    local packages
    mapfile -t packages < <(missing_packages "$@")
    [ ${#packages[@]} -gt 0 ] || return 0
    if ! command -v apt-get >/dev/null; then
        say "missing here, by their Debian names: ${packages[*]}"
        say "install them with this system's package manager and try again"
        exit 1
    fi
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        say "missing: ${packages[*]}"
        say "as root: apt-get install ${packages[*]}"
        exit 1
    fi
    say "installing ${packages[*]}"
    # A failing third-party source must not stop us: what counts is whether the install works.
    as_root apt-get -qq update </dev/null || say "apt-get update failed; trying with the lists there are"
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq install --no-install-recommends -y "${packages[@]}" </dev/null >/dev/null
}

need_cargo() {
    command -v cargo >/dev/null && return
    say "cargo is missing: install Rust 1.88 or later, see https://rustup.rs"
    exit 1
}

# Tests that run as root repeat themselves as an unprivileged user.
test_user() {
    [ "$(id -u)" = 0 ] || return 0
    id claudebox-test >/dev/null 2>&1 && return
    say "creating the unprivileged user claudebox-test"
    useradd --create-home --shell /bin/bash claudebox-test
}

[ "${1:-test}" = packages ] || need_cargo
case "${1:-test}" in
packages)
    printf '%s\n' "${build[@]##*:}" "${run[@]##*:}" "${test[@]##*:}" | sort -u
    ;;
run)
    install_packages "${build[@]}" "${run[@]}"
    ;;
test)
    install_packages "${build[@]}" "${run[@]}" "${test[@]}"
    test_user
    tests/clients/install-sshd.sh
    tests/git/install-gix.sh
    ;;
*)
    say "usage: tests/setup.sh run|test|packages"
    exit 2
    ;;
esac
