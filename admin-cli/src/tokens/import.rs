//! `mfa-admin tokens import`: a vendor's file becomes tokens of the stock, all or none.

use mfa_cli::{Failure, Format as Reader, HiddenInput, Output, Progress, Session, counted, since};
use mfa_core::Timestamp;
use mfa_core::audit::Event;
use mfa_core::devices::Serial;
use mfa_core::store::{Clash, Stock, StockToken};
use mfa_import::pskc::{self, Container, Protection, Unlock};
use mfa_import::{Format, Problem, Token, csv};
use serde_json::json;

use crate::cli::TokensImportOptions;
use crate::{input, problems};

/// Reads the file, checks all of it, and takes it in.
pub(crate) fn run(
    session: &Session,
    output: &Output,
    options: &TokensImportOptions,
    reader: Reader,
) -> Result<(), Failure> {
    let file = input::shown(&options.file);
    let refuse = |problems: &[Problem], hint| problems::refuse(output, reader, &file, problems, hint);
    let tokens = match read(options, &file)? {
        Ok(tokens) => tokens,
        Err(problems) => return Err(refuse(&problems, None)),
    };
    let now = Timestamp::now();
    let (tokens, skipped): (Vec<Token>, Vec<Token>) =
        tokens.into_iter().partition(|token| !options.skip_expired || token.is_valid_at(now));
    let mut found = Vec::new();
    found.extend(tokens.iter().filter_map(|token| out_of_date(token, now)));
    found.extend(tokens.iter().filter(|token| token.weak && !options.check.allow_weak).map(weak));
    let stock = session.stock()?;
    found.extend(clashes(session, &stock, &tokens)?);
    if !found.is_empty() {
        found.sort_by_key(|problem| problem.place);
        return Err(refuse(
            &found,
            Some("every line above has to be put right; see mfa-admin(8) for what may be overridden"),
        ));
    }
    warn(output, &tokens, &skipped, now);
    if !options.check.dry_run {
        take_in(session, output, reader, &file, &tokens)?;
    }
    report(session, output, reader, &file, options, &tokens, &skipped)
}

/// Seals all tokens and writes the stock once. Somebody else may have imported or enrolled since the check: it is made again under the lock.
fn take_in(
    session: &Session,
    output: &Output,
    reader: Reader,
    file: &str,
    tokens: &[Token],
) -> Result<(), Failure> {
    if tokens.is_empty() {
        return Ok(());
    }
    session.prepare()?;
    let key = session.key()?;
    session.change_stock(|stock, _| {
        let found = clashes(session, stock, tokens)?;
        if !found.is_empty() {
            return Err(problems::refuse(output, reader, file, &found, None));
        }
        let mut progress = Progress::begin("sealing", tokens.len());
        for token in tokens {
            progress.step();
            stock.add(sealed(key, token)?);
        }
        Ok(())
    })?;
    let count = tokens.len().to_string();
    session.log_event(Event::new("tokens-imported").with("tokens", count).with("file", file));
    Ok(())
}

fn sealed(key: &mfa_core::seal::HostKey, token: &Token) -> Result<StockToken, Failure> {
    let failed = |error: mfa_core::Error| Failure::Refused { sentence: error.to_string(), hint: None };
    let sealed = StockToken::seal(key, serial(token)?.clone(), token.profile, &token.seed).map_err(failed)?;
    let maker = token.manufacturer.as_deref().or(token.issuer.as_deref());
    let mut sealed = sealed.made_by(maker, token.model.as_deref());
    sealed.not_before = token.not_before;
    sealed.expires_at = token.expires_at;
    sealed.floor = token.floor();
    sealed.drift_steps = token.drift_steps;
    Ok(sealed)
}

/// Every reader of token files wants one.
fn serial(token: &Token) -> Result<&Serial, Failure> {
    token.serial.as_ref().ok_or_else(|| Failure::Refused {
        sentence: format!("{}: it has no serial number", token.place),
        hint: None,
    })
}

/// The tokens of the file; the inner error is what is wrong with it.
fn read(options: &TokensImportOptions, file: &str) -> Result<Result<Vec<Token>, Vec<Problem>>, Failure> {
    let bytes = input::read(&options.file, pskc::MAX_FILE_BYTES)?;
    let format = options.format.or_else(|| Format::of(&bytes)).ok_or_else(|| {
        Failure::usage(
            format!("{file} does not show what kind of token file it is"),
            "say it with --format pskc, entra-csv or oath-csv",
        )
    })?;
    let is_pskc = format == Format::Pskc;
    if is_pskc && options.secret_encoding.is_some() {
        return Err(Failure::usage(
            "--secret-encoding is for CSV files: PSKC has its secrets in base64 always",
            "leave it out",
        ));
    }
    if !is_pskc && (options.key_file.is_some() || options.password_file.is_some()) {
        return Err(Failure::usage(
            "only PSKC files are encrypted",
            "leave --key-file and --password-file out",
        ));
    }
    match format {
        Format::EntraCsv => Ok(csv::entra::read(&bytes, options.secret_encoding)),
        Format::OathCsv => Ok(csv::oath::read(&bytes, options.secret_encoding)),
        Format::Pskc => match Container::open(&bytes) {
            Ok(container) => {
                let unlock = unlock(&container.protection(), options)?;
                Ok(container.tokens(&unlock))
            }
            Err(problems) => Ok(Err(problems)),
        },
    }
}

/// What opens the container: from a file, or asked for. Never from the command line, which everybody on the host can read.
fn unlock(protection: &Protection, options: &TokensImportOptions) -> Result<Unlock, Failure> {
    if let Some(path) = &options.key_file {
        return pre_shared_key(&input::read_line(path)?, &input::shown(path));
    }
    if let Some(path) = &options.password_file {
        return input::read_line(path).map(Unlock::Password);
    }
    let called = |name: &Option<String>| name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    match protection {
        Protection::Nothing => Ok(Unlock::Nothing),
        Protection::PreSharedKey { name } => {
            let input = HiddenInput::open("put the key into a file: --key-file FILE")?;
            let typed = input
                .ask(&format!("Pre-shared key{} of the file, in hexadecimal (not shown): ", called(name)))?;
            pre_shared_key(&typed, "what was typed")
        }
        Protection::Password { name } => {
            let input = HiddenInput::open("put the password into a file: --password-file FILE")?;
            input.ask(&format!("Password{} of the file (not shown): ", called(name))).map(Unlock::Password)
        }
    }
}

fn pre_shared_key(text: &str, source: &str) -> Result<Unlock, Failure> {
    Unlock::key_of_hex(text).ok_or_else(|| {
        Failure::refused(
            format!("{source} is no key in hexadecimal (32, 48 or 64 digits 0 to 9 and A to F)"),
            "a key in base64 becomes hexadecimal by: base64 -d FILE | xxd -p -c 64",
        )
    })
}

/// Tokens that the stock or an account has already.
fn clashes(session: &Session, stock: &Stock, tokens: &[Token]) -> Result<Vec<Problem>, Failure> {
    let mut progress = Progress::begin("checking", tokens.len());
    let wanted = tokens.iter().map(|token| (token.serial.as_ref(), &token.seed));
    let found = session.clashes(stock, wanted, || progress.step())?;
    let problem = |(token, clash): (&Token, Option<Clash>)| {
        let text = match clash? {
            Clash::SerialInStock => "the stock has a token with this serial number".to_owned(),
            Clash::SeedInStock(serial) => format!("the token {serial} of the stock has this seed"),
            Clash::SerialOfAccount(user) => format!("{user} has a token with this serial number"),
            Clash::SeedOfAccount(user) => format!("{user} has a device with this seed"),
        };
        Some(Problem::new(token.place, text))
    };
    Ok(tokens.iter().zip(found).filter_map(problem).collect())
}

fn out_of_date(token: &Token, now: Timestamp) -> Option<Problem> {
    let text = match (token.not_before, token.expires_at) {
        (_, Some(end)) if token.is_expired_at(now) => format!("expired on {}", since(end)),
        (Some(start), _) if !token.is_valid_at(now) => format!("is not valid before {}", since(start)),
        _ => return None,
    };
    let whose = token.serial.as_ref().map(Serial::as_str).unwrap_or_default();
    Some(Problem::new(
        token.place,
        format!("the token {whose} {text}; --skip-expired leaves such tokens out"),
    ))
}

fn weak(token: &Token) -> Problem {
    let bits = token.seed.len().saturating_mul(8);
    Problem::new(
        token.place,
        format!(
            "the seed has {bits} bits, and 128 are the least (RFC 4226 R6); --allow-weak takes it all the same"
        ),
    )
}

/// What is taken but should be known.
fn warn(output: &Output, tokens: &[Token], skipped: &[Token], now: Timestamp) {
    let serials = |tokens: &mut dyn Iterator<Item = &Token>| -> Vec<String> {
        tokens.filter_map(|token| token.serial.as_ref()).map(ToString::to_string).collect()
    };
    let tell = |serials: Vec<String>, what: &str| {
        if !serials.is_empty() {
            let number = u64::try_from(serials.len()).unwrap_or(u64::MAX);
            output.warn(&format!("{} {what}: {}", counted(number, "token"), problems::some_of(&serials)));
        }
    };
    tell(serials(&mut tokens.iter().filter(|token| token.weak)), "with a seed of less than 128 bits");
    tell(
        serials(&mut tokens.iter().filter(|token| token.stray_bits)),
        "with bits left over at the end of the seed (a letter may be wrong or missing: try a code before you hand it out)",
    );
    tell(
        serials(&mut skipped.iter().filter(|token| token.is_expired_at(now))),
        "left out because they have expired",
    );
    tell(
        serials(&mut skipped.iter().filter(|token| !token.is_expired_at(now))),
        "left out because they are not valid yet",
    );
}

fn report(
    session: &Session,
    output: &Output,
    reader: Reader,
    file: &str,
    options: &TokensImportOptions,
    tokens: &[Token],
    skipped: &[Token],
) -> Result<(), Failure> {
    let serials = |chosen: &dyn Fn(&Token) -> bool, tokens: &[Token]| -> Vec<String> {
        let chosen = tokens.iter().filter(|token| chosen(token));
        chosen.filter_map(|token| token.serial.as_ref()).map(ToString::to_string).collect()
    };
    if reader == Reader::Json {
        return output.json(&json!({
            "result": if options.check.dry_run { "checked" } else { "imported" },
            "tokens": tokens.len(),
            "weak": serials(&|token| token.weak, tokens),
            "stray_bits": serials(&|token| token.stray_bits, tokens),
            "skipped": serials(&|_| true, skipped),
            "with_owner": tokens.iter().filter(|token| token.owner.is_some()).count(),
        }));
    }
    let number = counted(u64::try_from(tokens.len()).unwrap_or(u64::MAX), "token");
    if options.check.dry_run {
        return output.line(&format!("{file} is good: {number} would be imported. Nothing was changed."));
    }
    output.line(&format!("Imported {number} from {file} into the stock."))?;
    let owned = tokens.iter().filter(|token| token.owner.is_some()).count();
    if owned > 0 {
        output.paragraph(&format!(
            "The file names a user (upn) for {owned} of them. They are nobody's all the same until you assign them."
        ))?;
    }
    if !tokens.is_empty() {
        output.line("To give one to a person, who then activates it with two of its codes:")?;
        output.line(&format!("  {}", session.admin_command("tokens assign SERIAL USER")))?;
    }
    Ok(())
}
