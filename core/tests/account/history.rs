//! What happened to an account stays on record, whatever happens to it.

use mfa_core::Request;
use mfa_core::history::What;
use mfa_core::otp::Profile;

use crate::host::{Host, NOW, STEP, accepted, name, user};

fn words(host: &Host) -> Vec<String> {
    let word = |change: &mfa_core::history::Change| format!("{} {}", change.what.word(), change.name);
    host.history("alice").iter().map(word).collect()
}

#[test]
fn every_change_is_there_in_order_with_its_time_and_origin() {
    let (host, phone) = Host::with_alice();
    assert!(accepted(&host.log_in("alice", &phone.code(STEP))), "a login is no change");
    host.ask(Request::RenameDevice { user: user("alice"), name: name("phone"), to: name("old") }).unwrap();
    host.ask(Request::SuspendDevice { user: user("alice"), name: name("old") }).unwrap();
    host.ask(Request::ResumeDevice { user: user("alice"), name: name("old") }).unwrap();
    host.ask(Request::Unlock { user: user("alice") }).unwrap();
    host.ask(Request::NewRecoveryCodes { user: user("alice") }).unwrap();
    host.ask(Request::RemoveDevice { user: user("alice"), name: name("old") }).unwrap();
    host.enroll_as("alice", "new", Profile::PLAIN).unwrap();
    assert_eq!(
        words(&host),
        [
            "enrolled phone",
            "renamed old",
            "suspended old",
            "resumed old",
            "unlocked ",
            "recovery-codes ",
            "removed old",
            "enrolled new"
        ]
    );
    let history = host.history("alice");
    assert!(history.iter().all(|change| change.at == NOW && change.by.as_str() == "root"));
    assert!(history.iter().zip(1..).all(|(change, number)| change.number == number));
    assert_eq!(history[0].device, history[1].device, "the same device, by whatever name");
}

#[test]
fn nothing_to_do_is_no_change() {
    let (host, _) = Host::with_alice();
    host.ask(Request::ResumeDevice { user: user("alice"), name: name("phone") }).unwrap();
    host.ask(Request::RenameDevice { user: user("alice"), name: name("phone"), to: name("phone") }).unwrap();
    assert_eq!(words(&host), ["enrolled phone"]);
}

#[test]
fn a_history_that_a_power_cut_has_torn_goes_on_after_its_last_whole_line() {
    let (host, _) = Host::with_alice();
    let suspend = Request::SuspendDevice { user: user("alice"), name: name("phone") };
    let resume = Request::ResumeDevice { user: user("alice"), name: name("phone") };
    host.ask(suspend).unwrap();
    host.ask(resume.clone()).unwrap();
    let path = host.path("users/alice/history");
    let whole = std::fs::read_to_string(&path).unwrap();
    for cut in 0..whole.len() {
        // What was being appended is still in devices.toml until it is there.
        let kept = whole.lines().next().unwrap().len() + 1;
        if cut < kept {
            continue;
        }
        std::fs::write(&path, &whole[..cut]).unwrap();
        let copy = Host::copy_of(&host);
        copy.ask(Request::SuspendDevice { user: user("alice"), name: name("phone") }).unwrap();
        copy.ask(resume.clone()).unwrap();
        let history = copy.history("alice");
        let last: Vec<_> = history.iter().rev().take(3).map(|change| change.what).collect();
        assert_eq!(last, [What::Resumed, What::Suspended, What::Resumed], "cut at {cut}");
        let numbers: Vec<_> = history.iter().map(|change| change.number).collect();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(numbers, sorted, "cut at {cut}");
    }
}

#[test]
fn a_change_that_did_not_happen_is_not_on_record() {
    let (host, _) = Host::with_alice();
    let missing = Request::RemoveDevice { user: user("alice"), name: name("watch") };
    assert!(host.ask(missing).is_err());
    assert_eq!(words(&host), ["enrolled phone"]);
}

#[test]
fn two_hundred_changes_are_all_there() {
    let (host, _) = Host::with_alice();
    for _ in 0..100 {
        host.ask(Request::SuspendDevice { user: user("alice"), name: name("phone") }).unwrap();
        host.ask(Request::ResumeDevice { user: user("alice"), name: name("phone") }).unwrap();
    }
    assert_eq!(host.history("alice").len(), 201);
    assert!(std::fs::metadata(host.path("users/alice/devices.toml")).unwrap().len() < 1500, "they moved on");
}

#[test]
fn a_history_that_is_ahead_of_an_older_secret_file_goes_on_after_its_last_number() {
    let (host, _) = Host::with_alice();
    let older = std::fs::read(host.path("users/alice/devices.toml")).unwrap();
    for _ in 0..3 {
        host.ask(Request::SuspendDevice { user: user("alice"), name: name("phone") }).unwrap();
        host.ask(Request::ResumeDevice { user: user("alice"), name: name("phone") }).unwrap();
    }
    std::fs::write(host.path("users/alice/devices.toml"), older).unwrap();
    host.ask(Request::RenameDevice { user: user("alice"), name: name("phone"), to: name("old") }).unwrap();
    host.ask(Request::Unlock { user: user("alice") }).unwrap();
    let words = words(&host);
    assert_eq!(words.last_chunk(), Some(&["renamed old".to_owned(), "unlocked ".to_owned()]), "{words:?}");
}
