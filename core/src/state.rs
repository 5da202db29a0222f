//! What an account has used up: floors, drifts, failures, spent recovery codes. Written by every login, in place.
//!
//! The bytes are described in docs/record-format.md; `store::slots` writes them.

use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::devices::DeviceId;
use crate::hex::Hex;
use crate::recovery::{BypassId, RecoverySet, SetId};
use crate::throttle::{Cap, Failures};
use crate::user_name::UserName;

/// The bytes that one state takes. The rest of its slot is zero.
pub const STATE_BYTES: usize = 1536;

/// How many devices a state can hold: 8, and as many that were removed a moment ago.
const ENTRIES: usize = 16;

/// How many addresses are remembered as known.
const KNOWN_SOURCES: usize = 8;

const MAGIC: &[u8; 8] = b"pammfa-1";
const CHECKSUM_BYTES: usize = 32;

/// Everything in one slot of the state file.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct State {
    /// How often this state was changed. Every try changes it, whatever came of it, so that every try writes; and of two copies of one
    /// state the one with the higher revision is the later.
    pub revision: u64,
    /// One entry a device.
    pub devices: Vec<DeviceState>,
    /// What is left of the recovery codes.
    pub recovery: RecoveryState,
    /// Where this account logged in from, the latest first.
    pub known_sources: Vec<Source>,
}

/// What one device has used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceState {
    /// Which device.
    pub id: DeviceId,
    /// The last accepted step or counter. It and everything below never work again. None: nothing was accepted yet.
    pub floor: Option<u64>,
    /// By how many steps the device's clock is ahead of `clock_offset_steps`, learned one step at a time.
    pub drift_steps: i8,
    /// By how many steps the device's clock was ahead of ours when it was resynchronised last.
    pub clock_offset_steps: i32,
    /// Set at the cap of failures from known addresses; time alone never takes it back.
    pub disabled: bool,
    /// Set at the cap of failures from unknown addresses; only those are refused then.
    pub closed_to_strangers: bool,
    /// Failures in a row from addresses this account has logged in from.
    pub known_failures: Failures,
    /// Failures in a row from anywhere else.
    pub stranger_failures: Failures,
}

impl DeviceState {
    /// The state of a device that has accepted `floor` last.
    pub fn with_floor(id: DeviceId, floor: Option<u64>, drift_steps: i8) -> Self {
        Self {
            id,
            floor,
            drift_steps,
            clock_offset_steps: 0,
            disabled: false,
            closed_to_strangers: false,
            known_failures: Failures::default(),
            stranger_failures: Failures::default(),
        }
    }

    /// By how many steps the device's clock is ahead of ours.
    pub fn steps_ahead(&self) -> i32 {
        self.clock_offset_steps.saturating_add(i32::from(self.drift_steps))
    }

    /// Failures in a row from everywhere together.
    pub fn failures(&self) -> u32 {
        self.known_failures.count.saturating_add(self.stranger_failures.count)
    }

    /// The failures that count against a try from that kind of place.
    pub fn failures_of(&mut self, standing: Standing) -> &mut Failures {
        match standing {
            Standing::Known => &mut self.known_failures,
            Standing::Stranger => &mut self.stranger_failures,
        }
    }

    /// Disables what has failed too often.
    pub(crate) fn apply(&mut self, cap: Cap) {
        match cap {
            Cap::Each(cap) => {
                self.disabled |= self.known_failures.count >= cap;
                self.closed_to_strangers |= self.stranger_failures.count >= cap;
            }
            Cap::Together(cap) => self.disabled |= self.failures() >= cap,
        }
    }

    /// Whether tries from that kind of place are refused for good.
    pub fn is_disabled_for(&self, standing: Standing) -> bool {
        self.disabled || (self.closed_to_strangers && standing == Standing::Stranger)
    }

    /// Forgets all failures and enables the device.
    pub fn release(&mut self) {
        self.disabled = false;
        self.closed_to_strangers = false;
        self.known_failures = Failures::default();
        self.stranger_failures = Failures::default();
    }
}

/// What is left of the recovery codes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RecoveryState {
    /// The set that `used` speaks of.
    pub set: Option<SetId>,
    /// One bit a code, the lowest for the first: set when it was used.
    pub used: u16,
    /// The same for the scratch codes that were taken over from elsewhere.
    pub scratch_used: u16,
    /// The bypass code that was used last.
    pub bypass_used: Option<BypassId>,
    /// Failed recovery codes in a row from known addresses.
    pub known_failures: Failures,
    /// Failed recovery codes in a row from anywhere else.
    pub stranger_failures: Failures,
}

impl RecoveryState {
    /// How many codes of `set` are left.
    pub fn left_of(&self, set: &RecoverySet) -> u8 {
        if self.set != Some(set.id) {
            return set.len();
        }
        let used = self.used.count_ones().saturating_add(self.scratch_used.count_ones());
        set.len().saturating_sub(u8::try_from(used).unwrap_or(u8::MAX))
    }

    /// Failures in a row from everywhere together.
    pub fn failures(&self) -> u32 {
        self.known_failures.count.saturating_add(self.stranger_failures.count)
    }

    /// The failures that count against a try from that kind of place.
    pub fn failures_of(&mut self, standing: Standing) -> &mut Failures {
        match standing {
            Standing::Known => &mut self.known_failures,
            Standing::Stranger => &mut self.stranger_failures,
        }
    }
}

/// Where a request came from, as a keyed hash: enough to know an address again, useless to a thief of the file.
pub type Source = Hex<8>;

/// What an account knows of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has logged in from there.
    Known,
    /// It has not.
    Stranger,
}

impl State {
    /// The entry of a device.
    pub fn device(&self, id: DeviceId) -> Option<&DeviceState> {
        self.devices.iter().find(|entry| entry.id == id)
    }

    /// The entry of a device, to change it.
    pub fn device_mut(&mut self, id: DeviceId) -> Option<&mut DeviceState> {
        self.devices.iter_mut().find(|entry| entry.id == id)
    }

    /// Whether the account has logged in from there.
    pub fn standing(&self, source: Source) -> Standing {
        if self.known_sources.contains(&source) { Standing::Known } else { Standing::Stranger }
    }

    /// Remembers an address, and forgets the one that was used the longest time ago.
    pub fn remember(&mut self, source: Source) {
        self.known_sources.retain(|known| *known != source);
        self.known_sources.insert(0, source);
        self.known_sources.truncate(KNOWN_SOURCES);
    }

    /// Notes that this state is about to be changed.
    pub fn touch(&mut self) {
        self.revision = self.revision.saturating_add(1);
    }

    /// Drops the entries of devices that `keep` does not know, so that there is room.
    pub(crate) fn retain_devices(&mut self, keep: impl Fn(DeviceId) -> bool) {
        self.devices.retain(|entry| keep(entry.id));
    }

    /// The bytes of this state as number `sequence`, bound to `user`. None if it has more entries than fit.
    pub(crate) fn to_bytes(&self, user: &UserName, sequence: u64) -> Option<[u8; STATE_BYTES]> {
        if self.devices.len() > ENTRIES {
            return None;
        }
        let mut out = Writer { bytes: [0; STATE_BYTES], position: 0 };
        out.put(MAGIC)?;
        out.put(&sequence.to_le_bytes())?;
        out.put(&self.revision.to_le_bytes())?;
        out.put(&[
            u8::try_from(self.devices.len()).ok()?,
            u8::try_from(self.known_sources.len()).ok()?,
            0,
            0,
            0,
            0,
            0,
            0,
        ])?;
        for entry in &self.devices {
            out.put(&entry.id.0)?;
            out.put(&entry.floor.unwrap_or(0).to_le_bytes())?;
            out.put(&[u8::from(entry.floor.is_some()), u8::from(entry.disabled)])?;
            out.put(&entry.drift_steps.to_le_bytes())?;
            out.put(&[u8::from(entry.closed_to_strangers)])?;
            out.put(&entry.clock_offset_steps.to_le_bytes())?;
            out.put_failures(entry.known_failures)?;
            out.put_failures(entry.stranger_failures)?;
        }
        for source in &self.known_sources {
            out.put(&source.0)?;
        }
        out.put(&self.recovery.set.map_or([0; 8], |set| set.0))?;
        out.put(&self.recovery.used.to_le_bytes())?;
        out.put(&[u8::from(self.recovery.set.is_some()), u8::from(self.recovery.bypass_used.is_some())])?;
        out.put(&self.recovery.scratch_used.to_le_bytes())?;
        out.put(&[0, 0])?;
        out.put_failures(self.recovery.known_failures)?;
        out.put_failures(self.recovery.stranger_failures)?;
        out.put(&self.recovery.bypass_used.map_or([0; 8], |id| id.0))?;
        let (content, sum) = out.bytes.split_last_chunk_mut::<CHECKSUM_BYTES>()?;
        *sum = checksum(user, content);
        Some(out.bytes)
    }

    /// The sequence number that these bytes say they have, whole or not.
    pub(crate) fn claimed_sequence(bytes: &[u8; STATE_BYTES]) -> Option<u64> {
        let mut input = Reader { bytes };
        input.take::<8>()?;
        input.take().map(u64::from_le_bytes)
    }

    /// Reads a state and its sequence number. None if a single bit is not as this program wrote it for this user.
    pub(crate) fn from_bytes(bytes: &[u8; STATE_BYTES], user: &UserName) -> Option<(Self, u64)> {
        let (content, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        if *sum != checksum(user, content) {
            return None;
        }
        let mut input = Reader { bytes: content };
        if input.take::<8>()? != *MAGIC {
            return None;
        }
        let sequence = u64::from_le_bytes(input.take()?);
        let mut state = Self { revision: u64::from_le_bytes(input.take()?), ..Self::default() };
        let [devices, sources, ..] = input.take::<8>()?;
        for _ in 0..devices {
            let id = Hex(input.take()?);
            if state.device(id).is_some() {
                return None;
            }
            let floor = u64::from_le_bytes(input.take()?);
            let [has_floor, disabled, drift, closed_to_strangers] = input.take()?;
            let clock_offset_steps = i32::from_le_bytes(input.take()?);
            state.devices.push(DeviceState {
                id,
                floor: (has_floor == 1).then_some(floor),
                drift_steps: i8::from_le_bytes([drift]),
                clock_offset_steps,
                disabled: disabled == 1,
                closed_to_strangers: closed_to_strangers == 1,
                known_failures: input.take_failures()?,
                stranger_failures: input.take_failures()?,
            });
        }
        for _ in 0..sources {
            state.known_sources.push(Hex(input.take()?));
        }
        let set = Hex(input.take()?);
        let used = u16::from_le_bytes(input.take()?);
        let [has_set, has_bypass] = input.take()?;
        let scratch_used = u16::from_le_bytes(input.take()?);
        input.take::<2>()?;
        let (known_failures, stranger_failures) = (input.take_failures()?, input.take_failures()?);
        let bypass = Hex(input.take()?);
        state.recovery = RecoveryState {
            set: (has_set == 1).then_some(set),
            used,
            scratch_used,
            bypass_used: (has_bypass == 1).then_some(bypass),
            known_failures,
            stranger_failures,
        };
        Some((state, sequence))
    }
}

fn checksum(user: &UserName, content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    Sha256::new()
        .chain_update(user.as_str().as_bytes())
        .chain_update([0])
        .chain_update(content)
        .finalize()
        .into()
}

struct Writer {
    bytes: [u8; STATE_BYTES],
    position: usize,
}

impl Writer {
    fn put(&mut self, field: &[u8]) -> Option<()> {
        let end = self.position.checked_add(field.len())?;
        self.bytes.get_mut(self.position..end)?.copy_from_slice(field);
        self.position = end;
        Some(())
    }

    fn put_failures(&mut self, failures: Failures) -> Option<()> {
        self.put(&failures.last.unix_seconds().to_le_bytes())?;
        self.put(&failures.count.to_le_bytes())?;
        self.put(&[0; 4])
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*field)
    }

    fn take_failures(&mut self) -> Option<Failures> {
        let last = Timestamp::from_unix_seconds(u64::from_le_bytes(self.take()?));
        let count = u32::from_le_bytes(self.take()?);
        self.take::<4>()?;
        Some(Failures { count, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> UserName {
        "alice".parse().unwrap()
    }

    fn full() -> State {
        let failures = Failures { count: 7, last: Timestamp::from_unix_seconds(1 << 33) };
        let entry = |number: u8| DeviceState {
            id: Hex([number; 8]),
            floor: number.is_multiple_of(2).then_some(u64::MAX - u64::from(number)),
            drift_steps: -3,
            clock_offset_steps: i32::from(number) * -100_000,
            disabled: number.is_multiple_of(3),
            closed_to_strangers: number.is_multiple_of(5),
            known_failures: failures,
            stranger_failures: Failures::default(),
        };
        State {
            revision: 42,
            devices: (0..16).map(entry).collect(),
            recovery: RecoveryState {
                set: Some(Hex([9; 8])),
                used: 0b11_0000_0001,
                scratch_used: 0b10_0000_0010,
                bypass_used: Some(Hex([8; 8])),
                known_failures: failures,
                stranger_failures: failures,
            },
            known_sources: (0..8).map(|number| Hex([number; 8])).collect(),
        }
    }

    #[test]
    fn a_state_is_read_back_as_it_was_written() {
        for state in [State::default(), full()] {
            let bytes = state.to_bytes(&alice(), 77).unwrap();
            assert_eq!(State::from_bytes(&bytes, &alice()).unwrap(), (state, 77));
        }
    }

    #[test]
    fn every_flipped_byte_and_another_users_state_are_noticed() {
        let bytes = full().to_bytes(&alice(), 1).unwrap();
        for position in 0..bytes.len() {
            let mut damaged = bytes;
            damaged[position] ^= 0x10;
            assert!(State::from_bytes(&damaged, &alice()).is_none(), "byte {position}");
        }
        assert!(State::from_bytes(&bytes, &"bob".parse().unwrap()).is_none());
        assert!(State::from_bytes(&[0; STATE_BYTES], &alice()).is_none());
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let mut state = full();
        state.devices.push(DeviceState::with_floor(Hex([99; 8]), None, 0));
        assert!(state.to_bytes(&alice(), 0).is_none());
    }

    #[test]
    fn a_state_with_two_entries_for_one_device_is_refused() {
        let entries = vec![
            DeviceState::with_floor(Hex([1; 8]), Some(5), 0),
            DeviceState::with_floor(Hex([1; 8]), None, 0),
        ];
        let state = State { devices: entries, ..State::default() };
        assert!(State::from_bytes(&state.to_bytes(&alice(), 0).unwrap(), &alice()).is_none());
    }

    #[test]
    fn eight_addresses_are_remembered_and_the_oldest_is_forgotten() {
        let mut state = State::default();
        for number in 0..9 {
            state.remember(Hex([number; 8]));
        }
        state.remember(Hex([3; 8]));
        assert_eq!(state.standing(Hex([0; 8])), Standing::Stranger);
        assert_eq!(state.standing(Hex([3; 8])), Standing::Known);
        assert_eq!(state.known_sources.len(), 8);
    }
}
