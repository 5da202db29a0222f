//! One login, from top to bottom.

use std::ffi::CStr;

use mfa_core::answer::Answer;
use mfa_core::audit::Event;
use mfa_core::policy::Unenrolled;
use mfa_core::request::{Caller, Request, Response};
use mfa_core::verify::{Factor, Round, Typed};
use mfa_core::{Error, FileStore, Policy, Refusal, Timestamp, UserName, Verdict};

use crate::conversation::{AnswerBytes, ConversationFailed, Host, NotKept, Priority};
use crate::enrollment::{self, Mark};
use crate::options::{Debug, Delay, Echo, FirstPass, ForwardPass, Options};
use crate::outcome::{Outcome, Reason, log};
use crate::pam_stack;
use crate::relay::Relay;

/// Asks for a code and decides. Everything that the decision used up is on disk when this returns.
pub(crate) fn authenticate(host: &mut impl Host, arguments: &[&CStr]) -> Outcome {
    if host.service().as_deref() == Some(PASSWORD_SERVICE) {
        return Outcome::NotAsked;
    }
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        // Not even the pause can be trusted to be wanted; there is nothing to guess here.
        Err(bad) => return Outcome::refused(Reason::Misconfigured(bad.to_string()), Delay::OnRefusal),
    };
    let reason = match decide(host, &options) {
        Ok(Decision::LetIn(factor)) => {
            tell_what_is_left(host, &factor);
            return Outcome::Accepted { factor, delay: options.delay };
        }
        Ok(Decision::Enroll) => return Outcome::EnrollPending,
        Err(reason) => reason,
    };
    Outcome::refused(reason, options.delay)
}

/// The service by which `mfad` checks a password before an account's first device: a stack that may include this module.
const PASSWORD_SERVICE: &[u8] = b"mfa-enroll";

/// What the auth phase decides.
enum Decision {
    LetIn(Factor),
    /// The account phase will see to it that the person gets a device.
    Enroll,
}

fn decide(host: &mut impl Host, options: &Options) -> Result<Decision, Reason> {
    let user = host.user().map_err(|ConversationFailed| Reason::ConversationFailed)?;
    // A name that can't be anybody's goes through the same work as one that is nobody's.
    let mut login = Login::new(host, UserName::from_bytes(&user).ok(), options)?;
    match login.what_if_unenrolled(host) {
        Ok(Unenrolled::Refuse) => login.ask_and_decide(host, options).map(Decision::LetIn),
        Ok(Unenrolled::Enroll) => login.leave_to_the_account_phase(host, options),
        Err(reason) => Err(login.ask_and_refuse(host, options, reason)),
    }
}

/// Where the login comes from: an address, or, on this host, through which program and on whose behalf.
pub(crate) fn origin(host: &impl Host) -> String {
    let text = |bytes: Option<Vec<u8>>| String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
    let remote_host = text(host.remote_host());
    if remote_host.is_empty() {
        format!("local {} {}", text(host.service()), text(host.asking_user()))
    } else {
        remote_host
    }
}

const CODE_PROMPT: &str = "Verification code: ";
const BOTH_PROMPT: &str = "Password & verification code: ";

fn ask(host: &mut impl Host, prompt: &str, echo: Echo) -> Result<AnswerBytes, Reason> {
    let answer = host.ask(prompt, echo).map_err(|ConversationFailed| Reason::ConversationFailed)?;
    if answer.is_empty() { Err(Reason::Cancelled) } else { Ok(answer) }
}

/// Who logs in, from where, by which rules.
pub(crate) struct Login {
    user: Option<UserName>,
    origin: String,
    /// Or why it may not be read: this process is no privileged one.
    policy: Result<Policy, Error>,
    store: FileStore,
    relay: Option<Relay>,
    round: Round,
}

/// An answer of so many bytes or more could be a recovery code.
const RECOVERY_CODE_BYTES: usize = 16;

impl Login {
    pub(crate) fn new(host: &impl Host, user: Option<UserName>, options: &Options) -> Result<Self, Reason> {
        let relay = Relay::of(options);
        let policy = match Policy::read(&options.policy) {
            Err(error) if !(relay.is_some() && is_denied(&error)) => {
                return Err(Reason::Misconfigured(error.to_string()));
            }
            policy => policy,
        };
        let store = options.store.as_ref().map_or_else(FileStore::system, FileStore::at);
        Ok(Self { user, origin: origin(host), policy, store, relay, round: Round::First })
    }

    /// Whether this person is to get a device in this login. Whatever keeps that from being found out is left to the usual way.
    fn what_if_unenrolled(&self, host: &mut impl Host) -> Result<Unenrolled, Reason> {
        let (Ok(policy), Some(user)) = (&self.policy, &self.user) else { return Ok(Unenrolled::Refuse) };
        if !policy.ever_enrolls() || !enrollment::has_no_device(user, &self.store, policy) {
            return Ok(Unenrolled::Refuse);
        }
        match policy.unenrolled(user, |group| host.is_member(user, group)) {
            Unenrolled::Refuse => Ok(Unenrolled::Refuse),
            Unenrolled::Enroll if !is_called_so(host, user) => Ok(Unenrolled::Refuse),
            Unenrolled::Enroll => {
                self.store.check_whole().map_err(Reason::Unavailable)?;
                Ok(Unenrolled::Enroll)
            }
        }
    }

    /// Leaves a mark and lets the stack go on, if it is certain that the account phase will come to this module.
    fn leave_to_the_account_phase(
        &self,
        host: &mut impl Host,
        options: &Options,
    ) -> Result<Decision, Reason> {
        let service = host.service().unwrap_or_default();
        let (own_path, folder) = (host.module_path(), options.pam_dir.as_deref());
        let checked = pam_stack::check_account_phase(&service, folder, own_path.as_deref());
        if let Err(why) = checked {
            return Err(self.ask_and_refuse(host, options, Reason::Misconfigured(why)));
        }
        let Some(mark) = self.user.clone().map(|user| Mark::waiting(user, options)) else {
            return Err(Reason::InternalError);
        };
        if host.mark().is_some_and(|other| !mark.may_follow(&other)) {
            let why = "two stores in one stack can't both enroll at a login";
            return Err(self.ask_and_refuse(host, options, Reason::Misconfigured(why.to_owned())));
        }
        if options.forward_pass == ForwardPass::Yes {
            // The next module waits for a password, and this one is who asks.
            let answer = ask(host, options.prompt.as_deref().unwrap_or(BOTH_PROMPT), Echo::Off)?;
            host.set_password(&answer).map_err(|ConversationFailed| Reason::ConversationFailed)?;
        }
        host.set_mark(Some(mark)).map_err(|NotKept| Reason::InternalError)?;
        Ok(Decision::Enroll)
    }

    /// Refuses after the same prompt and the same work as everybody's.
    fn ask_and_refuse(&self, host: &mut impl Host, options: &Options, reason: Reason) -> Reason {
        let (prompt, echo) = match options.forward_pass {
            ForwardPass::Yes => (BOTH_PROMPT, Echo::Off),
            ForwardPass::No => (CODE_PROMPT, options.echo),
        };
        if options.first_pass != FirstPass::Use
            && let Err(cancelled) = ask(host, options.prompt.as_deref().unwrap_or(prompt), echo)
        {
            return cancelled;
        }
        self.spend_the_work_of(b"000000");
        reason
    }

    /// Asks for a code, or looks for one in the password, and decides.
    fn ask_and_decide(&mut self, host: &mut impl Host, options: &Options) -> Result<Factor, Reason> {
        // A mark of another user's login on the same handle must not come up in this one's account phase.
        if host.mark().is_some_and(|mark| Some(&mark.user) != self.user.as_ref()) {
            host.set_mark(None).map_err(|NotKept| Reason::InternalError)?;
        }
        match (options.first_pass, host.first_pass()) {
            (FirstPass::Ask, _) | (FirstPass::Try, None) => {}
            (FirstPass::Use, None) => return Err(Reason::NotACode),
            (FirstPass::Use, Some(password)) => {
                return self.decide_on_password_and_code(host, &password, options);
            }
            (FirstPass::Try, Some(password)) => {
                match self.decide_on_password_and_code(host, &password, options) {
                    Ok(factor) => return Ok(factor),
                    Err(Reason::Refusal(Refusal::Wrong)) => self.round = Round::AfterMiss,
                    Err(_) => {}
                }
            }
        }
        // Ask before anything is locked: a person may take a minute to answer.
        let prompt = options.prompt.as_deref();
        if options.forward_pass == ForwardPass::Yes {
            let answer = ask(host, prompt.unwrap_or(BOTH_PROMPT), Echo::Off)?;
            return self.decide_on_password_and_code(host, &answer, options);
        }
        self.ask_for_code(host, options)
    }

    /// Asks for a code and decides on it.
    pub(crate) fn ask_for_code(&self, host: &mut impl Host, options: &Options) -> Result<Factor, Reason> {
        let answer = ask(host, options.prompt.as_deref().unwrap_or(CODE_PROMPT), options.echo)?;
        self.decide_on_code(host, &answer, options)
    }

    fn decide_on_code(
        &self,
        host: &mut impl Host,
        typed: &AnswerBytes,
        options: &Options,
    ) -> Result<Factor, Reason> {
        accepted(self.verdict(host, typed, Answer::parse(typed), options)?)
    }

    fn decide_on_password_and_code(
        &self,
        host: &mut impl Host,
        typed: &AnswerBytes,
        options: &Options,
    ) -> Result<Factor, Reason> {
        let combined = Combined::read(typed);
        let code_bytes = combined.as_ref().map_or(0, |combined| combined.code_bytes);
        let verdict = self.verdict(host, typed, combined.map(|combined| combined.answer), options);
        if options.forward_pass == ForwardPass::Yes {
            let code_bytes = match &verdict {
                Ok(Verdict::Accept(Factor::Device { digits, .. })) => usize::from(digits.count()),
                Ok(Verdict::Accept(Factor::Recovery { .. } | Factor::Bypass) | Verdict::Refuse(_))
                | Err(_) => code_bytes,
            };
            let password = typed.get(..typed.len().saturating_sub(code_bytes)).unwrap_or_default();
            // Also when refused: the next module must not ask for a password and so tell what was wrong with the answer.
            if !password.is_empty() {
                host.set_password(password).map_err(|ConversationFailed| Reason::ConversationFailed)?;
            }
        }
        accepted(verdict?)
    }

    /// Decides on an answer, `answer` being what it was recognised as.
    ///
    /// Whoever the user is and whatever was typed, the work is that of one code on one account, and from [`RECOVERY_CODE_BYTES`] on that
    /// of a recovery code as well: the time tells nothing but the length of what was typed.
    fn verdict(
        &self,
        host: &mut impl Host,
        typed: &AnswerBytes,
        answer: Option<Answer>,
        options: &Options,
    ) -> Result<Verdict, Reason> {
        let junk = is_sshds_junk(typed);
        let answer = answer.filter(|_| !junk);
        debug(host, options, answer.as_ref());
        let is_recovery = matches!(answer, Some(Answer::Recovery(_)));
        let verdict = if let Some(answer) = answer {
            self.verify(self.user.clone(), answer)
        } else {
            self.spend_the_work_of(b"000000");
            Err(if junk { Reason::BlockedBySshd } else { Reason::NotACode })
        };
        if is_recovery {
            self.spend_the_work_of(b"000000");
        } else if typed.len() >= RECOVERY_CODE_BYTES {
            self.spend_the_work_of(b"AAAAAAAAAAAAAAAA");
        }
        verdict
    }

    /// Decides in this process, or has `mfad` decide, where this process may not.
    fn verify(&self, user: Option<UserName>, answer: Answer) -> Result<Verdict, Reason> {
        let request =
            Request::Verify { user, answer, remote_host: Some(self.origin.clone()), round: self.round };
        let denied = match &self.policy {
            Ok(policy) => {
                let caller = Caller::privileged("login");
                match mfa_core::answer(request.clone(), &caller, &self.store, policy, Timestamp::now()) {
                    Ok(response) => return verdict_in(response),
                    Err(error) if self.relay.is_some() && is_denied(&error) => error.to_string(),
                    Err(error) => return Err(Reason::Unavailable(error)),
                }
            }
            Err(error) => error.to_string(),
        };
        let Some(relay) = &self.relay else { return Err(Reason::UnavailableBecause(denied)) };
        // Who can't open the store is no login program, and has no names of strangers to hide.
        if request.user().is_none() {
            return Ok(Verdict::Refuse(Refusal::NotEnrolled));
        }
        verdict_in(relay.ask(request, &denied)?)
    }

    /// Verifies `stand_in` on nobody's account; whatever comes of it is forgotten.
    fn spend_the_work_of(&self, stand_in: &[u8]) {
        if let Some(stand_in) = Answer::parse(stand_in) {
            let _ = self.verify(None, stand_in);
        }
    }
}

/// Whether the account is called as it was typed. Where names count in any case, or with a domain (sssd, winbind), `ALICE` is alice's account
/// with alice's password, but has no device: whoever has the password could give it one. A name that the system does not know is left to
/// the program, as those of people who have an account in a directory alone.
fn is_called_so(host: &mut impl Host, user: &UserName) -> bool {
    let Some(name) = host.account_name(user) else { return true };
    let is_so = name == user.as_str().as_bytes();
    if !is_so {
        let why = "it is another spelling of this account's name";
        log(host, Priority::Notice, Event::new("not-enrolling").with("account", name).with("why", why));
    }
    is_so
}

/// The system does not let this process at the store. By trying, and never by geteuid(2): in a user namespace that may say 0.
fn is_denied(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.raw_os_error() == Some(libc::EACCES))
}

fn verdict_in(response: Response) -> Result<Verdict, Reason> {
    match response {
        Response::Verdict(verdict) => Ok(verdict),
        Response::Status(_)
        | Response::History(_)
        | Response::Pending(_)
        | Response::Enrolled { .. }
        | Response::NotConfirmed(_)
        | Response::Refused(_)
        | Response::RecoveryCodes(_)
        | Response::Bypass { .. }
        | Response::Exported(_)
        | Response::Done => Err(Reason::InternalError),
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
        // Only with its dashes: the end of a passphrase could be sixteen letters too.
        let grouped = grouped.filter(|tail| [4, 9, 14].iter().all(|dash| tail.get(*dash) == Some(&b'-')));
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

fn debug(host: &mut impl Host, options: &Options, answer: Option<&Answer>) {
    if options.debug == Debug::On {
        // The kind of the answer, never the answer.
        let kind = match answer {
            None => "nothing of ours".to_owned(),
            Some(Answer::Code(code)) => format!("a code of {} digits", code.digits()),
            Some(Answer::Recovery(_)) => "a recovery code".to_owned(),
            Some(Answer::Tails(_)) => "a password with a code".to_owned(),
        };
        let store =
            options.store.as_ref().map_or_else(|| "default".to_owned(), |path| path.display().to_string());
        let policy = options.policy.display().to_string();
        let event = Event::new("debug").with("answer", kind).with("store", store).with("policy", policy);
        host.log(Priority::Debug, &event);
    }
}

/// A recovery code is spent: say how many are left, and warn when they run out.
fn tell_what_is_left(host: &mut impl Host, factor: &Factor) {
    if let Factor::Recovery { left } = factor {
        let warning = if *left <= 3 { " Make new ones soon: mfa-enroll recovery-codes" } else { "" };
        host.tell_after_success(&format!("Recovery code accepted. {left} left.{warning}"));
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use mfa_core::otp::{Generator, Profile};
    use mfa_core::recovery::RecoveryCode;
    use nix::unistd::{Uid, setfsuid};
    use pam::constants::PamResultCode;

    use super::*;
    use crate::fake::Fake;

    /// A store with alice in it, and what her phone shows.
    struct Alice {
        folder: tempfile::TempDir,
        phone: Generator,
        recovery_codes: Vec<RecoveryCode>,
    }

    impl Alice {
        fn enrolled() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = FileStore::at(folder.path().join("store"));
            let alice: UserName = "alice".parse().unwrap();
            let ask = |request| {
                let caller = Caller::privileged("test");
                mfa_core::answer(request, &caller, &store, &Policy::default(), Timestamp::now()).unwrap()
            };
            let (name, profile, replaces) = (None, Profile::PLAIN, None);
            let begin = Request::BeginEnrollment { user: alice.clone(), name, profile, replaces };
            let Response::Pending(pending) = ask(begin) else { panic!("no key") };
            let phone = Generator::new(&pending.seed, Profile::PLAIN.algorithm, Profile::PLAIN.digits);
            let step = Timestamp::now().unix_seconds() / 30;
            let (first, second) = (phone.code_at(step - 3), phone.code_at(step - 2));
            let confirm = Request::ConfirmEnrollment {
                user: alice.clone(),
                id: pending.id,
                first,
                second,
                replaces: None,
                recovery_codes: mfa_core::request::RecoveryCodes::No,
            };
            assert!(matches!(ask(confirm), Response::Enrolled { .. }));
            let Response::RecoveryCodes(recovery_codes) = ask(Request::NewRecoveryCodes { user: alice })
            else {
                panic!("no codes")
            };
            Self { folder, phone, recovery_codes }
        }

        /// The six digits of a step, counted from now.
        fn digits(&self, offset: i64) -> String {
            let step = Timestamp::now().unix_seconds() / 30;
            let code = self.phone.code_at(step.checked_add_signed(offset).unwrap());
            code.expose_text().to_string()
        }

        fn log_in(&self, host: &mut Fake, words: &[&str]) -> PamResultCode {
            let mut arguments =
                vec![CString::new(format!("store={}/store", self.folder.path().display())).unwrap()];
            arguments
                .push(CString::new(format!("policy={}/policy.toml", self.folder.path().display())).unwrap());
            arguments.extend(words.iter().map(|word| CString::new(*word).unwrap()));
            let arguments: Vec<&CStr> = arguments.iter().map(CString::as_c_str).collect();
            authenticate(host, &arguments).finish(host)
        }
    }

    #[test]
    fn a_right_code_lets_in_and_is_logged_without_itself() {
        let alice = Alice::enrolled();
        let code = alice.digits(0);
        let mut host = Fake::user("alice").answering(&code);
        assert_eq!(alice.log_in(&mut host, &["debug"]), PamResultCode::PAM_SUCCESS);
        assert_eq!(host.prompts, [("Verification code: ".to_owned(), Echo::On)]);
        assert_eq!(
            host.lines.last().unwrap(),
            "accepted device=phone user=alice service=test rhost=192.0.2.1"
        );
        assert!(host.lines[0].contains("a code of 6 digits"), "{:?}", host.lines);
        assert!(host.lines.iter().all(|line| !line.contains(&code)), "{:?}", host.lines);
        // For the case that what stands behind it in the stack refuses.
        assert_eq!((host.told.is_empty(), host.pauses), (true, 1));
    }

    #[test]
    fn unknown_not_enrolled_and_impossible_names_see_the_same_prompt_and_result() {
        let alice = Alice::enrolled();
        let long = "x".repeat(4000);
        for user in ["alice", "bob", "../x", "a\nb", &long, ""] {
            let mut host = Fake::user(user).answering("000000");
            assert_eq!(alice.log_in(&mut host, &[]), PamResultCode::PAM_AUTH_ERR, "{user:?}");
            assert_eq!(host.prompts, [("Verification code: ".to_owned(), Echo::On)]);
            assert_eq!(host.pauses, 1);
            assert!(!host.lines[0].contains('\n'));
        }
    }

    #[test]
    fn what_is_not_shaped_like_a_code_is_neither_charged_nor_logged() {
        let alice = Alice::enrolled();
        let huge = "p".repeat(10_000);
        for answer in ["hunter2", "correct horse battery staple", &huge] {
            let mut host = Fake::user("alice").answering(answer);
            assert_eq!(alice.log_in(&mut host, &["debug"]), PamResultCode::PAM_AUTH_ERR);
            let expected = "refused reason=not-a-code user=alice service=test rhost=192.0.2.1";
            assert_eq!(host.lines.last().unwrap(), expected);
            assert!(host.lines.iter().all(|line| !line.contains(answer)));
        }
        for _ in 0..5 {
            alice.log_in(&mut Fake::user("alice").answering("hunter2"), &[]);
        }
        let mut host = Fake::user("alice").answering(alice.digits(0));
        assert_eq!(alice.log_in(&mut host, &[]), PamResultCode::PAM_SUCCESS);
    }

    #[test]
    fn an_empty_answer_and_no_answer_are_a_cancel() {
        let alice = Alice::enrolled();
        let mut host = Fake::user("alice").answering("");
        assert_eq!(alice.log_in(&mut host, &[]), PamResultCode::PAM_AUTH_ERR);
        assert_eq!((host.lines[0].starts_with("refused reason=cancelled"), host.pauses), (true, 0));
        let mut host = Fake::user("alice");
        assert_eq!(alice.log_in(&mut host, &[]), PamResultCode::PAM_CONV_ERR);
    }

    #[test]
    fn sshds_junk_is_recognised_at_every_length_and_charges_nobody() {
        let alice = Alice::enrolled();
        let junk: Vec<u8> = b"\x08\n\r\x7fINCORRECT".iter().copied().cycle().take(40).collect();
        for length in 1..=40 {
            let mut host = Fake::user("alice").answering(&junk[..length]);
            assert_eq!(alice.log_in(&mut host, &[]), PamResultCode::PAM_AUTH_ERR);
            assert!(host.lines[0].starts_with("refused reason=blocked-by-sshd"), "{:?}", host.lines);
        }
        assert!(!is_sshds_junk(b"") && !is_sshds_junk(b"123456"));
        let mut host = Fake::user("alice").answering(alice.digits(0));
        assert_eq!(alice.log_in(&mut host, &[]), PamResultCode::PAM_SUCCESS);
    }

    #[test]
    fn a_recovery_code_works_at_the_same_prompt_and_the_count_is_told() {
        let alice = Alice::enrolled();
        let code = alice.recovery_codes[0].expose_grouped().to_lowercase();
        let mut host = Fake::user("alice").answering(&code);
        assert_eq!(alice.log_in(&mut host, &[]), PamResultCode::PAM_SUCCESS);
        assert_eq!(host.told, ["Recovery code accepted. 9 left."]);
        assert!(
            host.lines[0].starts_with("accepted factor=recovery-code left=9 user=alice"),
            "{:?}",
            host.lines
        );
        let mut host = Fake::user("alice").answering(&code);
        assert_eq!(alice.log_in(&mut host, &[]), PamResultCode::PAM_AUTH_ERR);
        assert!(host.told.is_empty());
    }

    #[test]
    fn forward_pass_splits_one_answer_and_hands_the_password_on() {
        let alice = Alice::enrolled();
        let mut host = Fake::user("alice").answering(format!("pass12{}", alice.digits(0)));
        assert_eq!(alice.log_in(&mut host, &["forward_pass"]), PamResultCode::PAM_SUCCESS);
        assert_eq!(host.prompts, [("Password & verification code: ".to_owned(), Echo::Off)]);
        assert_eq!(host.password.as_deref(), Some(&b"pass12"[..]));
        let mut host = Fake::user("alice").answering("pass12000000");
        assert_eq!(alice.log_in(&mut host, &["forward_pass"]), PamResultCode::PAM_AUTH_ERR);
        assert_eq!(host.password.as_deref(), Some(&b"pass12"[..]), "the next module must not ask again");
        let recovery = format!("pass12{}", *alice.recovery_codes[1].expose_grouped());
        let mut host = Fake::user("alice").answering(recovery);
        assert_eq!(alice.log_in(&mut host, &["forward_pass"]), PamResultCode::PAM_SUCCESS);
        assert_eq!(host.password.as_deref(), Some(&b"pass12"[..]));
        let junk: Vec<u8> = b"\x08\n\r\x7fINCORRECT".iter().copied().cycle().take(12).collect();
        for answer in [&b"password without a code"[..], &junk] {
            let mut host = Fake::user("alice").answering(answer);
            assert_eq!(alice.log_in(&mut host, &["forward_pass"]), PamResultCode::PAM_AUTH_ERR);
            assert_eq!(
                host.password.as_deref(),
                Some(answer),
                "unknown users must not be asked twice where others are asked once"
            );
        }
    }

    #[test]
    fn use_first_pass_never_asks_and_try_first_pass_asks_when_it_must() {
        let alice = Alice::enrolled();
        let mut host = Fake::user("alice").with_password(format!("secret{}", alice.digits(-1)));
        assert_eq!(alice.log_in(&mut host, &["use_first_pass"]), PamResultCode::PAM_SUCCESS);
        for password in [None, Some("secret"), Some("secret000000")] {
            let mut host =
                Fake { password: password.map(|text| text.as_bytes().to_owned()), ..Fake::user("alice") };
            assert_eq!(alice.log_in(&mut host, &["use_first_pass"]), PamResultCode::PAM_AUTH_ERR);
            assert!(host.prompts.is_empty());
        }
        let mut host = Fake::user("alice").with_password("secret").answering(alice.digits(0));
        assert_eq!(alice.log_in(&mut host, &["try_first_pass"]), PamResultCode::PAM_SUCCESS);
        let mut host = Fake::user("alice").with_password("secret123456").answering(alice.digits(1));
        assert_eq!(
            alice.log_in(&mut host, &["try_first_pass"]),
            PamResultCode::PAM_SUCCESS,
            "a password that ends like a code"
        );
        assert_eq!(host.password.as_deref(), Some(&b"secret123456"[..]));
    }

    #[test]
    fn options_and_policies_that_are_not_understood_refuse() {
        let alice = Alice::enrolled();
        let mut host = Fake::user("alice").answering(alice.digits(0));
        assert_eq!(alice.log_in(&mut host, &["nullok"]), PamResultCode::PAM_SERVICE_ERR);
        assert!(
            host.lines[0].contains("reason=misconfigured") && host.lines[0].contains("unknown option nullok")
        );
        fs::write(alice.folder.path().join("policy.toml"), "throttle = \"none\"\n").unwrap();
        let mut host = Fake::user("alice").answering(alice.digits(0));
        assert_eq!(alice.log_in(&mut host, &[]), PamResultCode::PAM_SERVICE_ERR);
        assert!(host.lines[0].contains("policy.toml"));
        fs::remove_file(alice.folder.path().join("policy.toml")).unwrap();
        let mut host = Fake::user("alice").answering(alice.digits(0));
        assert_eq!(alice.log_in(&mut host, &[]), PamResultCode::PAM_SUCCESS, "nothing was used up");
    }

    #[test]
    fn a_store_that_can_not_be_read_is_unavailable_after_the_prompt() {
        let alice = Alice::enrolled();
        fs::write(alice.folder.path().join("store/users/alice/devices.toml"), "damaged").unwrap();
        let mut host = Fake::user("alice").answering(alice.digits(0));
        assert_eq!(alice.log_in(&mut host, &[]), PamResultCode::PAM_AUTHINFO_UNAVAIL);
        assert_eq!(host.prompts.len(), 1);
        assert!(
            host.lines[0].contains("reason=unavailable") && host.lines[0].contains("devices.toml is damaged"),
            "{:?}",
            host.lines
        );
    }

    #[test]
    fn nodelay_asks_for_no_pause() {
        let alice = Alice::enrolled();
        let mut host = Fake::user("alice").answering("000000");
        alice.log_in(&mut host, &["nodelay"]);
        assert_eq!(host.pauses, 0);
        let mut host = Fake::user("alice").answering(alice.digits(0));
        assert_eq!(alice.log_in(&mut host, &["nodelay"]), PamResultCode::PAM_SUCCESS);
        assert_eq!(host.pauses, 0);
    }

    fn every_reason() -> Vec<Reason> {
        vec![
            Reason::Refusal(Refusal::Wrong),
            Reason::Refusal(Refusal::Replayed),
            Reason::Refusal(Refusal::Skew),
            Reason::Refusal(Refusal::Throttled { wait_seconds: 1 }),
            Reason::Refusal(Refusal::Disabled),
            Reason::Refusal(Refusal::Expired),
            Reason::Refusal(Refusal::NotEnrolled),
            Reason::Refusal(Refusal::ReadOnly),
            Reason::NotACode,
            Reason::BlockedBySshd,
            Reason::Cancelled,
            Reason::ConversationFailed,
            Reason::Unavailable(Error::NoMemory),
            Reason::UnavailableBecause(String::new()),
            Reason::Misconfigured(String::new()),
            Reason::NotProven("other-codes"),
            Reason::UserChanged,
            Reason::InternalError,
        ]
    }

    #[test]
    fn every_result_is_one_that_a_module_may_give() {
        for reason in every_reason() {
            let what = format!("{reason:?}");
            let may_give = [
                PamResultCode::PAM_AUTH_ERR,
                PamResultCode::PAM_AUTHINFO_UNAVAIL,
                PamResultCode::PAM_CONV_ERR,
                PamResultCode::PAM_SERVICE_ERR,
                // Of the account phase alone.
                PamResultCode::PAM_PERM_DENIED,
            ];
            assert!(may_give.contains(&reason.code()), "{what}");
        }
    }

    #[test]
    fn exactly_one_outcome_is_a_success() {
        let mut host = Fake::user("alice");
        for reason in every_reason() {
            let what = format!("{reason:?}");
            let codes = [reason.code(), Outcome::refused(reason, Delay::None).finish(&mut host)];
            assert_eq!(codes[0], codes[1], "{what}: both phases refuse alike");
            assert!(
                codes[0] != PamResultCode::PAM_SUCCESS && codes[0] != PamResultCode::PAM_IGNORE,
                "{what}"
            );
        }
        for outcome in [Outcome::EnrollPending, Outcome::NotAsked] {
            assert_eq!(outcome.finish(&mut host), PamResultCode::PAM_IGNORE);
        }
    }

    /// How often the accounts of nobody were written.
    fn work_on_decoys(alice: &Alice) -> u64 {
        let decoys = alice.folder.path().join("store/decoy");
        let sequence = |slot: &[u8]| u64::from_le_bytes(slot[8..16].try_into().unwrap());
        let written = fs::read_dir(decoys).unwrap().map(|decoy| {
            let state = fs::read(decoy.unwrap().path().join("state")).unwrap();
            sequence(&state).max(sequence(&state[4096..]))
        });
        written.sum()
    }

    #[test]
    fn what_is_no_code_takes_the_work_of_one_and_what_is_long_that_of_a_recovery_code_too() {
        let alice = Alice::enrolled();
        let work_of = |answer: &str| {
            let before = work_on_decoys(&alice);
            alice.log_in(&mut Fake::user("alice").answering(answer), &[]);
            work_on_decoys(&alice) - before
        };
        assert_eq!(work_of(&alice.digits(0)), 0, "her own account is work enough");
        assert_eq!(work_of(&"!".repeat(RECOVERY_CODE_BYTES - 1)), 1);
        assert_eq!(work_of(&"!".repeat(RECOVERY_CODE_BYTES)), 2);
        assert_eq!(work_of(&alice.recovery_codes[0].expose_grouped()), 1);
    }

    #[test]
    fn mfad_is_asked_where_the_store_is_closed_and_not_where_it_is_broken() {
        let alice = Alice::enrolled();
        let (folder, store) = (alice.folder.path(), alice.folder.path().join("store"));
        let set_mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let socket = format!("socket={}/nobody-listens", folder.display());
        let line = |words: &[&str]| {
            let mut host = Fake::user("alice").answering("000000");
            assert_ne!(alice.log_in(&mut host, words), PamResultCode::PAM_SUCCESS);
            host.lines.pop().unwrap()
        };
        set_mode(folder, 0o755);
        set_mode(&store, 0);
        // For this thread alone; root sees through any mode.
        let before = setfsuid(Uid::from_raw(65_534));
        let (with_socket, without) = (line(&[&socket]), line(&[]));
        setfsuid(before);
        set_mode(&store, 0o700);
        assert!(with_socket.contains("by mfad"), "{with_socket}");
        assert!(without.contains("reason=unavailable") && !without.contains("by mfad"), "{without}");
        fs::write(store.join("users/alice/devices.toml"), "garbage").unwrap();
        let broken = line(&[&socket]);
        assert!(broken.contains("reason=unavailable") && !broken.contains("by mfad"), "{broken}");
    }

    #[test]
    fn a_closed_store_is_told_from_a_broken_one() {
        let of = |number| {
            let source = std::io::Error::from_raw_os_error(number);
            is_denied(&Error::Io { path: "store".into(), source })
        };
        assert!(of(libc::EACCES) && !of(libc::EIO) && !is_denied(&Error::NotEnrolled));
    }
}
