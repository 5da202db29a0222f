//! Codes by an independent program: ten thousand random devices at random times, the same digits as `oathtool`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic is a failed test, and a test may be plain"
)]

use std::process::Command;
use std::thread;

use mfa_core::otp::{Algorithm, Digits, Generator, Period};
use mfa_core::{Secret, Timestamp};

/// How many devices; each shows codes at three steps in a row.
const DEVICES: u64 = 10_000;
const CODES: u64 = 3;
const THREADS: usize = 4;

#[test]
fn ten_thousand_random_devices_show_what_oathtool_says() {
    let compared: u64 = thread::scope(|scope| {
        let parts: Vec<_> = (0..)
            .take(THREADS)
            .map(|part| {
                scope.spawn(move || {
                    (part..DEVICES)
                        .step_by(THREADS)
                        .map(|number| compare(&Device::random(number)))
                        .sum::<u64>()
                })
            })
            .collect();
        parts.into_iter().map(|part| part.join().unwrap()).sum()
    });
    assert_eq!(compared, DEVICES * CODES);
}

#[derive(Debug)]
struct Device {
    seed: Vec<u8>,
    algorithm: Algorithm,
    digits: u8,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Time { period: u8, now: u64 },
    Counter(u64),
}

impl Device {
    /// The same device for the same number, each time.
    fn random(number: u64) -> Self {
        let mut random = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d);
        let algorithm = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512][random.below(3)];
        let length = [16, 20, 32, 64, 1 + random.below(128)][random.below(5)];
        let seed = (0..length).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
        let digits = u8::try_from(6 + random.below(3)).unwrap();
        let kind = if random.below(3) == 0 {
            // oathtool's counters have 64 bits; most are small.
            let bits = [8, 20, 40, 62][random.below(4)];
            Kind::Counter(random.next() % (1 << bits))
        } else {
            let period = [30, 60, 10, 120, u8::try_from(10 + random.below(111)).unwrap()][random.below(5)];
            Kind::Time { period, now: random.next() % (1 << 34) }
        };
        // HOTP is SHA-1 there.
        let algorithm = if matches!(kind, Kind::Counter(_)) { Algorithm::Sha1 } else { algorithm };
        Self { seed, algorithm, digits, kind }
    }
}

/// How many codes were the same.
fn compare(device: &Device) -> u64 {
    let mut oathtool = Command::new("oathtool");
    oathtool.arg(format!("--digits={}", device.digits)).arg(format!("--window={}", CODES - 1));
    let first = match device.kind {
        Kind::Counter(counter) => {
            oathtool.arg("--hotp").arg(format!("--counter={counter}"));
            counter
        }
        Kind::Time { period, now } => {
            oathtool
                .arg(format!("--totp={}", device.algorithm))
                .arg(format!("--time-step-size={period}s"))
                .arg(format!("--now=@{now}"));
            Period::try_from(period).unwrap().step_at(Timestamp::from_unix_seconds(now))
        }
    };
    let hex: Vec<String> = device.seed.iter().map(|byte| format!("{byte:02x}")).collect();
    let output = oathtool.arg(hex.concat()).output();
    let output =
        output.unwrap_or_else(|error| panic!("oathtool: {error}\nhint: scripts/setup.sh installs it"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{device:?}: {}", String::from_utf8_lossy(&output.stderr));

    let seed = Secret::new(device.seed.clone());
    let generator = Generator::new(&seed, device.algorithm, Digits::try_from(device.digits).unwrap());
    let ours: Vec<String> =
        (first..first + CODES).map(|step| generator.code_at(step).expose_text().to_string()).collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), ours, "{device:?}");
    CODES
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap() % limit
    }
}
