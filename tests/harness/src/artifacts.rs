//! Where the programs under test are. They are built before the tests run; one that is missing is a failure.

use std::env;
use std::path::{Path, PathBuf};

/// The module under test.
pub fn module() -> PathBuf {
    built("libpam_mfa.so")
}

/// The enrollment tool under test.
pub fn mfa_enroll() -> PathBuf {
    built("mfa-enroll")
}

/// The administrator's tool under test.
pub fn mfa_admin() -> PathBuf {
    built("mfa-admin")
}

/// The program that logs in (tests/pam/src/bin/pam-application).
pub fn pam_application() -> PathBuf {
    built("pam-application")
}

/// The program that logs in and waits to be looked at (tests/pam/src/bin/pam-held-application.rs).
pub fn pam_held_application() -> PathBuf {
    built("pam-held-application")
}

/// The module built with the Cargo feature `panic-for-tests`, which no release has. It has a target folder of its
/// own, so that it can't be mistaken for the real one: `target/panic-for-tests`.
pub fn panicking_module() -> PathBuf {
    let profile = folder();
    let target = profile.parent().expect("a profile's folder lies in the target folder");
    let profile_name = profile.file_name().expect("a profile's folder has a name");
    let path = match env::var_os("MFA_PANIC_ARTIFACTS") {
        Some(folder) => PathBuf::from(folder),
        None => target.join("panic-for-tests").join(profile_name),
    }
    .join("libpam_mfa.so");
    assert!(
        path.exists(),
        "{} is missing\nhint: make test-fast builds it, by: cargo build -p pam-mfa --features panic-for-tests \
         --target-dir {}",
        path.display(),
        target.join("panic-for-tests").display(),
    );
    path
}

/// `MFA_ARTIFACTS` if it is set; or else the folder that the running test was built into.
pub fn folder() -> PathBuf {
    if let Some(folder) = env::var_os("MFA_ARTIFACTS") {
        return PathBuf::from(folder);
    }
    let test = env::current_exe().expect("a process knows its own program");
    let folder = test.parent().expect("a program lies in a folder");
    if folder.file_name().is_some_and(|name| name == "deps") {
        return folder.parent().map(Path::to_path_buf).expect("deps lies in a profile's folder");
    }
    folder.to_path_buf()
}

fn built(name: &str) -> PathBuf {
    let path = folder().join(name);
    assert!(
        path.exists(),
        "{} is missing\nhint: make test-fast builds all that the tests need; or set MFA_ARTIFACTS to the folder",
        path.display()
    );
    path
}
