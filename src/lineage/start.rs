//! The member-start table: what is to become of one member, for every combination of what is known of it. Where no row says
//! anything else: wait. A test enumerates all combinations; another compares `docs/member-start.md` with the rows.

mod table;
#[cfg(test)]
mod tests;

pub use table::{ROWS, Row};

macro_rules! fact {
    ($(#[$doc:meta])* $name:ident { $($(#[doc = $about:literal])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[doc = $about])* $variant),* }

        impl $name {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its word in the table.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
    };
}

fact!(
    /// The agent's record of this member.
    Record {
        /// There is none.
        Absent = "none",
        /// A bootstrap is prepared with it, and it has not seen the cluster formed.
        Prepared = "prepared",
        /// It is a member of a cluster that was formed.
        Formed = "formed",
        /// It is there and cannot be read: unknown, never fresh (R13).
        Unreadable = "bad",
    }
);

fact!(
    /// The data dir, read with its lock held.
    Dir {
        /// It holds this member of the lineage in force, and its log passed its check and the marks.
        Own = "ok",
        /// As `Own`, but older than what the member acknowledged (R17).
        Stale = "stale",
        /// Nothing is there, and no log of this member ever was.
        Empty = "empty",
        /// Nothing is there, and the member had a log (R17).
        Lost = "lost",
        /// A check failed.
        Corrupt = "corrupt",
        /// It is of another cluster, another member, or no member's at all.
        Foreign = "foreign",
        /// It is of an older lineage of this cluster.
        Older = "older epoch",
        /// It is of a lineage above the one that the record knows.
        Newer = "newer epoch",
        /// It could not be read.
        Unread = "unread",
    }
);

fact!(
    /// The member in a linearizable member list of a live quorum.
    Listed {
        /// It is in.
        In = "in",
        /// It is in, and has never published itself.
        Unstarted = "in, unstarted",
        /// It is not in.
        Out = "out",
        /// No quorum answers.
        Unknown = "unknown",
    }
);

fact!(
    /// The fence of the host.
    Held {
        /// The lineage in force may run.
        Free = "free",
        /// A recovery was promised, and is neither opened nor given up (R3).
        Fenced = "fenced",
    }
);

fact!(
    /// What the agents of all hosts of the bootstrap say.
    Bootstrap {
        /// Each of them: the same record is prepared or none at all, the dir is empty, and no cluster was ever formed.
        Unanimous = "unanimous",
        /// One of them knows a cluster that was formed (R2).
        Formed = "formed",
        /// One of them is silent.
        Silent = "one silent",
    }
);

fact!(
    /// The member in the spec.
    Spec {
        /// It is to be there.
        Wanted = "in",
        /// It is not to be there.
        Unwanted = "out",
    }
);

/// All that is known of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Facts {
    /// Its record.
    pub record: Record,
    /// Its data dir.
    pub dir: Dir,
    /// What a quorum says.
    pub listed: Listed,
    /// What was promised.
    pub held: Held,
    /// What the hosts of the bootstrap say.
    pub bootstrap: Bootstrap,
    /// What is wanted.
    pub spec: Spec,
}

fact!(
    /// What is to be done. What needs an empty dir archives what is there first (R4).
    Action {
        /// Start it with the data it has.
        Start = "start with its log",
        /// Write the bootstrap record, as every host of the bootstrap does before any of them starts.
        Prepare = "prepare the bootstrap",
        /// Start it as `new`, with the prepared members and token.
        StartNew = "start as `new`",
        /// Start it as `existing` on an empty dir: the cluster waits for this very member.
        Join = "join as `existing`",
        /// Add it as a learner under a new member id.
        AddLearner = "archive; add as a learner",
        /// Remove the old member id and add a learner under a new one, if R5 and R6 allow it. The old id never runs again.
        Replace = "archive; replace by a new id (R5, R6)",
        /// Cut off a torn tail on a copy and verify it; if that is not all, replace it.
        RepairOrReplace = "repair a torn tail on a copy, else replace",
        /// It was removed and is not wanted: archive the dir, run nothing.
        Retire = "archive; idle",
        /// Nothing is to be done here.
        Idle = "idle",
        /// Keep everything as it is, tell that the disk is lost, wait.
        AttestLost = "attest LOST; wait",
        /// Nothing; the recovery that was promised decides.
        WaitForRecovery = "wait for the recovery",
        /// Nothing, until a silent host of the bootstrap answers.
        WaitForHosts = "wait for the silent host",
        /// Nothing, until a quorum of the cluster that exists answers.
        WaitForQuorum = "wait for a quorum",
        /// Nothing, until the dir can be read.
        WaitForDir = "wait until the dir can be read",
        /// Nothing, until others told what the record has forgotten.
        WaitForRecord = "wait until the record is rebuilt",
        /// Nothing: a person says `adopt`.
        AskToAdopt = "stop; only `adopt` takes it over",
        /// Nothing: a person looks at what lies there.
        Alert = "stop; alert",
        /// No row says anything.
        Wait = "wait",
    }
);

/// What is to become of a member.
#[must_use]
pub fn action(facts: Facts) -> Action {
    ROWS.iter().find(|row| row.matches(facts)).map_or(Action::Wait, |row| row.action)
}
