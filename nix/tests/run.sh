#!/usr/bin/env bash
# Builds and runs what the flake offers, with a real Nix and the stand-in for nixpkgs (stub/).
# Nothing is fetched, and nothing outside of SCRATCH is written: /nix is SCRATCH's own where this
# machine has none. Where it has one its programs may live there, and the store is SCRATCH/store.
#
#   nix/tests/run.sh prepare SCRATCH CLAUDEBOX   as whoever owns the checkout
#   nix/tests/run.sh run SCRATCH                 as any user who owns SCRATCH
#
# CLAUDEBOX is the program of the package. Where CARGO_TARGET_DIR is set, cargo checks the package's
# source, with what it downloaded before.
set -euo pipefail
stage="$1"
scratch="$2"
system="$(uname -m)-linux"

say() { printf 'nix: %s\n' "$*" >&2; }

fail() {
    say "FAILED: $*"
    exit 1
}

# What Nix would see of a clone: the files that git tracks, as they are now.
prepare() {
    local claudebox="$1" file
    cd "$(dirname "$0")/../.."
    umask 022
    mkdir -p "$scratch/checkout"
    while IFS= read -r -d '' file; do
        [ ! -e "$file" ] || printf '%s\0' "$file"
    done < <(git ls-files -z) | tar -c --null -T - | tar -x -C "$scratch/checkout" --no-same-owner
    cp -r "$scratch/checkout/nix/tests/stub" "$scratch/stub"
    cat >"$scratch/stub/host.nix" <<END
{
  path = "$PATH";
  bash = "$(command -v bash)";
  dynamicLinker = "$(loader)";
  claudebox = "$claudebox";
  cargo = { $(cargo_variables) };
}
END
}

cargo_variables() {
    [ -n "${CARGO_TARGET_DIR:-}" ] || return 0
    local name
    export CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}"
    export CARGO_INCREMENTAL=0
    for name in CARGO_HOME CARGO_INCREMENTAL CARGO_TARGET_DIR RUSTUP_HOME RUSTUP_TOOLCHAIN; do
        [ -z "${!name:-}" ] || printf '%s = "%s"; ' "$name" "${!name}"
    done
}

# The dynamic linker that this machine's programs ask for.
loader() {
    local program
    program="$(command -v python3)"
    python3 - "$(readlink -f "$program")" <<'END'
import re, sys
found = re.search(rb"/[\w./+-]*/ld-linux[\w.-]*", open(sys.argv[1], "rb").read(4096))
print(found.group().decode() if found else "/lib64/ld-linux-x86-64.so.2")
END
}

# The same root, entry by entry, and on it a /nix of our own.
with_own_nix() {
    local arguments=() entry
    [ "$(id -u)" != 0 ] || arguments+=(--cap-add ALL)
    for entry in /*; do
        case "$entry" in
        /nix) ;;
        *) if [ -L "$entry" ]; then
            arguments+=(--symlink "$(readlink "$entry")" "$entry")
        else
            arguments+=(--dev-bind "$entry" "$entry")
        fi ;;
        esac
    done
    # Without the second directory an ordinary user's Nix would make itself a chroot elsewhere.
    mkdir -p "$scratch/nix/store" "$scratch/nix/var/nix"
    exec bwrap "${arguments[@]}" --bind "$scratch/nix" /nix -- "$0" inside "$scratch"
}

# What the exit code is; the output goes to $scratch/said.
code_of() {
    local code=0
    "$@" >"$scratch/said" 2>"$scratch/errors" || code=$?
    printf '%s' "$code"
}

says() { grep -qxF -- "$1" "$scratch/said" || fail "no line \`$1\` in: $(cat "$scratch/said" "$scratch/errors")"; }

inside() {
    # A store is read-only, and its owner could not remove it.
    trap 'chmod -R u+w "$scratch" 2>/dev/null || true' EXIT
    cd "$scratch/checkout"
    export NIX_CONFIG="build-users-group =
experimental-features = nix-command flakes
sandbox = false
substituters =
flake-registry =
connect-timeout = 1
warn-dirty = false"
    local here="path:$scratch/checkout" offline=(--no-write-lock-file --override-input nixpkgs "path:$scratch/stub")

    say "every file is one for Nix"
    find . -name '*.nix' -exec nix-instantiate --parse {} + >/dev/null

    local file count
    for file in pure modules boxes; do
        count="$(nix-instantiate --eval --strict "nix/tests/$file.nix")" || fail "nix/tests/$file.nix"
        say "nix/tests/$file.nix: $count cases"
    done

    say "nix flake check, for each of the systems"
    nix flake check "${offline[@]}" "$here" 2>"$scratch/errors" || fail "$(cat "$scratch/errors")"
    # Since Nix 2.17 only this system is looked at without a flag; before, there was no flag.
    nix flake check "${offline[@]}" --no-build --all-systems "$here" 2>"$scratch/errors" ||
        grep -q "unrecognised flag '--all-systems'" "$scratch/errors" || fail "$(cat "$scratch/errors")"

    say "nix run .#claudebox -- --version"
    local version
    version="$(nix eval --raw "${offline[@]}" "$here#claudebox.version")"
    [ "$(code_of nix run "${offline[@]}" "$here#claudebox" -- --version)" = 0 ] || fail "$(cat "$scratch/errors")"
    says "claudebox $version"

    say "nix develop -c true"
    [ "$(code_of nix develop "${offline[@]}" "$here" -c true)" = 0 ] || fail "$(cat "$scratch/errors")"

    local of agents
    say "each agent is there for every system that agents.json has it for, and no sandbox for macOS"
    for of in x86_64-linux aarch64-linux x86_64-darwin aarch64-darwin; do
        nix eval --raw "${offline[@]}" "$here#packages.$of" \
            --apply 'all: builtins.concatStringsSep "\n" (map (name: "${name} ${all.${name}.drvPath}") (builtins.attrNames all))' \
            >"$scratch/said"
        agents="$(pinned_for "$of")"
        [ "$(wc -l <<<"$agents")" -gt 5 ] || fail "few agents for $of: $agents"
        diff <(grep -oE '^[a-z-]+' "$scratch/said" | grep -vE -- '-box$|^(claudebox|default)$') - <<<"$agents" >&2 ||
            fail "other packages for $of than agents.json has"
        case "$of" in
        *-darwin) ! grep -E '^([a-z-]+-box|claudebox|default) ' "$scratch/said" || fail "a sandbox for macOS" ;;
        *) [ "$(grep -c -- '-box /' "$scratch/said")" = "$(wc -l <<<"$agents")" ] || fail "an agent without a box" ;;
        esac
    done

    say "a new project of the template evaluates, once it names the checkout"
    # `nix flake init` takes no --override-input.
    cp -r "$scratch/checkout" "$scratch/with-stub"
    sed -i "s|github:NixOS/nixpkgs/nixos-unstable|path:$scratch/stub|" "$scratch/with-stub/flake.nix"
    mkdir "$scratch/new"
    cd "$scratch/new"
    nix flake init -t "path:$scratch/with-stub" 2>"$scratch/errors" || fail "$(cat "$scratch/errors")"
    sed -i "s|git+file:///the/checkout/of/claudebox|$here|" flake.nix
    grep -qF "\"$here\"" flake.nix || fail "the template names no checkout as docs/nix.md has it: $(cat flake.nix)"
    nix eval --raw --no-write-lock-file "path:$scratch/new#devShells.$system.default.drvPath" \
        --override-input nixpkgs "path:$scratch/stub" \
        --override-input claudebox/nixpkgs "path:$scratch/stub" >/dev/null 2>"$scratch/errors" ||
        fail "$(cat "$scratch/errors")"
    cd "$scratch/checkout"

    packages_of_npm
    wrapped
    say "all of it holds"
}

# The agents that agents.json has for a system.
pinned_for() {
    python3 - "$1" <<'END'
import json, sys
agents = json.load(open("nix/agents.json"))
print("\n".join(sorted(name for name, agent in agents.items() if agent["sources"].keys() & {sys.argv[1], "any"})))
END
}

# Tarballs as npm has them, fetched by their hash, unpacked, and started.
packages_of_npm() {
    say "an agent of each kind, from a tarball with npm's hash"
    local registry="$scratch/registry" kind
    mkdir -p "$registry/package"
    printf 'console.log("toy", process.argv[2], process.env.TOY)\n' >"$registry/package/cli.js"
    tar -czf "$registry/node.tgz" -C "$registry" package
    printf '#!/bin/sh\necho toy "$1" "$TOY"\n' >"$registry/package/toy"
    tar -czf "$registry/native.tgz" -C "$registry" package
    for kind in node native; do
        local made arguments=(--argstr system "$system" --argstr registry "file://$registry" --argstr kind "$kind")
        made="$(nix-build --no-out-link nix/tests/npm.nix --arg nixpkgs "$scratch/stub" "${arguments[@]}" \
            --argstr integrity "$(nix hash file --type sha512 --sri "$registry/$kind.tgz")" 2>"$scratch/errors")" ||
            fail "$(cat "$scratch/errors")"
        [ "$(code_of "$made/bin/toy" said)" = 0 ] || fail "$(cat "$scratch/errors")"
        says "toy said by default"
        # The control: another hash is another file.
        ! nix-build --no-out-link nix/tests/npm.nix --arg nixpkgs "$scratch/stub" "${arguments[@]}" \
            --argstr integrity "$(nix hash file --type sha512 --sri nix/agents.json)" >/dev/null 2>"$scratch/errors" ||
            fail "a tarball with another hash than npm's was taken"
        grep -q 'hash mismatch' "$scratch/errors" || fail "$(cat "$scratch/errors")"
    done
}

# The wrapped toy, in the sandbox, from the store.
wrapped() {
    say "a wrapped agent runs in the sandbox"
    local project toy all visible
    project="$(realpath "$scratch/../project")"
    toy="$(built wrapped)"
    all="$(find "$(dirname "$toy")" -mindepth 1 -maxdepth 1 -name '[a-z0-9]*' | wc -l)"
    cd "$project"
    rm -f written-by-toy
    [ "$(code_of "$toy/bin/toy-box" -x 'y z')" = 7 ] || fail "toy-box: $(cat "$scratch/said" "$scratch/errors")"
    says 'from the closure'
    says "arguments: a b ' $project -x y z"
    says 'sandbox: 1 1'
    says 'tool: found'
    says 'no escape'
    [ "$(cat written-by-toy)" = written ] || fail 'the project is not what the agent wrote to'
    visible="$(sed -n 's/^store: //p' "$scratch/said")"
    [ "$visible" -lt "$all" ] || fail "$visible of $all paths of the store are visible: not the closure alone"

    say "without a closure it sees the whole store"
    cd "$scratch/checkout"
    toy="$(built wrapped.open)"
    all="$(find "$(dirname "$toy")" -mindepth 1 -maxdepth 1 -name '[a-z0-9]*' | wc -l)"
    cd "$project"
    [ "$(code_of "$toy/bin/toy-box")" = 7 ] || fail "toy-box: $(cat "$scratch/said" "$scratch/errors")"
    says "store: $all"
    cd "$scratch/checkout"
}

# The output of a check of the flake.
built() {
    nix build --no-link --json "${offline[@]}" "$here#checks.$system.$1" 2>"$scratch/errors" |
        sed 's/.*"out":"\([^"]*\)".*/\1/'
}

case "$stage" in
prepare) prepare "$3" ;;
run)
    if [ -e /nix/store ]; then
        export NIX_STORE_DIR="$scratch/store" NIX_STATE_DIR="$scratch/var" NIX_LOG_DIR="$scratch/log"
        inside
    else
        with_own_nix
    fi
    ;;
inside) inside ;;
*) fail "unknown stage: $stage" ;;
esac
