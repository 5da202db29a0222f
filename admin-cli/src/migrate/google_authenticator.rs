//! `mfa-admin migrate google-authenticator`: from the files that people have in their homes.
//!
//! Each person's file is that person's affair: one that can't be used is told of and does not keep the others from moving.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use mfa_cli::{Failure, Format, Output, Session, counted};
use mfa_core::otp::MovingFactor;
use mfa_core::{Timestamp, UserName};
use mfa_import::google_authenticator::{self, USUAL_PATH};
use mfa_import::{Problem, home};
use nix::unistd::{User, geteuid};

use crate::arrivals::{self, Arrival, Done, Misplaced};
use crate::cli::GoogleOptions;
use crate::import::{known_sentence, name};
use crate::problems;

/// What the devices are called.
const NAME: &str = "google-authenticator";
/// Where the accounts of this host stand.
const ACCOUNTS: &str = "/etc/passwd";

pub(crate) fn run(
    session: &Session,
    output: &Output,
    options: &GoogleOptions,
    format: Format,
) -> Result<(), Failure> {
    let now = Timestamp::now();
    let mut arrivals = Vec::new();
    let mut misplaced = Vec::new();
    let mut files = HashMap::new();
    for user in users(options)? {
        match arrival(&user, options, now) {
            Ok(Some((arrival, place))) => {
                files.insert(user, place);
                arrivals.push(arrival);
            }
            Ok(None) => {}
            Err(problems) => misplaced.extend(problems),
        }
    }
    let (accounts, found) = arrivals::check(session, arrivals, &options.arrival)?;
    misplaced.extend(found);
    for Misplaced { file, problem } in &misplaced {
        problems::tell(output, format, file, problem);
    }
    arrivals::warn(output, &accounts);
    let done = if options.arrival.check.dry_run {
        Done::of(&accounts)
    } else {
        arrivals::take_over(session, "migrated", accounts, |account| match files.get(&account.user) {
            Some(place) if options.remove_old => place.remove(),
            Some(_) | None => Ok(()),
        })?
    };
    report(output, options, format, &done)?;
    if misplaced.is_empty() {
        return Ok(());
    }
    let number = u64::try_from(misplaced.len()).unwrap_or(u64::MAX);
    Err(Failure::refused(
        format!("{} kept accounts from moving; the others are done", counted(number, "problem")),
        "the reasons stand above; run it again when they are gone",
    ))
}

fn report(output: &Output, options: &GoogleOptions, format: Format, done: &Done) -> Result<(), Failure> {
    let dry = options.arrival.check.dry_run;
    if format == Format::Json {
        return output.json(&done.json(if dry { "checked" } else { "migrated" }));
    }
    if dry {
        output.line(&format!("{} would move in. Nothing was changed.", done.sentence()))?;
        return known_sentence(output, done);
    }
    output.line(&format!("Moved in: {}.", done.sentence()))?;
    known_sentence(output, done)?;
    if options.remove_old {
        output.line("The old files are removed.")?;
    } else {
        output.line("The old files are still there; to remove them: --remove-old")?;
    }
    super::next_steps(output, "pam_google_authenticator.so")
}

fn users(options: &GoogleOptions) -> Result<Vec<UserName>, Failure> {
    if !options.all {
        return Ok(options.user.clone());
    }
    let text = std::fs::read_to_string(ACCOUNTS).map_err(|error| {
        Failure::refused(format!("{ACCOUNTS}: {error}"), "name the accounts: --user USER")
    })?;
    Ok(text.lines().filter_map(|line| line.split(':').next()?.parse().ok()).collect())
}

/// What one person's file holds. None: of all the accounts of the host, this one has no such file.
fn arrival(
    user: &UserName,
    options: &GoogleOptions,
    now: Timestamp,
) -> Result<Option<(Arrival, Place)>, Vec<Misplaced>> {
    let place = Place::of(user, options).map_err(|text| vec![of_user(user, text)])?;
    let file = place.path().display().to_string();
    let misplaced = |problem: Problem| Misplaced { file: file.clone(), problem };
    let bytes = match home::read_below(
        &place.folder,
        &place.relative,
        &place.owners,
        google_authenticator::MAX_FILE_BYTES,
    ) {
        Ok(Some(bytes)) => bytes,
        Ok(None) if options.all => return Ok(None),
        Ok(None) => return Err(vec![of_user(user, format!("there is no file {file}"))]),
        Err(error) => return Err(vec![of_user(user, error.to_string())]),
    };
    let account = google_authenticator::parse(&bytes, user)
        .map_err(|problems| problems.into_iter().map(misplaced).collect::<Vec<_>>())?;
    let burnt = burnt_floor(&account, now);
    let name = name(None, NAME).map_err(|failure| vec![of_user(user, failure.sentence())])?;
    let mut arrival = Arrival::new(&file, account.token, name).map_err(|problem| vec![misplaced(problem)])?;
    arrival.scratch_codes = account.scratch_codes;
    arrival.first_floor = burnt;
    Ok(Some((arrival, place)))
}

/// Where nobody noted which codes were used, every code that the old module would have taken until now is put out of use.
fn burnt_floor(account: &google_authenticator::Account, now: Timestamp) -> Option<u64> {
    let MovingFactor::Time(period) = account.token.profile.moving_factor else { return None };
    if account.notes_used_codes {
        return None;
    }
    let ahead = u64::from(account.window / 2).max(1);
    let drift = u64::try_from(account.token.drift_steps).unwrap_or(0);
    Some(period.step_at(now).saturating_add(drift).saturating_add(ahead))
}

fn of_user(user: &UserName, text: impl Into<String>) -> Misplaced {
    Misplaced { file: user.to_string(), problem: Problem::new(mfa_import::Place::File, text) }
}

/// Where a person's file is, and whose it may be.
struct Place {
    folder: PathBuf,
    relative: PathBuf,
    owners: Vec<u32>,
}

impl Place {
    fn of(user: &UserName, options: &GoogleOptions) -> Result<Self, String> {
        let known =
            User::from_name(user.as_str()).map_err(|errno| format!("can't look up the account: {errno}"))?;
        let home = known.as_ref().map(|user| user.dir.as_path());
        let no_home = || "the host does not know the account, so it has no home".to_owned();
        let of_user = known.as_ref().map(|user| user.uid.as_raw());
        if let Some(pattern) = &options.secret {
            let path = expanded(pattern, user, home).ok_or_else(no_home)?;
            if let Some((home, relative)) = home.and_then(|home| Some((home, path.strip_prefix(home).ok()?)))
            {
                let (folder, relative) = (home.to_owned(), relative.to_owned());
                return Ok(Self { folder, relative, owners: of_user.into_iter().collect() });
            }
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
                return Err("the pattern of --secret gives no path of a file".to_owned());
            };
            // Outside the homes the files may be root's: that is what `user=root` in the PAM file is for.
            let owners = of_user.into_iter().chain([0, geteuid().as_raw()]).collect();
            return Ok(Self { folder: folder.to_owned(), relative: name.into(), owners });
        }
        let folder = home.ok_or_else(no_home)?.to_owned();
        let relative = options.home_relative.clone().unwrap_or_else(|| USUAL_PATH.into());
        Ok(Self { folder, relative, owners: of_user.into_iter().collect() })
    }

    fn path(&self) -> PathBuf {
        self.folder.join(&self.relative)
    }

    fn remove(&self) -> Result<(), Failure> {
        home::remove_below(&self.folder, &self.relative).map_err(|error| Failure::Refused {
            sentence: format!("the account has moved, but its old file was not removed: {error}"),
            hint: None,
        })
    }
}

/// The path that a `secret=` of the PAM file means. None if it needs a home and there is none.
fn expanded(pattern: &str, user: &UserName, home: Option<&Path>) -> Option<PathBuf> {
    let mut path = pattern.to_owned();
    if let Some(rest) = pattern.strip_prefix('~').filter(|rest| rest.starts_with('/')) {
        path = format!("{}{rest}", home?.to_str()?);
    }
    if path.contains("${HOME}") {
        path = path.replace("${HOME}", home?.to_str()?);
    }
    Some(path.replace("${USER}", user.as_str()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_pattern_is_expanded_as_the_module_does() {
        let alice: UserName = "alice".parse().unwrap();
        let home = Some(Path::new("/home/alice"));
        let path = |pattern: &str| expanded(pattern, &alice, home).map(|path| path.display().to_string());
        assert_eq!(path("~/.ga").unwrap(), "/home/alice/.ga");
        assert_eq!(path("${HOME}/.ga").unwrap(), "/home/alice/.ga");
        assert_eq!(path("/var/ga/${USER}").unwrap(), "/var/ga/alice");
        assert_eq!(path("~ga/x").unwrap(), "~ga/x");
        assert_eq!(expanded("~/.ga", &alice, None), None);
    }
}
