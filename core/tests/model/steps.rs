//! What can happen in a story.

use proptest::prelude::*;

use crate::rules::{Hash, Kind, Policy, Throttle};

/// One step. Numbers that choose are taken modulo what there is.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The clock moves by so many seconds.
    Clock(i64),
    /// Somebody tries to log in.
    LogIn {
        types: Types,
        place: usize,
        round: Round,
    },
    /// A login whose last write reached the disk up to this byte, and nobody was answered.
    TornLogIn {
        types: Types,
        place: usize,
        cut: usize,
        filler: u8,
    },
    /// So many wrong codes, each when it will be looked at.
    Guesses {
        count: u8,
        place: usize,
        digits: u32,
    },
    /// A new key is asked for.
    Begin {
        profile: Profile,
        name: Option<u8>,
        replaces: Option<usize>,
    },
    /// Codes from the new key, so many steps from now; the second so many after the first.
    Confirm {
        at: i64,
        then: i64,
        replaces: Option<usize>,
    },
    /// Root gives a device that was made elsewhere.
    Adopt {
        profile: Profile,
        floor: Option<u64>,
        offset: i64,
        assigned: bool,
        expires: Option<i64>,
        seed_of: Option<usize>,
    },
    /// Two codes of a token that root has assigned.
    Activate {
        which: usize,
        at: i64,
        then: i64,
    },
    Resync {
        which: usize,
        at: i64,
        then: i64,
        by_owner: bool,
    },
    Rename {
        which: usize,
        to: u8,
    },
    Suspend(usize),
    Resume(usize),
    Remove(usize),
    NewRecoveryCodes(u8),
    IssueBypass(u64),
    CancelBypass,
    Unlock,
    /// Both slots of the state are damaged.
    LoseState,
    Repair,
    /// The next change is cut short: so many of the files that it writes are on disk.
    CrashInNextChange(usize),
}

/// What is typed.
#[derive(Clone, Debug)]
pub(crate) enum Types {
    /// The code of a device, so many steps from where it is.
    Of {
        which: usize,
        away: i64,
    },
    /// What was typed so many logins ago.
    Again(usize),
    /// Digits, right only by chance.
    Digits(u32, u32),
    /// A recovery code, a scratch code.
    Recovery(usize),
    Scratch(usize),
    Bypass,
    /// Sixteen letters that are nobody's.
    Letters,
    /// A password with a device's code behind it.
    Behind {
        which: usize,
        away: i64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    First,
    AfterMiss,
}

/// How a new device makes codes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Profile {
    pub(crate) kind: Kind,
    pub(crate) hash: Hash,
    pub(crate) digits: u32,
}

pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    let throttle =
        prop_oneof![3 => Just(Throttle::Nist), 1 => Just(Throttle::Pci), 1 => Just(Throttle::Stig)];
    (throttle, prop_oneof![3 => Just(1), 1 => Just(0)])
        .prop_map(|(throttle, window)| Policy { throttle, window })
}

fn profile() -> impl Strategy<Value = Profile> {
    let kind = prop_oneof![
        2 => Just(Kind::Time { period: 30 }),
        1 => (10_u64..=120).prop_map(|period| Kind::Time { period }),
        1 => (1_u64..=20).prop_map(|look_ahead| Kind::Counter { look_ahead }),
    ];
    let hash = prop_oneof![2 => Just(Hash::Sha1), 1 => Just(Hash::Sha256), 1 => Just(Hash::Sha512)];
    (kind, hash, prop_oneof![2 => Just(6_u32), 1 => 6_u32..=8]).prop_map(|(kind, hash, digits)| Profile {
        kind,
        hash,
        digits,
    })
}

fn types() -> impl Strategy<Value = Types> {
    let away = || prop_oneof![6 => -2_i64..=3, 1 => -30_i64..=30];
    prop_oneof![
        12 => (0..8_usize, away()).prop_map(|(which, away)| Types::Of { which, away }),
        4 => (0..4_usize).prop_map(Types::Again),
        2 => (6_u32..=8, any::<u32>()).prop_map(|(length, number)| Types::Digits(length, number)),
        2 => (0..10_usize).prop_map(Types::Recovery),
        1 => (0..2_usize).prop_map(Types::Scratch),
        1 => Just(Types::Bypass),
        1 => Just(Types::Letters),
        2 => (0..8_usize, away()).prop_map(|(which, away)| Types::Behind { which, away }),
    ]
}

fn place() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0_usize), 2 => 1..3_usize, 1 => 0..12_usize]
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let round = || prop_oneof![5 => Just(Round::First), 1 => Just(Round::AfterMiss)];
    let clock = prop_oneof![
        4 => 0_i64..40,
        2 => Just(30_i64),
        2 => 40_i64..4000,
        1 => 80_000_i64..200_000,
        1 => -200_i64..0,
        1 => -100_000_i64..0,
    ];
    let pair = || {
        (
            prop_oneof![5 => -12_i64..=12, 1 => -3000_i64..=3000],
            prop_oneof![6 => Just(1_i64), 1 => -1_i64..=2],
        )
    };
    let some = |range: std::ops::Range<usize>| proptest::option::weighted(0.15, range);
    prop_oneof![
        8 => clock.prop_map(Step::Clock),
        24 => (types(), place(), round()).prop_map(|(types, place, round)| Step::LogIn { types, place, round }),
        3 => (types(), place(), prop_oneof![0..1536_usize, 1500..4096_usize], any::<u8>())
            .prop_map(|(types, place, cut, filler)| Step::TornLogIn { types, place, cut, filler }),
        2 => (1..60_u8, place(), 6_u32..=8).prop_map(|(count, place, digits)| Step::Guesses { count, place, digits }),
        2 => (profile(), proptest::option::of(0..6_u8), some(0..8))
            .prop_map(|(profile, name, replaces)| Step::Begin { profile, name, replaces }),
        3 => (pair(), some(0..8)).prop_map(|((at, then), replaces)| Step::Confirm { at, then, replaces }),
        2 => (
            profile(),
            proptest::option::of(0_u64..20),
            prop_oneof![Just(0_i64), -2000_i64..2000],
            any::<bool>(),
            proptest::option::weighted(0.3, -100_i64..100_000),
            some(0..8),
        )
            .prop_map(|(profile, floor, offset, assigned, expires, seed_of)| Step::Adopt {
                profile, floor, offset, assigned, expires, seed_of
            }),
        2 => (0..8_usize, pair()).prop_map(|(which, (at, then))| Step::Activate { which, at, then }),
        2 => (0..8_usize, pair(), any::<bool>())
            .prop_map(|(which, (at, then), by_owner)| Step::Resync { which, at, then, by_owner }),
        1 => (0..8_usize, 0..6_u8).prop_map(|(which, to)| Step::Rename { which, to }),
        1 => (0..8_usize).prop_map(Step::Suspend),
        2 => (0..8_usize).prop_map(Step::Resume),
        1 => (0..8_usize).prop_map(Step::Remove),
        1 => (60_u64..100_000).prop_map(Step::IssueBypass),
        1 => Just(Step::CancelBypass),
        1 => Just(Step::Unlock),
        1 => Just(Step::LoseState),
        1 => Just(Step::Repair),
        3 => (0..4_usize).prop_map(Step::CrashInNextChange),
        1 => (0..16_u8).prop_map(Step::NewRecoveryCodes),
    ]
}
