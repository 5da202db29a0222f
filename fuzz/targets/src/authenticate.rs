//! The whole login, from the words in the PAM file to the result: bytes in the store, policy, options, user, password and answers come from
//! the fuzzer, as a script of lines.
//!
//! ```text
//! user alice             PAM_USER; rhost, service and group likewise
//! option try_first_pass  a word behind pam_mfa.so
//! policy throttle = "pci"    a line of policy.toml
//! pam account required pam_mfa.so    a line of the service's PAM file
//! state phone floor=-1 drift=2 known=3@-10 disabled    what alice's state says before the first login
//! damage devices.toml 40 0aff    bytes of a file of alice's, before the first login; cut FILE LENGTH cuts it
//! clock +31              the wall clock moves
//! password hunter2{phone+0}      PAM_AUTHTOK
//! type {long-1}          what is said to the next prompt: bytes (\xNN, \n), and in braces a code of a device so many
//!                        steps from now, {recovery1}, {scratch0}, {bypass}
//! shown +1               says the code of an app with the key that was shown last
//! login                  logs in with what was said since the last login; the end of the script does too
//! ```
//!
//! What must hold: nobody is let in but by a code that the reference finds right and unused, and enrollment at a login ends well only after
//! two consecutive codes of the key that was shown; no panic; no control character and no code in the log; no descriptor left open; and
//! nothing in the store or beside it that does not belong there.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mfa_core::verify::Factor as LetInBy;
use mfa_test_harness::wall_clock;
use pam_mfa_as_library::as_library::{Answer, Ended, Session, log_in};

use crate::reference::{self, Entry, Hash, Meaning, alone, at_the_end};
use crate::store::{
    BYPASS_CODE, BYPASS_SECONDS, Device, Factor, NOW, RECOVERY_CODES, SCRATCH_CODES, Scratch,
    devices_of_alice, fresh_state, with_fresh_store, write,
};

/// There is one wall clock.
static CLOCK: Mutex<()> = Mutex::new(());

const PAM_SUCCESS: i32 = 0;

/// The script's logins, one after the other.
pub fn authenticate(bytes: &[u8]) {
    let _ = logins(bytes);
}

/// The same, and how each login ended: the words of the log.
pub fn logins(bytes: &[u8]) -> Vec<String> {
    const LOGINS: usize = 8;
    let _alone = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
    with_fresh_store(|scratch| {
        let mut trial = Trial::new(scratch);
        let mut ended = Vec::new();
        for line in bytes.split(|byte| *byte == b'\n') {
            if line == b"login" {
                if ended.len() == LOGINS - 1 {
                    break;
                }
                ended.push(trial.log_in());
            } else {
                trial.take(line);
            }
        }
        ended.push(trial.log_in());
        wall_clock::run();
        ended
    })
}

/// What the reference knows, and what the next login begins with.
struct Trial<'a> {
    scratch: &'a Scratch,
    now: u64,
    user: Vec<u8>,
    service: &'static str,
    remote_host: Vec<u8>,
    groups: Vec<&'static str>,
    options: Vec<CString>,
    password: Option<Vec<u8>>,
    answers: Vec<Answer>,
    /// Codes that were made, and so must not be logged.
    codes: BTreeSet<String>,
    /// What the script says besides.
    said: Vec<u8>,
    policy: Vec<u8>,
    pam: Vec<u8>,
    alice: Vec<Known>,
    /// Those who enrolled at a login.
    others: Vec<(Vec<u8>, Known, BTreeSet<String>)>,
    recovery_left: BTreeSet<&'static str>,
    scratch_left: BTreeSet<&'static str>,
    is_bypass_left: bool,
    has_begun: bool,
    /// The secret file is not as it was made: names, status and times in it may be others.
    is_damaged: bool,
    /// Whose login has come to the account phase with something to do there.
    enrolling: BTreeSet<Vec<u8>>,
}

/// A device and what of it is used up.
#[derive(Clone, Debug)]
struct Known {
    device: Device,
    entry: Entry,
}

impl Known {
    /// The lowest counter at which this device shows `digits` and at which a login may accept it: unused, and within what it ever looks at.
    fn counter_of(&self, digits: &str, now: u64) -> Option<u64> {
        const DRIFT: i128 = 11;
        let floor = self.entry.floor.map_or(-1, i128::from);
        let (first, last) = match self.device.factor {
            Factor::Period(seconds) => {
                let middle = i128::from(now / seconds) + i128::from(self.entry.offset);
                (middle - DRIFT, middle + DRIFT)
            }
            Factor::LookAhead(counters) => (floor + 1, floor + i128::from(counters)),
        };
        (first.max(floor + 1).max(0)..=last)
            .filter_map(|counter| u64::try_from(counter).ok())
            .find(|counter| self.code(*counter) == digits)
    }

    fn code(&self, counter: u64) -> String {
        reference::code(&self.device.seed, self.device.hash, self.device.digits, counter)
    }
}

impl<'a> Trial<'a> {
    fn new(scratch: &'a Scratch) -> Self {
        let alice = devices_of_alice()
            .into_iter()
            .map(|device| Known { entry: Entry { id: device.id, ..Entry::default() }, device })
            .collect();
        Self {
            scratch,
            now: NOW,
            user: b"alice".to_vec(),
            service: "sshd",
            remote_host: b"192.0.2.1".to_vec(),
            groups: Vec::new(),
            options: Vec::new(),
            password: None,
            answers: Vec::new(),
            codes: BTreeSet::new(),
            said: Vec::new(),
            policy: Vec::new(),
            pam: Vec::new(),
            alice,
            others: Vec::new(),
            recovery_left: RECOVERY_CODES.into(),
            scratch_left: SCRATCH_CODES.into(),
            is_bypass_left: true,
            has_begun: false,
            is_damaged: false,
            enrolling: BTreeSet::new(),
        }
    }

    /// One line of the script that is not `login`. What is not understood is passed over.
    fn take(&mut self, line: &[u8]) {
        const ANSWERS: usize = 40;
        let at = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let (word, rest) = (&line[..at], line.get(at + 1..).unwrap_or_default());
        self.said.extend_from_slice(rest);
        match word {
            b"user" => self.user = without_zeros(unescaped(rest)),
            b"rhost" => self.remote_host = without_zeros(unescaped(rest)),
            b"service" => {
                let known = ["sshd", "su", "sudo", "login", "mfa-enroll", "../x"];
                self.service = known.into_iter().find(|name| name.as_bytes() == rest).unwrap_or("sshd");
            }
            b"group" => self.groups = ["staff"].into_iter().filter(|name| name.as_bytes() == rest).collect(),
            b"option" => self.take_option(rest),
            b"policy" => self.policy.extend([rest, b"\n"].concat()),
            b"pam" => self.pam.extend([rest, b"\n"].concat()),
            b"state" if !self.has_begun => self.take_state(&String::from_utf8_lossy(rest)),
            b"damage" | b"cut" if !self.has_begun => self.damage(word, &String::from_utf8_lossy(rest)),
            b"clock" => {
                let seconds = number(&String::from_utf8_lossy(rest)).clamp(-4_000_000_000, 1 << 40);
                self.now = self.now.saturating_add_signed(seconds);
            }
            b"password" => self.password = Some(without_zeros(self.filled(rest))),
            b"type" if self.answers.len() < ANSWERS => {
                let typed = without_zeros(self.filled(rest));
                self.answers.push(Answer::Bytes(typed));
            }
            b"shown" if self.answers.len() < ANSWERS => {
                let steps = number(&String::from_utf8_lossy(rest)).clamp(-300, 300);
                self.answers.push(Answer::OfTheKeyShown(steps));
            }
            _ => {}
        }
    }

    /// An option must not lead out of the scratch folder.
    fn take_option(&mut self, word: &[u8]) {
        let leads_away = [&b"store=/"[..], b"policy=/", b"socket=/", b"pam_dir=/"];
        if !leads_away.iter().any(|start| word.starts_with(start)) {
            self.options.extend(CString::new(word));
        }
    }

    fn take_state(&mut self, words: &str) {
        let now = self.now;
        let mut words = words.split(' ');
        let name = words.next().unwrap_or_default();
        let Some(known) = self.alice.iter_mut().find(|known| known.device.name == name) else { return };
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let failures = || {
                let (count, ago) = value.split_once('@').unwrap_or((value, "0"));
                let count = u32::try_from(number(count).max(0)).unwrap_or(u32::MAX);
                (now.saturating_add_signed(number(ago)), count)
            };
            let entry = &mut known.entry;
            match key {
                "floor" => {
                    let from = match known.device.factor {
                        Factor::Period(seconds) => now / seconds,
                        Factor::LookAhead(_) => 0,
                    };
                    entry.floor = Some(from.saturating_add_signed(number(value)));
                }
                "drift" => entry.drift = i8::try_from(number(value)).unwrap_or(0).clamp(-10, 10),
                "offset" => entry.offset = i32::try_from(number(value)).unwrap_or(0),
                "known" => entry.known_failures = failures(),
                "stranger" => entry.stranger_failures = failures(),
                "disabled" => entry.is_disabled = true,
                "closed" => entry.is_closed = true,
                _ => {}
            }
        }
        let mut state = fresh_state();
        state.entries = self.alice.iter().map(|known| known.entry.clone()).collect();
        self.scratch.write("users/alice/state", &state.file("alice"));
    }

    fn damage(&mut self, word: &[u8], rest: &str) {
        let mut words = rest.split(' ');
        let (file, at) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let Some(path) = ["devices.toml", "state"].into_iter().find(|name| *name == file) else { return };
        let path = format!("users/alice/{path}");
        let Ok(at) = at.parse::<usize>() else { return };
        let mut bytes = self.scratch.read(&path);
        if word == b"cut" {
            bytes.truncate(at);
        } else {
            let hex = words.next().unwrap_or_default().as_bytes();
            let new =
                hex.chunks(2).map_while(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
            for (old, new) in bytes.iter_mut().skip(at).zip(new) {
                *old = new;
            }
        }
        self.scratch.write(&path, &bytes);
        self.is_damaged |= file == "devices.toml";
    }

    /// The bytes of a template, with its codes filled in.
    fn filled(&mut self, template: &[u8]) -> Vec<u8> {
        const LONGEST: usize = 2000;
        let mut bytes = Vec::new();
        let mut rest = template;
        while let Some(at) = rest.iter().position(|byte| *byte == b'{') {
            bytes.extend(unescaped(&rest[..at]));
            let inside = &rest[at + 1..];
            let end = inside.iter().position(|byte| *byte == b'}').unwrap_or(inside.len());
            let name = String::from_utf8_lossy(&inside[..end]).into_owned();
            bytes.extend_from_slice(self.named_code(&name).unwrap_or_default().as_bytes());
            rest = inside.get(end + 1..).unwrap_or_default();
        }
        bytes.extend(unescaped(rest));
        bytes.truncate(LONGEST);
        bytes
    }

    fn named_code(&mut self, name: &str) -> Option<String> {
        let at = name.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(name.len());
        let (name, which) = name.split_at(at);
        let place = usize::try_from(number(which)).unwrap_or(0);
        let code = match name {
            "recovery" => (*RECOVERY_CODES.get(place)?).to_owned(),
            "grouped" => {
                let letters = RECOVERY_CODES.get(place)?;
                [&letters[..4], &letters[4..8], &letters[8..12], &letters[12..]].join("-")
            }
            "scratch" => (*SCRATCH_CODES.get(place)?).to_owned(),
            "bypass" => BYPASS_CODE.to_owned(),
            name => {
                let others = self.others.iter().map(|(_, known, _)| known).filter(|_| name == "mine");
                let mut known = self.alice.iter().filter(|known| known.device.name == name).chain(others);
                let known = known.next()?;
                let from = match known.device.factor {
                    Factor::Period(seconds) => i128::from(self.now / seconds) + i128::from(known.entry.drift),
                    Factor::LookAhead(_) => known.entry.floor.map_or(-1, i128::from),
                };
                known.code(u64::try_from(from + i128::from(number(which))).ok()?)
            }
        };
        self.codes.insert(code.clone());
        Some(code)
    }

    /// One login, and everything that must hold after it. Gives the words of the log.
    fn log_in(&mut self) -> String {
        self.has_begun = true;
        self.write_settings();
        wall_clock::stop_at(self.now);
        let path = |name: &str| self.scratch.path(name).display().to_string();
        let ours = [
            format!("store={}", path("store")),
            format!("policy={}", path("policy.toml")),
            format!("pam_dir={}", path("pam.d")),
        ];
        let ours = ours.map(|word| CString::new(word).expect("a plain path"));
        let words: Vec<&CStr> = ours.iter().chain(&self.options).map(CString::as_c_str).collect();
        let session = Session {
            user: self.user.clone(),
            service: Some(self.service),
            remote_host: self.remote_host.clone(),
            password: self.password.take(),
            answers: std::mem::take(&mut self.answers),
            groups: self.groups.clone(),
        };
        let password = session.password.clone();
        let ended = log_in(session, &words);
        let left_open = open_files_below(&self.scratch.path(""));
        assert!(left_open.is_empty(), "left open: {left_open:?}");

        assert_eq!(ended.auth == PAM_SUCCESS, ended.factor.is_some());
        let mut typed = ended.said.clone();
        if self.looks_at_the_password() {
            typed.extend(password);
        }
        if let Some(factor) = &ended.factor {
            assert!(self.was_right(factor, &typed), "let in by nothing: {ended:?} at {}", self.now);
        }
        if ended.account == Some(PAM_SUCCESS) {
            self.note_enrolled(&ended);
        }
        self.check_log(&ended);
        if ended.account.is_some() {
            self.enrolling.insert(self.user.clone());
        }
        self.check_folders();
        ended.log.join(" | ")
    }

    fn write_settings(&self) {
        for name in ["policy.toml", "pam.d"] {
            let path = self.scratch.path(name);
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
        if !self.policy.is_empty() {
            write(&self.scratch.path("policy.toml"), &self.policy);
        }
        fs::create_dir(self.scratch.path("pam.d")).expect("our own folder");
        if !self.pam.is_empty() && !self.service.contains('/') {
            write(&self.scratch.path("pam.d").join(self.service), &self.pam);
        }
    }

    fn looks_at_the_password(&self) -> bool {
        let words = ["try_first_pass", "use_first_pass", "forward_pass"];
        self.options.iter().any(|option| words.iter().any(|word| option.to_bytes() == word.as_bytes()))
    }

    /// Whether something that was typed is what the module says it was, and not used before. It is from now on.
    fn was_right(&mut self, factor: &LetInBy, typed: &[Vec<u8>]) -> bool {
        let mut meanings: BTreeSet<Meaning> = typed.iter().filter_map(|text| alone(text)).collect();
        if self.looks_at_the_password() {
            meanings.extend(typed.iter().flat_map(|text| at_the_end(text)));
        }
        let of_length = |digits: u32| {
            meanings.iter().filter_map(move |meaning| match meaning {
                Meaning::Digits(text) if text.len() == usize::try_from(digits).expect("6 to 8") => {
                    Some(text.as_str())
                }
                Meaning::Digits(_) | Meaning::Letters(_) => None,
            })
        };
        let letters = || {
            meanings.iter().filter_map(|meaning| match meaning {
                Meaning::Letters(text) => Some(text.as_str()),
                Meaning::Digits(_) => None,
            })
        };
        if self.user != b"alice" {
            let Some((_, known, codes)) = self.others.iter_mut().find(|(user, ..)| *user == self.user) else {
                return false;
            };
            return match factor {
                LetInBy::Device { .. } => {
                    let counter = of_length(6).find_map(|digits| known.counter_of(digits, self.now));
                    known.entry.floor = known.entry.floor.max(counter);
                    counter.is_some()
                }
                LetInBy::Recovery { .. } => letters().any(|letters| codes.remove(letters)),
                LetInBy::Bypass => false,
            };
        }
        match factor {
            LetInBy::Device { name, digits } => {
                let digits = u32::from(digits.count());
                let is_damaged = self.is_damaged;
                self.alice.iter_mut().any(|known| {
                    let is_named = known.device.name == name.as_str() && known.device.is_active;
                    if !(is_named || is_damaged) || known.device.digits != digits {
                        return false;
                    }
                    let counter = of_length(digits).find_map(|text| known.counter_of(text, self.now));
                    known.entry.floor = known.entry.floor.max(counter);
                    counter.is_some()
                })
            }
            LetInBy::Recovery { left } => {
                let is_code = letters().any(|letters| self.recovery_left.remove(letters));
                let was_right = is_code || of_length(8).any(|digits| self.scratch_left.remove(digits));
                let there_are = self.recovery_left.len() + self.scratch_left.len();
                was_right && (self.is_damaged || usize::from(*left) == there_are)
            }
            LetInBy::Bypass => {
                let is_right = letters().any(|letters| letters == BYPASS_CODE);
                let in_time = BYPASS_SECONDS.contains(&self.now) || self.is_damaged;
                is_right && in_time && std::mem::take(&mut self.is_bypass_left)
            }
        }
    }

    /// A person has enrolled at a login: there are two codes in a row of the key that was shown.
    fn note_enrolled(&mut self, ended: &Ended) {
        assert_ne!(ended.auth, PAM_SUCCESS, "{ended:?}");
        assert!(
            !self.others.iter().any(|(user, ..)| *user == self.user) && self.user != b"alice",
            "{ended:?}"
        );
        let key =
            ended.key_shown.as_deref().and_then(mfa_core::Secret::from_base32).expect("a key was shown");
        let device = Device {
            id: [0; 8],
            name: "phone".to_owned(),
            seed: key.expose().to_vec(),
            hash: Hash::Sha1,
            digits: 6,
            factor: Factor::Period(30),
            is_active: true,
        };
        let mut known = Known { device, entry: Entry::default() };
        let typed: Vec<String> = ended
            .said
            .iter()
            .filter_map(|text| match alone(text) {
                Some(Meaning::Digits(digits)) => Some(digits),
                Some(Meaning::Letters(_)) | None => None,
            })
            .collect();
        let step = self.now / 30;
        let second = (step.saturating_sub(11)..=step + 11).find(|counter| {
            let (first, second) = (known.code(counter.saturating_sub(1)), known.code(*counter));
            typed.windows(2).any(|pair| pair == [first.clone(), second.clone()])
        });
        assert!(second.is_some(), "enrolled without two codes in a row: {ended:?} at {}", self.now);
        known.entry.floor = second;
        let codes = ended.prompts.iter().flat_map(|prompt| prompt.split_ascii_whitespace());
        let is_grouped = |word: &&str| word.len() == 19 && word.split('-').all(|group| group.len() == 4);
        let codes = codes.filter(is_grouped).map(|word| word.replace('-', "")).collect();
        self.others.push((self.user.clone(), known, codes));
    }

    fn check_log(&self, ended: &Ended) {
        for line in &ended.log {
            assert!(!line.contains(char::is_control), "{line:?}");
            for code in &self.codes {
                let is_said_elsewhere = self.said.windows(code.len()).any(|part| part == code.as_bytes());
                assert!(!line.contains(code) || is_said_elsewhere, "a code is in the log: {line}");
            }
        }
    }

    fn check_folders(&self) {
        let names = |path: PathBuf| -> Vec<Vec<u8>> {
            let entries = fs::read_dir(path).expect("our own folder");
            entries.map(|entry| entry.expect("an entry").file_name().into_vec()).collect()
        };
        for name in names(self.scratch.path("")) {
            let known = [&b"store"[..], b"policy.toml", b"pam.d"];
            assert!(known.contains(&name.as_slice()), "beside the store: {:?}", name.escape_ascii());
        }
        for name in names(self.scratch.store()) {
            let known = [&b"key"[..], b"users", b"decoy", b"marks", b"tokens"];
            assert!(known.contains(&name.as_slice()), "in the store: {:?}", name.escape_ascii());
        }
        for user in names(self.scratch.store().join("users")) {
            let may_be = user == b"alice" || self.enrolling.contains(&user);
            assert!(may_be, "an account of {:?}", user.escape_ascii());
            for name in names(self.scratch.store().join("users").join(OsStr::from_bytes(&user))) {
                let known = [&b"devices.toml"[..], b"state", b"pending.toml", b"history"];
                assert!(known.contains(&name.as_slice()), "left behind: {:?}", name.escape_ascii());
            }
        }
    }
}

/// Other threads have files of their own.
fn open_files_below(folder: &Path) -> Vec<PathBuf> {
    let descriptors = fs::read_dir("/proc/self/fd").expect("/proc is there");
    let leads_to = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    leads_to.filter(|path| path.starts_with(folder)).collect()
}

/// `\n`, `\t`, `\\` and `\xNN`; anything else stands for itself.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let (byte, length) = match (first, tail) {
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [b't', ..]) => (b'\t', 2),
            (b'\\', [b'\\', ..]) => (b'\\', 2),
            (b'\\', [b'x', high, low, ..]) => {
                let pair = [*high, *low];
                let text = std::str::from_utf8(&pair).unwrap_or("");
                match u8::from_str_radix(text, 16) {
                    Ok(byte) => (byte, 4),
                    Err(_) => (*first, 1),
                }
            }
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    bytes
}

/// PAM's strings end at the first zero.
fn without_zeros(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

/// A signed number; 0 for anything else.
fn number(text: &str) -> i64 {
    text.trim().trim_start_matches('+').parse().unwrap_or(0)
}
