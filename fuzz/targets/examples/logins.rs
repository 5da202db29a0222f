//! Shows how the logins of scripts end: `cargo run -p mfa-fuzz-targets --example logins fuzz/corpus/authenticate/*`.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a tool for people at a terminal: what goes wrong ends it"
)]

fn main() {
    for path in std::env::args().skip(1) {
        println!("{path}");
        let script = std::fs::read(&path).expect("a file that can be read");
        for login in mfa_fuzz_targets::logins(&script) {
            println!("    {login}");
        }
    }
}
