//! `mfa-admin export` and `import-account`: an account on its way to another host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use age::secrecy::ExposeSecret as _;
use mfa_cli_tests::{Ran, Terminal, mfa_admin, mfa_enroll, run};
use mfa_test_harness::libpam::PamCode;
use mfa_test_harness::{Account, Store};

use crate::{devices, status};

/// A host where alice has used a code, and one where she is to have her devices.
struct Move {
    from: Store,
    to: Store,
    alice: Account,
    recipient: String,
    identity: PathBuf,
}

impl Move {
    fn new() -> Self {
        let (from, to) = (Store::temporary(), Store::temporary());
        let alice = Account::enroll(&from, "alice");
        let key = age::x25519::Identity::generate();
        let identity = to.beside("identity");
        fs::write(&identity, format!("# created: today\n{}\n", key.to_string().expose_secret())).unwrap();
        Self { from, to, alice, recipient: key.to_public().to_string(), identity }
    }

    /// The file that `export` writes.
    fn exported(&self, options: &[&str]) -> PathBuf {
        let path = self.to.beside("alice.age");
        let mut command = mfa_admin(&self.from);
        command.args(["export", "alice", "--recipient", &self.recipient]).args(options);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains("still work on this host") && said.contains("recovery codes do not move"),
            "{said}"
        );
        fs::write(&path, output.stdout).unwrap();
        path
    }

    fn import(&self, file: &Path, options: &[&str]) -> Ran {
        run(import_account(&self.to).arg(file).args(options), "")
    }

    fn identity(&self) -> &str {
        self.identity.to_str().unwrap()
    }
}

fn import_account(store: &Store) -> Command {
    let mut command = mfa_admin(store);
    command.arg("import-account");
    command
}

#[test]
fn an_account_moves_to_another_host_and_used_codes_stay_used() {
    for options in [&[][..], &["--armor"]] {
        let moving = Move::new();
        let (alice, step) = (&moving.alice, moving.alice.now);
        assert_eq!(alice.login_at(&moving.from, step).result(), PamCode::SUCCESS);
        let file = moving.exported(options);
        let bytes = fs::read(&file).unwrap();
        assert_eq!(bytes.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----"), options == ["--armor"]);
        assert!(!String::from_utf8_lossy(&bytes).contains(&alice.generator.secret));

        let ran = moving.import(&file, &["--identity", moving.identity()]);
        ran.assert_done();
        assert!(ran.out.contains("alice has 1 device of alice on"), "{ran:#?}");
        assert!(
            ran.out.contains("Recovery codes did not move") && ran.out.contains(" recovery-codes"),
            "{ran:#?}"
        );
        assert_eq!(
            alice.login_at(&moving.to, step).result(),
            PamCode::AUTH_ERR,
            "it was used on the old host"
        );
        assert_eq!(alice.login_at(&moving.to, step + 1).result(), PamCode::SUCCESS);
    }
}

#[test]
fn she_may_have_another_name_there_and_comes_once() {
    let moving = Move::new();
    let file = moving.exported(&[]);
    let options = ["--user", "alicia", "--identity", moving.identity()];
    moving.import(&file, &options).assert_done();
    moving.import(&file, &options).assert_done();
    assert_eq!(devices(&moving.to, "alicia"), ["phone"]);
    assert!(devices(&moving.to, "alice").is_empty());
    moving.import(&file, &["--identity", moving.identity()]).assert_failed(1, "alicia");
}

#[test]
fn recovery_codes_stay_behind() {
    let moving = Move::new();
    run(mfa_enroll(&moving.from, "alice").args(["recovery-codes", "--yes", "--json"]), "").assert_done();
    let file = moving.exported(&[]);
    moving.import(&file, &["--identity", moving.identity()]).assert_done();
    assert!(status(&moving.to, "alice")["recovery_codes_left"].is_null());
}

#[test]
fn a_passphrase_is_typed_twice_and_never_shown() {
    let moving = Move::new();
    let file = moving.to.beside("alice.age");
    let export = |first: &str, second: &str| {
        // The shell of a person: output goes to a file, the question to the terminal.
        let mut shell = Command::new("sh");
        shell.args(["-c", "out=$1; shift; exec \"$@\" > \"$out\"", "sh"]).arg(&file);
        let mut export = mfa_admin(&moving.from);
        export.args(["export", "alice", "--passphrase"]);
        let mut terminal = Terminal::start(&mfa_cli_tests::within(shell, &export));
        terminal.wait_for("Passphrase for the file (not shown): ");
        terminal.enters(first);
        terminal.wait_for("once more: ");
        terminal.enters(second);
        terminal.end()
    };
    let ran = export("correct horse", "correct house");
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(ran.out.contains("the two do not agree"), "{ran:#?}");
    let ran = export("correct horse", "correct horse");
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(!ran.out.contains("horse"), "{ran:#?}");

    let import = |passphrase: &str| {
        let mut terminal = Terminal::start(import_account(&moving.to).arg(&file));
        terminal.wait_for("Passphrase of the file (not shown): ");
        terminal.enters(passphrase);
        terminal.end()
    };
    let ran = import("incorrect horse");
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(ran.out.contains("does not open: another passphrase"), "{ran:#?}");
    assert!(moving.to.content().is_empty());
    assert_eq!(import("correct horse").code, 0);
    assert_eq!(devices(&moving.to, "alice"), ["phone"]);
    moving
        .import(&file, &["--identity", moving.identity()])
        .assert_failed(1, "is encrypted with a passphrase");
}

#[test]
fn what_does_not_open_changes_nothing() {
    let moving = Move::new();
    let file = moving.exported(&[]);
    moving.import(&file, &[]).assert_failed(1, "is encrypted to a recipient");
    let other = moving.to.beside("other");
    let key = age::x25519::Identity::generate();
    fs::write(&other, key.to_string().expose_secret()).unwrap();
    let with = |identity: &Path| ["--identity".to_owned(), identity.display().to_string()];
    let import =
        |file: &Path, identity: &Path| run(import_account(&moving.to).arg(file).args(with(identity)), "");
    import(&file, &other).assert_failed(1, "does not open: another passphrase or identity");
    import(&file, &file).assert_failed(1, "holds no age identity");

    let whole = fs::read(&file).unwrap();
    let mut altered = whole.clone();
    *altered.last_mut().unwrap() ^= 1;
    for damaged in [altered, whole[..whole.len() - 20].to_vec(), whole[..10].to_vec(), Vec::new()] {
        fs::write(&file, damaged).unwrap();
        import(&file, &moving.identity).assert_failed(1, "is no file of mfa-admin export, or is damaged");
    }
    // Encrypted for us, but something else inside.
    let recipient: age::x25519::Recipient = moving.recipient.parse().unwrap();
    fs::write(&file, age::encrypt(&recipient, br#"{"format":"pam-mfa account 9"}"#).unwrap()).unwrap();
    import(&file, &moving.identity).assert_failed(1, "written by another version");
    assert!(moving.to.content().is_empty());
}

#[test]
fn bytes_are_not_written_to_a_terminal_and_nobody_is_exported_who_has_no_device() {
    let moving = Move::new();
    let mut terminal =
        Terminal::start(mfa_admin(&moving.from).args(["export", "alice", "--recipient", &moving.recipient]));
    terminal.wait_for("--armor");
    let ran = terminal.end();
    assert_eq!(ran.code, 2, "{ran:#?}");
    let export =
        |user: &str, options: &[&str]| run(mfa_admin(&moving.from).args(["export", user]).args(options), "");
    export("bob", &["--recipient", &moving.recipient]).assert_failed(1, "bob has no device");
    export("alice", &["--recipient", "age1nonsense"]).assert_failed(2, "age1nonsense is no age recipient");
    export("alice", &[]).assert_failed(2, "--recipient");
}
