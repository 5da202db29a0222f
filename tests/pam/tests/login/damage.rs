//! A store that is not as it should be refuses with PAM_AUTHINFO_UNAVAIL: no doubt lets anyone in, and nothing hangs.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use mfa_test_harness::{Account, Login, PamCode, Stack, Store, Transcript};

use crate::{alice, alice_with_recovery_codes, assert_let_in, assert_refused};

/// The files a login of alice needs.
const FILES: [&str; 3] = ["users/alice/devices.toml", "users/alice/state", "key"];

#[test]
fn an_undamaged_store_lets_in() {
    let (store, alice) = alice();
    for name in FILES {
        assert!(store.file(name).is_file());
    }
    assert_let_in(&alice.login_at(&store, alice.now));
}

#[test]
fn a_missing_state_or_key_refuses_and_is_not_made_anew() {
    let undamaged = Undamaged::new();
    for name in ["users/alice/state", "key"] {
        undamaged.after(name, |path| fs::remove_file(path).unwrap());
        let (store, alice) = alice();
        let path = store.file(name);
        fs::remove_file(&path).unwrap();
        alice.login_at(&store, alice.now);
        assert!(!path.exists(), "a login made a new {name}");
    }
}

#[test]
fn without_its_secret_file_an_account_has_no_device_and_is_let_in_by_nothing() {
    let (store, alice) = alice_with_recovery_codes();
    fs::remove_file(store.file("users/alice/devices.toml")).unwrap();
    let login = alice.login_at(&store, alice.now);
    assert!(matches!(login.result(), PamCode::AUTH_ERR | PamCode::AUTHINFO_UNAVAIL), "{login:#?}");
    let login = alice.login(&store).types(alice.recovery_codes().first().unwrap()).run();
    assert!(matches!(login.result(), PamCode::AUTH_ERR | PamCode::AUTHINFO_UNAVAIL), "{login:#?}");
}

#[test]
fn a_missing_store_refuses() {
    let (store, alice) = alice();
    let stack = Stack::new("auth required pam_mfa.so store=/nonexistent/store");
    assert_unavailable(&alice.login_through(&stack).types(alice.code(alice.now)).run(), "a missing store");
    fs::rename(store.path(), store.beside("moved")).unwrap();
    assert_unavailable(&alice.login_at(&store, alice.now), "a store that was moved away");
}

#[test]
fn garbage_in_a_file_refuses() {
    let undamaged = Undamaged::new();
    for name in FILES {
        undamaged.after(name, |path| {
            let length = usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
            overwrite(path, &b"\xde\xad\xbe\xef".repeat(length.div_ceil(4))[..length]);
        });
        undamaged.after(name, |path| {
            overwrite(path, &vec![0; usize::try_from(fs::metadata(path).unwrap().len()).unwrap()])
        });
    }
}

#[test]
fn a_truncated_or_empty_file_refuses() {
    let undamaged = Undamaged::new();
    for name in FILES {
        undamaged.after(name, |path| set_length(path, fs::metadata(path).unwrap().len() / 2));
        undamaged.after(name, |path| set_length(path, fs::metadata(path).unwrap().len() - 2));
        undamaged.after(name, |path| set_length(path, 0));
    }
}

#[test]
fn a_file_with_something_appended_refuses() {
    let undamaged = Undamaged::new();
    for name in FILES {
        undamaged.after(name, |path| {
            let length = fs::metadata(path).unwrap().len();
            writable(path, |file| file.write_all_at(b"x", length).unwrap());
        });
    }
}

#[test]
fn a_huge_file_refuses_at_once() {
    let undamaged = Undamaged::new();
    for name in FILES {
        undamaged.after(name, |path| set_length(path, 1 << 40));
    }
}

#[test]
fn a_file_that_others_can_read_or_write_refuses() {
    let undamaged = Undamaged::new();
    for name in FILES {
        for mode in [0o666, 0o622, 0o660, 0o644] {
            undamaged.after(name, |path| set_mode(path, mode));
        }
    }
}

#[test]
fn a_folder_that_others_can_write_refuses() {
    let undamaged = Undamaged::new();
    for name in ["", "users", "users/alice"] {
        for mode in [0o777, 0o770, 0o1777] {
            undamaged.after(name, |path| set_mode(path, mode));
        }
    }
}

#[test]
fn a_symbolic_link_in_place_of_a_file_or_folder_refuses() {
    let undamaged = Undamaged::new();
    for name in FILES.into_iter().chain(["users", "users/alice"]) {
        undamaged.after(name, |path| {
            let moved = path.with_file_name("moved");
            fs::rename(path, &moved).unwrap();
            symlink(&moved, path).unwrap();
        });
    }
}

#[test]
fn a_symbolic_link_to_a_device_refuses_at_once() {
    let undamaged = Undamaged::new();
    for name in FILES {
        for device in ["/dev/zero", "/dev/null", "/dev/tty", "/nonexistent"] {
            undamaged.after(name, |path| {
                fs::remove_file(path).unwrap();
                symlink(device, path).unwrap();
            });
        }
    }
}

#[test]
fn a_hard_link_to_a_file_refuses() {
    let undamaged = Undamaged::new();
    for name in FILES {
        undamaged.after(name, |path| fs::hard_link(path, path.with_file_name("second-name")).unwrap());
    }
}

#[test]
fn a_fifo_a_socket_or_a_folder_in_place_of_a_file_refuses_and_does_not_hang() {
    let undamaged = Undamaged::new();
    for name in FILES {
        undamaged.after(name, |path| {
            fs::remove_file(path).unwrap();
            run(Command::new("mkfifo").args(["-m", "600"]).arg(path));
        });
        undamaged.after(name, |path| {
            fs::remove_file(path).unwrap();
            drop(std::os::unix::net::UnixListener::bind(path).unwrap());
            set_mode(path, 0o600);
        });
        undamaged.after(name, |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
            set_mode(path, 0o700);
        });
    }
}

#[test]
fn a_file_or_folder_of_another_user_refuses() {
    let (undamaged, alice) = alice();
    for name in FILES.into_iter().chain(["", "users", "users/alice"]) {
        let store = undamaged.copy();
        let path = if name.is_empty() { store.path() } else { store.file(name) };
        // In the same surroundings, before it changes hands.
        assert_let_in(&where_owners_change(alice.login(&store).types(alice.code(alice.now))).run());
        give_to_another_user(&path);
        let next = alice.login(&store).at(alice.at(alice.now + 1)).types(alice.code(alice.now + 1));
        assert_unavailable(&where_owners_change(next).run(), name);
        take_back(&path);
    }
}

#[test]
fn a_file_of_another_account_refuses() {
    for name in ["devices.toml", "state"] {
        let (store, alice) = alice();
        let bob = Account::enroll(&store, "bob");
        let theirs = fs::read(store.file(&format!("users/alice/{name}"))).unwrap();
        overwrite(&store.file(&format!("users/bob/{name}")), &theirs);
        let login = bob.login(&store).types(alice.code(alice.now)).run();
        assert_unavailable(&login, &format!("the {name} of another account"));
        assert_let_in(&alice.login_at(&store, alice.now));
    }
}

#[test]
fn a_key_of_another_store_refuses() {
    let undamaged = Undamaged::new();
    let (other, _) = alice();
    undamaged.after("key", |path| overwrite(path, &fs::read(other.file("key")).unwrap()));
}

#[test]
fn a_changed_parameter_in_the_secret_file_refuses() {
    let (undamaged, alice) = alice();
    for (from, to) in [
        ("digits = 6", "digits = 8"),
        ("period = 30", "period = 60"),
        ("\"SHA1\"", "\"SHA256\""),
        ("user = \"alice\"", "user = \"bob\""),
    ] {
        let store = undamaged.copy();
        let path = store.file("users/alice/devices.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "no {from} in {text}");
        overwrite(&path, text.replace(from, to).as_bytes());
        assert_unavailable(&alice.login_at(&store, alice.now), to);
    }
}

#[test]
fn one_torn_slot_of_the_state_is_survived_and_two_are_not() {
    let (store, alice) = alice();
    // Both slots have been written to.
    assert_let_in(&alice.login_at(&store, alice.now));
    assert_let_in(&alice.login_at(&store, alice.now + 1));
    let tear = |store: &Store, slot: u64| {
        // As a power cut leaves it: the first sector new, the rest old.
        let sector = [0xa5; 512];
        writable(&store.file("users/alice/state"), |state| state.write_all_at(&sector, slot * 4096).unwrap());
    };
    for slot in [0, 1] {
        let store = store.copy();
        tear(&store, slot);
        assert_let_in(&alice.login_at(&store, alice.now + 2));
        assert_refused(&alice.login_at(&store, alice.now + 2), PamCode::AUTH_ERR, "replayed");
        assert_let_in(&alice.login_at(&store, alice.now + 3));
        assert_let_in(&alice.login_at(&store, alice.now + 4));
    }
    tear(&store, 0);
    tear(&store, 1);
    assert_unavailable(&alice.login_at(&store, alice.now + 2), "two torn slots");
}

#[test]
fn a_flipped_bit_in_both_slots_of_the_state_refuses() {
    let (undamaged, alice) = alice();
    // Both slots have been written to.
    assert_let_in(&alice.login_at(&undamaged, alice.now));
    assert_let_in(&alice.login_at(&undamaged, alice.now + 1));
    for position in [0, 8, 16, 24, 32, 36, 40, 44, 48, 52, 56, 60, 64, 100, 511, 512, 1000, 1535] {
        let store = undamaged.copy();
        let state = store.file("users/alice/state");
        let mut content = fs::read(&state).unwrap();
        for slot in [0, 4096] {
            *content.get_mut(slot + position).unwrap() ^= 1;
        }
        overwrite(&state, &content);
        assert_unavailable(&alice.login_at(&store, alice.now + 2), &format!("byte {position}"));
    }
}

#[test]
fn the_state_keeps_its_size_and_its_place() {
    let (store, alice) = alice();
    let state = store.file("users/alice/state");
    let shape = || {
        let metadata = fs::metadata(&state).unwrap();
        let blocks = std::os::unix::fs::MetadataExt::blocks(&metadata);
        (
            std::os::unix::fs::MetadataExt::ino(&metadata),
            metadata.len(),
            blocks,
            metadata.permissions().mode() & 0o7777,
        )
    };
    let before = shape();
    assert_eq!((before.1, before.3), (8192, 0o600));
    for step in alice.now..alice.now + 10 {
        assert_let_in(&alice.login_at(&store, step));
        alice.login(&store).at(alice.at(step)).types(alice.wrong_code(step, 0)).run();
        assert_eq!(shape(), before);
    }
}

#[test]
fn a_login_never_writes_the_secret_file_or_the_key() {
    let (store, alice) = alice_with_recovery_codes();
    let of_interest = |store: &Store| -> Vec<_> {
        store.content().into_iter().filter(|(path, _)| !path.ends_with("state")).collect()
    };
    alice.login(&store).user("nobody-of-that-name").types("000000").run();
    let before = of_interest(&store);
    assert_let_in(&alice.login_at(&store, alice.now));
    alice.login(&store).types(alice.wrong_code(alice.now, 0)).run();
    assert_let_in(&alice.login(&store).types(alice.recovery_codes().first().unwrap()).run());
    assert_eq!(of_interest(&store), before);
}

#[test]
fn no_seed_and_no_recovery_code_can_be_read_in_the_store() {
    let (store, alice) = alice_with_recovery_codes();
    assert_let_in(&alice.login_at(&store, alice.now));
    let seed = decode_base32(&alice.generator.secret);
    let mut needles: Vec<Vec<u8>> = vec![
        seed.clone(),
        seed.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
        alice.generator.secret.clone().into_bytes(),
        alice.generator.secret.to_lowercase().into_bytes(),
    ];
    for code in alice.recovery_codes() {
        needles.push(code.clone().into_bytes());
        needles.push(code.replace('-', "").into_bytes());
        needles.push(decode_base32(&code.replace('-', "")));
    }
    for (path, content) in store.content() {
        for needle in &needles {
            let found = content.windows(needle.len()).any(|window| window == needle);
            assert!(!found, "{} holds a secret in the clear", path.display());
        }
    }
}

#[test]
fn a_lock_that_another_process_holds_is_waited_for_with_a_bound() {
    let (store, alice) = alice();
    // Whatever file or folder the module locks: all of them are held here.
    let mut held = Vec::new();
    for (path, _) in store.content() {
        if path.starts_with(store.path().join("users")) {
            let file = File::open(&path).unwrap();
            file.lock().unwrap();
            held.push(file);
        }
    }
    assert_unavailable(&alice.login_at(&store, alice.now), "a held lock");
    drop(held);
    assert_let_in(&alice.login_at(&store, alice.now));
}

/// A store as it should be, to be damaged again and again.
struct Undamaged {
    store: Store,
    alice: Account,
}

impl Undamaged {
    fn new() -> Self {
        let (store, alice) = alice_with_recovery_codes();
        Self { store, alice }
    }

    /// Damages a copy and checks that nothing lets anybody in, and nothing hangs (the harness fails a login that does).
    #[track_caller]
    fn after(&self, name: &str, damage: impl FnOnce(&Path)) {
        let (store, alice) = (self.store.copy(), &self.alice);
        let path = if name.is_empty() { store.path() } else { store.file(name) };
        damage(&path);
        assert_unavailable(&alice.login_at(&store, alice.now), name);
        let recovery = alice.login(&store).types(alice.recovery_codes().first().unwrap()).run();
        assert!(!recovery.let_in(), "{name}: {recovery:#?}");
    }
}

#[track_caller]
fn assert_unavailable(login: &Transcript, what: &str) {
    assert_eq!(login.result(), PamCode::AUTHINFO_UNAVAIL, "{what}: {login:#?}");
    assert!(login.log_text().contains("reason=unavailable"), "{what}: {}", login.log_text());
    assert!(login.log.iter().any(|line| line.level <= 3), "{what}: not logged as an error: {:?}", login.log);
    assert_eq!(login.prompts(), ["Verification code: "], "{what}");
    assert_eq!(login.notices(), Vec::<String>::new(), "{what}");
}

const ANOTHER_USER: &str = "4711";

/// Root can change the owner of a file. Anybody else logs in inside a user namespace, which has the ids of /etc/subuid.
fn where_owners_change(login: Login) -> Login {
    if is_root() { login } else { login.through(&USER_NAMESPACE) }
}

fn give_to_another_user(path: &Path) {
    change_owner(ANOTHER_USER, path);
}

/// So that the temporary folder can be removed.
fn take_back(path: &Path) {
    change_owner("0", path);
}

fn change_owner(owner: &str, path: &Path) {
    if is_root() {
        run(Command::new("chown").arg(owner).arg(path));
    } else {
        in_user_namespace(&["chown", owner, path.to_str().unwrap()]);
    }
}

const USER_NAMESPACE: [&str; 3] = ["unshare", "--map-root-user", "--map-auto"];

fn in_user_namespace(command: &[&str]) {
    let [program, arguments @ ..] = USER_NAMESPACE;
    let status = Command::new(program).args(arguments).args(command).status().unwrap();
    assert!(
        status.success(),
        "unshare --map-auto failed: this test makes files of another user\n\
         hint: run the tests as root, or: apt-get install uidmap, and give yourself a range in /etc/subuid and /etc/subgid"
    );
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    uids.split_whitespace().nth(1) == Some("0")
}

fn overwrite(path: &Path, content: &[u8]) {
    writable(path, |file| {
        file.set_len(0).unwrap();
        file.write_all_at(content, 0).unwrap();
    });
}

fn set_length(path: &Path, length: u64) {
    writable(path, |file| file.set_len(length).unwrap());
}

/// The same file, with the mode and the owner it has, also if its mode is 0400.
fn writable(path: &Path, change: impl FnOnce(&File)) {
    let mode = fs::metadata(path).unwrap().permissions();
    set_mode(path, 0o600);
    change(&OpenOptions::new().write(true).open(path).unwrap());
    fs::set_permissions(path, mode).unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// RFC 4648, here so that the test does not rely on the code it tests.
fn decode_base32(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut bits, mut buffer) = (0_u32, 0_u32);
    for character in text.bytes() {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'2'..=b'7' => character - b'2' + 26,
            other => panic!("{:?} is not base32", char::from(other)),
        };
        buffer = (buffer << 5) | u32::from(value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((buffer >> bits) & 0xff).unwrap());
        }
    }
    bytes
}
