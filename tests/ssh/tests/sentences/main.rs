//! What a person, a stranger and a broken disk meet on a real host. Each test is a sentence, and holds on Debian 12 and 13.

mod codes;
mod first_login;
mod misconfiguration;
mod own_devices;
mod programs;
mod sshd;
mod store;
mod strangers;
