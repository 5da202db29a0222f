//! `mfa-admin tokens unassign` and `tokens remove`: a token comes back, and one is forgotten.

use mfa_cli::{Failure, Nobody, Output, Session};
use mfa_core::Timestamp;
use mfa_core::devices::{Serial, Status};

/// Takes a token back. What was used is noted in the stock before the account forgets it, so that no used code works again.
pub(crate) fn run(session: &Session, output: &Output, serial: &Serial) -> Result<(), Failure> {
    let now = Timestamp::now();
    let (user, was_there) = session.change_stock(|stock, save| {
        let token = super::token(session, stock, serial)?.clone();
        let Some(user) = token.assigned_to.clone() else {
            return Err(Failure::refused(
                format!("the token {serial} is nobody's"),
                format!("to give it to somebody: {}", super::command(session, "assign", serial, "USER")),
            ));
        };
        let status = session.status(&user)?;
        let device = super::device_of(serial, &status.devices);
        let (floor, drift_steps) = match device {
            None => (super::floor_beyond_use(&token, now), token.drift_steps),
            Some(device) => {
                // A login between looking and removing must not use a code that nobody notes.
                if device.status == Status::Active {
                    session.suspend_device(&user, &device.name)?;
                }
                let devices = session.export(&user)?;
                let used = devices.iter().find(|device| device.serial.as_ref() == Some(serial));
                used.map_or((token.floor, token.drift_steps), |used| {
                    (token.floor.max(used.floor), used.clock_offset_steps)
                })
            }
        };
        if let Some(token) = stock.token_mut(serial) {
            token.floor = floor;
            token.drift_steps = drift_steps;
        }
        save(stock)?;
        if let Some(device) = device {
            session.remove(&user, device.name.clone(), &Nobody)?;
        }
        if let Some(token) = stock.token_mut(serial) {
            token.assigned_to = None;
        }
        Ok((user, device.is_some()))
    })?;
    session.log_change("token-unassigned", &user, None);
    output.line(&format!("The token {serial} is nobody's now; {user} can't log in with it any more."))?;
    if !was_there {
        output.paragraph(
            "It was removed from the account before, and nobody knows which codes were used: so that none works again, a token that goes \
             by time can't be activated for a day.",
        )?;
    }
    Ok(())
}

/// Forgets a token for good.
pub(crate) fn remove(session: &Session, output: &Output, serial: &Serial) -> Result<(), Failure> {
    session.change_stock(|stock, _| {
        if let Some(user) = &super::token(session, stock, serial)?.assigned_to {
            return Err(Failure::refused(
                format!("the token {serial} is {user}'s"),
                format!("take it back first: {}", super::command(session, "unassign", serial, "")),
            ));
        }
        stock.remove(serial);
        Ok(())
    })?;
    session.log_event(mfa_core::audit::Event::new("token-removed").with("serial", serial.as_str()));
    output.line(&format!("The token {serial} is forgotten."))
}
