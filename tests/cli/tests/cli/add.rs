//! `mfa-enroll add --json`: a device is bound.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use mfa_cli_tests::pipe::{add_json, right_codes};
use mfa_cli_tests::{mfa_enroll, run, within};
use mfa_test_harness::{Account, Store};

use crate::{devices, status};

#[test]
fn a_program_enrolls_a_device_in_two_lines() {
    let store = Store::temporary();
    let added =
        add_json(mfa_enroll(&store, "alice").args(["add", "--json", "--issuer", "server42"]), right_codes);
    added.ran.assert_done();
    assert_eq!(added.ran.out.lines().count(), 2);

    let offer = &added.offer;
    let secret = offer["secret"].as_str().unwrap();
    assert_eq!(secret.len(), 32, "20 bytes in base32");
    assert_eq!(offer["uri"], format!("otpauth://totp/server42:alice?secret={secret}&issuer=server42"));
    assert_eq!((&offer["user"], &offer["device"]), (&"alice".into(), &"phone".into()));
    assert_eq!(
        (&offer["algorithm"], &offer["digits"], &offer["period"]),
        (&"SHA1".into(), &6.into(), &30.into())
    );
    assert_eq!(added.result["result"], "enrolled");
    assert_eq!((&added.result["user"], &added.result["device"]), (&"alice".into(), &"phone".into()));
    assert_eq!(devices(&store, "alice"), ["phone"]);
}

#[test]
fn codes_may_be_spaced_as_people_space_them() {
    let store = Store::temporary();
    let added = add_json(mfa_enroll(&store, "alice").args(["add", "--json"]), |generator, present| {
        let [first, second] = right_codes(generator, present).try_into().unwrap();
        vec![format!("  {} {}", &first[..3], &first[3..]), format!("{}-{}\r", &second[..3], &second[3..])]
    });
    assert_eq!(added.result["result"], "enrolled", "{added:#?}");
}

#[test]
fn another_profile_than_the_plain_one_is_warned_of() {
    for (options, is_warned_of) in [(&[][..], false), (&["--digits", "8"], true), (&["--period", "60"], true)]
    {
        let store = Store::temporary();
        let begun = run(mfa_enroll(&store, "alice").args(["add", "--qr", "ascii"]).args(options), "");
        assert!(begun.out.contains("Scan this with an authenticator app"), "{begun:#?}");
        let words = begun.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words.contains("Some apps take no notice of that"), is_warned_of, "{options:?}: {words}");
    }
}

#[test]
fn every_profile_is_bound_and_shown_as_it_is() {
    for (algorithm, digits, period) in
        [("SHA1", 8, 30), ("SHA256", 6, 60), ("SHA512", 7, 120), ("SHA256", 8, 10)]
    {
        let store = Store::temporary();
        let (digits_text, period_text) = (digits.to_string(), period.to_string());
        let mut command = mfa_enroll(&store, "alice");
        command.args([
            "add",
            "--json",
            "--algorithm",
            algorithm,
            "--digits",
            &digits_text,
            "--period",
            &period_text,
        ]);
        let added = add_json(&mut command, right_codes);
        assert_eq!(added.result["result"], "enrolled", "{added:#?}");

        let secret_letters = match algorithm {
            "SHA1" => 32,
            "SHA256" => 52,
            _ => 103,
        };
        assert_eq!(added.generator.secret.len(), secret_letters, "as long as the hash: RFC 6238 5.1");
        let uri = added.offer["uri"].as_str().unwrap();
        for (name, value, usual) in
            [("algorithm", algorithm, "SHA1"), ("digits", &digits_text, "6"), ("period", &period_text, "30")]
        {
            assert_eq!(uri.contains(&format!("&{name}={value}")), value != usual, "{uri}");
        }
        let device = &status(&store, "alice")["devices"][0];
        assert_eq!(
            (&device["algorithm"], &device["digits"], &device["period"], &device["kind"]),
            (&algorithm.into(), &digits.into(), &period.into(), &"totp".into())
        );
    }
}

#[test]
fn up_to_eight_devices_are_bound_and_a_ninth_is_refused() {
    let store = Store::temporary();
    let mut names = Vec::new();
    for number in 1..=8 {
        names.push(if number == 1 { "phone".to_owned() } else { format!("phone {number}") });
        Account::enroll(&store, "alice");
        assert_eq!(devices(&store, "alice"), names);
    }
    let ran = run(mfa_enroll(&store, "alice").args(["add", "--json"]), "");
    ran.assert_failed(1, "alice has 8 devices already");
    assert!(ran.err.contains("remove NAME"), "{ran:#?}");
    assert_eq!(ran.json()["result"], "error");
    assert_eq!(devices(&store, "alice"), names);
}

#[test]
fn a_name_that_is_taken_is_refused_with_its_cure() {
    let store = Store::temporary();
    Account::enroll_with(&store, "alice", &["--name", "old phone"]);
    let ran = run(mfa_enroll(&store, "alice").args(["add", "--json", "--name", "old phone"]), "");
    ran.assert_failed(1, "mfa-enroll: alice already has a device named old phone\nhint: choose another name");
    assert!(ran.err.contains("add --replace 'old phone'"), "the command can be pasted: {ran:#?}");
    assert_eq!(devices(&store, "alice"), ["old phone"]);
}

#[test]
fn the_same_name_in_another_account_is_free() {
    let store = Store::temporary();
    Account::enroll(&store, "alice");
    Account::enroll(&store, "bob");
    assert_eq!(devices(&store, "bob"), ["phone"]);
}

#[test]
fn names_that_could_deceive_are_refused_before_anything_is_touched() {
    let store = Store::temporary();
    let too_long = "x".repeat(41);
    for name in ["", " ", "a\nb", "a\u{1b}[31mb", "a\u{202e}b", "a\u{200b}b", "tab\there", &too_long] {
        let ran = run(mfa_enroll(&store, "alice").args(["add", "--json", "--name", name]), "");
        ran.assert_failed(2, "--name");
        assert!(!ran.err.contains('\u{202e}') || name.contains('\u{202e}'), "{ran:#?}");
        assert_eq!(ran.out, "");
    }
    for user in ["../x", "a/b", ".", "a\nb", ""] {
        let ran = run(&mut mfa_enroll(&store, user), "");
        ran.assert_failed(2, "--user");
    }
    assert!(store.content().is_empty(), "the store is as it was");
}

#[test]
fn names_of_all_languages_and_domains_are_welcome() {
    let store = Store::temporary();
    for user in [r"CORP\alice", "alice@example.com", "żółć", ".hidden", &"a".repeat(200)] {
        let account = Account::enroll_with(&store, user, &["--name", "Łucja's 電話"]);
        assert_eq!(account.device, "Łucja's 電話");
        assert_eq!(devices(&store, user), ["Łucja's 電話"]);
    }
}

#[test]
fn parameters_that_no_standard_allows_are_wrong_usage() {
    let store = Store::temporary();
    for (arguments, said) in [
        (["--period", "121"], "the period must be 10 to 120 seconds"),
        (["--period", "9"], "the period must be 10 to 120 seconds"),
        (["--period", "thirty"], "the period must be 10 to 120 seconds"),
        (["--digits", "5"], "a code must have 6, 7 or 8 digits"),
        (["--digits", "300"], "a code must have 6, 7 or 8 digits"),
        (["--algorithm", "MD5"], "SHA1, SHA256 or SHA512"),
        (["--qr", "jpg:x"], "png:FILE"),
        (["--qr", "png:"], "a file name must follow"),
        (["--issuer", "a\nb"], "1 to 64 characters"),
    ] {
        run(mfa_enroll(&store, "alice").args(["add", "--json"]).args(arguments), "").assert_failed(2, said);
    }
    assert!(store.content().is_empty(), "the store is as it was");
}

#[test]
fn what_is_in_an_issuer_can_not_eat_the_secret() {
    let store = Store::temporary();
    let mut command = mfa_enroll(&store, "bob#1?&=");
    let added = add_json(command.args(["add", "--json", "--issuer", "ACME: Co#1&x=y"]), right_codes);
    let uri = added.offer["uri"].as_str().unwrap();
    let secret = &added.generator.secret;
    assert_eq!(
        uri,
        format!(
            "otpauth://totp/ACME.%20Co%231%26x%3Dy:bob%231%3F%26%3D?secret={secret}&issuer=ACME.%20Co%231%26x%3Dy"
        )
    );
}

#[test]
fn the_issuer_is_the_host_name_by_default() {
    let store = Store::temporary();
    let added = add_json(mfa_enroll(&store, "alice").args(["add", "--json"]), right_codes);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let host = host.trim();
    let issuer = if host.len() <= 20 { host } else { host.split('.').next().unwrap() };
    let uri = added.offer["uri"].as_str().unwrap();
    assert!(uri.starts_with(&format!("otpauth://totp/{issuer}:alice?")), "{uri}");
}

#[test]
fn the_store_and_its_key_are_for_their_owner_alone() {
    let store = Store::temporary();
    fs::remove_dir(store.path()).unwrap();
    Account::enroll(&store, "alice");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&store.path()), 0o700);
    assert_eq!(mode(&store.file("key")), 0o400);
    assert_eq!(mode(&store.file("users/alice")), 0o700);
    assert_eq!(mode(&store.file("users/alice/devices.toml")), 0o600);
    assert_eq!(mode(&store.file("users/alice/state")), 0o600);
}

#[test]
fn a_careless_umask_opens_nothing() {
    let store = Store::temporary();
    fs::remove_dir(store.path()).unwrap();
    let enroll = mfa_enroll(&store, "alice");
    let mut careless = std::process::Command::new("sh");
    careless.args(["-c", "umask 000; exec \"$@\"", "sh"]);
    let mut careless = within(careless, &enroll);
    let picture = store.beside("qr.png");
    careless.args(["add", "--json"]).arg(format!("--qr=png:{}", picture.display()));
    let added = add_json(&mut careless, right_codes);
    assert_eq!(added.result["result"], "enrolled", "{added:#?}");
    for (path, _) in store.content() {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
    }
    assert_eq!(fs::metadata(picture).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn neither_key_nor_codes_are_readable_in_the_store() {
    let store = Store::temporary();
    let account = Account::enroll(&store, "alice");
    let made = run(mfa_enroll(&store, "alice").args(["recovery-codes", "--json"]), "").json();
    let seed = decoded(&account.generator.secret);
    for (path, content) in store.content() {
        let holds = |needle: &[u8]| content.windows(needle.len()).any(|window| window == needle);
        assert!(!holds(account.generator.secret.as_bytes()) && !holds(&seed), "{}", path.display());
        for code in made["recovery_codes"].as_array().unwrap() {
            let code = code.as_str().unwrap();
            assert!(
                !holds(code.as_bytes()) && !holds(code.replace('-', "").as_bytes()),
                "{}",
                path.display()
            );
        }
    }
}

/// The bytes of a base32 text.
fn decoded(text: &str) -> Vec<u8> {
    let mut bits: u32 = 0;
    let mut count = 0;
    let mut bytes = Vec::new();
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            _ => letter - b'2' + 26,
        };
        bits = (bits << 5 | u32::from(value)) & 0xffff;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff).try_into().unwrap());
        }
    }
    bytes
}
