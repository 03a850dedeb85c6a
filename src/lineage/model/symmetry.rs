//! Hosts are alike: of all states that differ only in their names, one is looked at.

use lineage::{Choice, Hold};

use crate::{
    attempt::{Coordinator, Phase},
    evidence::{Seen, host_of, member},
    explorer::State,
    world::{Entry, Host, Hosts, Kind, each, only},
};

/// The state with its hosts in an order that depends on nothing but what they are. Those that vote at first stay so.
pub(crate) fn representative(state: &State) -> State {
    let mut order: Vec<usize> = (0..state.hosts.len()).collect();
    order.sort_by_cached_key(|host| key(state, *host));
    if order.windows(2).all(|pair| pair[0] < pair[1]) {
        return state.clone();
    }
    let mut names = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        names[*old] = new;
    }
    Renaming { order, names }.state(state)
}

/// All of a host that does not hold a name of another.
type Key = (Vec<u8>, Vec<(u8, bool)>, Vec<u8>);

fn key(state: &State, at: usize) -> Key {
    let host = &state.hosts[at];
    let mut parts = vec![u8::from(state.first >> at & 1 == 0)];
    parts.extend(plain(host));
    let mut words = Vec::new();
    for one in &state.coordinators {
        words.push(match &one.seen[at] {
            Seen::Nothing => 0,
            Seen::Attested(_) => 1,
            Seen::Confirmed(_) => 2,
        });
        if let Seen::Attested(seen) = &one.seen[at] {
            words.extend(plain(seen));
        }
        if let Phase::Chosen { choice, accepted, .. } = &one.phase {
            words.push(accepted >> at & 1);
            words.push(u8::from(host_of(choice.seed) == at));
        }
    }
    let is_seed = |opened: &Choice| u8::from(host_of(opened.seed) == at);
    words.extend(state.truth.opened.iter().map(is_seed));
    (parts, host.log.iter().map(|entry| (entry.term, entry.kind == Kind::Write)).collect(), words)
}

fn plain(host: &Host) -> Vec<u8> {
    let held = match host.fence.hold {
        Hold::Free => 0,
        Hold::Promised => 1,
        Hold::Accepted(_) => 2,
    };
    let flags = [host.disk, host.rebuilt, host.up, host.leads, host.booted, host.off];
    let flags = flags.into_iter().fold(0, |all, flag| all << 1 | u8::from(flag));
    let promised = host.fence.promised;
    let epochs =
        [promised.epoch.get(), host.fence.lineage.get()].map(|epoch| epoch.to_le_bytes()[0]);
    let by = promised.by.as_bytes()[15];
    let record = host.record as u8;
    let reach = host.reach;
    let reach = [reach.term, reach.acknowledged, reach.highest, reach.commit];
    let [promised, lineage] = epochs;
    let mut all = vec![flags, host.term, host.commit, record, held, promised, by, lineage];
    all.extend(reach);
    all.push(u8::try_from(host.recorded.len()).expect("a few changes"));
    all
}

struct Renaming {
    /// The old name of each new one.
    order: Vec<usize>,
    /// The new name of each old one.
    names: Vec<usize>,
}

impl Renaming {
    fn state(&self, state: &State) -> State {
        let mut next = state.clone();
        next.hosts = self.order.iter().map(|old| self.host(&state.hosts[*old])).collect();
        for one in &mut next.coordinators {
            self.coordinator(one);
        }
        self.log(&mut next.truth.committed);
        for opened in &mut next.truth.opened {
            self.choice(opened);
        }
        if let Some(at_open) = &mut next.truth.at_open {
            self.log(&mut at_open.image);
            let logs = std::mem::take(&mut at_open.logs).into_iter().map(|mut log| {
                self.log(&mut log);
                log
            });
            at_open.logs = logs.collect();
        }
        for (choice, _) in &mut next.truth.declared {
            self.choice(choice);
        }
        next.truth.opened.sort();
        next
    }

    fn hosts(&self, hosts: Hosts) -> Hosts {
        each(hosts).fold(0, |all, host| all | only(self.names[host]))
    }

    fn log(&self, log: &mut [Entry]) {
        for entry in log {
            if let Kind::Voters(voters) = entry.kind {
                entry.kind = Kind::Voters(self.hosts(voters));
            }
        }
    }

    fn choice(&self, choice: &mut Choice) {
        choice.seed = member(self.names[host_of(choice.seed)]);
    }

    fn host(&self, host: &Host) -> Host {
        let mut next = host.clone();
        self.log(&mut next.log);
        for known in &mut next.recorded {
            known.voters = self.hosts(known.voters);
        }
        if let Hold::Accepted(accepted) = &mut next.fence.hold {
            self.choice(&mut accepted.choice);
        }
        next
    }

    fn coordinator(&self, one: &mut Coordinator) {
        let seen = |old: &usize| match &one.seen[*old] {
            Seen::Attested(host) => Seen::Attested(Box::new(self.host(host))),
            other => other.clone(),
        };
        one.seen = self.order.iter().map(seen).collect();
        if let Some(listed) = &mut one.listed {
            listed.voters = self.hosts(listed.voters);
        }
        if let Phase::Chosen { choice, accepted, .. } = &mut one.phase {
            self.choice(choice);
            *accepted = self.hosts(*accepted);
        }
    }
}
