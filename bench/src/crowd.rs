//! Many processes at once, each with users of its own: what sshd is on a busy morning.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::clock::Clock;
use crate::limit::Limit;
use crate::login::{Kind, Login};
use crate::modules::{Module, Prepared};
use crate::statistics::Series;
use crate::{sync, temporary};

/// How many processes are let loose.
const PROCESSES: [u32; 6] = [1, 2, 4, 8, 16, 32];

/// How often a crowd logs in, all of it together, and in how many rounds: every crowd has its turn in each of them.
const LOGINS: u32 = 192;
const ROUNDS: u32 = 3;

/// Who works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worker {
    Module(Module),
    /// Nobody logs in; each process writes one block in place and syncs it.
    Limit,
}

impl Worker {
    pub(crate) const ALL: [Self; 4] = [
        Self::Limit,
        Self::Module(Module::GoogleAuthenticator),
        Self::Module(Module::Oath),
        Self::Module(Module::Mfa),
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Module(module) => module.name(),
            Self::Limit => "write + fdatasync",
        }
    }
}

/// So many processes of one worker.
pub(crate) struct Crowd {
    pub(crate) worker: Worker,
    pub(crate) processes: u32,
    /// The median of the rounds.
    pub(crate) per_second: f64,
    /// The longest that one login took, in microseconds.
    pub(crate) longest: f64,
}

/// Lets crowds of each size work for each worker, in turn.
pub(crate) fn measure(parent: &Path) -> Vec<Crowd> {
    let folder = temporary(parent);
    let most = PROCESSES.into_iter().max().expect("a list");
    for module in [Module::GoogleAuthenticator, Module::Oath, Module::Mfa] {
        Prepared::set_up(module, folder.path(), most);
    }
    sync();
    let mut rounds = Vec::new();
    // The same users log in again with each crowd, so each crowd has steps of its own.
    let mut first_step = 0;
    for _ in 0..ROUNDS {
        for processes in PROCESSES {
            eprintln!("bench: {processes} processes at once ...");
            for worker in Worker::ALL {
                rounds.push((worker, processes, let_loose(folder.path(), worker, processes, first_step)));
            }
            first_step += LOGINS;
        }
    }
    let crowd = |worker, processes| {
        let of = rounds.iter().filter(|(other, count, _)| (*other, *count) == (worker, processes));
        let of: Vec<&Round> = of.map(|(_, _, round)| round).collect();
        let took: Series = of.iter().map(|round| round.a_login).collect();
        let longest = of.iter().map(|round| round.longest).max().expect("a list");
        Crowd { worker, processes, per_second: 1e6 / took.median(), longest: longest.as_secs_f64() * 1e6 }
    };
    let all = PROCESSES.iter().flat_map(|processes| Worker::ALL.map(|worker| crowd(worker, *processes)));
    all.collect()
}

struct Round {
    /// The time of all, divided by the logins of all.
    a_login: Duration,
    longest: Duration,
}

/// Starts the processes, waits until all are ready, lets them run, and waits until all are done.
fn let_loose(folder: &Path, worker: Worker, processes: u32, first_step: u32) -> Round {
    let logins = LOGINS / processes;
    let mut children: Vec<Child> = (0..processes)
        .map(|number| {
            let mut command = Command::new(std::env::current_exe().expect("a process knows its own program"));
            command.arg("work").arg(folder);
            if let Worker::Module(module) = worker {
                let name = module.to_possible_value().expect("each has a name").get_name().to_owned();
                command.args(["--module", &name]);
            }
            command.args(["--user", &number.to_string()]);
            command.args(["--first", &first_step.to_string()]);
            command.args(["--logins", &logins.to_string()]);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("our own program")
        })
        .collect();
    let mut outputs: Vec<_> =
        children.iter_mut().map(|child| BufReader::new(child.stdout.take().expect("piped"))).collect();
    for output in &mut outputs {
        assert_eq!(line(output), "ready", "a process did not come up");
    }
    let begun = Instant::now();
    for child in &mut children {
        drop(child.stdin.take());
    }
    let longest: Vec<u64> = outputs
        .iter_mut()
        .map(|output| line(output).parse().expect("its longest login, or it was refused"))
        .collect();
    let took = begun.elapsed();
    for mut child in children {
        assert!(child.wait().expect("our own child").success(), "a process failed");
    }
    let longest = Duration::from_nanos(longest.into_iter().max().expect("a list"));
    Round { a_login: took / (logins * processes), longest }
}

fn line(output: &mut impl BufRead) -> String {
    let mut line = String::new();
    output.read_line(&mut line).expect("text");
    line.trim_end().to_owned()
}

/// One process of a crowd.
#[derive(Args)]
pub(crate) struct Work {
    folder: PathBuf,
    #[arg(long)]
    module: Option<Module>,
    #[arg(long)]
    user: u32,
    #[arg(long)]
    first: u32,
    #[arg(long)]
    logins: u32,
}

impl Work {
    /// Gets ready, waits for the others, and works. A login that is refused ends the process.
    pub(crate) fn run(&self) {
        let mut longest = Duration::ZERO;
        let steps = self.first..self.first + self.logins;
        if let Some(module) = self.module {
            let (at, clock) =
                (Prepared::existing(module, &self.folder, self.user + 1), Clock::new(steps.end));
            wait_for_the_others();
            for step in steps {
                let login = Login { at: &at, user: self.user, step, kind: Kind::Accepted };
                longest = longest.max(login.timed(&clock).cycle);
            }
        } else {
            let own = temporary(&self.folder);
            let (limit, mut series) = (Limit::new(own.path()), Series::default());
            wait_for_the_others();
            steps.for_each(|_| limit.write_once(&mut series));
        }
        println!("{}", longest.as_nanos());
    }
}

/// The parent closes our standard input when all are ready.
fn wait_for_the_others() {
    println!("ready");
    std::io::stdout().flush().expect("a pipe");
    std::io::stdin().read_to_end(&mut Vec::new()).expect("a pipe");
}
