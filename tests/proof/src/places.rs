//! Something else in place of a file of the module: refused at once, whatever it is.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::adapters::{Extra, Person, World};
use crate::course::{Course, Random};
use crate::enrollment;
use crate::play;
use crate::scoreboard::{Attempt, Finding, Tally};

/// Each file that a login relies on, damaged in each way.
pub(crate) fn instead_of_a_file(course: &Course) -> Finding {
    in_each_place(course, FILE_DAMAGES, World::files)
}

/// The same for the folders.
pub(crate) fn folders(course: &Course) -> Finding {
    in_each_place(course, FOLDER_DAMAGES, World::folders)
}

/// What an enrollment finds where it wants to write must not make it hang, nor the device from before useless.
pub(crate) fn before_an_enrollment(course: &Course) -> Finding {
    enrollment::must_be_there(course.module)?;
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut tally = Tally::default();
    for name in undamaged.enrollment_files(&alice) {
        for (what, damage) in FILE_DAMAGES.iter().filter(|(what, _)| MAKES_A_FILE.contains(what)) {
            let world = undamaged.copy();
            let path = world.store.path().join(&name);
            File::create(&path).expect("a file in our own folder");
            damage(&path);
            let ended = enrollment::ends_in_time(&world);
            let sound = ended
                .and_then(|()| world.attempt(&alice, alice.now).must_be_let_in("the device from before"));
            tally.add(sound.map_err(|wrong| format!("{what} as {}: {wrong}", name.display())));
        }
    }
    Ok(tally)
}

/// Bytes that a disk has lost, changed, or kept from before: whatever is left, a code that was used stays used.
pub(crate) fn damaged_bytes(course: &Course) -> Finding {
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let mut random = course.random();
    let contents = |world: &World| {
        let read = |path: &PathBuf| fs::read(path).expect("our own file");
        world.files(&alice).iter().map(read).collect::<Vec<_>>()
    };
    let before = contents(&undamaged);
    // Twice, so that the code is used in each of two copies, where a module keeps two.
    for step in [alice.now, alice.now + 1] {
        let outcome = undamaged.attempt(&alice, step);
        assert!(outcome.is_let_in(), "nothing is damaged: {outcome}");
    }
    let after = contents(&undamaged);
    let mut damages = Vec::new();
    for (index, (before, after)) in before.iter().zip(&after).enumerate() {
        for at in places_in(after) {
            for rot in [Rot::Zero, Rot::Flip, Rot::Old, Rot::Noise] {
                let rotten = rot.at(at, before, after, &mut random);
                if rotten != *after {
                    damages.push((index, at, rot, rotten));
                }
            }
        }
    }
    let (files, mut tally) = (undamaged.files(&alice), Tally::default());
    for (index, at, rot, rotten) in course.pick(damages.len()).into_iter().filter_map(|at| damages.get(at)) {
        let path = files.get(*index).expect("one of them");
        overwrite(path, rotten);
        let login = undamaged.login(&alice, alice.now + 1).types(alice.code(alice.now));
        let again = play::run_within(PATIENCE, login);
        // As it was, whatever the login has made of it: quicker than a copy of all.
        files.iter().zip(&after).for_each(|(path, bytes)| overwrite(path, bytes));
        let name = path.file_name().unwrap_or_default().display().to_string();
        let sound = again.must_be_refused("a used code");
        tally.add(sound.map_err(|wrong| format!("{rot:?} at byte {at} of {name}: {wrong}")));
    }
    Ok(tally)
}

fn overwrite(path: &Path, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).truncate(true).open(path);
    file.and_then(|mut file| file.write_all(bytes)).expect("our own file");
}

/// What has become of the bytes from a place on.
#[derive(Clone, Copy, Debug)]
enum Rot {
    /// Zero up to the end of the block.
    Zero,
    /// One bit is the other one.
    Flip,
    /// Up to the end of the block as they were before.
    Old,
    /// Eight of them are anything.
    Noise,
}

const BLOCK: usize = 4096;

impl Rot {
    fn at(self, at: usize, before: &[u8], after: &[u8], random: &mut Random) -> Vec<u8> {
        let block_end = ((at / BLOCK + 1) * BLOCK).min(after.len());
        let mut bytes = after.to_vec();
        match self {
            Self::Zero => bytes.get_mut(at..block_end).expect("it is in the file").fill(0),
            Self::Flip => *bytes.get_mut(at).expect("it is in the file") ^= 1 << random.below(8),
            Self::Old => {
                let old = before.get(at..block_end.min(before.len())).unwrap_or_default();
                for (byte, old) in bytes.iter_mut().skip(at).zip(old) {
                    *byte = *old;
                }
            }
            Self::Noise => {
                for byte in bytes.iter_mut().skip(at).take(8) {
                    *byte = random.next().to_le_bytes()[0];
                }
            }
        }
        bytes
    }
}

/// Every eighth byte at the beginning of a block, and some of the rest.
fn places_in(file: &[u8]) -> Vec<usize> {
    const DENSE: usize = 72;
    const SPARSE_STEP: usize = 509;
    (0..file.len())
        .filter(|at| {
            let in_block = at % BLOCK;
            in_block.is_multiple_of(8) && in_block < DENSE || at.is_multiple_of(SPARSE_STEP)
        })
        .collect()
}

type Damage = (&'static str, fn(&Path));

const FILE_DAMAGES: &[Damage] = &[
    ("a FIFO", |path| instead(path, |path| run(Command::new("mkfifo").args(["-m", "600"]).arg(path)))),
    ("a device that never ends", |path| {
        instead(path, |path| run(Command::new("mknod").args(["-m", "600"]).arg(path).args(["c", "1", "5"])))
    }),
    ("a device that is empty", |path| {
        instead(path, |path| run(Command::new("mknod").args(["-m", "600"]).arg(path).args(["c", "1", "3"])))
    }),
    ("a folder", |path| instead(path, |path| fs::create_dir(path).expect("a folder in our own"))),
    ("a socket", |path| {
        instead(path, |path| {
            drop(std::os::unix::net::UnixListener::bind(path).expect("a socket in our own folder"))
        })
    }),
    ("a symbolic link to the file", |path| {
        let moved = path.with_file_name("moved");
        fs::rename(path, &moved).expect("our own file");
        symlink(&moved, path).expect("a link in our own folder");
    }),
    ("a symbolic link to /dev/zero", |path| {
        instead(path, |path| symlink("/dev/zero", path).expect("a link in our own folder"))
    }),
    ("a symbolic link to nothing", |path| {
        instead(path, |path| symlink("/nonexistent", path).expect("a link in our own folder"))
    }),
    ("a hard link beside it", |path| {
        fs::hard_link(path, path.with_file_name("second-name")).expect("a link in our own folder")
    }),
    ("a file of a terabyte", |path| set_length(path, 1 << 40)),
    ("an empty file", |path| set_length(path, 0)),
    ("half the file", |path| set_length(path, fs::metadata(path).expect("our own file").len() / 2)),
    ("mode 0666", |path| set_mode(path, 0o666)),
    ("mode 0660", |path| set_mode(path, 0o660)),
    ("mode 0604", |path| set_mode(path, 0o604)),
    ("another owner", |path| chown(path, Some(ANOTHER_USER), None).expect("we are root")),
];

/// Those that make sense where no file was.
const MAKES_A_FILE: [&str; 8] = [
    "a FIFO",
    "a device that never ends",
    "a folder",
    "a socket",
    "a symbolic link to /dev/zero",
    "a symbolic link to nothing",
    "a file of a terabyte",
    "an empty file",
];

const FOLDER_DAMAGES: &[Damage] = &[
    ("a symbolic link to the folder", |path| {
        let moved = path.with_file_name("moved");
        fs::rename(path, &moved).expect("our own folder");
        symlink(&moved, path).expect("a link in our own folder");
    }),
    ("mode 0777", |path| set_mode(path, 0o777)),
    ("mode 0770", |path| set_mode(path, 0o770)),
    ("mode 1777", |path| set_mode(path, 0o1777)),
    ("another owner", |path| chown(path, Some(ANOTHER_USER), None).expect("we are root")),
];

/// Nobody else is there that a login could wait for.
const PATIENCE: Duration = Duration::from_secs(3);

const ANOTHER_USER: u32 = 4711;

fn in_each_place(
    course: &Course,
    damages: &[Damage],
    places: impl Fn(&World, &Person) -> Vec<PathBuf>,
) -> Finding {
    let (undamaged, alice) = World::of_alice(course.module, Extra::Nothing, &mut course.random());
    let unharmed = undamaged.copy().attempt(&alice, alice.now);
    assert!(unharmed.is_let_in(), "nothing is damaged: {unharmed}");
    let mut tally = Tally::default();
    for index in 0..places(&undamaged, &alice).len() {
        for (what, damage) in damages {
            let world = undamaged.copy();
            let path = places(&world, &alice).swap_remove(index);
            let name = path.strip_prefix(world.store.path()).unwrap_or(&path).display().to_string();
            damage(&path);
            let login = world.login(&alice, alice.now).types(alice.code(alice.now));
            let sound: Attempt = play::run_within(PATIENCE, login).must_be_refused("the login");
            tally.add(sound.map_err(|wrong| format!("{what} in place of /{name}: {wrong}")));
        }
    }
    Ok(tally)
}

fn instead(path: &Path, make: impl FnOnce(&Path)) {
    fs::remove_file(path).expect("our own file");
    make(path);
    if !path.is_symlink() {
        set_mode(path, if path.is_dir() { 0o700 } else { 0o600 });
    }
}

/// The same file with the mode it has: root may write to any.
fn set_length(path: &Path, length: u64) {
    OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(length)).expect("our own file");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("our own file");
}

fn run(command: &mut Command) {
    assert!(command.status().expect("it is everywhere").success(), "{command:?}");
}
