//! What an administrator writes: the module's options, policy.toml, the PAM file.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fs;
use std::path::Path;

use mfa_core::Policy;
use mfa_core::policy::Unenrolled;
use pam_mfa_as_library::as_library;

use crate::store::{alice, with_fresh_store, write};

/// One option a line. A set of words that is accepted has known words alone, and none of them twice.
pub fn options(bytes: &[u8]) {
    let words: Vec<CString> =
        bytes.split(|byte| *byte == b'\n').filter_map(|word| CString::new(word).ok()).collect();
    let words: Vec<&CStr> = words.iter().map(CString::as_c_str).filter(|word| !word.is_empty()).collect();
    if as_library::parse_options(&words).is_err() {
        return;
    }
    let mut seen = BTreeSet::new();
    for word in words {
        let word = word.to_bytes();
        let at = word.iter().position(|byte| *byte == b'=').unwrap_or(word.len());
        let (name, value) = word.split_at(at);
        assert!(seen.insert(name), "twice: {:?}", name.escape_ascii());
        match name {
            b"store" | b"policy" | b"socket" | b"pam_dir" => assert!(value.starts_with(b"=/")),
            b"prompt" => {
                let text = std::str::from_utf8(&value[1..]).expect("a prompt is text");
                assert!((1..=511).contains(&text.len()) && !text.contains(char::is_control));
            }
            b"echo" => assert!(value == b"=on" || value == b"=off"),
            b"debug" | b"try_first_pass" | b"use_first_pass" | b"forward_pass" | b"nodelay" => {
                assert!(value.is_empty());
            }
            _ => panic!("nobody knows {:?}", word.escape_ascii()),
        }
    }
    assert!(!(seen.contains(&b"try_first_pass"[..]) && seen.contains(&b"use_first_pass"[..])));
}

/// A policy.toml. One that is not understood is told in one line, which repeats no long part of the file: any file of root's may be named.
pub fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Policy::from_toml(text) {
        Ok(policy) => {
            let said = policy.unenrolled(&alice(), |_| true);
            assert!(said == Unenrolled::Refuse || policy.ever_enrolls());
        }
        Err(why) => {
            assert!(!why.contains('\n'), "{why}");
            assert!(why.starts_with("line "), "{why}");
        }
    }
}

/// The PAM files of a folder, each after a line `== NAME`. Whatever they are, looking through them ends; where enrolling is found safe, there
/// is a line that loads the module in the account phase.
pub fn pam_stack(bytes: &[u8]) {
    with_fresh_store(|scratch| {
        let folder = scratch.path("pam.d");
        fs::create_dir(&folder).expect("the store is fresh");
        let mut first = None;
        for part in split_before(bytes, b"== ") {
            let end = part.iter().position(|byte| *byte == b'\n').unwrap_or(part.len());
            let (name, text) = part.split_at(end);
            let Ok(name) = std::str::from_utf8(name) else { continue };
            let is_name =
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if is_name && name.len() < 40 && !folder.join(name).exists() {
                write(&folder.join(name), text);
                first.get_or_insert((name.to_owned(), text.to_vec()));
            }
        }
        let Some((service, text)) = first else { return };
        let module = Path::new("/lib/security/pam_mfa.so");
        if as_library::check_account_phase(service.as_bytes(), &folder, module).is_ok() {
            let text = String::from_utf8_lossy(&text).replace("\\\n", " ");
            let has_line = text.lines().any(|line| {
                let line = line.to_ascii_lowercase();
                line.contains("account") && line.contains("pam_mfa.so")
            });
            assert!(has_line, "no line of the module was needed");
        }
    });
}

/// The parts of `bytes` that follow a line which begins with `mark`.
fn split_before<'a>(bytes: &'a [u8], mark: &[u8]) -> Vec<&'a [u8]> {
    let mut starts: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(mark) && (*at == 0 || bytes[at - 1] == b'\n'))
        .collect();
    starts.push(bytes.len());
    starts.windows(2).map(|pair| &bytes[(pair[0] + mark.len()).min(pair[1])..pair[1]]).collect()
}
