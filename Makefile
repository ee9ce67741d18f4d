# What a person runs. `make` alone lists the targets.
#
# Needs Debian, root (for the lab: namespaces, mounts) and a Rust toolchain. All else is installed when it is missing,
# and said so.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.SILENT:
.DEFAULT_GOAL := help
.NOTPARALLEL:

TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
AGENT_TARGETS := $(shell sed -n '/^targets/ s/[^"]*"\([^"]*\)"[^"]*/\1 /gp' rust-toolchain.toml)
LAB := $(CURDIR)/tests/lab/lab.sh
export TRUEUP := $(TARGET)/debug/trueup
export PREVIEW_AGREES := $(TARGET)/debug/preview-agrees

say = echo; printf '=== %s\n' $(1)

.PHONY: help build test lint unit doc deny lab demo bench clean compiler

help: ## list the targets
	sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

build: compiler ## build trueup, with the agent in it
	$(call say,'build: trueup and its agent')
	cargo build --locked

test: lint unit doc deny lab ## all tests: format, lints, unit and SSH tests, doc tests, dependencies, real hosts

lint: compiler ## formatting and lints
	$(call say,'lint: format')
	cargo fmt --all --check
	$(call say,'lint: clippy')
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

unit: compiler ## all tests that need no host of the lab
	$(call say,'unit: tests without the lab')
	$(call run_tests,--workspace)

doc: compiler ## the examples in the documentation
	$(call say,'doc: examples')
	cargo test --locked --workspace --doc

deny: compiler ## dependencies: licences, sources, bans
	if ! cargo deny --version >/dev/null 2>&1; then
		$(call say,'deny: installing cargo-deny from source (some minutes$(comma) once)')
		cargo install --locked --quiet cargo-deny
	fi
	# Not the advisories: their database is fetched from the network, and a test must not depend on that day's.
	$(call say,'deny: bans$(comma) licences and sources (run `cargo deny check advisories` by hand)')
	cargo deny --all-features check bans licenses sources

lab: build ## tests on real hosts: the lab itself, the stand-in for pg_tde, the playbooks
	cargo build --locked --quiet --package trueup-tests --bin preview-agrees
	$(call say,'lab: the lab does what it says')
	"$(LAB)" run 3:pg tests/lab/smoke.sh
	$(call say,'lab: the stand-in for pg_tde has the facts right')
	"$(LAB)" run 2:pg tests/lab/pg_tde_standin/facts.sh
	$(call say,'lab: encrypted connections to PostgreSQL')
	"$(LAB)" run 1:pg tests/lab/tls.sh
	$(call say,'lab: the modules for PostgreSQL')
	"$(LAB)" run 1:base tests/lab/postgres.sh
	$(call say,'lab: the flagship playbook$(comma) and its bad days')
	"$(LAB)" run 3:base tests/lab/flagship.sh false
	$(call say,'lab: the flagship playbook with pg_tde (its stand-in)')
	"$(LAB)" run 3:base tests/lab/flagship.sh true
	$(call say,'lab: the life of an encrypted replication$(comma) by the playbooks for it')
	"$(LAB)" run 3:base tests/lab/tde.sh
	$(call say,'lab: what goes wrong with an encrypted replication$(comma) each fault planted')
	"$(LAB)" run 2:base tests/lab/tde_faults.sh

demo: build ## three empty hosts become a PostgreSQL primary and two standbys
	"$(LAB)" run 3:base tests/demo.sh

bench: compiler ## measure beside ansible, mitogen, pyinfra and ssh; writes tests/peers/RESULTS.md (half an hour; QUICK=1: minutes, FULL=1: hours)
	$(call say,'bench: a release build')
	TRUEUP_AGENT=own cargo build --release --locked --package trueup --package trueup-tests
	$(call say,'bench: the parts of a run$(comma) each by itself')
	TRUEUP_AGENT=own cargo bench --locked --package trueup-tests --bench parts -- --noplot --warm-up-time 0.5 --measurement-time 2 || echo "the parts were not measured"
	$(call say,'bench: the peers$(comma) in a virtual environment')
	peers=$(TARGET)/peers
	if [[ ! -x /usr/sbin/sshd ]]; then
		{ apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install openssh-server; } >/dev/null
	fi
	export PEERS_VENV=$${PEERS_VENV:-$$peers/venv}
	if [[ ! -x $$PEERS_VENV/bin/ansible-playbook ]]; then
		mkdir -p "$$peers"
		python3 -m venv "$$PEERS_VENV"
		"$$PEERS_VENV/bin/pip" -q install ansible-core==2.19.14 mitogen==0.3.54 pyinfra==3.10.0
	fi
	$(call say,'bench: measuring')
	export CARGO_TARGET_DIR=$(TARGET) TRUEUP=$(TARGET)/release/trueup
	FULL="$(FULL)" QUICK="$(QUICK)" tests/peers/all.sh

clean: ## take the lab down and remove its files (`cargo clean` removes the build)
	$(call say,'clean: the lab')
	"$(LAB)" clean

compiler:
	if ! command -v cc >/dev/null || ! command -v musl-gcc >/dev/null; then
		$(call say,'installing a C compiler$(comma) for the libraries in C that trueup holds')
		{ apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install gcc libc6-dev musl-tools; } >/dev/null
	fi
	# A rustup that may not install by itself (RUSTUP_AUTO_INSTALL=0) leaves the targets of rust-toolchain.toml out.
	for target in $(AGENT_TARGETS); do
		if [[ ! -d $$(rustc --print target-libdir --target "$$target") ]] && command -v rustup >/dev/null; then
			$(call say,"installing the standard library for $$target$(comma) which the agent is built for")
			rustup --quiet target add "$$target"
		fi
	done

comma := ,

# run_tests ARGS: nextest where it is installed, else cargo's own runner.
define run_tests
	if cargo nextest --version >/dev/null 2>&1; then
		cargo nextest run --locked $(1)
	else
		cargo test --locked --lib --bins --tests $(1)
	fi
endef
