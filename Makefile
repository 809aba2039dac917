# Every target installs what it needs; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
UV := .cache/uv/bin/uv
BIN := .venv/bin
RUST_SOURCES := $(shell find core -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock pyproject.toml
# The page has a catalogue of sentences from the package that says them, too.
WEB_SOURCES := $(shell find web -path web/node_modules -prune -o -type f -print 2>/dev/null) \
	camera_registry/importers/said.zh.json
STAMPS := .cache/stamps
# Of cargo, for the core: `release` is what is shipped and measured, `quick` what is worked with.
PROFILE ?= release

# Node and uv bring lists of authorities of their own; a company's own is in the system's.
export NODE_EXTRA_CA_CERTS ?= $(wildcard /etc/ssl/certs/ca-certificates.crt)
export UV_SYSTEM_CERTS ?= 1

.PHONY: help demo test check core web setup fmt fuzz wheel install need-dest clean test-rust test-python test-web

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: core web ## the demo district on 127.0.0.1:8080, until Ctrl-C
	@exec $(BIN)/streamhub demo

test: test-rust test-web test-python ## every test, the real-browser ones included

check: core $(STAMPS)/web-deps ## lint, types, import order, formatting, clippy
	scripts/check

setup: $(STAMPS)/python $(STAMPS)/rust ## what `make core` needs

core: $(STAMPS)/core-$(PROFILE) ## the native core, the camera farm, the Python package (PROFILE=quick: in seconds)

web: $(STAMPS)/web ## the page

test-rust: $(STAMPS)/rust
	cargo test --workspace --exclude streamhub-py --quiet

test-web: $(STAMPS)/web-deps
	scripts/web-build test

test-python: core web $(STAMPS)/media $(STAMPS)/postgres
	scripts/test-python

fmt: setup ## format everything
	cargo fmt --all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

SECONDS ?= 10
fuzz: $(STAMPS)/rust $(STAMPS)/fuzz ## search every parser for what breaks it: SECONDS=10 each, TARGETS="sdp stun"
	scripts/fuzz "$(SECONDS)" $(TARGETS)

wheel: web core ## one wheel in dist/
	@rm -f dist/*.whl
	$(UV) build --wheel --out-dir dist --quiet
	@$(BIN)/python scripts/check-wheel dist/*.whl

install: need-dest wheel ## a self-contained environment in DEST, e.g. make install DEST=/opt/streamhub
	scripts/install "$(DEST)"

need-dest: # said before a minute of building, not after
	@test -n "$(DEST)" || scripts/install

clean: ## remove everything built
	rm -rf target .venv .cache dist web/node_modules streamhub/*.so
	find streamhub/_web streamhub/_bin -mindepth 1 ! -name .gitkeep -delete

$(STAMPS)/python: uv.lock pyproject.toml scripts/bootstrap
	@mkdir -p $(STAMPS)
	scripts/bootstrap python
	@touch $@

$(STAMPS)/rust: scripts/bootstrap
	@mkdir -p $(STAMPS)
	scripts/bootstrap rust
	@touch $@

$(STAMPS)/media: scripts/bootstrap
	@mkdir -p $(STAMPS)
	scripts/bootstrap media browser
	@touch $@

$(STAMPS)/postgres: scripts/bootstrap
	@mkdir -p $(STAMPS)
	scripts/bootstrap postgres
	@touch $@

$(STAMPS)/fuzz: scripts/bootstrap
	@mkdir -p $(STAMPS)
	scripts/bootstrap fuzz
	@touch $@

$(STAMPS)/core-$(PROFILE): $(STAMPS)/python $(STAMPS)/rust $(RUST_SOURCES)
	@rm -f $(STAMPS)/core-*
	cargo build --profile $(PROFILE) --locked -p farm -p loadgen
	install -D target/$(PROFILE)/farm streamhub/_bin/farm
	install -D target/$(PROFILE)/loadgen streamhub/_bin/loadgen
	$(UV) sync --frozen --inexact --compile-bytecode -C build-args="--profile $(PROFILE)"
	@touch $@

$(STAMPS)/web-deps: $(STAMPS)/python web/package-lock.json tests/support/oidc_provider/package-lock.json
	scripts/web-build deps
	@touch $@

$(STAMPS)/web: $(STAMPS)/web-deps $(WEB_SOURCES)
	scripts/web-build build
	@touch $@
