//! A power cut at the moment of PAM_SUCCESS: an ext4 on a loop device, shut down without flushing its journal.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::adapters::{Extra, World};
use crate::course::Course;
use crate::play::Told;
use crate::scoreboard::{Finding, Tally, Unfit};

pub(crate) fn cut_at_success(course: &Course) -> Finding {
    let disk = Disk::new().map_err(|error| cannot_run(&error))?;
    let (world, people) =
        World::within(&disk.folder(), course.module, &["alice"], Extra::Nothing, &mut course.random());
    let alice = people.first().expect("one was asked for");
    // What was set up is no part of the trial: it is on the disk.
    disk.start_again().map_err(|error| cannot_run(&error))?;
    let (mut tally, mut step) = (Tally::default(), alice.now);
    for _ in 0..course.count {
        let mut login = world.login(alice, step).types(alice.code(step)).start();
        login.wait_for_the_return();
        disk.cut_power().map_err(|error| cannot_run(&error))?;
        let told = Told::by(&login.finish());
        disk.start_again().map_err(|error| cannot_run(&error))?;
        let mut sound = match told {
            Told::LetIn => {
                world.attempt(alice, step).must_be_refused("the code that was accepted, once more")
            }
            Told::NotLetIn => Err("the login itself was refused".to_owned()),
        };
        let left_over = world.left_over_files();
        if !left_over.is_empty() {
            for path in left_over {
                fs::remove_file(path).expect("our own file");
            }
            let again = world.attempt(alice, step).must_be_refused("the code that was accepted, once more");
            let locked = Err("a left-over lock locks everybody out".to_owned());
            let again = again.map_err(|what| format!("{what} (after a left-over lock was removed by hand)"));
            sound = sound.and(again).and(locked);
        }
        tally.add(sound.and_then(|()| world.attempt(alice, step + 1).must_be_let_in("the next code")));
        step += 2;
    }
    // It lies on the disk: gone before the disk is.
    drop(world);
    Ok(tally)
}

/// A small file system in a file.
struct Disk {
    place: TempDir,
}

impl Disk {
    fn new() -> io::Result<Self> {
        const BYTES: u64 = 64 << 20;
        let disk = Self { place: tempfile::Builder::new().prefix("pam-mfa-disk-").tempdir()? };
        fs::create_dir(disk.folder())?;
        File::create(disk.image())?.set_len(BYTES)?;
        run(Command::new("mkfs.ext4").arg("-q").arg(disk.image()))?;
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    fn folder(&self) -> PathBuf {
        self.place.path().join("disk")
    }

    fn image(&self) -> PathBuf {
        self.place.path().join("image")
    }

    fn mount(&self) -> io::Result<()> {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.folder()))
    }

    fn start_again(&self) -> io::Result<()> {
        run(Command::new("umount").arg(self.folder()))?;
        self.mount()
    }

    /// From now on nothing reaches the disk, and what was not there yet never does.
    fn cut_power(&self) -> io::Result<()> {
        /// ext4: what is in the journal and not on the disk is lost.
        const WITHOUT_FLUSHING_THE_JOURNAL: u32 = 2;
        let folder = File::open(self.folder())?;
        let mut how = WITHOUT_FLUSHING_THE_JOURNAL;
        // SAFETY: the call reads the four bytes of `how`, which live until it returns; the descriptor is open.
        unsafe { shutdown(folder.as_raw_fd(), &raw mut how) }?;
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It may not be mounted. The loop device goes with the mount.
        let _ = run(Command::new("umount").arg("-l").arg(self.folder()));
    }
}

// EXT4_IOC_SHUTDOWN, linux/include/uapi/linux/ext4.h.
nix::ioctl_read!(shutdown, b'X', 125, u32);

/// Trials run beside each other: a loop device that looked free may be taken, and a child of another trial that has not become
/// its program yet may still hold the folder open. Both pass.
fn run(command: &mut Command) -> io::Result<()> {
    const TRIES: u32 = 50;
    let mut tried = 0;
    loop {
        let output = command.output()?;
        if output.status.success() {
            return Ok(());
        }
        tried += 1;
        if tried == TRIES {
            let program = command.get_program().display();
            return Err(io::Error::other(format!(
                "{program}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn cannot_run(error: &io::Error) -> Unfit {
    Unfit::CannotRun {
        why: format!("an ext4 on a loop device: {error}"),
        cure: "run as root, where /dev/loop-control is (in a container --privileged), with e2fsprogs and mount installed".to_owned(),
    }
}
