//! What was aimed at, what was measured, and why an aim is missed.

use crate::Measurements;
use crate::calls::Calls;
use crate::crowd::{Crowd, Worker};
use crate::latency::Run;
use crate::login::Kind;
use crate::memory::Growth;
use crate::modules::Module;
use crate::statistics::authenticate;

/// An aim: `measured` is to be `at_most` (or, with [`Sense::AtLeast`], at least) that.
pub(crate) struct Target {
    pub(crate) sentence: &'static str,
    pub(crate) measured: f64,
    pub(crate) bound: f64,
    pub(crate) sense: Sense,
    /// What stands in the way, if it is missed.
    pub(crate) why: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sense {
    AtMost,
    AtLeast,
}

impl Target {
    pub(crate) fn is_met(&self) -> bool {
        match self.sense {
            Sense::AtMost => self.measured <= self.bound,
            Sense::AtLeast => self.measured >= self.bound,
        }
    }
}

const LIBPAM_IS_COUNTED: &str = "pam_authenticate(3) of libpam itself, with its line to the audit log, is counted here too (see pam_permit), \
     and the limit is one system call and one wait on a file that is open; a login opens and checks nine files and folders, opens a sealed \
     seed, and touches code that was loaded a moment ago";
const LOADING: &str = "a login loads a module of a megabyte afresh; what it computes and asks of the kernel is the smaller part";
const NO_RECORD: &str = "neither peer writes anything about a wrong code, so codes can be tried without end; here each is counted on disk \
     before it is answered, which costs the wait for the disk";
const PROCESSORS: &str = "beyond the number of processors a login waits for one of them, not for the disk: loading and checking costs time \
     that one write does not";

/// All of them.
pub(crate) fn all(measured: &Measurements) -> Vec<Target> {
    let (disk, tmpfs) = (&measured.disk, &measured.tmpfs);
    let at_most =
        |sentence, measured, bound, why| Target { sentence, measured, bound, sense: Sense::AtMost, why };
    let google = Module::GoogleAuthenticator;
    let mut targets = vec![
        at_most(
            "on disk: `pam_authenticate`, accepted, in times of the limit",
            authenticate(disk.logins(Module::Mfa, Kind::Accepted)).median() / disk.limit.median(),
            1.3,
            LIBPAM_IS_COUNTED,
        ),
        at_most(
            "on disk: cycle above pam_permit, accepted, in times of the fastest peer's",
            against_fastest(disk, Kind::Accepted),
            0.5,
            LOADING,
        ),
        at_most(
            "on disk: cycle above pam_permit, refused, in times of pam_google_authenticator's",
            against(disk, Kind::Refused, google),
            0.5,
            NO_RECORD,
        ),
        at_most(
            "on disk: cycle above pam_permit, refused, in times of the fastest peer's",
            against_fastest(disk, Kind::Refused),
            0.5,
            NO_RECORD,
        ),
        at_most(
            "on tmpfs: cycle above pam_permit, accepted, in times of pam_google_authenticator's",
            against(tmpfs, Kind::Accepted, google),
            1.0,
            LOADING,
        ),
        at_most(
            "on tmpfs: cycle above pam_permit, refused, in times of pam_google_authenticator's",
            against(tmpfs, Kind::Refused, google),
            1.0,
            LOADING,
        ),
    ];
    if let (Some(few), Some(many)) = (measured.scale.first(), measured.scale.last()) {
        let ratio = authenticate(&many.accepted).median() / authenticate(&few.accepted).median();
        targets.push(at_most(
            "the most users, in times of 10 users",
            ratio,
            1.1,
            "the file system finds a name more slowly",
        ));
    }
    targets.push(Target {
        sentence: "32 processes: by how much more logins a second than 1 process, as part of what the disk gains",
        measured: gain(&measured.crowds, Worker::Module(Module::Mfa)) / gain(&measured.crowds, Worker::Limit),
        bound: 1.0,
        sense: Sense::AtLeast,
        why: PROCESSORS,
    });
    targets.extend(kib(&measured.growth, &measured.calls));
    targets
}

fn kib(growth: &[Growth], calls: &[Calls]) -> Vec<Target> {
    let ours = growth.iter().find(|growth| growth.module == Module::Mfa).expect("every module is measured");
    let syncs = calls.iter().filter(|calls| calls.module == Module::Mfa).map(|calls| calls.syncs).max();
    let at_most =
        |sentence, measured, bound, why| Target { sentence, measured, bound, sense: Sense::AtMost, why };
    vec![
        at_most(
            "waits for the disk in a login",
            number(syncs.unwrap_or(0)),
            1.0,
            "there is more than one write",
        ),
        at_most(
            "growth of the host process, KiB",
            wide(ours.resident),
            1024.0,
            "pages of the module count, which all processes share",
        ),
        at_most("of that not shared, KiB", wide(ours.private), 128.0, "what is relocated or allocated"),
        at_most(
            "not shared after 100 more logins, KiB",
            wide(ours.private_after_many),
            128.0,
            "something is not freed",
        ),
        at_most("bytes of pam_mfa.so, KiB", number(Module::Mfa.bytes()) / 1024.0, 1024.0, SIZE),
    ]
}

const SIZE: &str = "the standard library's way to print a backtrace, never reached, is a sixth of it";

fn against(run: &Run, kind: Kind, peer: Module) -> f64 {
    run.above_permit(Module::Mfa, kind) / run.above_permit(peer, kind)
}

fn against_fastest(run: &Run, kind: Kind) -> f64 {
    let peers = [Module::GoogleAuthenticator, Module::Oath].map(|peer| run.above_permit(peer, kind));
    run.above_permit(Module::Mfa, kind) / peers.into_iter().fold(f64::INFINITY, f64::min)
}

/// How much more a second the largest crowd does than one process.
fn gain(crowds: &[Crowd], worker: Worker) -> f64 {
    let of = |crowd: &&Crowd| crowd.worker == worker;
    let (Some(one), Some(most)) = (crowds.iter().find(of), crowds.iter().rfind(of)) else { return f64::NAN };
    most.per_second / one.per_second
}

fn number(count: impl TryInto<u32>) -> f64 {
    f64::from(count.try_into().unwrap_or(u32::MAX))
}

fn wide(kib: i64) -> f64 {
    f64::from(i32::try_from(kib).unwrap_or(i32::MAX))
}
