# The front door of lastwords. `make help` lists what there is; every target does the set-up that it needs.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL: # two cargos or two pips at once only wait for each other; pytest's summary comes last
.DEFAULT_GOAL := help

PYTHON ?= python3
CARGO ?= cargo
BIN := .venv/bin
STAMPS := .venv/.stamps
TOOLS := .tools
TARGET := $(or $(CARGO_TARGET_DIR),target)
RUST_WANTED := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find crates -name '*.rs' -o -name Cargo.toml)
VICTIM_SOURCES := $(shell find examples/victim -name '*.cpp' -o -name '*.toml' -o -name 'setup.py')
FAULTS_SOURCES := Cargo.lock $(shell find crates/faults -name '*.rs' -o -name Cargo.toml)
BREAKPAD := minidump@0.26.0

# Every cargo call builds PyO3 for the same interpreter, so none of them undoes another's work.
export PYO3_PYTHON := $(abspath $(BIN)/python)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

##@ Use

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	      /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMPS)/lastwords $(STAMPS)/victim ## install everything into .venv (editable; Rust in release)

.PHONY: demo
demo: setup ## three crashes of the sample application, led to a web page (KEEP=1: the server stays)
	@$(BIN)/lastwords demo $(if $(KEEP),--keep)

##@ Check

.PHONY: test
test: lint types test-rust test-python ## everything: lint, types, Rust tests, Python tests

.PHONY: lint
lint: setup ## formatting, lint rules and the layers between rooms, in both languages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings

.PHONY: types
types: setup ## mypy strict; the stub of the native module against the binary
	$(BIN)/mypy
	$(BIN)/mypy --config-file examples/victim/pyproject.toml
	$(BIN)/python -m mypy.stubtest lastwords._native

.PHONY: test-rust
test-rust: setup interpreters ## tests of the crates
	$(CARGO) test --workspace --exclude lastwords-py --exclude lastwords-faults --quiet

.PHONY: test-python
test-python: setup foreign interpreters $(STAMPS)/faults ## unit, integration and system tests (PYTEST_ARGS=… to choose)
	LASTWORDS_FAULTS=$(TARGET)/release/liblastwords_faults.so $(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: golden
golden: setup ## write the golden files anew; review the diff
	LASTWORDS_UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q tests/unit -p no:randomly -k golden
	git --no-pager diff --stat -- tests/golden

.PHONY: bench
bench: setup foreign ## what is promised, beside its peers; writes docs/performance.md (BENCH="stacks_time …": some, printed only)
	$(BIN)/python -m benches $(BENCH)

.PHONY: fuzz
fuzz: setup ## random damage to real dumps, for FUZZ_SECONDS each target (default 60)
	FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) $(BIN)/python -m fuzz

.PHONY: docs
docs: setup ## write docs/reference/ anew from the code
	$(BIN)/python docs/generate.py

##@ Keep

.PHONY: lock
lock: ## choose the versions in requirements/dev.txt anew
	@scripts/lock

.PHONY: clean
clean: ## remove everything that was built or installed here
	rm -rf .venv $(TOOLS) build dist target src/lastwords.egg-info examples/victim/build
	rm -rf examples/victim/victim.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src examples -name '*.so' -delete
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

# --- how the above is built; each stamp is as old as the last time it was true ---

.PHONY: machine
machine:
	@PYTHON='$(PYTHON)' CARGO='$(CARGO)' RUST_WANTED='$(RUST_WANTED)' scripts/check-machine

$(STAMPS)/python: requirements/dev.txt | machine
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements/dev.txt
	@mkdir -p $(@D) && touch $@

$(STAMPS)/lastwords: $(STAMPS)/python pyproject.toml setup.cfg $(RUST_SOURCES)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/victim: $(STAMPS)/python $(VICTIM_SOURCES)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable examples/victim
	@touch $@

$(STAMPS)/faults: $(STAMPS)/python $(FAULTS_SOURCES)
	$(CARGO) build --release --quiet --package lastwords-faults
	@touch $@

.PHONY: foreign
foreign: $(STAMPS)/python
	@TOOLS='$(TOOLS)' BREAKPAD='$(BREAKPAD)' scripts/foreign-readers

.PHONY: interpreters
interpreters: # FREE_THREADED=1: one without a GIL too, built from source
	@INTERPRETERS='$(TOOLS)/interpreters' FREE_THREADED='$(FREE_THREADED)' scripts/interpreters
