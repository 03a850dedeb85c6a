//! Hosts and URLs of nodes: etcd's rules for them, checked before etcd sees them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// A machine, as a spec names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Host {
    Ip(IpAddr),
    Name(String),
}

impl Host {
    /// Reads an IP address or a host name; none if it is neither.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(ip) = text.parse() {
            return Some(Self::Ip(ip));
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // A last label of digits only is a mistyped IP address, never a name.
        let numeric =
            text.rsplit('.').next().is_some_and(|last| last.chars().all(|c| c.is_ascii_digit()));
        let legal = text.len() <= 253 && text.split('.').all(label) && !numeric;
        legal.then(|| Self::Name(text.to_ascii_lowercase()))
    }

    pub(super) fn is_loopback(&self) -> bool {
        match self {
            Self::Ip(ip) => ip.is_loopback(),
            Self::Name(name) => name == "localhost",
        }
    }

    pub(super) const fn is_wildcard(&self) -> bool {
        match self {
            Self::Ip(ip) => ip.is_unspecified(),
            Self::Name(_) => false,
        }
    }

    /// Whether both may be the same network interface.
    fn meets(&self, other: &Self) -> bool {
        self == other
            || self.is_wildcard()
            || other.is_wildcard()
            || (self.is_localhost() && other.is_localhost())
    }

    fn is_localhost(&self) -> bool {
        match self {
            Self::Ip(ip) => {
                [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].contains(ip)
            }
            Self::Name(name) => name == "localhost",
        }
    }

    /// The addresses of one machine have one of these: all loopback addresses are this machine.
    pub(super) fn machine(&self) -> String {
        if self.is_loopback() { "loopback".to_owned() } else { self.to_string() }
    }
}

/// As it stands in a URL: IPv6 in brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A client or peer URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) tls: bool,
    pub(super) host: Host,
    pub(super) port: u16,
}

/// Whether a URL is bound or given to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Listen,
    Advertise,
}

/// Reason and remedy.
type Refused = (String, String);

impl Address {
    pub(super) const fn plain(host: Host, port: u16) -> Self {
        Self { tls: false, host, port }
    }

    /// Reads `http://HOST:PORT` or `https://HOST:PORT`.
    pub(super) fn parse(text: &str, purpose: Purpose) -> Result<Self, Refused> {
        let refuse = |reason: &str, remedy: String| Err((format!("URL {text:?} {reason}"), remedy));
        let Some((scheme, rest)) = text.split_once("://") else {
            let bare = text.trim_start_matches('/');
            return refuse("has no scheme", format!("write \"http://{bare}\""));
        };
        let tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return refuse("has a scheme that is not served", "use http".to_owned()),
        };
        if rest.contains(['/', '?', '#', '@']) || rest.contains(char::is_whitespace) {
            let remedy = "write only the scheme, the host and the port: no path, no user";
            return refuse("has more than a host and a port", remedy.to_owned());
        }
        let bracketed = rest.starts_with('[');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => {
                return refuse(
                    "has no port",
                    format!("write \"{text}:2379\" or whichever port it is"),
                );
            }
        };
        let Some(port) = port.parse::<u16>().ok().filter(|port| *port > 0) else {
            return refuse("has no legal port", "give a port from 1 to 65535".to_owned());
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = match Host::parse(bare) {
            Some(host) if bracketed == matches!(host, Host::Ip(IpAddr::V6(_))) => host,
            _ => {
                let remedy = "give an IP address (IPv6 in brackets) or a host name";
                return refuse("has a host that is none", remedy.to_owned());
            }
        };
        match (purpose, &host) {
            (Purpose::Listen, Host::Name(name)) if name != "localhost" => refuse(
                "listens on a name",
                "etcd binds to IP addresses: give the machine's address, or 0.0.0.0 for all"
                    .to_owned(),
            ),
            (Purpose::Advertise, host) if host.is_wildcard() => refuse(
                "tells others to connect to a wildcard address",
                "give the address or name by which others reach this node".to_owned(),
            ),
            _ => Ok(Self { tls, host, port }),
        }
    }

    /// Whether two listeners on one machine would be in each other's way.
    pub(super) fn collides(&self, other: &Self) -> bool {
        self.port == other.port && self.host.meets(&other.host)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_urls_keep_their_text() {
        for text in ["http://10.0.34.15:2380", "https://etcd-1.example.org:2379", "http://[::1]:80"]
        {
            let address = Address::parse(text, Purpose::Advertise).expect(text);
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn each_illegal_url_is_refused_for_its_own_reason() {
        for (text, reason) in [
            ("10.0.0.1:2380", "no scheme"),
            ("http://10.0.0.1", "no port"),
            ("http://[::1]", "no port"),
            ("http://10.0.0.1:0", "no legal port"),
            ("http://10.0.0.1:99999", "no legal port"),
            ("http://10.0.0.1:2380/", "more than a host and a port"),
            ("http://u@h:1", "more than a host and a port"),
            ("http://300.1.1.1:2380", "host that is none"),
            ("http://::1:2380", "host that is none"),
            ("http://[10.0.0.1]:2380", "host that is none"),
            ("http://:2380", "host that is none"),
            ("unix://x:1", "not served"),
            ("http://0.0.0.0:2380", "wildcard"),
        ] {
            let (found, remedy) = Address::parse(text, Purpose::Advertise).expect_err(text);
            assert!(found.contains(reason), "{text}: {found}");
            assert!(!remedy.is_empty());
        }
        let named = Address::parse("http://db1:2380", Purpose::Listen).expect_err("a name");
        assert!(named.0.contains("listens on a name"));
    }

    #[test]
    fn a_wildcard_listener_collides_with_every_address_of_its_port() {
        let parse = |text| Address::parse(text, Purpose::Listen).expect(text);
        assert!(parse("http://0.0.0.0:1").collides(&parse("http://10.0.0.1:1")));
        assert!(parse("http://localhost:1").collides(&parse("http://127.0.0.1:1")));
        assert!(!parse("http://10.0.0.2:1").collides(&parse("http://10.0.0.1:1")));
        assert!(!parse("http://10.0.0.1:2").collides(&parse("http://10.0.0.1:1")));
    }
}
