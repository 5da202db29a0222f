//! The tables, and where a target is missed.

use std::fmt::Write;

use crate::login::Took;
use crate::modules::{Module, mfa_size};
use crate::scale::Size;
use crate::statistics::Series;
use crate::{Measured, Run};

/// All of it as Markdown.
pub(crate) fn markdown(runs: &[Run], scale: &[Size]) -> String {
    let mut text = String::from("# What a login costs\n\nMicroseconds, median and 99th percentile.\n");
    let mut targets = Vec::new();
    for run in runs {
        medium(&mut text, run);
        targets.extend(targets_of(run));
    }
    sizes(&mut text, scale);
    targets.extend(target_of(scale));
    line(&mut text, "\n## Targets\n\n| target | measured | |\n|---|---|---|");
    for target in &targets {
        let verdict = if target.is_met() { "met" } else { "**missed**" };
        line(&mut text, &format!("| {} | {:.2} | {verdict} |", target.sentence, target.measured));
    }
    line(&mut text, &format!("\nlibpam_mfa.so: {} KiB.", mfa_size() / 1024));
    text
}

fn medium(text: &mut String, run: &Run) {
    line(text, &format!("\n## On {} ({})\n", run.medium, run.file_system));
    line(
        text,
        "| module | accepted: pam_authenticate | x limit | whole cycle | above pam_permit | refused: pam_authenticate | whole cycle |",
    );
    line(text, "|---|---|---|---|---|---|---|");
    for (module, measured) in &run.modules {
        let accepted = authenticate(&measured.accepted);
        line(
            text,
            &format!(
                "| {} | {} | {:.2} | {} | {:.0} | {} | {} |",
                module.name(),
                both(&accepted),
                accepted.median() / run.limit.median(),
                both(&cycle(&measured.accepted)),
                above_permit(run, *module),
                both(&authenticate(&measured.refused)),
                both(&cycle(&measured.refused)),
            ),
        );
    }
    line(
        text,
        &format!("| the limit: one 4 KiB write in place + fdatasync | {} | 1 | | | | |", both(&run.limit)),
    );
}

fn sizes(text: &mut String, scale: &[Size]) {
    line(text, "\n## By the number of pam_mfa users, on disk\n");
    line(text, "| users | accepted: pam_authenticate | x of 10 users | whole cycle |\n|---|---|---|---|");
    for size in scale {
        let accepted = authenticate(&size.accepted);
        let ratio = accepted.median() / few(scale);
        line(
            text,
            &format!(
                "| {} | {} | {ratio:.2} | {} |",
                size.users,
                both(&accepted),
                both(&cycle(&size.accepted))
            ),
        );
    }
}

/// What issue 2 of the project asks of the first version.
struct Target {
    sentence: String,
    measured: f64,
    at_most: f64,
}

impl Target {
    fn is_met(&self) -> bool {
        self.measured <= self.at_most
    }
}

fn targets_of(run: &Run) -> Vec<Target> {
    let accepted = authenticate(&of(run, Module::Mfa).accepted).median();
    let [google, oath] = [Module::GoogleAuthenticator, Module::Oath].map(|peer| above_permit(run, peer));
    let ours = above_permit(run, Module::Mfa);
    if run.medium == "tmpfs" {
        let sentence = "tmpfs: cycle above pam_permit, at most 1.0 of google-authenticator's".to_owned();
        return vec![Target { sentence, measured: ours / google, at_most: 1.0 }];
    }
    vec![
        Target {
            sentence: format!("{}: pam_authenticate, accepted, at most 1.3 of the limit", run.medium),
            measured: accepted / run.limit.median(),
            at_most: 1.3,
        },
        Target {
            sentence: format!("{}: cycle above pam_permit, at most 0.5 of the fastest peer's", run.medium),
            measured: ours / google.min(oath),
            at_most: 0.5,
        },
    ]
}

fn target_of(scale: &[Size]) -> Option<Target> {
    let most = scale.last()?;
    Some(Target {
        sentence: format!("{} users cost at most 1.1 of 10", most.users),
        measured: authenticate(&most.accepted).median() / few(scale),
        at_most: 1.1,
    })
}

fn few(scale: &[Size]) -> f64 {
    scale.first().map_or(f64::NAN, |size| authenticate(&size.accepted).median())
}

/// The median of a whole accepted cycle, less that of a stack that does nothing.
fn above_permit(run: &Run, module: Module) -> f64 {
    cycle(&of(run, module).accepted).median() - cycle(&of(run, Module::Permit).accepted).median()
}

fn of(run: &Run, module: Module) -> &Measured {
    &run.modules.iter().find(|(of, _)| *of == module).expect("every module is measured").1
}

fn authenticate(logins: &[Took]) -> Series {
    logins.iter().map(|took| took.authenticate).collect()
}

fn cycle(logins: &[Took]) -> Series {
    logins.iter().map(|took| took.cycle).collect()
}

fn both(series: &Series) -> String {
    format!("{:.0}, {:.0}", series.median(), series.p99())
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes all");
}
