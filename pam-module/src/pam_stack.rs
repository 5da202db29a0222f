//! Whether a service really runs this module in its account phase.
//!
//! A person who is to get a device passes the auth phase without one. What happens then must not depend on hope: unless the service's
//! own PAM file shows that the account phase comes to this module and can't let anybody in without it, nobody is enrolled and the login
//! is refused. What can't be read with certainty counts as not shown (pam.d(5), and libpam/pam_handlers.c for what it leaves open).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The name that the module is installed by.
const MODULE: &str = "pam_mfa.so";

/// Where libpam looks for a service's file, in this order.
const FOLDERS: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];

/// The largest PAM file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

const CURE: &str = "put \"account required pam_mfa.so\" above every account line that is sufficient, has [..], or includes such lines \
                    (Debian: @include common-account)";

const RESET: &str = "its control has a reset, which would forget that pam_mfa.so has refused: use \"account requisite pam_mfa.so\"";

/// Checks the file of `service`, in `folder` if it is given, for a line that loads the module from `own_path`.
///
/// # Errors
/// A sentence that says what is wrong, where, and what to do.
pub(crate) fn check_account_phase(
    service: &[u8],
    folder: Option<&Path>,
    own_path: Option<&Path>,
) -> Result<(), String> {
    let name = Path::new(OsStr::from_bytes(service));
    if name.components().count() != 1 || name.file_name().is_none() {
        return Err("the service has no name that a PAM file could have".to_owned());
    }
    let folders = folder.map_or_else(|| FOLDERS.map(Path::new).to_vec(), |folder| vec![folder]);
    for path in folders.iter().map(|folder| folder.join(name)) {
        match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{}: {error}", path.display())),
            Ok(text) => {
                let checked = check(&text, own_path, &folders);
                let checked = checked.and_then(|()| check_included(&text, &folders, 0));
                return checked.map_err(|Fault { line, why }| {
                    let line = line.map_or_else(String::new, |number| format!(", line {number}"));
                    format!("nobody can be enrolled at a login by {}{line}: {why}", path.display())
                });
            }
        }
    }
    let looked: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    Err(format!("there is no PAM file of its own for this service in {}: {CURE}", looked.join(" or ")))
}

/// libpam has read it a moment ago, so this is about size and kind, not about trust.
fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        return Err(io::Error::other("it is too large to be looked through"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What is wrong with a PAM file, and in which line.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    line: Option<usize>,
    why: String,
}

impl Fault {
    fn at(line: usize, why: impl Into<String>) -> Self {
        Self { line: Some(line), why: why.into() }
    }
}

/// Looks through the account lines: first those that could end the phase before this module, then the module, then the rest.
fn check(text: &str, own_path: Option<&Path>, folders: &[&Path]) -> Result<(), Fault> {
    let mut ours: Option<Control> = None;
    for Line { number, words } in lines(text)? {
        let Some(entry) = Entry::read(number, &words)? else { continue };
        match &ours {
            None if entry.is_ours() => ours = Some(our_control(&entry, own_path)?),
            None => check_before(&entry, folders, 0)?,
            // A failure of a required module is remembered until the end, unless a later line says that nothing happened.
            Some(Control::Required) if entry.control == Control::Listed(Listed::WithReset) => {
                return Err(Fault::at(number, RESET));
            }
            Some(_) => {}
        }
    }
    ours.map(|_| ())
        .ok_or_else(|| Fault { line: None, why: format!("it has no account line for pam_mfa.so: {CURE}") })
}

/// How deep libpam follows includes (PAM_SUBSTACK_MAX_LEVEL).
const MAX_DEPTH: u8 = 16;

/// Looks through what a file includes for a control with a reset: behind a required module it would forget a refusal there, too. What is
/// included before our line has no such control, see `check_before`; a requisite module has ended the phase by then.
fn check_included(text: &str, folders: &[&Path], depth: u8) -> Result<(), Fault> {
    for Line { number, words } in lines(text)? {
        let Some(entry) = Entry::read(number, &words)? else { continue };
        if depth == 0 && entry.is_ours() && entry.control == Control::Requisite {
            return Ok(());
        }
        if depth > 0 && entry.control == Control::Listed(Listed::WithReset) {
            return Err(Fault::at(number, RESET));
        }
        if entry.control != Control::Include {
            continue;
        }
        let why = |why: &str| {
            let cure = "use \"account requisite pam_mfa.so\", which needs no look at it";
            Fault::at(number, format!("what it includes, {}: {why}: {cure}", entry.module))
        };
        let included = included(&entry, folders).ok_or_else(|| why("it can't be read"))?;
        if depth >= MAX_DEPTH || check_included(&included, folders, depth.saturating_add(1)).is_err() {
            return Err(why("it is not certain that it forgets no refusal (reset)"));
        }
    }
    Ok(())
}

/// The file that an include names. None: it can't be read.
fn included(entry: &Entry, folders: &[&Path]) -> Option<String> {
    folders.iter().find_map(|folder| read(&folder.join(&entry.module)).ok())
}

fn our_control(entry: &Entry, own_path: Option<&Path>) -> Result<Control, Fault> {
    if !own_path.is_some_and(|own_path| is_loaded_from(Path::new(&entry.module), own_path)) {
        let why = "this may be another pam_mfa.so than that of the auth line: name both by the same path";
        return Err(Fault::at(entry.line, why));
    }
    if entry.may_be_missing {
        return Err(Fault::at(entry.line, "\"-account\" would do without pam_mfa.so: take the dash away"));
    }
    match entry.control {
        Control::Required | Control::Requisite => Ok(entry.control),
        Control::Optional | Control::Sufficient | Control::Include | Control::Listed(_) => {
            Err(Fault::at(entry.line, "the control of pam_mfa.so must be required or requisite"))
        }
    }
}

/// Whether libpam, told to load `module`, loads the file that this code is from: another version might know nothing of what this one does.
fn is_loaded_from(module: &Path, own_path: &Path) -> bool {
    if module.is_absolute() {
        let file = |path: &Path| path.metadata().ok().map(|status| (status.dev(), status.ino()));
        return file(module).is_some_and(|named| file(own_path) == Some(named));
    }
    // Without a path it comes from libpam's own folder, which is called `security` everywhere.
    let is_in_libpams_folder =
        own_path.parent().and_then(Path::file_name).is_some_and(|folder| folder == "security");
    is_in_libpams_folder && own_path.file_name() == Some(module.as_os_str())
}

/// Whether a line above ours leaves it certain that the phase comes to ours. Debian's files begin with `@include common-auth`, in which no
/// line is about accounts: what is included is looked at.
fn check_before(entry: &Entry, folders: &[&Path], depth: u8) -> Result<(), Fault> {
    let what = match entry.control {
        // The worst these can do is to refuse.
        Control::Required | Control::Requisite | Control::Optional => return Ok(()),
        Control::Sufficient => "a sufficient module",
        Control::Include if depth < MAX_DEPTH && ends_nothing(entry, folders, depth) => return Ok(()),
        Control::Include => "what is included here",
        Control::Listed(_) => "a control in [..]",
    };
    let cure = "put \"account required pam_mfa.so\" above it";
    Err(Fault::at(entry.line, format!("{what} could end the account phase before pam_mfa.so: {cure}")))
}

/// Whether everything that an include stands for is such a line.
fn ends_nothing(include: &Entry, folders: &[&Path], depth: u8) -> bool {
    let harmless = |text: &str| -> Result<(), Fault> {
        for Line { number, words } in lines(text)? {
            if let Some(entry) = Entry::read(number, &words)? {
                check_before(&entry, folders, depth.saturating_add(1))?;
            }
        }
        Ok(())
    };
    included(include, folders).is_some_and(|text| harmless(&text).is_ok())
}

/// A line that concerns the account phase.
struct Entry {
    line: usize,
    /// `-account`: if the module can't be loaded, the line counts for nothing.
    may_be_missing: bool,
    control: Control,
    /// The path or name of the module, as it is written.
    module: String,
}

/// What the result of a module does to the phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Control {
    Required,
    Requisite,
    Optional,
    Sufficient,
    /// `include`, `substack`, `@include`: other lines stand there.
    Include,
    /// `[success=1 default=ignore]`
    Listed(Listed),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    WithReset,
    WithoutReset,
}

impl Entry {
    /// None for a line of another phase.
    fn read(line: usize, words: &[Word]) -> Result<Option<Self>, Fault> {
        let not_understood =
            || Fault::at(line, "it is not understood, so what comes after it can't be relied on");
        let Some(first) = words.first() else { return Ok(None) };
        // Debian's own: it stands for the lines of all phases.
        if first.text.starts_with('@') {
            let (control, module) = (Control::Include, words.get(1));
            let module = module.map(|word| word.text.clone()).unwrap_or_default();
            return Ok(Some(Self { line, may_be_missing: false, control, module }));
        }
        let (phase, may_be_missing) =
            first.text.strip_prefix('-').map_or((first.text.as_str(), false), |phase| (phase, true));
        match phase.to_ascii_lowercase().as_str() {
            "account" if !first.is_bracketed => {}
            "auth" | "session" | "password" if !first.is_bracketed => return Ok(None),
            _ => return Err(not_understood()),
        }
        let (Some(control), Some(module)) = (words.get(1), words.get(2)) else {
            return Err(not_understood());
        };
        let control = if control.is_bracketed {
            let has_reset = control.text.to_ascii_lowercase().contains("reset");
            Control::Listed(if has_reset { Listed::WithReset } else { Listed::WithoutReset })
        } else {
            match control.text.to_ascii_lowercase().as_str() {
                "required" => Control::Required,
                "requisite" => Control::Requisite,
                "optional" => Control::Optional,
                "sufficient" => Control::Sufficient,
                "include" | "substack" => Control::Include,
                _ => return Err(not_understood()),
            }
        };
        Ok(Some(Self { line, may_be_missing, control, module: module.text.clone() }))
    }

    fn is_ours(&self) -> bool {
        self.control != Control::Include
            && Path::new(&self.module).file_name().is_some_and(|name| name == MODULE)
    }
}

/// A line as libpam puts it together.
struct Line {
    /// Where it begins in the file, from 1.
    number: usize,
    words: Vec<Word>,
}

/// A word, or what stands in brackets.
#[derive(Debug, PartialEq, Eq)]
struct Word {
    text: String,
    is_bracketed: bool,
}

/// All lines that say something. Where the versions of libpam could differ, or a person could be mistaken, it is a fault.
fn lines(text: &str) -> Result<Vec<Line>, Fault> {
    let mut found = Vec::new();
    let mut begun: Option<(usize, String)> = None;
    for (number, raw) in text.split('\n').enumerate().map(|(index, raw)| (index.saturating_add(1), raw)) {
        let is_comment = raw.trim_start_matches([' ', '\t']).starts_with('#');
        let (content, comment) =
            raw.split_once('#').map_or((raw, None), |(before, after)| (before, Some(after)));
        let content = content.trim_matches([' ', '\t']);
        if content.chars().any(|c| c.is_control() && c != '\t') {
            return Err(Fault::at(number, "it holds a control character (of another system's line ends?)"));
        }
        if comment.is_some_and(|comment| comment.trim_end().ends_with('\\')) {
            return Err(Fault::at(
                number,
                "its comment ends with a backslash: whether it goes on is not certain",
            ));
        }
        if begun.is_some() && (content.is_empty() || is_comment) {
            return Err(Fault::at(number, "it is empty, though the line above goes on by its backslash"));
        }
        let goes_on = comment.is_none() && content.ends_with('\\');
        if goes_on && !raw.ends_with('\\') {
            return Err(Fault::at(number, "blanks stand behind its last backslash"));
        }
        let (first, mut joined) = begun.take().unwrap_or((number, String::new()));
        joined.push_str(if goes_on { content.strip_suffix('\\').unwrap_or(content) } else { content });
        if goes_on {
            joined.push(' ');
            begun = Some((first, joined));
        } else if !joined.trim().is_empty() {
            found.push(Line {
                number: first,
                words: words(&joined).ok_or_else(|| Fault::at(first, "a [ has no ]"))?,
            });
        }
    }
    match begun {
        Some((number, _)) => Err(Fault::at(number, "the file ends where the line should go on")),
        None => Ok(found),
    }
}

/// As `_pam_StrTok`: blanks part words, brackets hold them together, `\]` inside is a bracket. None: brackets without an end.
fn words(line: &str) -> Option<Vec<Word>> {
    let mut found = Vec::new();
    let mut rest = line.trim_start_matches([' ', '\t']);
    while !rest.is_empty() {
        let (text, after) = if let Some(inside) = rest.strip_prefix('[') {
            let mut text = String::new();
            let mut letters = inside.char_indices();
            let end = loop {
                match letters.next()? {
                    (at, ']') => break at,
                    (at, '\\') if inside.get(at.saturating_add(1)..)?.starts_with(']') => {
                        letters.next();
                        text.push(']');
                    }
                    (_, letter) => text.push(letter),
                }
            };
            (Word { text, is_bracketed: true }, inside.get(end.saturating_add(1)..)?)
        } else {
            let end = rest.find([' ', '\t']).unwrap_or(rest.len());
            let (word, after) = rest.split_at_checked(end)?;
            (Word { text: word.to_owned(), is_bracketed: false }, after)
        };
        found.push(text);
        rest = after.trim_start_matches([' ', '\t']);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing if the file is fine, or the line at fault (0 if it is none) and why.
    fn fault(text: &str) -> Option<(usize, String)> {
        check(text, Some(Path::new("/lib/security/pam_mfa.so")), &[])
            .err()
            .map(|Fault { line, why }| (line.unwrap_or(0), why))
    }

    #[track_caller]
    fn assert_fine(text: &str) {
        assert_eq!(fault(text), None, "{text}");
    }

    #[track_caller]
    fn assert_fault(text: &str, line: usize, why: &str) {
        let found = fault(text);
        let fits = found.as_ref().is_some_and(|(at, said)| *at == line && said.contains(why));
        assert!(fits, "{text:?}: {found:?}");
    }

    #[test]
    fn the_account_line_stands_where_it_is_certain_to_run() {
        for text in [
            "account required pam_mfa.so",
            "account requisite pam_mfa.so\n",
            "Account\tREQUIRED\tpam_mfa.so store=/s",
            "account required pam_nologin.so\naccount required pam_mfa.so\n@include common-account\n",
            "account optional pam_x.so\n-account requisite pam_y.so\naccount required pam_mfa.so # ours\n",
            "# account sufficient pam_x.so\n\n   \naccount \\\n  required \\\npam_mfa.so\n",
        ] {
            assert_fine(text);
        }
        assert_fine(
            "auth [success=1 default=ignore] pam_unix.so\nauth include other\nsession include x\n\
             account required pam_mfa.so\naccount [success=1 default=ignore] pam_unix.so\n\
             account sufficient pam_x.so\naccount include y\n",
        );
    }

    #[test]
    fn without_an_account_line_nobody_is_enrolled() {
        for text in [
            "",
            "auth required pam_mfa.so\n",
            "#account required pam_mfa.so\n",
            "account required pam_unix.so pam_mfa.so\n",
            "account required pam_mfa.so.old\n",
            "account required not_pam_mfa.so\n",
            "account required PAM_MFA.SO\n",
            "session required pam_mfa.so\n",
            "account required # pam_mfa.so\n",
        ] {
            assert!(fault(text).is_some(), "{text}");
        }
        assert_fault("auth required pam_mfa.so\n", 0, "it has no account line");
    }

    #[test]
    fn whatever_could_end_the_phase_before_it_is_a_fault() {
        for before in [
            "account sufficient pam_x.so",
            "account SUFFICIENT pam_x.so",
            "-account sufficient pam_x.so",
            "account include common-account",
            "account substack common-account",
            "@include common-account",
            "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so",
            "account [default=ok] pam_x.so",
            "account include pam_mfa.so",
        ] {
            assert_fault(
                &format!("# sshd\n{before}\naccount required pam_mfa.so\n"),
                2,
                "could end the account phase",
            );
        }
    }

    #[test]
    fn its_control_must_be_one_that_refuses() {
        for control in ["optional", "sufficient", "[success=ok default=ignore]", "[default=die]"] {
            assert_fault(&format!("account {control} pam_mfa.so"), 1, "must be required or requisite");
        }
        assert_fault("-account required pam_mfa.so", 1, "take the dash away");
        assert_fault("account required pam_mfa.so\naccount [default=reset] pam_x.so", 2, "has a reset");
        assert_fine("account requisite pam_mfa.so\naccount [default=reset] pam_x.so");
    }

    #[test]
    fn what_is_not_understood_is_a_fault() {
        for (text, line) in [
            ("acount required pam_x.so\naccount required pam_mfa.so", 1),
            ("account require pam_x.so\naccount required pam_mfa.so", 1),
            ("account required\naccount required pam_mfa.so", 1),
            ("account\naccount required pam_mfa.so", 1),
            ("[account] required pam_mfa.so", 1),
            ("account [default=ok pam_x.so\naccount required pam_mfa.so", 1),
            ("account required pam_mfa.so\r\n", 1),
            ("account required pam_mfa.so\u{0}\n", 1),
            ("account required pam_x.so \\ \naccount required pam_mfa.so", 1),
            ("account required pam_x.so \\\n\naccount required pam_mfa.so", 2),
            ("account required pam_x.so \\\n# x\naccount required pam_mfa.so", 2),
            ("# x \\\naccount required pam_mfa.so", 1),
            ("account required pam_x.so # x \\\naccount required pam_mfa.so", 1),
            ("account required pam_mfa.so \\", 1),
        ] {
            assert_eq!(fault(text).map(|(line, _)| line), Some(line), "{text:?}: {:?}", fault(text));
        }
        // The second line is the argument of the first.
        assert_fault("account required pam_x.so \\\naccount required pam_mfa.so\n", 0, "no account line");
    }

    #[test]
    fn the_line_must_load_the_module_that_is_running() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for file in ["pam_mfa.so", "other"] {
            std::fs::write(path(file), "").unwrap();
        }
        std::fs::create_dir(path("link")).unwrap();
        std::os::unix::fs::symlink(path("pam_mfa.so"), path("link/pam_mfa.so")).unwrap();
        let is_fine = |module: &Path, own: &Path| {
            check(&format!("account required {}", module.display()), Some(own), &[]).is_ok()
        };
        assert!(is_fine(&path("link/pam_mfa.so"), &path("pam_mfa.so")));
        assert!(!is_fine(&path("pam_mfa.so"), &path("other")));
        assert!(!is_fine(&path("none/pam_mfa.so"), &path("pam_mfa.so")));
        assert!(!is_fine(Path::new("pam_mfa.so"), &path("pam_mfa.so")), "not from libpam's folder");
        assert!(is_fine(Path::new("pam_mfa.so"), Path::new("/usr/lib/security/pam_mfa.so")));
        assert!(check("account required pam_mfa.so", None, &[]).is_err());
    }

    #[test]
    fn an_include_above_it_is_fine_if_nothing_in_it_could_end_the_phase() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        // As Debian's common-auth and common-account are.
        write(
            "common-auth",
            "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\n",
        );
        write("common-account", "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\n");
        write("strict", "account required pam_nologin.so\n@include common-auth\n");
        write("sufficient", "account sufficient pam_x.so\n");
        write("outer", "@include sufficient\n");
        write("nonsense", "acount required pam_x.so\n");
        write("round", "account include round\n");
        let own = Path::new("/lib/security/pam_mfa.so");
        let verdict = |include: &str| {
            write("service", &format!("{include}\naccount required pam_mfa.so\n@include common-account\n"));
            check_account_phase(b"service", Some(folder.path()), Some(own))
        };
        for include in ["@include common-auth", "@include strict", "account include strict"] {
            assert_eq!(verdict(include), Ok(()), "{include}");
        }
        for name in ["common-account", "sufficient", "outer", "nonsense", "round", "none", ""] {
            for include in [format!("@include {name}"), format!("account substack {name}")] {
                let why = verdict(&include).unwrap_err();
                assert!(why.contains("service, line 1"), "{include}: {why}");
            }
        }
    }

    #[test]
    fn a_reset_in_what_is_included_later_is_found_unless_the_line_is_requisite() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("harmless", "auth [default=reset] pam_x.so\naccount required pam_unix.so\n");
        write("resets", "account [success=ok default=Reset] pam_x.so\n");
        write("outer", "@include resets\n");
        write("round", "account include round\n");
        let own = Path::new("/lib/security/pam_mfa.so");
        let verdict = |control: &str, include: &str| {
            write("service", &format!("account {control} pam_mfa.so\n{include}\n"));
            check_account_phase(b"service", Some(folder.path()), Some(own))
        };
        assert_eq!(verdict("required", "@include harmless"), Ok(()));
        for include in ["@include resets", "account include outer", "account substack round", "@include none"]
        {
            let why = verdict("required", include).unwrap_err();
            assert!(why.contains("line 2") && why.contains("requisite"), "{include}: {why}");
            assert_eq!(verdict("requisite", include), Ok(()), "{include}");
        }
    }

    #[test]
    fn words_are_parted_as_libpam_does_it() {
        let texts =
            |line| words(line).map(|words| words.into_iter().map(|word| word.text).collect::<Vec<_>>());
        assert_eq!(texts(" a\t b  [c d\\] e]f ").unwrap(), ["a", "b", "c d] e", "f"]);
        assert_eq!(texts("[prompt=Code: ] [x").map(|_| ()), None);
        assert_eq!(texts("").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn the_service_s_own_file_is_read_in_the_order_of_libpam() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::write(path.join("good"), "account required pam_mfa.so\n").unwrap();
        std::fs::write(path.join("bad"), "auth required pam_mfa.so\n").unwrap();
        std::fs::write(path.join("huge"), "#".repeat(70_000)).unwrap();
        std::fs::create_dir(path.join("folder")).unwrap();
        let own = Path::new("/lib/security/pam_mfa.so");
        let check = |service: &str| check_account_phase(service.as_bytes(), Some(path), Some(own));
        assert_eq!(check("good"), Ok(()));
        let file = path.join("bad").display().to_string();
        assert!(check("bad").unwrap_err().contains(&format!("by {file}: it has no account line")));
        assert!(check("none").unwrap_err().contains("no PAM file of its own"));
        for service in ["huge", "folder", "", "..", ".", "../good", "/etc/passwd", "good/"] {
            assert!(check(service).is_err() || service == "good/", "{service}");
        }
        assert!(
            check_account_phase(b"no-such-service", None, None)
                .unwrap_err()
                .contains("/etc/pam.d or /usr/lib/pam.d")
        );
    }
}
