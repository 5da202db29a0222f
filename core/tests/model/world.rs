//! The real store and the model, side by side.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use mfa_core::answer::Answer;
use mfa_core::devices::{DeviceName, Serial, Status as RealStatus};
use mfa_core::otp::{Algorithm, Code, Digits, LookAhead, MovingFactor, Period, Profile as RealProfile};
use mfa_core::recovery::RecoveryCode;
use mfa_core::request::{AccountStatus, DeviceStatus, ForeignDevice, RecoveryCodes, WhyNotConfirmed};
use mfa_core::verify::{Round as RealRound, Typed};
use mfa_core::{
    Caller, Error, Evidence, Factor, FileStore, Policy as RealPolicy, Refusal, Request, Response, Secret,
    Timestamp, UserName, Verdict as RealVerdict,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::rules::{
    Account, Bypass, Device, Hash, Kind, Policy, Proof, Set, Status, Throttle, Try, Usage, Verdict, Why,
};
use crate::steps::{Profile, Round, Step, Types};

type Checked = Result<(), TestCaseError>;

/// When every story begins.
const NOW: u64 = 1_800_000_000;

/// A key and recovery codes that are cheap to try, of the fuzz targets' store.
const KEY: &str = include_str!("../../../fuzz/store/key");
const CODES_OF_ALICE: &str = include_str!("../../../fuzz/store/alice.toml");
const RECOVERY: [&str; 3] = ["AAAABBBBCCCCDDDD", "EEEEFFFFGGGGHHHH", "IIIIJJJJKKKKLLLL"];
const SCRATCH: [&str; 2] = ["11112222", "33334444"];
const BYPASS: &str = "MMMMNNNNOOOOPPPP";

/// In the order in which a change writes them.
const FILES: [&str; 4] = ["history", "state", "devices.toml", "pending.toml"];

const NAMES: [&str; 6] = ["phone", "token", "blue", "spare", "key", "old one"];

pub(crate) struct World {
    folder: tempfile::TempDir,
    now: u64,
    policy: Policy,
    account: Account,
    /// Both slots are damaged.
    is_lost: bool,
    typed: Vec<Vec<String>>,
    crash_after: Option<usize>,
    serials: u32,
    /// What this story has come to.
    pub(crate) reached: Vec<String>,
}

impl World {
    pub(crate) fn new(policy: Policy) -> Self {
        // Memory, where there is some: a story syncs hundreds of times.
        let parent = ["/dev/shm"].iter().map(Path::new).find(|path| path.is_dir());
        let folder = tempfile::Builder::new()
            .prefix("pam-mfa-model-")
            .tempdir_in(parent.unwrap_or(&std::env::temp_dir()))
            .unwrap();
        let store = folder.path().join("store");
        DirBuilder::new().mode(0o700).create(&store).unwrap();
        write(&store.join("key"), KEY.as_bytes());
        let account = Account {
            devices: Vec::new(),
            usage: BTreeMap::new(),
            pending: None,
            set: None,
            bypass: None,
            recovery_known: crate::rules::Failures::default(),
            recovery_stranger: crate::rules::Failures::default(),
            places: Vec::new(),
            history: Vec::new(),
        };
        let mut world = Self {
            folder,
            now: NOW,
            policy,
            account,
            is_lost: false,
            typed: Vec::new(),
            crash_after: None,
            serials: 0,
            reached: Vec::new(),
        };
        for (kind, hash, digits) in [
            (Kind::Time { period: 30 }, Hash::Sha1, 6),
            (Kind::Counter { look_ahead: 5 }, Hash::Sha1, 6),
            (Kind::Time { period: 60 }, Hash::Sha256, 8),
        ] {
            world.adopt(Profile { kind, hash, digits }, None, 0, false, None, None).unwrap();
        }
        world.add_cheap_codes();
        world.compare().unwrap();
        world
    }

    /// Recovery, scratch and bypass codes that cost next to nothing to try.
    fn add_cheap_codes(&mut self) {
        let path = self.path("devices.toml");
        let mut text = fs::read_to_string(&path).unwrap();
        let (from, to) =
            (CODES_OF_ALICE.find("[recovery]").unwrap(), CODES_OF_ALICE.find("[[change]]").unwrap());
        text.push_str(&CODES_OF_ALICE[from..to]);
        write(&path, text.as_bytes());
        let unused = |code: &&str| ((*code).to_owned(), true);
        self.account.set = Some(Set {
            codes: RECOVERY.iter().map(unused).collect(),
            scratch: SCRATCH.iter().map(unused).collect(),
        });
        self.account.bypass = Some(Bypass {
            code: BYPASS.to_owned(),
            from: NOW - 3600,
            until: NOW + 3600,
            is_left: true,
            reason: "phone lost".to_owned(),
        });
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("store/users/alice").join(name)
    }

    fn ask_as(&self, caller: &Caller, request: Request) -> mfa_core::Result<Response> {
        let policy = RealPolicy::from_toml(&format!(
            "throttle = \"{}\"\nwindow_steps = {}\n",
            match self.policy.throttle {
                Throttle::Nist => "nist",
                Throttle::Pci => "pci",
                Throttle::Stig => "stig",
            },
            self.policy.window
        ));
        let store = FileStore::at(self.folder.path().join("store"));
        mfa_core::answer(request, caller, &store, &policy.unwrap(), Timestamp::from_unix_seconds(self.now))
    }

    fn ask(&self, request: Request) -> mfa_core::Result<Response> {
        self.ask_as(&Caller::privileged("root"), request)
    }

    /// One step in both worlds, and then both must look the same.
    pub(crate) fn take(&mut self, step: &Step) -> Checked {
        if self.is_lost && !matches!(step, Step::Repair) {
            return self.nobody_gets_in();
        }
        match step {
            Step::Clock(seconds) => {
                self.now =
                    self.now.saturating_add_signed(*seconds).clamp(NOW - 100_000_000, NOW + 400_000_000);
            }
            Step::LogIn { types, place, round } => {
                let typed = self.typed_by(types);
                self.log_in(typed, *place, *round)?;
            }
            Step::TornLogIn { types, place, cut, filler } => {
                self.torn_log_in(types, *place, *cut, *filler)?
            }
            Step::Guesses { count, place, digits } => self.guess(*count, *place, *digits)?,
            Step::LoseState => self.lose_state(),
            Step::CrashInNextChange(files) => self.crash_after = Some(*files),
            Step::Begin { .. }
            | Step::Confirm { .. }
            | Step::Adopt { .. }
            | Step::Activate { .. }
            | Step::Resync { .. }
            | Step::Rename { .. }
            | Step::Suspend(_)
            | Step::Resume(_)
            | Step::Remove(_)
            | Step::NewRecoveryCodes(_)
            | Step::IssueBypass(_)
            | Step::CancelBypass
            | Step::Unlock
            | Step::Repair => self.change_or_crash(step)?,
        }
        self.compare()
    }

    fn change_or_crash(&mut self, step: &Step) -> Checked {
        // A repair writes in another order; until it is done the account is refused.
        let crash_after = if matches!(step, Step::Repair) { None } else { self.crash_after.take() };
        let (before, files) = (self.account.clone(), self.files());
        self.change(step)?;
        let Some(crash_after) = crash_after else { return Ok(()) };
        let after = self.files();
        let changed: Vec<usize> = (0..FILES.len()).filter(|at| files[*at] != after[*at]).collect();
        let Some(undone) = changed.get(crash_after..).filter(|undone| !undone.is_empty()) else {
            return Ok(());
        };
        for at in undone {
            match &files[*at] {
                Some(bytes) => write(&self.path(FILES[*at]), bytes),
                None => fs::remove_file(self.path(FILES[*at])).unwrap(),
            }
        }
        if crash_after > 0 {
            self.reached.push("a change half on disk".to_owned());
        }
        let is_kept = |name: &str| changed[..crash_after].iter().any(|at| FILES[*at] == name);
        self.account = half_done(before, &self.account, is_kept("state"), is_kept("devices.toml"));
        Ok(())
    }

    fn change(&mut self, step: &Step) -> Checked {
        match step {
            Step::Begin { profile, name, replaces } => self.begin(*profile, *name, *replaces),
            Step::Confirm { at, then, replaces } => self.confirm(*at, *then, *replaces),
            Step::Adopt { profile, floor, offset, assigned, expires, seed_of } => {
                self.adopt(*profile, *floor, *offset, *assigned, *expires, *seed_of)
            }
            Step::Activate { which, at, then } => self.activate(*which, *at, *then),
            Step::Resync { which, at, then, by_owner } => self.resync(*which, *at, *then, *by_owner),
            Step::Rename { which, to } => self.rename(*which, *to),
            Step::Suspend(which) => self.set_status(*which, Status::Suspended),
            Step::Resume(which) => self.set_status(*which, Status::Active),
            Step::Remove(which) => self.remove(*which),
            Step::NewRecoveryCodes(dice) => self.new_recovery_codes(*dice),
            Step::IssueBypass(seconds) => self.issue_bypass(*seconds),
            Step::CancelBypass => self.cancel_bypass(),
            Step::Unlock => self.unlock(),
            Step::Repair => self.repair(),
            Step::Clock(_)
            | Step::LogIn { .. }
            | Step::TornLogIn { .. }
            | Step::Guesses { .. }
            | Step::LoseState
            | Step::CrashInNextChange(_) => Ok(()),
        }
    }

    // Logins

    fn typed_by(&self, types: &Types) -> Vec<String> {
        let of = |which: usize, away: i64| match self
            .account
            .devices
            .get(which % self.account.devices.len().max(1))
        {
            None => "123456".to_owned(),
            Some(device) => {
                let usage = &self.account.usage[&device.id];
                let from = match device.kind {
                    Kind::Time { period } => {
                        i64::try_from(self.now / period).unwrap() + usage.offset + usage.drift
                    }
                    Kind::Counter { .. } => {
                        usage.floor.map_or(-1, |floor| i64::try_from(floor).unwrap_or(i64::MAX))
                    }
                };
                device.code(u64::try_from(from.saturating_add(away)).unwrap_or(0))
            }
        };
        match types {
            Types::Of { which, away } => vec![of(*which, *away)],
            Types::Again(back) => {
                let at = self.typed.len().checked_sub(back + 1);
                at.map_or_else(|| vec!["654321".to_owned()], |at| self.typed[at].clone())
            }
            Types::Digits(length, number) => {
                let width = *length as usize;
                vec![format!("{:0width$}", number % 10_u32.pow(*length))]
            }
            Types::Recovery(which) => {
                let codes = self.account.set.as_ref().map(|set| &set.codes).filter(|codes| !codes.is_empty());
                vec![codes.map_or(RECOVERY[0].to_owned(), |codes| codes[which % codes.len()].0.clone())]
            }
            Types::Scratch(which) => vec![SCRATCH[*which].to_owned()],
            Types::Bypass => {
                vec![self.account.bypass.as_ref().map_or(BYPASS.to_owned(), |bypass| bypass.code.clone())]
            }
            Types::Letters => vec!["YYYYZZZZ22223333".to_owned()],
            Types::Behind { which, away } => {
                let code = of(*which, *away);
                // Behind a password whose last letter is none of a code.
                (6..=code.len())
                    .map(|length| code[code.len() - length..].to_owned())
                    .rev()
                    .chain([String::new()])
                    .collect()
            }
        }
    }

    /// A login that is answered.
    fn log_in(&mut self, typed: Vec<String>, place: usize, round: Round) -> Result<Verdict, TestCaseError> {
        let place = format!("192.0.2.{place}");
        let is_behind_a_password = typed.last().is_some_and(String::is_empty);
        let answer = if is_behind_a_password {
            Answer::Tails(Typed::tails(format!("hunter{}", typed[0]).as_bytes()).unwrap())
        } else if typed[0].len() == 16 {
            Answer::Recovery(RecoveryCode::parse(&typed[0]).unwrap())
        } else {
            Answer::Code(real_code(&typed[0]))
        };
        let real = self.ask(Request::Verify {
            user: Some(alice()),
            answer,
            remote_host: Some(place.clone()),
            round: if round == Round::First { RealRound::First } else { RealRound::AfterMiss },
        });
        let tried = Try {
            codes: &typed,
            now: self.now,
            place: &place,
            after_a_miss: round == Round::AfterMiss,
            alone: !is_behind_a_password,
        };
        let expected = self.account.log_in(&tried, self.policy);
        let found = match real {
            Ok(Response::Verdict(verdict)) => in_the_words_of_the_rules(verdict),
            other => return Err(TestCaseError::fail(format!("{other:?} instead of {expected:?}"))),
        };
        prop_assert_eq!(&found, &expected, "{:?} typed at {} from {}", &typed, self.now, &place);
        self.reached.push(match &found {
            Verdict::ByDevice { .. } => "accepted by a device".to_owned(),
            Verdict::ByRecovery { .. } => "accepted by a recovery code".to_owned(),
            Verdict::ByBypass => "accepted by a bypass code".to_owned(),
            Verdict::Refused(Why::Throttled(_)) => "refused: Throttled".to_owned(),
            Verdict::Refused(why) => format!("refused: {why:?}"),
        });
        if !is_behind_a_password {
            self.typed.push(typed);
        }
        Ok(found)
    }

    /// A login that dies while its state is written: what is torn counts as if it had never been.
    fn torn_log_in(&mut self, types: &Types, place: usize, cut: usize, filler: u8) -> Checked {
        const SLOT: usize = 4096;
        const CONTENT: usize = 1536;
        let (before, old) = (self.account.clone(), self.files()[1].clone());
        self.log_in(self.typed_by(types), place, Round::First)?;
        let (Some(old), Some(mut new)) = (old, self.files()[1].clone()) else { return Ok(()) };
        if old == new {
            return Ok(());
        }
        let start = if old[..SLOT] == new[..SLOT] { SLOT } else { 0 };
        new[start + cut..start + SLOT].fill(filler);
        write(&self.path("state"), &new);
        if cut < CONTENT {
            self.account = before;
            self.reached.push("a torn write".to_owned());
        }
        self.compare()
    }

    fn guess(&mut self, count: u8, place: usize, digits: u32) -> Checked {
        for number in 0..count {
            let typed = Types::Digits(digits, u32::from(number) * 7919 + 13);
            let typed = self.typed_by(&typed);
            if let Verdict::Refused(Why::Throttled(wait)) = self.log_in(typed, place, Round::First)? {
                self.now += wait;
            }
        }
        Ok(())
    }

    fn lose_state(&mut self) {
        if !self.account.can_answer() {
            return;
        }
        let mut bytes = fs::read(self.path("state")).unwrap();
        for slot in [0, 4096] {
            bytes[slot + 20] ^= 1;
        }
        write(&self.path("state"), &bytes);
        self.is_lost = true;
    }

    fn nobody_gets_in(&mut self) -> Checked {
        let request = Request::Verify {
            user: Some(alice()),
            answer: Answer::Code(real_code(&self.typed_by(&Types::Of { which: 0, away: 0 })[0])),
            remote_host: None,
            round: RealRound::First,
        };
        for request in [request, Request::Status { user: alice() }, Request::Unlock { user: alice() }] {
            let found = self.ask(request);
            prop_assert!(matches!(found, Err(Error::Corrupt { .. })), "{:?}", found);
        }
        Ok(())
    }

    // Changes

    fn begin(&mut self, profile: Profile, name: Option<u8>, replaces: Option<usize>) -> Checked {
        let name = name.map(|name| NAMES[usize::from(name)].to_owned());
        let replaces = replaces.map(|which| self.name_of(which));
        let real = self.ask(Request::BeginEnrollment {
            user: alice(),
            name: name.as_deref().map(real_name),
            profile: real_profile(profile),
            replaces: replaces.as_deref().map(real_name),
        });
        let name = name.or_else(|| replaces.clone()).unwrap_or_else(|| self.free_name("phone"));
        let (id, seed) = match (self.room(&name, replaces.as_deref()), real) {
            (Ok(()), Ok(Response::Pending(pending))) => (pending.id.0, pending.seed.expose().to_vec()),
            (Err(expected), real) => return same_error(&real, expected),
            (Ok(()), real) => return Err(TestCaseError::fail(format!("{real:?}"))),
        };
        let waiting = self.account.pending.take().filter(|pending| self.is_waiting(pending));
        let like = |pending: &Device| {
            pending.name == name
                && (pending.kind, pending.hash, pending.digits)
                    == (profile.kind, profile.hash, profile.digits)
        };
        if let Some(pending) = waiting.filter(like) {
            prop_assert_eq!(&pending.id, &id, "the key that waits is shown again");
            prop_assert_eq!(&pending.seed, &seed);
            self.account.pending = Some(pending);
            return Ok(());
        }
        self.account.pending = Some(Device {
            id,
            name,
            seed,
            hash: profile.hash,
            digits: profile.digits,
            kind: profile.kind,
            status: Status::Active,
            since: self.now,
            serial: None,
            expires_at: None,
        });
        Ok(())
    }

    fn is_waiting(&self, pending: &Device) -> bool {
        let age = self.now.checked_sub(pending.since);
        age.is_some_and(|age| age <= 900)
            && !self.account.devices.iter().any(|device| device.id == pending.id)
    }

    fn room(&self, name: &str, replaces: Option<&str>) -> Result<(), &'static str> {
        let is_there = |name: &str| self.account.devices.iter().any(|device| device.name == name);
        if replaces.is_some_and(|old| !is_there(old)) {
            return Err("NoSuchDevice");
        }
        if replaces != Some(name) && is_there(name) {
            return Err("NameTaken");
        }
        let most = if replaces.is_some() { 9 } else { 8 };
        if self.account.devices.len() >= most { Err("TooManyDevices") } else { Ok(()) }
    }

    fn free_name(&self, base: &str) -> String {
        let mut names =
            (1..10).map(|number| if number == 1 { base.to_owned() } else { format!("{base} {number}") });
        names.find(|name| !self.account.devices.iter().any(|device| device.name == *name)).unwrap()
    }

    fn name_of(&self, which: usize) -> String {
        let devices = &self.account.devices;
        if devices.is_empty() { "nothing".to_owned() } else { devices[which % devices.len()].name.clone() }
    }

    fn pair(&self, device: &Device, usage: Option<&Usage>, at: i64, then: i64) -> [String; 2] {
        let from = match device.kind {
            Kind::Time { period } => i64::try_from(self.now / period).unwrap(),
            Kind::Counter { .. } => usage
                .and_then(|usage| usage.floor)
                .map_or(0, |floor| i64::try_from(floor).unwrap_or(i64::MAX - 5000)),
        };
        let first = from.saturating_add(at);
        [first, first.saturating_add(then)].map(|counter| device.code(u64::try_from(counter).unwrap_or(0)))
    }

    fn confirm(&mut self, at: i64, then: i64, replaces: Option<usize>) -> Checked {
        let replaces = replaces.map(|which| self.name_of(which));
        let pending = self.account.pending.clone();
        let codes = match &pending {
            Some(pending) => self.pair(pending, None, at, then),
            None => ["123456".to_owned(), "234567".to_owned()],
        };
        let real = self.ask(Request::ConfirmEnrollment {
            user: alice(),
            id: mfa_core::hex::Hex(pending.as_ref().map_or([7; 8], |pending| pending.id)),
            first: real_code(&codes[0]),
            second: real_code(&codes[1]),
            replaces: replaces.as_deref().map(real_name),
            recovery_codes: RecoveryCodes::No,
        });
        let Some(mut device) = pending.filter(|pending| self.is_waiting(pending)) else {
            return same_error(&real, "NoSuchEnrollment");
        };
        if let Err(expected) = self.room(&device.name, replaces.as_deref()) {
            return same_error(&real, expected);
        }
        let proof = Account::prove(&device, None, [&codes[0], &codes[1]], self.now, true);
        let Proof::Proven { floor, ahead } = proof else { return self.not_proven(real, proof) };
        prop_assert!(matches!(&real, Ok(Response::Enrolled { .. })), "{:?} instead of {:?}", real, proof);
        let mut usage = Usage::default();
        Account::follow(&mut usage, floor, ahead);
        self.account.usage.insert(device.id, usage);
        if let Some(old) = replaces {
            self.account.note("replaced", &old);
            let gone = self.account.devices.iter().position(|device| device.name == old).unwrap();
            let gone = self.account.devices.remove(gone);
            self.account.usage.remove(&gone.id);
            self.reached.push("replaced".to_owned());
        }
        self.account.note("enrolled", &device.name);
        device.since = self.now;
        self.account.devices.push(device);
        self.account.pending = None;
        self.reached.push("enrolled".to_owned());
        Ok(())
    }

    fn not_proven(&mut self, real: mfa_core::Result<Response>, expected: Proof) -> Checked {
        let found = match real {
            Ok(Response::NotConfirmed(why)) => match why {
                WhyNotConfirmed::SameCode => Proof::SameCode,
                WhyNotConfirmed::Used => Proof::Used,
                WhyNotConfirmed::ClockOff { seconds } => Proof::ClockOff { seconds },
                WhyNotConfirmed::NotConsecutive
                | WhyNotConfirmed::ProfileIgnored { .. }
                | WhyNotConfirmed::OtherCodes => Proof::Nothing,
            },
            other => return Err(TestCaseError::fail(format!("{other:?} instead of {expected:?}"))),
        };
        prop_assert_eq!(found, expected);
        self.reached.push("not confirmed".to_owned());
        Ok(())
    }

    fn adopt(
        &mut self,
        profile: Profile,
        floor: Option<u64>,
        offset: i64,
        assigned: bool,
        expires: Option<i64>,
        seed_of: Option<usize>,
    ) -> Checked {
        self.serials += 1;
        let is_time = matches!(profile.kind, Kind::Time { .. });
        let floor = floor.map(|floor| match profile.kind {
            Kind::Time { period } => self.now / period - 10 + floor,
            Kind::Counter { .. } => floor,
        });
        let seed = match seed_of.filter(|_| !self.account.devices.is_empty()) {
            Some(which) => self.account.devices[which % self.account.devices.len()].seed.clone(),
            None => format!("seed number {:>20}", self.serials).into_bytes(),
        };
        let device = Device {
            id: [0; 8],
            name: self.free_name("token"),
            seed,
            hash: profile.hash,
            digits: profile.digits,
            kind: profile.kind,
            status: if assigned { Status::Assigned } else { Status::Active },
            since: self.now,
            serial: assigned.then(|| format!("S{}", self.serials)),
            expires_at: expires.map(|seconds| self.now.saturating_add_signed(seconds)),
        };
        let offset = if is_time { offset } else { 0 };
        let real = self.ask(Request::Adopt {
            user: alice(),
            devices: vec![ForeignDevice {
                name: real_name("token"),
                profile: real_profile(profile),
                seed: Secret::new(device.seed.clone()),
                serial: device.serial.as_ref().map(|serial| serial.parse::<Serial>().unwrap()),
                floor,
                clock_offset_steps: i32::try_from(offset).unwrap(),
                status: if assigned { RealStatus::Assigned } else { RealStatus::Active },
                expires_at: device.expires_at.map(Timestamp::from_unix_seconds),
            }],
            scratch_codes: Vec::new(),
        });
        if let Some(same) = self.account.devices.iter().find(|other| other.seed == device.seed) {
            prop_assert!(matches!(real, Ok(Response::Done)), "{:?}", real);
            let usage = self.account.usage.get_mut(&same.id).unwrap();
            usage.floor = usage.floor.max(floor);
            return Ok(());
        }
        if self.account.devices.len() >= 8 {
            return same_error(&real, "TooManyDevices");
        }
        prop_assert!(matches!(real, Ok(Response::Done)), "{:?}", real);
        let id = self.status()?.devices.last().unwrap().id.0;
        self.account.usage.insert(id, Usage { floor, offset, ..Usage::default() });
        self.account.note(if assigned { "assigned" } else { "migrated" }, &device.name);
        self.account.devices.push(Device { id, ..device });
        self.account.pending = None;
        Ok(())
    }

    fn activate(&mut self, which: usize, at: i64, then: i64) -> Checked {
        let assigned = self.account.devices.iter().filter(|device| device.status == Status::Assigned);
        let assigned: Vec<Device> = assigned.cloned().collect();
        let device = if assigned.is_empty() { None } else { Some(assigned[which % assigned.len()].clone()) };
        let codes = match &device {
            Some(device) => self.pair(device, self.account.usage.get(&device.id), at, then),
            None => ["123456".to_owned(), "234567".to_owned()],
        };
        let serial =
            device.as_ref().and_then(|device| device.serial.clone()).unwrap_or_else(|| "none".to_owned());
        let real = self.ask(Request::ActivateToken {
            user: alice(),
            serial: serial.parse().unwrap(),
            name: None,
            first: real_code(&codes[0]),
            second: real_code(&codes[1]),
            recovery_codes: RecoveryCodes::No,
        });
        let Some(device) = device else { return same_error(&real, "NoSuchToken") };
        if device.expires_at.is_some_and(|end| self.now > end) {
            prop_assert!(matches!(real, Ok(Response::Refused(Refusal::Expired))), "{:?}", real);
            return Ok(());
        }
        let usage = self.account.usage.get_mut(&device.id).unwrap();
        let proof = Account::prove(&device, usage.floor, [&codes[0], &codes[1]], self.now, false);
        let Proof::Proven { floor, ahead } = proof else { return self.not_proven(real, proof) };
        prop_assert!(matches!(&real, Ok(Response::Enrolled { .. })), "{:?} instead of {:?}", real, proof);
        Account::follow(usage, floor, ahead);
        *usage = Usage { floor: usage.floor, drift: usage.drift, offset: usage.offset, ..Usage::default() };
        let listed = self.account.devices.iter_mut().find(|other| other.id == device.id).unwrap();
        listed.status = Status::Active;
        listed.since = self.now;
        self.account.note("enrolled", &device.name);
        self.account.pending = None;
        self.reached.push("activated".to_owned());
        Ok(())
    }

    fn resync(&mut self, which: usize, at: i64, then: i64, by_owner: bool) -> Checked {
        let name = self.name_of(which);
        let device = self.account.devices.iter().find(|device| device.name == name).cloned();
        let codes = match &device {
            Some(device) => self.pair(device, self.account.usage.get(&device.id), at, then),
            None => ["123456".to_owned(), "234567".to_owned()],
        };
        let caller = if by_owner {
            Caller::owner(alice(), Evidence::Nothing, "alice")
        } else {
            Caller::privileged("root")
        };
        let request = Request::Resync {
            user: alice(),
            name: real_name(&name),
            first: real_code(&codes[0]),
            second: real_code(&codes[1]),
        };
        let real = self.ask_as(&caller, request);
        let Some(device) = device else { return same_error(&real, "NotEnrolled") };
        if device.status == Status::Assigned {
            return same_error(&real, "BadRequest");
        }
        if device.expires_at.is_some_and(|end| self.now > end) {
            prop_assert!(matches!(real, Ok(Response::Refused(Refusal::Expired))), "{:?}", real);
            return Ok(());
        }
        let usage = self.account.usage.get_mut(&device.id).unwrap();
        if by_owner && let Err(why) = Account::may_prove(usage, self.policy, self.now) {
            let Ok(Response::Refused(refusal)) = real else {
                return Err(TestCaseError::fail(format!("{real:?} instead of {why:?}")));
            };
            prop_assert_eq!(why_of(refusal), why);
            return Ok(());
        }
        let proof = Account::prove(&device, usage.floor, [&codes[0], &codes[1]], self.now, false);
        let Proof::Proven { floor, ahead } = proof else {
            if by_owner {
                Account::charge_owner(usage, self.policy, self.now);
            }
            return self.not_proven(real, proof);
        };
        prop_assert!(matches!(real, Ok(Response::Done)), "{:?} instead of {:?}", real, proof);
        Account::follow(usage, floor, ahead);
        self.account.note("resynced", &device.name);
        self.reached.push("resynchronised".to_owned());
        Ok(())
    }

    fn rename(&mut self, which: usize, to: u8) -> Checked {
        let (name, to) = (self.name_of(which), NAMES[usize::from(to)].to_owned());
        let request = Request::RenameDevice { user: alice(), name: real_name(&name), to: real_name(&to) };
        let real = self.ask(request);
        if self.account.devices.is_empty() {
            return same_error(&real, "NotEnrolled");
        }
        if name != to && self.account.devices.iter().any(|device| device.name == to) {
            return same_error(&real, "NameTaken");
        }
        prop_assert!(matches!(real, Ok(Response::Done)), "{:?}", real);
        if name != to {
            self.account.devices.iter_mut().find(|device| device.name == name).unwrap().name.clone_from(&to);
            self.account.note("renamed", to);
        }
        Ok(())
    }

    fn set_status(&mut self, which: usize, status: Status) -> Checked {
        let name = self.name_of(which);
        let user = alice();
        let real = self.ask(if status == Status::Active {
            Request::ResumeDevice { user, name: real_name(&name) }
        } else {
            Request::SuspendDevice { user, name: real_name(&name) }
        });
        let Some(device) = self.account.devices.iter_mut().find(|device| device.name == name) else {
            return same_error(&real, "NotEnrolled");
        };
        if device.status == Status::Assigned {
            return same_error(&real, "BadRequest");
        }
        prop_assert!(matches!(real, Ok(Response::Done)), "{:?}", real);
        if device.status != status {
            device.status = status;
            let what = if status == Status::Active { "resumed" } else { "suspended" };
            self.account.note(what, name);
            self.reached.push(what.to_owned());
        }
        Ok(())
    }

    fn remove(&mut self, which: usize) -> Checked {
        let name = self.name_of(which);
        let real = self.ask(Request::RemoveDevice { user: alice(), name: real_name(&name) });
        let Some(at) = self.account.devices.iter().position(|device| device.name == name) else {
            return same_error(&real, "NotEnrolled");
        };
        prop_assert!(matches!(real, Ok(Response::Done)), "{:?}", real);
        let gone = self.account.devices.remove(at);
        self.account.usage.remove(&gone.id);
        if self.account.devices.is_empty() {
            self.account.set = None;
        }
        self.account.note("removed", name);
        self.reached.push("removed".to_owned());
        Ok(())
    }

    /// Ten slow hashes, unless there is a bypass code that is hashed cheaply: then seldom enough.
    fn new_recovery_codes(&mut self, dice: u8) -> Checked {
        if self.account.bypass.is_none() && dice > 0 {
            return Ok(());
        }
        let real = self.ask(Request::NewRecoveryCodes { user: alice() });
        if self.account.devices.is_empty() {
            return same_error(&real, "NotEnrolled");
        }
        let Ok(Response::RecoveryCodes(codes)) = real else {
            return Err(TestCaseError::fail(format!("{real:?}")));
        };
        let codes = codes.iter().map(|code| (code.expose_grouped().replace('-', ""), true)).collect();
        self.account.set = Some(Set { codes, scratch: Vec::new() });
        self.account.note("recovery-codes", "");
        Ok(())
    }

    fn issue_bypass(&mut self, valid_seconds: u64) -> Checked {
        let reason = format!("lost at {}", self.now);
        let request = Request::IssueBypass { user: alice(), valid_seconds, reason: reason.clone() };
        let Ok(Response::Bypass { code, until }) = self.ask(request) else {
            return Err(TestCaseError::fail("no bypass code"));
        };
        prop_assert_eq!(until.unix_seconds(), self.now + valid_seconds);
        let code = code.expose_grouped().replace('-', "");
        self.account.bypass = Some(Bypass {
            code,
            from: self.now,
            until: self.now + valid_seconds,
            is_left: true,
            reason: reason.clone(),
        });
        self.account.note("bypass-issued", reason);
        Ok(())
    }

    fn cancel_bypass(&mut self) -> Checked {
        let real = self.ask(Request::CancelBypass { user: alice() });
        let Some(cancelled) = self.account.bypass.take() else { return same_error(&real, "NoBypass") };
        prop_assert!(matches!(real, Ok(Response::Done)), "{:?}", real);
        self.account.note("bypass-cancelled", cancelled.reason);
        Ok(())
    }

    fn unlock(&mut self) -> Checked {
        let real = self.ask(Request::Unlock { user: alice() });
        if self.account.devices.is_empty() {
            return same_error(&real, "NotEnrolled");
        }
        prop_assert!(matches!(real, Ok(Response::Done)), "{:?}", real);
        self.account.unlock();
        self.reached.push("unlocked".to_owned());
        Ok(())
    }

    fn repair(&mut self) -> Checked {
        let real = self.ask(Request::Repair { user: alice() });
        if !self.account.can_answer() {
            return same_error(&real, "NotEnrolled");
        }
        prop_assert!(matches!(real, Ok(Response::Done)), "{:?}", real);
        self.account.repair(self.now);
        self.is_lost = false;
        self.reached.push("repaired".to_owned());
        Ok(())
    }

    // What both look like

    fn compare(&mut self) -> Checked {
        if self.is_lost {
            return self.nobody_gets_in();
        }
        if self.account.can_answer() {
            let status = self.status()?;
            prop_assert_eq!(status.devices.len(), self.account.devices.len());
            for (device, shown) in self.account.devices.iter().zip(&status.devices) {
                self.compare_device(device, shown)?;
            }
            let left = self.account.set.as_ref().map(Set::left);
            prop_assert_eq!(status.recovery_codes_left.map(usize::from), left);
            let bypass = self.account.bypass.as_ref();
            let waits = bypass.filter(|bypass| bypass.is_left && bypass.until >= self.now);
            prop_assert_eq!(
                status.bypass.map(|bypass| (bypass.issued_at.unix_seconds(), bypass.until.unix_seconds())),
                waits.map(|bypass| (bypass.from, bypass.until))
            );
        } else {
            same_error(&self.ask(Request::Status { user: alice() }), "NotEnrolled")?;
        }
        let Ok(Response::History(changes)) = self.ask(Request::History { user: alice() }) else {
            return Err(TestCaseError::fail("no history"));
        };
        let history: Vec<(&str, String)> =
            changes.iter().map(|change| (change.what.word(), change.name.clone())).collect();
        prop_assert_eq!(&history, &self.account.history);
        Ok(())
    }

    fn compare_device(&self, device: &Device, shown: &DeviceStatus) -> Checked {
        let usage = &self.account.usage[&device.id];
        let together = usage.together();
        prop_assert_eq!(shown.id.0, device.id);
        prop_assert_eq!(shown.name.as_str(), device.name.as_str());
        prop_assert_eq!(shown.serial.as_ref().map(Serial::as_str), device.serial.as_deref());
        prop_assert_eq!(shown.enrolled_at.unix_seconds(), device.since);
        let status = match shown.status {
            RealStatus::Active => Status::Active,
            RealStatus::Suspended => Status::Suspended,
            RealStatus::Assigned => Status::Assigned,
        };
        prop_assert_eq!(status, device.status);
        prop_assert_eq!(
            (shown.failures, shown.disabled, shown.closed_to_strangers, i64::from(shown.drift_steps)),
            (together, usage.disabled, usage.closed, usage.offset + usage.drift),
            "{}",
            &device.name
        );
        prop_assert_eq!(
            (shown.wait_seconds, shown.stranger_wait_seconds),
            (
                self.policy.wait(usage.known, together, self.now),
                self.policy.wait(usage.stranger, together, self.now)
            )
        );
        Ok(())
    }

    fn status(&self) -> Result<AccountStatus, TestCaseError> {
        match self.ask(Request::Status { user: alice() }) {
            Ok(Response::Status(status)) => Ok(status),
            other => Err(TestCaseError::fail(format!("{other:?}"))),
        }
    }

    fn files(&self) -> [Option<Vec<u8>>; 4] {
        FILES.map(|name| fs::read(self.path(name)).ok())
    }
}

/// An account of which a change has reached the disk in part: the state, or the state and the secret file.
fn half_done(before: Account, after: &Account, has_state: bool, has_devices: bool) -> Account {
    let mut half = before.clone();
    if has_state {
        half.recovery_known = after.recovery_known;
        half.recovery_stranger = after.recovery_stranger;
        half.places.clone_from(&after.places);
        for (id, usage) in &mut half.usage {
            if let Some(after) = after.usage.get(id) {
                usage.clone_from(after);
            }
        }
    }
    if has_devices {
        half = after.clone();
        // What has become a device waits no more.
        let is_bound = |pending: &Device| after.devices.iter().any(|device| device.id == pending.id);
        half.pending = before.pending.filter(|pending| !is_bound(pending));
    }
    half
}

fn same_error(real: &mfa_core::Result<Response>, expected: &str) -> Checked {
    let found = match real {
        Ok(response) => format!("{response:?}"),
        Err(error) => {
            let debug = format!("{error:?}");
            let end = debug.find(|c: char| !c.is_alphanumeric()).unwrap_or(debug.len());
            debug[..end].to_owned()
        }
    };
    prop_assert_eq!(found, expected);
    Ok(())
}

fn in_the_words_of_the_rules(verdict: RealVerdict) -> Verdict {
    match verdict {
        RealVerdict::Accept(Factor::Device { name, digits }) => {
            Verdict::ByDevice { name: name.to_string(), digits: u32::from(digits.count()) }
        }
        RealVerdict::Accept(Factor::Recovery { left }) => Verdict::ByRecovery { left: usize::from(left) },
        RealVerdict::Accept(Factor::Bypass) => Verdict::ByBypass,
        RealVerdict::Refuse(refusal) => Verdict::Refused(why_of(refusal)),
    }
}

fn why_of(refusal: Refusal) -> Why {
    match refusal {
        Refusal::Wrong => Why::Wrong,
        Refusal::Replayed => Why::Replayed,
        Refusal::Skew => Why::Skew,
        Refusal::Throttled { wait_seconds } => Why::Throttled(wait_seconds),
        Refusal::Disabled => Why::Disabled,
        Refusal::Expired => Why::Expired,
        Refusal::NotEnrolled => Why::NotEnrolled,
        Refusal::ReadOnly => panic!("the store is not read-only"),
    }
}

fn alice() -> UserName {
    "alice".parse().unwrap()
}

fn real_name(text: &str) -> DeviceName {
    text.parse().unwrap()
}

fn real_code(digits: &str) -> Code {
    Code::from_digits(digits.as_bytes()).unwrap()
}

fn real_profile(profile: Profile) -> RealProfile {
    RealProfile {
        moving_factor: match profile.kind {
            Kind::Time { period } => {
                MovingFactor::Time(Period::try_from(u8::try_from(period).unwrap()).unwrap())
            }
            Kind::Counter { look_ahead } => {
                MovingFactor::Counter(LookAhead::try_from(u8::try_from(look_ahead).unwrap()).unwrap())
            }
        },
        algorithm: match profile.hash {
            Hash::Sha1 => Algorithm::Sha1,
            Hash::Sha256 => Algorithm::Sha256,
            Hash::Sha512 => Algorithm::Sha512,
        },
        digits: Digits::try_from(u8::try_from(profile.digits).unwrap()).unwrap(),
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
