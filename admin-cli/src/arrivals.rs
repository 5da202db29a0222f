//! Devices that come from elsewhere with the name of their owner: all of it is checked before anything is written.

use std::collections::{BTreeMap, HashMap};

use mfa_cli::{AccountNames, Failure, Output, Progress, Session, counted};
use mfa_core::UserName;
use mfa_core::devices::{DeviceName, MAX_DEVICES, Status};
use mfa_core::recovery::ScratchCode;
use mfa_core::request::ForeignDevice;
use mfa_core::store::Clash;
use mfa_import::{Place, Problem, Token};
use serde_json::{Value, json};

use crate::cli::ArrivalOptions;
use crate::problems;

/// One device, and the scratch codes that come with it.
pub(crate) struct Arrival {
    pub(crate) user: UserName,
    /// The file that it stands in.
    pub(crate) file: String,
    pub(crate) place: Place,
    pub(crate) device: ForeignDevice,
    /// The floor where the account does not have the device yet, if that is another one.
    pub(crate) first_floor: Option<u64>,
    pub(crate) scratch_codes: Vec<ScratchCode>,
    weak: bool,
    stray_bits: bool,
}

impl Arrival {
    /// A token of a file that names its owner.
    pub(crate) fn new(file: &str, token: Token, name: DeviceName) -> Result<Self, Problem> {
        let floor = token.floor();
        let owner = token.owner.ok_or_else(|| Problem::new(token.place, "it does not say whose it is"))?;
        Ok(Self {
            user: owner,
            file: file.to_owned(),
            place: token.place,
            device: ForeignDevice {
                name,
                profile: token.profile,
                seed: token.seed,
                serial: token.serial,
                floor,
                clock_offset_steps: token.drift_steps,
                status: Status::Active,
                expires_at: token.expires_at,
            },
            first_floor: None,
            scratch_codes: Vec::new(),
            weak: token.weak,
            stray_bits: token.stray_bits,
        })
    }

    fn problem(&self, text: impl Into<String>) -> Misplaced {
        Misplaced { file: self.file.clone(), problem: Problem::new(self.place, text) }
    }
}

/// A problem and the file that it is in.
pub(crate) struct Misplaced {
    pub(crate) file: String,
    pub(crate) problem: Problem,
}

/// What one account gets.
pub(crate) struct Account {
    pub(crate) user: UserName,
    pub(crate) arrivals: Vec<Arrival>,
    /// How many of the devices it has already.
    known: usize,
    /// It has recovery codes, and keeps those.
    keeps_its_codes: bool,
}

/// What became of the arrivals.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) accounts: usize,
    pub(crate) devices: usize,
    pub(crate) known: usize,
}

impl Done {
    fn add(&mut self, account: &Account) {
        let new = account.arrivals.len().saturating_sub(account.known);
        self.accounts = self.accounts.saturating_add(usize::from(new > 0));
        self.devices = self.devices.saturating_add(new);
        self.known = self.known.saturating_add(account.known);
    }

    pub(crate) fn of(accounts: &[Account]) -> Self {
        let mut done = Self::default();
        for account in accounts {
            done.add(account);
        }
        done
    }

    /// `3 devices of 2 accounts`
    pub(crate) fn sentence(&self) -> String {
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let devices = counted(number(self.devices), "device");
        format!("{devices} of {}", counted(number(self.accounts), "account"))
    }

    pub(crate) fn json(&self, result: &str) -> Value {
        json!({ "result": result, "accounts": self.accounts, "devices": self.devices, "already_there": self.known })
    }
}

/// Sorts the arrivals by account and finds everything that speaks against them. An account that something speaks against is not among those that
/// are given back.
pub(crate) fn check(
    session: &Session,
    arrivals: Vec<Arrival>,
    options: &ArrivalOptions,
) -> Result<(Vec<Account>, Vec<Misplaced>), Failure> {
    let names = session.account_names(options.names.no_account_check);
    let stock = session.stock()?;
    let mut progress = Progress::begin("checking", arrivals.len());
    let wanted = arrivals.iter().map(|arrival| (arrival.device.serial.as_ref(), &arrival.device.seed));
    let mut clashes = session.clashes(&stock, wanted, || progress.step())?;
    drop(progress);
    clashes.resize(arrivals.len(), None);
    let mut misplaced = repetitions(&arrivals);
    let mut accounts: BTreeMap<UserName, Account> = BTreeMap::new();
    for (arrival, clash) in arrivals.into_iter().zip(clashes) {
        if arrival.weak && !options.check.allow_weak {
            misplaced.push(arrival.problem(
                "the seed has less than 128 bits (RFC 4226 R6); --allow-weak takes it all the same, better is a new device",
            ));
        }
        let known = matches!(&clash, Some(Clash::SeedOfAccount(user)) if *user == arrival.user);
        if let Some(text) = clash.filter(|_| !known).map(|clash| sentence(&clash)) {
            misplaced.push(arrival.problem(text));
        }
        let user = arrival.user.clone();
        let account = accounts.entry(user.clone()).or_insert_with(|| Account {
            user,
            arrivals: Vec::new(),
            known: 0,
            keeps_its_codes: false,
        });
        account.known = account.known.saturating_add(usize::from(known));
        account.arrivals.push(arrival);
    }
    for account in accounts.values_mut() {
        misplaced.extend(check_account(session, account, names));
    }
    let is_fine = |account: &Account| {
        let files: Vec<&str> = account.arrivals.iter().map(|arrival| arrival.file.as_str()).collect();
        !misplaced.iter().any(|wrong| {
            files.contains(&wrong.file.as_str())
                && account.arrivals.iter().any(|arrival| arrival.place == wrong.problem.place)
        })
    };
    let fine = accounts.into_values().filter(is_fine).collect();
    misplaced.sort_by(|one, other| (&one.file, one.problem.place).cmp(&(&other.file, other.problem.place)));
    Ok((fine, misplaced))
}

/// Tells what is taken, or left behind, and should be known.
pub(crate) fn warn(output: &Output, accounts: &[Account]) {
    let tell = |is_meant: fn(&Account) -> bool, what: &str| {
        let meant = accounts.iter().filter(|account| is_meant(account));
        let users: Vec<&UserName> = meant.map(|account| &account.user).collect();
        if !users.is_empty() {
            output.warn(&format!("{what}: {}", problems::some_of(&users)));
        }
    };
    tell(|account| account.arrivals.iter().any(|arrival| arrival.weak), "with a seed of less than 128 bits");
    tell(
        |account| account.arrivals.iter().any(|arrival| arrival.stray_bits),
        "with bits left over at the end of the seed (a letter may be wrong or missing)",
    );
    tell(
        |account| {
            let brings_codes = account.arrivals.iter().any(|arrival| !arrival.scratch_codes.is_empty());
            account.keeps_its_codes && account.known == 0 && brings_codes
        },
        "with recovery codes already, so that the emergency codes of the old module are left behind",
    );
}

/// Gives all accounts their devices. Told of each that is done.
///
/// # Errors
/// One could not be done. Those before it are, and doing all again does no harm.
pub(crate) fn take_over(
    session: &Session,
    what: &'static str,
    accounts: Vec<Account>,
    mut each: impl FnMut(&Account) -> Result<(), Failure>,
) -> Result<Done, Failure> {
    let total = accounts.len();
    if total > 0 {
        session.prepare()?;
    }
    let mut done = Done::default();
    let mut progress = Progress::begin("enrolling", total);
    for (account, before) in accounts.into_iter().zip(0_usize..) {
        let taken = adopt(session, what, &account).and_then(|()| each(&account));
        taken.map_err(|failure| unfinished(&account.user, before, total, &failure))?;
        done.add(&account);
        progress.step();
    }
    Ok(done)
}

fn adopt(session: &Session, what: &'static str, account: &Account) -> Result<(), Failure> {
    let has_new = account.arrivals.len() > account.known;
    let devices = account.arrivals.iter().map(|arrival| {
        let floor = arrival.device.floor.max(arrival.first_floor.filter(|_| has_new));
        ForeignDevice { floor, ..arrival.device.clone() }
    });
    let scratch_codes = account.arrivals.iter().flat_map(|arrival| arrival.scratch_codes.clone());
    session.adopt(&account.user, devices.collect(), scratch_codes.collect())?;
    if has_new {
        session.log_change(what, &account.user, None);
    }
    Ok(())
}

fn unfinished(user: &UserName, done: usize, total: usize, failure: &Failure) -> Failure {
    let reason = failure.sentence();
    if done == 0 {
        return Failure::Refused {
            sentence: format!("{user}: {reason}; nothing was changed"),
            hint: failure.hint().map(str::to_owned),
        };
    }
    let cure = failure.hint().map(|hint| format!("{hint}; then run it again: ")).unwrap_or_default();
    Failure::refused(
        format!(
            "{user}: {reason}; {done} of {total} accounts are done, those whose names come before {user}"
        ),
        format!("{cure}running it again is safe, what is there is not added a second time"),
    )
}

fn check_account(session: &Session, account: &mut Account, names: AccountNames) -> Option<Misplaced> {
    let last = account.arrivals.last()?;
    if let Err(failure) = session.check_account(&account.user, names) {
        return Some(last.problem(failure.sentence()));
    }
    let status = match session.status(&account.user) {
        Ok(status) => status,
        Err(failure) => return Some(last.problem(failure.sentence())),
    };
    account.keeps_its_codes = status.recovery_codes_left.is_some();
    let new = account.arrivals.len().saturating_sub(account.known);
    if status.devices.len().saturating_add(new) > MAX_DEVICES {
        return Some(last.problem(format!("{} would have more than {MAX_DEVICES} devices", account.user)));
    }
    None
}

fn sentence(clash: &Clash) -> String {
    match clash {
        Clash::SerialInStock => "the stock has a token with this serial number".to_owned(),
        Clash::SeedInStock(serial) => {
            format!("it is the token {serial} of the stock: mfa-admin tokens assign gives it to somebody")
        }
        Clash::SerialOfAccount(user) => format!("{user} has a token with this serial number"),
        Clash::SeedOfAccount(user) => format!("{user} has a device with this seed"),
    }
}

/// Seeds that come more than once (RFC 6238 R5: each prover has its own key).
fn repetitions(arrivals: &[Arrival]) -> Vec<Misplaced> {
    let mut seeds = HashMap::new();
    let mut repeated = Vec::new();
    for arrival in arrivals {
        if let Some(first) = seeds.insert(arrival.device.seed.expose(), &arrival.user) {
            repeated.push(arrival.problem(format!("{first} has the same seed")));
        }
    }
    repeated
}
