//! What no login may do, whatever its test is about: checked after every one.

use std::str;

use crate::login::Transcript;

/// Text that a Rust program leaves behind when it panics.
const PANIC_TEXTS: [&str; 6] = [
    "panicked at",
    "RUST_BACKTRACE",
    "fatal runtime error",
    "stack overflow",
    "unsafe precondition",
    "internal error: entered unreachable code",
];

/// Fails the test if `text`, found at `place`, tells of a panic.
pub fn for_panics(place: &str, text: &str) {
    for sign in PANIC_TEXTS {
        assert!(!text.contains(sign), "a panic shows in {place}:\n{text}");
    }
}

/// Fails the test if the login misbehaved as a guest: panicked, wrote to stdout or stderr, changed its host, logged
/// what the person typed, or asked more often than the test has answers for.
pub(crate) fn over(transcript: &Transcript) {
    for_panics("the standard error", &transcript.stderr);
    for_panics("the standard output", &transcript.stdout);
    for_panics("the log", &transcript.log_text());
    assert_eq!(transcript.stderr, "", "a module wrote to the standard error of its host");
    assert_eq!(transcript.stdout, "", "a module wrote to the standard output of its host");
    assert!(transcript.meddled.is_empty(), "a module called {:?}", transcript.meddled);
    assert_eq!(transcript.unanswered, 0, "a prompt more than there are answers: {:?}", transcript.prompts());
    if let [before, after] = transcript.host.as_slice() {
        let changes = before.changes(after);
        assert!(changes.is_empty(), "the host program is not as it was found: {changes:#?}");
    }
    for line in &transcript.log {
        assert!(
            !line.text.contains(char::is_control),
            "a control character reached the log: {:?}",
            line.text
        );
    }
    for typed in &transcript.typed {
        assert_not_shown(typed, transcript);
    }
}

/// A code or a password is never logged and never said back. Shorter answers than a code could be there by chance.
fn assert_not_shown(typed: &[u8], transcript: &Transcript) {
    let Ok(typed) = str::from_utf8(typed) else { return };
    let typed = typed.trim();
    if typed.len() < 6 {
        return;
    }
    let logged = transcript.log.iter().map(|line| line.text.clone());
    for shown in logged.chain(transcript.journal.clone()).chain(transcript.notices()) {
        assert!(!shown.contains(typed), "what was typed is shown: {shown:?}");
    }
}
