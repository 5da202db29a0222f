//! A store of a test's own, and what can befall its files.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::login::Login;
use crate::stack::Stack;

/// A folder for `store=` and `--store`, gone with this value.
pub struct Store {
    folder: TempDir,
}

impl Store {
    /// An empty one, in the folder for temporary files.
    pub fn temporary() -> Self {
        Self::within(&std::env::temp_dir())
    }

    /// An empty one, in a folder of the caller's choice (another file system, say).
    pub fn within(parent: &Path) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("pam-mfa-test-")
            .tempdir_in(parent)
            .unwrap_or_else(|error| panic!("no temporary folder in {}: {error}", parent.display()));
        DirBuilder::new().mode(0o700).create(folder.path().join("store")).expect("a folder in a new folder");
        Self { folder }
    }

    /// A second store that holds the same: for trials that begin alike.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = Self::temporary();
        fs::remove_dir(copy.path()).expect("an empty folder");
        let status = Command::new("cp").arg("-a").arg(self.path()).arg(copy.path()).status();
        assert!(status.expect("cp is everywhere").success(), "cp -a {}", self.path().display());
        copy
    }

    /// The folder to give to `store=` and `--store`.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// A place next to the store for a test's other files.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of the store, by its name in docs/record-format.md.
    pub fn file(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        assert!(path.symlink_metadata().is_ok(), "the store has no {name}: see docs/record-format.md");
        path
    }

    /// Every file of the store and its content: two are equal if nothing was written between them.
    pub fn content(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        collect(&self.path(), &mut files);
        files.sort();
        files
    }

    /// The usual stack: the module alone.
    pub fn stack(&self) -> Stack {
        self.stack_with("")
    }

    /// The module alone, with further options.
    pub fn stack_with(&self, options: &str) -> Stack {
        Stack::new(&format!("auth required {} {options}", self.module()))
    }

    /// The module in all four parts of a stack, beside one that lets everybody through.
    pub fn whole_stack(&self) -> Stack {
        let lines = ["auth", "account", "session", "password"]
            .map(|part| format!("{part} required {}\n{part} required pam_permit.so\n", self.module()));
        Stack::new(&lines.concat())
    }

    /// `pam_mfa.so store=...`, to build other stacks with.
    pub fn module(&self) -> String {
        format!("pam_mfa.so store={}", self.path().display())
    }

    /// A login of `user` through the usual stack.
    pub fn login(&self, user: &str) -> Login {
        Login::new(&self.stack()).user(user)
    }
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).expect("a folder of the store") {
        let path = entry.expect("an entry of the store").path();
        if path.is_dir() {
            files.push((path.clone(), Vec::new()));
            collect(&path, files);
        } else {
            let content = fs::read(&path).expect("a file of the store");
            files.push((path, content));
        }
    }
}
