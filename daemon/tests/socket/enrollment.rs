//! Getting, keeping and losing devices.

use mfa_core::Refusal;
use mfa_core::Request;
use mfa_core::Response;
use mfa_core::history::What;
use mfa_wire::{Denial, Envelope, Password};

use crate::daemon::{Daemon, Device, PASSWORD, begin, files_below, myself, status};

fn pending(daemon: &Daemon) -> Device {
    let reply = daemon.ask_with_password(begin(&myself()), PASSWORD);
    let Ok(Response::Pending(pending)) = reply else { panic!("{reply:?}") };
    Device(pending)
}

#[test]
fn a_first_device_takes_the_password_and_two_codes() {
    let daemon = Daemon::start();
    assert_eq!(daemon.ask(begin(&myself())).unwrap_err(), Denial::PasswordNeeded);
    let device = pending(&daemon);
    let reply = daemon.ask(device.confirm(&myself(), device.present() - 1));
    let Ok(Response::Enrolled { recovery_codes, .. }) = reply else { panic!("{reply:?}") };
    assert_eq!(recovery_codes.len(), 10);
    let Ok(Response::Status(now)) = daemon.ask(status(&myself())) else { panic!("no status") };
    assert_eq!(now.devices.len(), 1);
    let Ok(Response::History(changes)) = daemon.ask(Request::History { user: myself() }) else {
        panic!("no history")
    };
    assert!(changes.iter().any(|change| change.by.to_string() == format!("{} by mfad", myself())));
}

#[test]
fn a_wrong_password_makes_no_key_and_nothing_else() {
    let daemon = Daemon::start();
    let before = files_below(&daemon.store.path());
    let reply = daemon.ask_with_password(begin(&myself()), b"wrong horse");
    assert_eq!(reply.unwrap_err(), Denial::WrongPassword);
    assert_eq!(files_below(&daemon.store.path()), before);
}

#[test]
fn a_second_device_takes_a_code_and_the_right_password_is_not_enough() {
    let daemon = Daemon::start();
    let device = daemon.enroll(&myself());
    let reply = daemon.ask_with_password(begin(&myself()), PASSWORD);
    assert_eq!(reply.unwrap_err(), Denial::CodeNeeded);
    let code = device.code(device.present() + 1);
    let reply = daemon.ask_with_code(begin(&myself()), &code);
    let Ok(Response::Pending(second)) = reply else { panic!("{reply:?}") };
    assert_ne!(second.seed, device.0.seed);
    let again = daemon.ask_with_code(begin(&myself()), &code);
    assert!(matches!(again, Ok(Response::Refused(Refusal::Replayed))), "{again:?}");
}

#[test]
fn a_change_takes_a_code_and_uses_it_up() {
    let daemon = Daemon::start();
    let device = daemon.enroll(&myself());
    let name = device.0.name.clone();
    let rename =
        |to: &str| Request::RenameDevice { user: myself(), name: name.clone(), to: to.parse().unwrap() };
    assert_eq!(daemon.ask(rename("x")).unwrap_err(), Denial::CodeNeeded);
    let reply = daemon.ask_with_code(rename("x"), &device.wrong());
    assert!(matches!(reply, Ok(Response::Refused(Refusal::Wrong))), "{reply:?}");
    let code = device.code(device.present() + 1);
    assert!(matches!(daemon.ask_with_code(rename("x"), &code), Ok(Response::Done)));
    let remove = Request::RemoveDevice { user: myself(), name: "x".parse().unwrap() };
    let reply = daemon.ask_with_code(remove, &code);
    assert!(matches!(reply, Ok(Response::Refused(Refusal::Replayed))), "{reply:?}");
}

#[test]
fn the_codes_of_the_enrollment_are_used_up() {
    let daemon = Daemon::start();
    let device = pending(&daemon);
    // This step and the next: both are still in the window if a new one begins meanwhile.
    let step = device.present();
    daemon.ask(device.confirm(&myself(), step)).unwrap();
    for used in [step, step + 1] {
        let reply = daemon.ask_with_code(begin(&myself()), &device.code(used));
        assert!(matches!(reply, Ok(Response::Refused(Refusal::Replayed))), "{reply:?}");
    }
}

#[test]
fn a_password_that_is_not_needed_is_not_looked_at() {
    // PAM would say that it knows no answer.
    let daemon = Daemon::with_pam("auth required pam_permit.so\n");
    let request = status(&myself());
    let reply = daemon.send(&Envelope { request, proof: None, password: Password::new(b"wrong horse") });
    assert!(matches!(reply, Ok(Response::Status(_)) | Err(Denial::NotEnrolled)), "{reply:?}");
}

#[test]
fn of_a_history_that_is_too_long_the_newest_part_is_sent() {
    let daemon = Daemon::start();
    let device = daemon.enroll(&myself());
    let mut name = device.0.name.clone();
    for number in 0..400 {
        let to: mfa_core::devices::DeviceName =
            format!("a rather long name of a device {number}").parse().unwrap();
        daemon.as_root(Request::RenameDevice { user: myself(), name, to: to.clone() });
        name = to;
    }
    let Ok(Response::History(changes)) = daemon.ask(Request::History { user: myself() }) else {
        panic!("no history")
    };
    assert!(changes.first().unwrap().number > 1, "all of it fits?");
    let last = changes.last().unwrap();
    assert!(matches!(&last.what, What::Renamed), "{last:?}");
    // Bound, recovery codes made, then 400 times renamed.
    assert_eq!(last.number, 402);
}
