//! Whatever bytes a file holds: no reader panics, and no problem repeats a secret.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

use std::fmt::Debug;

use mfa_core::Timestamp;
use mfa_import::local_time::LocalTime;
use mfa_import::pskc::{Container, Unlock};
use mfa_import::{Format, Place, Problem, SecretEncoding, csv, google_authenticator, oath_users, otpauth};
use proptest::collection::vec;
use proptest::prelude::*;
use zeroize::Zeroizing;

/// A file of each kind, all with seeds that are easily recognised.
const FILES: [&[u8]; 14] = [
    include_bytes!("fixtures/pskc/rfc6030-figure-3.xml"),
    include_bytes!("fixtures/pskc/rfc6030-figure-5.xml"),
    include_bytes!("fixtures/pskc/rfc6030-figure-6.xml"),
    include_bytes!("fixtures/pskc/rfc6030-figure-8.xml"),
    include_bytes!("fixtures/pskc/python-pskc-plain.xml"),
    include_bytes!("fixtures/entra/with-upn.csv"),
    include_bytes!("fixtures/entra/hexadecimal.csv"),
    include_bytes!("fixtures/entra/byte-order-mark-crlf.csv"),
    include_bytes!("fixtures/oath/tokens.csv"),
    include_bytes!("fixtures/otpauth/fleet.csv"),
    include_bytes!("fixtures/google_authenticator/totp-used"),
    include_bytes!("fixtures/google_authenticator/hotp"),
    include_bytes!("fixtures/oath_users/users.oath"),
    include_bytes!("fixtures/oath_users/written-by-pam_oath"),
];

/// Hands the bytes to every reader and gives all problems that they told.
fn read_with_every_reader(bytes: &[u8]) -> Vec<Problem> {
    fn problems<T: Debug>(outcome: Result<T, Vec<Problem>>) -> Vec<Problem> {
        outcome.err().unwrap_or_default()
    }
    let unlocks = [
        Unlock::Nothing,
        Unlock::PreSharedKey(mfa_core::Secret::new(b"\x124Vx\x90\x124Vx\x90\x124Vx\x90\x12".to_vec())),
        Unlock::Password(Zeroizing::new("qwerty".to_owned())),
    ];
    let mut all = Vec::new();
    for unlock in unlocks {
        all.extend(problems(Container::open(bytes).and_then(|container| container.tokens(&unlock))));
    }
    for encoding in [None, Some(SecretEncoding::Base32), Some(SecretEncoding::Hex)] {
        all.extend(problems(csv::entra::read(bytes, encoding)));
        all.extend(problems(csv::oath::read(bytes, encoding)));
    }
    all.extend(problems(otpauth::list(bytes)));
    all.extend(problems(google_authenticator::parse(bytes, &"alice".parse().expect("a good name"))));
    all.extend(problems(oath_users::read(
        bytes,
        &LocalTime::utc(),
        Timestamp::from_unix_seconds(2_000_000_000),
    )));
    let _ = Format::of(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = otpauth::parse(text, Place::File);
    }
    all
}

/// Seven characters in a row of any seed, key or emergency code in [`FILES`], as they are written there.
fn tells_a_secret(problem: &Problem) -> bool {
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
    let text = problem.to_string().to_ascii_uppercase();
    SECRETS.iter().any(|secret| {
        secret.as_bytes().windows(7).any(|part| {
            let part = String::from_utf8_lossy(part).to_ascii_uppercase();
            text.contains(&part)
        })
    })
}

/// One of the files with some of its bytes overwritten, moved, doubled or cut out.
fn damaged_file() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..5_u8, any::<u8>());
    (0..FILES.len(), vec(edit, 1..8)).prop_map(|(file, edits)| {
        let mut bytes = FILES[file].to_vec();
        for (from, to, kind, byte) in edits {
            if bytes.is_empty() {
                break;
            }
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let (start, end) = (from.min(to), from.max(to));
            match kind {
                0 => bytes[from] = byte,
                1 => bytes.insert(from, byte),
                2 => drop(bytes.drain(start..end.min(start + 60))),
                3 => {
                    let part = bytes[start..end.min(start + 60)].to_vec();
                    bytes.splice(to..to, part);
                }
                _ => bytes.swap(from, to),
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn no_bytes_at_all_make_a_reader_panic(bytes in vec(any::<u8>(), 0..2000)) {
        read_with_every_reader(&bytes);
    }

    #[test]
    fn no_text_made_of_the_formats_own_words_makes_a_reader_panic(
        words in vec(
            prop::sample::select(vec![
                "<", ">", "</", "/>", "<KeyContainer Version=\"1.0\" xmlns=\"urn:ietf:params:xml:ns:keyprov:pskc\">",
                "<KeyPackage>", "</KeyPackage>", "<Key Algorithm=\"urn:ietf:params:xml:ns:keyprov:pskc:totp\">", "</Key>",
                "<Data>", "</Data>", "<Secret>", "</Secret>", "<PlainValue>", "</PlainValue>", "MTIzNA==", "&#65;", "&amp;",
                "<![CDATA[", "]]>", "<!--", "-->", "<?", "?>", "<!DOCTYPE a>", "xmlns:p='p'", "p:", "upn", "serial number",
                "secret key", "time interval", ",", "\"", "\n", "\r\n", " ", "\t", "#", "30", "60", "TOTP", "HOTP", "3132",
                "GEZDGNBV", "otpauth://totp/a?secret=", "&counter=1", "%41", "%", "\" TOTP_AUTH", "\" HOTP_COUNTER 1",
                "\" DISALLOW_REUSE ", "12345678", "HOTP/T30/6", "-", "+", "2024-05-07T12:34:56L", "\u{feff}", "\u{e9}",
            ]),
            0..60,
        )
    ) {
        read_with_every_reader(words.concat().as_bytes());
    }

    #[test]
    fn no_problem_repeats_a_secret_of_a_damaged_file(bytes in damaged_file()) {
        for problem in read_with_every_reader(&bytes) {
            prop_assert!(!tells_a_secret(&problem), "{problem}");
        }
    }
}

#[test]
fn files_of_another_kind_do_not_tell_their_secrets_either() {
    for file in FILES {
        for problem in read_with_every_reader(file) {
            assert!(!tells_a_secret(&problem), "{problem}");
        }
    }
}
