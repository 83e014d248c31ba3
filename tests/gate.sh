#!/usr/bin/env bash
# The gate: everything that must hold before a commit. Stops at the first stage that fails, prints
# the minutes of each, and ends in one line of the form that `cargo test` ends in, summed over all
# of its test programs.
set -euo pipefail
cd "$(dirname "$0")/.."

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
table=''

stage() {
    local name="$1" start=$SECONDS rc=0
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    "$@" || rc=$?
    table+="$(printf '%-12s %6.1f min' "$name" "$(awk "BEGIN{print ($SECONDS-$start)/60}")")"$'\n'
    [ "$rc" = 0 ] && return
    printf '\n%s== stage %s failed (exit %s): %s\n' "$table" "$name" "$rc" "$*" >&2
    exit "$rc"
}

tests() {
    set -o pipefail
    cargo test --locked --no-fail-fast 2>&1 | tee "$log"
}

stage setup tests/setup.sh test
stage format cargo fmt --check
stage lints cargo clippy --locked --all-targets --quiet -- -D warnings
stage docs env RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items --quiet
stage build cargo test --locked --no-run --quiet
stage test tests

printf '\n%s' "$table"
awk '/^test result: / {
        passed += $4; failed += $6; ignored += $8; measured += $10; filtered += $12
        seconds += $NF + 0
    }
    END {
        if (passed == 0) { print "no test ran"; exit 1 }
        printf "test result: ok. %d passed; %d failed; %d ignored; %d measured; %d filtered out; finished in %.2fs\n",
            passed, failed, ignored, measured, filtered, seconds
        exit failed > 0
    }' "$log"
