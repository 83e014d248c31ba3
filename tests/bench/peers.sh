#!/usr/bin/env bash
# Installs the peers and tracers that the benchmark compares with, each pinned, below DIR/bin.
# Building them takes long (nono: half an hour on two cores); the benchmark measures whichever of
# them it finds on PATH. They are only measured: no code of theirs is used.
#
#   tests/bench/peers.sh DIR [ai-jail|nono|srt|tracexec ...]
set -euo pipefail
directory="$(realpath -m "${1:?usage: peers.sh DIR [NAME...]}")"
shift
[ $# -gt 0 ] || set -- ai-jail srt tracexec nono

from_crates() {
    nice -n 19 cargo install --locked --root "$directory" "$@"
}

for peer in "$@"; do
    case "$peer" in
    ai-jail) from_crates ai-jail --version 2.14.0 ;;
    # Not every registry has all that its lock file names.
    nono) from_crates nono-cli --version 0.81.0 ||
        nice -n 19 cargo install --root "$directory" nono-cli --version 0.81.0 ;;
    # Wants libseccomp-dev; without its eBPF half, which needs root and libelf.
    tracexec) from_crates tracexec --version 1.0.0 --no-default-features ;;
    srt)
        # At run time it also wants socat and rg.
        mkdir -p "$directory/npm" "$directory/bin"
        npm install --prefix "$directory/npm" --no-audit --no-fund @anthropic-ai/sandbox-runtime@0.0.83
        ln -sfn "$directory/npm/node_modules/.bin/srt" "$directory/bin/srt"
        ;;
    *)
        echo "peers.sh: no recipe for $peer" >&2
        exit 2
        ;;
    esac
done
