# What people and CI run. `make help` says it in words.

CARGO ?= cargo
DESTDIR ?=
PREFIX ?= /usr
SYSCONFDIR ?= /etc
# Where this system's programs look for PAM modules: Debian's multiarch folder, or the first that exists.
PAMDIR ?= $(firstword $(wildcard /lib/$(shell uname -m)-linux-gnu/security /usr/lib64/security /lib64/security /usr/lib/security /lib/security) /lib/security)

RELEASE := target/release
PROGRAMS := -p pam-mfa -p mfa-enroll -p mfa-admin

.PHONY: help
help:
	@echo 'make demo       a real ssh login with password and code, in a container, then how to try it by hand'
	@echo 'make demo-clean remove what the demo started'
	@echo 'make test       set up this machine and run every test, container tests included'
	@echo 'make test-fast  the tests that need no container and no root'
	@echo 'make lint       formatting, clippy, documentation, licences, shell scripts, man pages, what the module links'
	@echo 'make proof      run three OTP modules through the same trials: PROOF=--quick for a short run'
	@echo 'make bench      time logins against the peers and the disk'
	@echo 'make build      the release build, in target/release'
	@echo 'make install    install it (DESTDIR=, PREFIX=, PAMDIR=); changes no PAM file'
	@echo 'make deb        a Debian package (not yet)'

.PHONY: setup
setup:
	scripts/setup.sh

.PHONY: build
build:
	$(CARGO) build --release --locked $(PROGRAMS)

.PHONY: test-fast
test-fast: setup
	scripts/test-fast.sh

.PHONY: test
test: test-fast
	docker/test.sh

.PHONY: lint
lint: setup
	scripts/lint.sh

.PHONY: bench
bench: setup
	bench/run.sh

.PHONY: proof
proof: setup
	tests/proof/run.sh $(PROOF)

.PHONY: demo
demo:
	docker/demo.sh

.PHONY: demo-clean
demo-clean:
	docker/demo.sh clean

.PHONY: install
install: build
	install -D -m 0644 $(RELEASE)/libpam_mfa.so $(DESTDIR)$(PAMDIR)/pam_mfa.so
	install -D -m 0755 $(RELEASE)/mfa-enroll $(DESTDIR)$(PREFIX)/bin/mfa-enroll
	install -D -m 0755 $(RELEASE)/mfa-admin $(DESTDIR)$(PREFIX)/sbin/mfa-admin
	install -d -m 0755 $(DESTDIR)$(SYSCONFDIR)/pam-mfa
	for page in packaging/man/*.[158]; do \
		install -D -m 0644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit 1; \
	done

.PHONY: deb
deb:
	@echo 'make deb: there is no Debian package yet; install with: make install' >&2
	@exit 1
