//! The program a login of the tests happens in: see `mfa_test_harness::application`.

use std::env;
use std::process::ExitCode;

use mfa_test_harness::application;

mfa_test_harness::stand_in_for_the_wall_clock!();
mfa_test_harness::stand_in_for_the_disk!(application::worked);
mfa_test_harness::stand_in_for_the_system_log!(application::logged);

#[expect(clippy::print_stderr, reason = "the test that started this shows it")]
fn main() -> ExitCode {
    let Some(plan) = env::args().nth(1) else {
        eprintln!("pam-application: started by the tests, with a plan in JSON");
        return ExitCode::from(2);
    };
    let done =
        serde_json::from_str(&plan).map_err(std::io::Error::from).and_then(|plan| application::run(&plan));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pam-application: {error}");
            ExitCode::FAILURE
        }
    }
}
