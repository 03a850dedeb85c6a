//! What is read out of a certificate.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use crate::role::{HOST_URN, ROLE_URN, Role};

/// How long before its end a certificate is complained about.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The parts of a certificate that decisions or reports need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// `CN=…, O=…`
    pub subject: String,
    /// Common name; empty if it has none.
    pub common_name: String,
    /// DNS names it is valid for.
    pub dns: Vec<String>,
    /// IP addresses it is valid for.
    pub ips: Vec<IpAddr>,
    /// URIs it is valid for.
    pub uris: Vec<String>,
    /// Serial number, big-endian, without leading zeroes.
    pub serial: Vec<u8>,
    /// Not valid before.
    pub not_before: SystemTime,
    /// Not valid after.
    pub not_after: SystemTime,
    /// Whether it may sign others.
    pub is_authority: bool,
}

impl Certificate {
    /// Reads a certificate's DER.
    ///
    /// # Errors
    /// What the parser says.
    pub fn parse(der: &[u8]) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let mut certificate = Self {
            subject: parsed.subject().to_string(),
            common_name: parsed
                .subject()
                .iter_common_name()
                .next()
                .and_then(|name| name.as_str().ok())
                .unwrap_or_default()
                .to_owned(),
            dns: Vec::new(),
            ips: Vec::new(),
            uris: Vec::new(),
            serial: significant(parsed.raw_serial()),
            not_before: from_unix(parsed.validity().not_before.timestamp()),
            not_after: from_unix(parsed.validity().not_after.timestamp()),
            is_authority: parsed.is_ca(),
        };
        let names = parsed.subject_alternative_name().map_err(|error| error.to_string())?;
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::DNSName(name) => certificate.dns.push((*name).to_owned()),
                GeneralName::URI(uri) => certificate.uris.push((*uri).to_owned()),
                GeneralName::IPAddress(bytes) => certificate.ips.extend(ip(bytes)),
                _ => {}
            }
        }
        Ok(certificate)
    }

    /// Whether a dialer finds a name in it to compare.
    #[must_use]
    pub fn names_a_host(&self) -> bool {
        !self.dns.is_empty() || !self.ips.is_empty()
    }

    /// What its holder may do among agents (docs/decisions/0010); none if it says nothing or several things.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        let mut roles = self.uris.iter().filter_map(|uri| uri.strip_prefix(ROLE_URN));
        let role = Role::parse(roles.next()?);
        role.filter(|_| roles.next().is_none())
    }

    /// The host of the spec whose agent holds it.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let mut hosts = self.uris.iter().filter_map(|uri| uri.strip_prefix(HOST_URN));
        let host = hosts.next()?;
        hosts.next().is_none().then_some(host)
    }

    /// DNS names and IP addresses, as text.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.dns.iter().cloned().chain(self.ips.iter().map(ToString::to_string)).collect()
    }

    /// Whole days until it expires; negative once it has.
    #[must_use]
    pub fn days_left(&self, now: SystemTime) -> i64 {
        let days =
            |time: Duration| i64::try_from(time.as_secs() / DAY.as_secs()).unwrap_or(i64::MAX);
        match self.not_after.duration_since(now) {
            Ok(left) => days(left),
            Err(over) => -1 - days(over.duration()),
        }
    }

    /// Whether somebody should renew it: in its last thirty days, or the last third of its life if that is shorter.
    #[must_use]
    pub fn is_near_expiry(&self, now: SystemTime) -> bool {
        let last_days = self.not_after.checked_sub(RENEW_BEFORE).unwrap_or(UNIX_EPOCH);
        now >= self.renew_at().max(last_days)
    }

    /// When it expires, RFC 3339 in UTC.
    #[must_use]
    pub fn expires(&self) -> String {
        shown(self.not_after)
    }

    /// When it is to be replaced: two thirds through its life.
    #[must_use]
    pub fn renew_at(&self) -> SystemTime {
        let life = self.not_after.duration_since(self.not_before).unwrap_or_default();
        self.not_before + life * 2 / 3
    }
}

/// A time as reports show it: RFC 3339 in UTC, whole seconds.
#[must_use]
pub fn shown(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let time = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap_or(i64::MAX));
    time.ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

fn from_unix(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(UNIX_EPOCH)
}

pub(crate) fn significant(serial: &[u8]) -> Vec<u8> {
    serial.iter().copied().skip_while(|byte| *byte == 0).collect()
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(four));
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}
