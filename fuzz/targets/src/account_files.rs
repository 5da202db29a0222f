//! The files of the store.

use mfa_core::devices::{DeviceName, Status};
use mfa_core::history::Change;
use mfa_core::otp::{Code, Profile};
use mfa_core::request::{AccountStatus, DeviceStatus, ForeignDevice};
use mfa_core::verify::Round;
use mfa_core::{Error, FileStore, Refusal, Request, Response, Result, Secret, UserName, Verdict};

use crate::reference::{self, CONTENT_BYTES, State, code, tag};
use crate::store::{
    ALICE, Device, NOW, RECOVERY_CODES, Scratch, alice, devices_of_alice, fresh_state, key, with_fresh_store,
};

/// A `devices.toml`. What is read is written back the same; what is refused is told without a seal or a hash.
pub fn devices(bytes: &[u8]) {
    with_fresh_store(|scratch| {
        scratch.write("users/alice/devices.toml", bytes);
        let before = match status(scratch, "alice") {
            Ok(status) => status,
            Err(error) => return assert_tells_nothing(&error),
        };
        assert!(before.devices.len() <= 8);
        // Nothing is rewritten by looking.
        assert_eq!(scratch.read("users/alice/devices.toml"), bytes);
        let another = new_device("another", [9; 20]);
        match scratch.ask(adopt("alice", another)) {
            Ok(_) => {}
            // A seal that does not open, or there are eight.
            Err(error) => return assert_tells_nothing(&error),
        }
        let after = status(scratch, "alice").expect("what was written can be read");
        assert_eq!(after.devices.len(), before.devices.len() + 1);
        for (then, now) in before.devices.iter().zip(&after.devices) {
            assert_eq!(then, now, "another device came, and this one is another");
        }
        assert_eq!(after.recovery_codes_left, before.recovery_codes_left);
        assert_eq!(after.bypass, before.bypass);
    });
}

/// Two slots of a state. The first byte says which of them gets a right checksum (1, 2, or 3 for both), the next two where the second begins.
///
/// Which slot holds, and what it says, is what the reference reads; after a login the other slot has the next number.
pub fn state(bytes: &[u8]) {
    let [flags, low, high, content @ ..] = bytes else { return };
    let at = usize::from(u16::from_le_bytes([*low, *high])).min(content.len());
    let (first, second) = content.split_at(at);
    let file: Vec<u8> = [(first, 1), (second, 2)]
        .into_iter()
        .flat_map(|(content, flag)| {
            let content = &content[..content.len().min(CONTENT_BYTES)];
            let mut slot = reference::slot("alice", content);
            if flags & flag == 0 {
                slot[CONTENT_BYTES..CONTENT_BYTES + 32].fill(0);
            }
            slot
        })
        .collect();
    with_fresh_store(|scratch| {
        scratch.write("users/alice/state", &file);
        let found = status(scratch, "alice");
        let expected = State::of_file(&file, "alice")
            .filter(|state| devices_of_alice().iter().all(|device| entry(state, device).is_some()));
        let Some(expected) = expected else {
            return assert!(matches!(found, Err(Error::Corrupt { .. })), "{found:?}");
        };
        let found = found.expect("a state that is whole");
        for (device, shown) in devices_of_alice().iter().zip(&found.devices) {
            assert_shown(&expected, device, shown);
        }
        // Looking may have dropped entries of devices that are no more, and so written a new number.
        let left = State::of_file(&scratch.read("users/alice/state"), "alice").expect("a state is left");
        assert!(left.sequence - expected.sequence <= 1);
        after_a_login(scratch, &left);
    });
}

fn entry<'a>(state: &'a State, device: &Device) -> Option<&'a reference::Entry> {
    state.entries.iter().find(|entry| entry.id == device.id)
}

fn assert_shown(state: &State, device: &Device, shown: &DeviceStatus) {
    let entry = entry(state, device).expect("there is one");
    assert_eq!(shown.name.as_str(), device.name);
    assert_eq!(shown.disabled, entry.is_disabled);
    assert_eq!(shown.closed_to_strangers, entry.is_closed);
    assert_eq!(shown.failures, entry.known_failures.1.saturating_add(entry.stranger_failures.1));
    assert_eq!(shown.drift_steps, entry.offset.saturating_add(i32::from(entry.drift)));
}

/// A login with a code of the phone's that is right for now, if nothing is in its way.
fn after_a_login(scratch: &Scratch, before: &State) {
    let phone = &devices_of_alice()[0];
    let entry = entry(before, phone).expect("there is one");
    let ahead = i128::from(entry.offset.saturating_add(i32::from(entry.drift)));
    let step = u64::try_from((i128::from(NOW / 30) + ahead).max(0)).expect("not so far ahead");
    let typed = code(&phone.seed, phone.hash, phone.digits, step);
    let verdict = scratch.ask(Request::Verify {
        user: Some(alice()),
        answer: mfa_core::answer::Answer::Code(Code::from_digits(typed.as_bytes()).expect("digits")),
        remote_host: None,
        round: Round::First,
    });
    let after = State::of_file(&scratch.read("users/alice/state"), "alice").expect("a state is left");
    let verdict = match verdict {
        Ok(Response::Verdict(verdict)) => verdict,
        // There is no number after the last; then nothing was written, and nobody is let in.
        Err(Error::Corrupt { .. }) => {
            assert!(before.sequence == u64::MAX || before.entries.len() > 8);
            return assert_eq!(after, *before);
        }
        other => panic!("{other:?}"),
    };
    // After the last revision nothing grows any more, and what changes nothing else is not written.
    if before.revision < u64::MAX {
        assert_eq!(after.sequence, before.sequence + 1);
        assert!(after.revision > before.revision);
    }
    let floor = after.entries.iter().find(|entry| entry.id == phone.id).expect("it stays").floor;
    assert!(floor >= entry.floor, "a floor has sunk");
    if let Verdict::Accept(_) = verdict {
        assert!(entry.floor.is_none_or(|floor| floor < step + 2), "a used code let in: {entry:?}");
        assert!(!entry.is_disabled);
    }
    if entry.floor.is_some_and(|floor| floor > step) {
        let replayed = [Refusal::Replayed, Refusal::Skew].map(Verdict::Refuse);
        let refused = matches!(verdict, Verdict::Refuse(_));
        assert!(refused || replayed.contains(&verdict), "below the floor: {verdict:?}");
    }
}

/// A `history`. Whatever it is, what was a whole line stays, and what is new stands behind it.
pub fn history(bytes: &[u8]) {
    with_fresh_store(|scratch| {
        scratch.write("users/alice/history", bytes);
        let before = changes(scratch);
        // There is no number after the last.
        if before.iter().any(|change| change.number > u64::MAX - 2) {
            return;
        }
        for (name, to) in [("phone", "first new name"), ("first new name", "second new name")] {
            let rename = Request::RenameDevice { user: alice(), name: name_of(name), to: name_of(to) };
            scratch.ask(rename).expect("a history is in nobody's way");
        }
        let after = changes(scratch);
        let mut rest = after.iter();
        for change in &before {
            assert!(rest.any(|other| other == change), "lost, or out of order: {change:?}");
        }
        let [.., first, second] = after.as_slice() else { panic!("the new changes are not there") };
        assert_eq!((first.name.as_str(), second.name.as_str()), ("first new name", "second new name"));
        assert!(first.number < second.number);
    });
}

fn changes(scratch: &Scratch) -> Vec<Change> {
    match scratch.ask(Request::History { user: alice() }) {
        Ok(Response::History(changes)) => changes,
        other => panic!("{other:?}"),
    }
}

/// The file that says whose the seed of alice's phone is. Another account gets it only where the file does not name alice.
pub fn marks(bytes: &[u8]) {
    with_fresh_store(|scratch| {
        let phone = &devices_of_alice()[0];
        let mark = tag(&key(), &[b"mark", b"seed", &phone.seed]);
        let mark = mfa_core::hex::Hex::<16>(mark[..16].try_into().expect("16 bytes")).to_string();
        scratch.write(&format!("marks/{}/{mark}", &mark[..2]), bytes);
        let seed = phone.seed.as_slice().try_into().expect("20 bytes");
        let adopted = scratch.ask(adopt("bob", new_device("phone", seed)));
        match &adopted {
            Ok(_) => assert_ne!(bytes, b"alice\n", "two accounts have one seed"),
            Err(Error::SeedInUse { user }) => assert_eq!(user.as_str(), "alice"),
            Err(error) => assert_tells_nothing(error),
        }
        if bytes == b"alice\n" {
            assert!(matches!(adopted, Err(Error::SeedInUse { .. })), "{adopted:?}");
        }
    });
}

/// A `tokens/stock`. What is read is written back the same.
pub fn stock(bytes: &[u8]) {
    with_fresh_store(|scratch| {
        scratch.write("tokens/stock", bytes);
        let store = FileStore::at(scratch.store());
        let before = match store.stock() {
            Ok(stock) => stock,
            Err(error) => return assert_tells_nothing(&error),
        };
        let Some(serial) = before.tokens().next().map(|token| token.serial().clone()) else { return };
        let changed: Result<()> = store.change_stock(|stock, _| {
            stock.token_mut(&serial).expect("it is there").floor = Some(77);
            Ok(())
        });
        changed.expect("a stock that could be read can be written");
        let after = FileStore::at(scratch.store()).stock().expect("what was written can be read");
        assert_eq!(before.tokens().count(), after.tokens().count());
        for (then, now) in before.tokens().zip(after.tokens()) {
            let mut then = then.clone();
            if *then.serial() == serial {
                then.floor = Some(77);
            }
            assert_eq!(&then, now);
        }
    });
}

fn status(scratch: &Scratch, user: &str) -> Result<AccountStatus> {
    let request = Request::Status { user: user.parse().expect("a plain name") };
    let response = scratch.ask(request)?;
    let Response::Status(status) = response else { panic!("{response:?}") };
    Ok(status)
}

fn name_of(text: &str) -> DeviceName {
    text.parse().expect("a plain name")
}

fn new_device(name: &str, seed: [u8; 20]) -> ForeignDevice {
    ForeignDevice {
        name: name_of(name),
        profile: Profile::PLAIN,
        seed: Secret::new(seed.to_vec()),
        serial: None,
        floor: None,
        clock_offset_steps: 0,
        status: Status::Active,
        expires_at: None,
    }
}

fn adopt(user: &str, device: ForeignDevice) -> Request {
    let user: UserName = user.parse().expect("a plain name");
    Request::Adopt { user, devices: vec![device], scratch_codes: Vec::new() }
}

/// No eight characters in a row of a seal or a hash of alice's: an error ends up in the log.
fn assert_tells_nothing(error: &Error) {
    let shown = error.to_string();
    let secrets = ALICE.lines().filter(|line| line.starts_with("sealed") || line.starts_with("hashes"));
    for secret in secrets.flat_map(|line| line.split('"').skip(1).step_by(2)) {
        for at in 0..secret.len() - 8 {
            assert!(!shown.contains(&secret[at..at + 8]), "told: {shown}");
        }
    }
    for code in RECOVERY_CODES {
        assert!(!shown.contains(code));
    }
    assert!(!shown.contains('\n'), "{shown}");
}

/// States for the corpus, each with the name of its file.
pub fn state_examples() -> Vec<(&'static str, Vec<u8>)> {
    let input = |flags: u8, first: &State, second: Option<&State>| {
        let used = |state: &State| {
            let file = state.file("alice");
            let end = 32 + 56 * state.entries.len() + 56;
            file[..end].to_vec()
        };
        let (first, second) = (used(first), second.map(used).unwrap_or_default());
        let length = u16::try_from(first.len()).expect("short").to_le_bytes();
        [vec![flags], length.to_vec(), first, second].concat()
    };
    let with = |change: fn(usize, &mut reference::Entry)| {
        let mut state = fresh_state();
        state.entries.iter_mut().enumerate().for_each(|(place, entry)| change(place, entry));
        state
    };
    let numbered = |sequence, mut state: State| {
        state.sequence = sequence;
        state.revision = sequence.saturating_add(1);
        state
    };
    let floors = with(|place, entry| entry.floor = [Some(NOW / 30 - 1), Some(3), None, None][place]);
    let drifts =
        with(|place, entry| (entry.drift, entry.offset) = [(3, 0), (0, 0), (-10, 2880), (1, -2880)][place]);
    let failed = with(|place, entry| {
        entry.known_failures = (NOW - 10, u32::try_from(place).expect("small") * 3);
        entry.stranger_failures = (NOW + 1000, 49);
        entry.is_closed = place == 1;
        entry.is_disabled = place == 2;
    });
    let mut crowded = fresh_state();
    let twelve = (10..22).map(|number| reference::Entry { id: [number; 8], ..reference::Entry::default() });
    crowded.entries.extend(twelve);
    let last = numbered(u64::MAX - 1, floors.clone());
    vec![
        ("fresh", input(1, &fresh_state(), None)),
        ("floors", input(1, &floors, None)),
        ("drifts", input(1, &drifts, None)),
        ("failures", input(1, &failed, None)),
        ("the-second-is-newer", input(3, &fresh_state(), Some(&numbered(1, floors.clone())))),
        ("the-second-is-torn", input(1, &fresh_state(), Some(&numbered(1, floors.clone())))),
        ("a-slot-copied-over-the-other", input(3, &fresh_state(), Some(&fresh_state()))),
        ("the-last-number", input(3, &last, Some(&numbered(u64::MAX, floors)))),
        ("sixteen-entries", input(1, &crowded, None)),
        ("no-checksum", input(0, &fresh_state(), None)),
    ]
}
