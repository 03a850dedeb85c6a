//! The facts about one node reduced to the kinds that the start table tells apart.

use base::{ClusterId, MemberId};

use super::observation::{
    DataDir, Fact, Health, History, Member, NodeObservation, Observation, Process,
};
use crate::{
    generate::{InitialState, Launch, Lineage},
    spec::NodeSpec,
};

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum $name { $($(#[$about])* $variant),* }

        impl $name {
            /// Every kind: for rows that do not care.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];
        }
    };
}

kind!(
    /// The lineage record.
    Record {
        /// It cannot be read (R13).
        Unknown,
        /// No cluster was ever prepared.
        Absent,
        /// A bootstrap is prepared: `new` is allowed.
        Prepared,
        /// The cluster was formed: `new` never again (R2).
        Formed,
    }
);

/// The process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Run {
    Unknown,
    /// Something that is not ours holds its place.
    Foreign,
    /// It left because the cluster removed it.
    Removed,
    /// It runs and was not ready yet.
    Starting,
    /// It runs with what the spec wants.
    Current,
    /// It runs with something else.
    Changed,
    /// It does not run, or its supervisor would start it with something else than the spec wants.
    Stopped,
    /// Its supervisor will start it again.
    Pausing,
    /// Its supervisor gave up.
    Looping,
}

kind!(
    /// The data directory.
    Dir {
        Unknown,
        /// Nothing there, and nothing was ever seen there.
        Empty,
        /// Nothing there, though it held a member before (R17).
        Lost,
        /// It holds this node's member of this lineage.
        Own,
        /// It holds a member of another cluster or lineage, or another member (R3).
        Other,
        /// It holds something else than a member.
        Foreign,
        /// It holds a member whose log is broken.
        Damaged,
        /// It holds this node's member, older than what it acknowledged (R17).
        Stale,
        /// A recovery was promised here (R3).
        Fenced,
    }
);

kind!(
    /// The node in the member list of a live quorum.
    Listed {
        Unknown,
        In,
        /// It is in, and has never published itself.
        Unstarted,
        Out,
    }
);

kind!(
    /// The answer to a linearizable read.
    Vital {
        Unknown,
        Healthy,
        Unhealthy,
    }
);

/// Everything about one node that the start table asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds {
    pub(crate) record: Record,
    pub(crate) run: Run,
    pub(crate) dir: Dir,
    pub(crate) listed: Listed,
    pub(crate) vital: Vital,
}

impl Kinds {
    pub(crate) fn of(
        node: &NodeSpec,
        wanted: Option<&Launch>,
        observation: &Observation,
        history: &History,
    ) -> Self {
        let record = record(&history.lineage);
        let lineage = history.lineage.known().and_then(Option::as_ref);
        let own = own_member(&node.name, lineage, history);
        let Some(seen) = observation.node(&node.name) else {
            let (run, dir, vital) = (Run::Unknown, Dir::Unknown, Vital::Unknown);
            let listed = listed(node, own, history, &observation.members);
            return Self { record, run, dir, listed, vital };
        };
        Self {
            record,
            run: run(seen, wanted),
            dir: dir(seen, own, formed_before(&node.name, history)),
            listed: listed(node, own, history, &observation.members),
            vital: vital(&seen.health),
        }
    }
}

fn record(lineage: &Fact<Option<Lineage>>) -> Record {
    match lineage {
        Fact::Unknown(_) => Record::Unknown,
        Fact::Known(None) => Record::Absent,
        Fact::Known(Some(lineage)) => match lineage.initial_state {
            InitialState::New => Record::Prepared,
            InitialState::Existing => Record::Formed,
        },
    }
}

fn run(seen: &NodeObservation, wanted: Option<&Launch>) -> Run {
    let same = |launch: &Launch| wanted.is_none_or(|wanted| launch.changes(wanted).is_empty());
    match &seen.process {
        Fact::Unknown(_) => Run::Unknown,
        Fact::Known(Process::Foreign { .. }) => Run::Foreign,
        Fact::Known(Process::Removed) => Run::Removed,
        Fact::Known(Process::Starting(_)) => Run::Starting,
        Fact::Known(Process::Running(running))
            if same(&running.launch) && !running.is_binary_replaced =>
        {
            Run::Current
        }
        Fact::Known(Process::Running(_)) => Run::Changed,
        Fact::Known(Process::BackingOff { launch, .. }) if same(launch) => Run::Pausing,
        Fact::Known(Process::CrashLoop { launch, .. }) if same(launch) => Run::Looping,
        Fact::Known(
            Process::Stopped { .. } | Process::BackingOff { .. } | Process::CrashLoop { .. },
        ) => Run::Stopped,
    }
}

/// The member that a node's data directory must hold: as recorded, else as the cluster took it in.
pub(crate) fn own_member(
    name: &str,
    lineage: Option<&Lineage>,
    history: &History,
) -> Option<(ClusterId, MemberId)> {
    let lineage = lineage?;
    formed_before(name, history).or_else(|| lineage.member(name))
}

fn formed_before(name: &str, history: &History) -> Option<(ClusterId, MemberId)> {
    history.nodes.get(name).and_then(|record| record.formed)
}

fn dir(
    seen: &NodeObservation,
    own: Option<(ClusterId, MemberId)>,
    before: Option<(ClusterId, MemberId)>,
) -> Dir {
    match &seen.data_dir {
        Fact::Unknown(_) => Dir::Unknown,
        Fact::Known(DataDir::Empty) if before.is_some() => Dir::Lost,
        Fact::Known(DataDir::Emptied) => Dir::Lost,
        Fact::Known(DataDir::Empty) => Dir::Empty,
        Fact::Known(DataDir::Formed { cluster, member }) if own == Some((*cluster, *member)) => {
            Dir::Own
        }
        Fact::Known(DataDir::Formed { .. }) => Dir::Other,
        Fact::Known(DataDir::Foreign) => Dir::Foreign,
        Fact::Known(DataDir::Damaged) => Dir::Damaged,
        Fact::Known(DataDir::Stale) => Dir::Stale,
        Fact::Known(DataDir::Fenced) => Dir::Fenced,
    }
}

/// By id where the id is known. Under a record that knows of no membership of the node, a member that has started with
/// its name or URLs holds its place; one that waits with its URLs for a first start may be its own (`AddLearner` finds it),
/// and one that is another node's is not: a renamed node has its URLs, and leaves first.
fn listed(
    node: &NodeSpec,
    own: Option<(ClusterId, MemberId)>,
    history: &History,
    members: &Fact<Vec<Member>>,
) -> Listed {
    let lineage = history.lineage.known().and_then(Option::as_ref);
    if lineage.is_some_and(|it| it.initial_state == InitialState::New) && own.is_none() {
        // R2: the bootstrap that is prepared is of others.
        return Listed::Out;
    }
    let Fact::Known(members) = members else { return Listed::Unknown };
    let alike =
        |member: &Member| member.name == node.name || member.peer_urls == node.advertise_peer_urls;
    let others: Vec<MemberId> = lineage
        .into_iter()
        .flat_map(Lineage::members)
        .filter(|other| *other != node.name)
        .filter_map(|other| own_member(other, lineage, history).map(|(_, id)| id))
        .collect();
    let found = members.iter().find(|member| match own {
        Some((_, id)) => member.id == id,
        None if others.contains(&member.id) => false,
        None if lineage.is_some() => alike(member) && !member.client_urls.is_empty(),
        None => alike(member),
    });
    match found {
        None => Listed::Out,
        Some(member) if member.client_urls.is_empty() => Listed::Unstarted,
        Some(_) => Listed::In,
    }
}

const fn vital(health: &Fact<Health>) -> Vital {
    match health {
        Fact::Unknown(_) => Vital::Unknown,
        Fact::Known(Health::Healthy) => Vital::Healthy,
        Fact::Known(Health::Unhealthy(_)) => Vital::Unhealthy,
    }
}
