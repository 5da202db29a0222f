//! policy.toml: how strict the login is. Owned by root and apart from the secrets.

use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::store::read_trusted_text;
use crate::throttle::Throttle;
use crate::toml_text;
use crate::user_name::UserName;

/// The largest policy file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// What policy.toml says. A missing file means the default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// How failures slow the next try.
    pub throttle: Throttle,
    /// How many time steps either side of the device's drift are accepted: 1, or 0 for OWASP ASVS 6.5.5.
    pub window_steps: WindowSteps,
    /// What becomes of a login without a device where no rule says it.
    pub unenrolled: Unenrolled,
    /// The rules, in their order.
    #[serde(rename = "rule")]
    pub rules: Vec<Rule>,
}

/// What becomes of the login of a person who has no device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unenrolled {
    /// It is refused.
    #[default]
    Refuse,
    /// The person sets up a device inside the login.
    Enroll,
}

/// A `[[rule]]`: whom it is about, and what it says of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RuleText")]
pub struct Rule {
    users: Option<Vec<UserName>>,
    groups: Option<Vec<String>>,
    unenrolled: Unenrolled,
}

impl Policy {
    /// Reads policy.toml. A file that is not there is the default.
    ///
    /// # Errors
    /// It can't be read, others could have written it, or it can't be understood.
    pub fn read(path: &Path) -> Result<Self> {
        match read_trusted_text(path, MAX_FILE_BYTES)? {
            None => Ok(Self::default()),
            Some(text) => {
                Self::from_toml(&text).map_err(|why| Error::BadPolicy { path: path.to_owned(), why })
            }
        }
    }

    /// What becomes of the login of `user`, who has no device: the first rule that is about this person decides.
    ///
    /// `is_member` says whether `user` is in a group. It is only asked where a rule needs to know, as it may take a while.
    pub fn unenrolled(&self, user: &UserName, mut is_member: impl FnMut(&str) -> bool) -> Unenrolled {
        let rule = self.rules.iter().find(|rule| rule.is_about(user, &mut is_member));
        rule.map_or(self.unenrolled, |rule| rule.unenrolled)
    }

    /// Whether anybody at all may set up a device inside a login.
    pub fn ever_enrolls(&self) -> bool {
        let mut sayings = self.rules.iter().map(|rule| rule.unenrolled).chain([self.unenrolled]);
        sayings.any(|unenrolled| unenrolled == Unenrolled::Enroll)
    }

    /// Reads the text of policy.toml.
    ///
    /// # Errors
    /// A sentence with the line that is wrong.
    pub fn from_toml(text: &str) -> std::result::Result<Self, String> {
        // Not the quoted source line: a wrong path may name any file of root's.
        toml_text::read(text)
            .map_err(|error| format!("{}: {}", error.line_in(text), error.message().replace('\n', " ")))
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            throttle: Throttle::Nist,
            window_steps: WindowSteps::ONE,
            unenrolled: Unenrolled::Refuse,
            rules: Vec::new(),
        }
    }
}

impl Rule {
    /// Whether every list that the rule has names this person.
    fn is_about(&self, user: &UserName, is_member: &mut impl FnMut(&str) -> bool) -> bool {
        // The list that costs nothing first.
        self.users.as_ref().is_none_or(|users| users.contains(user))
            && self.groups.as_ref().is_none_or(|groups| groups.iter().any(|group| is_member(group)))
    }
}

/// A rule as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    users: Option<Vec<String>>,
    groups: Option<Vec<String>>,
    unenrolled: Unenrolled,
}

impl TryFrom<RuleText> for Rule {
    type Error = &'static str;

    fn try_from(text: RuleText) -> std::result::Result<Self, Self::Error> {
        let RuleText { users, groups, unenrolled } = text;
        if users.is_none() && groups.is_none() {
            return Err("a rule must name users or groups; what holds for everybody stands above the rules");
        }
        // A name that can't be anybody's is a typing error, and an empty list is about nobody.
        let users: Option<Vec<UserName>> = users
            .map(|names| names.iter().map(|name| name.parse()).collect::<std::result::Result<_, _>>())
            .transpose()
            .map_err(|_| "users must be login names")?;
        let is_name =
            |name: &String| !name.is_empty() && !name.contains(|c: char| c.is_control() || c == ':');
        if !groups.iter().flatten().all(is_name) {
            return Err("groups must be names of groups");
        }
        if users.as_ref().is_some_and(Vec::is_empty) || groups.as_ref().is_some_and(Vec::is_empty) {
            return Err("a list of users or groups must not be empty");
        }
        Ok(Self { users, groups, unenrolled })
    }
}

/// Zero or one: RFC 6238 5.2 allows at most one step for the network and the typing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u8")]
pub struct WindowSteps(u8);

impl WindowSteps {
    /// The step either side.
    pub const ONE: Self = Self(1);
    /// Only the present step.
    pub const ZERO: Self = Self(0);

    pub(crate) const fn count(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for WindowSteps {
    type Error = &'static str;

    fn try_from(steps: u8) -> std::result::Result<Self, Self::Error> {
        match steps {
            0 | 1 => Ok(Self(steps)),
            _ => Err("window_steps must be 0 or 1"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Policy::from_toml("# nothing here\n").unwrap(), Policy::default());
    }

    #[test]
    fn a_preset_and_a_window_are_read() {
        let strict = Policy::from_toml("throttle = \"stig\"\nwindow_steps = 0\n").unwrap();
        let expected =
            Policy { throttle: Throttle::Stig, window_steps: WindowSteps::ZERO, ..Policy::default() };
        assert_eq!(strict, expected);
    }

    #[test]
    fn a_typing_error_is_refused_with_its_line() {
        for text in [
            "throtle = \"nist\"",
            "throttle = \"lenient\"",
            "window_steps = 2",
            "window_steps = -1",
            "throttle",
        ] {
            assert!(Policy::from_toml(text).unwrap_err().contains("line 1"), "{text}");
        }
    }

    fn unenrolled(text: &str, user: &str, groups: &[&str]) -> Unenrolled {
        let policy = Policy::from_toml(text).unwrap();
        policy.unenrolled(&user.parse().unwrap(), |group| groups.contains(&group))
    }

    #[test]
    fn who_has_no_device_is_refused_unless_the_policy_says_otherwise() {
        assert_eq!(unenrolled("", "alice", &[]), Unenrolled::Refuse);
        assert_eq!(unenrolled("unenrolled = \"refuse\"", "alice", &[]), Unenrolled::Refuse);
        assert_eq!(unenrolled("unenrolled = \"enroll\"", "alice", &[]), Unenrolled::Enroll);
    }

    #[test]
    fn the_first_rule_about_a_person_decides() {
        let text = "unenrolled = \"enroll\"\n\
                    [[rule]]\nusers = [\"root\", \"admin\"]\nunenrolled = \"refuse\"\n\
                    [[rule]]\ngroups = [\"staff\", \"wheel\"]\nunenrolled = \"enroll\"\n\
                    [[rule]]\ngroups = [\"guests\"]\nunenrolled = \"refuse\"\n";
        assert_eq!(unenrolled(text, "root", &["wheel"]), Unenrolled::Refuse);
        assert_eq!(unenrolled(text, "alice", &["wheel", "guests"]), Unenrolled::Enroll);
        assert_eq!(unenrolled(text, "alice", &["guests"]), Unenrolled::Refuse);
        assert_eq!(
            unenrolled(text, "alice", &["other"]),
            Unenrolled::Enroll,
            "no rule: the value above them"
        );
    }

    #[test]
    fn a_rule_with_both_lists_is_about_those_who_are_in_both() {
        let text = "[[rule]]\nusers = [\"alice\", \"bob\"]\ngroups = [\"staff\"]\nunenrolled = \"enroll\"\n";
        assert_eq!(unenrolled(text, "alice", &["staff"]), Unenrolled::Enroll);
        assert_eq!(unenrolled(text, "alice", &[]), Unenrolled::Refuse);
        assert_eq!(unenrolled(text, "carol", &["staff"]), Unenrolled::Refuse);
    }

    #[test]
    fn groups_are_not_asked_about_where_a_name_decides() {
        let text = "[[rule]]\nusers = [\"alice\"]\nunenrolled = \"enroll\"\n\
                    [[rule]]\nusers = [\"bob\"]\ngroups = [\"staff\"]\nunenrolled = \"enroll\"\n";
        let policy = Policy::from_toml(text).unwrap();
        for (user, asked) in [("alice", 0), ("bob", 1), ("carol", 0)] {
            let mut questions = 0;
            policy.unenrolled(&user.parse().unwrap(), |_| {
                questions += 1;
                true
            });
            assert_eq!(questions, asked, "{user}");
        }
    }

    #[test]
    fn whether_anybody_is_ever_enrolled_inside_a_login_is_known_without_a_name() {
        for (text, ever) in [
            ("", false),
            ("unenrolled = \"enroll\"", true),
            ("[[rule]]\nusers = [\"a\"]\nunenrolled = \"refuse\"", false),
            ("[[rule]]\nusers = [\"a\"]\nunenrolled = \"enroll\"", true),
        ] {
            assert_eq!(Policy::from_toml(text).unwrap().ever_enrolls(), ever, "{text}");
        }
    }

    #[test]
    fn a_rule_that_is_not_understood_is_refused_with_its_line() {
        for rule in [
            "unenrolled = \"enroll\"",
            "users = [\"alice\"]",
            "users = []\nunenrolled = \"enroll\"",
            "groups = []\nunenrolled = \"enroll\"",
            "groups = [\"\"]\nunenrolled = \"enroll\"",
            "groups = [\"a:b\"]\nunenrolled = \"enroll\"",
            "users = [\"../x\"]\nunenrolled = \"enroll\"",
            "users = [\"\"]\nunenrolled = \"enroll\"",
            "users = \"alice\"\nunenrolled = \"enroll\"",
            "users = [\"alice\"]\nunenrolled = \"skip\"",
            "users = [\"alice\"]\nunenrolled = true",
            "users = [\"alice\"]\nunenrolled = \"enroll\"\nservice = \"sshd\"",
        ] {
            let error = Policy::from_toml(&format!("window_steps = 1\n[[rule]]\n{rule}\n")).unwrap_err();
            assert!(error.starts_with("line "), "{rule}: {error}");
        }
        for text in ["unenrolled = \"optional\"", "unenroled = \"enroll\"", "rule = 1", "rules = []"] {
            assert!(Policy::from_toml(text).unwrap_err().contains("line 1"), "{text}");
        }
    }
}
