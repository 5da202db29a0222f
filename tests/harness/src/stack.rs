//! A PAM stack of a test's own: a private folder instead of /etc/pam.d, no root.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use crate::artifacts;

/// A configuration folder for `pam_start_confdir(3)` with one service in it.
#[derive(Clone)]
pub struct Stack {
    folder: Arc<TempDir>,
}

impl Stack {
    /// The service every test logs in to.
    pub const SERVICE: &str = "mfa-test";

    /// A stack of these lines. The word `pam_mfa.so` in them becomes the path of the module under test, under the name it is
    /// installed as: libpam puts that name into the log.
    pub fn new(lines: &str) -> Self {
        Self::with_module(lines, &artifacts::module())
    }

    /// The same with another module in the place of `pam_mfa.so`.
    pub fn with_module(lines: &str, module: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("pam-mfa-stack-").tempdir().expect("a temporary folder");
        let installed = folder.path().join("pam_mfa.so");
        symlink(module, &installed).expect("a link in a new folder");
        let module = installed.to_str().expect("a temporary folder has a plain name");
        let stack: String = lines.lines().map(|line| with_path(line, module) + "\n").collect();
        fs::write(folder.path().join(Self::SERVICE), stack).expect("a file in a new folder");
        // As in every distribution: what the stack does not speak of is denied.
        fs::write(folder.path().join("other"), DENY).expect("a file in a new folder");
        Self { folder: Arc::new(folder) }
    }

    /// Has the stack for another service too.
    pub fn serve(&self, service: &str) {
        fs::copy(self.path().join(Self::SERVICE), self.path().join(service))
            .expect("a file in our own folder");
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

const DENY: &str = "auth required pam_deny.so\naccount required pam_deny.so\npassword required pam_deny.so\n\
                    session required pam_deny.so\n";

fn with_path(line: &str, module: &str) -> String {
    let words: Vec<&str> =
        line.split(' ').map(|word| if word == "pam_mfa.so" { module } else { word }).collect();
    words.join(" ")
}
