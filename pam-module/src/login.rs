//! One login, from top to bottom.

use std::ffi::CStr;

use mfa_core::answer::Answer;
use mfa_core::audit::Event;
use mfa_core::request::{Caller, Request, Response};
use mfa_core::verify::{Factor, Typed};
use mfa_core::{FileStore, Policy, Timestamp, UserName, Verdict};

use crate::conversation::{AnswerBytes, ConversationFailed, Host};
use crate::options::{Debug, Delay, Echo, FirstPass, ForwardPass, Options};
use crate::outcome::{Outcome, Reason};

/// Asks for a code and decides. Everything that the decision used up is on disk when this returns.
pub(crate) fn authenticate(host: &mut impl Host, arguments: &[&CStr]) -> Outcome {
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        // Not even the pause can be trusted to be wanted; there is nothing to guess here.
        Err(bad) => return Outcome::refused(Reason::Misconfigured(bad.to_string()), Delay::OnRefusal),
    };
    let reason = match decide(host, &options) {
        Ok(factor) => {
            tell_what_is_left(host, &factor);
            return Outcome::Accepted(factor);
        }
        Err(reason) => reason,
    };
    Outcome::refused(reason, options.delay)
}

fn decide(host: &mut impl Host, options: &Options) -> Result<Factor, Reason> {
    let user = host.user().map_err(|ConversationFailed| Reason::ConversationFailed)?;
    let login = Login {
        // A name that can't be anybody's goes through the same work as one that is nobody's.
        user: UserName::from_bytes(&user).ok(),
        remote_host: host
            .remote_host()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .filter(|host| !host.is_empty()),
        policy: Policy::read(&options.policy).map_err(|error| Reason::Misconfigured(error.to_string()))?,
        store: options.store.as_ref().map_or_else(FileStore::system, FileStore::at),
    };
    if let Some(answer) = first_pass(host, options) {
        let decided = login.decide_on_password_and_code(host, &answer, options);
        if decided.is_ok() || options.first_pass == FirstPass::Use {
            return decided;
        }
    } else if options.first_pass == FirstPass::Use {
        return Err(Reason::NotACode);
    }
    // Ask before anything is locked: a person may take a minute to answer.
    let prompt = options.prompt.as_deref();
    if options.forward_pass == ForwardPass::Yes {
        let answer = ask(host, prompt.unwrap_or("Password & verification code: "), Echo::Off)?;
        return login.decide_on_password_and_code(host, &answer, options);
    }
    let answer = ask(host, prompt.unwrap_or("Verification code: "), options.echo)?;
    login.decide_on_code(host, &answer, options)
}

/// The password that the stack has already, where an option says that a code stands at its end.
fn first_pass(host: &impl Host, options: &Options) -> Option<AnswerBytes> {
    match options.first_pass {
        FirstPass::Ask => None,
        FirstPass::Try => host.first_pass().filter(|password| Combined::read(password).is_some()),
        FirstPass::Use => host.first_pass(),
    }
}

fn ask(host: &mut impl Host, prompt: &str, echo: Echo) -> Result<AnswerBytes, Reason> {
    let answer = host.ask(prompt, echo).map_err(|ConversationFailed| Reason::ConversationFailed)?;
    if answer.is_empty() { Err(Reason::Cancelled) } else { Ok(answer) }
}

/// Who logs in, from where, by which rules.
struct Login {
    user: Option<UserName>,
    remote_host: Option<String>,
    policy: Policy,
    store: FileStore,
}

/// An answer of so many bytes or more could be a recovery code, and costs a slow hash whatever it is.
const RECOVERY_CODE_BYTES: usize = 16;

impl Login {
    fn decide_on_code(
        &self,
        host: &mut impl Host,
        typed: &AnswerBytes,
        options: &Options,
    ) -> Result<Factor, Reason> {
        if is_sshds_junk(typed) {
            return Err(self.refuse_with_the_same_work(typed, Reason::BlockedBySshd));
        }
        let Some(answer) = Answer::parse(typed) else {
            return Err(self.refuse_with_the_same_work(typed, Reason::NotACode));
        };
        debug(host, options, &answer);
        let slow = typed.len() >= RECOVERY_CODE_BYTES && !matches!(answer, Answer::Recovery(_));
        let verdict = self.verify(self.user.clone(), answer);
        if slow {
            self.spend_a_slow_hash();
        }
        accepted(verdict?)
    }

    fn decide_on_password_and_code(
        &self,
        host: &mut impl Host,
        typed: &AnswerBytes,
        options: &Options,
    ) -> Result<Factor, Reason> {
        if is_sshds_junk(typed) {
            return Err(self.refuse_with_the_same_work(typed, Reason::BlockedBySshd));
        }
        let Some(Combined { answer, code_bytes }) = Combined::read(typed) else {
            return Err(self.refuse_with_the_same_work(typed, Reason::NotACode));
        };
        debug(host, options, &answer);
        let verdict = self.verify(self.user.clone(), answer)?;
        if options.forward_pass == ForwardPass::Yes {
            let code_bytes = match &verdict {
                Verdict::Accept(Factor::Device { digits, .. }) => usize::from(digits.count()),
                Verdict::Accept(Factor::Recovery { .. }) | Verdict::Refuse(_) => code_bytes,
            };
            let password = typed.get(..typed.len().saturating_sub(code_bytes)).unwrap_or_default();
            // Also when refused: the next module must not ask for a password and so tell that the code was wrong.
            if !password.is_empty() {
                host.set_password(password).map_err(|ConversationFailed| Reason::ConversationFailed)?;
            }
        }
        accepted(verdict)
    }

    fn verify(&self, user: Option<UserName>, answer: Answer) -> Result<Verdict, Reason> {
        let request = Request::Verify { user, answer, remote_host: self.remote_host.clone() };
        match mfa_core::answer(request, &Caller::Privileged, &self.store, &self.policy, Timestamp::now()) {
            Ok(Response::Verdict(verdict)) => Ok(verdict),
            Ok(
                Response::Status(_)
                | Response::Pending(_)
                | Response::Enrolled(_)
                | Response::NotConfirmed(_)
                | Response::RecoveryCodes(_)
                | Response::Done,
            ) => Err(Reason::InternalError),
            Err(error) => Err(Reason::Unavailable(error)),
        }
    }

    /// Refuses, after the work that an answer of this length costs on any account, so that the time tells nothing.
    fn refuse_with_the_same_work(&self, typed: &AnswerBytes, reason: Reason) -> Reason {
        if typed.len() >= RECOVERY_CODE_BYTES {
            self.spend_a_slow_hash();
        } else if let Some(stand_in) = Answer::parse(b"000000") {
            // Whatever nobody's account answers, the answer is no.
            let _ = self.verify(None, stand_in);
        }
        reason
    }

    fn spend_a_slow_hash(&self) {
        if let Some(stand_in) = Answer::parse(b"AAAAAAAAAAAAAAAA") {
            let _ = self.verify(None, stand_in);
        }
    }
}

fn accepted(verdict: Verdict) -> Result<Factor, Reason> {
    match verdict {
        Verdict::Accept(factor) => Ok(factor),
        Verdict::Refuse(refusal) => Err(Reason::Refusal(refusal)),
    }
}

/// A password and a code in one answer.
struct Combined {
    answer: Answer,
    /// The length of the code, so far as it is known before a device has accepted it.
    code_bytes: usize,
}

impl Combined {
    /// The length of a recovery code in groups.
    const GROUPED_BYTES: usize = 19;
    const SHORTEST_CODE_BYTES: usize = 6;

    /// None if the answer does not end like a code.
    fn read(typed: &AnswerBytes) -> Option<Self> {
        let grouped = typed.len().checked_sub(Self::GROUPED_BYTES).and_then(|at| typed.get(at..));
        if let Some(answer @ Answer::Recovery(_)) = grouped.and_then(Answer::parse) {
            return Some(Self { answer, code_bytes: Self::GROUPED_BYTES });
        }
        Typed::tails(typed)
            .map(|tails| Self { answer: Answer::Tails(tails), code_bytes: Self::SHORTEST_CODE_BYTES })
    }
}

/// Whether sshd replaced the answer, as it does for users that do not exist or may not log in: `"\b\n\r\177INCORRECT"` over and over,
/// cut to the length of what was typed (OpenSSH auth-pam.c, fake_password).
fn is_sshds_junk(typed: &[u8]) -> bool {
    const JUNK: &[u8] = b"\x08\n\r\x7fINCORRECT";
    !typed.is_empty() && typed.iter().eq(JUNK.iter().cycle().take(typed.len()))
}

fn debug(host: &mut impl Host, options: &Options, answer: &Answer) {
    if options.debug == Debug::On {
        // The kind of the answer, never the answer.
        let kind = match answer {
            Answer::Code(code) => format!("a code of {} digits", code.digits()),
            Answer::Recovery(_) => "a recovery code".to_owned(),
            Answer::Tails(_) => "a password with a code".to_owned(),
        };
        let store =
            options.store.as_ref().map_or_else(|| "default".to_owned(), |path| path.display().to_string());
        let event = Event::new("debug")
            .with("answer", kind)
            .with("store", store)
            .with("policy", options.policy.display().to_string());
        host.log(crate::conversation::Priority::Debug, &event);
    }
}

/// A recovery code is spent: say how many are left, and warn when they run out. Only after success, when nobody can learn from it.
fn tell_what_is_left(host: &mut impl Host, factor: &Factor) {
    if let Factor::Recovery { left } = factor {
        let warning = if *left <= 3 { " Make new ones soon: mfa-enroll recovery-codes" } else { "" };
        host.tell(&format!("Recovery code accepted. {left} left.{warning}"));
    }
}
