//! The small store that every file of an account is put into: the same each time, whatever the last bytes did to it.

use std::cell::RefCell;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use mfa_core::{Caller, FileStore, Policy, Request, Response, Result, Timestamp, UserName};
use tempfile::TempDir;

use crate::reference::{Entry, Hash, State};

/// When everything begins.
pub(crate) const NOW: u64 = 1_800_000_000;

/// The key of the store as it stands in its file, and as bytes: see fuzz/store.py.
const KEY_FILE: &str = include_str!("../../store/key");
pub(crate) const ALICE: &str = include_str!("../../store/alice.toml");
const DECOY: &str = include_str!("../../store/decoy.toml");

/// A device of alice's, as fuzz/store.py has made it.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) id: [u8; 8],
    pub(crate) name: String,
    pub(crate) seed: Vec<u8>,
    pub(crate) hash: Hash,
    pub(crate) digits: u32,
    pub(crate) factor: Factor,
    pub(crate) is_active: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Factor {
    Period(u64),
    LookAhead(u64),
}

/// Alice's devices, in the order of the file.
pub(crate) fn devices_of_alice() -> Vec<Device> {
    let device = |number: u8, name: &str, seed: &[u8], hash, digits, factor, is_active| Device {
        id: [number; 8],
        name: name.to_owned(),
        seed: seed.to_vec(),
        hash,
        digits,
        factor,
        is_active,
    };
    let spare: Vec<u8> = b"spare".iter().copied().cycle().take(64).collect();
    vec![
        device(1, "phone", b"12345678901234567890", Hash::Sha1, 6, Factor::Period(30), true),
        device(2, "token", b"09876543210987654321", Hash::Sha1, 6, Factor::LookAhead(5), true),
        device(3, "long", b"12345678901234567890123456789012", Hash::Sha256, 8, Factor::Period(60), true),
        device(4, "spare", &spare, Hash::Sha512, 7, Factor::Period(30), false),
    ]
}

pub(crate) const RECOVERY_CODES: [&str; 3] = ["AAAABBBBCCCCDDDD", "EEEEFFFFGGGGHHHH", "IIIIJJJJKKKKLLLL"];
pub(crate) const SCRATCH_CODES: [&str; 2] = ["11112222", "33334444"];
pub(crate) const BYPASS_CODE: &str = "MMMMNNNNOOOOPPPP";
/// The first and the last second in which the bypass code is good.
pub(crate) const BYPASS_SECONDS: std::ops::RangeInclusive<u64> = NOW - 3600..=NOW + 3600;

/// The host key.
pub(crate) fn key() -> Vec<u8> {
    let text = KEY_FILE.trim_end().strip_prefix("pam-mfa-key-1:").expect("a key file");
    mfa_core::Secret::from_base32(text).expect("base32").expose().to_vec()
}

/// The state that alice begins with: nothing was used, nothing has failed.
pub(crate) fn fresh_state() -> State {
    let entries =
        devices_of_alice().into_iter().map(|device| Entry { id: device.id, ..Entry::default() }).collect();
    State { sequence: 0, revision: 1, entries }
}

/// The folder of one thread.
pub(crate) struct Scratch {
    folder: TempDir,
}

thread_local! {
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

/// Runs `work` in a store that is as in the beginning.
pub(crate) fn with_fresh_store<T>(work: impl FnOnce(&Scratch) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        let scratch = scratch.get_or_insert_with(Scratch::new);
        scratch.reset();
        work(scratch)
    })
}

impl Scratch {
    fn new() -> Self {
        // Memory, where there is some: a fuzzer syncs thousands of times a second.
        let parent = ["/dev/shm"].iter().map(Path::new).find(|path| path.is_dir());
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let folder =
            tempfile::Builder::new().prefix("pam-mfa-fuzz-").tempdir_in(parent).expect("a temporary folder");
        let scratch = Self { folder };
        make_folder(&scratch.store());
        write(&scratch.store().join("key"), KEY_FILE.as_bytes());
        make_folder(&scratch.store().join("decoy"));
        for number in 0..16 {
            let decoy = scratch.store().join(format!("decoy/{number:x}"));
            make_folder(&decoy);
            write(&decoy.join("devices.toml"), DECOY.as_bytes());
            let entry = Entry { id: [5; 8], ..Entry::default() };
            let state = State { sequence: 0, revision: 1, entries: vec![entry] };
            write(&decoy.join("state"), &state.file("(decoy)"));
        }
        scratch
    }

    fn reset(&self) {
        for changed in ["users", "marks", "tokens"] {
            remove_folder(&self.store().join(changed));
        }
        remove_folder(&self.path("pam.d"));
        let _ = fs::remove_file(self.path("policy.toml"));
        make_folder(&self.store().join("users"));
        make_folder(&self.store().join("users/alice"));
        self.write("users/alice/devices.toml", ALICE.as_bytes());
        self.write("users/alice/state", &fresh_state().file("alice"));
    }

    /// A place beside the store.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The store's folder.
    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Writes a file of the store.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.store().join(name);
        for parent in path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            if !parent.exists() {
                make_folder(parent);
            }
        }
        let _ = fs::remove_file(&path);
        write(&path, bytes);
    }

    /// Reads a file of the store.
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.store().join(name)).expect("a file that is there")
    }

    /// Asks core, as root, at [`NOW`].
    pub(crate) fn ask(&self, request: Request) -> Result<Response> {
        // A new value each time: nothing is remembered from one request to the next.
        let store = FileStore::at(self.store());
        let caller = Caller::privileged("fuzz");
        mfa_core::answer(request, &caller, &store, &Policy::default(), Timestamp::from_unix_seconds(NOW))
    }
}

/// Alice.
pub(crate) fn alice() -> UserName {
    "alice".parse().expect("a plain name")
}

fn make_folder(path: &Path) {
    DirBuilder::new().mode(0o700).create(path).expect("a folder in our own folder");
}

fn remove_folder(path: &Path) {
    match fs::remove_dir_all(path) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}: {error}", path.display()),
    }
}

/// A private file that nobody has yet.
pub(crate) fn write(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.write_all(bytes).expect("a small file");
}
