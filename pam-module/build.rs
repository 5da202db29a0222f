//! Links the part of gcc's runtime that unwinds a panic into the module, so that a login does not load it as a library.
//!
//! libgcc_s.so.1 is in no program that asks for a password, so every `pam_start(3)` would load it anew and every `pam_end(3)` unload
//! it; and when loaded it asks the processor what it can do, which takes long in a virtual machine. It was half of a login's time.

use std::path::Path;
use std::process::Command;

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let compiler = std::env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    let output = Command::new(&compiler).arg("-print-file-name=libgcc_eh.a").output();
    let output = output.map_err(|error| format!("{compiler}: {error}; hint: apt-get install gcc"))?;
    let library = String::from_utf8_lossy(&output.stdout);
    // A compiler that has none repeats the name alone.
    let folder = Path::new(library.trim()).parent().filter(|folder| folder.is_absolute());
    let folder = folder.ok_or_else(|| {
        format!("{compiler} has no libgcc_eh.a, which is part of gcc; hint: apt-get install gcc")
    })?;
    println!("cargo::rustc-link-search=native={}", folder.display());
    println!("cargo::rustc-link-lib=static=gcc_eh");
    if knows_packed_relocations() {
        // 900 of 24 bytes each otherwise, which every login would read.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,pack-relative-relocs");
    }
    Ok(())
}

/// Whether the C library here, and so the one that will load the module, is glibc 2.36 or newer.
fn knows_packed_relocations() -> bool {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let mut numbers =
        text.trim().trim_start_matches("glibc ").split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (2, 36)
}
