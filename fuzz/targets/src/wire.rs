//! What comes to `mfad` through its socket, and what comes back.

use std::fmt::Debug;

use mfa_core::answer::Answer;
use mfa_core::devices::{DeviceName, Serial, Status};
use mfa_core::hex::Hex;
use mfa_core::otp::{Code, Profile};
use mfa_core::recovery::{RecoveryCode, ScratchCode};
use mfa_core::request::{ForeignDevice, RecoveryCodes, WhyNotConfirmed};
use mfa_core::verify::Round;
use mfa_core::{Refusal, Request, Response, Secret, Timestamp, UserName, Verdict};
use mfa_wire::frame::{self, MAX_BYTES};
use mfa_wire::{Denial, Envelope, Password, Reply};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A message without its length, as a request and as a reply. What is understood is the one way to write it.
pub fn wire(bytes: &[u8]) {
    there_and_back::<Envelope>(bytes);
    there_and_back::<Reply>(bytes);
}

fn there_and_back<T: Serialize + DeserializeOwned + Debug>(bytes: &[u8]) {
    let Ok(message) = frame::decode::<T>(bytes) else { return };
    let shown = format!("{message:?}");
    // There is no shorter way to write it than ours.
    assert!(bytes.len() <= MAX_BYTES || frame::encode(&message).is_err());
    let Ok(encoded) = frame::encode(&message) else { return };
    assert!(encoded.len() - 4 <= bytes.len());
    let again = frame::decode::<T>(&encoded[4..]).expect("our own message is understood");
    assert_eq!(shown, format!("{again:?}"));
    assert_eq!(encoded.as_slice(), frame::encode(&again).expect("as long as before").as_slice());
}

/// A message of each kind, with the name of its file in the corpus: what `cargo run -p mfa-fuzz-targets --example wire-corpus` writes.
pub fn examples() -> Vec<(&'static str, Vec<u8>)> {
    let alice = || -> UserName { "alice".parse().expect("a plain name") };
    let phone = || -> DeviceName { "phone".parse().expect("a plain name") };
    let serial = || -> Serial { "4170000014".parse().expect("a plain number") };
    let code = |digits: &str| Code::from_digits(digits.as_bytes()).expect("digits");
    let letters = || RecoveryCode::parse("AAAABBBBCCCCDDDD").expect("16 letters");
    let bare = |request| Envelope::bare(request);
    let verify = |answer| Request::Verify {
        user: Some(alice()),
        answer,
        remote_host: Some("192.0.2.1".to_owned()),
        round: Round::First,
    };
    let device = ForeignDevice {
        name: phone(),
        profile: Profile::PLAIN,
        seed: Secret::new(b"12345678901234567890".to_vec()),
        serial: Some(serial()),
        floor: Some(7),
        clock_offset_steps: -3,
        status: Status::Assigned,
        expires_at: Some(Timestamp::from_unix_seconds(1_900_000_000)),
    };
    let requests = [
        ("request-verify-code", bare(verify(Answer::Code(code("755224"))))),
        ("request-verify-recovery", bare(verify(Answer::Recovery(letters())))),
        ("request-status", bare(Request::Status { user: alice() })),
        (
            "request-begin",
            Envelope {
                password: Password::new(b"hunter2"),
                ..bare(Request::BeginEnrollment {
                    user: alice(),
                    name: Some(phone()),
                    profile: Profile::PLAIN,
                    replaces: None,
                })
            },
        ),
        (
            "request-confirm",
            bare(Request::ConfirmEnrollment {
                user: alice(),
                id: Hex([1; 8]),
                first: code("755224"),
                second: code("287082"),
                replaces: Some(phone()),
                recovery_codes: RecoveryCodes::IfNone,
            }),
        ),
        (
            "request-activate",
            bare(Request::ActivateToken {
                user: alice(),
                serial: serial(),
                name: None,
                first: code("94287082"),
                second: code("07081804"),
                recovery_codes: RecoveryCodes::No,
            }),
        ),
        (
            "request-remove",
            Envelope {
                proof: Some(Answer::Code(code("755224"))),
                ..bare(Request::RemoveDevice { user: alice(), name: phone() })
            },
        ),
        (
            "request-adopt",
            bare(Request::Adopt {
                user: alice(),
                devices: vec![device.clone()],
                scratch_codes: vec![ScratchCode::parse("11112222").expect("8 digits")],
            }),
        ),
        (
            "request-bypass",
            bare(Request::IssueBypass {
                user: alice(),
                valid_seconds: 3600,
                reason: "phone lost".to_owned(),
            }),
        ),
    ];
    let replies: [(&str, Reply); 6] = [
        ("reply-refused", Ok(Response::Verdict(Verdict::Refuse(Refusal::Throttled { wait_seconds: 4 })))),
        ("reply-not-confirmed", Ok(Response::NotConfirmed(WhyNotConfirmed::ClockOff { seconds: -600 }))),
        ("reply-enrolled", Ok(Response::Enrolled { name: phone(), recovery_codes: vec![letters()] })),
        ("reply-exported", Ok(Response::Exported(vec![device]))),
        ("reply-done", Ok(Response::Done)),
        ("reply-denied", Err(Denial::NoSuchToken { serial: serial() })),
    ];
    let message = |encoded: Zeroed| encoded[4..].to_vec();
    let requests =
        requests.iter().map(|(name, envelope)| (*name, message(frame::encode(envelope).expect("short"))));
    let replies = replies.iter().map(|(name, reply)| (*name, message(frame::encode(reply).expect("short"))));
    requests.chain(replies).collect()
}

type Zeroed = zeroize::Zeroizing<Vec<u8>>;
