# Every target also works on a fresh machine: `tests/setup.sh` installs what is missing where apt
# can, and says what to do elsewhere.
SHELL := /bin/bash
PREFIX ?= $(HOME)/.local

.PHONY: help build demo test test-agents test-vm soak bench picture install generated

help:
	@echo 'make demo      see in half a minute what claudebox is'
	@echo 'make install   install claudebox into $(PREFIX)/bin (PREFIX=...)'
	@echo 'make test      the gate: format, lints, every test'
	@echo 'make test-agents   drive the real agents from npm, and write docs/agents.md (AGENT=NAME: one)'
	@echo 'make test-vm   run on the kernels and systemds of other distributions, in virtual machines (long)'
	@echo 'make soak      the same with full repetition counts (long)'
	@echo 'make bench     measure, and write the table of docs/benchmarks.md'
	@echo 'make picture   render docs/picture.svg from a real run'

build:
	@tests/setup.sh run
	cargo build --release --locked

demo: build
	@target/release/claudebox run demo

install: build
	install -D -m 755 target/release/claudebox $(DESTDIR)$(PREFIX)/bin/claudebox

# What is made from the code and committed; a test holds it against the code.
generated: build
	@mkdir -p docs/completions
	target/release/claudebox man > docs/claudebox.1
	target/release/claudebox schema > docs/profile.schema.json
	target/release/claudebox completions bash > docs/completions/claudebox.bash
	target/release/claudebox completions zsh > docs/completions/_claudebox
	target/release/claudebox completions fish > docs/completions/claudebox.fish

test:
	@tests/gate.sh

# Each agent is installed from npm, driven and removed; the gate does the same, and writes nothing.
# AGENT=NAME is one of them, by the name of its directory in tests/agents.
test-agents:
	@tests/setup.sh test
	CLAUDEBOX_TEST_RECORD=1 cargo test --locked --test agents -- --skip table:: $(if $(AGENT),$(subst -,_,$(AGENT))::)
	cargo test --locked --test agents table::

# Not part of the gate: it needs qemu and the mirrors, and without kvm it takes an hour.
DISTROS ?= debian-12 ubuntu-24.04 debian-13
VM_TESTS ?= limits supervisor death 'promises:--skip a_' execs tmux git gateway broker allow plan
test-vm:
	for distro in $(DISTROS); do tests/vm/run $$distro $(VM_TESTS) || exit; done

soak:
	@CLAUDEBOX_TEST_SOAK=1 tests/gate.sh

bench: build
	cargo bench --locked --bench ratios -- --write

picture: build
	cargo run --locked --quiet --example picture
