//! A host with a real store, and the model of what must be in it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use mfa_core::answer::Answer;
use mfa_core::devices::{Device, DeviceId, Status};
use mfa_core::hex::Hex;
use mfa_core::otp::{Code as TypedCode, MovingFactor, Profile};
use mfa_core::request::{AccountStatus, WhyNotConfirmed};
use mfa_core::seal::HostKey;
use mfa_core::state::DeviceState;
use mfa_core::store::{Access, Account as Whose, Record, Store};
use mfa_core::verify::{Round, Typed as Tails};
use mfa_core::{
    Caller, Error, FileStore, Policy, Refusal, Request, Response, Secret, Timestamp, UserName, Verdict,
};

use crate::rules::{self, Account, ByPlace, Failures, Occasion, Pending, Typed};
use crate::steps::{Code, NAMES, Proof, Step, Torn, USERS, WhichEnrollment, profile};

#[path = "../../../../fuzz/src/fixture.rs"]
mod fixture;

pub struct World {
    folder: tempfile::TempDir,
    now: u64,
    policy: Policy,
    accounts: BTreeMap<&'static str, Account>,
    /// Every code that was typed, the latest last.
    typed: Vec<String>,
    /// Every enrollment that was begun.
    begun: Vec<[u8; 8]>,
    /// Every set of recovery codes that was made.
    sets: Vec<Vec<String>>,
    pub seen: Seen,
}

/// What a step came to, in a form in which the store's word and the model's can be compared.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Verdict(Verdict),
    /// The enrollment's id, and its seed.
    Pending([u8; 8], Vec<u8>),
    Enrolled(String),
    NotConfirmed(WhyNotConfirmed),
    RecoveryCodes,
    Done,
    Refused(&'static str),
}

type Checked = Result<(), String>;

/// The moment at which [`shared_seed`] 1 shows the same digits at two neighbouring steps.
const COLLISION_STEP: u64 = 63_344_378;

fn shared_seed(number: usize) -> Vec<u8> {
    vec![u8::try_from(number % 3).unwrap(); 20]
}

/// Remote hosts; those in one row are one place (docs/record-format.md section 2).
const PLACES: [&[Option<&str>]; 14] = [
    &[Some("192.0.2.1"), Some("::ffff:192.0.2.1")],
    &[None],
    &[Some("2001:db8::1"), Some("2001:db8::2"), Some("2001:db8:0:0:ffff::")],
    &[Some("2001:db8:0:1::1")],
    &[Some("local")],
    &[Some("host.example")],
    &[Some("192.0.2.2")],
    &[Some("192.0.2.3")],
    &[Some("192.0.2.4")],
    &[Some("192.0.2.5")],
    &[Some("192.0.2.6")],
    &[Some("192.0.2.7")],
    &[Some("Host.example")],
    &[Some("192.0.2.8")],
];

/// The text that is hashed for a place.
const PLACE_NAMES: [&str; 14] = [
    "192.0.2.1",
    "local",
    "2001:db8:0:0::/64",
    "2001:db8:0:1::/64",
    "host local",
    "host host.example",
    "192.0.2.2",
    "192.0.2.3",
    "192.0.2.4",
    "192.0.2.5",
    "192.0.2.6",
    "192.0.2.7",
    "host Host.example",
    "192.0.2.8",
];

fn place_of(number: usize) -> (usize, Option<&'static str>) {
    let place = number % PLACES.len();
    (place, PLACES[place][number / PLACES.len() % PLACES[place].len()])
}

impl World {
    pub fn new(policy: Policy) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            now: 1_800_000_000,
            policy,
            accounts: BTreeMap::new(),
            typed: vec!["000000".to_owned()],
            begun: vec![[0; 8]],
            sets: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Lets a step happen to both, and compares what they say and what they hold.
    pub fn take(&mut self, step: &Step) -> Checked {
        match step {
            Step::Clock(seconds) => self.now = self.now.saturating_add_signed(*seconds).max(1_700_000_000),
            Step::ClockToCollision => self.now = COLLISION_STEP * 30,
            Step::Crash { during, after_files, torn } => self.crash(during, *after_files, *torn)?,
            Step::Guesses { user, count, place } => {
                for _ in 0..*count {
                    self.now += 3600;
                    let code = Code::Any { digits: 6, number: u32::try_from(self.now % 1_000_003).unwrap() };
                    let (user, place) = (*user, *place);
                    let login = Step::Login { user, code, place, round: Round::First, behind_password: false };
                    self.happen(&login)?;
                }
            }
            step => self.happen(step)?,
        }
        self.compare()
    }

    /// One request, or what root does by other means.
    fn happen(&mut self, step: &Step) -> Checked {
        let (real, expected) = match step {
            Step::Login { user, code, place, round, behind_password } => {
                self.log_in(*user, code, *place, *round, *behind_password)
            }
            Step::Recovery { user, code, place } => self.recover(*user, *code, *place, None)?,
            Step::RecoveryInterrupted { user, code, place, by } => {
                self.recover(*user, *code, *place, Some(by))?
            }
            Step::Begin { user, name, profile } => self.begin(*user, *name, *profile),
            Step::Confirm { user, id, codes } => self.confirm(*user, *id, *codes),
            Step::Bind { user, name, profile, seed } => self.bind(*user, *name, *profile, *seed),
            Step::Remove { user, device } => self.remove(*user, *device),
            Step::Suspend { user, device } => self.set_status(*user, *device, Status::Suspended),
            Step::Resume { user, device } => self.set_status(*user, *device, Status::Active),
            Step::NewRecoveryCodes { user } => self.new_recovery_codes(*user),
            Step::Unlock { user } => self.change(*user, |user| Request::Unlock { user }, Account::unlock),
            Step::Repair { user } => {
                let now = self.now;
                self.change(*user, |user| Request::Repair { user }, |account| account.repair(now))
            }
            Step::Clock(_) | Step::ClockToCollision | Step::Guesses { .. } | Step::Crash { .. } => {
                return self.take(step);
            }
        };
        self.seen.note(&real);
        if real == expected { Ok(()) } else { Err(format!("the store said {real:?}, the model {expected:?}")) }
    }

    fn log_in(
        &mut self,
        user: usize,
        code: &Code,
        place: usize,
        round: Round,
        behind_password: bool,
    ) -> (Outcome, Outcome) {
        let text = self.digits(user, code);
        self.typed.push(text.clone());
        let mut typed = Typed::new();
        let answer = if behind_password {
            // The password ends with digits of its own, so that longer tails are codes too.
            let answer = format!("secret42{text}");
            for length in 6..=8 {
                let tail = &answer[answer.len() - length..];
                if tail.bytes().all(|byte| byte.is_ascii_digit()) {
                    typed.insert(length, tail.to_owned());
                }
            }
            Answer::Tails(Tails::tails(answer.as_bytes()).unwrap())
        } else {
            typed.insert(text.len(), text.clone());
            Answer::Code(TypedCode::from_digits(text.as_bytes()).unwrap())
        };
        let (place, remote_host) = place_of(place);
        let real = self.ask(Request::Verify {
            user: user_name(user).parse().ok(),
            answer,
            remote_host: remote_host.map(str::to_owned),
            round,
        });
        let occasion = self.occasion(place, round);
        let expected = match self.account(user) {
            Some(account) => account.verify(&typed, occasion),
            None => Verdict::Refuse(Refusal::NotEnrolled),
        };
        (real, Outcome::Verdict(expected))
    }

    fn recover(
        &mut self,
        user: usize,
        code: usize,
        place: usize,
        interrupted_by: Option<&Step>,
    ) -> Result<(Outcome, Outcome), String> {
        // A code of the account's set, of an older one, or of none.
        let text = match self.account(user).and_then(|account| account.recovery.clone()) {
            Some(set) if code < set.codes.len() => set.codes[code].clone(),
            _ => self.sets.first().map_or_else(|| "AAAABBBBCCCCDDDD".to_owned(), |codes| codes[code % 10].clone()),
        };
        let Some(Answer::Recovery(typed)) = Answer::parse(text.as_bytes()) else {
            return Err(format!("{text} is no recovery code"));
        };
        let (place, remote_host) = place_of(place);
        let request = Request::Verify {
            user: user_name(user).parse().ok(),
            answer: Answer::Recovery(typed),
            remote_host: remote_host.map(str::to_owned),
            round: Round::First,
        };
        let seen = self.account(user).map(|account| account.recovery.as_ref().map(|set| set.set));
        let (now, policy) = (self.now, self.policy);
        let failed = RefCell::new(Ok(()));
        let real = {
            let store = self.store();
            let this = RefCell::new(&mut *self);
            let interrupted = Interrupted {
                store,
                // The first update reads the set; the second decides.
                before_update: RefCell::new(Some((1, Box::new(|| {
                    if let Some(step) = interrupted_by {
                        *failed.borrow_mut() = this.borrow_mut().happen(step);
                    }
                })))),
            };
            outcome(mfa_core::answer(request, &Caller::Privileged, &interrupted, &policy, at(now)))
        };
        failed.into_inner()?;
        let occasion = self.occasion(place, Round::First);
        let expected = match (self.account(user), seen) {
            (Some(account), Some(seen)) => account.verify_recovery(&text, seen, occasion),
            // Not enrolled when it began, or not any more.
            _ => Verdict::Refuse(Refusal::NotEnrolled),
        };
        Ok((real, Outcome::Verdict(expected)))
    }

    fn begin(&mut self, user: usize, name: Option<usize>, number: usize) -> (Outcome, Outcome) {
        let name = name.map(|name| NAMES[name % NAMES.len()]);
        let profile = profile(number);
        let real = self.ask(Request::BeginEnrollment {
            user: user_name(user).parse().unwrap(),
            name: name.map(|name| name.parse().unwrap()),
            profile,
        });
        let now = self.now;
        let account = self.accounts.entry(user_name(user)).or_default();
        let taken = |name: &str| account.devices.iter().any(|device| device.name == name);
        let free = || {
            (1..=9)
                .map(|number| if number == 1 { "phone".to_owned() } else { format!("phone {number}") })
                .find(|name| !taken(name))
                .unwrap()
        };
        let name = name.map_or_else(free, str::to_owned);
        if taken(&name) {
            return (real, Outcome::Refused("NameTaken"));
        }
        if account.devices.len() >= 8 {
            return (real, Outcome::Refused("TooManyDevices"));
        }
        let waiting = account.waiting(now).filter(|pending| pending.name == name && pending.profile == profile);
        if let Some(waiting) = waiting {
            let expected = Outcome::Pending(waiting.id, waiting.seed.clone());
            return (real, expected);
        }
        let Outcome::Pending(id, seed) = real.clone() else {
            return (real, Outcome::Pending([0; 8], Vec::new()));
        };
        account.pending = Some(Pending { id, name, seed: seed.clone(), profile, begun: now });
        if self.begun.contains(&id) || seed.len() != profile.seed_bytes() {
            return (real, Outcome::Refused("a new id and a seed of the right length"));
        }
        self.begun.push(id);
        (real.clone(), real)
    }

    fn confirm(&mut self, user: usize, which: WhichEnrollment, proof: Proof) -> (Outcome, Outcome) {
        let now = self.now;
        let account = self.accounts.entry(user_name(user)).or_default();
        let pending = account.pending.clone();
        let id = match (which, &pending) {
            (WhichEnrollment::Pending, Some(pending)) => pending.id,
            (WhichEnrollment::Pending, None) => [7; 8],
            (WhichEnrollment::Earlier(number), _) => self.begun[number % self.begun.len()],
        };
        let (first, second) = match &pending {
            Some(pending) => proof_codes(pending, proof, now),
            None => ("111111".to_owned(), "222222".to_owned()),
        };
        let exists = self.folder.path().join("store/key").exists();
        let code = |text: &str| TypedCode::from_digits(text.as_bytes()).unwrap();
        let real = self.ask(Request::ConfirmEnrollment {
            user: user_name(user).parse().unwrap(),
            id: Hex(id),
            first: code(&first),
            second: code(&second),
        });
        let account = self.accounts.entry(user_name(user)).or_default();
        let expected = match account.waiting(now).filter(|pending| pending.id == id).cloned() {
            None if !exists => Outcome::Refused("NoStore"),
            None => Outcome::Refused("NoSuchEnrollment"),
            Some(pending) if account.devices.iter().any(|device| device.name == pending.name) => {
                Outcome::Refused("NameTaken")
            }
            Some(_) if account.devices.len() >= 8 => Outcome::Refused("TooManyDevices"),
            Some(pending) => match rules::prove(&pending.seed, pending.profile, &first, &second, now) {
                Ok((floor, drift)) => {
                    account.bind(&pending, floor, drift);
                    Outcome::Enrolled(pending.name)
                }
                Err(why) => Outcome::NotConfirmed(why),
            },
        };
        (real, expected)
    }

    /// A device bound by other means than the two codes, as an import would: nothing is used up yet.
    fn bind(&mut self, user: usize, name: usize, number: usize, seed: usize) -> (Outcome, Outcome) {
        let (name, profile, seed) = (NAMES[name % NAMES.len()], profile(number), shared_seed(seed));
        let account = self.accounts.entry(user_name(user)).or_default();
        let taken = account.devices.iter().any(|device| device.name == name);
        if account.devices.is_empty() || taken || account.devices.len() >= 8 {
            return (Outcome::Done, Outcome::Done);
        }
        let (store, user_name) = (self.store(), user_name(user).parse::<UserName>().unwrap());
        let key: &HostKey = store.key().unwrap();
        let secret = Secret::new(seed.clone());
        let device = Device::seal(key, &user_name, name.parse().unwrap(), profile, &secret, at(self.now)).unwrap();
        let id = device.id;
        let real = store.update(Whose::User(&user_name), Access::Change, |record: &mut Record| {
            record.devices.list.push(device.clone());
            record.state.devices.push(DeviceState::with_floor(id, None, 0));
            Ok(Response::Done)
        });
        let account = self.accounts.entry(crate::world::user_name(user)).or_default();
        account.devices.push(rules::Device {
            id: id.0,
            name: name.to_owned(),
            seed,
            profile,
            suspended: false,
            floor: None,
            drift: 0,
            disabled: false,
            closed_to_strangers: false,
            failures: ByPlace::default(),
        });
        (outcome(real), Outcome::Done)
    }

    fn remove(&mut self, user: usize, device: usize) -> (Outcome, Outcome) {
        let name = self.account(user).and_then(|account| Some(account.devices.get(device)?.name.clone()));
        let text = name.clone().unwrap_or_else(|| "no such device".to_owned());
        let real = self.ask(Request::RemoveDevice {
            user: user_name(user).parse().unwrap(),
            name: text.parse().unwrap(),
        });
        let expected = match (self.account(user), name) {
            (None, _) => Outcome::Refused("NotEnrolled"),
            (Some(_), None) => Outcome::Refused("NoSuchDevice"),
            (Some(account), Some(name)) => {
                account.remove(&name);
                Outcome::Done
            }
        };
        (self.or_no_store(real), expected)
    }

    fn set_status(&mut self, user: usize, number: usize, status: Status) -> (Outcome, Outcome) {
        let Some(device) = self.account(user).and_then(|account| account.devices.get_mut(number)) else {
            return (Outcome::Done, Outcome::Done);
        };
        device.suspended = status == Status::Suspended;
        let id: DeviceId = Hex(device.id);
        let user_name: UserName = user_name(user).parse().unwrap();
        let real = self.store().update(Whose::User(&user_name), Access::Change, |record: &mut Record| {
            record.devices.list.iter_mut().find(|device| device.id == id).unwrap().status = status;
            Ok(Response::Done)
        });
        (outcome(real), Outcome::Done)
    }

    fn new_recovery_codes(&mut self, user: usize) -> (Outcome, Outcome) {
        let request = Request::NewRecoveryCodes { user: user_name(user).parse().unwrap() };
        let response = mfa_core::answer(request, &Caller::Privileged, &self.store(), &self.policy, at(self.now));
        if let Ok(Response::RecoveryCodes(codes)) = &response {
            let codes = codes.iter().map(|code| code.expose_grouped().replace('-', "")).collect();
            self.sets.push(codes);
        }
        let set = self.sets.last().cloned().map(|codes| rules::RecoveryCodes { set: self.sets.len(), codes });
        let expected = match self.account(user) {
            None => Outcome::Refused("NotEnrolled"),
            Some(account) => {
                account.recovery = set;
                Outcome::RecoveryCodes
            }
        };
        (self.or_no_store(outcome(response)), expected)
    }

    /// A request that changes an enrolled account and has no other effect.
    fn change(
        &mut self,
        user: usize,
        request: impl Fn(UserName) -> Request,
        effect: impl Fn(&mut Account),
    ) -> (Outcome, Outcome) {
        let real = self.ask(request(user_name(user).parse().unwrap()));
        let expected = match self.account(user) {
            None => Outcome::Refused("NotEnrolled"),
            Some(account) => {
                effect(account);
                Outcome::Done
            }
        };
        (self.or_no_store(real), expected)
    }

    /// Before anybody is enrolled there may be no store, which is as good a reason.
    fn or_no_store(&self, real: Outcome) -> Outcome {
        let nobody = !self.folder.path().join("store/key").exists();
        if nobody && real == Outcome::Refused("NoStore") { Outcome::Refused("NotEnrolled") } else { real }
    }

    /// Lets a step happen, then puts back on disk what a crash in its middle would have left, and the model to what that means.
    fn crash(&mut self, during: &Step, after_files: usize, torn: Torn) -> Checked {
        let Some(user) = user_of(during) else { return self.happen(during) };
        let folder = self.user_folder(user);
        // The first enrollment of all makes the store as well; its crashes are another test's.
        if !folder.exists() {
            return self.happen(during);
        }
        let (files_before, model_before) = (read_folder(&folder), self.accounts.get(user_name(user)).cloned());
        self.happen(during)?;
        let files_after = read_folder(&folder);
        let changed: Vec<&str> = ["state", "devices.toml", "pending.toml"]
            .into_iter()
            .filter(|name| files_before.get(*name) != files_after.get(*name))
            .collect();
        let complete = after_files % (changed.len() + 1);
        if complete == changed.len() {
            return Ok(());
        }
        let mut files = files_before.clone();
        for name in &changed[..complete] {
            match files_after.get(*name) {
                Some(content) => files.insert((*name).to_owned(), content.clone()),
                None => files.remove(*name),
            };
        }
        tear(&mut files, changed[complete], &files_before, &files_after, torn);
        write_folder(&folder, &files);
        self.seen.crashes += 1;
        self.account_after_crash(user, during, &changed[..complete], model_before);
        Ok(())
    }

    /// What a crash leaves of a step is what is on disk of it, and no step leaves a half.
    fn account_after_crash(&mut self, user: usize, during: &Step, complete: &[&str], before: Option<Account>) {
        let decisive = match during {
            Step::Login { .. } | Step::Recovery { .. } | Step::Unlock { .. } => "state",
            Step::Begin { .. } => "pending.toml",
            _ => "devices.toml",
        };
        if complete.contains(&decisive) {
            return;
        }
        match before {
            Some(before) => self.accounts.insert(user_name(user), before),
            None => self.accounts.remove(user_name(user)),
        };
    }

    /// The account, if it is one.
    fn account(&mut self, user: usize) -> Option<&mut Account> {
        self.accounts.get_mut(user_name(user)).filter(|account| !account.devices.is_empty())
    }

    fn digits(&mut self, user: usize, code: &Code) -> String {
        let now = self.now;
        match code {
            Code::Again(back) => {
                let at = self.typed.len().saturating_sub(1 + back % self.typed.len());
                self.typed[at].clone()
            }
            Code::Any { digits, number } => format!("{number:010}")[10 - digits..].to_owned(),
            Code::Of { device, offset } => match self.account(user) {
                None => "123456".to_owned(),
                Some(account) => {
                    let device = &account.devices[device % account.devices.len()];
                    let middle = match device.profile.moving_factor {
                        MovingFactor::Time(period) => (now / period.seconds()).saturating_add_signed(device.drift),
                        MovingFactor::Counter(_) => device.floor.map_or(0, |floor| floor + 1),
                    };
                    rules::hotp(&device.seed, device.profile, middle.saturating_add_signed(*offset))
                }
            },
        }
    }

    fn occasion(&self, place: usize, round: Round) -> Occasion {
        Occasion { now: self.now, place, round, policy: self.policy }
    }

    /// A new one each time, as every login opens the store anew.
    fn store(&self) -> FileStore {
        FileStore::at(self.folder.path().join("store"))
    }

    fn ask(&self, request: Request) -> Outcome {
        outcome(mfa_core::answer(request, &Caller::Privileged, &self.store(), &self.policy, at(self.now)))
    }

    fn user_folder(&self, user: usize) -> PathBuf {
        self.folder.path().join("store/users").join(user_name(user))
    }

    /// The bytes on disk, read by docs/record-format.md, and what the store tells of them, against the model.
    fn compare(&mut self) -> Checked {
        for user in 0..USERS.len() {
            let Some(account) = self.account(user).cloned() else { continue };
            let file = fs::read(self.user_folder(user).join("state")).map_err(|error| error.to_string())?;
            let (_, slot) = fixture::holding_slot_of(user_name(user), &file).ok_or("no slot holds")?;
            self.compare_state(user, &account, &slot)?;
            let status = match mfa_core::answer(
                Request::Status { user: user_name(user).parse().unwrap() },
                &Caller::Owner(user_name(user).parse().unwrap()),
                &self.store(),
                &self.policy,
                at(self.now),
            ) {
                Ok(Response::Status(status)) => status,
                other => return Err(format!("no status of {}: {other:?}", user_name(user))),
            };
            compare_status(&account, &status)?;
        }
        Ok(())
    }

    fn compare_state(&self, user: usize, account: &Account, slot: &fixture::Slot) -> Checked {
        let failures = |failures: fixture::Failures| Failures { last: failures.last, count: failures.count };
        let by_place = |both: [fixture::Failures; 2]| ByPlace { known: failures(both[0]), stranger: failures(both[1]) };
        for device in &account.devices {
            let entries: Vec<_> = slot.devices.iter().filter(|entry| entry.id == device.id).collect();
            let [entry] = entries[..] else { return Err(format!("{} entries of {}", entries.len(), device.name)) };
            let real = (entry.floor, i64::from(entry.drift), entry.disabled, entry.closed_to_strangers);
            let expected = (device.floor, device.drift, device.disabled, device.closed_to_strangers);
            if real != expected {
                return Err(format!("{}: {real:?} on disk, {expected:?} in the model", device.name));
            }
            let (real, expected) = (by_place(entry.failures), device.failures);
            if real != expected {
                return Err(format!("failures of {}: {real:?} on disk, {expected:?} in the model", device.name));
            }
        }
        let key = self.key();
        let known: Vec<[u8; 8]> = account.known.iter().map(|place| source(&key, user_name(user), *place)).collect();
        if slot.sources != known {
            return Err(format!("known places: {:?} on disk, {known:?} in the model", slot.sources));
        }
        if by_place(slot.recovery_failures) != account.recovery_failures {
            return Err(format!("{:?}, the model {:?}", slot.recovery_failures, account.recovery_failures));
        }
        let marks = account.spent.iter().fold(0_u16, |marks, position| marks | 1 << position);
        if slot.spent != marks || slot.recovery_set.is_some() != account.marked_set.is_some() {
            return Err(format!("spent codes: {:b} on disk, {marks:b} in the model", slot.spent));
        }
        Ok(())
    }

    fn key(&self) -> Vec<u8> {
        let text = fs::read_to_string(self.folder.path().join("store/key")).unwrap();
        let letters = text.strip_prefix("pam-mfa-key-1:").unwrap().trim_end();
        base32::decode(base32::Alphabet::Rfc4648 { padding: false }, letters).unwrap()
    }
}

fn compare_status(account: &Account, status: &AccountStatus) -> Checked {
    let real: Vec<_> = status
        .devices
        .iter()
        .map(|device| {
            (device.id.0, device.name.to_string(), device.profile, device.status, device.failures, device.disabled)
        })
        .collect();
    let expected: Vec<_> = account
        .devices
        .iter()
        .map(|device| {
            let status = if device.suspended { Status::Suspended } else { Status::Active };
            let failures = device.failures.known.count + device.failures.stranger.count;
            (device.id, device.name.clone(), device.profile, status, failures, device.disabled)
        })
        .collect();
    if real != expected {
        return Err(format!("status: {real:?}, the model {expected:?}"));
    }
    let left = account.recovery_codes_left();
    if status.recovery_codes_left.map(usize::from) != left {
        return Err(format!("{:?} recovery codes left, the model {left:?}", status.recovery_codes_left));
    }
    Ok(())
}

/// HMAC-SHA-256 under the host key, as docs/record-format.md section 2 has it.
fn source(key: &[u8], user: &str, place: usize) -> [u8; 8] {
    let mut message = Vec::new();
    for part in ["source", user, PLACE_NAMES[place]] {
        message.extend_from_slice(&u32::try_from(part.len()).unwrap().to_be_bytes());
        message.extend_from_slice(part.as_bytes());
    }
    rules::hmac_sha256(key, &message)[..8].try_into().unwrap()
}

fn user_name(user: usize) -> &'static str {
    USERS[user % USERS.len()]
}

fn at(now: u64) -> Timestamp {
    Timestamp::from_unix_seconds(now)
}

fn user_of(step: &Step) -> Option<usize> {
    match step {
        Step::Login { user, .. }
        | Step::Recovery { user, .. }
        | Step::Begin { user, .. }
        | Step::Confirm { user, .. }
        | Step::Remove { user, .. }
        | Step::NewRecoveryCodes { user }
        | Step::Unlock { user }
        | Step::Repair { user } => Some(*user),
        // Several requests, or none.
        Step::Clock(_)
        | Step::ClockToCollision
        | Step::RecoveryInterrupted { .. }
        | Step::Bind { .. }
        | Step::Suspend { .. }
        | Step::Resume { .. }
        | Step::Guesses { .. }
        | Step::Crash { .. } => None,
    }
}

fn proof_codes(pending: &Pending, proof: Proof, now: u64) -> (String, String) {
    let middle = |profile: Profile| match profile.moving_factor {
        MovingFactor::Time(period) => now / period.seconds(),
        MovingFactor::Counter(_) => 3,
    };
    let code = |profile: Profile, offset: i64| {
        rules::hotp(&pending.seed, profile, middle(profile).saturating_add_signed(offset))
    };
    let profile = pending.profile;
    match proof {
        Proof::Consecutive(second) => (code(profile, second - 1), code(profile, second)),
        Proof::Same(second) => (code(profile, second), code(profile, second)),
        Proof::Swapped(second) => (code(profile, second), code(profile, second - 1)),
        Proof::Gap(second, gap) => (code(profile, second - gap), code(profile, second)),
        Proof::Plain(second) => (code(Profile::PLAIN, second - 1), code(Profile::PLAIN, second)),
        Proof::Any(first, second) => (format!("{:06}", first % 1_000_000), format!("{:06}", second % 1_000_000)),
    }
}

fn outcome(result: mfa_core::Result<Response>) -> Outcome {
    match result {
        Ok(Response::Verdict(verdict)) => Outcome::Verdict(verdict),
        Ok(Response::Pending(pending)) => Outcome::Pending(pending.id.0, pending.seed.expose().to_vec()),
        Ok(Response::Enrolled(name)) => Outcome::Enrolled(name.to_string()),
        Ok(Response::NotConfirmed(why)) => Outcome::NotConfirmed(why),
        Ok(Response::RecoveryCodes(_)) => Outcome::RecoveryCodes,
        Ok(Response::Done) => Outcome::Done,
        Ok(Response::Status(_)) => Outcome::Refused("a status"),
        Err(Error::NotEnrolled) => Outcome::Refused("NotEnrolled"),
        Err(Error::NameTaken { .. }) => Outcome::Refused("NameTaken"),
        Err(Error::TooManyDevices) => Outcome::Refused("TooManyDevices"),
        Err(Error::NoSuchDevice { .. }) => Outcome::Refused("NoSuchDevice"),
        Err(Error::NoSuchEnrollment) => Outcome::Refused("NoSuchEnrollment"),
        Err(Error::NoStore { .. }) => Outcome::Refused("NoStore"),
        Err(error) => panic!("{error}"),
    }
}

type Files = BTreeMap<String, Vec<u8>>;

fn read_folder(folder: &Path) -> Files {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
        })
        .collect()
}

fn write_folder(folder: &Path, files: &Files) {
    fs::remove_dir_all(folder).unwrap();
    DirBuilder::new().mode(0o700).create(folder).unwrap();
    for (name, content) in files {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(folder.join(name)).unwrap();
        file.write_all(content).unwrap();
    }
}

/// The file that was being written when the machine stopped. A slot is torn in place; any other file is written beside the old one.
fn tear(files: &mut Files, name: &str, before: &Files, after: &Files, torn: Torn) {
    let Some(new) = after.get(name) else { return };
    match before.get(name) {
        Some(old) if name == "state" => {
            let slot = if old[..4096] == new[..4096] { 4096 } else { 0 };
            let new = &new[slot..slot + 4096];
            let old = &mut files.get_mut(name).unwrap()[slot..slot + 4096];
            match torn {
                Torn::Beginning(bytes) => old[..bytes].copy_from_slice(&new[..bytes]),
                // At least the last byte of the first field is missing.
                Torn::End(missing) => old[missing + 16..].copy_from_slice(&new[missing + 16..]),
            }
        }
        _ => {
            let length = match torn {
                Torn::Beginning(bytes) => bytes.min(new.len()),
                Torn::End(missing) => new.len().saturating_sub(missing),
            };
            files.insert(format!("{name}.new"), new[..length].to_vec());
        }
    }
}

/// Called once, just before one of the updates of an account.
type Interruption<'a> = Box<dyn FnOnce() + 'a>;

/// A store in which something happens between two updates of one request.
struct Interrupted<'a> {
    store: FileStore,
    /// After so many updates.
    before_update: RefCell<Option<(usize, Interruption<'a>)>>,
}

impl Store for Interrupted<'_> {
    fn key(&self) -> mfa_core::Result<&HostKey> {
        self.store.key()
    }

    fn prepare(&self) -> mfa_core::Result<()> {
        self.store.prepare()
    }

    fn update<T>(
        &self,
        account: Whose<'_>,
        access: Access,
        decide: impl FnMut(&mut Record) -> mfa_core::Result<T>,
    ) -> mfa_core::Result<T> {
        let waiting = self.before_update.borrow_mut().take();
        match waiting {
            Some((0, interruption)) => interruption(),
            Some((updates, interruption)) => {
                *self.before_update.borrow_mut() = Some((updates - 1, interruption));
            }
            None => {}
        }
        self.store.update(account, access, decide)
    }

    fn accounts(&self) -> mfa_core::Result<Vec<UserName>> {
        self.store.accounts()
    }
}

/// What came about, so that a history in which nothing happens does not pass for a proof.
#[derive(Debug, Default)]
pub struct Seen {
    counts: BTreeMap<String, usize>,
    crashes: usize,
}

impl Seen {
    fn note(&mut self, outcome: &Outcome) {
        let what = match outcome {
            Outcome::Verdict(Verdict::Refuse(Refusal::Throttled { .. })) => "Throttled".to_owned(),
            Outcome::Verdict(Verdict::Refuse(refusal)) => format!("{refusal:?}"),
            Outcome::Verdict(Verdict::Accept(mfa_core::Factor::Recovery { .. })) => "recovery code".to_owned(),
            Outcome::Verdict(Verdict::Accept(_)) => "accepted".to_owned(),
            Outcome::Enrolled(_) => "enrolled".to_owned(),
            Outcome::Refused(why) => (*why).to_owned(),
            Outcome::NotConfirmed(WhyNotConfirmed::ClockOff { .. }) => "ClockOff".to_owned(),
            Outcome::NotConfirmed(WhyNotConfirmed::ProfileIgnored { .. }) => "ProfileIgnored".to_owned(),
            Outcome::NotConfirmed(why) => format!("{why:?}"),
            Outcome::Pending(..) | Outcome::RecoveryCodes | Outcome::Done => return,
        };
        *self.counts.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        for (what, count) in &other.counts {
            *self.counts.entry(what.clone()).or_default() += count;
        }
    }

    pub fn text(&self) -> String {
        format!("{} crashes, {:?}", self.crashes, self.counts)
    }

    pub fn check_that_everything_happened(&self) {
        for what in [
            "accepted",
            "recovery code",
            "enrolled",
            "Wrong",
            "Replayed",
            "Skew",
            "Throttled",
            "Disabled",
            "NotEnrolled",
            "NoSuchEnrollment",
            "NameTaken",
            "ClockOff",
            "ProfileIgnored",
            "NotConsecutive",
            "SameCode",
            "OtherCodes",
        ] {
            assert!(self.counts.contains_key(what), "in no history: {what}; {}", self.text());
        }
        assert!(self.crashes > 50, "{}", self.text());
    }
}
