//! How long a login takes, on one medium: the modules in turn, so that whatever else the machine does meets all of them alike.

use std::path::Path;

use crate::clock::Clock;
use crate::limit::{self, Limit};
use crate::login::{Kind, Login, Took};
use crate::modules::{Module, Prepared};
use crate::statistics::{Series, cycle};
use crate::{sync, temporary};

/// All that one run on one medium measured.
pub(crate) struct Run {
    pub(crate) medium: &'static str,
    pub(crate) file_system: String,
    /// In the order of [`Module::ALL`].
    modules: Vec<(Module, Measured)>,
    /// One in-place write of 4 KiB and fdatasync(2).
    pub(crate) limit: Series,
}

/// The logins of one module.
#[derive(Default)]
struct Measured {
    accepted: Vec<Took>,
    refused: Vec<Took>,
}

impl Run {
    /// The logins of one module that ended like this.
    pub(crate) fn logins(&self, module: Module, kind: Kind) -> &[Took] {
        let measured = self.modules.iter().find(|(of, _)| *of == module).map(|(_, measured)| measured);
        let measured = measured.expect("every module is measured");
        match kind {
            Kind::Accepted => &measured.accepted,
            Kind::Refused => &measured.refused,
        }
    }

    /// The median of a whole cycle, less that of a stack that does nothing.
    pub(crate) fn above_permit(&self, module: Module, kind: Kind) -> f64 {
        cycle(self.logins(module, kind)).median() - cycle(self.logins(Module::Permit, kind)).median()
    }
}

/// One refused and one accepted login of each of `users` users of each module, in a folder of `parent`.
pub(crate) fn measure(medium: &'static str, parent: &Path, users: u32) -> Run {
    eprintln!("bench: {users} users of each module on {medium} ({}) ...", parent.display());
    let folder = temporary(parent);
    let modules = Module::ALL.map(|module| Prepared::set_up(module, folder.path(), users));
    let limit = Limit::new(folder.path());
    sync();

    let mut run = Run {
        medium,
        file_system: limit::file_system(folder.path()),
        modules: Module::ALL.map(|module| (module, Measured::default())).into(),
        limit: Series::default(),
    };
    let clock = Clock::new(users);
    for user in 0..users {
        limit.write_once(&mut run.limit);
        // The one that comes first is another one each time.
        let turn = usize::try_from(user).expect("a small number") % modules.len();
        for index in (0..modules.len()).map(|index| (index + turn) % modules.len()) {
            let at = modules.get(index).expect("a remainder");
            let (_, measured) = run.modules.get_mut(index).expect("there is a place for each module");
            let login = |kind| Login { at, user, step: user, kind };
            measured.refused.push(login(Kind::Refused).timed(&clock));
            measured.accepted.push(login(Kind::Accepted).timed(&clock));
        }
    }
    run
}
