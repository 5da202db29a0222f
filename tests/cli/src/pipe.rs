//! A command whose input and output are pipes.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use mfa_test_harness::oathtool::Generator;
use mfa_test_harness::{account::unix_seconds, watch};
use serde_json::Value;

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; 128 and the number of the signal that killed it.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Ran {
    /// The one line of JSON that it printed.
    pub fn json(&self) -> Value {
        json(&self.out)
    }

    /// Fails the test unless it ended with this exit code and said this on standard error.
    #[track_caller]
    pub fn assert_failed(&self, code: i32, said: &str) {
        assert_eq!(self.code, code, "{self:#?}");
        assert!(self.err.contains(said), "no {said:?} in {self:#?}");
    }

    /// Fails the test unless it ended well and in silence on standard error.
    #[track_caller]
    pub fn assert_done(&self) {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{self:#?}");
    }
}

/// Runs a command to its end, with this input.
pub fn run(command: &mut Command, input: &str) -> Ran {
    let mut dialogue = Dialogue::begin(command);
    dialogue.write(input);
    dialogue.end()
}

/// A command that is spoken with line by line.
pub struct Dialogue {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    read: String,
}

impl Dialogue {
    /// Starts it.
    pub fn begin(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", command.get_program().display()));
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, input, output, read: String::new() }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it prints UTF-8");
        self.read.push_str(&line);
        line
    }

    /// Types.
    pub fn write(&mut self, text: &str) {
        // It may have ended already; what it said then is what the test looks at.
        let _ = self.input.write_all(text.as_bytes());
    }

    /// Closes its input and waits for its end.
    pub fn end(mut self) -> Ran {
        drop(self.input);
        self.output.read_to_string(&mut self.read).expect("it prints UTF-8");
        let ended = self.child.wait_with_output().expect("our own child");
        let err = String::from_utf8_lossy(&ended.stderr).into_owned();
        watch::for_panics("standard error", &err);
        watch::for_panics("standard output", &self.read);
        Ran { code: exit_code(ended.status), out: self.read, err }
    }
}

pub(crate) fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| status.signal().map_or(-1, |signal| 128 + signal))
}

/// What came of `add --json`.
#[derive(Debug)]
pub struct Added {
    /// The first line of JSON.
    pub offer: Value,
    /// The device.
    pub generator: Generator,
    /// The second line of JSON.
    pub result: Value,
    /// How it ended.
    pub ran: Ran,
}

impl Added {
    /// Fails the test unless the codes were refused for this reason, with this said about it.
    #[track_caller]
    pub fn assert_refused(&self, reason: &str, said: &str) {
        assert_eq!(self.result["result"], "refused", "{self:#?}");
        assert_eq!(self.result["reason"], reason, "{self:#?}");
        self.ran.assert_failed(1, said);
    }
}

/// Runs an `add --json`; `codes` is told the device and the present time step, and says what to type.
pub fn add_json(command: &mut Command, codes: impl FnOnce(&Generator, u64) -> Vec<String>) -> Added {
    let mut dialogue = Dialogue::begin(command);
    let line = dialogue.line();
    if line.is_empty() {
        let ran = dialogue.end();
        panic!("no key was offered: {ran:#?}");
    }
    let offer = json(&line);
    let generator = generator_of(&offer);
    let present = unix_seconds() / generator.period;
    dialogue.write(&format!("{}\n", codes(&generator, present).join("\n")));
    let ran = dialogue.end();
    let result = ran.out.lines().nth(1).map_or(Value::Null, json);
    Added { offer, generator, result, ran }
}

/// The device that a first line of JSON speaks of.
pub fn generator_of(offer: &Value) -> Generator {
    Generator {
        secret: offer["secret"].as_str().expect("a key").to_owned(),
        algorithm: offer["algorithm"].as_str().expect("an algorithm").to_owned(),
        digits: offer["digits"].as_u64().and_then(|digits| digits.try_into().ok()).expect("digits"),
        period: offer["period"].as_u64().expect("a period"),
    }
}

/// Two codes that prove a device: of the steps before the present one.
pub fn right_codes(generator: &Generator, present: u64) -> Vec<String> {
    generator.codes(present - 2, 2)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text.trim_end())
        .unwrap_or_else(|error| panic!("not one line of JSON: {error}: {text:?}"))
}
