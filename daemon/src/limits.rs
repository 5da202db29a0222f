//! What one user may ask at once and over time, so that nobody slows down anybody else.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Connections of all users at once.
const MOST_CONNECTIONS: usize = 128;
/// Connections of one user at once.
const MOST_OF_A_USER: usize = 4;
/// Connections of users whose names are still being looked up. A user of user namespaces has thousands of numbers without a name.
const MOST_UNNAMED: usize = 32;
/// Requests that a user who was silent may send in a row.
const BURST: u32 = 30;
/// After that, one request in this time.
const REFILL: Duration = Duration::from_secs(2);
/// So many users are remembered before those who have nothing open and nothing to wait for are forgotten.
const MANY_USERS: usize = 1024;

/// The limits of all users together.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    table: Mutex<Table>,
    turned: Condvar,
    named: Condvar,
}

#[derive(Debug, Default)]
struct Table {
    users: HashMap<u32, Usage>,
    connections: usize,
    unnamed: usize,
}

impl Table {
    fn connections_of(&self, share: u32) -> usize {
        self.users.get(&share).map_or(0, |usage| usage.connections)
    }
}

#[derive(Debug)]
struct Usage {
    connections: usize,
    is_working: bool,
    tokens: u32,
    refilled: Instant,
}

impl Usage {
    fn of_somebody_new(now: Instant) -> Self {
        Self { connections: 0, is_working: false, tokens: BURST, refilled: now }
    }

    fn refill(&mut self, now: Instant) {
        while self.tokens < BURST
            && let Some(next) = self.refilled.checked_add(REFILL)
            && next <= now
        {
            self.tokens = self.tokens.saturating_add(1);
            self.refilled = next;
        }
        if self.tokens == BURST {
            self.refilled = now;
        }
    }
}

/// Why somebody has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limited {
    /// Too many connections, or requests in a short time.
    TooMany,
    /// Another request of the same user took too long.
    Busy,
}

impl Limits {
    /// Lets a connection of this user in, or not. It counts among those of `share`, see [`crate::subordinates`].
    ///
    /// Waits until `deadline` at most for somebody else's name to be found: that takes no time where names are in a file.
    pub(crate) fn admit(
        self: &Arc<Self>,
        uid: u32,
        share: u32,
        deadline: Instant,
    ) -> Result<Connection, Limited> {
        let mut table = self.table();
        let now = loop {
            let now = Instant::now();
            let is_over =
                table.connections >= MOST_CONNECTIONS || table.connections_of(share) >= MOST_OF_A_USER;
            let left = deadline.saturating_duration_since(now);
            if is_over || (table.unnamed >= MOST_UNNAMED && left.is_zero()) {
                return Err(Limited::TooMany);
            }
            if table.unnamed < MOST_UNNAMED {
                break now;
            }
            table = self.named.wait_timeout(table, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        if table.users.len() >= MANY_USERS {
            table.users.retain(|_, usage| {
                usage.refill(now);
                usage.connections > 0 || usage.is_working || usage.tokens < BURST
            });
        }
        let usage = table.users.entry(share).or_insert_with(|| Usage::of_somebody_new(now));
        usage.connections = usage.connections.saturating_add(1);
        table.connections = table.connections.saturating_add(1);
        table.unnamed = table.unnamed.saturating_add(1);
        Ok(Connection { limits: Arc::clone(self), uid, share, is_named: false })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while it holds this; and the numbers are whole after each line.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection, counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    limits: Arc<Limits>,
    uid: u32,
    share: u32,
    is_named: bool,
}

impl Connection {
    /// The name of the user was found.
    pub(crate) fn is_named(&mut self) {
        if !self.is_named {
            self.is_named = true;
            let mut table = self.limits.table();
            table.unnamed = table.unnamed.saturating_sub(1);
            self.limits.named.notify_one();
        }
    }

    /// Waits until no other request of the same user is worked on, until `deadline` at most.
    pub(crate) fn turn(&self, deadline: Instant) -> Result<Turn<'_>, Limited> {
        let mut table = self.limits.table();
        loop {
            let now = Instant::now();
            let usage = table.users.entry(self.uid).or_insert_with(|| Usage::of_somebody_new(now));
            usage.refill(now);
            if !usage.is_working {
                usage.tokens = usage.tokens.checked_sub(1).ok_or(Limited::TooMany)?;
                usage.is_working = true;
                return Ok(Turn(self));
            }
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() {
                return Err(Limited::Busy);
            }
            table = self.limits.turned.wait_timeout(table, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.is_named();
        let mut table = self.limits.table();
        table.connections = table.connections.saturating_sub(1);
        if let Some(usage) = table.users.get_mut(&self.share) {
            usage.connections = usage.connections.saturating_sub(1);
        }
    }
}

/// A request that is being worked on, until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a>(&'a Connection);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Self(connection) = self;
        if let Some(usage) = connection.limits.table().users.get_mut(&connection.uid) {
            usage.is_working = false;
        }
        connection.limits.turned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: u32 = 1000;
    const BOB: u32 = 1001;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    fn named(limits: &Arc<Limits>, uid: u32) -> Result<Connection, Limited> {
        limits.admit(uid, uid, Instant::now()).map(|mut connection| {
            connection.is_named();
            connection
        })
    }

    #[test]
    fn a_fifth_connection_waits_and_keeps_nobody_else_out() {
        let limits = Arc::new(Limits::default());
        let mut open: Vec<_> = (0..4).map(|_| named(&limits, ALICE).unwrap()).collect();
        assert_eq!(named(&limits, ALICE).unwrap_err(), Limited::TooMany);
        assert!(named(&limits, BOB).is_ok());
        open.pop();
        assert!(named(&limits, ALICE).is_ok());
    }

    #[test]
    fn one_request_of_a_user_is_worked_on_at_a_time() {
        let limits = Arc::new(Limits::default());
        let (first, second) = (named(&limits, ALICE).unwrap(), named(&limits, ALICE).unwrap());
        let other = named(&limits, BOB).unwrap();
        let turn = first.turn(soon()).unwrap();
        assert_eq!(second.turn(soon()).unwrap_err(), Limited::Busy);
        assert!(other.turn(soon()).is_ok());
        drop(turn);
        assert!(second.turn(soon()).is_ok());
    }

    #[test]
    fn who_waits_is_woken_when_it_is_their_turn() {
        let limits = Arc::new(Limits::default());
        let (first, second) = (named(&limits, ALICE).unwrap(), named(&limits, ALICE).unwrap());
        let turn = first.turn(soon()).unwrap();
        std::thread::scope(|scope| {
            let waiting =
                scope.spawn(|| second.turn(Instant::now() + Duration::from_secs(20)).map(|_| ()).is_ok());
            std::thread::sleep(Duration::from_millis(20));
            let begin = Instant::now();
            drop(turn);
            assert!(waiting.join().unwrap());
            assert!(begin.elapsed() < Duration::from_secs(5));
        });
    }

    #[test]
    fn after_thirty_requests_in_a_row_one_in_two_seconds_is_answered() {
        let limits = Arc::new(Limits::default());
        let (alice, bob) = (named(&limits, ALICE).unwrap(), named(&limits, BOB).unwrap());
        for _ in 0..BURST {
            assert!(alice.turn(soon()).is_ok());
        }
        assert_eq!(alice.turn(soon()).unwrap_err(), Limited::TooMany);
        assert!(bob.turn(soon()).is_ok());
        let back_in_time = |seconds| {
            let mut table = limits.table();
            let usage = table.users.get_mut(&ALICE).unwrap();
            usage.refilled = usage.refilled.checked_sub(Duration::from_secs(seconds)).unwrap();
        };
        back_in_time(4);
        assert!(alice.turn(soon()).is_ok() && alice.turn(soon()).is_ok());
        assert_eq!(alice.turn(soon()).unwrap_err(), Limited::TooMany);
    }

    #[test]
    fn a_new_connection_does_not_win_back_what_is_used_up() {
        let limits = Arc::new(Limits::default());
        for _ in 0..BURST {
            assert!(named(&limits, ALICE).unwrap().turn(soon()).is_ok());
        }
        assert_eq!(named(&limits, ALICE).unwrap().turn(soon()).unwrap_err(), Limited::TooMany);
    }

    #[test]
    fn numbers_without_a_name_fill_up_a_part_alone_and_are_forgotten() {
        let limits = Arc::new(Limits::default());
        let mut unnamed: Vec<_> =
            (0..32).map(|uid| limits.admit(100_000 + uid, 100_000 + uid, soon()).unwrap()).collect();
        assert_eq!(limits.admit(200_000, 200_000, soon()).unwrap_err(), Limited::TooMany);
        unnamed.clear();
        assert!(limits.admit(200_000, 200_000, soon()).is_ok());
        for uid in 0..3000 {
            drop(named(&limits, 100_000 + uid).unwrap());
        }
        assert!(limits.table().users.len() <= MANY_USERS);
    }

    #[test]
    fn who_comes_while_many_names_are_looked_up_waits_for_one_to_be_found() {
        let limits = Arc::new(Limits::default());
        let mut unnamed: Vec<_> =
            (0..32).map(|uid| limits.admit(100_000 + uid, 100_000 + uid, soon()).unwrap()).collect();
        std::thread::scope(|scope| {
            let waiting = scope
                .spawn(|| limits.admit(ALICE, ALICE, Instant::now() + Duration::from_secs(20)).map(|_| ()));
            std::thread::sleep(Duration::from_millis(20));
            unnamed.pop();
            assert_eq!(waiting.join().unwrap(), Ok(()));
        });
    }

    #[test]
    fn the_numbers_that_a_user_may_take_on_are_four_connections_together_and_each_has_its_own_turn() {
        let limits = Arc::new(Limits::default());
        let open: Vec<_> = (0..4).map(|uid| limits.admit(100_000 + uid, 100_000, soon()).unwrap()).collect();
        assert_eq!(limits.admit(100_004, 100_000, soon()).unwrap_err(), Limited::TooMany);
        let [one, other, ..] = open.as_slice() else { panic!("four") };
        let turn = one.turn(soon()).unwrap();
        assert!(other.turn(soon()).is_ok());
        drop(turn);
        drop(open);
        assert!(limits.admit(100_004, 100_000, soon()).is_ok());
    }

    #[test]
    fn all_together_have_a_limit_too() {
        let limits = Arc::new(Limits::default());
        let open: Vec<_> = (0..128).map(|uid| named(&limits, uid).unwrap()).collect();
        assert_eq!(named(&limits, 1000).unwrap_err(), Limited::TooMany);
        drop(open);
        assert!(named(&limits, 1000).is_ok());
    }
}
