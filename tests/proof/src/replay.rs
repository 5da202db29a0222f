//! A power cut in the middle: what a login or an enrollment did to its files, replayed up to any point, in any order that the
//! syncs allow.
//!
//! # The model
//!
//! The recorder stands at the system-call boundary and writes down, in order, every deed on a file or folder below the module's
//! folder: bytes written (with their place), a length or mode set, a name made, moved, linked or removed, a sync. It also
//! writes down when the person was told.
//!
//! A power cut after the first *k* deeds leaves a disk on which
//!
//! - a deed is **there for certain** if a sync that covers it came after it and before the cut: fsync(2) or fdatasync(2) on a
//!   file covers what was done to that file's bytes, length and mode; fsync(2) on a folder covers the names that were
//!   made, moved and removed in it, and nothing else; sync(2) covers everything. A write through a descriptor with
//!   O_SYNC or O_DSYNC is its own sync;
//! - every other deed is there or is not, each for itself, in any combination: a later one may be there without an earlier one.
//!   A write is cut into sectors of 512 bytes, and each of them is there or is not;
//! - deeds that are there happen in the order of the recording. One that has nothing to act on (the renaming of a name that
//!   is not there) does nothing. A byte of a file that no write reached is 0.
//!
//! This is POSIX read as narrowly as it can be. It is harsher than ext4, which keeps the order of names and does not let the name of a
//! synced new file get lost. A module that holds here holds there; what fails here is what no sync was asked for.
//!
//! Every *k* is tried. For each, all combinations are if at most eight deeds (or sectors) are uncertain; of more, these: all,
//! none, every prefix, every one alone, every one missing, and 16 drawn by the seed. Equal disks are tried once.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use mfa_test_harness::Store;
use nix::errno::Errno;

use crate::adapters::{Extra, Module, Person, World};
use crate::calls::{Deed, Where, flag};
use crate::changes::{CHANGES, Scene};
use crate::course::{Course, Random};
use crate::enrollment::{self, Enrolled};
use crate::play::Told;
use crate::scoreboard::{Finding, Tally, Unfit};
use crate::tracer::{self, Call, Next, Stop, Tracee};

pub(crate) fn cut_in_a_login(course: &Course) -> Finding {
    let (world, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    // The second login, so that nothing is new.
    let first = world.attempt(&alice, alice.now);
    assert!(first.is_let_in(), "nothing befell this login: {first}");
    cut(course, &world, &alice, alice.now + 1, alice.code(alice.now + 1), Some(alice.code(alice.now)))
}

pub(crate) fn cut_in_a_recovery(course: &Course) -> Finding {
    if course.module == Module::Oath {
        return Err(Unfit::NotApplicable("it has no recovery codes"));
    }
    let (world, alice) = World::of_alice(course.module, Extra::RecoveryCodes, &mut course.random());
    let code = alice.account.recovery_codes().first().expect("there are ten");
    cut(course, &world, &alice, alice.now, code, None)
}

/// `used` is what was used before.
fn cut(
    course: &Course,
    world: &World,
    person: &Person,
    step: u64,
    typed: &str,
    used: Option<&str>,
) -> Finding {
    tracer::must_work()?;
    let mut recorder = Recorder::over(world);
    let login = tracer::trace(world.login(person, step).types(typed), |tracee, stop| {
        recorder.watch(tracee, stop);
        Next::GoOn
    });
    assert!(login.let_in(), "nothing befell this login, and yet: {login:#?}");
    // It was told after all that was recorded.
    recorder.deeds.push(Done::Told);
    let mut tally = Tally::default();
    let cuts = recorder.cuts(&mut course.random());
    for (disk, told) in course.pick(cuts.len()).into_iter().filter_map(|at| cuts.get(at)) {
        let world = disk.world(course.module);
        let before = used.map_or(Ok(()), |used| {
            world.attempt_with(person, step, used).must_be_refused("the code of the login before")
        });
        let sound = before.and_then(|()| world.must_be_sound_after(person, step, typed, *told));
        tally.add(sound.map_err(|what| format!("{}: {what}", said(*told))));
    }
    Ok(tally.remark(format!("{}; {} different disks", recorder.summary(), cuts.len())))
}

/// Of a second device; the account has one that works.
pub(crate) fn cut_in_an_enrollment(course: &Course) -> Finding {
    let (world, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    cut_enrollment(course, &world, Some(&alice))
}

/// Into a folder where nothing is; and where somebody else has an account, so that only what is this account's own is new.
pub(crate) fn cut_in_a_first_enrollment(course: &Course) -> Finding {
    let mut tally = cut_enrollment(course, &World::over(course.module, Store::temporary()), None)?;
    let (beside_bob, _) = World::with(course.module, &["bob"], Extra::Nothing, &mut course.random());
    tally.append(cut_enrollment(&course.times(BESIDE_SOMEBODY), &beside_bob, None)?);
    Ok(tally)
}

/// So many more of the moments: they are far fewer.
const BESIDE_SOMEBODY: usize = 8;

/// Of every other change of an account.
pub(crate) fn cut_in_a_change(course: &Course) -> Finding {
    let scene = Scene::new(course)?;
    let (mut tally, mut disks) = (Tally::default(), 0);
    for change in CHANGES {
        let world = scene.world(change);
        let mut recorder = Recorder { sign: change.says, ..Recorder::over(&world) };
        let whole = Scene::traced(&world, change, |tracee, stop| {
            recorder.watch(tracee, stop);
            Next::GoOn
        });
        whole.must_be_done();
        let cuts = recorder.cuts(&mut course.random());
        for (disk, told) in
            course.part_of(CHANGES.len()).pick(cuts.len()).into_iter().filter_map(|at| cuts.get(at))
        {
            let sound = scene.must_be_sound(&disk.world(course.module), change, &whole, *told);
            tally.add(sound.map_err(|what| format!("{} {}: {what}", change.name, said(*told))));
        }
        disks += cuts.len();
    }
    Ok(tally.remark(format!("{disks} different disks")))
}

/// Between the key that was shown and the codes that are typed: the same key is shown again.
pub(crate) fn cut_after_an_offer(course: &Course) -> Finding {
    if course.module != Module::Mfa {
        return Err(Unfit::NotApplicable("it shows a key and keeps none"));
    }
    tracer::must_work()?;
    let (world, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut recorder = Recorder { sign: b"\"secret\"", ..Recorder::over(&world) };
    let begun = enrollment::traced(&world, |tracee, stop| {
        recorder.watch(tracee, stop);
        if recorder.has_told() { Next::Kill } else { Next::GoOn }
    });
    let mut tally = Tally::default();
    let cuts = recorder.cuts(&mut course.random());
    for (disk, told) in course.pick(cuts.len()).into_iter().filter_map(|at| cuts.get(at)) {
        let world = disk.world(course.module);
        let sound = match told {
            Told::LetIn => begun.must_go_on_with_the_same_key(&world),
            Told::NotLetIn => begun.as_told(Told::NotLetIn).must_be_sound(&world, Some(&alice)),
        };
        tally.add(sound.map_err(|what| match told {
            Told::LetIn => format!("cut after the key was shown: {what}"),
            Told::NotLetIn => format!("cut before: {what}"),
        }));
    }
    Ok(tally.remark(format!("{}; {} different disks", recorder.summary(), cuts.len())))
}

/// A sync that fails (EIO) has put nothing on the disk: whoever is let in all the same can't be let in again after a power cut.
pub(crate) fn cut_after_a_failed_sync(course: &Course) -> Finding {
    tracer::must_work()?;
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let step = alice.now;
    let mut tally = Tally::default();
    // As many as it has.
    for failing in 0.. {
        let world = undamaged.copy();
        let (mut recorder, mut syncs) = (Recorder::over(&world), 0);
        let login = tracer::trace(world.login(&alice, step).types(alice.code(step)), |tracee, stop| {
            recorder.watch(tracee, stop);
            let Stop::Before(call) = stop else { return Next::GoOn };
            if !matches!(Deed::of(call), Deed::Syncs { .. } | Deed::SyncsAll) {
                return Next::GoOn;
            }
            syncs += 1;
            if syncs == failing + 1 { Next::Fail(Errno::EIO) } else { Next::GoOn }
        });
        if syncs <= failing {
            break;
        }
        let mut attempt = Ok(());
        if login.let_in() {
            recorder.deeds.push(Done::Told);
            for (disk, told) in recorder.cuts(&mut course.random()) {
                if told == Told::LetIn && attempt.is_ok() {
                    let again = disk.world(course.module).attempt(&alice, step);
                    attempt = again.must_be_refused("the code that was accepted, after a power cut");
                }
            }
        }
        tally.add(attempt.map_err(|what| format!("sync {}: {what}", failing + 1)));
    }
    if tally.tried == 0 && course.module != Module::Mfa {
        return Err(Unfit::NotApplicable("a login of it syncs nothing"));
    }
    Ok(tally)
}

/// A lock is held until what was written under it is on the disk: who comes next must not build on what a power cut can take away.
pub(crate) fn lock_outlives_the_sync(course: &Course) -> Finding {
    if course.module != Module::Mfa {
        return Err(Unfit::NotApplicable("it takes no lock by flock(2)"));
    }
    tracer::must_work()?;
    let (world, alice) = World::of_alice(course.module, Extra::RecoveryCodes, &mut course.random());
    let codes = [
        alice.code(alice.now).to_owned(),
        alice.wrong_code(alice.now, 0),
        alice.account.recovery_codes().first().expect("there are ten").clone(),
    ];
    let mut tally = Tally::default();
    for (code, what) in codes.iter().zip(["a right code", "a wrong code", "a recovery code"]) {
        let (mut recorder, mut locked, mut wrong) = (Recorder::over(&world), Vec::new(), Vec::new());
        let mut has_written_locked = false;
        tracer::trace(world.login(&alice, alice.now).types(code), |tracee, stop| {
            if let Stop::Before(call) = stop {
                let place = tracee.leads_to(call.arguments[0]);
                let writes =
                    matches!(Deed::of(call), Deed::Writes { .. }) && place.starts_with(world.store.path());
                if writes && locked.is_empty() {
                    wrong.push(format!("a write to {} without a lock", place.display()));
                }
                has_written_locked |= writes && !locked.is_empty();
                let unlocks = call.number == libc::SYS_close
                    || call.number == libc::SYS_flock && call.arguments[1] & flag(libc::LOCK_UN) != 0;
                if unlocks && locked.contains(&tracer::low_half(call.arguments[0])) {
                    locked.retain(|other| *other != tracer::low_half(call.arguments[0]));
                    if !recorder.is_all_synced() {
                        wrong.push("the lock is let go of before the sync".to_owned());
                    }
                }
                if call.number == libc::SYS_flock && call.arguments[1] & flag(libc::LOCK_SH) != 0 {
                    wrong.push("the lock is a shared one".to_owned());
                }
            }
            if let Stop::After(call, 0) = stop
                && call.number == libc::SYS_flock
                && call.arguments[1] & flag(libc::LOCK_EX) != 0
            {
                locked.push(tracer::low_half(call.arguments[0]));
            }
            recorder.watch(tracee, stop);
            Next::GoOn
        });
        assert!(has_written_locked || !wrong.is_empty(), "a login writes something");
        tally.add(wrong.first().map_or(Ok(()), |wrong| Err(format!("{what}: {wrong}"))));
    }
    Ok(tally)
}

fn cut_enrollment(course: &Course, world: &World, owner: Option<&Person>) -> Finding {
    enrollment::must_be_there(course.module)?;
    tracer::must_work()?;
    let mut recorder = Recorder::over(world);
    let whole = enrollment::traced(world, |tracee, stop| {
        recorder.watch(tracee, stop);
        Next::GoOn
    });
    whole.must_be_done().expect("nothing befell this enrollment");
    if course.module == Module::GoogleAuthenticator {
        // It says nothing but that it has ended well.
        recorder.deeds.push(Done::Told);
    }
    let mut tally = Tally::default();
    let cuts = recorder.cuts(&mut course.random());
    for (disk, told) in course.pick(cuts.len()).into_iter().filter_map(|at| cuts.get(at)) {
        let sound = Enrolled::as_told(&whole, *told).must_be_sound(&disk.world(course.module), owner);
        tally.add(sound.map_err(|what| format!("{}: {what}", said(*told))));
    }
    Ok(tally.remark(format!("{}; {} different disks", recorder.summary(), cuts.len())))
}

const fn said(told: Told) -> &'static str {
    match told {
        Told::LetIn => "cut after success was told",
        Told::NotLetIn => "cut before anything was told",
    }
}

/// A deed that has been done. Files are known by their inode, which outlives their names.
#[derive(Clone, Debug)]
enum Done {
    Bytes {
        inode: u64,
        at: usize,
        bytes: Vec<u8>,
    },
    Length {
        inode: u64,
        length: usize,
    },
    Mode {
        inode: u64,
        mode: u32,
    },
    Made {
        name: PathBuf,
        inode: u64,
        mode: u32,
    },
    MadeFolder {
        name: PathBuf,
        mode: u32,
    },
    Moved {
        from: PathBuf,
        to: PathBuf,
    },
    Linked {
        from: PathBuf,
        to: PathBuf,
    },
    Removed {
        name: PathBuf,
    },
    Synced {
        inode: u64,
    },
    SyncedFolder {
        name: PathBuf,
    },
    SyncedAll,
    /// The person was told that all is done.
    Told,
}

impl Done {
    /// Whether this sync covers that deed.
    fn covers(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::SyncedAll, _) => true,
            (
                Self::Synced { inode: synced },
                Self::Bytes { inode, .. } | Self::Length { inode, .. } | Self::Mode { inode, .. },
            ) => synced == inode,
            (
                Self::SyncedFolder { name: folder },
                Self::Made { name, .. }
                | Self::MadeFolder { name, .. }
                | Self::Linked { to: name, .. }
                | Self::Removed { name },
            ) => name.parent() == Some(folder),
            (Self::SyncedFolder { name: folder }, Self::Moved { from, to }) => {
                // From one folder to another: both would have to be synced, and one sync is not both.
                from.parent() == Some(folder) && to.parent() == Some(folder)
            }
            _ => false,
        }
    }

    const fn changes_the_disk(&self) -> bool {
        match self {
            Self::Bytes { .. }
            | Self::Length { .. }
            | Self::Mode { .. }
            | Self::Made { .. }
            | Self::MadeFolder { .. }
            | Self::Moved { .. }
            | Self::Linked { .. }
            | Self::Removed { .. } => true,
            Self::Synced { .. } | Self::SyncedFolder { .. } | Self::SyncedAll | Self::Told => false,
        }
    }

    /// As the disk may tear it.
    fn torn(&self) -> Vec<Self> {
        const SECTOR: usize = 512;
        let Self::Bytes { inode, at, bytes } = self else { return vec![self.clone()] };
        let (mut parts, mut begin) = (Vec::new(), 0);
        while begin < bytes.len() {
            let end = (begin + SECTOR - (at + begin) % SECTOR).min(bytes.len());
            let part = bytes.get(begin..end).unwrap_or_default().to_vec();
            parts.push(Self::Bytes { inode: *inode, at: at + begin, bytes: part });
            begin = end;
        }
        parts
    }
}

/// Writes down what is done below a folder.
struct Recorder {
    folder: PathBuf,
    before: Disk,
    deeds: Vec<Done>,
    noted: Noted,
    /// What a program prints when it is done.
    sign: &'static [u8],
}

/// What has to be known from before a call.
#[derive(Default)]
struct Noted {
    existed: bool,
    position: usize,
    names: Vec<PathBuf>,
}

impl Recorder {
    fn over(world: &World) -> Self {
        let folder = world.store.path();
        let sign = b"\"enrolled\"";
        Self { before: Disk::read(&folder), folder, deeds: Vec::new(), noted: Noted::default(), sign }
    }

    fn has_told(&self) -> bool {
        self.deeds.iter().any(|deed| matches!(deed, Done::Told))
    }

    /// Whether a power cut now would take nothing away.
    fn is_all_synced(&self) -> bool {
        self.deeds.iter().enumerate().filter(|(_, deed)| deed.changes_the_disk()).all(|(index, deed)| {
            self.deeds.get(index..).unwrap_or_default().iter().any(|sync| sync.covers(deed))
        })
    }

    fn watch(&mut self, tracee: &Tracee, stop: &Stop) {
        match stop {
            Stop::Before(call) => self.note(tracee, call),
            Stop::After(call, result) if *result >= 0 => self.record(tracee, call, *result),
            Stop::After(..) | Stop::Ended => {}
        }
    }

    fn note(&mut self, tracee: &Tracee, call: &Call) {
        self.noted = Noted::default();
        match Deed::of(call) {
            Deed::Opens { name, .. } => {
                let path = name.path(tracee);
                self.noted.existed = path.symlink_metadata().is_ok();
                self.noted.names = vec![path];
            }
            Deed::Renames { from, to } | Deed::Links { from, to } => {
                self.noted.names = vec![from.path(tracee), to.path(tracee)];
            }
            Deed::Removes { name } | Deed::MakesFolder { name } => self.noted.names = vec![name.path(tracee)],
            Deed::Writes { descriptor, at: Where::Position, .. } => {
                let appends = descriptor_says(tracee, descriptor, "flags", 8) & flag(libc::O_APPEND) != 0;
                let length = fs::metadata(tracee.leads_to(descriptor)).map_or(0, |metadata| metadata.len());
                let stands = descriptor_says(tracee, descriptor, "pos", 10);
                self.noted.position =
                    usize::try_from(if appends { length } else { stands }).expect("small files");
            }
            Deed::Writes { .. }
            | Deed::Syncs { .. }
            | Deed::SyncsAll
            | Deed::Resizes { .. }
            | Deed::ChangesMode { .. }
            | Deed::Unknown { .. }
            | Deed::Nothing => {}
        }
    }

    fn record(&mut self, tracee: &Tracee, call: &Call, result: i64) {
        let deed = Deed::of(call);
        if says(tracee, call, result, self.sign) {
            self.deeds.push(Done::Told);
        }
        if !matches!(deed, Deed::SyncsAll)
            && !deed.place(tracee).is_some_and(|place| self.is_ours(&place))
            && !self.noted.names.iter().any(|name| self.is_ours(name))
        {
            return;
        }
        match deed {
            Deed::Opens { flags, .. } => self.opened(tracee, flags, result.cast_unsigned()),
            Deed::Writes { descriptor, address, at, .. } => {
                let length = usize::try_from(result).expect("a short write");
                let at = match at {
                    Where::At(offset) => usize::try_from(offset).expect("small files"),
                    Where::Position => self.noted.position,
                };
                let inode = inode_of(tracee, descriptor);
                let bytes = tracee.memory(address, length).expect("it was just written from there");
                self.deeds.push(Done::Bytes { inode, at, bytes });
                if descriptor_says(tracee, descriptor, "flags", 8) & flag(libc::O_DSYNC) != 0 {
                    self.deeds.push(Done::Synced { inode });
                }
            }
            Deed::Syncs { descriptor } => {
                let place = tracee.leads_to(descriptor);
                let synced = if place.is_dir() {
                    Done::SyncedFolder { name: self.name(&place) }
                } else {
                    Done::Synced { inode: inode_of(tracee, descriptor) }
                };
                self.deeds.push(synced);
            }
            Deed::SyncsAll => self.deeds.push(Done::SyncedAll),
            Deed::Renames { .. } => {
                let [from, to] = self.two_names();
                self.deeds.push(Done::Moved { from, to });
            }
            Deed::Links { .. } => {
                let [from, to] = self.two_names();
                self.deeds.push(Done::Linked { from, to });
            }
            Deed::Removes { .. } => {
                let name = self.one_name();
                self.deeds.push(Done::Removed { name });
            }
            Deed::MakesFolder { .. } => {
                let name = self.one_name();
                let mode = mode_of(&self.folder.join(&name));
                self.deeds.push(Done::MadeFolder { name, mode });
            }
            Deed::Resizes { descriptor, length } => {
                let length = usize::try_from(length).expect("small files");
                self.deeds.push(Done::Length { inode: inode_of(tracee, descriptor), length });
            }
            Deed::ChangesMode { descriptor, mode } => {
                let mode = u32::try_from(mode & 0o7777).expect("twelve bits");
                self.deeds.push(Done::Mode { inode: inode_of(tracee, descriptor), mode });
            }
            Deed::Unknown { .. } => {
                panic!("the recorder does not understand system call {}: teach it in calls.rs", call.number)
            }
            Deed::Nothing => {}
        }
    }

    fn opened(&mut self, tracee: &Tracee, flags: u64, descriptor: u64) {
        let inode = inode_of(tracee, descriptor);
        if self.noted.existed {
            if flags & flag(libc::O_TRUNC) != 0 {
                self.deeds.push(Done::Length { inode, length: 0 });
            }
        } else if flags & flag(libc::O_CREAT) != 0 {
            let name = self.one_name();
            let mode = mode_of(&self.folder.join(&name));
            self.deeds.push(Done::Made { name, inode, mode });
        }
    }

    fn is_ours(&self, place: &Path) -> bool {
        place.starts_with(&self.folder)
    }

    fn name(&self, place: &Path) -> PathBuf {
        place.strip_prefix(&self.folder).expect("it lies in the folder").to_owned()
    }

    fn one_name(&self) -> PathBuf {
        self.name(self.noted.names.first().expect("it was noted"))
    }

    fn two_names(&self) -> [PathBuf; 2] {
        let [from, to] = self.noted.names.as_slice() else { panic!("both were noted") };
        [self.name(from), self.name(to)]
    }

    fn summary(&self) -> String {
        let changes = self.deeds.iter().filter(|deed| deed.changes_the_disk()).count();
        let syncs =
            self.deeds.iter().filter(|deed| !deed.changes_the_disk() && !matches!(deed, Done::Told)).count();
        format!("{changes} changes and {syncs} syncs were recorded")
    }

    /// Every disk that a power cut can leave, and what the person had been told by then.
    fn cuts(&self, random: &mut Random) -> Vec<(Disk, Told)> {
        let mut seen = BTreeSet::new();
        let mut cuts = Vec::new();
        for done in 0..=self.deeds.len() {
            let deeds = self.deeds.get(..done).unwrap_or_default();
            let told = if deeds.iter().any(|deed| matches!(deed, Done::Told)) {
                Told::LetIn
            } else {
                Told::NotLetIn
            };
            // Each deed (or sector of it), and whether it is there for certain.
            let mut parts = Vec::new();
            for (index, deed) in deeds.iter().enumerate().filter(|(_, deed)| deed.changes_the_disk()) {
                let later = deeds.get(index..).unwrap_or_default();
                let certain = later.iter().any(|sync| sync.covers(deed));
                parts.extend(deed.torn().into_iter().map(|part| (part, certain)));
            }
            let uncertain = parts.iter().filter(|(_, certain)| !certain).count();
            for choice in choices(uncertain, random) {
                let mut choice = choice.into_iter();
                let mut disk = self.before.clone();
                for (part, certain) in &parts {
                    if *certain || choice.next().unwrap_or(false) {
                        disk.apply(part);
                    }
                }
                if seen.insert((disk.fingerprint(), told == Told::LetIn)) {
                    cuts.push((disk, told));
                }
            }
        }
        cuts
    }
}

/// Which of `count` uncertain deeds are there.
fn choices(count: usize, random: &mut Random) -> Vec<Vec<bool>> {
    const ALL: usize = 8;
    const DRAWN: usize = 16;
    if count <= ALL {
        return (0..1_usize << count)
            .map(|bits| (0..count).map(|bit| bits >> bit & 1 == 1).collect())
            .collect();
    }
    let mut choices: Vec<Vec<bool>> =
        (0..=count).map(|end| (0..count).map(|index| index < end).collect()).collect();
    for one in 0..count {
        choices.push((0..count).map(|index| index == one).collect());
        choices.push((0..count).map(|index| index != one).collect());
    }
    choices.extend((0..DRAWN).map(|_| (0..count).map(|_| random.below(2) == 1).collect::<Vec<_>>()));
    choices
}

/// The files of a module, in memory.
#[derive(Clone, Default)]
struct Disk {
    files: BTreeMap<u64, File>,
    names: BTreeMap<PathBuf, u64>,
    folders: BTreeMap<PathBuf, u32>,
}

/// Shared between the disks on which it is the same.
#[derive(Clone)]
struct File {
    bytes: Rc<Vec<u8>>,
    mode: u32,
    digest: u64,
}

impl Disk {
    fn read(folder: &Path) -> Self {
        let mut disk = Self::default();
        disk.read_folder(folder, Path::new(""));
        disk
    }

    fn read_folder(&mut self, root: &Path, name: &Path) {
        let folder = root.join(name);
        self.folders.insert(name.to_owned(), mode_of(&folder));
        for entry in fs::read_dir(&folder).expect("a folder of the store") {
            let name = name.join(entry.expect("an entry of the store").file_name());
            let path = root.join(&name);
            if path.is_dir() {
                self.read_folder(root, &name);
            } else {
                let inode = fs::metadata(&path).expect("a file of the store").ino();
                let file = File::new(fs::read(&path).expect("a file of the store"), mode_of(&path));
                self.files.insert(inode, file);
                self.names.insert(name, inode);
            }
        }
    }

    fn apply(&mut self, deed: &Done) {
        match deed {
            Done::Bytes { inode, at, bytes } => {
                let end = at + bytes.len();
                self.change(*inode, |file| {
                    if file.len() < end {
                        file.resize(end, 0);
                    }
                    file.get_mut(*at..end).expect("it is as long as that").copy_from_slice(bytes);
                });
            }
            Done::Length { inode, length } => {
                self.change(*inode, |file| file.resize(*length, 0));
            }
            Done::Mode { inode, mode } => {
                self.files.entry(*inode).or_insert_with(File::nobody_knows).mode = *mode;
            }
            Done::Made { name, inode, mode } => {
                self.files.entry(*inode).or_insert_with(File::nobody_knows).mode = *mode;
                self.names.insert(name.clone(), *inode);
            }
            Done::MadeFolder { name, mode } => {
                self.folders.insert(name.clone(), *mode);
            }
            Done::Moved { from, to } => {
                if let Some(inode) = self.names.remove(from) {
                    self.names.insert(to.clone(), inode);
                }
            }
            Done::Linked { from, to } => {
                if let Some(inode) = self.names.get(from) {
                    self.names.insert(to.clone(), *inode);
                }
            }
            Done::Removed { name } => {
                self.names.remove(name);
                self.folders.remove(name);
            }
            Done::Synced { .. } | Done::SyncedFolder { .. } | Done::SyncedAll | Done::Told => {}
        }
    }

    fn change(&mut self, inode: u64, how: impl FnOnce(&mut Vec<u8>)) {
        let file = self.files.entry(inode).or_insert_with(File::nobody_knows);
        let mut bytes = file.bytes.to_vec();
        how(&mut bytes);
        *file = File::new(bytes, file.mode);
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, mode) in &self.folders {
            (name.as_os_str(), mode).hash(&mut hasher);
        }
        for (name, inode) in &self.names {
            name.as_os_str().hash(&mut hasher);
            self.files.get(inode).map(|file| (file.digest, file.mode)).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The module over this disk. What lies in a folder that is not there is not there.
    fn world(&self, module: Module) -> World {
        let store = Store::temporary();
        let root = store.path();
        let set_mode = |path: &Path, mode: u32| {
            fs::set_permissions(path, Permissions::from_mode(mode)).expect("our own file");
        };
        for (name, mode) in &self.folders {
            let path = root.join(name);
            if path.parent().is_some_and(Path::exists) {
                if !path.exists() {
                    fs::create_dir(&path).expect("a folder in our own folder");
                }
                set_mode(&path, *mode);
            }
        }
        for (name, inode) in &self.names {
            let path = root.join(name);
            if path.parent().is_some_and(Path::exists) {
                let file = self.files.get(inode).expect("every name has its file");
                fs::write(&path, &*file.bytes).expect("a file in our own folder");
                set_mode(&path, file.mode);
            }
        }
        World::over(module, store)
    }
}

impl File {
    /// An inode of which something is on the disk before its making is.
    fn nobody_knows() -> Self {
        Self::new(Vec::new(), 0o600)
    }

    fn new(bytes: Vec<u8>, mode: u32) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Self { bytes: Rc::new(bytes), mode, digest: hasher.finish() }
    }
}

/// Whether the program tells the person this.
fn says(tracee: &Tracee, call: &Call, written: i64, sign: &[u8]) -> bool {
    if !tracer::is_talk(tracee, call) {
        return false;
    }
    let length = usize::try_from(written).expect("a call that went well");
    tracee.memory(call.arguments[1], length).is_ok_and(|text| contains(&text, sign))
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).map_or(0o600, |metadata| metadata.permissions().mode() & 0o7777)
}

fn inode_of(tracee: &Tracee, descriptor: u64) -> u64 {
    fs::metadata(tracee.file(&format!("fd/{}", tracer::low_half(descriptor)))).expect("it is open").ino()
}

/// A line of /proc/PID/fdinfo.
fn descriptor_says(tracee: &Tracee, descriptor: u64, what: &str, radix: u32) -> u64 {
    let path = tracee.file(&format!("fdinfo/{}", tracer::low_half(descriptor)));
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    line.and_then(|value| u64::from_str_radix(value.trim(), radix).ok()).unwrap_or_default()
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}
