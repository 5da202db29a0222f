//! The independent generator of codes: the program `oathtool`, never our own core.

use std::process::Command;

/// One device as a generator sees it.
#[derive(Clone, Debug)]
pub struct Generator {
    /// The seed, in base32.
    pub secret: String,
    /// `SHA1`, `SHA256` or `SHA512`.
    pub algorithm: String,
    /// 6, 7 or 8.
    pub digits: u32,
    /// Seconds per step.
    pub period: u64,
}

impl Generator {
    /// The code of a time step.
    pub fn code(&self, step: u64) -> String {
        self.codes(step, 1).pop().expect("one code was asked for")
    }

    /// The codes of `count` time steps from `first` on.
    pub fn codes(&self, first: u64, count: u64) -> Vec<String> {
        let more = count.checked_sub(1).expect("at least one code is asked for");
        let output = Command::new("oathtool")
            .arg(format!("--totp={}", self.algorithm))
            .arg(format!("--digits={}", self.digits))
            .arg(format!("--time-step-size={}s", self.period))
            .arg(format!("--now=@{}", first * self.period))
            .arg(format!("--window={more}"))
            .args(["--base32", &self.secret])
            .output()
            .unwrap_or_else(|error| panic!("oathtool: {error}\nhint: apt-get install oathtool"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let codes: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(
            u64::try_from(codes.len()).expect("a few"),
            count,
            "oathtool said {text:?} {:?}",
            String::from_utf8_lossy(&output.stderr)
        );
        codes
    }
}

/// The code of a device that counts (HOTP), from its seed in base32.
pub fn hotp(secret: &str, digits: u32, counter: u64) -> String {
    let output = Command::new("oathtool")
        .args(["--hotp", "--base32", &format!("--digits={digits}"), &format!("--counter={counter}"), secret])
        .output()
        .unwrap_or_else(|error| panic!("oathtool: {error}\nhint: apt-get install oathtool"));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}
