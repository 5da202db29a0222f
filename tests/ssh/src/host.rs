//! A Debian host in a container, for one test.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::device::Device;
use crate::terminal::{Ended, Screen, Terminal};
use crate::{engine, watch};

/// The password of root, alice, bob and carol on every host.
pub const PASSWORD: &str = "correct horse";

/// What keeps the OpenSSH client from asking and saying more than is looked for, and from asking twice.
pub(crate) const SSH_OPTIONS: &str = "-o LogLevel=ERROR -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
                                      -o NumberOfPasswordPrompts=1";

/// The longest that anything here may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the test on Debian 12 and on Debian 13, each on a fresh host, side by side.
pub fn on_each_debian(test: impl Fn(&Host) + Sync) {
    on_each_debian_set_up(Setup::Plain, test);
}

/// As [`on_each_debian`], on hosts that differ from an ordinary one.
pub fn on_each_debian_set_up(setup: Setup, test: impl Fn(&Host) + Sync) {
    let test = &test;
    let failed: Vec<String> = std::thread::scope(|scope| {
        let hosts = [Debian::Twelve, Debian::Thirteen].map(|debian| {
            // Named, so that a failed assertion says where it failed.
            let thread = std::thread::Builder::new().name(debian.to_string());
            (debian, thread.spawn_scoped(scope, move || on(debian, setup, test)).expect("a thread starts"))
        });
        hosts
            .into_iter()
            .filter_map(|(debian, running)| running.join().is_err().then(|| debian.to_string()))
            .collect()
    });
    assert!(failed.is_empty(), "failed on {}", failed.join(" and on "));
}

/// Runs the test on Debian 13 alone, for what Debian 12 does not have.
pub fn on_debian_13(test: impl Fn(&Host)) {
    on(Debian::Thirteen, Setup::Plain, &test);
}

fn on(debian: Debian, setup: Setup, test: &impl Fn(&Host)) {
    let host = Host::start(debian, setup);
    let result = catch_unwind(AssertUnwindSafe(|| test(&host)));
    let record = host.record();
    if let Err(failure) = result {
        eprintln!("{record}");
        resume_unwind(failure);
    }
    let found = match setup {
        Setup::PanicsOnPurpose => watch::leaks(&record, &host.unspeakable()),
        Setup::Plain | Setup::MayMount | Setup::MayMountDisks | Setup::RootObeysModes => {
            let mut found = watch::panics(&record);
            found.extend(watch::leaks(&record, &host.unspeakable()));
            found
        }
    };
    assert!(found.is_empty(), "{record}\nthe host wrote what it must not: {found:#?}");
}

/// The releases that everything has to work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Debian {
    /// OpenSSH 9.2, Linux-PAM 1.5, sudo 1.9.13.
    Twelve,
    /// OpenSSH 10.0, Linux-PAM 1.7, sudo 1.9.16, sudo-rs 0.2.
    Thirteen,
}

impl Debian {
    /// As docker/images.sh calls it.
    fn image(self) -> String {
        let prefix = std::env::var("PAM_MFA_IMAGES").unwrap_or_else(|_| "pam-mfa".to_owned());
        let release = match self {
            Self::Twelve => "bookworm",
            Self::Thirteen => "trixie",
        };
        format!("{prefix}-test:{release}")
    }
}

impl fmt::Display for Debian {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Twelve => "Debian 12",
            Self::Thirteen => "Debian 13",
        })
    }
}

/// What a host may do that an ordinary container may not, or may not do that an ordinary root may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Nothing special.
    Plain,
    /// Root may mount memory file systems.
    MayMount,
    /// Root may also use loop devices: a file becomes a disk.
    MayMountDisks,
    /// Root may not read what file modes forbid, as on a host with a strict security module.
    RootObeysModes,
    /// The module is the one that can be told to panic; the panic text in the log is what the test is about.
    PanicsOnPurpose,
}

impl Setup {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Plain | Self::PanicsOnPurpose => &[],
            Self::MayMount => &["--cap-add", "SYS_ADMIN", "--security-opt", "apparmor=unconfined"],
            // Not --privileged: where the engine itself is confined, it can't hand out everything.
            Self::MayMountDisks => &[
                "--cap-add",
                "SYS_ADMIN",
                "--security-opt",
                "apparmor=unconfined",
                "--device-cgroup-rule",
                "c 10:237 rwm",
                "--device-cgroup-rule",
                "b 7:* rwm",
            ],
            Self::RootObeysModes => &["--cap-drop", "DAC_OVERRIDE", "--cap-drop", "DAC_READ_SEARCH"],
        }
    }
}

/// How an attempt to log in ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// A command ran on the other side, as the right user.
    In,
    /// `Permission denied`.
    Refused,
}

/// A host: sshd listens, the system log is written, nobody is enrolled.
#[derive(Debug)]
pub struct Host {
    name: String,
    debian: Debian,
    screens: Mutex<Vec<Arc<Screen>>>,
    unspeakable: Mutex<Vec<String>>,
}

impl Host {
    fn start(debian: Debian, setup: Setup) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("pam-mfa-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // By this label whoever started the tests finds what an interrupted run leaves behind.
        let run = std::env::var("PAM_MFA_TEST_RUN").unwrap_or_else(|_| "by-hand".to_owned());
        let label = format!("pam-mfa-test={run}");
        let mut arguments = vec!["run", "--detach", "--rm", "--pull", "never", "--label", &label];
        arguments.extend(["--name", &name, "--hostname", "host"]);
        arguments.extend(setup.flags());
        // Should the tests be killed before they can clean up, the host ends by itself.
        let image = debian.image();
        arguments.extend([image.as_str(), "timeout", "900", "start-host"]);
        let started = engine::run(&arguments);
        assert!(
            started.status.success(),
            "no host with {debian}: {}\nhint: `make test` sees to the engine and the images",
            engine::text(&started)
        );
        let host = Self {
            name,
            debian,
            screens: Mutex::new(Vec::new()),
            unspeakable: Mutex::new(vec![PASSWORD.to_owned()]),
        };
        host.wait_for_sshd();
        if setup == Setup::PanicsOnPurpose {
            host.root("install -m 0644 /opt/pam-mfa/pam_mfa_panic.so \"$(find /usr/lib -name pam_mfa.so)\"");
        }
        host
    }

    /// Enrolls a device for the account with `mfa-enroll`, as root. The codes up to the last time step are burnt with it.
    pub fn enroll(&self, user: &str) -> Device {
        let device = Device::enroll(&self.name, user);
        self.never_to_be_logged(device.secret());
        device
    }

    /// Makes the account's recovery codes with `mfa-enroll`, as root.
    pub fn recovery_codes(&self, user: &str) -> Vec<String> {
        let printed = self.root(&format!("mfa-enroll --user {user} recovery-codes --yes --json"));
        let result: Value = serde_json::from_str(&printed).expect("one line of JSON");
        let codes = result.get("recovery_codes").and_then(Value::as_array).expect("a list of codes");
        let codes: Vec<String> = codes.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        assert!(codes.len() == 10, "{printed}");
        for code in &codes {
            self.never_to_be_logged(code);
        }
        codes
    }

    /// A login with the OpenSSH client, by password and code.
    pub fn ssh(&self, user: &str, password: &str, code: &str) -> Login {
        self.ssh_with("", user, password, code)
    }

    /// As [`Host::ssh`], with more options for the client.
    pub fn ssh_with(&self, options: &str, user: &str, password: &str, code: &str) -> Login {
        let terminal = self.ssh_to_the_code_prompt(options, user, password);
        self.type_code(&terminal, code);
        self.outcome(terminal, user)
    }

    /// A login that has come as far as the prompt for the code.
    pub fn ssh_to_the_code_prompt(&self, options: &str, user: &str, password: &str) -> Terminal {
        let terminal = self.ssh_client(options, user);
        terminal.wait_for("Password: ");
        terminal.type_line(password);
        terminal.wait_for("Verification code: ");
        terminal
    }

    /// Types a code, which must not turn up in a log.
    pub fn type_code(&self, terminal: &Terminal, code: &str) {
        if !code.is_empty() {
            self.never_to_be_logged(code);
        }
        terminal.type_line(code);
    }

    /// The OpenSSH client of an ordinary user, on its way to this host. Once in, it says so and leaves.
    pub fn ssh_client(&self, options: &str, user: &str) -> Terminal {
        self.terminal(
            "visitor",
            &format!("ssh {SSH_OPTIONS} {options} {user}@127.0.0.1 'echo in as $(id -un)'"),
        )
    }

    /// The key of a device, put into an app.
    pub fn device_with_key(&self, secret: &str) -> Device {
        self.never_to_be_logged(secret);
        Device::with_key(&self.name, secret)
    }

    /// Lets people without a device set one up at a login: as README.md says it, on the PAM files that Debian ships.
    pub fn lets_people_enroll(&self) {
        self.uses_debians_pam_files("sshd sudo su login");
        self.root("echo 'unenrolled = \"enroll\"' >/etc/pam-mfa/policy.toml");
    }

    /// Puts the lines of README.md into the PAM files that Debian ships for these services.
    pub fn uses_debians_pam_files(&self, services: &str) {
        self.root(&format!(
            "cd /usr/local/share/debian-pam.d && cp {services} /etc/pam.d/ && cd /etc/pam.d && sed -i \
             -e '/^@include common-auth/a auth     required  pam_mfa.so nodelay' \
             -e '/^@include common-account/i account  required  pam_mfa.so' {services}"
        ));
    }

    /// Starts mfad, as on a host without systemd, and waits until the store is its own and it answers.
    pub fn starts_mfad(&self) {
        self.root(
            "before=$(grep --count 'mfad.*started worker' /var/log/messages)
             mfad --listen /run/pam-mfa/socket </dev/null >/dev/null 2>>/proc/1/fd/2 &
             for i in $(seq 600); do
                 [ \"$(grep --count 'mfad.*started worker' /var/log/messages)\" -gt \"$before\" ] && exit; sleep 0.05
             done; exit 1",
        );
    }

    /// Stops mfad, and waits until it is gone.
    pub fn stops_mfad(&self) {
        self.root(
            "pkill --exact mfad; for i in $(seq 600); do pgrep --exact --runstates R,S,D mfad >/dev/null || break; sleep 0.05; done
             rm -f /run/pam-mfa/socket",
        );
    }

    /// Everything in the store, without what changes by looking.
    pub fn store(&self) -> String {
        self.root("cd /var/lib/pam-mfa && find . -path ./decoy -prune -o -type f -print0 | sort -z | xargs -0 --no-run-if-empty sha256sum")
    }

    /// The account's devices by name, as `mfa-enroll status` tells root.
    pub fn devices(&self, user: &str) -> Vec<String> {
        let printed = self.root(&format!("mfa-enroll --user {user} status --json"));
        let status: Value = serde_json::from_str(&printed).expect("one line of JSON");
        let devices = status.get("devices").and_then(Value::as_array).expect("a list of devices");
        let name = |device: &Value| device.get("name").and_then(Value::as_str).map(str::to_owned);
        devices.iter().map(|device| name(device).expect("a device has a name")).collect()
    }

    /// Gives the visitor a key, `~/.ssh/key`, that opens this account.
    pub fn give_a_key(&self, user: &str) {
        self.root(&format!(
            "mkdir -m 0700 -p ~visitor/.ssh ~{user}/.ssh && ssh-keygen -q -t ed25519 -N '' -f ~visitor/.ssh/key \
             && cp ~visitor/.ssh/key.pub ~{user}/.ssh/authorized_keys \
             && chown -R visitor: ~visitor/.ssh && chown -R {user}: ~{user}/.ssh"
        ));
    }

    /// Waits for the end of a client and says how it ended.
    pub fn outcome(&self, client: Terminal, user: &str) -> Login {
        let ended = client.end();
        if ended.status == 0 && ended.screen.contains(&format!("in as {user}")) {
            Login::In
        } else if ended.status == 255 && ended.screen.contains("Permission denied") {
            Login::Refused
        } else {
            panic!("neither in nor refused, but status {}:\n{}", ended.status, ended.screen)
        }
    }

    /// A program on a terminal of this host, started by the user named.
    pub fn terminal(&self, user: &str, command: &str) -> Terminal {
        let terminal = Terminal::start(&self.name, user, command);
        self.screens.lock().expect("no holder panics").push(terminal.screen());
        terminal
    }

    /// Runs a shell script as root, which has to succeed, and returns what it printed.
    pub fn root(&self, script: &str) -> String {
        let ended = self.run("root", script);
        assert!(ended.status == 0, "{script}\nended with status {}: {}", ended.status, ended.screen);
        ended.screen
    }

    /// Runs a shell script as the user named, without a terminal.
    pub fn run(&self, user: &str, script: &str) -> Ended {
        let output = engine::run(&["exec", "--user", user, &self.name, "bash", "-c", script]);
        let ended = Ended { status: output.status.code().unwrap_or(-1), screen: engine::text(&output) };
        self.screens.lock().expect("no holder panics").push(Arc::new(Screen::of(script, &ended.screen)));
        ended
    }

    /// Puts lines in front of sshd's configuration and has it read again.
    pub fn configure_sshd(&self, lines: &str) {
        self.root(&format!(
            "printf '%s\\n' '{lines}' >/etc/ssh/sshd_config.d/00-test.conf && sshd -t \
             && pid=$(cat /run/sshd.pid) && rm /run/sshd.pid && kill -HUP \"$pid\""
        ));
        self.wait_for_sshd();
    }

    /// Starts another sshd, whose clock is this many seconds off, and returns the option that leads a client to it.
    pub fn sshd_with_clock(&self, seconds: i64) -> String {
        static PORT: AtomicU32 = AtomicU32::new(2200);
        let port = PORT.fetch_add(1, Ordering::Relaxed);
        // faketime around sshd, not /etc/ld.so.preload: without its wrapper the library cleans up after itself in every
        // process, and Debian 12's sshd has a child that is killed for such a system call.
        self.root(&format!(
            "faketime -f {seconds:+} /usr/sbin/sshd -D -e -p {port} -o PidFile=/run/sshd-{port}.pid \
             </dev/null >/dev/null 2>>/proc/1/fd/2 &
             for i in $(seq 600); do [ -s /run/sshd-{port}.pid ] && exit; sleep 0.05; done; exit 1"
        ));
        format!("-p {port}")
    }

    /// Makes a file into a disk of its own and mounts it here ([`Setup::MayMountDisks`]).
    pub fn mount_disk(&self, folder: &str) {
        // The device files are made here, not lent by the engine's host, which may be a container without them.
        self.root(&format!(
            "mknod /dev/loop-control c 10 237; for number in $(seq 0 63); do mknod /dev/loop$number b 7 $number; done
             truncate --size 16M /var/tmp/disk && mkfs.ext4 -q /var/tmp/disk && mount -o loop /var/tmp/disk {folder} && chmod 0700 {folder}"
        ));
    }

    /// Mounts memory here, as if it were a disk ([`Setup::MayMount`]).
    pub fn mount_memory(&self, folder: &str) {
        self.root(&format!("mount -t tmpfs -o size=2m,mode=0700 memory {folder}"));
    }

    /// Puts this into a service's PAM file, in place of what it has.
    pub fn configure_pam(&self, service: &str, lines: &str) {
        self.root(&format!("printf '%s\\n' '{lines}' >/etc/pam.d/{service}"));
    }

    /// Waits until the system log has a line with all these words in it.
    pub fn wait_for_log(&self, words: &[&str]) -> String {
        let begin = Instant::now();
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| words.iter().all(|word| line.contains(word))) {
                return line.to_owned();
            }
            // The line is on its way from one program to another: it is there at once, or it does not come.
            assert!(begin.elapsed() < Duration::from_secs(5), "the log has no line with {words:?}:\n{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The system log so far.
    pub fn log(&self) -> String {
        engine::text(&engine::run(&["exec", &self.name, "cat", "/var/log/messages"]))
    }

    /// From now on the test fails if this is found in a log: a code that was typed, a secret.
    pub fn never_to_be_logged(&self, text: &str) {
        self.unspeakable.lock().expect("no holder panics").push(text.to_owned());
    }

    fn unspeakable(&self) -> Vec<String> {
        self.unspeakable.lock().expect("no holder panics").clone()
    }

    // sshd writes its pid when it listens.
    fn wait_for_sshd(&self) {
        self.root("for i in $(seq 600); do [ -s /run/sshd.pid ] && [ -S /dev/log ] && exit; sleep 0.05; done; exit 1");
    }

    fn record(&self) -> watch::Record {
        let stderr = engine::run(&["logs", &self.name]);
        let screens = self.screens.lock().expect("no holder panics");
        watch::Record {
            host: self.debian.to_string(),
            system_log: self.log(),
            sshd_stderr: engine::text(&stderr),
            screens: screens.iter().map(|screen| screen.shown()).collect(),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let removed = engine::run(&["rm", "--force", "--volumes", &self.name]);
        if !removed.status.success() {
            eprintln!("the container {} could not be removed: {}", self.name, engine::text(&removed));
        }
    }
}
