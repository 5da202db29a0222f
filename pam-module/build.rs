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
    Ok(())
}
