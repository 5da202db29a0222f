//! The modules on trial. All that is particular to one of them is here: another module needs another arm in each `match`.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mfa_test_harness::account::mfa_enroll;
use mfa_test_harness::oathtool::{Generator, hotp};
use mfa_test_harness::{Account, Login, Stack, Store, account, artifacts};
use serde_json::Value;

use crate::course::Random;

/// A module on trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Module {
    /// The one that was just built.
    Mfa,
    /// Debian's package libpam-google-authenticator.
    GoogleAuthenticator,
    /// Debian's package libpam-oath.
    Oath,
}

impl Module {
    pub(crate) const ALL: [Self; 3] = [Self::Mfa, Self::GoogleAuthenticator, Self::Oath];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mfa => "pam_mfa",
            Self::GoogleAuthenticator => "pam_google_authenticator",
            Self::Oath => "pam_oath",
        }
    }

    /// Which version is on trial; or what is missing, and the cure.
    pub(crate) fn version(self) -> Result<String, (String, String)> {
        let package = match self {
            Self::Mfa => return Ok(env!("CARGO_PKG_VERSION").to_owned()),
            Self::GoogleAuthenticator => "libpam-google-authenticator",
            Self::Oath => "libpam-oath",
        };
        let cure = || format!("tests/proof/run.sh installs it, or: apt-get install {package}");
        if installed(self.object()).is_none() {
            return Err((format!("{} is not installed", self.object()), cure()));
        }
        let output = Command::new("dpkg-query").args(["--show", "--showformat=${Version}", package]).output();
        let version = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        // Built from source, say: it is there, and that is what counts.
        Ok(version.ok().filter(|version| !version.is_empty()).unwrap_or_else(|| "(no package)".to_owned()))
    }

    const fn object(self) -> &'static str {
        match self {
            Self::Mfa => "pam_mfa.so",
            Self::GoogleAuthenticator => "pam_google_authenticator.so",
            Self::Oath => "pam_oath.so",
        }
    }
}

/// What the accounts of a world have beside one device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extra {
    Nothing,
    /// Recovery codes, scratch codes: codes that work once, whatever the time is.
    RecoveryCodes,
    /// Wrong guesses are counted, where that has to be asked for.
    Throttle,
}

/// A module with its accounts, in a private folder.
pub(crate) struct World {
    pub(crate) module: Module,
    pub(crate) store: Store,
    pub(crate) stack: Stack,
}

impl World {
    /// A world with these people in it.
    pub(crate) fn with(
        module: Module,
        users: &[&str],
        extra: Extra,
        random: &mut Random,
    ) -> (Self, Vec<Person>) {
        Self::within(&std::env::temp_dir(), module, users, extra, random)
    }

    /// The same in a folder of the caller's choice: another file system, say.
    pub(crate) fn within(
        parent: &Path,
        module: Module,
        users: &[&str],
        extra: Extra,
        random: &mut Random,
    ) -> (Self, Vec<Person>) {
        let store = Store::within(parent);
        let people = match module {
            Module::Mfa => users.iter().map(|user| mfa_account(&store, user, extra)).collect(),
            Module::GoogleAuthenticator => {
                users.iter().map(|user| google_authenticator_account(&store, user, extra, random)).collect()
            }
            Module::Oath => oath_accounts(&store, users, random),
        };
        let stack = stack(module, &store);
        (Self { module, store, stack }, people)
    }

    /// A world with alice in it.
    pub(crate) fn of_alice(module: Module, extra: Extra, random: &mut Random) -> (Self, Person) {
        let (world, mut people) = Self::with(module, &["alice"], extra, random);
        (world, people.pop().expect("one was asked for"))
    }

    /// A world where alice has a device that counts: with its seed, and the first counter that nothing has used up.
    pub(crate) fn of_alice_who_counts(module: Module, random: &mut Random) -> (Self, String, u64) {
        const USER: &str = "alice";
        let store = Store::temporary();
        let (seed, mut next) = (seed(random), 0);
        let mut secret = base32(&seed);
        match module {
            Module::Mfa => (secret, next) = mfa_counter(&store, USER),
            Module::GoogleAuthenticator => {
                // As `google-authenticator --counter-based --window-size=3` writes it. It begins at 1.
                next = 1;
                let text = format!("{secret}\n\" WINDOW_SIZE 3\n\" HOTP_COUNTER {next}\n");
                private_file(&store.path().join(USER), &text);
            }
            Module::Oath => {
                private_file(&store.path().join(USERS_FILE), &format!("HOTP {USER} - {}\n", hex(&seed)));
            }
        }
        (Self::over(module, store), secret, next)
    }

    /// The same world once more: for attempts that begin alike.
    pub(crate) fn copy(&self) -> Self {
        Self::over(self.module, self.store.copy())
    }

    /// The module over a folder that is there already.
    pub(crate) fn over(module: Module, store: Store) -> Self {
        let stack = stack(module, &store);
        Self { module, store, stack }
    }

    /// The same accounts behind a PAM line with one more word.
    pub(crate) fn with_option(self, word: &str) -> Self {
        let stack = stack_with(self.module, &self.store, word);
        Self { stack, ..self }
    }

    /// A login of this person, the clock in the middle of `step`, nothing typed yet.
    pub(crate) fn login(&self, person: &Person, step: u64) -> Login {
        self.login_of(&person.account.user).at(person.account.at(step))
    }

    /// A login under this name, which may be nobody's.
    pub(crate) fn login_of(&self, user: impl AsRef<[u8]>) -> Login {
        let login = Login::new(&self.stack).user(user);
        match self.module {
            Module::Mfa => login,
            Module::GoogleAuthenticator | Module::Oath => login.unwatched(),
        }
    }

    /// The files that a login of this person relies on.
    pub(crate) fn files(&self, person: &Person) -> Vec<PathBuf> {
        let user = &person.account.user;
        match self.module {
            Module::Mfa => ["devices.toml", "state"]
                .map(|name| self.store.file(&format!("users/{user}/{name}")))
                .into_iter()
                .chain([self.store.file("key")])
                .collect(),
            Module::GoogleAuthenticator => vec![self.store.file(user)],
            Module::Oath => vec![self.store.file(USERS_FILE)],
        }
    }

    /// The files that an enrollment of this person makes and a login does not need, below the folder.
    pub(crate) fn enrollment_files(&self, person: &Person) -> Vec<PathBuf> {
        let user = &person.account.user;
        match self.module {
            Module::Mfa => ["pending.toml", "pending.toml.new", "devices.toml.new"]
                .map(|name| Path::new("users").join(user).join(name))
                .into(),
            Module::GoogleAuthenticator | Module::Oath => vec![PathBuf::from(format!("{user}~"))],
        }
    }

    /// The folders that lead to them.
    pub(crate) fn folders(&self, person: &Person) -> Vec<PathBuf> {
        match self.module {
            Module::Mfa => {
                let users = self.store.file("users");
                vec![self.store.path(), users.clone(), users.join(&person.account.user)]
            }
            Module::GoogleAuthenticator | Module::Oath => vec![self.store.path()],
        }
    }

    /// Files that lock everybody out though nobody holds them: what an administrator would find and remove.
    pub(crate) fn left_over_files(&self) -> Vec<PathBuf> {
        let names: &[&str] = match self.module {
            Module::Oath => &["users.oath.lock", "users.oath.new"],
            Module::Mfa | Module::GoogleAuthenticator => &[],
        };
        names.iter().map(|name| self.store.path().join(name)).filter(|path| path.exists()).collect()
    }

    /// The wrong guesses that stand against this person, if the module can be asked.
    pub(crate) fn failures(&self, person: &Person) -> Option<u64> {
        match self.module {
            Module::Mfa => Some(person.account.failures(&self.store)),
            Module::GoogleAuthenticator | Module::Oath => None,
        }
    }
}

/// Somebody with a device, and with codes at hand for a few thousand time steps.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) account: Account,
    /// The first step with a code that nothing has used up.
    pub(crate) now: u64,
    codes: Vec<String>,
}

impl Person {
    const BEFORE: u64 = 300;
    const CODES: u64 = 6000;

    pub(crate) fn new(account: Account) -> Self {
        let now = account.now;
        let codes = account.generator.codes(now - Self::BEFORE, Self::CODES);
        Self { account, now, codes }
    }

    /// The code of a step.
    pub(crate) fn code(&self, step: u64) -> &str {
        let index = step.checked_sub(self.now - Self::BEFORE).and_then(|index| usize::try_from(index).ok());
        let code = index.and_then(|index| self.codes.get(index));
        code.unwrap_or_else(|| panic!("no code is at hand for step {step}, only from {} on", self.now))
    }

    /// A code that is right for no step near this one; each `which` gives another.
    pub(crate) fn wrong_code(&self, step: u64, which: usize) -> String {
        const NEAR: u64 = 50;
        let near: Vec<&str> = (step - NEAR..=step + NEAR).map(|step| self.code(step)).collect();
        let mut wrong =
            (0..1_000_000).map(|number| format!("{number:06}")).filter(|code| !near.contains(&code.as_str()));
        wrong.nth(which).expect("nearly all codes are wrong")
    }
}

fn stack(module: Module, store: &Store) -> Stack {
    stack_with(module, store, "")
}

/// The same with one more word of the PAM line.
fn stack_with(module: Module, store: &Store, word: &str) -> Stack {
    let folder = store.path();
    let folder = folder.display();
    let line = match module {
        // No policy file: the default, whatever the machine has in /etc.
        Module::Mfa => format!("pam_mfa.so store={folder} policy={folder}/policy.toml"),
        Module::GoogleAuthenticator => {
            let owner =
                nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().expect("we have a name");
            format!("{} secret={folder}/${{USER}} user={}", peer(module), owner.name)
        }
        Module::Oath => format!("{} usersfile={folder}/{USERS_FILE} window=1 digits=6", peer(module)),
    };
    // As every distribution ends its stacks: a module that has no opinion (PAM_IGNORE) lets in.
    Stack::new(&format!("auth required {line} {word}\nauth required pam_permit.so"))
}

fn mfa_account(store: &Store, user: &str, extra: Extra) -> Person {
    let account = Account::enroll(store, user);
    Person::new(match extra {
        Extra::RecoveryCodes => account.with_recovery_codes(store),
        Extra::Nothing | Extra::Throttle => account,
    })
}

/// A device that counts, by `mfa-enroll add --counter`.
fn mfa_counter(store: &Store, user: &str) -> (String, u64) {
    const CODES: u64 = 2;
    let mut child = mfa_enroll(store, user)
        .args(["add", "--counter", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("mfa-enroll starts");
    let mut offer = String::new();
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    output.read_line(&mut offer).expect("mfa-enroll speaks UTF-8");
    let offer: Value = serde_json::from_str(&offer).expect("a line of JSON");
    let secret = offer.get("secret").and_then(Value::as_str).expect("an offer has a key").to_owned();
    let mut input = child.stdin.take().expect("it is piped");
    for counter in 0..CODES {
        writeln!(input, "{}", hotp(&secret, 6, counter)).expect("mfa-enroll reads two codes");
    }
    drop(input);
    assert!(child.wait().expect("our own child").success(), "mfa-enroll add --counter");
    (secret, CODES)
}

/// The file is as `google-authenticator --time-based --disallow-reuse --window-size=3` writes it, with
/// `--rate-limit=3 --rate-time=30` where wrong guesses are to be counted.
fn google_authenticator_account(store: &Store, user: &str, extra: Extra, random: &mut Random) -> Person {
    let secret = base32(&seed(random));
    let mut text = format!("{secret}\n");
    let mut scratch_codes = Vec::new();
    match extra {
        Extra::Nothing => {}
        Extra::Throttle => text += "\" RATE_LIMIT 3 30\n",
        Extra::RecoveryCodes => {
            scratch_codes = (0..10).map(|_| (10_000_000 + random.below(90_000_000)).to_string()).collect();
        }
    }
    text += "\" WINDOW_SIZE 3\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n";
    for code in &scratch_codes {
        let _ = writeln!(text, "{code}");
    }
    private_file(&store.path().join(user), &text);
    known(user, secret, scratch_codes)
}

/// One file for everybody, as its documentation has it.
fn oath_accounts(store: &Store, users: &[&str], random: &mut Random) -> Vec<Person> {
    let mut text = String::new();
    let people = users
        .iter()
        .map(|user| {
            let seed = seed(random);
            let _ = writeln!(text, "HOTP/T30 {user} - {}", hex(&seed));
            known(user, base32(&seed), Vec::new())
        })
        .collect();
    private_file(&store.path().join(USERS_FILE), &text);
    people
}

const USERS_FILE: &str = "users.oath";

fn known(user: &str, secret: String, scratch_codes: Vec<String>) -> Person {
    let generator = generator(secret);
    let now = account::unix_seconds() / generator.period;
    Person::new(Account::known_elsewhere(user, generator, now, scratch_codes))
}

/// What every authenticator app understands.
pub(crate) fn generator(secret: String) -> Generator {
    Generator { secret, algorithm: "SHA1".to_owned(), digits: 6, period: 30 }
}

/// Where a peer is installed.
fn peer(module: Module) -> String {
    let found = installed(module.object());
    found.unwrap_or_else(|| panic!("{} is not installed", module.object())).display().to_string()
}

fn installed(object: &str) -> Option<PathBuf> {
    if object == Module::Mfa.object() {
        return Some(artifacts::module());
    }
    let multiarch = format!("/lib/{}-linux-gnu/security", std::env::consts::ARCH);
    let folders = [multiarch.as_str(), "/lib64/security", "/lib/security", "/usr/lib/security"];
    folders.iter().map(|folder| Path::new(folder).join(object)).find(|path| path.exists())
}

fn private_file(path: &Path, text: &str) {
    let mut options = fs::OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).mode(0o600).open(path).expect("a file in a new folder");
    file.write_all(text.as_bytes()).expect("a small file");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("our own file");
}

fn seed(random: &mut Random) -> Vec<u8> {
    (0..20).map(|_| random.next().to_le_bytes()[0]).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// RFC 4648; a seed has 20 bytes, which need no padding.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    bits.chunks(5)
        .map(|five| five.iter().fold(0_usize, |value, bit| value << 1 | usize::from(*bit)))
        .map(|value| char::from(*ALPHABET.get(value).expect("five bits")))
        .collect()
}
