//! Whole containers: the figures of RFC 6030, files of python-pskc, and what must be refused.

use mfa_core::Timestamp;
use mfa_core::otp::{Algorithm, MovingFactor, Profile};

use super::*;

const RFC_SEED: &[u8] = b"12345678901234567890";

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../tests/fixtures/pskc/", $name))
    };
}

fn read(text: &str, unlock: &Unlock) -> Result<Vec<Token>, Vec<String>> {
    let container = Container::open(text.as_bytes());
    container
        .and_then(|container| container.tokens(unlock))
        .map_err(|problems| problems.iter().map(Problem::to_string).collect())
}

fn problems(text: &str) -> Vec<String> {
    read(text, &Unlock::Nothing).unwrap_err()
}

fn pre_shared_key(hex: &str) -> Unlock {
    Unlock::PreSharedKey(crate::seed_text::hex(hex).unwrap())
}

fn password(text: &str) -> Unlock {
    Unlock::Password(Zeroizing::new(text.to_owned()))
}

/// The key of figure 6.
fn figure_6_key() -> Unlock {
    pre_shared_key("12345678901234567890123456789012")
}

/// A container of packages whose keys have this inside, beside a good secret in front of it.
fn container(inside: &[&str]) -> String {
    let mut text = r#"<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">"#.to_owned();
    for (number, inside) in inside.iter().enumerate() {
        let inside = inside.replace("NUMBER", &number.to_string());
        text.extend(["\n<KeyPackage>", &inside, "</KeyPackage>"]);
    }
    text.push_str("\n</KeyContainer>");
    text
}

const TOTP: &str = "urn:ietf:params:xml:ns:keyprov:pskc:totp";

/// A package with the given algorithm, what stands in front of its data, in its data, and behind its data.
fn package(algorithm: &str, before: &str, data: &str, behind: &str) -> String {
    use base64ct::{Base64, Encoding as _};
    // Each of these packages needs a seed of its own, and a hash of its text gives one.
    let text = format!("{algorithm}{before}{data}{behind}");
    let seed = Base64::encode_string(&hmac_sha1(text.as_bytes()));
    format!(
        "<DeviceInfo><SerialNo>NUMBER</SerialNo></DeviceInfo><Key Algorithm=\"{algorithm}\">{before}\
         <Data><Secret><PlainValue>{seed}</PlainValue></Secret>{data}</Data>{behind}</Key>"
    )
}

fn hmac_sha1(message: &[u8]) -> Vec<u8> {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    Hmac::<sha1::Sha1>::new_from_slice(b"fixture")
        .unwrap()
        .chain_update(message)
        .finalize()
        .into_bytes()
        .to_vec()
}

#[test]
fn figure_2_has_no_device_and_a_short_seed() {
    let tokens = read(fixture!("rfc6030-figure-2.xml"), &Unlock::Nothing).unwrap();
    let token = &tokens[0];
    assert_eq!(token.serial.as_ref().unwrap().as_str(), "12345678", "the key's own Id");
    assert_eq!(token.issuer.as_deref(), Some("Issuer-A"));
    assert_eq!(token.seed.expose(), b"1234");
    assert!(token.weak);
    assert_eq!(token.profile.digits.count(), 6);
}

#[test]
fn figure_3_is_a_hotp_token_of_eight_digits() {
    let tokens = read(fixture!("rfc6030-figure-3.xml"), &Unlock::Nothing).unwrap();
    let token = &tokens[0];
    assert_eq!(token.serial.as_ref().unwrap().as_str(), "987654321");
    assert_eq!(token.manufacturer.as_deref(), Some("Manufacturer"));
    assert_eq!(token.seed.expose(), RFC_SEED);
    assert!(matches!(token.profile.moving_factor, MovingFactor::Counter(_)));
    assert_eq!((token.profile.algorithm, token.profile.digits.count()), (Algorithm::Sha1, 8));
    assert_eq!((token.counter, token.floor()), (Some(0), None));
    assert!(!token.weak && token.owner.is_none());
    assert_eq!(token.place.to_string(), "key package 1 (line 6)");
}

#[test]
fn figure_6_opens_with_its_pre_shared_key() {
    let text = fixture!("rfc6030-figure-6.xml");
    let container = Container::open(text.as_bytes()).unwrap();
    assert_eq!(container.protection(), Protection::PreSharedKey { name: Some("Pre-shared-key".to_owned()) });
    let tokens = container.tokens(&figure_6_key()).unwrap();
    assert_eq!(tokens[0].seed.expose(), RFC_SEED);
    assert_eq!((tokens[0].profile.digits.count(), tokens[0].counter), (8, Some(0)));
}

#[test]
fn figure_7_opens_with_its_password() {
    let text = fixture!("rfc6030-figure-7.xml");
    let container = Container::open(text.as_bytes()).unwrap();
    assert_eq!(container.protection(), Protection::Password { name: Some("My Password 1".to_owned()) });
    let tokens = container.tokens(&password("qwerty")).unwrap();
    assert_eq!(tokens[0].seed.expose(), RFC_SEED);
}

#[test]
fn the_other_figures_are_refused_by_name() {
    for (text, expected) in [
        (fixture!("rfc6030-figure-4.xml"), "key package 1 (line 14): the package holds no secret"),
        (fixture!("rfc6030-figure-5.xml"), "key package 2 (line 45): it is a PIN"),
        (fixture!("rfc6030-figure-8.xml"), "line 10: the keys are encrypted for an X.509 certificate"),
        (fixture!("rfc6030-figure-9.xml"), "line 31: the container is signed (XML Signature, X.509)"),
    ] {
        let problems = problems(text);
        assert!(problems[0].starts_with(expected), "{problems:?}");
    }
    assert_eq!(
        problems(fixture!("rfc6030-figure-10.xml")),
        [
            "key package 2 (line 32): it has the seed of key package 1 (line 5)",
            "key package 3 (line 59): it has the seed of key package 2 (line 32)",
            "key package 4 (line 86): it has the serial number of key package 3 (line 59)",
            "key package 4 (line 86): it has the seed of key package 3 (line 59)",
        ]
    );
}

#[test]
fn every_file_of_python_pskc_holds_the_same_three_tokens() {
    let key = |bytes: u8| Unlock::PreSharedKey(Secret::new((0..bytes).collect()));
    for (text, unlock) in [
        (fixture!("python-pskc-plain.xml"), Unlock::Nothing),
        (fixture!("python-pskc-aes128.xml"), key(16)),
        (fixture!("python-pskc-aes192.xml"), key(24)),
        (fixture!("python-pskc-aes256.xml"), key(32)),
        (fixture!("python-pskc-password.xml"), password("correct horse")),
        (fixture!("python-pskc-password-sha256.xml"), password("pässwört")),
    ] {
        let tokens = read(text, &unlock).unwrap();
        let [first, second, third] = tokens.as_slice() else { panic!("{unlock:?}") };
        let serials: Vec<&str> = tokens.iter().map(|token| token.serial.as_ref().unwrap().as_str()).collect();
        assert_eq!(serials, ["PY0001", "PY0002", "PY0003"]);
        assert_eq!(first.seed.expose(), RFC_SEED);
        assert_eq!(first.profile.moving_factor, MovingFactor::Time(60.try_into().unwrap()));
        assert_eq!((first.model.as_deref(), first.issuer.as_deref()), (Some("T-100"), Some("Example")));
        assert_eq!(first.drift_steps, -2);
        assert_eq!(first.expires_at, Some(Timestamp::from_unix_seconds(2_082_758_400)));
        assert_eq!(second.profile.algorithm, Algorithm::Sha256);
        assert_eq!(second.profile.digits.count(), 8);
        assert_eq!(second.seed.len(), 32);
        assert_eq!((third.counter, third.floor()), (Some(42), Some(41)));
    }
}

#[test]
fn no_byte_of_an_encrypted_file_can_be_altered() {
    let text = fixture!("rfc6030-figure-6.xml");
    for value in [
        "AAECAwQFBgcICQoLDA0OD+cIHItlB3Wra1DUpxVvOx2lef1VmNPCMl8jwZqIUqGv",
        "Su+NvtQfmvfJzF6bmQiJqoLRExc=",
        "ESIzRFVmd4iZABEiM0RVZgKn6WjLaTC1sbeBMSvIhRejN9vJa2BOlSaMrR7I5wSX",
    ] {
        for position in 0..value.len() - 1 {
            let mut altered = value.as_bytes().to_vec();
            altered[position] = if altered[position] == b'A' { b'B' } else { b'A' };
            let altered = text.replace(value, std::str::from_utf8(&altered).unwrap());
            let problems = read(&altered, &figure_6_key()).unwrap_err();
            assert_eq!(problems.len(), 1, "position {position}: {problems:?}");
        }
    }
}

#[test]
fn one_altered_package_of_many_spoils_the_file() {
    let text = fixture!("python-pskc-aes128.xml");
    let mac = text.rmatch_indices("<pskc:ValueMAC>").next().unwrap().0 + "<pskc:ValueMAC>".len();
    let mut altered = text.to_owned();
    altered.replace_range(mac..=mac, if text[mac..].starts_with('A') { "B" } else { "A" });
    let problems = read(&altered, &pre_shared_key("000102030405060708090a0b0c0d0e0f")).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].contains("key package 3") && problems[0].contains("ValueMAC does not fit"),
        "{problems:?}"
    );
}

#[test]
fn a_wrong_or_missing_key_is_told_as_such() {
    let figure_6 = fixture!("rfc6030-figure-6.xml");
    let figure_7 = fixture!("rfc6030-figure-7.xml");
    let plain = fixture!("rfc6030-figure-3.xml");
    for (text, unlock, expected) in [
        (figure_6, Unlock::Nothing, "line 7: the keys are encrypted under a pre-shared key: it is needed"),
        (figure_6, password("qwerty"), "line 7: the keys are encrypted under a pre-shared key: it is needed"),
        (figure_6, pre_shared_key("00"), "line 7: a pre-shared key has 16, 24 or 32 bytes"),
        (figure_6, pre_shared_key(&"00".repeat(32)), "line 7: the key or password is not the right one"),
        (figure_7, Unlock::Nothing, "line 8: the keys are encrypted under a password: it is needed"),
        (figure_7, figure_6_key(), "line 8: the keys are encrypted under a password: it is needed"),
        (plain, figure_6_key(), "the file: a key or password was given, but the file is not encrypted"),
    ] {
        let problems = read(text, &unlock).unwrap_err();
        assert!(problems[0].starts_with(expected), "{problems:?}");
    }
    // Under a wrong key the MAC key comes out wrong: of many wrong keys none opens anything.
    for number in 0..64 {
        let wrong = pre_shared_key(&format!("{number:032x}"));
        assert!(read(figure_6, &wrong).unwrap_err()[0].contains("the key or password is not the right one"));
        assert!(read(figure_7, &password(&number.to_string())).unwrap_err()[0].contains("not the right one"));
    }
}

#[test]
fn an_encrypted_value_needs_its_mac() {
    let text = fixture!("rfc6030-figure-6.xml");
    let start = text.find("<ValueMAC>").unwrap();
    let end = text.find("</ValueMAC>").unwrap() + "</ValueMAC>".len();
    let without_value = [&text[..start], &text[end..]].concat();
    assert!(
        read(&without_value, &figure_6_key()).unwrap_err()[0].contains("an encrypted value needs a ValueMAC")
    );
    let start = text.find("<MACMethod").unwrap();
    let end = text.find("</MACMethod>").unwrap() + "</MACMethod>".len();
    let without_method = [&text[..start], &text[end..]].concat();
    assert!(
        read(&without_method, &figure_6_key()).unwrap_err()[0]
            .contains("an encrypted value needs a MACMethod")
    );
    let without_key =
        text.replace("<EncryptionKey>", "<Extensions>").replace("</EncryptionKey>", "</Extensions>");
    assert!(
        read(&without_key, &Unlock::Nothing).unwrap_err()[0].contains("MACMethod and no EncryptionKey")
            || read(&without_key, &Unlock::Nothing).unwrap_err()[0].contains("stands behind")
    );
}

#[test]
fn a_plain_secret_in_an_encrypted_file_is_refused() {
    let text = fixture!("rfc6030-figure-6.xml");
    let start = text.find("<EncryptedValue>").unwrap();
    let end = text.find("</ValueMAC>").unwrap() + "</ValueMAC>".len();
    let planted =
        [&text[..start], "<PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</PlainValue>", &text[end..]].concat();
    let problems = read(&planted, &figure_6_key()).unwrap_err();
    assert!(problems[0].contains("the secret is not encrypted although"), "{problems:?}");
}

#[test]
fn other_encryptions_are_refused_by_name() {
    let text = fixture!("rfc6030-figure-6.xml");
    for (from, to, expected) in [
        ("xmlenc#aes128-cbc", "xmlenc#tripledes-cbc", "the encryption tripledes-cbc is not"),
        ("xmlenc#aes128-cbc", "xmlenc#kw-aes128", "the encryption kw-aes128 is not"),
        ("#hmac-sha1", "#hmac-md5", "the MAC algorithm hmac-md5 is not"),
        ("ds:KeyName", "ds:RetrievalMethod", "the keys are encrypted in a way that is not supported"),
        ("xmlenc#aes128-cbc", "GEZDGNBVGY3TQOJQ", "the encryption that it names is not"),
        ("MACKey>", "MACKeyReference>", "MACMethod has no MACKey"),
    ] {
        let problems = read(&text.replace(from, to), &figure_6_key()).unwrap_err();
        assert!(problems[0].contains(expected), "{problems:?}");
    }
}

#[test]
fn key_derivation_is_bounded() {
    let text = fixture!("rfc6030-figure-7.xml");
    for (from, to, expected) in [
        ("<IterationCount>1000<", "<IterationCount>10000001<", "IterationCount must be 1 to 10000000"),
        ("<IterationCount>1000<", "<IterationCount>0<", "IterationCount must be 1 to 10000000"),
        ("<IterationCount>1000<", "<IterationCount>99999999999999<", "IterationCount must be 1 to 10000000"),
        ("<KeyLength>16<", "<KeyLength>4000000000<", "KeyLength must be 16, 24 or 32"),
        ("<PRF/>", "<PRF Algorithm='x#hmac-md5'/>", "the pseudo-random function hmac-md5 is not supported"),
        ("#pbkdf2", "#scrypt", "the key derivation scrypt is not"),
        ("Ej7/PEpyEpw=", "", "the salt is not base64"),
        ("Specified>", "OtherSource>", "Salt has no Specified"),
        ("<PRF/>", "<PRF>x#hmac-md5</PRF>", "the pseudo-random function hmac-md5 is not supported"),
        ("<PRF/>", "<PRF/><PRF/>", "PBKDF2-params holds a second PRF"),
    ] {
        let problems = read(&text.replace(from, to), &password("qwerty")).unwrap_err();
        assert!(problems[0].contains(expected), "{problems:?}");
    }
}

#[test]
fn prefixes_do_not_matter_and_name_spaces_do() {
    let figure = fixture!("rfc6030-figure-7.xml");
    let odd = figure
        .replace("pskc:", "tok-1:")
        .replace("xmlns:pskc=", "xmlns:tok-1=")
        .replace("urn:ietf:params:xml:ns:keyprov:tok-1:", "urn:ietf:params:xml:ns:keyprov:pskc:");
    assert!(read(&odd, &password("qwerty")).is_ok());
    let draft = figure.replace("ns:keyprov:pskc\"", "ns:keyprov:pskc:1.0\"");
    assert!(read(&draft, &password("qwerty")).unwrap_err()[0].contains("this is a draft of PSKC"));
    let bare = fixture!("rfc6030-figure-3.xml").replace("xmlns=\"urn:ietf:params:xml:ns:keyprov:pskc\"", "");
    assert!(problems(&bare)[0].contains("this is a draft of PSKC"));
}

#[test]
fn the_version_is_wanted_and_checked() {
    let figure = fixture!("rfc6030-figure-3.xml");
    for (version, expected) in [
        ("", "KeyContainer has no Version"),
        ("Version=\"1\"", "is not a number like 1.0"),
        ("Version=\"1.0.0\"", "is not a number like 1.0"),
        ("Version=\"100.0\"", "is not a number like 1.0"),
        ("Version=\"2.0\"", "is not 1.x"),
    ] {
        let problems = problems(&figure.replace("Version=\"1.0\"", version));
        assert!(problems[0].contains(expected), "{problems:?}");
    }
    assert!(read(&figure.replace("Version=\"1.0\"", "Version=\"1.12\""), &Unlock::Nothing).is_ok());
}

#[test]
fn every_name_of_an_algorithm_is_known() {
    for (algorithm, counts) in [
        (TOTP, false),
        ("urn:ietf:params:xml:ns:keyprov:pskc#totp", false),
        ("urn:ietf:params:xml:ns:keyprov:pskc:hotp", true),
        ("urn:ietf:params:xml:ns:keyprov:pskc#hotp", true),
        ("http://www.ietf.org/keyprov/pskc#hotp", true),
    ] {
        let tokens = read(&container(&[&package(algorithm, "", "", "")]), &Unlock::Nothing).unwrap();
        assert_eq!(matches!(tokens[0].profile.moving_factor, MovingFactor::Counter(_)), counts);
        assert_eq!(tokens[0].counter.is_some(), counts);
    }
    for (algorithm, expected) in [
        ("urn:ietf:params:xml:ns:keyprov:pskc:ocra", "it is an OCRA"),
        ("urn:ietf:params:xml:ns:keyprov:pskc#OCRA-1", "it is an OCRA"),
        ("urn:ietf:params:xml:ns:keyprov:pskc:pin", "it is a PIN"),
        ("http://www.yubico.com/#yubikey-aes", "it is a Yubico OTP (AES) key"),
        ("urn:x\u{1b}[31m", "its algorithm is neither HOTP nor TOTP"),
    ] {
        let problems = problems(&container(&[&package(algorithm, "", "", "")]));
        assert!(problems[0].contains(expected), "{problems:?}");
    }
    let nameless = package(TOTP, "", "", "").replace(&format!(" Algorithm=\"{TOTP}\""), "");
    assert!(problems(&container(&[&nameless]))[0].contains("Key has no Algorithm"));
}

#[test]
fn the_hash_comes_from_the_suite_and_never_from_the_seed() {
    let with_suite = |suite: &str| {
        let before = format!("<AlgorithmParameters><Suite>{suite}</Suite></AlgorithmParameters>");
        read(&container(&[&package(TOTP, &before, "", "")]), &Unlock::Nothing)
            .map(|tokens| tokens[0].profile.algorithm)
    };
    for (suite, algorithm) in [
        ("SHA1", Algorithm::Sha1),
        ("HMAC-SHA1", Algorithm::Sha1),
        ("HMAC-SHA256", Algorithm::Sha256),
        (" sha-256\n", Algorithm::Sha256),
        ("TOTP-SHA512", Algorithm::Sha512),
    ] {
        assert_eq!(with_suite(suite).unwrap(), algorithm, "{suite}");
    }
    assert!(with_suite("OCRA-1:HOTP-SHA1-6:C-QN08").unwrap_err()[0].contains("it is an OCRA"));
    assert!(with_suite("HMAC-MD5").unwrap_err()[0].contains("its Suite is none of"));
    let long = container(&[&format!(
        "<DeviceInfo><SerialNo>1</SerialNo></DeviceInfo><Key Algorithm=\"{TOTP}\"><Data><Secret><PlainValue>\
         MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=</PlainValue></Secret></Data></Key>"
    )]);
    let tokens = read(&long, &Unlock::Nothing).unwrap();
    assert_eq!((tokens[0].seed.len(), tokens[0].profile), (32, Profile::PLAIN));
}

#[test]
fn the_format_of_the_codes_is_checked() {
    let with_format = |attributes: &str| {
        let before = format!("<AlgorithmParameters><ResponseFormat {attributes}/></AlgorithmParameters>");
        read(&container(&[&package(TOTP, &before, "", "")]), &Unlock::Nothing)
            .map(|tokens| tokens[0].profile.digits.count())
    };
    for digits in 6..=8 {
        assert_eq!(
            with_format(&format!("Length='{digits}' Encoding='DECIMAL' CheckDigits='false'")).unwrap(),
            digits
        );
    }
    for (attributes, expected) in [
        ("Length='6' Encoding='HEXADECIMAL'", "its codes are not DECIMAL"),
        ("Length='6' Encoding='ALPHANUMERIC'", "its codes are not DECIMAL"),
        ("Length='6'", "ResponseFormat has no Encoding"),
        ("Length='6' Encoding='DECIMAL' CheckDigits='true'", "its codes have a check digit"),
        ("Length='6' Encoding='DECIMAL' CheckDigit='1'", "its codes have a check digit"),
        ("Length='9' Encoding='DECIMAL'", "must have a Length of 6, 7 or 8"),
        ("Encoding='DECIMAL'", "must have a Length of 6, 7 or 8"),
        ("Length='6' Encoding='DECIMAL' Upside='down'", "has an attribute that RFC 6030 does not know"),
    ] {
        let problems = with_format(attributes).unwrap_err();
        assert!(problems[0].contains(expected), "{problems:?}");
    }
    let challenge =
        "<AlgorithmParameters><ChallengeFormat Encoding='DECIMAL' Min='1' Max='8'/></AlgorithmParameters>";
    assert!(problems(&container(&[&package(TOTP, challenge, "", "")]))[0].contains("it answers challenges"));
}

#[test]
fn interval_drift_and_counter_are_read_within_bounds() {
    let plain = |name: &str, value: &str| format!("<{name}><PlainValue>{value}</PlainValue></{name}>");
    let with_data = |data: &str| read(&container(&[&package(TOTP, "", data, "")]), &Unlock::Nothing);
    let period = |data: &str| with_data(data).map(|tokens| tokens[0].profile.moving_factor);
    assert_eq!(period("").unwrap(), Profile::PLAIN.moving_factor, "30 seconds if nothing is said");
    assert_eq!(period(&plain("TimeInterval", " 60 ")).unwrap(), MovingFactor::Time(60.try_into().unwrap()));
    assert_eq!(with_data(&plain("TimeDrift", "-8")).unwrap()[0].drift_steps, -8);
    assert!(with_data(&plain("Time", "0")).is_ok());
    for (data, expected) in [
        (plain("TimeInterval", "0"), "TimeInterval must be 10 to 120 seconds"),
        (plain("TimeInterval", "300"), "TimeInterval must be 10 to 120 seconds"),
        (plain("TimeInterval", "half"), "TimeInterval is not a number"),
        (plain("TimeDrift", "4294967296"), "TimeDrift is not a number"),
        (plain("Time", "now"), "Time is not a number"),
        (plain("TimeInterval", "30") + &plain("TimeInterval", "60"), "Data holds a second TimeInterval"),
        ("<TimeInterval/>".to_owned(), "must have either a PlainValue or an EncryptedValue"),
        ("<x:T0 xmlns:x='urn:x'>7</x:T0>".to_owned(), "Data holds an element that RFC 6030 does not know"),
    ] {
        let problems = with_data(&data).unwrap_err();
        assert!(problems[0].contains(expected), "{problems:?}");
    }
    let hotp = TOTP.replace("totp", "hotp");
    let counter = |value: &str| {
        read(&container(&[&package(&hotp, "", &plain("Counter", value), "")]), &Unlock::Nothing)
    };
    assert_eq!(counter("9223372036854775807").unwrap()[0].counter, Some(9_223_372_036_854_775_807));
    assert!(counter("-1").unwrap_err()[0].contains("Counter is negative"));
    assert!(counter("9223372036854775808").unwrap_err()[0].contains("Counter is not a number"));
}

#[test]
fn policies_are_kept_or_forbid_the_key() {
    let with_policy = |policy: &str| {
        let policy = format!("<Policy>{policy}</Policy>");
        read(&container(&[&package(TOTP, "", "", &policy)]), &Unlock::Nothing)
    };
    let tokens = with_policy(
        "<StartDate>2012-09-19T00:00:00Z</StartDate><ExpiryDate>2022-09-01T00:00:00Z</ExpiryDate>",
    )
    .unwrap();
    assert_eq!(tokens[0].not_before, Some(Timestamp::from_unix_seconds(1_348_012_800)));
    assert_eq!(tokens[0].expires_at, Some(Timestamp::from_unix_seconds(1_661_990_400)));
    assert!(tokens[0].is_expired_at(Timestamp::from_unix_seconds(1_700_000_000)));
    for policy in [
        "<KeyUsage>OTP</KeyUsage>",
        "<KeyUsage>CR</KeyUsage><KeyUsage>OTP</KeyUsage>",
        "<PINPolicy MinLength='4' MaxLength='4' PINUsageMode='Local' PINEncoding='DECIMAL'/>",
    ] {
        assert!(with_policy(policy).is_ok(), "{policy}");
    }
    for (policy, expected) in [
        ("<KeyUsage>CR</KeyUsage>", "does not allow one-time codes"),
        ("<NumberOfTransactions>4</NumberOfTransactions>", "limits how often it may be used"),
        ("<PINPolicy PINUsageMode='Append'/>", "wants a PIN with each code"),
        ("<PINPolicy MinLength='4'/>", "wants a PIN with each code"),
        ("<PINPolicy PINUsageMode='Local' OnWeekDaysOnly='TRUE'/>", "a rule that is not known"),
        ("<PINPolicy PINUsageMode='Local'><Foo/></PINPolicy>", "a rule that is not known"),
        ("<Foo/>", "a rule that is not known"),
        ("<x:ExpiryDate xmlns:x='urn:x'>2022-09-01T00:00:00Z</x:ExpiryDate>", "a rule that is not known"),
        ("<Extensions/>", "a rule that is not known"),
        ("never", "a rule that is not known"),
        ("<ExpiryDate>soon</ExpiryDate>", "ExpiryDate is not a date"),
        (
            "<ExpiryDate>2030-01-01T00:00:00Z</ExpiryDate><ExpiryDate>2031-01-01T00:00:00Z</ExpiryDate>",
            "a rule that is not known",
        ),
    ] {
        let problems = with_policy(policy).unwrap_err();
        assert!(problems[0].contains(expected), "{policy}: {problems:?}");
    }
}

#[test]
fn the_narrower_date_of_device_and_policy_counts() {
    let package = package(TOTP, "", "", "<Policy><StartDate>2020-01-01T00:00:00Z</StartDate><ExpiryDate>2040-01-01T00:00:00Z</ExpiryDate></Policy>")
        .replace("</SerialNo>", "</SerialNo><StartDate>2021-01-01T00:00:00Z</StartDate><ExpiryDate>2030-01-01T00:00:00Z</ExpiryDate>");
    let tokens = read(&container(&[&package]), &Unlock::Nothing).unwrap();
    assert_eq!(tokens[0].not_before.unwrap().to_string(), "2021-01-01T00:00:00Z");
    assert_eq!(tokens[0].expires_at.unwrap().to_string(), "2030-01-01T00:00:00Z");
}

#[test]
fn extensions_are_ignored_where_they_only_describe() {
    let package =
        package(TOTP, "<Extensions><x:a xmlns:x='urn:x'/></Extensions>", "", "<x:b xmlns:x='urn:x'/>")
            .replace("</SerialNo>", "</SerialNo><x:colour xmlns:x='urn:x'>blue</x:colour>");
    let text = container(&[&package]).replace("</KeyContainer>", "<Extensions/></KeyContainer>");
    assert!(read(&text, &Unlock::Nothing).is_ok());
    let unknown = container(&[&package]).replace("</KeyContainer>", "<Surprise/></KeyContainer>");
    assert!(problems(&unknown)[0].contains("an element that RFC 6030 does not know"));
}

#[test]
fn each_bad_package_is_told_once_and_nothing_of_its_secret() {
    let good = package(TOTP, "", "", "");
    let bad_base64 = "<DeviceInfo><SerialNo>NUMBER</SerialNo></DeviceInfo><Key Algorithm='urn:ietf:params:xml:ns:keyprov:pskc:totp'>\
                      <Data><Secret><PlainValue>MTIzNDU2Nzg5-SECRET</PlainValue></Secret></Data></Key>";
    let problems = problems(&container(&[&good, bad_base64, "<Foo/>", "", &good]));
    assert_eq!(
        problems,
        [
            "key package 2 (line 3): the secret is not base64",
            "key package 3 (line 4): KeyPackage holds an element that RFC 6030 does not know there",
            "key package 4 (line 5): KeyPackage has no Key",
        ]
    );
    assert!(!problems.concat().contains("SECRET"));
}

#[test]
fn what_is_no_container_is_refused_by_name() {
    for (text, expected) in [
        ("", "well-formed"),
        ("serial,secret\n", "well-formed"),
        ("<Tokens><Token serial='1'/></Tokens>", "this is a SafeNet (Aladdin) token file"),
        ("<html/>", "this is not a PSKC file"),
        ("<!DOCTYPE a SYSTEM 'file:///etc/shadow'><KeyContainer/>", "document type"),
        (&container(&[]), "the file: it holds no token"),
        (&container(&[&package(TOTP, "", "", "")]).replace("</KeyContainer>", ""), "well-formed"),
        (&(container(&[&package(TOTP, "", "", "")]) + "<more/>"), "well-formed"),
    ] {
        let problems = problems(text);
        assert!(problems[0].contains(expected), "{problems:?}");
    }
    let wide: Vec<u8> = "<a/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wide = [&b"\xff\xfe"[..], &wide].concat();
    assert!(Container::open(&wide).map(|_| ()).unwrap_err()[0].text.contains("it is UTF-16"));
    assert!(Container::open(b"\xff").map(|_| ()).unwrap_err()[0].text.contains("it is not UTF-8"));
    let huge = vec![b' '; MAX_FILE_BYTES + 1];
    assert!(Container::open(&huge).map(|_| ()).unwrap_err()[0].text.contains("split it"));
}

#[test]
fn line_ends_of_windows_and_a_byte_order_mark_do_not_matter() {
    let text = format!("\u{feff}{}", fixture!("rfc6030-figure-6.xml").replace('\n', "\r\n"));
    assert_eq!(read(&text, &figure_6_key()).unwrap()[0].seed.expose(), RFC_SEED);
}
