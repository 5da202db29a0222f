//! All of it as a page of Markdown: docs/bench.md is one.

use std::fmt::Write;

use crate::Measurements;
use crate::crowd::Worker;
use crate::latency::Run;
use crate::login::Kind;
use crate::modules::Module;
use crate::statistics::{Series, authenticate, cycle};
use crate::targets::{self, Sense, Target};

const HEAD: &str = "\
# What a login costs

Made by `make bench` (`bench/run.sh --save docs`), which anybody can run; nothing here is written by hand. It measures the module in the real
libpam beside the two that people use today and beside the least that a durable login can cost: one block written in place and synced, one HMAC.
Compare the ratios of one run: the modules take turns login by login, so whatever else the machine does meets all of them alike, and the
times of another run or machine are other times. A cycle is all from `pam_start` to `pam_end`, with loading and unloading the module, as every
program does that logs somebody in. `above pam_permit` is what a module adds to a stack that does nothing.

pam_google_authenticator has one file a user and the options `DISALLOW_REUSE` and `WINDOW_SIZE 3`, pam_oath one file a user: with one file for
all users it is slower. Neither syncs its folder, so after a power cut the code of the last login works again. Times are in microseconds.
";

/// The page.
pub(crate) fn markdown(measured: &Measurements, picture: Option<&str>) -> String {
    let mut text = HEAD.to_owned();
    line(&mut text, &format!("\n{}", measured.machine));
    if let Some(picture) = picture {
        line(&mut text, &format!("\n![The same as a picture]({picture})"));
    }
    aims(&mut text, &targets::all(measured));
    for run in [&measured.disk, &measured.tmpfs] {
        medium(&mut text, run);
    }
    line(&mut text, &format!("\nThe processor's limit: one HMAC-SHA-1 takes {:.2}.", measured.one_hmac));
    sizes(&mut text, measured);
    crowds(&mut text, measured);
    calls(&mut text, measured);
    memory(&mut text, measured);
    text
}

fn aims(text: &mut String, targets: &[Target]) {
    let met = targets.iter().filter(|target| target.is_met()).count();
    line(text, &format!("\n## Aims: {met} of {} met\n", targets.len()));
    line(text, "| | aim | measured | |\n|---|---|---|---|");
    for target in targets {
        let sign = match target.sense {
            Sense::AtMost => "at most",
            Sense::AtLeast => "at least",
        };
        let verdict =
            if target.is_met() { "met".to_owned() } else { format!("**missed by {}**", missed_by(target)) };
        let Target { sentence, measured, bound, .. } = target;
        line(text, &format!("| {sentence} | {sign} {bound} | {} | {verdict} |", round(*measured)));
    }
    let missed: Vec<&Target> = targets.iter().filter(|target| !target.is_met()).collect();
    if !missed.is_empty() {
        line(text, "\nWhy:\n");
    }
    for target in missed {
        line(text, &format!("- {}: {}.", target.sentence, target.why));
    }
}

fn missed_by(target: &Target) -> String {
    format!("{:.0}%", (target.measured / target.bound - 1.0).abs() * 100.0)
}

fn round(number: f64) -> String {
    if number < 10.0 { format!("{number:.2}") } else { format!("{number:.0}") }
}

fn medium(text: &mut String, run: &Run) {
    line(text, &format!("\n## On {} ({})", run.medium, run.file_system));
    for kind in Kind::BOTH {
        line(text, &format!("\n{} logins\n", capital(kind.name())));
        line(text, "| | pam_authenticate: median | 99% | x limit | cycle: median | 99% | above pam_permit |");
        line(text, "|---|---|---|---|---|---|---|");
        for module in Module::ALL {
            let logins = run.logins(module, kind);
            let (alone, whole) = (authenticate(logins), cycle(logins));
            line(
                text,
                &format!(
                    "| {} | {:.0} | {:.0} | {:.2} | {:.0} | {:.0} | {:.0} |",
                    module.name(),
                    alone.median(),
                    alone.p99(),
                    alone.median() / run.limit.median(),
                    whole.median(),
                    whole.p99(),
                    run.above_permit(module, kind),
                ),
            );
        }
        let limit: &Series = &run.limit;
        line(
            text,
            &format!(
                "| the limit: 4 KiB in place + fdatasync | {:.0} | {:.0} | 1 | | | |",
                limit.median(),
                limit.p99()
            ),
        );
    }
}

fn sizes(text: &mut String, measured: &Measurements) {
    line(text, "\n## By the number of pam_mfa users, on disk\n");
    line(
        text,
        "| users | pam_authenticate: median | 99% | x of 10 users | cycle: median |\n|---|---|---|---|---|",
    );
    let few = measured.scale.first().map_or(f64::NAN, |size| authenticate(&size.accepted).median());
    for size in &measured.scale {
        let alone = authenticate(&size.accepted);
        let (median, p99, whole) = (alone.median(), alone.p99(), cycle(&size.accepted).median());
        line(
            text,
            &format!("| {} | {median:.0} | {p99:.0} | {:.2} | {whole:.0} |", size.users, median / few),
        );
    }
}

fn crowds(text: &mut String, measured: &Measurements) {
    line(text, "\n## Many processes at once, each with a user of its own, on disk\n");
    line(
        text,
        "Logins a second, and in brackets the longest that one of them took, in milliseconds. Nobody was refused.\n",
    );
    let names: Vec<&str> = Worker::ALL.iter().map(|worker| worker.name()).collect();
    line(text, &format!("| processes | {} |", names.join(" | ")));
    line(text, &format!("|---|{}", "---|".repeat(names.len())));
    let mut counts: Vec<u32> = measured.crowds.iter().map(|crowd| crowd.processes).collect();
    counts.dedup();
    for processes in counts {
        let of = |worker| {
            measured.crowds.iter().find(|crowd| (crowd.worker, crowd.processes) == (worker, processes))
        };
        let cells = Worker::ALL.iter().filter_map(|worker| of(*worker)).map(|crowd| match crowd.worker {
            Worker::Limit => format!("{:.0}", crowd.per_second),
            Worker::Module(_) => format!("{:.0} ({:.0})", crowd.per_second, crowd.longest / 1000.0),
        });
        let cells: Vec<String> = cells.collect();
        line(text, &format!("| {processes} | {} |", cells.join(" | ")));
    }
}

fn calls(text: &mut String, measured: &Measurements) {
    line(text, "\n## System calls of a login\n");
    line(
        text,
        "Counted by strace: from `pam_start` to `pam_end`, in `pam_authenticate` alone, and waits for the disk.\n",
    );
    line(
        text,
        "| | accepted: in all | pam_authenticate | syncs | refused: in all | pam_authenticate | syncs |",
    );
    line(text, "|---|---|---|---|---|---|---|");
    for module in Module::ALL {
        let of = measured.calls.iter().filter(|calls| calls.module == module);
        let cells: Vec<String> = of
            .map(|calls| format!("{} | {} | {}", calls.in_all, calls.in_authenticate, calls.syncs))
            .collect();
        line(text, &format!("| {} | {} |", module.name(), cells.join(" | ")));
    }
}

fn memory(text: &mut String, measured: &Measurements) {
    line(text, "\n## Memory and size, in KiB\n");
    line(
        text,
        "By how much a process grows that has logged somebody in, and what of that it can share with no other process.\n",
    );
    line(
        text,
        "| | resident | not shared | not shared after 100 more logins | size of the file |\n|---|---|---|---|---|",
    );
    for growth in &measured.growth {
        let size = growth.module.bytes().div_ceil(1024);
        let (name, private, later) = (growth.module.name(), growth.private, growth.private_after_many);
        line(text, &format!("| {name} | {} | {private} | {later} | {size} |", growth.resident));
    }
}

fn capital(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes all");
}
