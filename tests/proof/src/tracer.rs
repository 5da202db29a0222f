//! A login or a program, stopped at every system call (ptrace(2)).

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mfa_test_harness::{Host, Login, Transcript};
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::scoreboard::Unfit;

/// A process that stops before and after every system call.
pub(crate) struct Tracee {
    pid: Pid,
    /// The call that it is in, between its two stops.
    inside: Option<Call>,
    planned_result: Option<i64>,
}

/// Where a process stands still.
pub(crate) enum Stop {
    /// Before a call: nothing of it has happened.
    Before(Call),
    /// After it.
    After(Call, i64),
    /// It has ended, and waits to be waited for.
    Ended,
}

impl Stop {
    pub(crate) const fn call(&self) -> Option<Call> {
        match self {
            Self::Before(call) | Self::After(call, _) => Some(*call),
            Self::Ended => None,
        }
    }
}

/// A system call and what it was called with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: i64,
    pub(crate) arguments: [u64; 6],
}

impl Tracee {
    /// Takes hold of a process of ours, wherever it is.
    pub(crate) fn seize(process: u32) -> io::Result<Self> {
        let pid = Pid::from_raw(process.try_into().map_err(io::Error::other)?);
        ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_EXITKILL)?;
        ptrace::interrupt(pid)?;
        let tracee = Self { pid, inside: None, planned_result: None };
        match tracee.wait()? {
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => Err(io::Error::other("it has ended")),
            WaitStatus::Stopped(..)
            | WaitStatus::PtraceEvent(..)
            | WaitStatus::PtraceSyscall(_)
            | WaitStatus::Continued(_)
            | WaitStatus::StillAlive => Ok(tracee),
        }
    }

    /// Lets it go on to its next stop.
    pub(crate) fn step(&mut self) -> io::Result<Stop> {
        let mut signal = None;
        loop {
            if ptrace::syscall(self.pid, signal.take()) == Err(Errno::ESRCH) {
                return Ok(Stop::Ended);
            }
            match self.wait()? {
                WaitStatus::PtraceSyscall(_) => return self.at_a_call(),
                WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return Ok(Stop::Ended),
                WaitStatus::Stopped(_, sent) => signal = Some(sent),
                WaitStatus::PtraceEvent(..) | WaitStatus::Continued(_) | WaitStatus::StillAlive => {}
            }
        }
    }

    fn at_a_call(&mut self) -> io::Result<Stop> {
        let Some(call) = self.inside.take() else {
            let call = registers::call(self.pid)?;
            self.inside = Some(call);
            return Ok(Stop::Before(call));
        };
        if let Some(result) = self.planned_result.take() {
            registers::set_result(self.pid, result)?;
            return Ok(Stop::After(call, result));
        }
        Ok(Stop::After(call, registers::result(self.pid)?))
    }

    /// Before a call: it does not happen, and fails with this error.
    pub(crate) fn fail(&mut self, error: Errno) -> io::Result<()> {
        registers::skip_call(self.pid)?;
        #[expect(clippy::as_conversions, reason = "the number of an error")]
        let number = i64::from(error as i32);
        self.planned_result = Some(-number);
        Ok(())
    }

    /// Before a write: less than all is written.
    pub(crate) fn shorten(&mut self, length: u64) -> io::Result<()> {
        registers::set_third_argument(self.pid, length)
    }

    /// kill -9, now: what it is before does not happen.
    pub(crate) fn kill(&self) -> io::Result<()> {
        Ok(kill(self.pid, Signal::SIGKILL)?)
    }

    /// Lets it go, to run on untraced.
    pub(crate) fn let_go(self) -> io::Result<()> {
        match ptrace::detach(self.pid, None) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Its memory.
    pub(crate) fn memory(&self, address: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        File::open(self.file("mem"))?.read_exact_at(&mut bytes, address)?;
        Ok(bytes)
    }

    /// A string of its.
    pub(crate) fn text(&self, address: u64) -> io::Result<Vec<u8>> {
        const PAGE: u64 = 4096;
        let memory = File::open(self.file("mem"))?;
        let (mut text, mut at) = (Vec::new(), address);
        loop {
            // Not beyond a page: the next may not be there.
            let mut part = vec![0; usize::try_from(PAGE - at % PAGE).expect("a page is small")];
            memory.read_exact_at(&mut part, at)?;
            if let Some(end) = part.iter().position(|byte| *byte == 0) {
                text.extend(part.iter().take(end));
                return Ok(text);
            }
            at += PAGE - at % PAGE;
            text.extend(part);
        }
    }

    /// What one of its descriptors leads to, as a name: a path, or `pipe:[..]`.
    pub(crate) fn leads_to(&self, descriptor: u64) -> PathBuf {
        fs::read_link(self.file(&format!("fd/{}", low_half(descriptor)))).unwrap_or_default()
    }

    /// A file below its /proc/PID.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.pid.to_string()).join(name)
    }

    /// The end of a process is looked at, but left to whoever started it.
    fn wait(&self) -> io::Result<WaitStatus> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED;
        let status = waitid(Id::Pid(self.pid), flags | WaitPidFlag::WNOWAIT)?;
        if matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
            return Ok(status);
        }
        Ok(waitid(Id::Pid(self.pid), flags)?)
    }
}

/// A descriptor is an `int`: the upper half of its register is nobody's.
pub(crate) const fn low_half(register: u64) -> u64 {
    register & 0xffff_ffff
}

/// Whether processes can be traced here: asked first by every trial that needs it.
pub(crate) fn must_work() -> Result<(), Unfit> {
    if cfg!(not(target_arch = "x86_64")) {
        return Err(Unfit::CannotRun {
            why: "the tracer knows the registers of x86_64 alone".to_owned(),
            cure: "run the kit on x86_64, or add this machine's registers in tests/proof/src/tracer.rs"
                .to_owned(),
        });
    }
    let mut child = Command::new("sleep").arg("60").spawn().expect("sleep is everywhere");
    let seized = Tracee::seize(child.id());
    child.kill().expect("our own child");
    child.wait().expect("our own child");
    seized.map(|_| ()).map_err(|error| Unfit::CannotRun {
        why: format!("ptrace(2): {error}"),
        cure: "allow it: in a container --cap-add SYS_PTRACE, and kernel.yama.ptrace_scope below 3"
            .to_owned(),
    })
}

/// What to do at a stop.
pub(crate) enum Next {
    GoOn,
    Kill,
    Fail(Errno),
    Shorten(u64),
}

/// Runs a login and asks at every stop between the call of libpam and its return what is to happen. The stop at which the
/// host program tells that libpam has returned is the last.
pub(crate) fn trace(login: Login, at: impl FnMut(&Tracee, &Stop) -> Next) -> Transcript {
    let mut login = login.host(Host { starts_held: true, ..Host::default() }).start();
    login.wait_for_the_call();
    let tracee = Tracee::seize(login.process()).expect(TRACED);
    login.let_go();
    // It waited in read(2) for us.
    let called = |stop: &Stop| matches!(stop, Stop::After(call, 0) if call.number == libc::SYS_read);
    follow(tracee, called, tells_the_return, at);
    login.finish()
}

/// Runs a program, which waits to be let go, and asks at every stop from its first instruction to its end.
pub(crate) fn trace_program(waits: &mut Child, at: impl FnMut(&Tracee, &Stop) -> Next) {
    let tracee = Tracee::seize(waits.id()).expect(TRACED);
    // Dropped with this: what it reads after that is somebody else's to say.
    writeln!(waits.stdin.take().expect("it is piped"), "go").expect("it waits for this");
    let started = |stop: &Stop| matches!(stop, Stop::After(call, 0) if call.number == libc::SYS_execve);
    follow(tracee, started, |_, _| false, at);
}

/// This program, once it is told to go: by the first line of its input, which it does not see.
pub(crate) fn waiting(program: &Command) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "read -r go; exec \"$@\"", "sh"]).arg(program.get_program()).args(program.get_args());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn follow(
    mut tracee: Tracee,
    begins: impl Fn(&Stop) -> bool,
    ends_with: impl Fn(&Tracee, &Call) -> bool,
    mut at: impl FnMut(&Tracee, &Stop) -> Next,
) {
    let mut begun = false;
    loop {
        let stop = tracee.step().expect(TRACED);
        let Some(call) = stop.call() else { return };
        if !begun {
            begun = begins(&stop);
            continue;
        }
        let last = ends_with(&tracee, &call);
        match at(&tracee, &stop) {
            Next::GoOn => {}
            Next::Kill => return tracee.kill().expect(TRACED),
            Next::Fail(error) => tracee.fail(error).expect(TRACED),
            Next::Shorten(length) => tracee.shorten(length).expect(TRACED),
        }
        if last && matches!(stop, Stop::After(..)) {
            return tracee.let_go().expect(TRACED);
        }
    }
}

const TRACED: &str = "a process of ours can be traced";

/// What the host program tells its test goes through a pipe.
pub(crate) fn is_talk(tracee: &Tracee, call: &Call) -> bool {
    call.number == libc::SYS_write
        && tracee.leads_to(call.arguments[0]).to_string_lossy().starts_with("pipe:")
}

fn tells_the_return(tracee: &Tracee, call: &Call) -> bool {
    const SIGN: &[u8] = b"{\"Returned\"";
    is_talk(tracee, call) && tracee.memory(call.arguments[1], SIGN.len()).is_ok_and(|told| told == SIGN)
}

/// The registers of a process that stands at a system call.
#[cfg(target_arch = "x86_64")]
mod registers {
    use std::io;

    use nix::sys::ptrace;
    use nix::unistd::Pid;

    use super::Call;

    pub(super) fn call(pid: Pid) -> io::Result<Call> {
        let registers = ptrace::getregs(pid)?;
        Ok(Call {
            number: registers.orig_rax.cast_signed(),
            arguments: [
                registers.rdi,
                registers.rsi,
                registers.rdx,
                registers.r10,
                registers.r8,
                registers.r9,
            ],
        })
    }

    pub(super) fn result(pid: Pid) -> io::Result<i64> {
        Ok(ptrace::getregs(pid)?.rax.cast_signed())
    }

    pub(super) fn set_result(pid: Pid, result: i64) -> io::Result<()> {
        let mut registers = ptrace::getregs(pid)?;
        registers.rax = result.cast_unsigned();
        Ok(ptrace::setregs(pid, registers)?)
    }

    /// A call of number -1 is none.
    pub(super) fn skip_call(pid: Pid) -> io::Result<()> {
        let mut registers = ptrace::getregs(pid)?;
        registers.orig_rax = u64::MAX;
        Ok(ptrace::setregs(pid, registers)?)
    }

    pub(super) fn set_third_argument(pid: Pid, value: u64) -> io::Result<()> {
        let mut registers = ptrace::getregs(pid)?;
        registers.rdx = value;
        Ok(ptrace::setregs(pid, registers)?)
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod registers {
    use std::io;

    use nix::unistd::Pid;

    use super::Call;

    pub(super) fn call(_pid: Pid) -> io::Result<Call> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn result(_pid: Pid) -> io::Result<i64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn set_result(_pid: Pid, _result: i64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn skip_call(_pid: Pid) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn set_third_argument(_pid: Pid, _value: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
