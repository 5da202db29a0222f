//! Two codes that prove a device outside a login are tries like those of a login: whoever is not root waits for them, and is charged.

use crate::clock::Timestamp;
use crate::request::{Caller, Right};
use crate::state::DeviceState;
use crate::throttle::Throttle;
use crate::verify::Refusal;

/// Why the codes are not looked at now, if they are not.
pub(crate) fn refusal(
    caller: &Caller,
    entry: &mut DeviceState,
    throttle: Throttle,
    now: Timestamp,
) -> Option<Refusal> {
    if matches!(caller.right, Right::Privileged) {
        return None;
    }
    if entry.disabled {
        return Some(Refusal::Disabled);
    }
    let wait_seconds = entry.known_failures.wait_seconds(throttle, entry.failures(), now);
    entry.known_failures.settle(now);
    (wait_seconds > 0).then_some(Refusal::Throttled { wait_seconds })
}

/// Counts codes that proved nothing.
pub(crate) fn charge(caller: &Caller, entry: &mut DeviceState, throttle: Throttle, now: Timestamp) {
    match caller.right {
        Right::Privileged => {}
        Right::Owner { .. } => {
            entry.known_failures.record(now);
            entry.apply(throttle.cap());
        }
    }
}
