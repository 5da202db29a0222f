//! A program that logs in and then waits, so that a test can look at its memory from outside: pam-held-application CONFDIR SERVICE USER.
//!
//! Standard input brings: a length and so many bytes to be kept in memory for ever (a leak on purpose; 0: none), then for each prompt a length and
//! the answer, then a byte for each time it may go on. Standard output tells: `A` when pam_authenticate(3) has returned, and its result; `E`
//! after pam_end(3). With `core` as fourth argument it then ends with a core dump. Nothing that it reads is buffered or left behind.

use std::env;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use mfa_test_harness::libpam::{Call, Conversation, Handle, Reply, Style};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().collect();
    let [_, confdir, service, user, more @ ..] = arguments.as_slice() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // Not io::stdin(), which has a buffer that keeps what went through it.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    Box::leak(read_one(&mut input)?.into_boxed_slice());

    let typist = Box::new(Typist(input.try_clone()?));
    let mut handle = Handle::start(Path::new(confdir), service, Some(user.as_bytes()), typist)
        .map_err(|code| io::Error::other(format!("{code:?}")))?;
    let result = handle.call(Call::Authenticate, 0);
    output.write_all(&[b'A', u8::try_from(result.0).unwrap_or(u8::MAX)])?;
    input.read_exact(&mut [0])?;
    drop(handle);
    output.write_all(b"E")?;
    input.read_exact(&mut [0])?;
    if more.iter().any(|word| word == "core") {
        // As a bug in the host would end it.
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGABRT)?;
    }
    Ok(())
}

/// A length and so many bytes.
fn read_one(input: &mut File) -> io::Result<Vec<u8>> {
    let mut length = [0];
    input.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::from(length[0])];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

struct Typist(File);

impl Conversation for Typist {
    fn answer(&mut self, style: Style, _text: &[u8]) -> Reply {
        match style {
            Style::PromptEchoOff | Style::PromptEchoOn => {
                read_one(&mut self.0).map_or(Reply::Fail, Reply::Text)
            }
            Style::Error | Style::Info | Style::Other(_) => Reply::Null,
        }
    }

    fn delay(&mut self, _microseconds: u32) {}
}
