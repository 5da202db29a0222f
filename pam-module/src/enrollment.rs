//! A person without a device sets one up inside the login.
//!
//! The auth phase leaves a [`Mark`] and lets the stack go on; the account phase comes here if the whole auth phase has succeeded, so the
//! password was right. A person who leaves, or whose connection is cut, has changed nothing: the same key is shown the next time.

use std::ffi::CStr;
use std::path::PathBuf;

use mfa_core::answer::Answer;
use mfa_core::audit::Event;
use mfa_core::devices::{DeviceName, Status};
use mfa_core::otp::{Code, Profile};
use mfa_core::recovery::RecoveryCode;
use mfa_core::request::{
    AccountStatus, DeviceStatus, PendingEnrollment, RecoveryCodes, Request, Response, WhyNotConfirmed,
};
use mfa_core::{Caller, Error, Evidence, FileStore, Policy, Timestamp, UserName};
use mfa_qr::Paint;

use crate::conversation::{AnswerBytes, ConversationFailed, Host, Priority};
use crate::login::{Login, origin};
use crate::options::{Echo, Options};
use crate::outcome::{Conclusion, Reason, log};
use crate::wording::{self, Kind, Picture, Prompt};

/// What the auth phase leaves to the account phase of the same login.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    /// Who has passed the auth phase without a code.
    pub(crate) user: UserName,
    /// By which options: where there is no device is where one is to be.
    options: Options,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Done,
}

impl Mark {
    pub(crate) fn waiting(user: UserName, options: &Options) -> Self {
        Self { user, options: options.clone(), stage: Stage::Waiting }
    }

    /// Whether nothing is lost if this mark takes the place of `earlier`.
    pub(crate) fn may_follow(&self, earlier: &Self) -> bool {
        earlier.user != self.user || earlier.stage == Stage::Done || earlier.store() == self.store()
    }

    fn store(&self) -> Option<&PathBuf> {
        self.options.store.as_ref()
    }
}

/// Whether it is certain that the account has no device that was ever proven, and no bypass code that waits.
///
/// What is suspended or disabled is a device; what can't be read is left to the usual way, which refuses.
pub(crate) fn has_no_device(user: &UserName, store: &FileStore, policy: &Policy) -> bool {
    let caller = Caller::owner(user.clone(), Evidence::Nothing, "login");
    let request = Request::Status { user: user.clone() };
    match mfa_core::answer(request, &caller, store, policy, Timestamp::now()) {
        Ok(Response::Status(status)) => !is_enrolled(&status),
        Err(Error::NotEnrolled | Error::NoStore { .. }) => true,
        Ok(_) | Err(_) => false,
    }
}

fn is_enrolled(status: &AccountStatus) -> bool {
    status.bypass.is_some() || status.devices.iter().any(|device| device.status != Status::Assigned)
}

/// The account phase of a login that was marked.
pub(crate) fn conclude(host: &mut impl Host, arguments: &[&CStr], mark: &Mark) -> Conclusion {
    // An option that is not understood refuses here too.
    if let Err(bad) = Options::parse(arguments) {
        return Conclusion::Refused(Reason::Misconfigured(bad.to_string()));
    }
    if host.known_user().as_deref() != Some(mark.user.as_str().as_bytes()) {
        return Conclusion::Refused(Reason::UserChanged);
    }
    if mark.stage == Stage::Done {
        return Conclusion::Proven;
    }
    match Enrollment::new(host, mark).and_then(|enrollment| enrollment.run(host)) {
        Ok(()) => {
            // If it can't be kept, the next account phase asks for a code.
            let _ = host.set_mark(Some(Mark { stage: Stage::Done, ..mark.clone() }));
            Conclusion::Proven
        }
        Err(reason) => Conclusion::Refused(reason),
    }
}

/// How often two codes may be wrong, and how many questions a login asks in all.
const ROUNDS: u8 = 3;
const QUESTIONS: u8 = 30;

/// One person, one account, one dialogue.
struct Enrollment<'a> {
    mark: &'a Mark,
    caller: Caller,
    policy: Policy,
    store: FileStore,
    issuer: String,
}

/// What can show codes: a key in an app, or a token that root has assigned.
enum Chosen<'a> {
    App(&'a PendingEnrollment),
    Token(&'a DeviceStatus),
}

impl Chosen<'_> {
    fn profile(&self) -> Profile {
        match self {
            Self::App(pending) => pending.profile,
            Self::Token(token) => token.profile,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::App(_) => Kind::App,
            Self::Token(_) => Kind::Token,
        }
    }
}

/// How a dialogue about one key ended.
enum Ended {
    Bound,
    /// The key is no longer the one that waits: it is too old, or another connection of this person was faster.
    Over,
}

/// What stands on the screen while a first code is awaited.
enum Screen {
    Menu,
    Picture(Picture),
    /// The question alone, below what there is to say.
    Question(String),
}

/// What a person types there.
enum Typed {
    Code(Code),
    Enter,
    Picture(Picture),
    Skip,
    Token(usize),
    Quit,
    Other,
}

impl Typed {
    fn read(answer: &AnswerBytes, profile: Profile, tokens: usize) -> Self {
        if let Some(code) = code(answer, profile) {
            return Self::Code(code);
        }
        let word = String::from_utf8_lossy(answer).trim().to_ascii_lowercase();
        match word.as_str() {
            "" => Self::Enter,
            "i" => Self::Picture(Picture::HalfBlocks(Paint::OnLight)),
            "a" => Self::Picture(Picture::Ascii),
            "s" => Self::Skip,
            "q" => Self::Quit,
            word => (0..tokens)
                .find(|index| wording::token_letter(*index, tokens) == word)
                .map_or(Self::Other, Self::Token),
        }
    }
}

/// A code of the right length, however people space it.
fn code(answer: &AnswerBytes, profile: Profile) -> Option<Code> {
    match Answer::parse(answer)? {
        Answer::Code(code) => Some(code).filter(|code| code.digits() == profile.digits.count()),
        Answer::Recovery(_) | Answer::Tails(_) => None,
    }
}

/// What is left of a person's tries, and of a program's patience.
struct Talk {
    questions: u8,
    round: u8,
}

impl Talk {
    fn ask(&mut self, host: &mut impl Host, prompt: &Prompt) -> Result<AnswerBytes, Reason> {
        // A program that answers everything with the same must come to an end.
        self.questions = self.questions.checked_sub(1).ok_or(Reason::Cancelled)?;
        // Never hidden: sshd's `password` method would answer with the password.
        host.ask(prompt.as_str(), Echo::On).map_err(|ConversationFailed| Reason::ConversationFailed)
    }

    /// The code after `first`. None: the person wants to go back.
    fn next_code(
        &mut self,
        host: &mut impl Host,
        first: &Code,
        chosen: &Chosen<'_>,
    ) -> Result<Option<Code>, Reason> {
        let mut notice = String::new();
        loop {
            let prompt = wording::next_code(&notice, chosen.kind(), chosen.profile(), Timestamp::now());
            let answer = self.ask(host, &prompt)?;
            match Typed::read(&answer, chosen.profile(), 0) {
                Typed::Code(second) if second.same_as(first) => wording::SAME_CODE.clone_into(&mut notice),
                Typed::Code(second) => return Ok(Some(second)),
                Typed::Enter => return Ok(None),
                Typed::Quit => return Err(Reason::Cancelled),
                Typed::Picture(_) | Typed::Skip | Typed::Token(_) | Typed::Other => {
                    notice = wording::no_code(chosen.profile());
                }
            }
            notice.push('\n');
        }
    }

    /// Two codes were wrong: what to say, if there is another try.
    fn again(&mut self, why: WhyNotConfirmed, chosen: &Chosen<'_>) -> Result<String, Reason> {
        let (sentence, word) = wording::why_not(why, chosen.kind(), chosen.profile());
        if self.round >= ROUNDS {
            return Err(Reason::NotProven(word));
        }
        self.round = self.round.saturating_add(1);
        Ok(format!("{sentence}\nTry {} of {ROUNDS}; the key stays the same.\n\n", self.round))
    }
}

fn show_recovery_codes(
    host: &mut impl Host,
    talk: &mut Talk,
    device: &DeviceName,
    codes: &[RecoveryCode],
) -> Result<(), Reason> {
    if codes.is_empty() {
        return Ok(());
    }
    // Whatever is answered: it is the waiting that counts. No answer at all is somebody who has left.
    talk.ask(host, &wording::recovery_codes(device.as_str(), codes)).map(|_| ())
}

impl<'a> Enrollment<'a> {
    fn new(host: &impl Host, mark: &'a Mark) -> Result<Self, Reason> {
        let options = &mark.options;
        let service = String::from_utf8_lossy(&host.service().unwrap_or_default()).into_owned();
        // Who types another's password, as in su, is another person than the owner: see where a key that waits is shown again.
        let asking =
            host.asking_user().filter(|asking| !asking.is_empty() && asking != mark.user.as_str().as_bytes());
        let origin = match (origin(host), asking) {
            (local, None) if local.starts_with("local ") => format!("{service} login"),
            (local, Some(asking)) if local.starts_with("local ") => {
                format!("{service} login by {}", String::from_utf8_lossy(&asking))
            }
            (remote, _) => format!("{service} login from {remote}"),
        };
        Ok(Self {
            mark,
            // The password was right, and nothing more: core gives a first device for it, and no second.
            caller: Caller::owner(mark.user.clone(), Evidence::Password, origin),
            policy: Policy::read(&options.policy)
                .map_err(|error| Reason::Misconfigured(error.to_string()))?,
            store: options.store.as_ref().map_or_else(FileStore::system, FileStore::at),
            issuer: wording::issuer(),
        })
    }

    /// Until the account has a device and the person has shown a code of it.
    fn run(&self, host: &mut impl Host) -> Result<(), Reason> {
        log(host, Priority::Info, Event::new("enrolling"));
        let mut talk = Talk { questions: QUESTIONS, round: 1 };
        let mut notice =
            "This login needs a second factor, and your account has none yet.\nSet one up now.\n\n";
        loop {
            let Some(tokens) = self.tokens_if_unenrolled()? else { return self.prove_as_usual(host) };
            match self.bind(host, &mut talk, notice, &tokens)? {
                Ended::Bound => return Ok(()),
                Ended::Over => {
                    notice = "The key that you were shown is no longer valid. Here is a new one.\n"
                }
            }
        }
    }

    /// Somebody who knows the password has set up a device since the auth phase: a code of it is wanted, as of everybody.
    fn prove_as_usual(&self, host: &mut impl Host) -> Result<(), Reason> {
        let login = Login::new(host, Some(self.mark.user.clone()), &self.mark.options)?;
        let factor = login.ask_for_code(host, &self.mark.options)?;
        log(host, Priority::Info, mfa_core::Verdict::Accept(factor).event());
        Ok(())
    }

    /// The tokens that wait for this person. None: the account has a device.
    fn tokens_if_unenrolled(&self) -> Result<Option<Vec<DeviceStatus>>, Reason> {
        match self.ask(Request::Status { user: self.mark.user.clone() }) {
            Ok(Response::Status(status)) if is_enrolled(&status) => Ok(None),
            Ok(Response::Status(status)) => {
                let waiting = status.devices.into_iter().filter(|device| device.serial.is_some());
                Ok(Some(waiting.collect()))
            }
            Err(Error::NotEnrolled | Error::NoStore { .. }) => Ok(Some(Vec::new())),
            Ok(_) => Err(Reason::InternalError),
            Err(error) => Err(Reason::Unavailable(error)),
        }
    }

    /// Shows a key and asks for codes until they prove it.
    fn bind(
        &self,
        host: &mut impl Host,
        talk: &mut Talk,
        notice: &str,
        tokens: &[DeviceStatus],
    ) -> Result<Ended, Reason> {
        let (user, profile) = (self.mark.user.clone(), Profile::PLAIN);
        let begin = Request::BeginEnrollment { user, name: None, profile, replaces: None };
        let pending = match self.ask(begin) {
            Ok(Response::Pending(pending)) => pending,
            Err(Error::CodeNeeded) => return Ok(Ended::Over),
            Ok(_) => return Err(Reason::InternalError),
            Err(error) => return Err(Reason::Unavailable(error)),
        };
        let mut chosen = Chosen::App(&pending);
        let mut screen = Screen::Menu;
        loop {
            let prompt = match &screen {
                Screen::Menu => wording::menu(notice, &self.mark.user, &self.issuer, &pending, tokens),
                Screen::Picture(picture) => self.picture(*picture, &pending),
                Screen::Question(notice) => wording::first_code(notice, chosen.kind()),
            };
            let answer = talk.ask(host, &prompt)?;
            match Typed::read(&answer, chosen.profile(), tokens.len()) {
                Typed::Quit => return Err(Reason::Cancelled),
                Typed::Enter if matches!(screen, Screen::Menu) => {
                    screen = Screen::Picture(Picture::HalfBlocks(Paint::OnDark));
                }
                Typed::Enter => (chosen, screen) = (Chosen::App(&pending), Screen::Menu),
                Typed::Picture(picture) => {
                    (chosen, screen) = (Chosen::App(&pending), Screen::Picture(picture));
                }
                Typed::Skip => screen = Screen::Question(String::new()),
                Typed::Token(index) => {
                    chosen = tokens.get(index).map_or(chosen, Chosen::Token);
                    screen = Screen::Question(String::new());
                }
                Typed::Other => screen = Screen::Question(wording::no_code(chosen.profile())),
                Typed::Code(first) => match talk.next_code(host, &first, &chosen)? {
                    None => (chosen, screen) = (Chosen::App(&pending), Screen::Menu),
                    Some(second) => match self.confirm(host, talk, &chosen, (first, second))? {
                        Ok(ended) => return Ok(ended),
                        Err(why) => screen = Screen::Question(talk.again(why, &chosen)?),
                    },
                },
            }
        }
    }

    fn picture(&self, picture: Picture, pending: &PendingEnrollment) -> Prompt {
        wording::picture(picture, &self.mark.user, &self.issuer, pending.profile, &pending.seed)
            .unwrap_or_else(|| wording::first_code("This key makes no picture: type it.\n", Kind::App))
    }

    /// Binds the device, if both codes are good, and shows the recovery codes.
    fn confirm(
        &self,
        host: &mut impl Host,
        talk: &mut Talk,
        chosen: &Chosen<'_>,
        (first, second): (Code, Code),
    ) -> Result<Result<Ended, WhyNotConfirmed>, Reason> {
        // A key that was begun by the password alone must not become a second device.
        if self.tokens_if_unenrolled()?.is_none() {
            return Ok(Ok(Ended::Over));
        }
        let (user, recovery_codes) = (self.mark.user.clone(), RecoveryCodes::IfNone);
        let request = match chosen {
            Chosen::App(pending) => {
                let (id, replaces) = (pending.id, None);
                Request::ConfirmEnrollment { user, id, first, second, replaces, recovery_codes }
            }
            Chosen::Token(token) => {
                let Some(serial) = token.serial.clone() else { return Err(Reason::InternalError) };
                Request::ActivateToken { user, serial, name: None, first, second, recovery_codes }
            }
        };
        match self.ask(request) {
            Ok(Response::Enrolled { name, recovery_codes }) => {
                log(host, Priority::Info, Event::new("enrolled").with("device", name.as_str()));
                show_recovery_codes(host, talk, &name, &recovery_codes)?;
                Ok(Ok(Ended::Bound))
            }
            Ok(Response::NotConfirmed(why)) => Ok(Err(why)),
            Ok(Response::Refused(refusal)) => Err(Reason::Refusal(refusal)),
            Err(Error::NoSuchEnrollment | Error::NoSuchToken { .. } | Error::CodeNeeded) => {
                Ok(Ok(Ended::Over))
            }
            Ok(_) => Err(Reason::InternalError),
            Err(error) => Err(Reason::Unavailable(error)),
        }
    }

    fn ask(&self, request: Request) -> mfa_core::Result<Response> {
        mfa_core::answer(request, &self.caller, &self.store, &self.policy, Timestamp::now())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::path::Path;

    use mfa_core::Secret;
    use mfa_core::devices::Serial;
    use mfa_core::otp::{Generator, LookAhead, MovingFactor};
    use mfa_core::request::ForeignDevice;
    use pam::constants::PamResultCode;

    use super::*;
    use crate::fake::{Called, Fake, Says};
    use crate::login::authenticate;

    const IGNORE: PamResultCode = PamResultCode::PAM_IGNORE;
    const SUCCESS: PamResultCode = PamResultCode::PAM_SUCCESS;

    /// A host whose policy lets people enroll at a login.
    struct House(tempfile::TempDir);

    impl House {
        fn new() -> Self {
            let house = Self(tempfile::tempdir().unwrap());
            house.write("policy.toml", "unenrolled = \"enroll\"\n");
            house.write("test", "account required pam_mfa.so\n");
            // Somebody enrolls, so that there is a store.
            house.privileged(Request::BeginEnrollment {
                user: "carol".parse().unwrap(),
                name: None,
                profile: Profile::PLAIN,
                replaces: None,
            });
            house
        }

        fn path(&self) -> &Path {
            self.0.path()
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.path().join(name), text).unwrap();
        }

        fn privileged(&self, request: Request) -> Response {
            privileged(self.path(), request)
        }

        fn words(&self, more: &[&str]) -> Vec<CString> {
            let folder = self.path().display();
            let own = [
                format!("store={folder}/store"),
                format!("policy={folder}/policy.toml"),
                format!("pam_dir={folder}"),
            ];
            own.into_iter()
                .chain(more.iter().map(|word| (*word).to_owned()))
                .map(|word| CString::new(word).unwrap())
                .collect()
        }

        fn auth(&self, host: &mut Fake, more: &[&str]) -> PamResultCode {
            let words = self.words(more);
            self.path().clone_into(&mut host.folder);
            authenticate(host, &words.iter().map(CString::as_c_str).collect::<Vec<_>>()).finish(host)
        }

        /// As `acct_mgmt` does it.
        fn account(&self, host: &mut Fake, more: &[&str]) -> PamResultCode {
            let words = self.words(more);
            let Some(mark) = host.mark() else { return IGNORE };
            conclude(host, &words.iter().map(CString::as_c_str).collect::<Vec<_>>(), &mark).finish(host)
        }

        /// Both phases; the password in between was right.
        fn log_in(&self, host: &mut Fake) -> PamResultCode {
            assert_eq!(self.auth(host, &[]), IGNORE, "{:?}", host.lines);
            assert!(host.prompts.is_empty(), "the auth phase asks nothing");
            assert_eq!(host.lines.last().unwrap(), "enroll-pending user=alice service=test rhost=192.0.2.1");
            self.account(host, &[])
        }

        /// A login like any other, with this answer.
        fn usual(&self, answer: &str) -> (PamResultCode, Fake) {
            let mut host = Fake::user("alice").answering(answer);
            let code = self.auth(&mut host, &[]);
            (code, host)
        }

        fn devices(&self) -> usize {
            match self.status() {
                Ok(status) => status.devices.len(),
                Err(_) => 0,
            }
        }

        fn status(&self) -> mfa_core::Result<AccountStatus> {
            let store = FileStore::at(self.path().join("store"));
            let caller = Caller::privileged("test");
            let request = Request::Status { user: "alice".parse().unwrap() };
            let answer = mfa_core::answer(request, &caller, &store, &Policy::default(), Timestamp::now())?;
            let Response::Status(status) = answer else { panic!("no status") };
            Ok(status)
        }

        fn assign(&self, serial: &str, profile: Profile) -> Generator {
            let seed = Secret::random(20).unwrap();
            let generator = Generator::new(&seed, profile.algorithm, profile.digits);
            let device = ForeignDevice {
                name: format!("token {serial}").parse().unwrap(),
                profile,
                seed,
                serial: Some(serial.parse::<Serial>().unwrap()),
                floor: None,
                clock_offset_steps: 0,
                status: Status::Assigned,
                expires_at: None,
            };
            let (user, scratch_codes) = ("alice".parse().unwrap(), Vec::new());
            self.privileged(Request::Adopt { user, devices: vec![device], scratch_codes });
            generator
        }
    }

    fn privileged(folder: &Path, request: Request) -> Response {
        let store = FileStore::at(folder.join("store"));
        let caller = Caller::privileged("test");
        mfa_core::answer(request, &caller, &store, &Policy::default(), Timestamp::now()).unwrap()
    }

    fn alice() -> Fake {
        Fake::user("alice")
    }

    #[test]
    fn a_person_without_a_device_gets_one_and_is_let_in() {
        let house = House::new();
        let mut host = alice().answering("").saying(Says::Code(-1)).saying(Says::Code(0)).answering("");
        assert_eq!(house.log_in(&mut host), SUCCESS, "{:?}", host.lines);
        let prompts: Vec<&str> = host.prompts.iter().map(|(prompt, _)| prompt.as_str()).collect();
        assert!(host.prompts.iter().all(|(prompt, echo)| *echo == Echo::On && prompt.starts_with('\n')));
        assert!(prompts.iter().all(|prompt| prompt.len() <= wording::MAX_PROMPT_BYTES));
        assert!(prompts[0].is_ascii() && prompts[0].contains("q      quit"));
        assert!(prompts[1].contains('\u{2588}') && prompts[1].ends_with("Enter: back): "));
        assert!(prompts[2].contains("about ") && prompts[3].contains("Write them down"));
        assert_eq!(prompts.len(), 4);
        let lines: Vec<&str> = host.lines.iter().map(String::as_str).collect();
        assert_eq!(
            lines[1..],
            [
                "enrolling user=alice service=test rhost=192.0.2.1",
                "enrolled device=phone user=alice service=test rhost=192.0.2.1"
            ]
        );
        let status = house.status().unwrap();
        assert_eq!((status.devices.len(), status.recovery_codes_left), (1, Some(10)));

        for (code, expected) in [(-1, "replayed"), (0, "replayed")] {
            let (result, login) = house.usual(&host.code(code));
            assert_eq!(result, PamResultCode::PAM_AUTH_ERR);
            assert!(
                login.lines[0].contains(expected),
                "an enrollment code is no login code: {:?}",
                login.lines
            );
        }
        assert_eq!(house.usual(&host.code(1)).0, SUCCESS);
        let recovery = prompts[3].lines().find(|line| line.matches('-').count() == 6).unwrap();
        assert_eq!(house.usual(recovery.split_whitespace().next().unwrap()).0, SUCCESS);
    }

    #[test]
    fn another_spelling_of_a_name_is_no_account_without_a_device() {
        let house = House::new();
        let mut host = Fake::user("ALICE").answering("123456");
        host.called = Called::Otherwise("alice");
        assert_eq!(house.auth(&mut host, &[]), PamResultCode::PAM_AUTH_ERR);
        assert!(host.mark().is_none());
        let [why, refused] = host.lines.as_slice() else { panic!("{:?}", host.lines) };
        assert!(why.starts_with("not-enrolling account=alice ") && why.contains(" user=ALICE "), "{why}");
        assert!(refused.starts_with("refused reason=not-enrolled "), "{refused}");

        let mut host = Fake::user("alice");
        host.called = Called::Nothing;
        assert_eq!(house.auth(&mut host, &[]), IGNORE, "an account of a directory alone");
    }

    #[test]
    fn who_leaves_at_any_prompt_has_changed_nothing_and_sees_the_same_key_again() {
        let house = House::new();
        let all = [Says::Text(Vec::new()), Says::Code(-1), Says::Code(0)];
        let mut key = None;
        for answered in 0..all.len() {
            let mut host = alice();
            host.answers.extend(all[..answered].iter().cloned());
            assert_eq!(house.log_in(&mut host), PamResultCode::PAM_CONV_ERR, "{answered}");
            assert!(host.lines.last().unwrap().starts_with("refused reason=cancelled"), "{:?}", host.lines);
            assert_eq!(*key.get_or_insert(host.key_shown()), host.key_shown(), "{answered}");
            assert_eq!(house.devices(), 0, "{answered}");
        }
        let mut host = alice();
        host.answers.extend(all);
        assert_eq!(house.log_in(&mut host), PamResultCode::PAM_CONV_ERR, "gone before the recovery codes");
        assert_eq!(key.unwrap(), host.key_shown());
        assert_eq!(house.devices(), 1, "the device was proven");
        assert_eq!(house.usual(&host.code(1)).0, SUCCESS, "and asks for a code as every device does");
    }

    #[test]
    fn a_person_may_quit_and_a_program_that_answers_everything_alike_comes_to_an_end() {
        for answer in ["q", "Q ", "", "x", "a", "hunter2", "000000", "\u{7}"] {
            let house = House::new();
            let mut host = alice();
            host.answers.extend(vec![Says::Text(answer.as_bytes().to_owned()); 1000]);
            let result = house.log_in(&mut host);
            assert_eq!(result, PamResultCode::PAM_AUTH_ERR, "{answer}");
            assert!(host.prompts.len() <= usize::from(QUESTIONS), "{answer}");
            assert_eq!(host.prompts.len() == 1, answer.trim().eq_ignore_ascii_case("q"), "{answer}");
            assert!(host.lines.iter().all(|line| !line.contains("hunter2")));
            assert_eq!(house.devices(), 0);
        }
    }

    #[test]
    fn a_key_that_somebody_else_was_shown_is_not_shown_to_the_owner() {
        let house = House::new();
        let key = |place: &str, asking| {
            let mut host = alice().answering("q");
            host.remote_host = place.into();
            host.asking = asking;
            assert_eq!(house.auth(&mut host, &[]), IGNORE);
            assert_eq!(house.account(&mut host, &[]), PamResultCode::PAM_AUTH_ERR);
            host.key_shown().unwrap()
        };
        let owners = key("192.0.2.1", None);
        assert_eq!(key("192.0.2.1", None), owners);
        let places = [("203.0.113.9", None), ("", Some("bob")), ("", Some("mallory")), ("", Some("alice"))];
        let mut keys: Vec<String> = places.iter().map(|(place, asking)| key(place, *asking)).collect();
        keys.push(owners);
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 5);
        assert_eq!(key("", None), key("", Some("alice")), "she herself");
    }

    #[test]
    fn three_wrong_pairs_refuse_and_keep_the_key() {
        let house = House::new();
        let mut host = alice();
        host.answers.push_back(Says::Text(b"s".to_vec()));
        for _ in 0..4 {
            host.answers.extend([Says::Code(-9), Says::Code(-4)]);
        }
        assert_eq!(house.log_in(&mut host), PamResultCode::PAM_PERM_DENIED);
        assert!(
            host.lines.last().unwrap().starts_with("refused reason=not-proven codes=not-consecutive "),
            "{:?}",
            host.lines
        );
        let said =
            host.prompts.iter().filter(|(prompt, _)| prompt.contains("the key stays the same")).count();
        assert_eq!((said, house.devices()), (2, 0));
        let key = host.key_shown();
        let mut host = alice().saying(Says::Code(-1)).saying(Says::Code(0)).answering("");
        assert_eq!(house.log_in(&mut host), SUCCESS, "a code can be typed at the menu");
        assert_eq!(host.key_shown(), key);
    }

    #[test]
    fn what_was_wrong_is_said_in_plain_words_and_the_next_try_may_be_right() {
        for (first, second, words) in [
            (Says::Code(-80), Says::Code(-79), "is 40 minutes behind"),
            (Says::Code(-9), Says::Code(-4), "does not follow"),
            (Says::Text(b"000000".to_vec()), Says::Text(b"000001".to_vec()), "not codes of this key"),
        ] {
            let house = House::new();
            let mut host = alice().answering("s");
            host.answers.extend([first, second, Says::Code(-1), Says::Code(0), Says::Text(Vec::new())]);
            assert_eq!(house.log_in(&mut host), SUCCESS, "{words}: {:?}", host.lines);
            let said = &host.prompts[3].0;
            assert!(said.contains(words) && said.contains("Try 2 of 3"), "{said}");
        }
    }

    #[test]
    fn the_same_code_again_and_what_is_no_code_are_asked_for_again_and_are_no_tries() {
        let house = House::new();
        let mut host = alice();
        let typed = ["s", "12345", "12345678", "ABCD-EFGH-IJKL-MNOP", "pass word"];
        host.answers.extend(typed.map(|text| Says::Text(text.as_bytes().to_owned())));
        host.answers.extend(vec![Says::Code(-1); 6]);
        host.answers.extend([Says::Text(b"abc".to_vec()), Says::Code(0), Says::Text(Vec::new())]);
        assert_eq!(house.log_in(&mut host), SUCCESS, "{:?}", host.lines);
        let shown = |text: &str| host.prompts.iter().filter(|(prompt, _)| prompt.contains(text)).count();
        assert_eq!((shown("A code has 6 digits."), shown("the same code again")), (5, 5));
    }

    #[test]
    fn the_picture_can_be_changed_and_skipped_and_the_menu_comes_back() {
        let house = House::new();
        let mut host = alice();
        let typed = ["a", "i", "", "", "s", "", "I"];
        host.answers.extend(typed.map(|text| Says::Text(text.as_bytes().to_owned())));
        host.answers.extend([
            Says::Code(-1),
            Says::Text(Vec::new()),
            Says::Code(-1),
            Says::Code(0),
            Says::Text(Vec::new()),
        ]);
        assert_eq!(house.log_in(&mut host), SUCCESS, "{:?}", host.lines);
        let kinds: Vec<char> = host
            .prompts
            .iter()
            .map(|(prompt, _)| match prompt {
                prompt if prompt.contains("q      quit") => 'm',
                prompt if prompt.contains("####") => 'a',
                // The margin is light: drawn on a dark screen, left blank on a light one.
                prompt if prompt.lines().nth(1).unwrap().contains("\u{2588}\u{2588}\u{2588}") => 'd',
                prompt if prompt.contains('\u{2588}') => 'l',
                prompt if prompt.contains("Now wait") => 'n',
                prompt if prompt.contains("Write them down") => 'r',
                _ => 'q',
            })
            .collect();
        assert_eq!(kinds.iter().collect::<String>(), "malmdqmlnmnr");
        assert!(host.prompts.iter().all(|(prompt, _)| !prompt.contains('\u{1b}')), "no colours");
    }

    #[test]
    fn nobody_is_enrolled_where_the_policy_does_not_say_so() {
        let house = House::new();
        for (policy, enrolls) in [
            ("", false),
            ("unenrolled = \"refuse\"\n", false),
            ("[[rule]]\ngroups = [\"guests\"]\nunenrolled = \"enroll\"\n", false),
            ("[[rule]]\ngroups = [\"staff\"]\nunenrolled = \"enroll\"\n", true),
            ("[[rule]]\nusers = [\"bob\"]\nunenrolled = \"enroll\"\n", false),
            ("[[rule]]\nusers = [\"alice\"]\nunenrolled = \"enroll\"\n", true),
            ("unenrolled = \"enroll\"\n[[rule]]\nusers = [\"alice\"]\nunenrolled = \"refuse\"\n", false),
        ] {
            house.write("policy.toml", policy);
            let mut host = Fake { groups: vec!["staff"], ..alice().answering("000000") };
            let result = house.auth(&mut host, &[]);
            assert_eq!(result, if enrolls { IGNORE } else { PamResultCode::PAM_AUTH_ERR }, "{policy}");
            assert_eq!(host.mark.is_some(), enrolls);
            if !enrolls {
                assert_eq!(host.prompts, [("Verification code: ".to_owned(), Echo::On)], "{policy}");
                assert!(host.lines[0].contains("reason=not-enrolled"));
            }
        }
    }

    #[test]
    fn names_that_can_be_nobodys_are_asked_for_a_code_whatever_the_policy_says() {
        let house = House::new();
        for user in ["../x", "a\nb", "", "-x"] {
            let mut host = Fake::user(user).answering("000000");
            assert_eq!(house.auth(&mut host, &[]), PamResultCode::PAM_AUTH_ERR, "{user:?}");
            assert!(host.mark.is_none() && host.prompts.len() == 1);
        }
    }

    #[test]
    fn a_file_that_does_not_show_the_account_line_refuses_after_the_usual_prompt() {
        let house = House::new();
        for file in
            ["", "@include common-account\naccount required pam_mfa.so\n", "account optional pam_mfa.so\n"]
        {
            house.write("test", file);
            let mut host = alice().answering("000000");
            assert_eq!(house.auth(&mut host, &[]), PamResultCode::PAM_SERVICE_ERR, "{file}");
            assert_eq!(host.prompts, [("Verification code: ".to_owned(), Echo::On)]);
            assert!(host.mark.is_none(), "{file}");
            assert!(host.lines[0].contains("refused reason=misconfigured error="), "{:?}", host.lines);
            assert!(host.lines[0].contains("pam_mfa.so"), "{:?}", host.lines);
        }
        let mut host = alice().answering("Ignored").with_password("secret");
        assert_eq!(house.auth(&mut host, &["use_first_pass"]), PamResultCode::PAM_SERVICE_ERR);
        assert!(host.prompts.is_empty());
        let mut host = alice();
        assert_eq!(house.auth(&mut host, &["echo=off"]), PamResultCode::PAM_CONV_ERR);
        assert_eq!(host.prompts, [("Verification code: ".to_owned(), Echo::Off)]);
    }

    #[test]
    fn a_mark_that_pam_does_not_keep_refuses() {
        let house = House::new();
        let mut host = Fake { is_full: true, ..alice() };
        assert_eq!(house.auth(&mut host, &[]), PamResultCode::PAM_AUTHINFO_UNAVAIL);
    }

    #[test]
    fn a_store_that_was_lost_does_not_pass_for_one_in_which_nobody_is_enrolled() {
        let house = House::new();
        let store = house.path().join("store");
        for part in ["decoy", "users", "key", ""] {
            let (here, away) = (store.join(part), house.path().join("away"));
            std::fs::rename(&here, &away).unwrap();
            let mut host = alice().answering("000000");
            assert_eq!(
                house.auth(&mut host, &[]),
                PamResultCode::PAM_AUTHINFO_UNAVAIL,
                "{part}: {:?}",
                host.lines
            );
            assert_eq!(host.prompts.len(), 1);
            assert!(host.mark.is_none());
            std::fs::rename(&away, &here).unwrap();
        }
        assert_eq!(house.auth(&mut alice(), &[]), IGNORE);
    }

    #[test]
    fn suspended_and_disabled_devices_and_bypass_codes_are_devices() {
        let house = House::new();
        let mut host = alice().saying(Says::Code(-1)).saying(Says::Code(0)).answering("");
        assert_eq!(house.log_in(&mut host), SUCCESS);
        let (user, name) = ("alice".parse().unwrap(), "phone".parse().unwrap());
        house.privileged(Request::SuspendDevice { user, name });
        let (result, login) = house.usual(&host.code(1));
        assert_eq!((result, login.mark.is_some()), (PamResultCode::PAM_AUTH_ERR, false));

        let house = House::new();
        let user: UserName = "alice".parse().unwrap();
        let reason = "lost phone".to_owned();
        let issue = Request::IssueBypass { user, valid_seconds: 60, reason };
        let Response::Bypass { code, .. } = house.privileged(issue) else { panic!("no code") };
        let (result, login) = house.usual(&code.expose_grouped());
        assert_eq!((result, login.mark.is_some()), (SUCCESS, false), "{:?}", login.lines);
        assert_eq!(house.usual("000000").0, IGNORE, "it is used up: no device, and no code that waits");
    }

    #[test]
    fn the_account_phase_is_for_the_user_who_was_marked_and_happens_once() {
        let house = House::new();
        assert_eq!(house.account(&mut alice(), &[]), IGNORE, "no auth phase before");
        let mut host = alice();
        assert_eq!(house.auth(&mut host, &[]), IGNORE);
        host.user = b"bob".to_vec();
        assert_eq!(house.account(&mut host, &[]), PamResultCode::PAM_PERM_DENIED);
        assert!(
            host.prompts.is_empty() && host.lines.last().unwrap().starts_with("refused reason=user-changed")
        );

        let mut host = alice().saying(Says::Code(-1)).saying(Says::Code(0)).answering("");
        assert_eq!(house.log_in(&mut host), SUCCESS);
        assert_eq!(house.account(&mut host, &[]), SUCCESS, "called again");
        assert_eq!((host.prompts.len(), house.devices()), (3, 1));
    }

    #[test]
    fn a_refusal_in_the_account_phase_is_not_forgotten_by_the_next_call() {
        let house = House::new();
        let mut host = alice().answering("q");
        assert_eq!(house.log_in(&mut host), PamResultCode::PAM_AUTH_ERR);
        assert_eq!(house.account(&mut host, &[]), PamResultCode::PAM_CONV_ERR, "it asks again");
        assert_eq!(house.account(&mut host, &["nullok"]), PamResultCode::PAM_SERVICE_ERR);
    }

    #[test]
    fn another_user_s_login_on_the_same_handle_is_not_taken_for_the_marked_one() {
        let house = House::new();
        let mut host = alice().saying(Says::Code(-1)).saying(Says::Code(0)).answering("");
        assert_eq!(house.log_in(&mut host), SUCCESS);
        let code = host.code(1);
        let mut host = Fake::user("bob").answering(&code);
        assert_eq!(house.auth(&mut host, &[]), IGNORE);
        assert!(host.mark.is_some());
        host.user = b"alice".to_vec();
        assert_eq!(house.auth(&mut host, &[]), SUCCESS, "{:?}", host.lines);
        assert_eq!(house.account(&mut host, &[]), IGNORE);
    }

    #[test]
    fn two_stores_in_one_stack_can_not_both_enroll() {
        let (house, other) = (House::new(), House::new());
        let mut host = alice().answering("000000");
        assert_eq!(house.auth(&mut host, &[]), IGNORE);
        assert_eq!(house.auth(&mut host, &[]), IGNORE, "the same store");
        assert_eq!(other.auth(&mut host, &[]), PamResultCode::PAM_SERVICE_ERR);
    }

    /// Alice, who knows the password, enrolls in another connection from the same address.
    fn another_connection(host: &Fake) {
        let user: UserName = "alice".parse().unwrap();
        let (name, profile, replaces) = (None, Profile::PLAIN, None);
        let begin = Request::BeginEnrollment { user: user.clone(), name, profile, replaces };
        let store = FileStore::at(host.folder.join("store"));
        let caller = Caller::owner(user.clone(), Evidence::Password, "test login from 192.0.2.1");
        let begun = mfa_core::answer(begin, &caller, &store, &Policy::default(), Timestamp::now()).unwrap();
        let Response::Pending(pending) = begun else { panic!("no key") };
        let app = Generator::new(&pending.seed, profile.algorithm, profile.digits);
        let (first, second) = (app.code_at(host.step - 1), app.code_at(host.step));
        let (id, replaces, recovery_codes) = (pending.id, None, RecoveryCodes::No);
        privileged(
            &host.folder,
            Request::ConfirmEnrollment { user, id, first, second, replaces, recovery_codes },
        );
    }

    #[test]
    fn who_was_faster_in_another_connection_is_asked_for_a_code_by_this_one() {
        let house = House::new();
        let after = |says| Says::After(another_connection, Box::new(says));
        for code in [1, -1] {
            let house = House::new();
            let mut host =
                alice().saying(after(Says::Code(-1))).saying(Says::Code(0)).saying(Says::Code(code));
            let result = house.log_in(&mut host);
            assert_eq!(
                result,
                if code == 1 { SUCCESS } else { PamResultCode::PAM_AUTH_ERR },
                "{:?}",
                host.lines
            );
            assert_eq!(host.prompts.last().unwrap().0, "Verification code: ");
            assert_eq!(house.devices(), 1, "no second device for the password alone");
        }
        // Between the phases.
        let mut host = alice().answering("000000");
        assert_eq!(house.auth(&mut host, &[]), IGNORE);
        another_connection(&host);
        assert_eq!(house.account(&mut host, &[]), PamResultCode::PAM_AUTH_ERR);
        assert_eq!((host.prompts.len(), house.devices()), (1, 1));
    }

    /// The pending key is gone: it was too old.
    fn the_key_is_over(host: &Fake) {
        std::fs::remove_file(host.folder.join("store/users/alice/pending.toml")).unwrap();
    }

    #[test]
    fn a_key_that_is_too_old_is_replaced_and_the_person_is_told() {
        let house = House::new();
        let mut host = alice().saying(Says::Code(-1));
        host.answers.push_back(Says::After(the_key_is_over, Box::new(Says::Code(0))));
        host.answers.extend([Says::Code(-1), Says::Code(0), Says::Text(Vec::new())]);
        assert_eq!(house.log_in(&mut host), SUCCESS, "{:?}", host.lines);
        assert!(host.prompts[2].0.contains("no longer valid. Here is a new one."), "{}", host.prompts[2].0);
        assert_eq!(house.devices(), 1);
    }

    #[test]
    fn a_token_that_waits_can_be_activated_instead() {
        let step = || Timestamp::now().unix_seconds() / 30;
        let counter = Profile { moving_factor: MovingFactor::Counter(LookAhead::DEFAULT), ..Profile::PLAIN };
        for (profile, base) in [(Profile::PLAIN, step() - 100), (counter, 17)] {
            let house = House::new();
            let token = house.assign("0123456", profile);
            let code = |at| token.code_at(at).expose_text().to_string();
            let mut host =
                alice().answering("t").answering(code(base)).answering(code(base + 1)).answering("");
            assert_eq!(house.log_in(&mut host), SUCCESS, "{:?}", host.lines);
            assert!(host.prompts[0].0.contains("t      use the hardware token 0123456 instead"));
            let press = host.prompts[2].0.contains("press the button");
            assert_eq!(press, profile == counter, "{}", host.prompts[2].0);
            let status = house.status().unwrap();
            assert_eq!((status.devices.len(), status.recovery_codes_left), (1, Some(10)));
            assert_eq!(status.devices[0].status, Status::Active);
            assert_eq!(house.usual(&code(base + 1)).0, PamResultCode::PAM_AUTH_ERR, "used up");
            if profile == counter {
                assert_eq!(house.usual(&code(base + 2)).0, SUCCESS);
            }
        }
    }

    #[test]
    fn who_has_tokens_waiting_may_still_take_an_app() {
        let house = House::new();
        house.assign("1", Profile::PLAIN);
        house.assign("2", Profile::PLAIN);
        let mut host = alice().answering("t2").answering("").answering("t").answering("");
        host.answers.extend([Says::Code(-1), Says::Code(0), Says::Text(Vec::new())]);
        assert_eq!(house.log_in(&mut host), SUCCESS, "{:?}", host.lines);
        assert!(
            host.prompts[0].0.contains("t1     use the hardware token 1")
                && host.prompts[0].0.contains("t2     ")
        );
        let names: Vec<String> = house.status().unwrap().devices.iter().map(|d| d.name.to_string()).collect();
        assert_eq!(names, ["token 1", "token 2", "phone"]);
    }

    #[test]
    fn the_history_says_where_the_device_came_from() {
        let house = House::new();
        let mut host = alice().saying(Says::Code(-1)).saying(Says::Code(0)).answering("");
        assert_eq!(house.log_in(&mut host), SUCCESS);
        let history = house.privileged(Request::History { user: "alice".parse().unwrap() });
        let Response::History(changes) = history else { panic!("no history") };
        assert!(
            changes.iter().all(|change| change.by.as_str() == "test login from 192.0.2.1"),
            "{changes:?}"
        );
        assert!(!changes.is_empty());
    }

    #[test]
    fn a_client_that_asks_once_hands_its_answer_on_as_the_password() {
        let house = House::new();
        let mut host = alice().answering("secret");
        assert_eq!(house.auth(&mut host, &["forward_pass"]), IGNORE);
        assert_eq!(host.prompts, [("Password & verification code: ".to_owned(), Echo::Off)]);
        assert_eq!(host.password.as_deref(), Some(&b"secret"[..]));
        assert!(host.mark.is_some());
        let mut host = alice().with_password("secret");
        assert_eq!(house.auth(&mut host, &["use_first_pass"]), IGNORE);
        assert!(host.prompts.is_empty() && host.mark.is_some());
    }

    #[test]
    fn the_password_check_of_mfad_is_asked_for_no_code_and_marks_nobody() {
        let house = House::new();
        let mut host = Fake { service: Some("mfa-enroll"), ..alice() };
        assert_eq!(house.auth(&mut host, &["nonsense"]), IGNORE);
        assert!(host.prompts.is_empty() && host.mark.is_none());
    }
}
