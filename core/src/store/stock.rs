//! Hardware tokens that are nobody's device yet: the file `tokens/stock` below the store, for root's programs alone.
//!
//! ```text
//! pam-mfa stock 1 <number of tokens>
//! serial  kind  algorithm  digits  period or look-ahead  sealed seed  mark of the seed  not before  expires  floor  drift  maker  model  assigned to
//! ```
//! One line a token, sorted by serial number, tabs between the fields, a field without a value is empty. Written by write-new, fsync, rename,
//! fsync of the folder: the old stock or the new one, at every moment.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as NotSealed, StrDeserializer};
use serde::{Deserialize as _, Serialize as _};

use super::files::{Locked, Patience, ensure_folder, replace_file};
use super::trusted::{Mutability, check_private, open_file, open_folder, text};
use super::{FileStore, Mark, MarkTable, Store};
use crate::account::marks;
use crate::clock::Timestamp;
use crate::devices::Serial;
use crate::error::{Error, Result};
use crate::one_line::one_line;
use crate::otp::{Digits, LookAhead, MovingFactor, Period, Profile};
use crate::seal::{Binding, HostKey, Sealed};
use crate::secret::Secret;
use crate::user_name::UserName;

/// Where the file is below the store.
pub(super) const PATH: &str = "tokens/stock";
const FOLDER: &str = "tokens";
const FILE: &str = "stock";
const FIRST_LINE: &str = "pam-mfa stock 1 ";
/// The largest file that is written and read: about a million tokens.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// The most characters of a maker's or model's name.
const MAX_NAME_CHARACTERS: usize = 100;

/// A token of the stock: what its file said of it, its seed sealed, and whose it has become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockToken {
    serial: Serial,
    profile: Profile,
    sealed: Sealed,
    seed_mark: Mark,
    /// Nobody may have it before this moment.
    pub not_before: Option<Timestamp>,
    /// Nobody may have it after this moment.
    pub expires_at: Option<Timestamp>,
    /// The last step or counter that was used; the next owner can't use it or one below it.
    pub floor: Option<u64>,
    /// The steps by which its clock is known to be ahead.
    pub drift_steps: i32,
    manufacturer: String,
    model: String,
    /// Whose device it is.
    pub assigned_to: Option<UserName>,
}

impl StockToken {
    /// A token that is nobody's: its seed sealed for this serial number and profile.
    ///
    /// # Errors
    /// No randomness.
    pub fn seal(key: &HostKey, serial: Serial, profile: Profile, seed: &Secret) -> Result<Self> {
        Ok(Self {
            sealed: Sealed::seal(key, &binding(&serial, profile), seed)?,
            seed_mark: marks::of_seed(key, seed),
            serial,
            profile,
            not_before: None,
            expires_at: None,
            floor: None,
            drift_steps: 0,
            manufacturer: String::new(),
            model: String::new(),
            assigned_to: None,
        })
    }

    /// The same token with its maker's name for itself and for it. What would break a line or hide in it becomes `?`.
    #[must_use]
    pub fn made_by(self, manufacturer: Option<&str>, model: Option<&str>) -> Self {
        let name = |text: Option<&str>| one_line(text.unwrap_or_default(), MAX_NAME_CHARACTERS);
        Self { manufacturer: name(manufacturer), model: name(model), ..self }
    }

    /// The number on it.
    pub const fn serial(&self) -> &Serial {
        &self.serial
    }

    /// How it makes codes.
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// Who made it.
    pub fn manufacturer(&self) -> Option<&str> {
        Some(self.manufacturer.as_str()).filter(|name| !name.is_empty())
    }

    /// What it is called in its maker's catalogue.
    pub fn model(&self) -> Option<&str> {
        Some(self.model.as_str()).filter(|name| !name.is_empty())
    }

    /// The seed itself.
    ///
    /// # Errors
    /// [`Error::SeedDoesNotOpen`] if it was sealed for another serial number or profile, or under another key.
    pub fn open_seed(&self, key: &HostKey) -> Result<Secret> {
        self.sealed.open(key, &binding(&self.serial, self.profile))
    }

    fn write_line(&self, lines: &mut String) {
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let date = |date: Option<Timestamp>| number(date.map(Timestamp::unix_seconds));
        let (kind, factor) = kind_and_factor(self.profile);
        let Self { serial, seed_mark, drift_steps, manufacturer, model, .. } = self;
        let (algorithm, digits) = (self.profile.algorithm.name(), self.profile.digits.count());
        let (sealed, floor) = (AsText(&self.sealed), number(self.floor));
        let (not_before, expires_at) = (date(self.not_before), date(self.expires_at));
        let assigned_to = self.assigned_to.as_ref().map(UserName::as_str).unwrap_or_default();
        // Writing to a String can't fail. No field can hold a tab or a newline: none has control characters.
        let _ = writeln!(
            lines,
            "{serial}\t{kind}\t{algorithm}\t{digits}\t{factor}\t{sealed}\t{seed_mark}\t{not_before}\t{expires_at}\t{floor}\t\
             {drift_steps}\t{manufacturer}\t{model}\t{assigned_to}"
        );
    }

    /// Reads a line without its newline. What is wrong is said without any content of the line.
    fn from_line(line: &str) -> std::result::Result<Self, &'static str> {
        let mut fields = line.split('\t');
        let mut next = || fields.next().ok_or("it has too few fields");
        let serial = next()?.parse().map_err(|_| "its serial number is not one")?;
        let profile = {
            let (kind, algorithm, digits, factor) = (next()?, next()?, next()?, next()?);
            profile(kind, algorithm, digits, factor).ok_or("it makes codes in no way that is known")?
        };
        let token = Self {
            serial,
            profile,
            sealed: sealed(next()?).ok_or("its seed is not sealed")?,
            seed_mark: next()?.parse().map_err(|_| "its mark is not one")?,
            not_before: optional(next()?)?.map(Timestamp::from_unix_seconds),
            expires_at: optional(next()?)?.map(Timestamp::from_unix_seconds),
            floor: optional(next()?)?,
            drift_steps: next()?.parse().map_err(|_| "its drift is not a number")?,
            manufacturer: one_line(next()?, MAX_NAME_CHARACTERS),
            model: one_line(next()?, MAX_NAME_CHARACTERS),
            assigned_to: match next()? {
                "" => None,
                user => Some(user.parse().map_err(|_| "it is assigned to no name")?),
            },
        };
        if fields.next().is_some() {
            return Err("it has too many fields");
        }
        Ok(token)
    }
}

/// All tokens that were imported and not taken out again, in the order of their serial numbers.
#[derive(Clone, Debug, Default)]
pub struct Stock {
    tokens: BTreeMap<Serial, StockToken>,
    seeds: HashMap<Mark, Serial>,
    is_changed: bool,
}

/// Who or what has a seed or serial number already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clash {
    /// A token of the stock has the serial number.
    SerialInStock,
    /// This token of the stock has the seed.
    SeedInStock(Serial),
    /// A device of this account has the serial number.
    SerialOfAccount(UserName),
    /// A device of this account has the seed.
    SeedOfAccount(UserName),
}

impl Stock {
    /// All tokens.
    pub fn tokens(&self) -> impl Iterator<Item = &StockToken> {
        self.tokens.values()
    }

    /// The token of that number.
    pub fn token(&self, serial: &Serial) -> Option<&StockToken> {
        self.tokens.get(serial)
    }

    /// The token of that number, to change it.
    pub fn token_mut(&mut self, serial: &Serial) -> Option<&mut StockToken> {
        let token = self.tokens.get_mut(serial)?;
        self.is_changed = true;
        Some(token)
    }

    /// Takes a token in. None has its number: see [`Stock::clash`].
    pub fn add(&mut self, token: StockToken) {
        self.is_changed = true;
        self.seeds.insert(token.seed_mark, token.serial.clone());
        self.tokens.insert(token.serial.clone(), token);
    }

    /// Takes a token out for good.
    pub fn remove(&mut self, serial: &Serial) -> Option<StockToken> {
        let token = self.tokens.remove(serial)?;
        self.is_changed = true;
        self.seeds.remove(&token.seed_mark);
        Some(token)
    }

    /// Whether this stock or an account has the seed or serial number (RFC 6238 R5: each prover has its own key).
    ///
    /// # Errors
    /// An account that may have it can't be read.
    pub fn clash<S: Store>(
        &self,
        store: &S,
        table: &dyn MarkTable,
        serial: Option<&Serial>,
        seed: &Secret,
    ) -> Result<Option<Clash>> {
        if serial.is_some_and(|serial| self.tokens.contains_key(serial)) {
            return Ok(Some(Clash::SerialInStock));
        }
        let key = store.key()?;
        let seed_mark = marks::of_seed(key, seed);
        if let Some(other) = self.seeds.get(&seed_mark) {
            return Ok(Some(Clash::SeedInStock(other.clone())));
        }
        if let Some(user) = marks::holder(store, table, None, seed_mark)? {
            return Ok(Some(Clash::SeedOfAccount(user)));
        }
        let Some(serial) = serial else { return Ok(None) };
        let user = marks::holder(store, table, None, marks::of_serial(key, serial))?;
        Ok(user.map(Clash::SerialOfAccount))
    }

    fn to_text(&self) -> String {
        let mut lines = format!("{FIRST_LINE}{}\n", self.tokens.len());
        self.tokens.values().for_each(|token| token.write_line(&mut lines));
        lines
    }

    fn from_text(text: &str) -> std::result::Result<Self, String> {
        let mut lines = text.lines();
        let count = lines.next().and_then(|line| line.strip_prefix(FIRST_LINE)?.parse::<usize>().ok());
        let count = count.ok_or("its first line is not that of a stock of this version")?;
        let mut stock = Self::default();
        for (line, number) in lines.zip(2_u64..) {
            let token = StockToken::from_line(line).map_err(|why| format!("line {number}: {why}"))?;
            if stock.tokens.contains_key(&token.serial) {
                return Err(format!("line {number}: its serial number stands above already"));
            }
            stock.add(token);
        }
        if stock.tokens.len() != count || !text.ends_with('\n') {
            return Err("it does not hold as many tokens as its first line says".to_owned());
        }
        stock.is_changed = false;
        Ok(stock)
    }
}

impl FileStore {
    /// The stock as it is now. Empty if there is none.
    ///
    /// # Errors
    /// It can't be read, or is damaged.
    pub fn stock(&self) -> Result<Stock> {
        let root = self.open_root()?;
        let folder_path = self.root().join(FOLDER);
        let path = folder_path.join(FILE);
        let Some(folder) = open_folder(&root, OsStr::new(FOLDER), &folder_path, &self.owners)? else {
            return Ok(Stock::default());
        };
        let opened = open_file(&folder, OsStr::new(FILE), &path, Mutability::ReadOnly, &self.owners)?;
        let Some((file, status)) = opened else { return Ok(Stock::default()) };
        check_private(&status, &path)?;
        let text = text(&file, &status, &path, MAX_FILE_BYTES)?;
        Stock::from_text(&text).map_err(|why| Error::Corrupt { path, why })
    }

    /// Lets `change` change the stock while nobody else can. When this returns the change is on disk; if `change` fails, nothing is different but
    /// what it has saved by its second argument.
    ///
    /// Whoever also changes accounts does that within `change`: the stock is locked before them, always.
    ///
    /// # Errors
    /// What `change` returns; whatever kept the stock from being read or written.
    pub fn change_stock<T, E: From<Error>>(
        &self,
        change: impl FnOnce(&mut Stock, &SaveStock<'_>) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let root = self.open_root()?;
        let folder_path = self.root().join(FOLDER);
        let path = folder_path.join(FILE);
        let folder = ensure_folder(&root, OsStr::new(FOLDER), &folder_path, 0o700, &self.owners)?;
        let locked = Locked::wait_for(folder, folder_path, Patience::Bounded)?;
        let save = |stock: &mut Stock| {
            if !std::mem::take(&mut stock.is_changed) {
                return Ok(());
            }
            let text = stock.to_text();
            if u64::try_from(text.len()).is_ok_and(|bytes| bytes <= MAX_FILE_BYTES) {
                return replace_file(&locked.folder, FILE, text.as_bytes(), &path, &self.owners);
            }
            Err(Error::BadRequest("the stock can't hold so many tokens: about a million"))
        };
        let mut stock = self.stock()?;
        let answer = change(&mut stock, &save)?;
        save(&mut stock)?;
        Ok(answer)
    }
}

/// Saves a stock that has changed.
pub type SaveStock<'a> = dyn Fn(&mut Stock) -> Result<()> + 'a;

fn kind_and_factor(profile: Profile) -> (&'static str, u8) {
    match profile.moving_factor {
        MovingFactor::Time(period) => ("totp", u8::from(period)),
        MovingFactor::Counter(look_ahead) => ("hotp", u8::from(look_ahead)),
    }
}

fn profile(kind: &str, algorithm: &str, digits: &str, factor: &str) -> Option<Profile> {
    let factor: u8 = factor.parse().ok()?;
    let moving_factor = match kind {
        "totp" => MovingFactor::Time(Period::try_from(factor).ok()?),
        "hotp" => MovingFactor::Counter(LookAhead::try_from(factor).ok()?),
        _ => return None,
    };
    let digits = Digits::try_from(digits.parse::<u8>().ok()?).ok()?;
    Some(Profile { moving_factor, algorithm: algorithm.parse().ok()?, digits })
}

fn binding(serial: &Serial, profile: Profile) -> Binding {
    let (kind, factor) = kind_and_factor(profile);
    Binding::new(&[
        b"pam-mfa stock 1",
        serial.as_str().as_bytes(),
        kind.as_bytes(),
        profile.algorithm.name().as_bytes(),
        &[u8::from(profile.digits), factor],
    ])
}

fn optional<T: FromStr>(field: &str) -> std::result::Result<Option<T>, &'static str> {
    if field.is_empty() {
        return Ok(None);
    }
    field.parse().map(Some).map_err(|_| "a date or counter is not a number")
}

fn sealed(text: &str) -> Option<Sealed> {
    let text: StrDeserializer<'_, NotSealed> = text.into_deserializer();
    Sealed::deserialize(text).ok()
}

/// A seal as it stands in every file of the store.
struct AsText<'a>(&'a Sealed);

impl fmt::Display for AsText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(key: &HostKey, serial: &str) -> StockToken {
        let seed = Secret::random(20).unwrap();
        let token = StockToken::seal(key, serial.parse().unwrap(), Profile::PLAIN, &seed).unwrap();
        token.made_by(Some("Feitian\t\u{202e}"), None)
    }

    fn stock(tokens: impl IntoIterator<Item = StockToken>) -> Stock {
        let mut stock = Stock::default();
        tokens.into_iter().for_each(|token| stock.add(token));
        stock
    }

    #[test]
    fn a_stock_is_read_back_as_it_was_written() {
        let key = HostKey::generate().unwrap();
        let counter = MovingFactor::Counter(LookAhead::DEFAULT);
        let counting = Profile { moving_factor: counter, ..Profile::PLAIN };
        let (seed, at) = (Secret::random(64).unwrap(), Timestamp::from_unix_seconds);
        let full = StockToken {
            not_before: Some(at(1)),
            expires_at: Some(at(2)),
            floor: Some(u64::MAX),
            drift_steps: -3,
            assigned_to: Some("CORP\\alice".parse().unwrap()),
            ..StockToken::seal(&key, "GALT 1".parse().unwrap(), counting, &seed).unwrap()
        };
        let full = full.made_by(None, Some("C200"));
        let before = stock([sample(&key, "B"), full, sample(&key, "A")]);
        let text = before.to_text();
        let after = Stock::from_text(&text).unwrap();
        assert_eq!(after.tokens, before.tokens, "{text}");
        assert_eq!(after.seeds, before.seeds);
        assert!(!after.is_changed);
        let serials: Vec<&str> = after.tokens().map(|token| token.serial().as_str()).collect();
        assert_eq!(serials, ["A", "B", "GALT 1"]);
        let [first, full] = ["A", "GALT 1"].map(|serial| after.token(&serial.parse().unwrap()).unwrap());
        assert_eq!((first.manufacturer(), first.model()), (Some("Feitian??"), None));
        assert_eq!((full.manufacturer(), full.model()), (None, Some("C200")));
        assert_eq!(full.open_seed(&key).unwrap(), seed);
    }

    #[test]
    fn a_damaged_stock_is_refused_without_quoting_it() {
        let text = stock(["A", "B"].map(|serial| sample(&HostKey::generate().unwrap(), serial))).to_text();
        let first_two: String = text.split_inclusive('\n').take(2).collect();
        for damaged in [
            String::new(),
            first_two,
            text.trim_end().to_owned(),
            text.replace("stock 1 2", "stock 2 2"),
            text.replace("totp", "ocra"),
            text.replace("\nB\t", "\nA\t"),
            text.replace("\tSHA1\t6\t30\t", "\tSHA1\t6\t"),
            text.replace("\tSHA1\t6\t30\t", "\tSHA1\t6\t5\t"),
            text.replace('\n', "\t\n"),
        ] {
            let why = Stock::from_text(&damaged).unwrap_err();
            assert!(!why.contains("ocra") && !why.contains("SHA1"), "{why}");
        }
    }

    #[test]
    fn what_is_changed_is_saved_and_what_is_taken_out_is_free_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::at(folder.path().join("store"));
        store.prepare().unwrap();
        let key = store.key().unwrap();
        let [a, b, c] = ["A", "B", "C"].map(|serial| serial.parse::<Serial>().unwrap());
        let (seed, other) = (Secret::random(20).unwrap(), Secret::random(20).unwrap());
        let clash = |stock: &Stock, serial: &Serial, seed: &Secret| {
            store.with_marks(|table| stock.clash(&store, table, Some(serial), seed)).unwrap()
        };
        let change = |change: &dyn Fn(&mut Stock)| {
            store.change_stock::<_, Error>(|stock, _| {
                change(stock);
                Ok(())
            })
        };
        change(&|stock| {
            stock.add(StockToken::seal(key, a.clone(), Profile::PLAIN, &seed).unwrap());
            stock.add(sample(key, "B"));
            assert_eq!(clash(stock, &a, &other), Some(Clash::SerialInStock));
            assert_eq!(clash(stock, &c, &seed), Some(Clash::SeedInStock(a.clone())));
            assert_eq!(clash(stock, &c, &other), None);
        })
        .unwrap();
        change(&|stock| stock.token_mut(&b).unwrap().floor = Some(7)).unwrap();
        assert_eq!(store.stock().unwrap().token(&b).unwrap().floor, Some(7));
        change(&|stock| {
            assert_eq!(stock.remove(&a).map(|token| token.serial), Some(a.clone()));
            assert!(stock.remove(&a).is_none() && stock.token_mut(&a).is_none());
        })
        .unwrap();
        let stock = store.stock().unwrap();
        assert_eq!(stock.tokens().map(StockToken::serial).collect::<Vec<_>>(), [&b]);
        assert_eq!(clash(&stock, &a, &seed), None);
    }

    #[test]
    fn thousands_of_tokens_are_saved_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::at(folder.path().join("store"));
        store.prepare().unwrap();
        let token = sample(store.key().unwrap(), "A");
        let tokens = (0..10_000).map(|number| {
            let serial = format!("FT {number:010}").parse().unwrap();
            StockToken { serial, ..token.clone() }
        });
        let save = store.change_stock::<_, Error>(|stock, _| {
            tokens.for_each(|token| stock.add(token));
            Ok(())
        });
        save.unwrap();
        assert_eq!(store.stock().unwrap().tokens().count(), 10_000);
    }

    #[test]
    fn a_line_under_another_serial_number_or_profile_does_not_open() {
        let key = HostKey::generate().unwrap();
        let token = sample(&key, "A");
        assert!(token.open_seed(&key).is_ok());
        let moved = StockToken { serial: "B".parse().unwrap(), ..token.clone() };
        assert!(matches!(moved.open_seed(&key), Err(Error::SeedDoesNotOpen)));
        let digits = Digits::try_from(8).unwrap();
        let edited = StockToken { profile: Profile { digits, ..Profile::PLAIN }, ..token };
        assert!(matches!(edited.open_seed(&key), Err(Error::SeedDoesNotOpen)));
    }
}
