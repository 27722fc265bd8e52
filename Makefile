# The targets are those of `make help`. Needs GNU make and Rust (rustup.rs); what else a target needs it
# installs by itself, on Debian and its kin.

CARGO ?= cargo
PREFIX ?= /usr
DESTDIR ?=
# What `install` and `deb` take instead of building a release.
BINARY ?=
# More for `cargo nextest run`, such as NEXTEST_ARGS="-E 'test(listing)'".
NEXTEST_ARGS ?=
# Tests at a time: more than there are processors, for most of a test's time goes by while it waits for servers.
NEXTEST_TEST_THREADS ?= $(shell echo $$(($$(nproc) + 4)))
export NEXTEST_TEST_THREADS
# For `make fuzz`: inputs for each property test, and seconds for each target of fuzzing by coverage.
FUZZ_CASES ?= 20000
FUZZ_SECONDS ?= 60

bindir = $(DESTDIR)$(PREFIX)/bin
mandir = $(DESTDIR)$(PREFIX)/share/man/man1
sharedir = $(DESTDIR)$(PREFIX)/share
confdir = $(DESTDIR)/etc/hushfs
unitdir = $(DESTDIR)$(PREFIX)/lib/systemd/system
userunitdir = $(DESTDIR)$(PREFIX)/lib/systemd/user
tmpfilesdir = $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
sysusersdir = $(DESTDIR)$(PREFIX)/lib/sysusers.d
examplesdir = $(DESTDIR)$(PREFIX)/share/doc/hushfs/examples
target = $(or $(CARGO_TARGET_DIR),target)
release = $(target)/release/hushfs
binary = $(or $(BINARY),$(release))

# Not root: what needs root is counted as skipped.
profile = $(if $(filter 0,$(shell id -u)),ci,ci-not-root)

.DELETE_ON_ERROR:
.PHONY: build demo test e2e test-tools nextest lint deny docs install install-units deb fuzz properties coverage miri bench fleet clean help

build: ## the release binary, target/release/hushfs
	$(CARGO) build --release --locked

demo: ## mounts a sample store and shows it, then leaves nothing behind
	scripts/demo

test: nextest test-tools ## all tests, on real mounts and servers of this machine
	$(CARGO) nextest run --locked --no-run
	tests/setup/sandbox $(CARGO) nextest run --locked --profile $(profile) $(NEXTEST_ARGS)

e2e: nextest test-tools ## only the tests in tests/: real mounts, real servers, the command line
	$(CARGO) nextest run --locked --no-run
	tests/setup/sandbox $(CARGO) nextest run --locked --profile $(profile) -E 'kind(test)'

test-tools: ## installs what the tests use: Debian packages; servers and a machine into target/test-tools
	tests/setup/system test
	tests/setup/tools
	tests/setup/machine
	tests/setup/kubernetes

nextest:
	@command -v cargo-nextest >/dev/null || $(CARGO) install cargo-nextest --locked

lint: ## formatting, clippy with each set of features and as in a release, shell scripts
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --config 'profile.dev.package.hushfs.debug-assertions = false' -- -D warnings
	$(CARGO) clippy --locked --features fuzzing -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features --features local -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features --features aws -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features --features gcp -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features --features vault -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features --features databricks -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features --features kubernetes -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features --features azure -- -D warnings
	$(CARGO) clippy --locked --no-default-features -- -D warnings
	tests/setup/system lint
	shellcheck $(shell grep -lE '^#!/bin/(ba)?sh' scripts/* tests/setup/* tests/fuzz/* tests/miri/* .ci/* packaging/debian/*)

# The packages in tests/ need fewer licences than are allowed.
deny: ## licences, bans, sources and advisories of the dependencies, those of tests/fuzz and tests/miri included
	$(CARGO) deny check
	$(CARGO) deny --manifest-path tests/fuzz/Cargo.toml check -A license-not-encountered
	$(CARGO) deny --manifest-path tests/miri/Cargo.toml check -A license-not-encountered

docs: ## the API's documentation, and the manual pages into target/man
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items
	mkdir -p $(target)/man
	$(CARGO) run --locked --quiet -- man --dir $(target)/man

install: $(if $(BINARY),,build) install-units ## into $(DESTDIR)$(PREFIX) and $(DESTDIR)/etc; an existing configuration stays
	install -D -m 0755 $(binary) $(bindir)/hushfs
	install -d -m 0755 $(mandir)
	$(binary) man --dir $(mandir)
	chmod 0644 $(mandir)/hushfs*.1
	install -d -m 0755 $(sharedir)/bash-completion/completions $(sharedir)/zsh/site-functions $(sharedir)/fish/vendor_completions.d
	$(binary) completions bash >$(sharedir)/bash-completion/completions/hushfs
	$(binary) completions zsh >$(sharedir)/zsh/site-functions/_hushfs
	$(binary) completions fish >$(sharedir)/fish/vendor_completions.d/hushfs.fish

install-units: ## of that only what needs no building: configuration, systemd's units and examples of them
	install -d -m 0755 $(confdir) $(confdir)/conf.d
	test -e $(confdir)/hushfs.toml || install -m 0640 systemd/hushfs.toml $(confdir)/hushfs.toml
	install -D -m 0644 systemd/tmpfiles.conf $(tmpfilesdir)/hushfs.conf
	install -D -m 0644 systemd/sysusers.conf $(sysusersdir)/hushfs.conf
	install -d -m 0755 $(unitdir) $(userunitdir) $(examplesdir)
	install -m 0644 systemd/hushfs.service systemd/hushfs-guard.service $(unitdir)
	install -m 0644 systemd/user/hushfs.service $(userunitdir)
	install -m 0644 $(wildcard systemd/examples/*) $(examplesdir)
	sed -i 's|/usr/bin/hushfs|$(PREFIX)/bin/hushfs|g' $(unitdir)/hushfs*.service $(userunitdir)/hushfs.service $(examplesdir)/*

deb: $(if $(BINARY),,build) ## the Debian package, target/hushfs_VERSION_ARCHITECTURE.deb
	packaging/debian/build $(binary) $(target)

fuzz: properties coverage ## every parser: property tests, FUZZ_CASES=20000 each, and by coverage, FUZZ_SECONDS=60 each

properties: nextest test-tools ## of that the property tests
	$(CARGO) nextest run --locked --no-run
	PROPTEST_CASES=$(FUZZ_CASES) tests/setup/sandbox $(CARGO) nextest run --locked --profile fuzz $(NEXTEST_ARGS)

coverage: ## of that fuzzing by coverage; needs a nightly Rust
	FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run

miri: ## the unsafe code of src/secret under Miri; needs a nightly Rust
	tests/miri/run

bench: ## cached reads against tmpfs; what decisions, grants and the audit log cost
	$(CARGO) bench --locked --bench reads --bench decisions --bench audit

fleet: ## 10,000 hosts against the quotas of providers, in virtual time: docs/operations.md and its plot
	PLOT=docs/fleet.svg $(CARGO) bench --locked --no-default-features --bench fleet

clean: ## removes target/
	$(CARGO) clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-14s%s\n", $$1, $$2 }'
