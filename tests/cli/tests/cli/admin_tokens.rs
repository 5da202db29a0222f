//! `mfa-admin tokens`: vendors' files, the stock, and tokens on their way to people and back.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mfa_cli_tests::{Terminal, mfa_admin, run};
use mfa_core::request::{RecoveryCodes, WhyNotConfirmed};
use mfa_core::{Caller, FileStore, Policy, Request, Response, Timestamp};
use mfa_test_harness::account::unix_seconds;
use mfa_test_harness::libpam::PamCode;
use mfa_test_harness::oathtool::Generator;
use mfa_test_harness::{Account, Store};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::status;

/// `12345678901234567890`, the seed of the RFCs.
const RFC_SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const HEADINGS: &str = "upn,serial number,secret key,time interval,manufacturer,model\n";

/// A file of the import crate's tests, most of them made by other people's programs.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../import/tests/fixtures").join(name)
}

/// `mfa-admin tokens WORDS..`
pub(crate) fn tokens(store: &Store, words: &[&str]) -> Command {
    let mut command = mfa_admin(store);
    command.arg("tokens").args(words);
    command
}

fn import(store: &Store, file: &Path, options: &[&str]) -> mfa_cli_tests::Ran {
    run(tokens(store, &["import"]).arg(file).args(options), "")
}

/// A file beside the store.
pub(crate) fn file(store: &Store, name: &str, text: &str) -> PathBuf {
    let path = store.beside(name);
    fs::write(&path, text).unwrap();
    path
}

/// The stock by `tokens list --json`.
fn stock(store: &Store) -> Vec<Value> {
    let ran = run(&mut tokens(store, &["list", "--json"]), "");
    ran.assert_done();
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn serials(store: &Store) -> Vec<String> {
    stock(store).iter().map(|token| token["serial"].as_str().unwrap().to_owned()).collect()
}

/// The token of the RFC's seed, as an independent program has it.
fn rfc_token() -> Generator {
    Generator { secret: RFC_SEED.to_owned(), algorithm: "SHA1".to_owned(), digits: 6, period: 30 }
}

/// A store whose stock has that token, under this number.
fn store_with_token(serial: &str) -> Store {
    let store = Store::temporary();
    let csv = file(&store, "tokens.csv", &format!("{HEADINGS},{serial},{RFC_SEED},30,Contoso,Key\n"));
    import(&store, &csv, &[]).assert_done();
    store
}

/// What the person does, with two codes in a row from step `first` on.
fn activate(store: &Store, user: &str, serial: &str, first: u64) -> Response {
    let codes = rfc_token().codes(first, 2);
    let code = |at: usize| mfa_core::otp::Code::from_digits(codes[at].as_bytes()).unwrap();
    let request = Request::ActivateToken {
        user: user.parse().unwrap(),
        serial: serial.parse().unwrap(),
        name: None,
        first: code(0),
        second: code(1),
        recovery_codes: RecoveryCodes::No,
    };
    let (files, caller) = (FileStore::at(store.path()), Caller::privileged("a test"));
    mfa_core::answer(request, &caller, &files, &Policy::default(), Timestamp::now()).unwrap()
}

/// A login through libpam in the middle of `step`, with the token's code of then.
fn logs_in(store: &Store, user: &str, step: u64) -> bool {
    enters(store, user, step, step)
}

/// The same with the code of another step.
fn enters(store: &Store, user: &str, now: u64, step: u64) -> bool {
    let login = store.login(user).at(now * 30 + 15).types(rfc_token().code(step));
    login.run().result() == PamCode::SUCCESS
}

#[test]
fn the_files_of_every_kind_are_read_by_the_program_itself() {
    for (name, options, expected) in [
        ("entra/with-upn.csv", &[][..], &["1234567", "1234568"][..]),
        ("entra/byte-order-mark-crlf.csv", &["--format", "entra-csv"], &["8700000001"]),
        ("entra/hexadecimal.csv", &["--secret-encoding", "hex"], &["8700000001"]),
        (
            "oath/tokens.csv",
            &[],
            &["OATH0001", "OATH0002", "OATH0003", "OATH0004", "OATH0005", "OATH0006", "OATH0007"],
        ),
        ("pskc/python-pskc-plain.xml", &["--allow-weak"], &["PY0001", "PY0002", "PY0003"]),
        ("pskc/rfc6030-figure-3.xml", &["--format", "pskc", "--skip-expired"], &["987654321"]),
    ] {
        let store = Store::temporary();
        let ran = import(&store, &fixture(name), options);
        assert_eq!(ran.code, 0, "{name}: {ran:#?}");
        assert_eq!(serials(&store), expected, "{name}");
    }
}

#[test]
fn encrypted_files_are_opened_by_a_key_or_password_from_a_file() {
    let hex = |bytes: u8| (0..bytes).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    for (name, option, secret, count) in [
        ("pskc/rfc6030-figure-6.xml", "--key-file", "12345678901234567890123456789012\n", 1),
        ("pskc/python-pskc-aes128.xml", "--key-file", &hex(16), 3),
        ("pskc/python-pskc-aes192.xml", "--key-file", &hex(24), 3),
        ("pskc/python-pskc-aes256.xml", "--key-file", &hex(32), 3),
        ("pskc/rfc6030-figure-7.xml", "--password-file", "qwerty\r\n", 1),
        ("pskc/python-pskc-password.xml", "--password-file", "correct horse", 3),
        ("pskc/python-pskc-password-sha256.xml", "--password-file", "pässwört\n", 3),
    ] {
        let store = Store::temporary();
        let secret = file(&store, "secret", secret);
        let options = ["--allow-weak", "--skip-expired", option, secret.to_str().unwrap()];
        let ran = import(&store, &fixture(name), &options);
        assert_eq!(ran.code, 0, "{name}: {ran:#?}");
        assert_eq!(stock(&store).len(), count, "{name}: {ran:#?}");

        let store = Store::temporary();
        let wrong = file(
            &store,
            "secret",
            if option == "--key-file" { "00000000000000000000000000000000" } else { "azerty" },
        );
        let ran = import(&store, &fixture(name), &["--allow-weak", option, wrong.to_str().unwrap()]);
        ran.assert_failed(1, "nothing was changed");
        assert!(store.content().is_empty(), "{name}");
    }
}

#[test]
fn a_password_is_asked_for_on_the_terminal_and_not_shown() {
    let store = Store::temporary();
    let mut command = tokens(&store, &["import", "--allow-weak", "--skip-expired"]);
    let mut terminal = Terminal::start(command.arg(fixture("pskc/rfc6030-figure-7.xml")));
    terminal.wait_for("(not shown): ");
    terminal.enters("azerty\x15qwerty");
    terminal.wait_for("Imported 1 token");
    let ran = terminal.end();
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(!ran.out.contains("qwerty"), "{ran:#?}");

    let store = Store::temporary();
    let mut command = tokens(&store, &["import", "--allow-weak"]);
    let mut terminal = Terminal::start(command.arg(fixture("pskc/rfc6030-figure-7.xml")));
    terminal.wait_for("(not shown): ");
    terminal.interrupts();
    let ran = terminal.end();
    assert_eq!(ran.code, 130, "{ran:#?}");
    assert!(store.content().is_empty());

    // Ended from outside it leaves a terminal that shows what is typed.
    let mut command = tokens(&store, &["import", "--allow-weak"]);
    let mut terminal = Terminal::start(command.arg(fixture("pskc/rfc6030-figure-7.xml")));
    terminal.wait_for("(not shown): ");
    assert!(!terminal.is_in_usual_mode());
    end_those_that_ask(&store);
    while !terminal.is_in_usual_mode() {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(terminal.end().code, 143);

    // Without a terminal nobody is asked, and nothing hangs.
    let mut alone = Command::new("setsid");
    alone.arg("--wait");
    let command =
        mfa_cli_tests::within(alone, tokens(&store, &["import"]).arg(fixture("pskc/rfc6030-figure-7.xml")));
    run(&mut { command }, "").assert_failed(1, "there is no terminal to ask on");
}

/// SIGTERM to the programs that work on this store.
fn end_those_that_ask(store: &Store) {
    let path = store.path().display().to_string();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse() else { continue };
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
        if words.first().is_some_and(|word| word.ends_with(b"/mfa-admin")) && words.contains(&path.as_bytes())
        {
            kill(Pid::from_raw(id), Signal::SIGTERM).unwrap();
        }
    }
}

#[test]
fn one_bad_line_keeps_the_whole_file_out_and_a_dry_run_changes_nothing() {
    let store = store_with_token("T1");
    let before = store.content();
    let ran = import(&store, &fixture("entra/many-mistakes.csv"), &[]);
    ran.assert_failed(1, "nothing was changed: 7 problems");
    assert!(ran.err.contains("line 2: the time interval is neither 30 nor 60"), "{ran:#?}");
    assert!(store.content() == before, "nothing of it was taken");

    let ran = import(&store, &fixture("oath/tokens.csv"), &["--dry-run"]);
    ran.assert_failed(1, "line 2: the token T1 of the stock has this seed");
    let good = file(&store, "good.csv", &format!("{HEADINGS},N1,MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U,30,,\n"));
    let ran = import(&store, &good, &["--dry-run"]);
    ran.assert_done();
    assert!(ran.out.contains("1 token would be imported. Nothing was changed."), "{ran:#?}");
    assert!(store.content() == before, "a dry run");

    let empty = Store::temporary();
    import(&empty, &fixture("entra/with-upn.csv"), &["--dry-run"]).assert_done();
    assert!(empty.content().is_empty(), "a dry run does not even make the store");
}

#[test]
fn an_encoding_is_declared_or_refused_never_guessed() {
    let store = Store::temporary();
    let csv = file(&store, "both.csv", &format!("{HEADINGS},B1,234567ABCDEF234567ABCDEF234567AB,30,,\n"));
    let ran = import(&store, &csv, &[]);
    ran.assert_failed(1, "could be base32 as well as hexadecimal: say which with --secret-encoding");
    assert!(!ran.err.contains("234567ABCDEF"), "a seed is never repeated: {ran:#?}");
    import(&store, &csv, &["--secret-encoding", "base32"]).assert_done();
    let nothing = file(&store, "nothing", "what is this?\n");
    import(&store, &nothing, &[]).assert_failed(2, "does not show what kind of token file it is");
    import(&store, &csv, &["--password-file", "/dev/null"]).assert_failed(2, "only PSKC files are encrypted");
}

#[test]
fn weak_seeds_stray_bits_and_dates_are_named_and_taken_only_knowingly() {
    let store = Store::temporary();
    let weak = file(&store, "weak.csv", &format!("{HEADINGS},W1,JBSWY3DPEHPK3PXP,30,,\n"));
    let ran = import(&store, &weak, &[]);
    ran.assert_failed(1, "line 2: the seed has 80 bits, and 128 are the least");
    let ran = import(&store, &weak, &["--allow-weak"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.err.contains("warning: 1 token with a seed of less than 128 bits: W1"), "{ran:#?}");

    // Microsoft's own sample.
    let stray = file(&store, "stray.csv", &format!("{HEADINGS},S1,2234567abcdef2234567abcdef,60,,\n"));
    let ran = import(&store, &stray, &["--json"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.err.contains("1 token with bits left over at the end of the seed"), "{ran:#?}");
    assert_eq!(ran.json()["stray_bits"], serde_json::json!(["S1"]));

    for (dates, said) in [
        ("<ExpiryDate>2022-09-01T00:00:00Z</ExpiryDate>", "the token E1 expired on 2022-09-01"),
        ("<StartDate>2999-01-01T00:00:00Z</StartDate>", "the token E1 is not valid before 2999-01-01"),
    ] {
        let xml = pskc(&[
            ("E1", "MDEyMzQ1Njc4OTAxMjM0NTY3ODk=", dates),
            ("E2", "OTg3NjU0MzIxMDk4NzY1NDMyMTA=", ""),
        ]);
        let dated = file(&store, "dated.xml", &xml);
        import(&store, &dated, &[]).assert_failed(1, said);
        assert_eq!(serials(&store), ["S1", "W1"], "nothing of it was taken");
        let ran = import(&store, &dated, &["--skip-expired"]);
        assert_eq!(ran.code, 0, "{ran:#?}");
        assert!(ran.err.contains("1 token left out because") && ran.err.contains("E1"), "{ran:#?}");
        assert_eq!(serials(&store), ["E2", "S1", "W1"]);
        run(&mut tokens(&store, &["remove", "E2"]), "").assert_done();
    }
}

/// A plain container of 30-second tokens: serial number, base64 of the seed, dates.
fn pskc(tokens: &[(&str, &str, &str)]) -> String {
    let mut xml = "<KeyContainer Version='1.0' xmlns='urn:ietf:params:xml:ns:keyprov:pskc'>".to_owned();
    for (serial, secret, dates) in tokens {
        write!(
            xml,
            "<KeyPackage><DeviceInfo><SerialNo>{serial}</SerialNo></DeviceInfo><Key Id='{serial}' \
             Algorithm='urn:ietf:params:xml:ns:keyprov:pskc:totp'><AlgorithmParameters><ResponseFormat Length='6' \
             Encoding='DECIMAL'/></AlgorithmParameters><Data><Secret><PlainValue>{secret}</PlainValue></Secret></Data>\
             <Policy>{dates}</Policy></Key></KeyPackage>"
        )
        .unwrap();
    }
    xml + "</KeyContainer>"
}

#[test]
fn a_serial_number_or_seed_that_the_stock_or_an_account_has_is_refused() {
    let store = store_with_token("T1");
    let alice = Account::enroll(&store, "alice");
    let other_seed = "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U";
    run(&mut tokens(&store, &["assign", "T1", "bob"]), "").assert_done();
    // As if the stock had been put away meanwhile: what bob has, he has.
    let kept = fs::read(store.file("tokens/stock")).unwrap();
    let line = |serial: &str, seed: &str| format!("{HEADINGS},{serial},{seed},30,,\n");
    for (text, said) in [
        (line("T1", other_seed), "line 2: the stock has a token with this serial number"),
        (line("T2", RFC_SEED), "line 2: the token T1 of the stock has this seed"),
        (line("T2", &alice.generator.secret), "line 2: alice has a device with this seed"),
    ] {
        let before = store.content();
        import(&store, &file(&store, "again.csv", &text), &[]).assert_failed(1, said);
        assert!(store.content() == before);
    }
    fs::remove_file(store.file("tokens/stock")).unwrap();
    let csv = file(&store, "again.csv", &line("T2", RFC_SEED));
    import(&store, &csv, &[]).assert_failed(1, "bob has a device with this seed");
    let csv = file(&store, "again.csv", &line("T1", other_seed));
    import(&store, &csv, &[]).assert_failed(1, "bob has a token with this serial number");
    fs::write(store.path().join("tokens/stock"), kept).unwrap();
}

#[test]
fn the_stock_holds_no_seed_that_can_be_read() {
    let store = store_with_token("T1");
    run(&mut tokens(&store, &["assign", "T1", "alice"]), "").assert_done();
    for (path, content) in store.content() {
        let text = String::from_utf8_lossy(&content).to_uppercase();
        for spelled in [RFC_SEED, "3132333435363738393031323334353637383930", "12345678901234567890"] {
            assert!(!text.contains(spelled), "{}", path.display());
        }
    }
}

#[test]
fn a_token_is_assigned_activated_with_two_codes_and_lets_its_owner_in() {
    let store = store_with_token("T1");
    run(&mut tokens(&store, &["assign", "T9", "alice"]), "").assert_failed(1, "the stock has no token T9");
    let ran = run(&mut tokens(&store, &["assign", "T1", "alice", "--name", "key ring"]), "");
    ran.assert_done();
    assert!(ran.out.contains("T1 is alice's now. It lets nobody in until"), "{ran:#?}");
    assert_eq!(status(&store, "alice")["devices"][0]["name"], "key ring");
    let shown = run(&mut tokens(&store, &["show", "T1", "--json"]), "").json();
    assert_eq!((&shown["assigned_to"], &shown["status"]), (&"alice".into(), &"assigned".into()));

    let step = unix_seconds() / 30;
    assert!(!logs_in(&store, "alice", step), "it was not activated");
    assert!(matches!(activate(&store, "alice", "T1", step), Response::Enrolled { .. }));
    assert!(!logs_in(&store, "alice", step + 1), "the codes of the activation are used");
    assert!(logs_in(&store, "alice", step + 2));
    let shown = run(&mut tokens(&store, &["show", "T1"]), "");
    assert!(shown.out.contains("key ring") && shown.out.contains("ready"), "{shown:#?}");
    let listed = run(&mut tokens(&store, &["list", "--unassigned"]), "");
    assert_eq!(listed.out, "The stock has no token that is nobody's.\n");
}

#[test]
fn assigning_twice_is_once_also_after_a_crash_in_the_middle() {
    let store = store_with_token("T1");
    let free = fs::read(store.file("tokens/stock")).unwrap();
    run(&mut tokens(&store, &["assign", "T1", "alice"]), "").assert_done();
    let ran = run(&mut tokens(&store, &["assign", "T1", "alice"]), "");
    ran.assert_done();
    assert!(ran.out.contains("T1 is alice's already"), "{ran:#?}");
    run(&mut tokens(&store, &["assign", "T1", "bob"]), "").assert_failed(1, "the token T1 is alice's");

    // Killed between the account and the stock: the account has it, the stock does not know.
    fs::write(store.file("tokens/stock"), free).unwrap();
    run(&mut tokens(&store, &["assign", "T1", "bob"]), "").assert_failed(1, "alice");
    run(&mut tokens(&store, &["assign", "T1", "alice"]), "").assert_done();
    assert_eq!(status(&store, "alice")["devices"].as_array().unwrap().len(), 1);
    assert_eq!(stock(&store)[0]["assigned_to"], "alice");
}

#[test]
fn a_token_that_was_taken_back_works_for_the_next_person_and_no_used_code_works_again() {
    let store = store_with_token("T1");
    run(&mut tokens(&store, &["unassign", "T1"]), "").assert_failed(1, "the token T1 is nobody's");
    run(&mut tokens(&store, &["assign", "T1", "alice"]), "").assert_done();
    run(&mut tokens(&store, &["remove", "T1"]), "").assert_failed(1, "the token T1 is alice's");
    let step = unix_seconds() / 30;
    assert!(matches!(activate(&store, "alice", "T1", step), Response::Enrolled { .. }));
    assert!(logs_in(&store, "alice", step + 2));
    run(&mut tokens(&store, &["unassign", "T1"]), "").assert_done();
    assert!(!logs_in(&store, "alice", step + 3), "alice does not have it any more");
    assert_eq!(stock(&store)[0]["assigned_to"], Value::Null);

    run(&mut tokens(&store, &["assign", "T1", "bob"]), "").assert_done();
    assert!(matches!(activate(&store, "bob", "T1", step + 1), Response::NotConfirmed(WhyNotConfirmed::Used)));
    assert!(matches!(activate(&store, "bob", "T1", step + 3), Response::Enrolled { .. }));
    // By those codes the token is three steps ahead of the clock.
    assert!(enters(&store, "bob", step + 2, step + 5));
}

#[test]
fn a_token_that_its_owner_removed_comes_back_with_all_its_codes_of_today_burnt() {
    let store = store_with_token("T1");
    run(&mut tokens(&store, &["assign", "T1", "alice"]), "").assert_done();
    let step = unix_seconds() / 30;
    assert!(matches!(activate(&store, "alice", "T1", step), Response::Enrolled { .. }));
    let remove = Request::RemoveDevice { user: "alice".parse().unwrap(), name: "token".parse().unwrap() };
    let (files, caller) = (FileStore::at(store.path()), Caller::privileged("a test"));
    mfa_core::answer(remove, &caller, &files, &Policy::default(), Timestamp::now()).unwrap();

    let ran = run(&mut tokens(&store, &["unassign", "T1"]), "");
    ran.assert_done();
    assert!(ran.out.contains("nobody knows which codes were used"), "{ran:#?}");
    run(&mut tokens(&store, &["assign", "T1", "bob"]), "").assert_done();
    for first in [step, step + 2, step + 600] {
        assert!(matches!(
            activate(&store, "bob", "T1", first),
            Response::NotConfirmed(WhyNotConfirmed::Used)
        ));
    }
}

/// A file of many tokens, each with a seed of its own.
fn many_tokens(store: &Store, count: u32) -> PathBuf {
    let mut text = HEADINGS.to_owned();
    for number in 0..count {
        let mixed = u64::from(number).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let seed = mfa_core::Secret::new(mixed.to_be_bytes().repeat(3));
        writeln!(text, ",{number:06},{},30,Contoso,Key", *seed.to_base32()).unwrap();
    }
    file(store, "many.csv", &text)
}

#[test]
fn ten_thousand_tokens_take_seconds_and_show_their_progress_to_people_alone() {
    let store = Store::temporary();
    let many = many_tokens(&store, 10_000);
    let started = Instant::now();
    let ran = import(&store, &many, &["--json"]);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    ran.assert_done();
    assert_eq!(ran.json()["tokens"], 10_000);
    assert_eq!(stock(&store).len(), 10_000);

    let other = Store::temporary();
    let mut terminal = Terminal::start(tokens(&other, &["import"]).arg(&many));
    terminal.wait_for("sealing [###");
    terminal.wait_for("10000 of 10000");
    terminal.wait_for("Imported 10000 tokens");
    assert!(!terminal.screen().contains('['), "the bar is gone:\n{}", terminal.screen());
    assert_eq!(terminal.end().code, 0);
}

#[test]
fn an_import_that_is_killed_leaves_the_old_stock_or_the_new_one() {
    let store = store_with_token("T1");
    let many = many_tokens(&store, 10_000);
    let before = fs::read(store.file("tokens/stock")).unwrap();
    let mut killed_in_the_middle = 0;
    for pause in 0..12 {
        let mut child = tokens(&store, &["import"])
            .arg(&many)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Once while it reads, then in the moments about its writing.
        let new = store.path().join("tokens/stock.new");
        let started = Instant::now();
        while pause > 0 && !new.exists() && started.elapsed() < Duration::from_secs(60) {
            if child.try_wait().unwrap().is_some() {
                break;
            }
        }
        thread::sleep(Duration::from_micros(300 * pause));
        let is_running = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        if fs::read(store.file("tokens/stock")).unwrap() == before {
            killed_in_the_middle += u32::from(is_running);
        } else {
            assert_eq!(stock(&store).len(), 10_001, "it was done");
            fs::write(store.file("tokens/stock"), &before).unwrap();
        }
        assert_eq!(serials(&store), ["T1"]);
    }
    assert!(killed_in_the_middle >= 1, "no kill came in time: make the file longer");
    // What was left behind is in nobody's way.
    import(&store, &many, &[]).assert_done();
    assert_eq!(stock(&store).len(), 10_001);
}

#[test]
fn imports_at_once_do_not_lose_each_others_tokens() {
    let store = Store::temporary();
    // A stock that takes a while to read and write.
    import(&store, &many_tokens(&store, 5000), &[]).assert_done();
    let children: Vec<_> = (0..8_u8)
        .map(|number| {
            let seed = mfa_core::Secret::new(format!("the seed of token {number}").into_bytes());
            let line = format!("{HEADINGS},ONE{number},{},30,,\n", *seed.to_base32());
            let csv = file(&store, &format!("one{number}.csv"), &line);
            tokens(&store, &["import"]).arg(csv).stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(stock(&store).len(), 5008);
}

#[test]
fn a_damaged_stock_is_refused_and_not_written_over() {
    let store = store_with_token("T1");
    let path = store.file("tokens/stock");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("totp", "ocra")).unwrap();
    let before = store.content();
    run(&mut tokens(&store, &["list"]), "").assert_failed(1, "tokens/stock is damaged: line 2");
    import(&store, &fixture("entra/with-upn.csv"), &[]).assert_failed(1, "tokens/stock is damaged");
    assert!(store.content() == before);
}

#[test]
fn a_lost_key_is_not_replaced_while_the_stock_has_tokens() {
    let store = store_with_token("T1");
    fs::remove_file(store.file("key")).unwrap();
    import(&store, &fixture("oath/tokens.csv"), &[]).assert_failed(1, "key");
    assert!(!store.path().join("key").exists(), "a new key would make every seed unreadable");
}

#[test]
fn what_was_killed_at_any_moment_is_finished_by_the_same_command() {
    let store = store_with_token("T1");
    run(&mut tokens(&store, &["assign", "T1", "alice"]), "").assert_done();
    let started = Instant::now();
    run(&mut tokens(&store, &["unassign", "T1"]), "").assert_done();
    let usual = started.elapsed();
    for round in 0..24 {
        let (words, owner) = match round % 2 {
            0 => (&["assign", "T1", "alice"][..], Value::from("alice")),
            _ => (&["unassign", "T1"][..], Value::Null),
        };
        for trial in 0..6 {
            let mut child =
                tokens(&store, words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            thread::sleep(usual * trial / 6);
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let ran = run(&mut tokens(&store, words), "");
        assert!(ran.code == 0 || ran.err.contains("the token T1 is nobody's"), "{ran:#?}");
        assert_eq!(stock(&store)[0]["assigned_to"], owner);
        assert_eq!(
            status(&store, "alice")["devices"].as_array().unwrap().len(),
            usize::from(owner != Value::Null)
        );
    }
}
