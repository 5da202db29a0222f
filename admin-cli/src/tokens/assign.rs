//! `mfa-admin tokens assign`: a token of the stock becomes somebody's device, which waits for two of its codes.

use mfa_cli::{Failure, Output, Session, shell_word};
use mfa_core::Timestamp;
use mfa_core::devices::{DeviceName, Status};
use mfa_core::request::ForeignDevice;

use crate::cli::TokensAssignOptions;

/// What a token is called if nobody says anything.
const USUAL_NAME: &str = "token";

/// First the account, then the stock: killed between the two, the same command does the rest.
pub(crate) fn run(session: &Session, output: &Output, options: &TokensAssignOptions) -> Result<(), Failure> {
    let (serial, user) = (&options.serial, &options.user);
    session.check_account(user, session.account_names(options.names.no_account_check))?;
    let name = options.name.clone().map_or_else(|| USUAL_NAME.parse(), Ok);
    let name: DeviceName = name.map_err(|bad| Failure::usage(bad.to_string(), "choose another --name"))?;
    let now = Timestamp::now();
    let is_new = session.change_stock(|stock, _| {
        let token = super::token(session, stock, serial)?.clone();
        if let Some(holder) = token.assigned_to.as_ref().filter(|holder| *holder != user) {
            return Err(Failure::refused(
                format!("the token {serial} is {holder}'s"),
                format!("take it back first: {}", super::command(session, "unassign", serial, "")),
            ));
        }
        let status = session.status(user)?;
        let is_there = super::device_of(serial, &status.devices).is_some();
        if is_there && token.assigned_to.is_some() {
            return Ok(false);
        }
        if let Some(why) = super::out_of_date(&token, now).filter(|_| !is_there) {
            return Err(Failure::refused(
                format!("the token {serial} {why}"),
                format!("choose another one: {}", session.admin_command("tokens list --unassigned")),
            ));
        }
        // Was it removed by its owner, who now gets it again?
        let was_removed = token.assigned_to.is_some();
        let floor = if was_removed { super::floor_beyond_use(&token, now) } else { token.floor };
        let device = ForeignDevice {
            name,
            profile: token.profile(),
            seed: token.open_seed(session.key()?).map_err(|error| Failure::Refused {
                sentence: format!("the token {serial}: {error}"),
                hint: Some("restore the key, or tokens/stock of the store, from a backup".to_owned()),
            })?,
            serial: Some(serial.clone()),
            floor,
            clock_offset_steps: token.drift_steps,
            status: Status::Assigned,
            expires_at: token.expires_at,
        };
        session.adopt(user, vec![device], Vec::new())?;
        if let Some(token) = stock.token_mut(serial) {
            token.floor = floor;
            token.assigned_to = Some(user.clone());
        }
        Ok(true)
    })?;
    if !is_new {
        return output.line(&format!("The token {serial} is {user}'s already."));
    }
    session.log_change("token-assigned", user, None);
    output
        .line(&format!("The token {serial} is {user}'s now. It lets nobody in until {user} activates it:"))?;
    output.line(&format!("  mfa-enroll activate {}", shell_word(serial.as_str())))
}
