//! One coordinator: a control group that fences, gathers, chooses, and opens or aborts. There are two of them, as after a
//! control group was rebuilt that was not dead. Its own log is in order: after ABORT it never opens, and the reverse.

use std::collections::BTreeSet;

use base::Epoch;
use lineage::{
    Attempt, Candidates, Choice, Evidence, Fence, FenceOrder, Hold, Identity, Loss, RecordState,
    Verdict, authority, choose, decide, is_blocked, may_open,
};
use uuid::Uuid;

use crate::{
    evidence::{Broken, Seen, Setting, evidence, host_of, member, position},
    world::{AtOpen, CLUSTER, Host, Hosts, OLD, Recorded, Truth, each, only},
};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Idle,
    Gathering,
    /// CHOOSE is in its log; these agents accepted.
    Chosen {
        choice: Choice,
        loss: Loss,
        accepted: Hosts,
        adopted: bool,
    },
    Opened,
    Aborted,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Coordinator {
    pub(crate) attempt: Attempt,
    pub(crate) phase: Phase,
    pub(crate) seen: Vec<Seen>,
    /// The voters that the last confirmation named.
    pub(crate) listed: Option<Recorded>,
    /// Two control groups make two tokens.
    pub(crate) token: u8,
}

impl Coordinator {
    pub(crate) fn new(token: u8, author: u8, hosts: usize) -> Self {
        Self {
            token,
            attempt: Attempt { epoch: OLD, by: Uuid::from_u128(u128::from(author) + 1) },
            phase: Phase::Idle,
            seen: vec![Seen::Nothing; hosts],
            listed: None,
        }
    }

    /// Takes an epoch above its last one. Confirmations given before are still on its table.
    pub(crate) fn begin(&mut self, epoch: u64) {
        self.attempt.epoch = Epoch::new(epoch);
        self.phase = Phase::Gathering;
        for seen in &mut self.seen {
            if matches!(seen, Seen::Attested(_)) {
                *seen = Seen::Nothing;
            }
        }
    }

    /// FENCE at one host: it stops its node, promises and attests. False if it refuses.
    pub(crate) fn fence(&mut self, at: usize, host: &mut Host) -> bool {
        let order = FenceOrder { cluster: CLUSTER, replaces: OLD, attempt: self.attempt };
        let Ok(fence) = host.fence.promise(&order) else { return false };
        host.fence = fence;
        host.up = false;
        host.leads = false;
        self.seen[at] = Seen::Attested(Box::new(host.clone()));
        true
    }

    pub(crate) fn evidence(&self, setting: &Setting) -> Evidence {
        evidence(setting, self.attempt, &self.seen, self.listed)
    }

    /// CHOOSE, if the evidence allows it.
    pub(crate) fn decide(&mut self, setting: &Setting, truth: &mut Truth) -> bool {
        let evidence = self.evidence(setting);
        let (choice, mut loss, adopted) = match verdict(setting, &evidence) {
            Verdict::Choose { seed, log, loss } => {
                let epoch = self.attempt.epoch;
                let lineage = Identity {
                    cluster: CLUSTER,
                    epoch,
                    token: self.token.to_string(),
                    cluster_id: None,
                };
                (Choice { lineage, seed, image_end: log.last }, loss, false)
            }
            Verdict::Adopt { choice, loss } => (choice, loss, true),
            Verdict::Restart | Verdict::Wait { .. } => return false,
        };
        if setting.broken == Broken::AdoptedLossStands {
            let declared = truth.declared.iter().find(|(declared, _)| *declared == choice);
            match declared {
                Some((_, before)) => loss = *before,
                None => truth.declared.push((choice.clone(), loss)),
            }
        }
        self.phase = Phase::Chosen { choice, loss, accepted: 0, adopted };
        true
    }

    /// One agent accepts the choice. False if it refuses.
    pub(crate) fn accept(&mut self, setting: &Setting, at: usize, host: &mut Host) -> bool {
        let Phase::Chosen { choice, accepted, .. } = &mut self.phase else { return false };
        let mut fence = host.fence.clone();
        if setting.broken == Broken::AbortedIsAccepted && fence.hold == Hold::Free {
            fence.hold = Hold::Promised;
        }
        let Ok(fence) = fence.accept(self.attempt, choice) else { return false };
        host.fence = fence;
        host.up = false;
        host.leads = false;
        *accepted |= only(at);
        true
    }

    /// OPEN, if the right agents accepted and the seed still has its log.
    pub(crate) fn open(&mut self, setting: &Setting, hosts: &[Host], truth: &mut Truth) -> bool {
        let Phase::Chosen { choice, loss, accepted, adopted } = &self.phase else { return false };
        let seed = &hosts[host_of(choice.seed)];
        let evidence = self.evidence(setting);
        let is_image = choice.is_image(&position(seed)) || setting.broken == Broken::ImageUnchecked;
        if !seed.disk || seed.rebuilt || seed.fence.hold == Hold::Free || !is_image {
            return false;
        }
        if !enough(setting, &evidence, *accepted) {
            return false;
        }
        truth.note_opened(choice, *loss, hosts, *adopted);
        self.phase = Phase::Opened;
        true
    }
}

/// Production's decision, unless its very composition is what is broken.
fn verdict(setting: &Setting, evidence: &Evidence) -> Verdict {
    let verdict = decide(evidence);
    let candidates = Candidates::of(evidence);
    match (setting.broken, verdict) {
        (Broken::BlockingIsEnough, Verdict::Wait { missing }) => {
            let blocked = candidates.iter().all(|candidate| is_blocked(candidate, evidence));
            match choose(&candidates, evidence) {
                Some((seed, log)) if blocked && !candidates.is_empty() => {
                    let loss = lineage::bound(&candidates, evidence, &log);
                    Verdict::Choose { seed, log, loss }
                }
                Some(_) | None => Verdict::Wait { missing },
            }
        }
        (Broken::SeedByLength, Verdict::Choose { seed, log, loss }) => {
            let logs =
                candidates.voters().into_iter().filter_map(|member| match evidence.class(member) {
                    lineage::Class::Live(log) => Some((member, log)),
                    _ => None,
                });
            let longest = logs.max_by_key(|(_, log)| (log.last.index, log.last.term));
            let (seed, log) = longest.unwrap_or((seed, log));
            Verdict::Choose { seed, log, loss }
        }
        (Broken::TailIsKept, Verdict::Choose { seed, log, .. }) => {
            let mut tail = log;
            tail.commit = tail.last.index;
            let loss = lineage::bound(&candidates, evidence, &tail);
            Verdict::Choose { seed, log, loss }
        }
        (_, verdict) => verdict,
    }
}

fn enough(setting: &Setting, evidence: &Evidence, accepted: Hosts) -> bool {
    let accepted: BTreeSet<_> = each(accepted).map(member).collect();
    let candidates = Candidates::of(evidence);
    if setting.broken == Broken::BlockingIsEnough {
        return candidates.iter().all(|candidate| candidate.is_blocked_by(&accepted));
    }
    // The blocked set and the deciders are asked for apart, as production does.
    let with_right = candidates.iter().all(|one| authority(one, evidence, &accepted).is_some());
    let may = may_open(&candidates, evidence, &accepted);
    assert!(!may || with_right, "both are one rule");
    may
}

impl Truth {
    fn note_opened(&mut self, choice: &Choice, loss: Loss, hosts: &[Host], adopted: bool) {
        if self.opened.contains(choice) {
            return;
        }
        self.split |= !self.opened.is_empty();
        let epochs = self.opened.iter().map(|opened| opened.lineage.epoch);
        self.epoch_twice |= epochs.into_iter().any(|epoch| epoch == choice.lineage.epoch);
        self.opened.push(choice.clone());
        if self.at_open.is_none() {
            let mut logs: BTreeSet<_> = hosts.iter().map(|host| host.log.clone()).collect();
            logs.insert(self.committed.clone());
            let image = hosts[host_of(choice.seed)].log.clone();
            self.at_open = Some(AtOpen { logs, image, loss });
            self.note_late();
        }
        self.opened_without_loss |= loss == Loss::None;
        self.opened_with_bound |= matches!(loss, Loss::AtMost { .. });
        self.opened_by_adoption |= adopted;
    }
}

/// An agent that promised and heard no more lets its node run again.
pub(crate) fn lose_patience(setting: &Setting, host: &mut Host) -> bool {
    host.fence.hold == Hold::Promised && learn_abort(setting, host, host.fence.promised)
}

/// A host learns of an ABORT: its node may run again, if it is still what it was.
pub(crate) fn learn_abort(setting: &Setting, host: &mut Host, attempt: Attempt) -> bool {
    let mut fence = host.fence.abort(attempt);
    let accepted = fence.accepted().map(|accepted| accepted.attempt);
    if setting.broken == Broken::AdoptedIsAborted && accepted == Some(attempt) {
        fence.hold = Hold::Free;
    }
    if fence == host.fence {
        return false;
    }
    host.fence = fence;
    host.up = host.disk && !host.booted && !host.off && host.record == RecordState::Intact;
    true
}

/// A host learns of an OPEN: its dir is built anew from the image (R3, R9).
pub(crate) fn learn_open(host: &mut Host, choice: &Choice) -> bool {
    let fence: Fence = host.fence.open(choice);
    if fence == host.fence {
        return false;
    }
    host.fence = fence;
    host.rebuilt = host.disk;
    host.up = false;
    host.leads = false;
    true
}
