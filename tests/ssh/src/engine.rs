//! How the container engine is called.

use std::process::{Command, Output};

/// `docker`, or what the environment variable DOCKER names instead (`sudo docker`).
pub(crate) fn docker(arguments: &[&str]) -> Command {
    let named = std::env::var("DOCKER").unwrap_or_else(|_| "docker".to_owned());
    let mut words = named.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("docker"));
    command.args(words).args(arguments);
    command
}

/// Runs docker to its end; where there is none, says how to get one.
pub(crate) fn run(arguments: &[&str]) -> Output {
    docker(arguments).output().unwrap_or_else(|error| {
        panic!("docker can't be run: {error}\nhint: `make test` installs and starts it")
    })
}

/// What docker printed, both streams.
pub(crate) fn text(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}
