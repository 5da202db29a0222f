//! Everything anyone may ask about an account, and the one function that answers it.
//!
//! A caller that can open the store asks in its own process. One that can't sends the same request to a process that can, which
//! passes on who is asking as [`Caller`]. What is done for each request stands in `account`.

use serde::{Deserialize, Serialize};

use crate::account::{adoption, bypass, changes, enrollment, login, repair, resync, status};
use crate::answer::Answer;
use crate::clock::Timestamp;
use crate::devices::{DeviceId, DeviceName, Serial, Status};
use crate::error::{Error, Result};
use crate::history::{Change, Origin};
use crate::one_line;
use crate::otp::{Code, Profile};
use crate::policy::Policy;
use crate::recovery::{RecoveryCode, ScratchCode};
use crate::secret::{Secret, exposed, wipe_stack};
use crate::store::{Access, Account, Store};
use crate::user_name::UserName;
use crate::verify::{Refusal, Round, Verdict};

/// How long an enrollment waits for its codes, in seconds; until then a retry shows the same key.
pub const PENDING_SECONDS: u64 = 15 * 60;

/// Who asks, and from where.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What the caller may ask.
    pub right: Right,
    /// What the history and the log say about where the request came from.
    pub origin: Origin,
}

impl Caller {
    /// Whoever can open the store anyway: root's programs, and a login that acts for it.
    pub fn privileged(origin: impl AsRef<str>) -> Self {
        Self { right: Right::Privileged, origin: Origin::new(origin.as_ref()) }
    }

    /// The owner of the account, known from the kernel.
    pub fn owner(user: UserName, evidence: Evidence, origin: impl AsRef<str>) -> Self {
        Self { right: Right::Owner { user, evidence }, origin: Origin::new(origin.as_ref()) }
    }

    /// Whether nothing but the account's password speaks for the caller.
    pub(crate) fn has_password_alone(&self) -> bool {
        match &self.right {
            Right::Owner { evidence: Evidence::Password, .. } => true,
            Right::Owner { evidence: Evidence::Nothing | Evidence::Answer(_), .. } | Right::Privileged => {
                false
            }
        }
    }
}

/// What a caller may ask.
#[derive(Clone, Debug)]
pub enum Right {
    /// Everything, about every account.
    Privileged,
    /// What concerns that account alone, and changes only with evidence that it is more than an open terminal.
    Owner {
        /// Whose account.
        user: UserName,
        /// What speaks for the caller besides the kernel.
        evidence: Evidence,
    },
}

/// What speaks for an owner who wants to change devices.
#[derive(Clone, Debug)]
pub enum Evidence {
    /// Nothing but that the kernel says who it is.
    Nothing,
    /// The account's password was right. Enough for the first device alone: what a second factor guards, a password can't give away.
    Password,
    /// A current code of a device, or a recovery code, still to be verified. It is used up by that.
    Answer(Answer),
}

/// What may be asked.
///
/// An owner needs no evidence for [`Request::Verify`], [`Request::Status`], [`Request::History`] and [`Request::Resync`] (two codes are
/// evidence in themselves), [`Evidence::Password`] to begin with a first device, and [`Evidence::Answer`] for everything else that
/// is not for root alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Is this answer good for a login, now? If so it is used up.
    Verify {
        /// Whose login. None for a name that can't be anybody's: the work is done all the same.
        user: Option<UserName>,
        /// What was typed.
        answer: Answer,
        /// Where from: PAM_RHOST, or what stands for the place of a local login. None: a local login of no particular kind.
        remote_host: Option<String>,
        /// Whether this login was charged for a wrong code already.
        round: Round,
    },
    /// What devices does this account have?
    Status {
        /// Whose.
        user: UserName,
    },
    /// Which devices did this account ever have, and what became of them?
    History {
        /// Whose.
        user: UserName,
    },
    /// Give me a new key to put into a device, or the one that is still waiting for its codes.
    BeginEnrollment {
        /// Whose.
        user: UserName,
        /// What to call the device. None: `phone`, or `phone 2` and so on; or the name of the one that it replaces.
        name: Option<DeviceName>,
        /// How it shall make codes.
        profile: Profile,
        /// Which device ends when the new one is proven.
        replaces: Option<DeviceName>,
    },
    /// Here are two consecutive codes from that device: bind it.
    ConfirmEnrollment {
        /// Whose.
        user: UserName,
        /// Which enrollment.
        id: DeviceId,
        /// A code.
        first: Code,
        /// The next code.
        second: Code,
        /// Which device ends now.
        replaces: Option<DeviceName>,
        /// Whether to make recovery codes.
        recovery_codes: RecoveryCodes,
    },
    /// Here are two consecutive codes of the hardware token that root assigned to me: bind it.
    ActivateToken {
        /// Whose.
        user: UserName,
        /// The number on the token.
        serial: Serial,
        /// What to call it from now on. None: as root called it.
        name: Option<DeviceName>,
        /// A code.
        first: Code,
        /// The next code.
        second: Code,
        /// Whether to make recovery codes.
        recovery_codes: RecoveryCodes,
    },
    /// Call this device something else.
    RenameDevice {
        /// Whose.
        user: UserName,
        /// Which.
        name: DeviceName,
        /// Its new name.
        to: DeviceName,
    },
    /// Let this device's codes be refused until it is resumed.
    SuspendDevice {
        /// Whose.
        user: UserName,
        /// Which.
        name: DeviceName,
    },
    /// Let this device's codes count again.
    ResumeDevice {
        /// Whose.
        user: UserName,
        /// Which.
        name: DeviceName,
    },
    /// Here are two consecutive codes of a device whose clock or counter has run away: follow it.
    Resync {
        /// Whose.
        user: UserName,
        /// Which.
        name: DeviceName,
        /// A code.
        first: Code,
        /// The next code.
        second: Code,
    },
    /// Forget this device.
    RemoveDevice {
        /// Whose.
        user: UserName,
        /// Which.
        name: DeviceName,
    },
    /// Make new recovery codes; the old ones end.
    NewRecoveryCodes {
        /// Whose.
        user: UserName,
    },
    /// For root. Make a code that lets this person in once.
    IssueBypass {
        /// Whose.
        user: UserName,
        /// For how long, in seconds.
        valid_seconds: u64,
        /// Why, for the record: 1 to 200 printable characters.
        reason: String,
    },
    /// For root. The bypass code ends unused.
    CancelBypass {
        /// Whose.
        user: UserName,
    },
    /// For root. Take over devices and scratch codes from elsewhere, all or none.
    Adopt {
        /// Whose.
        user: UserName,
        /// The devices.
        devices: Vec<ForeignDevice>,
        /// Eight-digit scratch codes of pam_google_authenticator, each good once.
        scratch_codes: Vec<ScratchCode>,
    },
    /// For root. Everything that is needed to have this account's devices on another host.
    Export {
        /// Whose.
        user: UserName,
    },
    /// For root. Forget all failures and enable all devices.
    Unlock {
        /// Whose.
        user: UserName,
    },
    /// For root. Make a new state for an account whose state is damaged or gone, so cautiously that no used code works again.
    Repair {
        /// Whose.
        user: UserName,
    },
}

/// Whether recovery codes are made with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecoveryCodes {
    /// If the account has none.
    IfNone,
    /// No.
    No,
}

/// A device that was enrolled, or made, elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignDevice {
    /// What to call it. If it is taken a number is added.
    pub name: DeviceName,
    /// How it makes codes.
    pub profile: Profile,
    /// Its seed.
    #[serde(with = "exposed")]
    pub seed: Secret,
    /// The number on a hardware token.
    pub serial: Option<Serial>,
    /// The last step or counter that was used elsewhere.
    pub floor: Option<u64>,
    /// The steps by which its clock is ahead.
    pub clock_offset_steps: i32,
    /// Whether it may be used at once: [`Status::Assigned`] waits for two codes.
    pub status: Status,
    /// Until when it may be used. None: for ever.
    pub expires_at: Option<Timestamp>,
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Response {
    /// To [`Request::Verify`].
    Verdict(Verdict),
    /// To [`Request::Status`].
    Status(AccountStatus),
    /// To [`Request::History`], oldest first.
    History(Vec<Change>),
    /// To [`Request::BeginEnrollment`].
    Pending(PendingEnrollment),
    /// To [`Request::ConfirmEnrollment`] and [`Request::ActivateToken`]: the device is bound, and both codes are used up.
    Enrolled {
        /// What it is called.
        name: DeviceName,
        /// New recovery codes, if there were none and they were asked for; to be shown once.
        recovery_codes: Vec<RecoveryCode>,
    },
    /// To [`Request::ConfirmEnrollment`], [`Request::ActivateToken`] and [`Request::Resync`]: nothing has changed.
    NotConfirmed(WhyNotConfirmed),
    /// The evidence was not good, or the device may not be tried now. Nothing has changed but that a failure was counted.
    Refused(Refusal),
    /// To [`Request::NewRecoveryCodes`]: to be shown once.
    RecoveryCodes(Vec<RecoveryCode>),
    /// To [`Request::IssueBypass`]: to be shown once.
    Bypass {
        /// The code.
        code: RecoveryCode,
        /// Until when it is good.
        until: Timestamp,
    },
    /// To [`Request::Export`].
    Exported(Vec<ForeignDevice>),
    /// To all others: it is done.
    Done,
}

/// What there is to know of an account without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccountStatus {
    /// The devices, oldest first.
    pub devices: Vec<DeviceStatus>,
    /// How many recovery codes are left. None: none were ever made.
    pub recovery_codes_left: Option<u8>,
    /// The bypass code that root has issued, until it is used, cancelled or too old.
    pub bypass: Option<BypassStatus>,
}

/// What there is to know of a bypass code without the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BypassStatus {
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Until when it is good.
    pub until: Timestamp,
    /// Why it was issued.
    #[serde(deserialize_with = "one_line::deserialize")]
    pub reason: String,
    /// Who issued it.
    pub by: Origin,
}

/// What there is to know of a device without its seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// Its identifier.
    pub id: DeviceId,
    /// What its owner calls it.
    pub name: DeviceName,
    /// The number on a hardware token.
    pub serial: Option<Serial>,
    /// How it makes codes.
    pub profile: Profile,
    /// Whether its owner or root put it aside, or it waits for its first two codes.
    pub status: Status,
    /// When it was bound; when it was assigned, for one that waits.
    pub enrolled_at: Timestamp,
    /// Until when it may be used. None: for ever.
    pub expires_at: Option<Timestamp>,
    /// Whether that time is over.
    pub is_expired: bool,
    /// Failures in a row, from everywhere.
    pub failures: u32,
    /// Whether too many failures from known addresses disabled it.
    pub disabled: bool,
    /// Whether too many failures from unknown addresses closed it to those.
    pub closed_to_strangers: bool,
    /// The seconds until a try from a known address is looked at.
    pub wait_seconds: u64,
    /// The seconds until a try from another address is looked at.
    pub stranger_wait_seconds: u64,
    /// The steps by which its clock is ahead of this host's, as learned.
    pub drift_steps: i32,
}

/// A key that waits for two codes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingEnrollment {
    /// Which enrollment, for [`Request::ConfirmEnrollment`].
    pub id: DeviceId,
    /// What the device will be called.
    pub name: DeviceName,
    /// How it shall make codes.
    pub profile: Profile,
    /// The seed to put into it.
    #[serde(with = "exposed")]
    pub seed: Secret,
    /// Until when the codes are awaited.
    pub until: Timestamp,
}

/// Why two codes did not prove a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhyNotConfirmed {
    /// The same code twice.
    SameCode,
    /// Both are codes of the device, but the second does not follow the first.
    NotConsecutive,
    /// Right codes, but of another time: the clock of the device, or of this host, is off.
    ClockOff {
        /// How far the device is ahead of this host, in seconds.
        seconds: i64,
    },
    /// Right codes of a simpler profile: the app took no notice of algorithm, digits or period.
    ProfileIgnored {
        /// What the app does instead.
        instead: Profile,
    },
    /// Right codes that were used up before.
    Used,
    /// The codes of another key, or of a time or counter beyond the span that is searched.
    OtherCodes,
}

/// Answers `request` as `caller` may have it answered, from the records in `store`, under `policy`, at the time `now`.
///
/// This is the only way in: a login, a command and the daemon all end here. When it returns, whatever was decided is on disk.
///
/// # Errors
/// The store can't be read or written, the request can't be met, or the caller may not ask it. Nothing has changed then that the same
/// request could not be repeated on.
pub fn answer<S: Store>(
    request: Request,
    caller: &Caller,
    store: &S,
    policy: &Policy,
    now: Timestamp,
) -> Result<Response> {
    let context = Context { caller, store, policy, now };
    if let Err(refused) = context.check_right(&request)? {
        return Ok(Response::Refused(refused));
    }
    match request {
        Request::Verify { user, answer, remote_host, round } => {
            let attempt = login::Attempt { answer: &answer, remote_host: remote_host.as_deref(), round, now };
            let verdict = login::verify_answer(user.as_ref(), &attempt, store, policy);
            wipe_stack();
            verdict.map(Response::Verdict)
        }
        Request::Status { user } => status::status(&user, &context).map(Response::Status),
        Request::History { user } => store.history(&user).map(Response::History),
        Request::BeginEnrollment { user, name, profile, replaces } => {
            enrollment::begin(&user, name.as_ref(), profile, replaces.as_ref(), &context)
                .map(Response::Pending)
        }
        Request::ConfirmEnrollment { user, id, first, second, replaces, recovery_codes } => {
            let wanted = enrollment::Which::Pending { id, replaces };
            enrollment::bind(&user, &wanted, (&first, &second), recovery_codes, &context)
        }
        Request::ActivateToken { user, serial, name, first, second, recovery_codes } => {
            let wanted = enrollment::Which::Assigned { serial, name };
            enrollment::bind(&user, &wanted, (&first, &second), recovery_codes, &context)
        }
        Request::RenameDevice { user, name, to } => changes::rename(&user, &name, &to, &context),
        Request::SuspendDevice { user, name } => {
            changes::set_status(&user, &name, Status::Suspended, &context)
        }
        Request::ResumeDevice { user, name } => changes::set_status(&user, &name, Status::Active, &context),
        Request::Resync { user, name, first, second } => {
            resync::resync(&user, &name, &first, &second, &context)
        }
        Request::RemoveDevice { user, name } => changes::remove(&user, &name, &context),
        Request::NewRecoveryCodes { user } => {
            changes::new_recovery_codes(&user, &context).map(Response::RecoveryCodes)
        }
        Request::IssueBypass { user, valid_seconds, reason } => {
            bypass::issue(&user, valid_seconds, &reason, &context)
        }
        Request::CancelBypass { user } => bypass::cancel(&user, &context),
        Request::Adopt { user, devices, scratch_codes } => {
            adoption::adopt(&user, &devices, &scratch_codes, &context)
        }
        Request::Export { user } => adoption::export(&user, &context).map(Response::Exported),
        Request::Unlock { user } => repair::unlock(&user, &context),
        Request::Repair { user } => repair::repair(&user, &context),
    }
}

/// What every request is answered with.
pub(crate) struct Context<'a, S> {
    pub(crate) caller: &'a Caller,
    pub(crate) store: &'a S,
    pub(crate) policy: &'a Policy,
    pub(crate) now: Timestamp,
}

/// What an owner must bring along.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needed {
    Nothing,
    /// A password for the first device, a code for another one.
    PasswordOrAnswer,
    /// A password while the account has no device that was ever proven, nothing after that.
    PasswordAtFirst,
    Answer,
    Root,
}

impl Request {
    fn needed(&self) -> (Option<&UserName>, Needed) {
        match self {
            Self::Verify { user, .. } => (user.as_ref(), Needed::Nothing),
            Self::Status { user }
            | Self::History { user }
            | Self::Resync { user, .. }
            // The seed that the codes come from was given to somebody who had what was needed.
            | Self::ConfirmEnrollment { user, .. } => (Some(user), Needed::Nothing),
            Self::BeginEnrollment { user, .. } => (Some(user), Needed::PasswordOrAnswer),
            Self::ActivateToken { user, .. } => (Some(user), Needed::PasswordAtFirst),
            Self::RenameDevice { user, .. }
            | Self::SuspendDevice { user, .. }
            | Self::ResumeDevice { user, .. }
            | Self::RemoveDevice { user, .. }
            | Self::NewRecoveryCodes { user } => (Some(user), Needed::Answer),
            Self::IssueBypass { user, .. }
            | Self::CancelBypass { user }
            | Self::Adopt { user, .. }
            | Self::Export { user }
            | Self::Unlock { user }
            | Self::Repair { user } => (Some(user), Needed::Root),
        }
    }

    /// Whose account is asked about.
    pub fn user(&self) -> Option<&UserName> {
        self.needed().0
    }
}

impl<S: Store> Context<'_, S> {
    /// Whether the caller may have this answered. The inner error says why its evidence was not good.
    fn check_right(&self, request: &Request) -> Result<std::result::Result<(), Refusal>> {
        let (whose, needed) = request.needed();
        let (user, evidence) = match &self.caller.right {
            Right::Privileged => return Ok(Ok(())),
            Right::Owner { user, evidence } => (user, evidence),
        };
        if whose != Some(user) {
            return Err(Error::NotAllowed);
        }
        if needed == Needed::Root {
            return Err(Error::NotAllowed);
        }
        if needed == Needed::Nothing {
            return Ok(Ok(()));
        }
        if needed != Needed::Answer && !self.is_enrolled(user)? {
            let is_shown = matches!(evidence, Evidence::Password);
            return if is_shown { Ok(Ok(())) } else { Err(Error::PasswordNeeded) };
        }
        if needed == Needed::PasswordAtFirst {
            return Ok(Ok(()));
        }
        let Evidence::Answer(answer) = evidence else { return Err(Error::CodeNeeded) };
        let attempt = login::Attempt { answer, remote_host: None, round: Round::First, now: self.now };
        let verdict = login::verify_answer(Some(user), &attempt, self.store, self.policy);
        wipe_stack();
        match verdict? {
            Verdict::Accept(_) => Ok(Ok(())),
            Verdict::Refuse(refusal) => Ok(Err(refusal)),
        }
    }

    /// Whether the account has a device that was ever proven.
    fn is_enrolled(&self, user: &UserName) -> Result<bool> {
        let account = Account::User(user);
        match self.store.update(account, Access::Login, |record| Ok(record.devices.has_proven())) {
            Err(Error::NotEnrolled | Error::NoStore { .. }) => Ok(false),
            known => known,
        }
    }
}
