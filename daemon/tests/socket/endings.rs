//! How it begins and ends.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use mfa_core::Response;
use mfa_test_harness::Store;
use mfa_wire::{Denial, Envelope, ask};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::daemon::{Daemon, PATIENCE, mfad, myself, spawn, status};

fn ends(child: &mut Child) -> (Option<i32>, String) {
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < PATIENCE, "it does not end");
        sleep(Duration::from_millis(10));
    }
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

fn wait_until_gone(pid: i32) {
    let begin = Instant::now();
    // A zombie is gone too.
    while fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(begin.elapsed() < PATIENCE, "process {pid} goes on");
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn everybody_may_connect() {
    let daemon = Daemon::start();
    assert_eq!(fs::metadata(daemon.socket()).unwrap().permissions().mode() & 0o777, 0o666);
}

#[test]
fn without_a_socket_it_says_how_to_start_it() {
    let store = Store::temporary();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mfad"));
    let (code, text) = ends(&mut spawn(command.arg("--store").arg(store.path())));
    assert_eq!(code, Some(2));
    assert!(text.contains("--listen"), "{text}");
}

#[test]
fn if_the_worker_dies_so_does_it_and_says_so() {
    let mut daemon = Daemon::start();
    kill(Pid::from_raw(daemon.worker()), Signal::SIGKILL).unwrap();
    let (code, text) = ends(&mut daemon.child);
    assert_eq!(code, Some(1));
    assert!(text.contains("the worker has ended"), "{text}");
}

#[test]
fn if_it_is_killed_its_worker_dies_and_a_new_one_takes_its_place() {
    let mut daemon = Daemon::start();
    let worker = daemon.worker();
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    wait_until_gone(worker);
    let error = ask(&daemon.socket(), &Envelope::bare(status(&myself())), PATIENCE).unwrap_err();
    assert!(error.to_string().contains("not running"), "{error}");
    // The left-over socket is replaced.
    daemon.child = spawn(&mut mfad(&daemon.store));
    daemon.wait_until_it_listens();
    assert!(matches!(daemon.ask(status(&myself())), Ok(Response::Status(_)) | Err(Denial::NotEnrolled)));
}

#[test]
fn what_is_not_a_left_over_socket_is_not_removed() {
    let daemon = Daemon::start();
    let (code, text) = ends(&mut spawn(&mut mfad(&daemon.store)));
    assert_eq!(code, Some(1));
    assert!(text.contains("somebody listens there already"), "{text}");
    assert!(UnixStream::connect(daemon.socket()).is_ok());

    let store = Store::temporary();
    fs::write(store.beside("socket"), "precious").unwrap();
    let (code, text) = ends(&mut spawn(&mut mfad(&store)));
    assert_eq!(code, Some(1));
    assert!(text.contains("there is a file already"), "{text}");
    assert_eq!(fs::read_to_string(store.beside("socket")).unwrap(), "precious");
}

#[test]
fn it_takes_the_socket_that_systemd_hands_over() {
    let store = Store::temporary();
    let listener = UnixListener::bind(store.beside("socket")).unwrap();
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 </dev/null";
    let mut child = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_mfad"), "--store"])
        .arg(store.path())
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let reply = ask(&store.beside("socket"), &Envelope::bare(status(&myself())), PATIENCE).unwrap();
    assert!(matches!(reply, Ok(Response::Status(_)) | Err(Denial::NotEnrolled)), "{reply:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_store_that_is_damaged_is_unavailable_and_why_is_not_told() {
    let daemon = Daemon::start();
    daemon.enroll(&myself());
    let devices = daemon.store.file(&format!("users/{}/devices.toml", myself()));
    fs::write(&devices, "nonsense").unwrap();
    let denial = daemon.ask(status(&myself())).unwrap_err();
    assert_eq!(denial, Denial::Unavailable);
    assert!(!denial.to_string().contains("users/"));
}

#[test]
fn nothing_it_starts_stays() {
    let mut daemon = Daemon::start();
    // Who has answered is behind its fence.
    let _ = daemon.ask(status(&myself()));
    let worker = daemon.worker();
    let limits = fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
    assert!(limits.contains("NoNewPrivs:\t1"), "{limits}");
    assert!(Path::new(&format!("/proc/{worker}")).exists());
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    wait_until_gone(worker);
}
