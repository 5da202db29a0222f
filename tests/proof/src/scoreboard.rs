//! What came of the trials, for people (Markdown) and for programs (JSON).

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::adapters::Module;

/// What came of one trial of one module, as far as it could be run.
pub(crate) type Finding = Result<Tally, Unfit>;

/// One attempt: in order, or what was not.
pub(crate) type Attempt = Result<(), String>;

/// Attempts, and those that broke the rule of the trial.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) tried: usize,
    pub(crate) failed: usize,
    /// What went wrong, the first few times.
    pub(crate) examples: Vec<String>,
    /// What a reader should know beside the count.
    pub(crate) remark: Option<String>,
}

impl Tally {
    /// One more attempt.
    pub(crate) fn add(&mut self, attempt: Attempt) {
        const EXAMPLES: usize = 3;
        self.tried += 1;
        if let Err(what) = attempt {
            self.failed += 1;
            if self.examples.len() < EXAMPLES && !self.examples.contains(&what) {
                self.examples.push(what);
            }
        }
    }

    /// The attempts of another one, counted here.
    pub(crate) fn append(&mut self, other: Self) {
        self.tried += other.tried;
        self.failed += other.failed;
        self.examples.extend(other.examples);
        self.remark = match (self.remark.take(), other.remark) {
            (Some(this), Some(other)) => Some(format!("{this}; {other}")),
            (this, other) => this.or(other),
        };
    }

    pub(crate) fn remark(mut self, remark: impl Into<String>) -> Self {
        self.remark = Some(remark.into());
        self
    }
}

/// Why there is no tally.
pub(crate) enum Unfit {
    /// The trial makes no sense for this module.
    NotApplicable(&'static str),
    /// This machine lacks something: an error, never a pass.
    CannotRun { why: String, cure: String },
    /// The trial broke, or the module broke what the harness watches in every login: a panic, a line on stderr.
    Broke(String),
}

/// One trial of one module that has been run.
pub(crate) struct Entry {
    pub(crate) trial: &'static str,
    pub(crate) rule: &'static str,
    pub(crate) module: Module,
    pub(crate) seed: u64,
    pub(crate) took: Duration,
    pub(crate) finding: Finding,
}

impl Entry {
    /// Whether `make proof` may end well with this. A peer may fail; no trial may be left out in silence.
    pub(crate) fn is_in_order(&self) -> bool {
        match &self.finding {
            Ok(tally) => tally.failed == 0 && tally.tried > 0 || self.module != Module::Mfa,
            Err(Unfit::NotApplicable(_)) => true,
            Err(Unfit::CannotRun { .. } | Unfit::Broke(_)) => false,
        }
    }

    /// For the cell of a table.
    fn verdict(&self) -> String {
        match &self.finding {
            Ok(tally) if tally.tried == 0 => "**FAIL** nothing tried".to_owned(),
            Ok(tally) if tally.failed == 0 => format!("pass {}", tally.tried),
            Ok(tally) => format!("**FAIL** {} of {}", tally.failed, tally.tried),
            Err(Unfit::NotApplicable(_)) => "n/a".to_owned(),
            Err(Unfit::CannotRun { .. }) => "**ERROR** cannot run here".to_owned(),
            Err(Unfit::Broke(_)) => "**ERROR** broke".to_owned(),
        }
    }

    /// The one line that is said when the trial has ended.
    pub(crate) fn line(&self) -> String {
        format!(
            "{:<9} {:<44} {:<26} seed {:016x}  {:.1} s",
            self.verdict().replace('*', ""),
            self.trial,
            self.module.name(),
            self.seed,
            self.took.as_secs_f64()
        )
    }

    /// What there is to say beside the verdict.
    fn remarks(&self) -> Vec<String> {
        match &self.finding {
            Ok(tally) => tally.examples.iter().chain(&tally.remark).cloned().collect(),
            Err(Unfit::NotApplicable(reason)) => vec![(*reason).to_owned()],
            Err(Unfit::CannotRun { why, cure }) => vec![format!("{why}; hint: {cure}")],
            Err(Unfit::Broke(what)) => vec![what.clone()],
        }
    }

    fn json(&self) -> Value {
        let (verdict, tried, failed) = match &self.finding {
            Ok(tally) if tally.failed == 0 && tally.tried > 0 => ("pass", tally.tried, 0),
            Ok(tally) => ("fail", tally.tried, tally.failed),
            Err(Unfit::NotApplicable(_)) => ("not applicable", 0, 0),
            Err(Unfit::CannotRun { .. }) => ("cannot run", 0, 0),
            Err(Unfit::Broke(_)) => ("broke", 0, 0),
        };
        json!({
            "trial": self.trial,
            "rule": self.rule,
            "module": self.module.name(),
            "verdict": verdict,
            "tried": tried,
            "failed": failed,
            "seed": format!("{:016x}", self.seed),
            "seconds": self.took.as_secs_f64(),
            "remarks": self.remarks(),
        })
    }
}

/// All of them, as they are to be read.
pub(crate) struct Scoreboard {
    pub(crate) entries: Vec<Entry>,
    pub(crate) seed: u64,
    pub(crate) took: Duration,
    /// What was run: of each module its package and version.
    pub(crate) versions: Vec<(Module, String)>,
}

impl Scoreboard {
    pub(crate) fn is_in_order(&self) -> bool {
        self.entries.iter().all(Entry::is_in_order)
    }

    pub(crate) fn markdown(&self) -> String {
        let modules: Vec<Module> = self.versions.iter().map(|(module, _)| *module).collect();
        let mut text = format!(
            "seed {:016x}, {:.0} s. The number is how often it was tried.\n\n| trial |",
            self.seed,
            self.took.as_secs_f64()
        );
        for (module, version) in &self.versions {
            let _ = write!(text, " {} {version} |", module.name());
        }
        text += "\n|---|";
        text += &"---|".repeat(modules.len());
        text.push('\n');
        for (trial, rule) in self.trials() {
            let _ = write!(text, "| `{trial}`: {rule} |");
            for module in &modules {
                let entry = self.entries.iter().find(|entry| entry.trial == trial && entry.module == *module);
                let _ = write!(text, " {} |", entry.map_or_else(|| "not run".to_owned(), Entry::verdict));
            }
            text.push('\n');
        }
        text += "\nSeeds, and what went wrong:\n\n";
        for entry in &self.entries {
            let _ = writeln!(
                text,
                "- `{}` {}: {}, seed {:016x}",
                entry.trial,
                entry.module.name(),
                entry.verdict(),
                entry.seed
            );
            for remark in entry.remarks() {
                let _ = writeln!(text, "  - {}", remark.replace('\n', " "));
            }
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let versions: serde_json::Map<String, Value> = self
            .versions
            .iter()
            .map(|(module, version)| (module.name().to_owned(), version.as_str().into()))
            .collect();
        json!({
            "seed": format!("{:016x}", self.seed),
            "seconds": self.took.as_secs_f64(),
            "in_order": self.is_in_order(),
            "modules": versions,
            "trials": self.entries.iter().map(Entry::json).collect::<Vec<_>>(),
        })
    }

    /// Each trial once, in the order they were run.
    fn trials(&self) -> Vec<(&'static str, &'static str)> {
        let mut trials = Vec::new();
        for entry in &self.entries {
            if !trials.contains(&(entry.trial, entry.rule)) {
                trials.push((entry.trial, entry.rule));
            }
        }
        trials
    }
}
