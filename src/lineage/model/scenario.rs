//! The scenarios: each lets a few things happen, as often as it says. Together they cover what a recovery must survive.

use crate::{
    evidence::{Broken, Setting},
    explorer::{ADOPTED, ANY, Action, BOUND, Bounds, Explorer, NO_LOSS, RESUMED},
    world::{Budget, Hosts},
};

/// A part of the model, and what must be reached in it.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) explorer: Explorer,
    pub(crate) reached: &'static [&'static str],
}

/// Nothing befalls.
pub(crate) const CALM: Budget = Budget {
    changes: 0,
    lost_disks: 0,
    restored_disks: 0,
    lost_agents: 0,
    restored_agents: 0,
    confirmed_off: 0,
    aborts: 0,
};

pub(crate) const TWO: Hosts = 0b11;
pub(crate) const THREE: Hosts = 0b111;
pub(crate) const FOUR: Hosts = 0b1111;
pub(crate) const FIVE: Hosts = 0b1_1111;

/// These vote, and `spare` hosts more stand by; one coordinator, two entries, two terms.
pub(crate) fn voters(first: Hosts, spare: usize, budget: Budget) -> Explorer {
    let count = usize::try_from(first.count_ones()).expect("a few hosts");
    Explorer {
        bounds: Bounds {
            hosts: count + spare,
            entries_max: 2,
            terms_max: 2,
            coordinators: 1,
            epoch_max: 2,
            budget,
        },
        setting: Setting {
            broken: Broken::Nothing,
            first,
            marks: true,
            leader: 0,
            impatient: false,
        },
        prelude: Vec::new(),
    }
}

impl Explorer {
    /// Two control groups, three epochs.
    pub(crate) fn rivals(mut self) -> Self {
        self.bounds.coordinators = 2;
        self.bounds.epoch_max = 3;
        self
    }

    pub(crate) fn entries(mut self, entries_max: u8, terms_max: u8) -> Self {
        self.bounds.entries_max = entries_max;
        self.bounds.terms_max = terms_max;
        self
    }

    pub(crate) fn epochs(mut self, epoch_max: u64) -> Self {
        self.bounds.epoch_max = epoch_max;
        self
    }

    pub(crate) fn led_by(mut self, leader: usize) -> Self {
        self.setting.leader = leader;
        self
    }

    pub(crate) fn without_marks(mut self) -> Self {
        self.setting.marks = false;
        self
    }

    pub(crate) fn impatient(mut self) -> Self {
        self.setting.impatient = true;
        self
    }

    pub(crate) fn after(mut self, prelude: Vec<Action>) -> Self {
        self.prelude = prelude;
        self
    }

    pub(crate) fn breaking(mut self, broken: Broken) -> Self {
        self.setting.broken = broken;
        self
    }
}

/// Small enough for every run of the tests.
pub(crate) fn small() -> Vec<Scenario> {
    let scenario = |name, reached, explorer| Scenario { name, explorer, reached };
    let lost = |lost_disks| Budget { lost_disks, ..CALM };
    vec![
        scenario(
            "disks-lost",
            &[ANY, BOUND, RESUMED],
            voters(THREE, 0, Budget { aborts: 1, ..lost(2) }),
        ),
        scenario("half-of-two", &[NO_LOSS], voters(TWO, 0, lost(1)).entries(3, 3)),
        scenario(
            "disk-restored",
            &[ANY],
            voters(TWO, 0, Budget { restored_disks: 1, ..lost(1) }).entries(3, 2),
        ),
        scenario(
            "disk-restored-unmarked",
            &[BOUND],
            voters(TWO, 0, Budget { restored_disks: 1, ..lost(1) }).entries(3, 2).without_marks(),
        ),
        scenario(
            "rivals",
            &[ANY, ADOPTED],
            voters(THREE, 0, Budget { aborts: 1, ..lost(1) }).entries(1, 1).rivals(),
        ),
        scenario(
            "rivals-agent-lost",
            &[ANY, ADOPTED],
            voters(THREE, 0, Budget { lost_agents: 1, ..lost(1) }).entries(1, 1).rivals(),
        ),
        scenario(
            "rivals-agent-restored",
            &[ANY, ADOPTED],
            voters(THREE, 0, Budget { restored_agents: 1, ..lost(1) }).entries(1, 1).rivals(),
        ),
        scenario(
            "member-added-or-removed",
            &[ANY],
            voters(TWO, 1, Budget { changes: 2, ..lost(1) }).entries(3, 1),
        ),
        scenario(
            "confirmed-off",
            &[ANY],
            voters(THREE, 0, Budget { confirmed_off: 2, aborts: 1, ..lost(1) })
                .entries(1, 1)
                .epochs(3),
        ),
        scenario("impatient-agents", &[ANY], voters(THREE, 0, lost(1)).entries(2, 1).impatient()),
    ]
}
