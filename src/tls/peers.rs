//! Whether a peer's certificate is of the host that it connects from, as etcd asks it (`checkCertSAN`): an IP address among
//! its names must be the connection's; else one of its DNS names must belong to that address, forwards or backwards.

use std::net::IpAddr;

use crate::certificate::Certificate;

/// The certificate's names and the connection do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WrongHost {
    #[error("tls: certificate is valid for {valid}, not {from}")]
    Address { valid: String, from: IpAddr },
    #[error("tls: {from} does not match any of DNSNames {names:?}")]
    Names { from: String, names: Vec<String> },
}

/// Checks it. A certificate without names passes.
pub(crate) async fn check(certificate: &Certificate, from: IpAddr) -> Result<(), WrongHost> {
    let from = from.to_canonical();
    if certificate.ips.iter().any(|ip| ip.to_canonical() == from) || !certificate.names_a_host() {
        return Ok(());
    }
    if certificate.dns.is_empty() {
        let valid: Vec<String> = certificate.ips.iter().map(ToString::to_string).collect();
        return Err(WrongHost::Address { valid: valid.join(", "), from });
    }
    let names = certificate.dns.clone();
    // The system's resolver blocks.
    let found = tokio::task::spawn_blocking(move || belongs(from, &names)).await;
    if found.unwrap_or(false) {
        return Ok(());
    }
    Err(WrongHost::Names { from: from.to_string(), names: certificate.dns.clone() })
}

fn belongs(from: IpAddr, names: &[String]) -> bool {
    let backwards = dns_lookup::lookup_addr(&from).ok();
    if backwards.is_some_and(|found| fits(&found, names)) {
        return true;
    }
    let whole = names.iter().filter(|name| !name.starts_with("*."));
    whole.into_iter().any(|name| {
        dns_lookup::lookup_host(name)
            .is_ok_and(|mut found| found.any(|address| address.to_canonical() == from))
    })
}

/// Whether the name of an address is one of the certificate's.
fn fits(found: &str, names: &[String]) -> bool {
    let found = found.trim_end_matches('.');
    names.iter().any(|name| match name.strip_prefix('*') {
        Some(suffix) if suffix.starts_with('.') => found.ends_with(suffix),
        _ => found == name,
    })
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn certificate(dns: &[&str], ips: &[&str]) -> Certificate {
        Certificate {
            subject: String::new(),
            common_name: String::new(),
            dns: dns.iter().map(|name| (*name).to_owned()).collect(),
            ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
            uris: Vec::new(),
            serial: vec![1],
            not_before: UNIX_EPOCH,
            not_after: UNIX_EPOCH,
            is_authority: false,
        }
    }

    #[tokio::test]
    async fn a_certificate_is_of_the_host_that_it_comes_from() {
        let from: IpAddr = "127.0.0.1".parse().unwrap();
        for (dns, ips, good) in [
            (&[][..], &[][..], true),
            (&[], &["127.0.0.1"], true),
            (&[], &["10.0.0.1", "127.0.0.1"], true),
            (&[], &["10.0.0.1"], false),
            (&["localhost"], &["10.0.0.1"], true),
            (&["localhost"], &[], true),
            (&["no-such-host.invalid"], &[], false),
            (&["*.invalid"], &[], false),
        ] {
            let checked = check(&certificate(dns, ips), from).await;
            assert_eq!(checked.is_ok(), good, "{dns:?} {ips:?}: {checked:?}");
        }
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        assert!(check(&certificate(&[], &["127.0.0.1"]), mapped).await.is_ok());
    }

    #[test]
    fn wildcards_fit_what_an_address_is_called() {
        let names = ["*.a.example".to_owned(), "b.example".to_owned()];
        assert!(fits("n1.a.example.", &names) && fits("b.example", &names));
        assert!(!fits("a.example", &names) && !fits("c.b.example", &names));
    }
}
