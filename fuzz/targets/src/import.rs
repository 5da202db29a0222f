//! Other people's files.

use std::fmt::Debug;

use mfa_core::otp::MovingFactor;
use mfa_core::{Secret, Timestamp};
use mfa_import::local_time::LocalTime;
use mfa_import::pskc::{Container, Unlock};
use mfa_import::{Format, Place, Problem, SecretEncoding, Token};
use zeroize::Zeroizing;

use crate::store::alice;

/// A PSKC container (RFC 6030), as it is, with a pre-shared key and with a password.
pub fn pskc(bytes: &[u8]) {
    let unlocks = [
        Unlock::Nothing,
        Unlock::PreSharedKey(Secret::new(b"\x124Vx\x90\x124Vx\x90\x124Vx\x90\x12".to_vec())),
        Unlock::Password(Zeroizing::new("qwerty".to_owned())),
    ];
    for unlock in unlocks {
        check(Container::open(bytes).and_then(|container| container.tokens(&unlock)));
    }
    let _ = Format::of(bytes);
}

/// Token lists in CSV, of both kinds, in every declared encoding.
pub fn csv(bytes: &[u8]) {
    for encoding in [None, Some(SecretEncoding::Base32), Some(SecretEncoding::Hex)] {
        check(mfa_import::csv::entra::read(bytes, encoding));
        check(mfa_import::csv::oath::read(bytes, encoding));
    }
    let _ = Format::of(bytes);
}

/// otpauth URIs: a list of a fleet, and one alone, which is written again by our own writer and read again to the same device.
pub fn otpauth(bytes: &[u8]) {
    check(mfa_import::otpauth::list(bytes));
    let _ = Format::of(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let token = match mfa_import::otpauth::parse(text, Place::File) {
        Ok(token) => token,
        Err(bad) => return assert_tells_no_secret(&bad.to_string()),
    };
    check_token(&token);
    let uri = mfa_core::otpauth::uri("Example Inc", &alice(), token.profile, &token.seed);
    let again = mfa_import::otpauth::parse(&uri, Place::File);
    let again = again.unwrap_or_else(|bad| panic!("our own URI is refused: {bad}: {}", uri.as_str()));
    assert_eq!((again.profile, &again.seed), (token.profile, &token.seed));
}

/// A user's `~/.google_authenticator`.
pub fn google_authenticator(bytes: &[u8]) {
    match mfa_import::google_authenticator::parse(bytes, &alice()) {
        Ok(account) => check_token(&account.token),
        Err(problems) => check_problems(&problems),
    }
}

/// A `users.oath` of pam_oath.
pub fn users_oath(bytes: &[u8]) {
    let now = Timestamp::from_unix_seconds(2_000_000_000);
    check(mfa_import::oath_users::read(bytes, &LocalTime::utc(), now));
}

/// All or nothing: tokens that can be used, or problems.
fn check(outcome: Result<Vec<Token>, Vec<Problem>>) {
    match outcome {
        Ok(tokens) => tokens.iter().for_each(check_token),
        Err(problems) => check_problems(&problems),
    }
}

fn check_token(token: &Token) {
    assert!(
        (1..=mfa_import::token::MAX_SEED_BYTES).contains(&token.seed.len()),
        "a seed of {}",
        token.seed.len()
    );
    assert_eq!(token.weak, token.seed.len() < mfa_import::token::STRONG_SEED_BYTES);
    match token.profile.moving_factor {
        MovingFactor::Time(_) => assert!(token.counter.is_none()),
        MovingFactor::Counter(_) => assert!(token.used_step.is_none()),
    }
    for name in [&token.issuer, &token.manufacturer, &token.model].into_iter().flatten() {
        assert!(!name.contains(char::is_control) && !name.is_empty(), "{name:?}");
    }
}

fn check_problems(problems: &[Problem]) {
    assert!(!problems.is_empty(), "refused for no reason");
    for problem in problems {
        assert_tells_no_secret(&problem.to_string());
        assert!(!problem.text.contains(|c: char| c.is_control()), "{:?}", problem.text);
    }
}

/// The seeds, keys and codes of the corpus, as they are written there.
const SECRETS: [&str; 10] = [
    "GEZDGNBVGY3TQOJQ",
    "MZXW6YTBOJTG633CMFZGM33PMJQXEZTP",
    "31323334353637383930",
    "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA",
    "12345678901234567890",
    "UWGUN3DKQRWWDQDLYQHN7EHOSU",
    "TQSB6BSO3QKQIWCGKVV3NFDXKQ",
    "93888541",
    "19106611",
    "qwerty7",
];

/// What is wrong with a file is told without any seven characters in a row of a secret in it: it ends up on a terminal or in a log.
fn assert_tells_no_secret(text: &(impl AsRef<str> + Debug + ?Sized)) {
    let shown = text.as_ref().to_ascii_uppercase();
    for secret in SECRETS {
        let secret = secret.to_ascii_uppercase();
        for at in 0..=secret.len() - 7 {
            assert!(!shown.contains(&secret[at..at + 7]), "a secret of the file is told: {text:?}");
        }
    }
}
