//! Every message survives the trip, and nothing else is taken for one.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a test that panics has failed"
)]

use std::io::Write as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use mfa_core::answer::Answer;
use mfa_core::devices::{DeviceName, Serial, Status};
use mfa_core::hex::Hex;
use mfa_core::history::{Change, Origin, What};
use mfa_core::otp::{Algorithm, Code, Digits, LookAhead, MovingFactor, Period, Profile};
use mfa_core::recovery::{RecoveryCode, ScratchCode};
use mfa_core::request::{
    AccountStatus, BypassStatus, DeviceStatus, ForeignDevice, PendingEnrollment, RecoveryCodes,
    WhyNotConfirmed,
};
use mfa_core::verify::{Round, Typed};
use mfa_core::{Factor, Refusal, Request, Response, Secret, Timestamp, UserName, Verdict};
use mfa_wire::frame::{self, FrameError, MAX_BYTES, VERSION, decode, encode};
use mfa_wire::{AskError, Denial, Envelope, Password, Reply, ask};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn user() -> impl Strategy<Value = UserName> {
    // `..` is no name.
    "[a-zżółć\\\\@ _][a-zżółć\\\\@ ._-]{1,40}".prop_map(|name| name.parse().unwrap())
}

/// What free text comes through as it is: the rest arrives with `?` in it, or shorter.
fn one_line() -> impl Strategy<Value = String> {
    "[a-zA-Zé(][a-zA-Z0-9é() ]{0,38}[a-z電]"
}

fn device_name() -> impl Strategy<Value = DeviceName> {
    "[a-zA-Zé(][a-zA-Z0-9é() ]{0,38}".prop_map(|name| name.parse().unwrap())
}

fn serial() -> impl Strategy<Value = Serial> {
    "[0-9A-Z][0-9A-Z ]{0,60}".prop_map(|serial| serial.parse().unwrap())
}

fn code() -> impl Strategy<Value = Code> {
    "[0-9]{6,8}".prop_map(|digits| Code::from_digits(digits.as_bytes()).unwrap())
}

fn recovery_code() -> impl Strategy<Value = RecoveryCode> {
    "[A-Z2-7]{16}".prop_map(|letters| RecoveryCode::parse(&letters).unwrap())
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        code().prop_map(Answer::Code),
        recovery_code().prop_map(Answer::Recovery),
        "[a-z]{0,9}[0-9]{6,9}".prop_map(|text| Answer::Tails(Typed::tails(text.as_bytes()).unwrap())),
    ]
}

fn profile() -> impl Strategy<Value = Profile> {
    let moving_factor = prop_oneof![
        (10_u8..=120).prop_map(|seconds| MovingFactor::Time(Period::try_from(seconds).unwrap())),
        (1_u8..=20).prop_map(|counters| MovingFactor::Counter(LookAhead::try_from(counters).unwrap())),
    ];
    let algorithm = prop_oneof![Just(Algorithm::Sha1), Just(Algorithm::Sha256), Just(Algorithm::Sha512)];
    (moving_factor, algorithm, 6_u8..=8).prop_map(|(moving_factor, algorithm, digits)| Profile {
        moving_factor,
        algorithm,
        digits: Digits::try_from(digits).unwrap(),
    })
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![Just(Status::Active), Just(Status::Suspended), Just(Status::Assigned)]
}

fn seed() -> impl Strategy<Value = Secret> {
    vec(any::<u8>(), 0..64).prop_map(Secret::new)
}

fn foreign_device() -> impl Strategy<Value = ForeignDevice> {
    let identity = (device_name(), profile(), seed(), option::of(serial()));
    let use_of_it = (any::<Option<u64>>(), any::<i32>(), status(), option::of(timestamp()));
    (identity, use_of_it).prop_map(
        |((name, profile, seed, serial), (floor, clock_offset_steps, status, expires_at))| ForeignDevice {
            name,
            profile,
            seed,
            serial,
            floor,
            clock_offset_steps,
            status,
            expires_at,
        },
    )
}

fn recovery_codes() -> impl Strategy<Value = RecoveryCodes> {
    prop_oneof![Just(RecoveryCodes::IfNone), Just(RecoveryCodes::No)]
}

fn request() -> impl Strategy<Value = Request> {
    let round = prop_oneof![Just(Round::First), Just(Round::AfterMiss)];
    let verify = (option::of(user()), answer(), option::of(".{0,40}"), round)
        .prop_map(|(user, answer, remote_host, round)| Request::Verify { user, answer, remote_host, round });
    let begin = (user(), option::of(device_name()), profile(), option::of(device_name())).prop_map(
        |(user, name, profile, replaces)| Request::BeginEnrollment { user, name, profile, replaces },
    );
    let confirm = (user(), any::<[u8; 8]>(), code(), code(), option::of(device_name()), recovery_codes())
        .prop_map(|(user, id, first, second, replaces, recovery_codes)| Request::ConfirmEnrollment {
            user,
            id: Hex(id),
            first,
            second,
            replaces,
            recovery_codes,
        });
    let activate = (user(), serial(), option::of(device_name()), code(), code(), recovery_codes()).prop_map(
        |(user, serial, name, first, second, recovery_codes)| Request::ActivateToken {
            user,
            serial,
            name,
            first,
            second,
            recovery_codes,
        },
    );
    let adopt =
        (user(), vec(foreign_device(), 0..4), vec("[0-9]{8}", 0..10)).prop_map(|(user, devices, scratch)| {
            Request::Adopt {
                user,
                devices,
                scratch_codes: scratch.iter().map(|code| ScratchCode::parse(code).unwrap()).collect(),
            }
        });
    let on_a_device = (user(), device_name(), device_name(), code(), code(), 0..5_u8).prop_map(
        |(user, name, to, first, second, which)| match which {
            0 => Request::RenameDevice { user, name, to },
            1 => Request::SuspendDevice { user, name },
            2 => Request::ResumeDevice { user, name },
            3 => Request::Resync { user, name, first, second },
            _ => Request::RemoveDevice { user, name },
        },
    );
    let on_an_account =
        (user(), any::<u64>(), ".{0,200}", 0..8_u8).prop_map(|(user, valid_seconds, reason, which)| {
            match which {
                0 => Request::Status { user },
                1 => Request::History { user },
                2 => Request::NewRecoveryCodes { user },
                3 => Request::IssueBypass { user, valid_seconds, reason },
                4 => Request::CancelBypass { user },
                5 => Request::Export { user },
                6 => Request::Unlock { user },
                _ => Request::Repair { user },
            }
        });
    prop_oneof![verify, begin, confirm, activate, adopt, on_a_device, on_an_account]
}

/// A request that is new must be added to [`request`] too, and [`VERSION`] must be raised.
fn number_of_request(request: &Request) -> usize {
    match request {
        Request::Verify { .. } => 0,
        Request::Status { .. } => 1,
        Request::History { .. } => 2,
        Request::BeginEnrollment { .. } => 3,
        Request::ConfirmEnrollment { .. } => 4,
        Request::ActivateToken { .. } => 5,
        Request::RenameDevice { .. } => 6,
        Request::SuspendDevice { .. } => 7,
        Request::ResumeDevice { .. } => 8,
        Request::Resync { .. } => 9,
        Request::RemoveDevice { .. } => 10,
        Request::NewRecoveryCodes { .. } => 11,
        Request::IssueBypass { .. } => 12,
        Request::CancelBypass { .. } => 13,
        Request::Adopt { .. } => 14,
        Request::Export { .. } => 15,
        Request::Unlock { .. } => 16,
        Request::Repair { .. } => 17,
    }
}

fn envelope() -> impl Strategy<Value = Envelope> {
    let password = vec(1_u8..=255, 1..=Password::MAX_BYTES).prop_map(|typed| Password::new(&typed).unwrap());
    (request(), option::of(answer()), option::of(password)).prop_map(|(request, proof, password)| Envelope {
        request,
        proof,
        password,
    })
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        Just(Refusal::Wrong),
        Just(Refusal::Replayed),
        Just(Refusal::Skew),
        any::<u64>().prop_map(|wait_seconds| Refusal::Throttled { wait_seconds }),
        Just(Refusal::Disabled),
        Just(Refusal::Expired),
        Just(Refusal::NotEnrolled),
        Just(Refusal::ReadOnly),
    ]
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_unix_seconds)
}

fn device_status() -> impl Strategy<Value = DeviceStatus> {
    let identity = (any::<[u8; 8]>(), device_name(), option::of(serial()), profile(), status(), timestamp());
    let end = (option::of(timestamp()), any::<bool>());
    let counts = (any::<u32>(), any::<bool>(), any::<bool>(), any::<u64>(), any::<u64>(), any::<i32>());
    (identity, end, counts).prop_map(
        |(
            (id, name, serial, profile, status, enrolled_at),
            (expires_at, is_expired),
            (failures, disabled, closed_to_strangers, wait_seconds, stranger_wait_seconds, drift_steps),
        )| DeviceStatus {
            id: Hex(id),
            name,
            serial,
            profile,
            status,
            enrolled_at,
            expires_at,
            is_expired,
            failures,
            disabled,
            closed_to_strangers,
            wait_seconds,
            stranger_wait_seconds,
            drift_steps,
        },
    )
}

fn account_status() -> impl Strategy<Value = AccountStatus> {
    let bypass =
        (timestamp(), timestamp(), one_line(), ".{0,60}").prop_map(|(issued_at, until, reason, by)| {
            BypassStatus { issued_at, until, reason, by: Origin::new(&by) }
        });
    (vec(device_status(), 0..=8), any::<Option<u8>>(), option::of(bypass)).prop_map(
        |(devices, recovery_codes_left, bypass)| AccountStatus { devices, recovery_codes_left, bypass },
    )
}

fn change() -> impl Strategy<Value = Change> {
    let what = prop_oneof![Just(What::Enrolled), Just(What::Replaced), Just(What::Repaired)];
    (any::<u64>(), any::<u64>(), what, any::<Option<[u8; 8]>>(), one_line(), ".{0,40}").prop_map(
        |(number, at, what, device, name, by)| Change {
            number,
            at,
            what,
            device: device.map(Hex),
            name,
            by: Origin::new(&by),
        },
    )
}

fn response() -> impl Strategy<Value = Response> {
    let factor = prop_oneof![
        (6_u8..=8, device_name())
            .prop_map(|(digits, name)| Factor::Device { digits: Digits::try_from(digits).unwrap(), name }),
        any::<u8>().prop_map(|left| Factor::Recovery { left }),
        Just(Factor::Bypass),
    ];
    let why = prop_oneof![
        Just(WhyNotConfirmed::SameCode),
        Just(WhyNotConfirmed::NotConsecutive),
        any::<i64>().prop_map(|seconds| WhyNotConfirmed::ClockOff { seconds }),
        profile().prop_map(|instead| WhyNotConfirmed::ProfileIgnored { instead }),
        Just(WhyNotConfirmed::Used),
        Just(WhyNotConfirmed::OtherCodes),
    ];
    let pending = (any::<[u8; 8]>(), device_name(), profile(), seed(), timestamp()).prop_map(
        |(id, name, profile, seed, until)| PendingEnrollment { id: Hex(id), name, profile, seed, until },
    );
    prop_oneof![
        factor.prop_map(|factor| Response::Verdict(Verdict::Accept(factor))),
        refusal().prop_map(|refusal| Response::Verdict(Verdict::Refuse(refusal))),
        account_status().prop_map(Response::Status),
        vec(change(), 0..9).prop_map(Response::History),
        pending.prop_map(Response::Pending),
        (device_name(), vec(recovery_code(), 0..=10))
            .prop_map(|(name, recovery_codes)| Response::Enrolled { name, recovery_codes }),
        why.prop_map(Response::NotConfirmed),
        refusal().prop_map(Response::Refused),
        vec(recovery_code(), 0..=10).prop_map(Response::RecoveryCodes),
        (recovery_code(), timestamp()).prop_map(|(code, until)| Response::Bypass { code, until }),
        vec(foreign_device(), 0..=8).prop_map(Response::Exported),
        Just(Response::Done),
    ]
}

/// A response that is new must be added to [`response`] too, and [`VERSION`] must be raised.
fn number_of_response(response: &Response) -> usize {
    match response {
        Response::Verdict(_) => 0,
        Response::Status(_) => 1,
        Response::History(_) => 2,
        Response::Pending(_) => 3,
        Response::Enrolled { .. } => 4,
        Response::NotConfirmed(_) => 5,
        Response::Refused(_) => 6,
        Response::RecoveryCodes(_) => 7,
        Response::Bypass { .. } => 8,
        Response::Exported(_) => 9,
        Response::Done => 10,
    }
}

fn denial() -> impl Strategy<Value = Denial> {
    prop_oneof![
        Just(Denial::PasswordNeeded),
        Just(Denial::WrongPassword),
        Just(Denial::AccountClosed),
        Just(Denial::CodeNeeded),
        Just(Denial::NotAllowed),
        Just(Denial::UnknownCaller),
        Just(Denial::NotEnrolled),
        Just(Denial::TooManyDevices),
        one_line().prop_map(|name| Denial::NameTaken { name }),
        one_line().prop_map(|name| Denial::NoSuchDevice { name }),
        Just(Denial::NoSuchEnrollment),
        Just(Denial::SeedInUse),
        Just(Denial::SerialInUse),
        serial().prop_map(|serial| Denial::NoSuchToken { serial }),
        Just(Denial::NoBypass),
        one_line().prop_map(Denial::BadRequest),
        Just(Denial::Busy),
        Just(Denial::TooMany),
        Just(Denial::NotUnderstood),
        Just(Denial::Unavailable),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![response().prop_map(Ok), denial().prop_map(Err)]
}

/// The frame without its length.
fn message<T: serde::Serialize>(value: &T) -> Vec<u8> {
    encode(value).unwrap().get(4..).unwrap().to_vec()
}

/// Types with secrets are not compared but sent again: a strict reader gives the same bytes for the same value alone.
fn survives<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let bytes = message(value);
    let read = decode::<T>(&bytes).expect("what was written is read");
    assert_eq!(message(&read), bytes);
    read
}

#[test]
fn what_mfad_says_in_words_moves_no_cursor() {
    let evil = "no\u{1b}[2J\nroot# \u{202e}ok ";
    let denial: Reply = Err(Denial::BadRequest(evil.to_owned()));
    let read: Reply = decode(&message(&denial)).unwrap();
    assert_eq!(read.unwrap_err(), Denial::BadRequest("no?[2J?root# ?ok".to_owned()));
    let taken: Reply = decode(&message(&Reply::Err(Denial::NameTaken { name: evil.to_owned() }))).unwrap();
    assert_eq!(taken.unwrap_err(), Denial::NameTaken { name: "no?[2J?root# ?ok".to_owned() });
}

proptest! {
    #[test]
    fn every_request_survives_the_trip(sent in envelope()) {
        let read = survives(&sent);
        prop_assert_eq!(number_of_request(&read.request), number_of_request(&sent.request));
        prop_assert_eq!(format!("{:?}", read.request), format!("{:?}", sent.request));
        prop_assert_eq!(read.password, sent.password);
        prop_assert_eq!(format!("{:?}", read.proof), format!("{:?}", sent.proof));
    }

    #[test]
    fn every_reply_survives_the_trip(sent in reply()) {
        let read = survives(&sent);
        prop_assert_eq!(format!("{read:?}"), format!("{sent:?}"));
        if let (Ok(read), Ok(sent)) = (&read, &sent) {
            prop_assert_eq!(number_of_response(read), number_of_response(sent));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        let mut with_version = vec![VERSION];
        with_version.extend(&bytes);
        for bytes in [&bytes, &with_version] {
            let _ = decode::<Envelope>(bytes);
            let _ = decode::<Reply>(bytes);
        }
    }

    #[test]
    fn a_damaged_message_never_panics(sent in envelope(), at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let mut bytes = message(&sent);
        let at = at.index(bytes.len());
        *bytes.get_mut(at).unwrap() ^= flip;
        let _ = decode::<Envelope>(&bytes);
    }

    #[test]
    fn a_cut_or_longer_message_is_malformed(sent in envelope(), at in any::<prop::sample::Index>()) {
        let mut bytes = message(&sent);
        let cut = bytes.get(..at.index(bytes.len())).unwrap();
        prop_assert!(matches!(decode::<Envelope>(cut), Err(FrameError::Malformed | FrameError::BadLength)));
        bytes.push(0);
        prop_assert!(matches!(decode::<Envelope>(&bytes), Err(FrameError::Malformed)));
    }
}

#[test]
fn these_bytes_mean_the_same_in_every_program_of_this_version() {
    let alice = || "alice".parse::<UserName>().unwrap();
    let code = Code::from_digits(b"012345").unwrap();
    let bare = Envelope::bare(Request::Status { user: alice() });
    assert_eq!(message(&bare), b"\x01\x01\x05alice\0\0");
    let full = Envelope {
        request: Request::Verify {
            user: Some(alice()),
            answer: Answer::Code(code.clone()),
            remote_host: None,
            round: Round::First,
        },
        proof: Some(Answer::Code(code)),
        password: Password::new(b"secret"),
    };
    assert_eq!(
        message(&full),
        b"\x01\x00\x01\x05alice\x00\x06\xb9\x60\x00\x00\x01\x00\x06\xb9\x60\x01\x06secret"
    );
    assert_eq!(message(&Reply::Ok(Response::Done)), b"\x01\x00\x0a");
    assert_eq!(message(&Reply::Err(Denial::Unavailable)), b"\x01\x01\x13");
    assert!(matches!(decode::<Reply>(b"\x02\x00\x0a"), Err(FrameError::OtherVersion)));
}

#[test]
fn what_is_no_user_name_or_code_is_malformed() {
    assert!(matches!(decode::<Envelope>(b"\x01\x01\x05../..\0\0"), Err(FrameError::Malformed)));
    let nine_digits = b"\x01\x00\x01\x05alice\x00\x09\xb9\x60\x00\x00\x00\x00";
    assert!(matches!(decode::<Envelope>(nine_digits), Err(FrameError::Malformed)));
}

#[test]
fn what_is_too_long_is_neither_sent_nor_read() {
    let reason = "x".repeat(MAX_BYTES);
    let long =
        Envelope::bare(Request::IssueBypass { user: "alice".parse().unwrap(), valid_seconds: 1, reason });
    assert!(matches!(encode(&long), Err(FrameError::BadLength)));
    for length in [0_u32, 16_385, u32::MAX] {
        let (mut theirs, ours) = UnixStream::pair().unwrap();
        theirs.write_all(&length.to_be_bytes()).unwrap();
        assert!(matches!(frame::receive::<Reply>(&ours, soon()), Err(FrameError::BadLength)), "{length}");
    }
}

#[test]
fn a_frame_that_drips_is_given_up_in_time() {
    let (mut theirs, ours) = UnixStream::pair().unwrap();
    let dripping = thread::spawn(move || {
        theirs.write_all(&1000_u32.to_be_bytes()).unwrap();
        // Each byte comes well before the time-out for one read would be over.
        while theirs.write_all(b"\x01").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let begun = Instant::now();
    let deadline = begun + Duration::from_millis(300);
    assert!(matches!(frame::receive::<Reply>(&ours, deadline), Err(FrameError::TimedOut)));
    assert!((300..2000).contains(&begun.elapsed().as_millis()));
    drop(ours);
    dripping.join().unwrap();
}

#[test]
fn a_question_is_answered_over_a_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let envelope: Envelope = frame::receive(&stream, soon()).unwrap();
        assert!(matches!(envelope.request, Request::Status { .. }));
        frame::send(&stream, &Reply::Err(Denial::NotEnrolled), soon()).unwrap();
    });
    let reply = ask(&path, &status_of_alice(), Duration::from_secs(5)).unwrap();
    assert!(matches!(reply, Err(Denial::NotEnrolled)));
    server.join().unwrap();
}

#[test]
fn a_daemon_that_is_not_there_is_told_from_one_that_does_not_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let briefly = Duration::from_millis(200);
    let ask_it = || ask(&path, &status_of_alice(), briefly).unwrap_err();
    assert!(matches!(ask_it(), AskError::NotRunning { .. }), "no socket");
    let listener = UnixListener::bind(&path).unwrap();
    // The kernel accepts for it, so the request is sent; then there is no reply.
    assert!(matches!(ask_it(), AskError::TimedOut));
    drop(listener);
    assert!(matches!(ask_it(), AskError::NotRunning { .. }), "a socket that nobody listens at");
    assert_eq!(ask_it().to_string(), format!("mfad is not running: nobody listens at {}", path.display()));
    let listener = {
        std::fs::remove_file(&path).unwrap();
        UnixListener::bind(&path).unwrap()
    };
    let closing = thread::spawn(move || drop(listener.accept().unwrap()));
    assert!(matches!(ask_it(), AskError::Closed));
    closing.join().unwrap();
}

#[test]
fn a_queue_that_is_full_does_not_hold_the_caller_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _listener = {
        use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
        let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None).unwrap();
        bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&socket, Backlog::new(0).unwrap()).unwrap();
        socket
    };
    let _waiting = UnixStream::connect(&path).unwrap();
    let begun = Instant::now();
    let asked = ask(&path, &status_of_alice(), Duration::from_millis(200));
    assert!(matches!(asked, Err(AskError::TimedOut)));
    assert!(begun.elapsed() < Duration::from_secs(2));
}

fn status_of_alice() -> Envelope {
    Envelope::bare(Request::Status { user: "alice".parse().unwrap() })
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}
