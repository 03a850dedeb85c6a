//! The model as the checker sees it: states, what can happen in each, and what must always hold.

use lineage::RecordState;
use stateright::{Model, Property};

use crate::{
    attempt::{Coordinator, Phase, learn_abort, learn_open, lose_patience},
    evidence::{Broken, Seen, Setting},
    world::{Budget, Host, Hosts, Kind, Raft, Recorded, Truth, each, length, only, quorum},
};

/// How far the model goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) hosts: usize,
    pub(crate) entries_max: u8,
    pub(crate) terms_max: u8,
    pub(crate) coordinators: u8,
    pub(crate) epoch_max: u64,
    pub(crate) budget: Budget,
}

#[derive(Debug, Clone)]
pub(crate) struct Explorer {
    pub(crate) bounds: Bounds,
    pub(crate) setting: Setting,
    /// What has happened before: for what lies too deep to be found.
    pub(crate) prelude: Vec<Action>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// Who voted at first.
    pub(crate) first: Hosts,
    pub(crate) hosts: Vec<Host>,
    pub(crate) coordinators: Vec<Coordinator>,
    pub(crate) budget: Budget,
    pub(crate) truth: Truth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Elect {
        leader: usize,
        others: Hosts,
    },
    Write {
        leader: usize,
    },
    /// `etcdctl member add` or `remove`, behind the manager's back.
    Change {
        leader: usize,
        voters: Hosts,
    },
    Replicate {
        leader: usize,
        follower: usize,
    },
    LoseDisk {
        host: usize,
    },
    /// The data disk is put back to how it was an entry ago.
    RestoreDisk {
        host: usize,
    },
    LoseAgent {
        host: usize,
    },
    /// What the agent keeps is put back to how it was at first, and it does not know.
    RestoreAgent {
        host: usize,
    },
    Begin {
        coordinator: usize,
        epoch: u64,
    },
    Fence {
        coordinator: usize,
        host: usize,
    },
    /// Someone says truly: it is off and boots only wiped. And lists who votes now.
    ConfirmOff {
        coordinator: usize,
        host: usize,
    },
    Choose {
        coordinator: usize,
    },
    Accept {
        coordinator: usize,
        host: usize,
    },
    Open {
        coordinator: usize,
    },
    Abort {
        coordinator: usize,
    },
    LearnAbort {
        coordinator: usize,
        host: usize,
    },
    LosePatience {
        host: usize,
    },
    LearnOpen {
        coordinator: usize,
        host: usize,
    },
}

impl Model for Explorer {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut hosts: Vec<Host> = (0..self.bounds.hosts).map(|_| Host::new()).collect();
        hosts[self.setting.leader].leads = true;
        let coordinators = (0..self.bounds.coordinators).map(|number| {
            let same = self.setting.broken == Broken::EpochsWithoutAuthor;
            let author = if same { 0 } else { number };
            Coordinator::new(number, author, self.bounds.hosts)
        });
        let coordinators = coordinators.collect();
        let (budget, truth, first) = (self.bounds.budget, Truth::default(), self.setting.first);
        let mut state = State { first, hosts, coordinators, budget, truth };
        for action in &self.prelude {
            assert!(state.take(self, *action), "{action:?} cannot happen then");
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // What is broken stays broken: no need to look further.
        if state.truth.split || state.truth.lied || state.truth.raft_broke {
            return;
        }
        for host in 0..state.hosts.len() {
            self.raft_actions(state, host, actions);
            fault_actions(state, host, actions);
            if self.setting.impatient && state.hosts[host].fence.promised.epoch.get() > 1 {
                actions.push(Action::LosePatience { host });
            }
        }
        for coordinator in 0..state.coordinators.len() {
            self.recovery_actions(state, coordinator, actions);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        next.take(self, action).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_LINEAGE, |_, state: &State| !state.truth.split),
            Property::always(DECLARED, |_, state: &State| !state.truth.lied),
            Property::always(EPOCHS, |_, state: &State| !state.truth.epoch_twice),
            Property::always(RAFT, |_, state: &State| !state.truth.raft_broke),
            Property::sometimes(NO_LOSS, |_, state: &State| state.truth.opened_without_loss),
            Property::sometimes(BOUND, |_, state: &State| state.truth.opened_with_bound),
            Property::sometimes(ANY, |_, state: &State| !state.truth.opened.is_empty()),
            Property::sometimes(ADOPTED, |_, state: &State| state.truth.opened_by_adoption),
            Property::sometimes(RESUMED, |_, state: &State| state.resumed()),
        ]
    }
}

pub(crate) const ONE_LINEAGE: &str = "at most one lineage commits anything new";
pub(crate) const DECLARED: &str = "no more is lost than was declared";
pub(crate) const EPOCHS: &str = "no epoch is used twice";
pub(crate) const RAFT: &str = "the old lineage never contradicts itself";
pub(crate) const NO_LOSS: &str = "a recovery opens without loss";
pub(crate) const BOUND: &str = "a recovery opens with a bounded loss";
pub(crate) const ANY: &str = "a recovery opens";
pub(crate) const ADOPTED: &str = "a choice is adopted and opened";
pub(crate) const RESUMED: &str = "after an abort the old lineage commits on";

impl Explorer {
    fn raft_actions(&self, state: &State, at: usize, actions: &mut Vec<Action>) {
        let host = &state.hosts[at];
        if !host.up {
            return;
        }
        if host.term < self.bounds.terms_max {
            let others = host.applied_voters(self.setting.first) & !only(at);
            // More voters than it needs only hear of the term earlier.
            let needed = quorum(host.applied_voters(self.setting.first)) - 1;
            let subsets = (0..=others).filter(|some| some & !others == 0);
            let subsets = subsets.filter(|some| some.count_ones() == needed);
            actions.extend(subsets.map(|others| Action::Elect { leader: at, others }));
        }
        if !host.leads {
            return;
        }
        if length(&host.log) < self.bounds.entries_max {
            actions.push(Action::Write { leader: at });
            if state.budget.changes > 0 && Raft::can_change(host) {
                let voters = host.applied_voters(self.setting.first);
                let changed = (0..self.bounds.hosts).map(|other| voters ^ only(other));
                let changed = changed.filter(|voters| *voters != 0);
                actions.extend(changed.map(|voters| Action::Change { leader: at, voters }));
            }
        }
        let followers = each(host.applied_voters(self.setting.first) & !only(at));
        let behind = |follower: &usize| {
            let other = &state.hosts[*follower];
            let same = other.log == host.log && other.term == host.term;
            let told = other.commit == host.commit && other.reach.acknowledged >= length(&host.log);
            other.up && other.term <= host.term && !(same && told)
        };
        let followers = followers.filter(behind);
        actions.extend(followers.map(|follower| Action::Replicate { leader: at, follower }));
    }

    fn recovery_actions(&self, state: &State, coordinator: usize, actions: &mut Vec<Action>) {
        let own = &state.coordinators[coordinator];
        match &own.phase {
            Phase::Idle | Phase::Aborted => {
                // The second begins after the first: they are alike.
                let first = coordinator == 0 || state.coordinators[0].phase != Phase::Idle;
                let epochs = own.attempt.epoch.get() + 1..=self.bounds.epoch_max;
                let epochs = epochs.filter(|_| first);
                actions.extend(epochs.map(|epoch| Action::Begin { coordinator, epoch }));
            }
            Phase::Gathering => {
                for host in 0..state.hosts.len() {
                    let unheard = !matches!(own.seen[host], Seen::Attested(_));
                    if unheard && !state.hosts[host].off {
                        actions.push(Action::Fence { coordinator, host });
                    }
                    if state.budget.confirmed_off > 0 || state.hosts[host].off {
                        actions.push(Action::ConfirmOff { coordinator, host });
                    }
                }
                actions.push(Action::Choose { coordinator });
            }
            Phase::Chosen { accepted, .. } => {
                let missing = (0..state.hosts.len()).filter(|host| accepted >> host & 1 == 0);
                actions.extend(missing.map(|host| Action::Accept { coordinator, host }));
                actions.push(Action::Open { coordinator });
            }
            Phase::Opened => {}
        }
        if matches!(own.phase, Phase::Gathering | Phase::Chosen { .. }) && state.budget.aborts > 0 {
            actions.push(Action::Abort { coordinator });
        }
        for host in 0..state.hosts.len() {
            match own.phase {
                Phase::Aborted => actions.push(Action::LearnAbort { coordinator, host }),
                Phase::Opened => actions.push(Action::LearnOpen { coordinator, host }),
                Phase::Idle | Phase::Gathering | Phase::Chosen { .. } => {}
            }
        }
    }
}

fn fault_actions(state: &State, at: usize, actions: &mut Vec<Action>) {
    let (host, budget) = (&state.hosts[at], &state.budget);
    if host.off {
        return;
    }
    if host.disk && budget.lost_disks > 0 {
        actions.push(Action::LoseDisk { host: at });
    }
    if host.disk && !host.rebuilt && budget.restored_disks > 0 && !host.log.is_empty() {
        actions.push(Action::RestoreDisk { host: at });
    }
    if host.record == RecordState::Intact && budget.lost_agents > 0 {
        actions.push(Action::LoseAgent { host: at });
    }
    if host.record == RecordState::Intact && budget.restored_agents > 0 {
        actions.push(Action::RestoreAgent { host: at });
    }
}

impl State {
    fn take(&mut self, explorer: &Explorer, action: Action) -> bool {
        match action {
            Action::Elect { leader, others } => {
                self.raft(explorer).elect(leader, others, explorer.bounds.terms_max)
            }
            Action::Write { leader } => {
                self.raft(explorer).append(leader, Kind::Write);
                true
            }
            Action::Change { leader, voters } => {
                self.budget.changes -= 1;
                self.raft(explorer).append(leader, Kind::Voters(voters));
                true
            }
            Action::Replicate { leader, follower } => {
                self.raft(explorer).replicate(leader, follower);
                true
            }
            Action::LoseDisk { .. }
            | Action::RestoreDisk { .. }
            | Action::LoseAgent { .. }
            | Action::RestoreAgent { .. } => self.take_fault(explorer, action),
            _ => self.take_recovery(explorer, action),
        }
    }

    fn raft(&mut self, explorer: &Explorer) -> Raft<'_> {
        let first = explorer.setting.first;
        Raft { hosts: &mut self.hosts, truth: &mut self.truth, first }
    }

    fn take_fault(&mut self, explorer: &Explorer, action: Action) -> bool {
        match action {
            Action::LoseDisk { host } => {
                self.budget.lost_disks -= 1;
                self.hosts[host].lose_disk();
            }
            Action::RestoreDisk { host } => {
                self.budget.restored_disks -= 1;
                self.hosts[host].restore_disk();
            }
            Action::LoseAgent { host } => {
                self.budget.lost_agents -= 1;
                self.hosts[host].lose_agent();
            }
            Action::RestoreAgent { host } => {
                self.budget.restored_agents -= 1;
                let broken = explorer.setting.broken;
                let forgets = broken == Broken::ForgottenPromises;
                let starts = forgets || broken == Broken::RestoredAgentStarts;
                let record = if forgets { RecordState::Intact } else { RecordState::Unproven };
                self.hosts[host].restore_agent(record, starts);
            }
            _ => return false,
        }
        true
    }

    fn take_recovery(&mut self, explorer: &Explorer, action: Action) -> bool {
        let setting = &explorer.setting;
        let Self { hosts, coordinators, budget, truth, .. } = self;
        match action {
            Action::Begin { coordinator, epoch } => coordinators[coordinator].begin(epoch),
            Action::Fence { coordinator, host } => {
                return coordinators[coordinator].fence(host, &mut hosts[host]);
            }
            Action::ConfirmOff { coordinator, host } => {
                let own = &mut coordinators[coordinator];
                let said = Seen::Confirmed(own.attempt);
                if own.seen[host] == said {
                    return false;
                }
                if !hosts[host].off {
                    budget.confirmed_off -= 1;
                    hosts[host].turn_off();
                }
                own.seen[host] = said;
                own.listed = Some(newest(truth, setting.first));
            }
            Action::Choose { coordinator } => {
                return coordinators[coordinator].decide(setting, truth);
            }
            Action::Accept { coordinator, host } => {
                return !hosts[host].off
                    && coordinators[coordinator].accept(setting, host, &mut hosts[host]);
            }
            Action::Open { coordinator } => {
                return coordinators[coordinator].open(setting, hosts, truth);
            }
            Action::Abort { coordinator } => {
                budget.aborts -= 1;
                coordinators[coordinator].phase = Phase::Aborted;
            }
            Action::LearnAbort { coordinator, host } => {
                let attempt = coordinators[coordinator].attempt;
                return !hosts[host].off && learn_abort(setting, &mut hosts[host], attempt);
            }
            Action::LosePatience { host } => return lose_patience(setting, &mut hosts[host]),
            Action::LearnOpen { coordinator, host } => {
                let token = coordinators[coordinator].token.to_string();
                let choice = truth.opened.iter().find(|opened| opened.lineage.token == token);
                let Some(choice) = choice else { return false };
                return !hosts[host].off && learn_open(&mut hosts[host], choice);
            }
            _ => return false,
        }
        true
    }

    /// An attempt was given up, and something was committed by hosts that had promised it.
    fn resumed(&self) -> bool {
        let aborted = self.coordinators.iter().any(|one| one.phase == Phase::Aborted);
        let released = self.hosts.iter().any(|host| {
            host.up && host.leads && host.commit > 0 && host.fence.promised.epoch.get() > 1
        });
        aborted && released && !self.truth.committed.is_empty()
    }
}

/// The committed voters, as `etcdctl member list` shows them to a person who asks a living quorum.
fn newest(truth: &Truth, first: Hosts) -> Recorded {
    let mut newest = Recorded { index: 0, term: 0, voters: first };
    for (at, entry) in truth.committed.iter().enumerate() {
        if let Kind::Voters(voters) = entry.kind {
            newest = Recorded { index: length(&truth.committed[..=at]), term: entry.term, voters };
        }
    }
    newest
}
