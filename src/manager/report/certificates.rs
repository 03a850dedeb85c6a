//! How long the certificates live that a node was started with: the first of them to expire.

use std::{path::Path, time::SystemTime};

use tls::authority;

use super::CertificateReport;
use crate::{generate::Launch, spec::MANAGER_SHOWS};

/// Variables of a node's process that name certificates.
const FILES: [&str; 4] =
    ["ETCD_CERT_FILE", "ETCD_PEER_CERT_FILE", "ETCD_CLIENT_CERT_FILE", MANAGER_SHOWS[0]];

/// The one that expires first; none without TLS. A file that cannot be read comes before all.
pub(super) fn first_to_expire(launch: &Launch, now: SystemTime) -> Option<CertificateReport> {
    let files = FILES.into_iter().filter_map(|name| launch.environment.get(name));
    let reports = files.filter(|file| !file.is_empty()).map(|file| judge(Path::new(file), now));
    reports.min_by_key(|report| report.days_left)
}

fn judge(file: &Path, now: SystemTime) -> CertificateReport {
    let shown = file.display().to_string();
    let all = match authority::inspect(file) {
        Ok(all) => all,
        Err(error) => {
            let warning = Some(error.to_string());
            return CertificateReport { file: shown, expires: None, days_left: None, warning };
        }
    };
    let certificate = &all[0];
    let (expires, days) = (certificate.expires(), certificate.days_left(now));
    let warning = if now > certificate.not_after {
        Some(format!("{shown} expired {expires}: issue it again (docs/pki.md)"))
    } else if certificate.is_near_expiry(now) {
        Some(format!("{shown} expires in {days} days, {expires}: renew it (docs/pki.md)"))
    } else {
        None
    };
    CertificateReport { file: shown, expires: Some(expires), days_left: Some(days), warning }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base::{Clock, SystemClock};
    use disk::RealDisk;
    use tls::authority::{Authority, Purpose, Request};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn the_certificate_that_expires_first_is_told_and_warned_of_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemClock.wall();
        let authority = Authority::create("it", now).unwrap();
        let mut launch = Launch { binary: "/etcd".into(), user: None, environment: [].into() };
        assert_eq!(first_to_expire(&launch, now), None, "without TLS");
        for (name, days) in [("ETCD_CERT_FILE", 300), ("ETCD_PEER_CERT_FILE", 100)] {
            let request = Request {
                common_name: name.to_owned(),
                hosts: Vec::new(),
                purpose: Purpose::Peer,
                life: DAY * days,
            };
            let file = folder.path().join(name);
            let issued = authority.issue(&request, now).unwrap();
            issued.save(&RealDisk, &file, &folder.path().join("key")).unwrap();
            launch.environment.insert(name.to_owned(), file.display().to_string());
        }
        let first = first_to_expire(&launch, now).unwrap();
        assert!(first.file.ends_with("ETCD_PEER_CERT_FILE") && first.warning.is_none());
        assert!(first.days_left.is_some_and(|days| (99..=100).contains(&days)), "{first:?}");
        let later = first_to_expire(&launch, now + DAY * 80).unwrap();
        assert!(later.warning.unwrap().contains("renew it"));
        let over = first_to_expire(&launch, now + DAY * 101).unwrap();
        assert!(over.warning.unwrap().contains("expired"));
        launch.environment.insert("ETCD_CERT_FILE".to_owned(), "/nowhere.pem".to_owned());
        let missing = first_to_expire(&launch, now).unwrap();
        assert!(missing.days_left.is_none() && missing.warning.unwrap().contains("/nowhere.pem"));
    }
}
