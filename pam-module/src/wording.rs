//! What a person reads while setting up a device inside a login.
//!
//! All of it stands in prompts: what is no prompt, several clients drop, escape or cut. Each begins with a newline, because a client may
//! put words of its own before it. Nothing but the QR code in half blocks is beyond ASCII, and there are no colours.

use mfa_core::Timestamp;
use mfa_core::otp::{MovingFactor, Profile};
use mfa_core::otpauth;
use mfa_core::recovery::RecoveryCode;
use mfa_core::request::{DeviceStatus, PendingEnrollment, WhyNotConfirmed};
use mfa_core::{Secret, UserName};
use mfa_qr::{Paint, Qr, SCREEN_MARGIN};
use zeroize::Zeroizing;

/// The longest prompt in bytes: what OpenSSH's client shows whole.
pub(crate) const MAX_PROMPT_BYTES: usize = 8 * 1024;

/// The columns that every client shows of a line: on a terminal of 80, plink puts `| ` before it and breaks it at 77.
const COLUMNS: usize = 77;

/// A prompt that may hold a key; made with room enough, so that growing leaves no copies behind.
pub(crate) struct Prompt(Zeroizing<String>);

impl Prompt {
    pub(crate) fn new() -> Self {
        let mut text = Zeroizing::new(String::with_capacity(MAX_PROMPT_BYTES));
        text.push('\n');
        Self(text)
    }

    /// A text, in which whatever is not plain ASCII becomes `?`.
    pub(crate) fn say(mut self, text: &str) -> Self {
        let plain = |c: char| if c == '\n' || matches!(c, ' '..='~') { c } else { '?' };
        self.0.extend(text.chars().map(plain));
        self
    }

    /// A line as it is.
    fn line(mut self, line: &str) -> Self {
        self.0.push_str(line);
        self.0.push('\n');
        self
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// How a person wants to see the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Picture {
    HalfBlocks(Paint),
    Ascii,
}

/// The host as an app shall call it: the same name as `mfa-enroll` gives.
pub(crate) fn issuer() -> String {
    const SHORT: usize = 20;
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    let short = name.split('.').next().filter(|label| !label.is_empty()).unwrap_or("localhost");
    if name.is_empty() || name.len() > SHORT { short.to_owned() } else { name }
}

/// The first prompt: the key, and what can be done with it.
pub(crate) fn menu(
    notice: &str,
    user: &UserName,
    issuer: &str,
    pending: &PendingEnrollment,
    tokens: &[DeviceStatus],
) -> Prompt {
    let mut prompt =
        Prompt::new().say(notice).say("Put this key into an authenticator app on your phone:\n\n    ");
    for (position, letter) in pending.seed.to_base32().chars().enumerate() {
        if position > 0 && position.is_multiple_of(4) {
            prompt.0.push(' ');
        }
        prompt.0.push(letter);
    }
    prompt = prompt
        .say(&format!("\n\n    (time based, 6 digits, for {user} at {issuer})\n\n"))
        .say("Then type the code that the app shows. Or type one of these:\n")
        .say("    Enter  show the key as a QR code to scan\n")
        .say("    i      the same, for dark letters on a light screen\n")
        .say("    a      the same in plain ASCII; needs about 40 lines\n")
        .say("    s      skip the picture\n");
    for (index, token) in tokens.iter().enumerate() {
        let serial = token.serial.as_ref().map_or_else(String::new, |serial| format!(" {serial}"));
        let letter = token_letter(index, tokens.len());
        prompt = prompt.say(&format!("    {letter:<6} use the hardware token{serial} instead\n"));
    }
    prompt.say("    q      quit\n> ")
}

/// What chooses a token in the menu: `t`, or `t1`, `t2` if there are several.
pub(crate) fn token_letter(index: usize, count: usize) -> String {
    if count == 1 { "t".to_owned() } else { format!("t{}", index.saturating_add(1)) }
}

/// The QR code, and below it the question for the first code. None: no code can hold this.
pub(crate) fn picture(
    picture: Picture,
    user: &UserName,
    issuer: &str,
    profile: Profile,
    seed: &Secret,
) -> Option<Prompt> {
    let qr = Qr::of(&otpauth::uri(issuer, user, profile, seed)).ok()?;
    let (drawing, question) = match picture {
        // A client in a locale without them shows nothing, or escapes, and nobody here can know.
        Picture::HalfBlocks(paint) => {
            (qr.half_blocks(paint, SCREEN_MARGIN), "Code (no QR code above? type a; Enter: back): ")
        }
        Picture::Ascii => (qr.ascii(Paint::OnDark, ASCII_MARGIN), "Code (Enter: back): "),
    };
    let bytes: usize = drawing.lines.iter().map(|line| line.len().saturating_add(1)).sum();
    if bytes.saturating_add(200) > MAX_PROMPT_BYTES {
        return None;
    }
    let prompt = drawing.lines.iter().fold(Prompt::new(), |prompt, line| prompt.line(fitting(line)));
    Some(prompt.say(question))
}

/// Light modules around a code in ASCII: few, so that it fits into 80 columns.
const ASCII_MARGIN: usize = 1;

/// A line without the end of its margin, if it fits by that: a module is two characters of ASCII, and half a one is margin enough.
fn fitting(line: &str) -> &str {
    let too_much = line.chars().count().saturating_sub(COLUMNS);
    if line.is_ascii() && too_much < ASCII_MARGIN.saturating_mul(2) {
        line.get(..line.len().saturating_sub(too_much)).unwrap_or(line)
    } else {
        line
    }
}

/// The question for a first code, without a picture.
pub(crate) fn first_code(notice: &str, kind: Kind) -> Prompt {
    let what = match kind {
        Kind::App => "The code that the app shows now (Enter: back): ",
        Kind::Token => "The code that the token shows now (Enter: back): ",
    };
    Prompt::new().say(notice).say(what)
}

/// What shows the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    App,
    Token,
}

/// The question for the code after the first, and when it comes.
pub(crate) fn next_code(notice: &str, kind: Kind, profile: Profile, now: Timestamp) -> Prompt {
    let when = match (profile.moving_factor, kind) {
        (MovingFactor::Counter(_), _) => "Now press the button of the token again.".to_owned(),
        (MovingFactor::Time(period), Kind::App) => {
            let gone = now.unix_seconds().checked_rem(period.seconds()).unwrap_or(0);
            let left = period.seconds().saturating_sub(gone);
            format!("Now wait for the next code: about {left} seconds.")
        }
        // Its clock may be anywhere.
        (MovingFactor::Time(period), Kind::Token) => {
            format!("Now wait for the next code: up to {} seconds.", period.seconds())
        }
    };
    Prompt::new().say(notice).say(&when).say("\nThe next code (Enter: back): ")
}

/// The recovery codes, and a question that waits until they are written down.
pub(crate) fn recovery_codes(device: &str, codes: &[RecoveryCode]) -> Prompt {
    let mut prompt = Prompt::new()
        .say(&format!("Done. From now on a login asks for a code of this device ({device}).\n\n"))
        .say("If you ever lose it, each of these recovery codes lets you in once in its\nplace. ")
        .say("They are not shown again:\n\n");
    for pair in codes.chunks(2) {
        for code in pair {
            prompt = prompt.say("    ").say(&code.expose_grouped());
        }
        prompt = prompt.say("\n");
    }
    prompt.say("\nWrite them down, then press Enter: ")
}

/// What is wrong with two codes, in a sentence or two for a person, and in a word for the log.
pub(crate) fn why_not(why: WhyNotConfirmed, kind: Kind, profile: Profile) -> (String, &'static str) {
    let device = match kind {
        Kind::App => "phone",
        Kind::Token => "token",
    };
    match why {
        WhyNotConfirmed::SameCode => (SAME_CODE.to_owned(), "same-code"),
        WhyNotConfirmed::NotConsecutive => (
            "Both are codes of this key, but the second does not follow the first.".to_owned(),
            "not-consecutive",
        ),
        WhyNotConfirmed::ClockOff { seconds } => (
            format!(
                "The codes are right, but the clock of your {device} is {} {}\nthis host's, which says {}. Let the phone set \
                 its clock\nby the network.",
                duration(seconds.unsigned_abs()),
                if seconds < 0 { "behind" } else { "ahead of" },
                Timestamp::now(),
            ),
            "clock-off",
        ),
        WhyNotConfirmed::ProfileIgnored { instead } => (
            format!(
                "The app makes codes by {},\nthough it was told {}.\nTry another app.",
                profile_text(instead),
                profile_text(profile)
            ),
            "profile-ignored",
        ),
        WhyNotConfirmed::Used => ("These codes were used before. Wait for new ones.".to_owned(), "used"),
        WhyNotConfirmed::OtherCodes => (
            match kind {
                Kind::App => {
                    "These are not codes of this key. See that the app has this very key, and that\nyou read its entry \
                     for this host."
                }
                Kind::Token => "These are not codes of this token. See that the number on it is the same.",
            }
            .to_owned(),
            "other-codes",
        ),
    }
}

/// What is said to an answer that is neither a code nor a letter.
pub(crate) fn no_code(profile: Profile) -> String {
    format!("A code has {} digits.\n", profile.digits.count())
}

/// Said before the codes are even looked at.
pub(crate) const SAME_CODE: &str = "That is the same code again.";

fn profile_text(profile: Profile) -> String {
    let Profile { moving_factor, algorithm, digits } = profile;
    match moving_factor {
        MovingFactor::Time(period) => {
            format!("{algorithm}, {} digits, {} s", digits.count(), period.seconds())
        }
        MovingFactor::Counter(_) => format!("{algorithm}, {} digits, counter", digits.count()),
    }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.saturating_add(30).checked_div(60).unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use mfa_core::otp::Algorithm;

    use super::*;

    fn pending() -> PendingEnrollment {
        use mfa_core::request::{Request, Response};
        let folder = tempfile::tempdir().unwrap();
        let store = mfa_core::FileStore::at(folder.path().join("store"));
        let (user, name, profile) = ("alice".parse().unwrap(), None, Profile::PLAIN);
        let begin = Request::BeginEnrollment { user, name, profile, replaces: None };
        let caller = mfa_core::Caller::privileged("test");
        match mfa_core::answer(begin, &caller, &store, &mfa_core::Policy::default(), Timestamp::now()) {
            Ok(Response::Pending(pending)) => pending,
            other => panic!("no key: {other:?}"),
        }
    }

    #[track_caller]
    fn assert_fits(text: &str) {
        for line in text.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line:?}");
        }
    }

    #[test]
    fn every_line_fits_a_terminal_of_80_columns_in_every_client() {
        let (pending, user) = (pending(), "bartholomew".parse().unwrap());
        let issuer = "server42";
        assert!(
            otpauth::uri(issuer, &user, pending.profile, &pending.seed).len() > 78,
            "a code of version 5"
        );
        let menu = menu("", &user, issuer, &pending, &[]);
        assert_fits(menu.as_str());
        assert!(menu.as_str().lines().count() <= 20, "there is room for what the client says");
        for shown in [Picture::Ascii, Picture::HalfBlocks(Paint::OnDark), Picture::HalfBlocks(Paint::OnLight)]
        {
            let prompt = picture(shown, &user, issuer, pending.profile, &pending.seed).unwrap();
            assert_fits(prompt.as_str());
            if shown != Picture::Ascii {
                assert!(prompt.as_str().lines().count() <= 23, "{}", prompt.as_str());
            }
        }
        let codes: Vec<RecoveryCode> =
            (0..10).map(|_| RecoveryCode::parse("AAAABBBBCCCCDDDD").unwrap()).collect();
        let codes = recovery_codes("hardware token", &codes);
        assert_fits(codes.as_str());
        assert!(codes.as_str().lines().count() <= 20);
        let profile = Profile { algorithm: Algorithm::Sha256, ..Profile::PLAIN };
        for kind in [Kind::App, Kind::Token] {
            for why in [
                WhyNotConfirmed::SameCode,
                WhyNotConfirmed::NotConsecutive,
                WhyNotConfirmed::ClockOff { seconds: -7200 },
                WhyNotConfirmed::ProfileIgnored { instead: profile },
                WhyNotConfirmed::Used,
                WhyNotConfirmed::OtherCodes,
            ] {
                assert_fits(&why_not(why, kind, Profile::PLAIN).0);
            }
            assert_fits(first_code(&no_code(profile), kind).as_str());
            assert_fits(next_code(SAME_CODE, kind, profile, Timestamp::now()).as_str());
        }
    }
}
