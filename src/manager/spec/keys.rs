//! Every key of `cluster.toml`: the one table from which the reader works and docs/spec.md is generated.

/// A table of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Cluster,
    Defaults,
    Node,
    Supervise,
    Update,
    Log,
    Agent,
    Tls,
    Maintenance,
    Apply,
    Hooks,
    /// `[agent]` of `agent.toml`.
    HostAgent,
    /// `[tls]` of `agent.toml`.
    HostTls,
    /// `[allow]` of `agent.toml`.
    HostAllow,
}

impl Table {
    pub(super) const ALL: [Self; 11] = [
        Self::Cluster,
        Self::Defaults,
        Self::Node,
        Self::Tls,
        Self::Supervise,
        Self::Maintenance,
        Self::Apply,
        Self::Hooks,
        Self::Update,
        Self::Log,
        Self::Agent,
    ];

    /// Those of `agent.toml`.
    pub(super) const OF_AGENT: [Self; 3] = [Self::HostAgent, Self::HostTls, Self::HostAllow];

    /// Its name in the file.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Defaults => "defaults",
            Self::Node => "node",
            Self::Supervise => "supervise",
            Self::Update => "update",
            Self::Log => "log",
            Self::Agent | Self::HostAgent => "agent",
            Self::HostAllow => "allow",
            Self::Tls | Self::HostTls => "tls",
            Self::Maintenance => "maintenance",
            Self::Apply => "apply",
            Self::Hooks => "hooks",
        }
    }

    /// As its header is written.
    pub(super) const fn header(self) -> &'static str {
        match self {
            Self::Cluster => "[cluster]",
            Self::Defaults => "[defaults]",
            Self::Node => "[[node]]",
            Self::Supervise => "[supervise]",
            Self::Update => "[update]",
            Self::Log => "[log]",
            Self::Agent | Self::HostAgent => "[agent]",
            Self::HostAllow => "[allow]",
            Self::Tls | Self::HostTls => "[tls]",
            Self::Maintenance => "[maintenance]",
            Self::Apply => "[apply]",
            Self::Hooks => "[hooks]",
        }
    }

    /// The keys it may hold.
    pub(super) fn keys(self) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(move |key| key.table == self)
    }
}

/// What a key's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// A string: absolute, or relative to the spec file.
    Path,
    /// An integer from 1 to 65535.
    Port,
    /// An integer in this range.
    Whole { min: i64, max: i64, unit: &'static str },
    /// A boolean.
    Switch,
    /// A string such as `"1m30s"`, more than zero.
    Duration,
    /// A string or an array of strings.
    Urls,
    /// The same, of paths.
    Paths,
    /// The same, of maintenance windows.
    Windows,
    /// A table of etcd flags.
    Flags,
    /// A table of environment variables.
    Environment,
}

impl Kind {
    /// For people: the type and its unit.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Text => "string".to_owned(),
            Self::Path => "path (string)".to_owned(),
            Self::Port => "port: integer from 1 to 65535".to_owned(),
            Self::Whole { min, max, unit } => format!("{unit}: integer from {min} to {max}"),
            Self::Switch => "boolean".to_owned(),
            Self::Duration => "duration (string such as \"1m30s\")".to_owned(),
            Self::Urls => "URL or array of URLs (strings)".to_owned(),
            Self::Paths => "path or array of paths (strings)".to_owned(),
            Self::Windows => "window or array of windows (strings)".to_owned(),
            Self::Flags => "table: etcd flag = value".to_owned(),
            Self::Environment => "table: variable = string".to_owned(),
        }
    }
}

impl Kind {
    /// For a remedy: `give …`.
    pub(super) fn wanted(self) -> String {
        match self {
            Self::Text => "a string, in quotes".to_owned(),
            Self::Path => "a path, in quotes".to_owned(),
            Self::Port => "an integer from 1 to 65535".to_owned(),
            Self::Whole { min, max, unit } => {
                format!("a number of {unit}: an integer from {min} to {max}")
            }
            Self::Switch => "true or false".to_owned(),
            Self::Duration => "a duration in quotes, such as \"1m30s\"".to_owned(),
            Self::Urls => "a URL in quotes, or an array of them".to_owned(),
            Self::Paths => "a path in quotes, or an array of them".to_owned(),
            Self::Windows => {
                "a window such as \"Sat 02:00-04:00 UTC\", or an array of them".to_owned()
            }
            Self::Flags => "a table of etcd flags: { snapshot-count = 10000 }".to_owned(),
            Self::Environment => "a table of variables: { GOGC = \"50\" }".to_owned(),
        }
    }
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) table: Table,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// For people; "required" where there is none.
    pub(super) default: &'static str,
    pub(super) meaning: &'static str,
}

const fn key(
    table: Table,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    meaning: &'static str,
) -> Key {
    Key { table, name, kind, default, meaning }
}

const RESTARTS: Kind = Kind::Whole { min: 1, max: 1000, unit: "restarts" };
const LOG_BYTES: Kind = Kind::Whole { min: 65_536, max: 1 << 40, unit: "bytes" };
const COUNTED: Kind = Kind::Whole { min: 1, max: 1_000_000, unit: "lives" };
const LOG_FILES: Kind = Kind::Whole { min: 0, max: 1000, unit: "files" };

#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key(Table::Cluster, "name", Kind::Text, "required",
        "Name of the cluster. Letters, digits, `.`, `_` and `-`."),
    key(Table::Cluster, "token", Kind::Text, "the cluster's name",
        "Token of the first lineage: etcd derives the cluster's and the members' ids from it, so two clusters that might ever meet need different ones. A recovered cluster gets a new token by itself; this key then no longer counts."),
    key(Table::Cluster, "dir", Kind::Path, "`\"data\"`",
        "Root of what the manager puts on disk on each host, where no other key says otherwise."),
    key(Table::Defaults, "binary", Kind::Path, "`\"in-tree\"`",
        "The node's program: `in-tree` is the `etcd-node` that lies beside `etcd-manager`; a path names any etcd, such as `/usr/bin/etcd`."),
    key(Table::Defaults, "user", Kind::Text, "the agent's user",
        "User name that nodes run as."),
    key(Table::Defaults, "client-port", Kind::Port, "`2379`",
        "Port for clients of every node that names none."),
    key(Table::Defaults, "peer-port", Kind::Port, "`2380`",
        "Port for peers of every node that names none."),
    key(Table::Defaults, "environment", Kind::Environment, "empty",
        "Further environment variables of every node, for instance `GOGC`. etcd's own (`ETCD_*`) are flags: see `[defaults.flags]`."),
    key(Table::Defaults, "flags", Kind::Flags, "see below",
        "etcd flags of every node, without dashes."),
    key(Table::Node, "name", Kind::Text, "required",
        "Name of the node and of its etcd member."),
    key(Table::Node, "host", Kind::Text, "required",
        "IP address or host name of its machine."),
    key(Table::Node, "client-port", Kind::Port, "`[defaults] client-port`",
        "Port for clients. Not together with the client URLs."),
    key(Table::Node, "peer-port", Kind::Port, "`[defaults] peer-port`",
        "Port for peers. Not together with the peer URLs."),
    key(Table::Node, "listen-client-urls", Kind::Urls, "`http://HOST:CLIENT-PORT` (https with `[tls]`), and the same port on 127.0.0.1",
        "Where it serves clients: IP addresses or `localhost`. If `host` is a name, the default is all addresses (0.0.0.0)."),
    key(Table::Node, "advertise-client-urls", Kind::Urls, "`http://HOST:CLIENT-PORT`",
        "What it tells clients to use."),
    key(Table::Node, "listen-peer-urls", Kind::Urls, "`http://HOST:PEER-PORT`",
        "Where it serves its peers: IP addresses or `localhost`. If `host` is a name, the default is all addresses (0.0.0.0)."),
    key(Table::Node, "advertise-peer-urls", Kind::Urls, "`http://HOST:PEER-PORT`",
        "What its peers use. Part of the cluster's membership."),
    key(Table::Node, "data-dir", Kind::Path, "`DIR/NAME`",
        "Its data directory, its own alone."),
    key(Table::Node, "wal-dir", Kind::Path, "inside the data dir",
        "Its write-ahead log, for instance on a faster disk."),
    key(Table::Node, "zone", Kind::Text, "none",
        "Failure domain: nodes of one zone are expected to fail together."),
    key(Table::Node, "incarnation", COUNTED, "`1`",
        "Which life of the member this is. Counted up, the member is given up: it leaves the cluster, its data dir goes into the archive, and it joins anew without data. `etcd-manager member replace` does it."),
    key(Table::Node, "binary", Kind::Path, "`[defaults] binary`",
        "The node's program."),
    key(Table::Node, "environment", Kind::Environment, "`[defaults.environment]`",
        "Further environment variables; each overrides the one of `[defaults.environment]`."),
    key(Table::Node, "flags", Kind::Flags, "`[defaults.flags]`",
        "etcd flags; each overrides the one of `[defaults.flags]`."),
    key(Table::Tls, "mode", Kind::Text, "`\"off\"`",
        "`off`: plain text. `managed`: nodes use TLS towards clients and peers, with the files that `etcd-manager pki` issued for their host. `files`: the same with the files below. URLs that are not given become https."),
    key(Table::Tls, "dir", Kind::Path, "`\"pki\"`",
        "With `managed`: the folder of certificates; those of a host lie in `hosts/HOST` below it, on that host. Relative to the spec file."),
    key(Table::Tls, "cert-file", Kind::Path, "required with `files`",
        "Certificate of a node, its issuers after it. In this and all paths of the table, `{node}` stands for the node's name and `{host}` for its host."),
    key(Table::Tls, "key-file", Kind::Path, "required with `files`",
        "Key of `cert-file`."),
    key(Table::Tls, "trusted-ca-file", Kind::Path, "required with `files`",
        "Bundle of the authorities that sign nodes' and clients' certificates."),
    key(Table::Tls, "client-cert-auth", Kind::Switch, "`true`",
        "Whether clients must show a certificate."),
    key(Table::Tls, "client-cert-file", Kind::Path, "`cert-file`",
        "What the manager shows to nodes as their client. `cert-file` must then be good for clients too (clientAuth)."),
    key(Table::Tls, "client-key-file", Kind::Path, "`key-file`",
        "Key of `client-cert-file`."),
    key(Table::Tls, "peer-cert-file", Kind::Path, "`cert-file`",
        "Certificate of a node among its peers, as listener and as client (serverAuth and clientAuth). Peers always show one."),
    key(Table::Tls, "peer-key-file", Kind::Path, "`key-file`",
        "Key of `peer-cert-file`."),
    key(Table::Tls, "peer-trusted-ca-file", Kind::Path, "`trusted-ca-file`",
        "Bundle of the authorities that sign peers' certificates."),
    key(Table::Supervise, "backoff-min", Kind::Duration, "`\"500ms\"`",
        "First pause before a node that ended by itself is started again; it doubles each time, with jitter."),
    key(Table::Supervise, "backoff-max", Kind::Duration, "`\"30s\"`",
        "Longest such pause."),
    key(Table::Supervise, "restart-limit", RESTARTS, "`5`",
        "Ending by itself this often within the window is a crash loop: the node is left stopped and the reason shown."),
    key(Table::Supervise, "restart-window", Kind::Duration, "`\"10m\"`",
        "The window of `restart-limit`."),
    key(Table::Supervise, "stop-timeout", Kind::Duration, "`\"30s\"`",
        "From SIGTERM to SIGKILL when a node is stopped."),
    key(Table::Supervise, "ready-timeout", Kind::Duration, "`\"60s\"`",
        "How long a started node may take to answer a linearizable read."),
    key(Table::Maintenance, "windows", Kind::Windows, "any time",
        "When disruptive steps may begin: `DAYS HH:MM-HH:MM UTC`, where DAYS is `daily`, days such as `Sat` or `Mon,Wed`, or from one to another, `Mon-Fri`. One that ends before it begins ends on the next day."),
    key(Table::Apply, "deadline", Kind::Duration, "none",
        "So long after an apply was asked for no further step of it begins; the one under way is finished. `apply --deadline` overrides it."),
    key(Table::Hooks, "before", Kind::Path, "none",
        "Program that is run before each step, on the host where the step is done. If it fails or takes too long the step is not done, and the apply ends."),
    key(Table::Hooks, "before-timeout", Kind::Duration, "`\"60s\"`",
        "How long it may take."),
    key(Table::Hooks, "after", Kind::Path, "none",
        "Program that is run after each step, done or failed. That it fails is told and changes nothing."),
    key(Table::Hooks, "after-timeout", Kind::Duration, "`\"60s\"`",
        "How long it may take."),
    key(Table::Update, "canary", Kind::Text, "none",
        "Node that a rolling restart begins with."),
    key(Table::Update, "soak", Kind::Duration, "none",
        "How long the first node of a rolling restart is watched before the next one is touched: it must stay up and healthy."),
    key(Table::Update, "learner-steady", Kind::Duration, "`\"1s\"`",
        "How long a new member must have kept up with its leader before it gets its vote."),
    key(Table::Update, "learner-limit", Kind::Duration, "`\"10m\"`",
        "A new member that has not kept up within this time is taken out again, its data archived, so that it holds up no other change."),
    key(Table::Log, "dir", Kind::Path, "`DIR/log`",
        "Folder of the nodes' log files, `NAME.log` each."),
    key(Table::Log, "max-bytes", LOG_BYTES, "`16777216` (16 MiB)",
        "A log file is rotated at this size."),
    key(Table::Log, "keep", LOG_FILES, "`5`",
        "Rotated log files kept per node."),
    key(Table::Agent, "auto-apply", Kind::Switch, "`false`",
        "Whether a valid edit of this file is applied at once. Otherwise it is only shown as a plan in the agent's log."),
    key(Table::Agent, "state-dir", Kind::Path, "`DIR/agent`",
        "The agent's own state and its socket; on another disk than etcd's data where there is one."),
    key(Table::Agent, "port", Kind::Port, "`2378`",
        "Port on which each host's agent serves the other agents and the command line, where agents run on several hosts. docs/agent-toml.md"),
    key(Table::Agent, "metrics", Kind::Text, "none",
        "IP address and port on which the agent serves `/metrics` and `/health` over plain HTTP, such as `127.0.0.1:2377` (docs/metrics.md). Only of an agent that has all nodes: others have it in their `agent.toml`."),
    key(Table::HostAgent, "host", Kind::Text, "required",
        "This host as the spec names it: the agent keeps the nodes with this `host`."),
    key(Table::HostAgent, "listen", Kind::Text, "`HOST:2378`",
        "IP address and port on which it serves the other agents and the command line. The port is the spec's `[agent] port`."),
    key(Table::HostAgent, "state-dir", Kind::Path, "required",
        "Its own state and its socket, not shared with anything; on another disk than etcd's data where there is one."),
    key(Table::HostAgent, "record-dir", Kind::Path, "`STATE_DIR-records`",
        "Records of this host's nodes (docs/on-disk.md). On another disk than etcd's data, and kept when a data disk is exchanged. A node whose record cannot be written stops. Changed only while no node of this host has one."),
    key(Table::HostAgent, "spec", Kind::Path, "none",
        "The spec file on this host. An edit of it is a change against the content that this agent last saw; without this key no file is watched."),
    key(Table::HostAgent, "metrics", Kind::Text, "none",
        "IP address and port on which it serves `/metrics` and `/health` over plain HTTP, such as `127.0.0.1:2377` (docs/metrics.md)."),
    key(Table::HostAgent, "insecure", Kind::Switch, "`false`",
        "Whether it may serve without TLS on an address that is not loopback. Whoever reaches the port then commands the cluster; each start warns."),
    key(Table::HostTls, "dir", Kind::Path, "none",
        "Folder of certificates as `pki` made it: `hosts/HOST/` below it holds `agent.pem`, `agent-key.pem` and `ca.pem`. docs/pki.md"),
    key(Table::HostTls, "cert-file", Kind::Path, "`agent.pem` there",
        "Certificate of this agent, for listening and dialling; role `agent`, and this host's name."),
    key(Table::HostTls, "key-file", Kind::Path, "`agent-key.pem` there",
        "Its key."),
    key(Table::HostTls, "trusted-ca-file", Kind::Path, "`ca.pem` there",
        "Authorities that the certificates of other agents and of operators are signed by."),
    key(Table::HostAllow, "binaries", Kind::Paths, "the in-tree node only",
        "Programs that a spec may name as `binary` on this host, by their exact path, or whole folders."),
    key(Table::HostAllow, "hooks", Kind::Paths, "none",
        "Programs that a spec may name under `[hooks]`, by their exact path, or whole folders. They run as the agent's user."),
    key(Table::HostAllow, "data-roots", Kind::Paths, "any folder",
        "Folders below which a spec may put data, WAL and log dirs on this host."),
];
