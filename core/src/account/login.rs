//! Is this answer good, now?

use crate::answer::Answer;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::hex::Hex;
use crate::otp::Code;
use crate::policy::Policy;
use crate::recovery;
use crate::seal::HostKey;
use crate::state::Source;
use crate::store::{Access, Account, Record, Shard, Store};
use crate::user_name::UserName;
use crate::verify::{Occasion, Refusal, Round, Typed, Verdict, verify, verify_recovery};

/// One answer, when and from where.
pub(crate) struct Attempt<'a> {
    pub(crate) answer: &'a Answer,
    pub(crate) remote_host: Option<&'a str>,
    pub(crate) round: Round,
    pub(crate) now: Timestamp,
}

impl Attempt<'_> {
    fn occasion(&self, source: Source, record: &Record) -> Occasion {
        Occasion { now: self.now, source, durability: record.durability, round: self.round }
    }
}

/// Decides on an answer; for a name that has no account, does the same work on nobody's.
pub(crate) fn verify_answer<S: Store>(
    user: Option<&UserName>,
    attempt: &Attempt<'_>,
    store: &S,
    policy: &Policy,
) -> Result<Verdict> {
    match verify_account(user, attempt, store, policy) {
        Err(Error::NotEnrolled) => Ok(Verdict::Refuse(Refusal::NotEnrolled)),
        decided => decided,
    }
}

fn verify_account<S: Store>(
    user: Option<&UserName>,
    attempt: &Attempt<'_>,
    store: &S,
    policy: &Policy,
) -> Result<Verdict> {
    let key = store.key()?;
    let name = user.map(UserName::as_str).unwrap_or_default();
    let account = Account::OrDecoy(user, Shard::of(key.short_tag(&[b"decoy", name.as_bytes()])));
    let source = source(key, name, attempt.remote_host);
    let typed = match attempt.answer {
        Answer::Code(code) => &Typed::exactly(code.clone()),
        Answer::Tails(typed) => typed,
        Answer::Recovery(code) => {
            // The slow hash is computed outside the lock, on the codes that are read here and checked again under it.
            let codes = |record: &Record| (record.devices.recovery.clone(), record.devices.bypass.clone());
            let read = store.update(account, Access::Login, |record| Ok(codes(record)))?;
            let position = recovery::position(read.0.as_ref(), read.1.as_ref(), key, code)?;
            return decide(store, account, |record| {
                let position = position.filter(|_| codes(record) == read);
                let occasion = attempt.occasion(source, record);
                let (set, bypass) = (record.devices.recovery.as_ref(), record.devices.bypass.as_ref());
                Ok(verify_recovery(set, bypass, position, &mut record.state, occasion, policy))
            });
        }
    };
    decide(store, account, |record| {
        let devices = record.devices.open(key)?;
        let occasion = attempt.occasion(source, record);
        if let Answer::Code(code) = attempt.answer
            && let Some(accepted) = verify_scratch_code(key, code, record, occasion, policy)
        {
            return Ok(accepted);
        }
        Ok(verify(&devices, &mut record.state, typed, occasion, policy))
    })
}

/// Decides on a record; whatever a decoy's says, it lets nobody in.
fn decide<S: Store>(
    store: &S,
    account: Account<'_>,
    mut verdict: impl FnMut(&mut Record) -> Result<Verdict>,
) -> Result<Verdict> {
    store.update(account, Access::Login, |record| {
        let verdict = verdict(record)?;
        Ok(if record.is_decoy { Verdict::Refuse(Refusal::NotEnrolled) } else { verdict })
    })
}

/// Decides on 8 digits as a scratch code, where the account has any. A wrong one is counted here and then by the devices of that length.
fn verify_scratch_code(
    key: &HostKey,
    code: &Code,
    record: &mut Record,
    occasion: Occasion,
    policy: &Policy,
) -> Option<Verdict> {
    const SCRATCH_CODE_DIGITS: u8 = 8;
    let set = record.devices.recovery.as_ref().filter(|set| set.has_scratch_codes())?;
    if code.digits() != SCRATCH_CODE_DIGITS {
        return None;
    }
    let position = set.scratch_position(key, code);
    let verdict = verify_recovery(Some(set), None, position, &mut record.state, occasion, policy);
    let may_be_a_devices =
        record.devices.list.iter().any(|device| device.profile.digits.count() == SCRATCH_CODE_DIGITS);
    (position.is_some() || !may_be_a_devices).then_some(verdict)
}

/// The name of an address in one account's record: a keyed hash, of a whole /64 for IPv6, where one host has them all.
fn source(key: &HostKey, user: &str, remote_host: Option<&str>) -> Source {
    let place = match remote_host {
        None => "local".to_owned(),
        Some(host) => match host.parse::<std::net::IpAddr>().map(|address| address.to_canonical()) {
            Ok(std::net::IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
            Ok(address @ std::net::IpAddr::V4(_)) => address.to_string(),
            Err(_) => format!("host {host}"),
        },
    };
    Hex(key.short_tag(&[b"source", user.as_bytes(), place.as_bytes()]))
}
