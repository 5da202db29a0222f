//! After a login nothing secret is left in the memory of its host: no seed, no key, no code, no answer; nor in a core dump.
//!
//! The host is stopped by its own waiting, and looked at from outside through /proc/PID/mem, so that what is looked for is in no memory but this
//! test's. Seeds and keys count from eight bytes in a row on, also inside of HMAC's two pads.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use mfa_test_harness::{Account, PamCode, Stack, Store, artifacts};

use crate::alice_with_recovery_codes;

#[test]
fn after_an_accepted_code_no_seed_key_or_code_is_in_memory() {
    let (store, alice) = alice_with_recovery_codes();
    let code = alice.code(alice.now);
    nothing_is_left(&store, &alice, &code, PamCode::SUCCESS);
    nothing_is_left(&store, &alice, &code, PamCode::AUTH_ERR);
}

#[test]
fn after_a_wrong_code_no_seed_key_or_code_is_in_memory() {
    let (store, alice) = alice_with_recovery_codes();
    nothing_is_left(&store, &alice, &alice.wrong_code(alice.now, 4711), PamCode::AUTH_ERR);
}

#[test]
fn after_a_recovery_code_neither_it_nor_a_key_is_in_memory() {
    let (store, alice) = alice_with_recovery_codes();
    let code = alice.recovery_codes().first().unwrap().clone();
    nothing_is_left(&store, &alice, &code, PamCode::SUCCESS);
}

#[test]
fn a_password_that_was_typed_at_the_prompt_is_not_in_memory() {
    let (store, alice) = alice_with_recovery_codes();
    nothing_is_left(&store, &alice, "correct horse battery staple", PamCode::AUTH_ERR);
}

#[test]
fn a_core_dump_after_a_login_holds_nothing_secret() {
    let (store, alice) = alice_with_recovery_codes();
    let code = alice.code(alice.now);
    let secrets = Secrets::of(&store, &alice, &code);
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut host = Held::start(store.stack(), &[], folder.path(), &["core"]);
    assert_eq!(host.log_in(&code), PamCode::SUCCESS);
    host.go_on();
    host.wait_for(b"E");
    if !pattern.starts_with("core") {
        // Somebody else gets the dump here: what would be in it is looked at where it is.
        return secrets.assert_not_in(&host.memory(), "memory, as there is no core file here");
    }
    host.go_on();
    let status = host.child.wait().unwrap();
    assert!(status.core_dumped(), "{status}");
    let entry = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap();
    let core = fs::read(entry.path()).unwrap();
    assert!(core.starts_with(b"\x7fELF"));
    secrets.assert_not_in(&[core], "the core dump");
}

/// Else the tests above would have shown nothing.
#[test]
fn a_secret_that_is_kept_is_found() {
    let (store, alice) = alice_with_recovery_codes();
    let code = alice.wrong_code(alice.now, 4712);
    let secrets = Secrets::of(&store, &alice, &code);
    let pads = secrets.seed.iter().map(|byte| byte ^ 0x36).collect();
    for kept in [
        secrets.seed.clone(),
        secrets.seed[..11].to_vec(),
        pads,
        secrets.key.clone(),
        code.clone().into_bytes(),
    ] {
        let mut host = Held::start(store.stack(), &kept, Path::new("/"), &[]);
        host.log_in(&code);
        assert!(
            secrets.found_in(&host.memory()).is_some(),
            "{} bytes that were kept were not found",
            kept.len()
        );
    }
}

fn nothing_is_left(store: &Store, alice: &Account, typed: &str, result: PamCode) {
    let secrets = Secrets::of(store, alice, typed);
    let mut host = Held::start(store.stack(), &[], Path::new("/"), &[]);
    assert_eq!(host.log_in(typed), result);
    secrets.assert_not_in(&host.memory(), "memory after pam_authenticate");
    host.go_on();
    host.wait_for(b"E");
    secrets.assert_not_in(&host.memory(), "memory after pam_end");
}

/// What must not be found.
struct Secrets {
    seed: Vec<u8>,
    key: Vec<u8>,
    /// Eight bytes of each, and what they are.
    patterns: HashMap<[u8; 8], &'static str>,
    typed: String,
}

impl Secrets {
    fn of(store: &Store, alice: &Account, typed: &str) -> Self {
        let key_text = fs::read_to_string(store.file("key")).unwrap();
        let key_text = key_text.trim().rsplit(':').next().unwrap().to_owned();
        let (seed, key) = (base32(&alice.generator.secret), base32(&key_text));
        let mut patterns = HashMap::new();
        let mut add = |bytes: &[u8], what| {
            for part in bytes.windows(8) {
                patterns.insert(<[u8; 8]>::try_from(part).unwrap(), what);
            }
        };
        add(&seed, "the seed");
        add(&key, "the host key");
        add(alice.generator.secret.as_bytes(), "the seed as text");
        add(key_text.as_bytes(), "the host key as text");
        for (pad, what) in [(0x36, "the inner pad of the seed"), (0x5c, "the outer pad of the seed")] {
            add(&seed.iter().map(|byte| byte ^ pad).collect::<Vec<u8>>(), what);
        }
        for (pad, what) in [(0x36, "the inner pad of the host key"), (0x5c, "the outer pad of the host key")]
        {
            add(&key.iter().map(|byte| byte ^ pad).collect::<Vec<u8>>(), what);
        }
        for code in alice.recovery_codes() {
            add(code.replace('-', "").as_bytes(), "a recovery code");
            add(code.as_bytes(), "a recovery code in groups");
        }
        Self { seed, key, patterns, typed: typed.to_owned() }
    }

    /// What was found first, and where.
    fn found_in(&self, memory: &[Vec<u8>]) -> Option<String> {
        let typed: Vec<u8> = self.typed.bytes().take(8).collect();
        for region in memory {
            for (at, part) in region.windows(8).enumerate() {
                if let Some(what) = self.patterns.get(part) {
                    return Some(format!("{what} at {at:#x} of a region of {} bytes", region.len()));
                }
                if part.starts_with(typed.as_slice()) {
                    return Some(format!("what was typed, at {at:#x} of a region of {} bytes", region.len()));
                }
            }
        }
        None
    }

    fn assert_not_in(&self, memory: &[Vec<u8>], place: &str) {
        let bytes: usize = memory.iter().map(Vec::len).sum();
        assert!(bytes > 100_000, "{bytes} bytes are not all of {place}");
        if let Some(found) = self.found_in(memory) {
            panic!("{found}, in {place}");
        }
    }
}

fn base32(text: &str) -> Vec<u8> {
    let mut bits = 0_u64;
    let mut count = 0;
    let mut bytes = Vec::new();
    for letter in text.bytes() {
        let value = if letter.is_ascii_uppercase() { letter - b'A' } else { letter - b'2' + 26 };
        bits = (bits << 5 | u64::from(value)) & 0xffff;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}

/// A host program that waits.
struct Held {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    _stack: Stack,
}

impl Held {
    fn start(stack: Stack, kept: &[u8], folder: &Path, more: &[&str]) -> Self {
        let mut child = Command::new("prlimit")
            .arg("--core=unlimited")
            .arg(artifacts::pam_held_application())
            .arg(stack.path())
            .args([Stack::SERVICE, "alice"])
            .args(more)
            .current_dir(folder)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut host = Self { child, input, output, _stack: stack };
        host.send(kept);
        host
    }

    fn send(&mut self, bytes: &[u8]) {
        self.input.write_all(&[u8::try_from(bytes.len()).unwrap()]).unwrap();
        self.input.write_all(bytes).unwrap();
    }

    fn log_in(&mut self, typed: &str) -> PamCode {
        self.send(typed.as_bytes());
        self.wait_for(b"A");
        let mut result = [0];
        self.output.read_exact(&mut result).unwrap();
        PamCode(result[0].into())
    }

    fn wait_for(&mut self, sign: &[u8; 1]) {
        let mut found = [0];
        self.output.read_exact(&mut found).unwrap();
        assert_eq!(found, *sign);
    }

    fn go_on(&mut self) {
        self.input.write_all(&[0]).unwrap();
    }

    /// All that it has written to: what a core dump would hold.
    fn memory(&self) -> Vec<Vec<u8>> {
        let process = format!("/proc/{}", self.child.id());
        let memory = File::open(format!("{process}/mem")).unwrap();
        let maps = fs::read_to_string(format!("{process}/maps")).unwrap();
        let mut regions = Vec::new();
        for line in maps.lines() {
            let mut fields = line.split_ascii_whitespace();
            let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
            if !rights.starts_with("rw") {
                continue;
            }
            let (start, end) = range.split_once('-').unwrap();
            let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
            let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
            memory.read_exact_at(&mut bytes, start).unwrap_or_else(|error| panic!("{line}: {error}"));
            regions.push(bytes);
        }
        regions
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
