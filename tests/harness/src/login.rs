//! One login, in a process of its own, and all that can be seen of it.

use std::fmt;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::artifacts;
use crate::disk::Done;
use crate::libpam::{Call, Item, PamCode, Style};
use crate::plan::{Answer, Event, Host, Message, Plan, Session, Snapshot};
use crate::stack::Stack;
use crate::watch;

/// A login that takes longer hangs: the test fails. The module's own waits (its lock) are much shorter.
pub const HANG: Duration = Duration::from_secs(60);

/// A login to be: who, with which answers, on what kind of host.
#[derive(Clone)]
#[must_use = "nobody logs in before it runs"]
pub struct Login {
    // Its folder has to live as long as a login can use it.
    stack: Stack,
    session: Session,
    clock: Option<u64>,
    host: Host,
    ignores_children: bool,
    wrapper: Vec<String>,
    manners: Manners,
}

/// Whether a module is held to the manners of a guest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manners {
    Watched,
    TheirOwn,
}

impl Login {
    /// A login through `stack`, of nobody yet.
    pub fn new(stack: &Stack) -> Self {
        let session = Session {
            confdir: stack.path().to_path_buf(),
            service: Stack::SERVICE.to_owned(),
            user: None,
            items: Vec::new(),
            environment: Vec::new(),
            answers: Vec::new(),
            calls: Vec::new(),
        };
        Self {
            stack: stack.clone(),
            session,
            clock: None,
            host: Host::default(),
            ignores_children: false,
            wrapper: Vec::new(),
            manners: Manners::Watched,
        }
    }

    /// Of a module that is not ours: [`crate::watch`] does not look at it.
    pub fn unwatched(mut self) -> Self {
        self.manners = Manners::TheirOwn;
        self
    }

    /// PAM_USER. Any bytes but NUL.
    pub fn user(mut self, name: impl AsRef<[u8]>) -> Self {
        self.session.user = Some(name.as_ref().to_vec());
        self
    }

    /// PAM_SERVICE: the same stack under another name.
    pub fn service(mut self, name: &str) -> Self {
        self.stack.serve(name);
        name.clone_into(&mut self.session.service);
        self
    }

    /// What the person types at the next prompt.
    pub fn types(self, text: impl AsRef<[u8]>) -> Self {
        let text = text.as_ref().to_vec();
        self.answers(Answer::Text(text))
    }

    /// What happens at the next prompt.
    pub fn answers(mut self, answer: Answer) -> Self {
        self.session.answers.push(answer);
        self
    }

    /// Freezes the wall clock of the host at this second.
    pub fn at(mut self, unix_seconds: u64) -> Self {
        self.clock = Some(unix_seconds);
        self
    }

    /// PAM_RHOST: where the login comes from.
    pub fn from(self, remote_host: &str) -> Self {
        self.item(Item::RemoteHost, remote_host)
    }

    /// pam_set_item(3).
    pub fn item(mut self, item: Item, value: impl AsRef<[u8]>) -> Self {
        self.session.items.push((item, value.as_ref().to_vec()));
        self
    }

    /// pam_putenv(3), `NAME=value`.
    pub fn environment(mut self, assignment: &str) -> Self {
        self.session.environment.push(assignment.to_owned());
        self
    }

    /// Calls this function of libpam, after those named before. Without any, a run calls pam_authenticate(3).
    pub fn calls(self, call: Call) -> Self {
        self.calls_with(call, 0)
    }

    /// The same with flags.
    pub fn calls_with(mut self, call: Call, flags: i32) -> Self {
        self.session.calls.push((call, flags));
        self
    }

    /// The state of the host program.
    pub fn host(mut self, host: Host) -> Self {
        self.host = host;
        self
    }

    /// On a host program that ignores SIGCHLD.
    pub fn on_a_host_that_ignores_children(mut self) -> Self {
        self.ignores_children = true;
        self
    }

    /// Starts the host program through this command, as `unshare ... PROGRAM PLAN`.
    pub fn through(mut self, command: &[&str]) -> Self {
        self.wrapper = command.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// The whole login.
    pub fn run(self) -> Transcript {
        self.start().finish()
    }

    /// Starts the login; the test goes on beside it.
    pub fn start(self) -> Running {
        let (gate, release) = io::pipe().expect("a pipe");
        Running::start(vec![self], gate, Some(release))
    }
}

/// All these logins at the same instant, each in its process: each is at its prompt, or was refused without one, and then
/// all get their answer.
pub fn at_once(logins: Vec<Login>) -> Vec<Transcript> {
    let (gate, release) = io::pipe().expect("a pipe");
    let mut running: Vec<Running> = logins
        .into_iter()
        .map(|login| Running::start(vec![held(login)], gate.try_clone().expect("a descriptor"), None))
        .collect();
    drop(gate);
    for login in &mut running {
        login.reaches(|event| matches!(event, Event::Holding(_)), "it is at its prompt");
    }
    // One close wakes them all.
    drop(release);
    running.into_iter().map(Running::finish).collect()
}

/// All these logins in threads of one process, each with its handle.
pub fn in_threads(logins: Vec<Login>) -> Vec<Transcript> {
    let count = logins.len();
    let (gate, release) = io::pipe().expect("a pipe");
    let mut running = Running::start(logins.into_iter().map(held).collect(), gate, Some(release));
    for _ in 0..count {
        running.wait_until(|event| matches!(event, Event::Holding(_)), "each thread is at its prompt");
    }
    running.let_go();
    running.finish_all()
}

fn held(mut login: Login) -> Login {
    for answer in &mut login.session.answers {
        if let Answer::Text(text) = answer {
            *answer = Answer::Held(std::mem::take(text));
        }
    }
    login
}

/// A login that is under way.
pub struct Running {
    child: Child,
    events: Receiver<Event>,
    seen: Vec<Event>,
    release: Option<PipeWriter>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    plan: Plan,
    logins: Vec<Login>,
}

impl Running {
    fn start(logins: Vec<Login>, gate: PipeReader, release: Option<PipeWriter>) -> Self {
        let first = logins.first().expect("somebody logs in");
        let mut plan = Plan { clock: first.clock, host: first.host.clone(), sessions: Vec::new() };
        for login in &logins {
            let mut session = login.session.clone();
            if session.calls.is_empty() {
                session.calls.push((Call::Authenticate, 0));
            }
            plan.sessions.push(session);
        }
        let mut child = command(first)
            .arg(serde_json::to_string(&plan).expect("a plan is plain data"))
            .stdin(gate)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("pam-application starts");
        let events = follow(child.stdout.take().expect("it is piped"));
        let mut stderr = child.stderr.take().expect("it is piped");
        let stderr = thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stderr.read_to_end(&mut bytes);
            bytes
        });
        Self { child, events, seen: Vec::new(), release, stderr: Some(stderr), plan, logins }
    }

    /// Waits until the person sits at the prompt.
    pub fn wait_for_the_prompt(&mut self) {
        self.wait_until(|event| matches!(event, Event::Holding(_)), "it is at its prompt");
    }

    /// Waits until the host program is about to call libpam.
    pub fn wait_for_the_call(&mut self) {
        self.wait_until(|event| matches!(event, Event::Calls(..)), "it calls libpam");
    }

    /// Waits until libpam has answered.
    pub fn wait_for_the_return(&mut self) {
        self.wait_until(|event| matches!(event, Event::Returned(..)), "libpam returns");
    }

    /// Lets what is held go on.
    pub fn let_go(&mut self) {
        self.release = None;
    }

    /// kill -9, now; then what was seen until then.
    pub fn kill(mut self) -> Transcript {
        self.child.kill().expect("our own child");
        self.let_go();
        self.finish()
    }

    /// The number of the process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end.
    pub fn finish(self) -> Transcript {
        self.finish_all().pop().expect("there is a transcript for each login")
    }

    /// Waits for the end, but only so long: then kill -9, and nothing to show.
    pub fn finish_within(mut self, patience: Duration) -> Option<Transcript> {
        self.let_go();
        let deadline = Instant::now() + patience;
        loop {
            match self.event_until(deadline) {
                Ok(event) => self.seen.push(event),
                Err(RecvTimeoutError::Disconnected) => return Some(self.finish()),
                // Drop kills it.
                Err(RecvTimeoutError::Timeout) => return None,
            }
        }
    }

    fn finish_all(mut self) -> Vec<Transcript> {
        self.let_go();
        let deadline = Instant::now() + HANG;
        while let Some(event) = self.next(deadline, "it ends") {
            self.seen.push(event);
        }
        let status = self.child.wait().expect("our own child");
        let stderr = self.stderr.take().expect("it is taken once").join().expect("a reader");
        let transcripts: Vec<Transcript> = (0..self.plan.sessions.len())
            .map(|index| Transcript::new(index, &self.plan, &self.seen, status, &stderr))
            .collect();
        for (transcript, login) in transcripts.iter().zip(&self.logins) {
            match login.manners {
                Manners::Watched => watch::over(transcript),
                Manners::TheirOwn => {}
            }
        }
        transcripts
    }

    fn wait_until(&mut self, holds: impl Fn(&Event) -> bool, what: &str) {
        assert!(self.reaches(holds, what), "the login ended before {what}: {:#?}", self.seen);
    }

    /// Waits for an event; false: the login ended before it came.
    fn reaches(&mut self, holds: impl Fn(&Event) -> bool, what: &str) -> bool {
        let deadline = Instant::now() + HANG;
        while let Some(event) = self.next(deadline, what) {
            let found = holds(&event);
            self.seen.push(event);
            if found {
                return true;
            }
        }
        false
    }

    fn event_until(&self, deadline: Instant) -> Result<Event, RecvTimeoutError> {
        self.events.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    }

    fn next(&self, deadline: Instant, what: &str) -> Option<Event> {
        match self.event_until(deadline) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("the login hangs: {} s, and still not: {what}\n{:#?}", HANG.as_secs(), self.seen)
            }
        }
    }
}

/// Nothing outlives its test.
impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn command(login: &Login) -> Command {
    let mut words = login.wrapper.clone();
    if login.ignores_children {
        // An ignored signal stays ignored in the program that follows. (dash can't ignore this one.)
        words.extend(["env", "--ignore-signal=CHLD"].map(str::to_owned));
    }
    words.push(artifacts::pam_application().to_str().expect("a plain path").to_owned());
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().expect("the program at least"));
    command.args(words).env_clear().env("PATH", SYSTEM_PATH).env("LC_ALL", "C.UTF-8");
    command
}

/// A host program's environment is small and known; the test runner's is not.
const SYSTEM_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

fn follow(stdout: impl Read + Send + 'static) -> Receiver<Event> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            // A line that kill -9 has cut short is the last.
            let Ok(Ok(event)) = line.map(|line| serde_json::from_str(&line)) else { return };
            if sender.send(event).is_err() {
                return;
            }
        }
    });
    receiver
}

/// All that was seen of a login.
#[derive(Clone)]
pub struct Transcript {
    /// Each call of libpam and what it returned.
    pub returned: Vec<(Call, PamCode)>,
    /// What modules said and asked.
    pub messages: Vec<Message>,
    /// The lines for the system log, `pam_mfa(mfa-test:auth): ...`, in the order they came.
    pub log: Vec<LogLine>,
    /// What journald got.
    pub journal: Vec<String>,
    /// What the disk did before the last function of libpam came back.
    pub disk: Vec<Done>,
    /// The wait after a failure that libpam was asked for.
    pub delay_asked: Duration,
    /// What the standard output of the host program got.
    pub stdout: String,
    /// What its standard error got.
    pub stderr: String,
    /// How the host program ended.
    pub status: ExitStatus,
    /// The host program before and after; the second is missing if it died.
    pub host: Vec<Snapshot>,
    /// Calls into the C library that a guest must not make.
    pub meddled: Vec<String>,
    /// What the person typed.
    pub typed: Vec<Vec<u8>>,
    /// Prompts that the test had no answer for.
    pub unanswered: usize,
}

/// A line for the system log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// syslog(3): `LOG_ERR` and so on.
    pub level: i32,
    /// syslog(3): `LOG_AUTHPRIV` and so on.
    pub facility: i32,
    /// The text.
    pub text: String,
}

/// What a person who reads a failed test wants to see; the watch has its own words for the rest.
impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcript")
            .field("returned", &self.returned)
            .field("messages", &self.messages)
            .field("log", &self.log)
            .field("journal", &self.journal)
            .field("disk", &self.disk)
            .field("delay_asked", &self.delay_asked)
            .field("stderr", &self.stderr)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Transcript {
    fn new(index: usize, plan: &Plan, events: &[Event], status: ExitStatus, stderr: &[u8]) -> Self {
        let session = plan.sessions.get(index).expect("there is a session for each transcript");
        let mut transcript = Self {
            returned: Vec::new(),
            messages: Vec::new(),
            log: Vec::new(),
            journal: Vec::new(),
            disk: Vec::new(),
            delay_asked: Duration::ZERO,
            stdout: String::new(),
            stderr: String::from_utf8_lossy(stderr).into_owned(),
            status,
            host: Vec::new(),
            meddled: Vec::new(),
            typed: session.answers.iter().filter_map(typed).collect(),
            unanswered: 0,
        };
        for event in events {
            transcript.add(index, event);
        }
        transcript
    }

    fn add(&mut self, index: usize, event: &Event) {
        match event {
            Event::Found(snapshot) => self.host.push(snapshot.clone()),
            Event::Message(of, message) if *of == index => self.messages.push(message.clone()),
            Event::Unanswered(of) if *of == index => self.unanswered += 1,
            Event::DelayAsked(of, micros) if *of == index => {
                self.delay_asked = Duration::from_micros((*micros).into());
            }
            Event::Returned(of, call, code) if *of == index => self.returned.push((*call, *code)),
            Event::Log(priority, text) => {
                self.log.push(LogLine { level: priority & 7, facility: priority & !7, text: text.clone() });
            }
            Event::Journal(datagram) => self.journal.push(String::from_utf8_lossy(datagram).into_owned()),
            Event::Disk(done) => self.disk.push(*done),
            Event::Meddled(function) => self.meddled.push(function.clone()),
            Event::Printed(bytes) => self.stdout.push_str(&String::from_utf8_lossy(bytes)),
            Event::NotStarted(of, code) if *of == index => panic!("pam_start_confdir: {code:?}"),
            // Of other sessions of the same process, or of interest only while it runs.
            Event::Message(..)
            | Event::Unanswered(_)
            | Event::DelayAsked(..)
            | Event::Returned(..)
            | Event::NotStarted(..)
            | Event::Holding(_)
            | Event::Calls(..) => {}
        }
    }

    /// What pam_authenticate(3) returned.
    #[track_caller]
    pub fn result(&self) -> PamCode {
        self.result_of(Call::Authenticate)
    }

    /// What this call returned, the last time.
    #[track_caller]
    pub fn result_of(&self, call: Call) -> PamCode {
        let found = self.returned.iter().rev().find(|(of, _)| *of == call);
        found.unwrap_or_else(|| panic!("{call:?} never returned: {self:#?}")).1
    }

    /// Whether pam_authenticate(3) let the person in.
    pub fn let_in(&self) -> bool {
        self.returned.contains(&(Call::Authenticate, PamCode::SUCCESS))
    }

    /// The text of each prompt.
    pub fn prompts(&self) -> Vec<String> {
        let prompts = self.messages.iter().filter(|message| is_prompt(message.style));
        prompts.map(|message| String::from_utf8_lossy(&message.text).into_owned()).collect()
    }

    /// The text of each message that is no prompt.
    pub fn notices(&self) -> Vec<String> {
        let notices = self.messages.iter().filter(|message| !is_prompt(message.style));
        notices.map(|message| String::from_utf8_lossy(&message.text).into_owned()).collect()
    }

    /// The whole log as one text.
    pub fn log_text(&self) -> String {
        self.log.iter().map(|line| line.text.clone() + "\n").collect()
    }

    /// The number of the signal that killed the host program.
    pub fn killed_by(&self) -> Option<i32> {
        self.status.signal()
    }
}

fn is_prompt(style: Style) -> bool {
    matches!(style, Style::PromptEchoOn | Style::PromptEchoOff)
}

fn typed(answer: &Answer) -> Option<Vec<u8>> {
    match answer {
        Answer::Text(bytes) | Answer::Held(bytes) | Answer::Late(_, bytes) => Some(bytes.clone()),
        Answer::Null | Answer::ConversationError => None,
    }
}
