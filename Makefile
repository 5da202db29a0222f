# What people and CI run. `make help` says it in words.

CARGO ?= cargo
DESTDIR ?=
PREFIX ?= /usr
SYSCONFDIR ?= /etc
# Where this system's programs look for PAM modules: Debian's multiarch folder, or the first that exists.
PAMDIR ?= $(firstword $(wildcard /lib/$(shell uname -m)-linux-gnu/security /usr/lib64/security /lib64/security /usr/lib/security /lib/security) /lib/security)

RELEASE := $(or $(CARGO_TARGET_DIR),target)/release
PROGRAMS := -p pam-mfa -p mfa-enroll -p mfa-admin -p mfad
# What this system's PAM files include: common-auth and common-account on Debian, system-auth for both elsewhere.
PAMSTACK := $(if $(wildcard /etc/pam.d/system-auth),s|@STACK@-.*|system-auth|,s|@STACK@|common|; s|@ACCOUNT@|account|)

.PHONY: help
help:
	@echo 'make demo       a real ssh login with password and code, in a container, then how to try it by hand'
	@echo 'make demo-clean remove what the demo started'
	@echo 'make test       set up this machine and run every test, container tests included'
	@echo 'make test-fast  the tests that need no container and no root'
	@echo 'make lint       formatting, clippy, documentation, licences, shell scripts, man pages, what the module links'
	@echo 'make proof      run three OTP modules through the same trials: PROOF=--quick for a short run'
	@echo 'make proof-mutants  plant bugs in the module, one at a time: the proof kit has to see each (an hour)'
	@echo 'make fuzz       fuzz every target for FUZZ_SECONDS (600), or FUZZ_TARGET alone; see docs/fuzzing.md'
	@echo 'make mutants    change what decides a login, one small change at a time: a test has to fail each time (two hours)'
	@echo 'make bench      time logins against the peers and the disk'
	@echo 'make sanitizers logins with AddressSanitizer in the module (nightly Rust)'
	@echo 'make timing     whether the time of a refusal tells who is enrolled (TIMING_SAMPLES=600 of each kind)'
	@echo 'make build      the release build, in target/release'
	@echo 'make install    install it (DESTDIR=, PREFIX=, PAMDIR=); changes no PAM file'
	@echo 'make deb        a Debian package, in target/deb'

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
	tests/proof/run.sh --as-tested
	docker/test.sh
	tests/instructions/run.sh

.PHONY: lint
lint: setup
	scripts/lint.sh

.PHONY: fuzz
fuzz: setup
	scripts/fuzz.sh $(FUZZ_TARGET)

.PHONY: bench
bench: setup
	bench/run.sh

.PHONY: proof
proof: setup
	tests/proof/run.sh $(PROOF)

.PHONY: proof-mutants
proof-mutants: setup
	tests/proof/mutants/run.sh $(MUTANTS)

.PHONY: sanitizers
sanitizers: setup
	scripts/sanitizers.sh

.PHONY: timing
timing: setup
	$(CARGO) build --release --locked -p pam-mfa -p mfa-bench
	$${CARGO_TARGET_DIR:-target}/release/mfa-bench --timing $${TIMING_SAMPLES:-600}

.PHONY: mutants
mutants: setup
	scripts/mutants.sh

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
	install -D -m 0755 $(RELEASE)/mfad $(DESTDIR)$(PREFIX)/sbin/mfad
	install -d -m 0755 $(DESTDIR)$(SYSCONFDIR)/pam-mfa $(DESTDIR)$(SYSCONFDIR)/pam.d
	test -d $(DESTDIR)/var/lib/pam-mfa || install -d -m 0700 $(DESTDIR)/var/lib/pam-mfa
	test -e $(DESTDIR)$(SYSCONFDIR)/pam.d/mfa-enroll || \
		sed '$(PAMSTACK)' packaging/pam/mfa-enroll >$(DESTDIR)$(SYSCONFDIR)/pam.d/mfa-enroll
	install -D -m 0644 packaging/systemd/mfad.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/mfad.socket
	sed 's|/usr/sbin|$(PREFIX)/sbin|' packaging/systemd/mfad.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/mfad.service
	install -D -m 0644 packaging/systemd/pam-mfa.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/pam-mfa.conf
	for page in packaging/man/*.[158]; do \
		install -D -m 0644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit 1; \
	done

.PHONY: deb
deb:
	packaging/deb/build.sh
