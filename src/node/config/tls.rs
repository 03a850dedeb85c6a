//! The TLS flags of clients and peers, read together: what belongs to what, and what must be refused before anything starts.

use std::path::PathBuf;

use base::flags;
use tls::{
    Allowed, CertificateFiles, ClientSettings, Clients, Roots, ServerSettings, Suites, TlsError,
    Version,
};

use super::{Listen, Refusal, given::Given};

/// TLS towards clients and among peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// `--cert-file` and its companions; also for `https` URLs of `--listen-metrics-urls`.
    pub client: Side,
    /// `--peer-cert-file` and its companions.
    pub peer: Side,
}

/// One side's flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// What its listeners show; none with `auto` or without TLS.
    pub identity: Option<CertificateFiles>,
    /// What is shown where this member dials, if not the same.
    pub dialer_identity: Option<CertificateFiles>,
    /// `--trusted-ca-file`: listeners demand a certificate of it, dialers trust it.
    pub authorities: Option<PathBuf>,
    /// Which certificates.
    pub allowed: Allowed,
    /// `--client-crl-file`.
    pub revoked: Option<PathBuf>,
    /// `--auto-tls`: years that a generated certificate is valid.
    pub auto: Option<u32>,
    /// Whether a certificate must be of the host that it comes from.
    pub from_its_host: bool,
    /// `--cipher-suites`
    pub suites: Suites,
    /// `--tls-min-version`
    pub min: Version,
    /// `--tls-max-version`
    pub max: Option<Version>,
}

/// Names of one side's flags.
struct Names {
    certificate: [&'static str; 2],
    dialer: [&'static str; 2],
    authorities: &'static str,
    demanded: &'static str,
    revoked: &'static str,
    auto: &'static str,
}

const CLIENT: Names = Names {
    certificate: ["cert-file", "key-file"],
    dialer: ["client-cert-file", "client-key-file"],
    authorities: "trusted-ca-file",
    demanded: "client-cert-auth",
    revoked: "client-crl-file",
    auto: "auto-tls",
};

const PEER: Names = Names {
    certificate: ["peer-cert-file", "peer-key-file"],
    dialer: ["peer-client-cert-file", "peer-client-key-file"],
    authorities: "peer-trusted-ca-file",
    demanded: "peer-client-cert-auth",
    revoked: "peer-crl-file",
    auto: "peer-auto-tls",
};

impl TlsConfig {
    pub(super) fn build(given: &Given) -> Result<Self, Refusal> {
        let client_names = given.client_common_names();
        let client_hosts = given.list("client-cert-allowed-hostname");
        let client = Side {
            allowed: Allowed::from_lists(client_names, &client_hosts).map_err(refused)?,
            ..Side::build(given, &CLIENT)?
        };
        let peer_names = given.list("peer-cert-allowed-cn");
        let peer_hosts = given.list("peer-cert-allowed-hostname");
        let peer = Side {
            allowed: Allowed::from_lists(&peer_names, &peer_hosts).map_err(refused)?,
            from_its_host: !given.switch("experimental-peer-skip-client-san-verification"),
            ..Side::build(given, &PEER)?
        };
        Ok(Self { client, peer })
    }

    /// `https` listeners need a certificate; in etcd's words.
    pub(super) fn check(&self, listen: &Listen) -> Result<(), Refusal> {
        let secure = |urls: &[String]| urls.iter().find(|url| is_https(url)).cloned();
        let address = |url: &str| flags::parse_url(url).map_or("", |(_, at)| at).to_owned();
        if let (Some(url), false) = (secure(&listen.client), self.client.serves()) {
            return Err(Refusal::invalid(format!(
                "TLS key/cert (--cert-file, --key-file) must be provided for client url {url} with HTTPS scheme"
            )));
        }
        let bare = [(&listen.peer, &self.peer), (&listen.metrics, &self.client)];
        for (urls, side) in bare {
            if let (Some(url), false) = (secure(urls), side.serves()) {
                return Err(Refusal::invalid(format!(
                    "cannot listen on TLS for {}: KeyFile and CertFile are not presented",
                    address(&url)
                )));
            }
        }
        Ok(())
    }

    /// What is odd and goes on all the same, as in etcd.
    pub(super) fn notes(&self, listen: &Listen) -> Vec<String> {
        let mut notes = Vec::new();
        for (side, urls, name) in
            [(&self.client, &listen.client, "client"), (&self.peer, &listen.peer, "peer")]
        {
            let plain = urls.iter().filter(|url| !is_https(url));
            if side.identity.is_some() {
                notes.extend(plain.map(|url| {
                    format!("scheme is HTTP while key and cert files are present; ignoring key and cert files for {name} URL {url}")
                }));
            }
            if side.auto.is_some() && !urls.iter().any(|url| is_https(url)) {
                notes.push(format!("{name} auto TLS makes no certificate: no {name} URL is https"));
            }
        }
        if !self.client.suites.left_out().is_empty() {
            notes.push(format!(
                "--cipher-suites: {} are not offered by this program",
                self.client.suites.left_out().join(",")
            ));
        }
        notes
    }
}

impl Side {
    fn build(given: &Given, names: &Names) -> Result<Self, Refusal> {
        let path = |name: &str| {
            Some(PathBuf::from(given.text(name))).filter(|path| !path.as_os_str().is_empty())
        };
        let identity = pair(given, names.certificate).map_err(|[certificate, key]| {
            Refusal::invalid(format!(
                "KeyFile and CertFile must both be present[key: {key}, cert: {certificate}]"
            ))
        })?;
        let dialer_identity = pair(given, names.dialer).map_err(|[certificate, key]| {
            Refusal::invalid(format!(
                "ClientKeyFile and ClientCertFile must both be present or both absent: key: {key}, cert: {certificate}]"
            ))
        })?;
        let authorities = path(names.authorities);
        let auto = given.switch(names.auto) && identity.is_none();
        let demanded = given.switch(names.demanded);
        // etcd forgets all about clients' certificates when it generates its own.
        if auto && (demanded || authorities.is_some()) {
            return Err(Refusal::invalid(format!(
                "not supported by etcd-node: --{} with --{} or --{}: etcd would let clients in without a certificate; give --{} and --{} instead",
                names.auto,
                names.demanded,
                names.authorities,
                names.certificate[0],
                names.certificate[1]
            )));
        }
        if demanded && authorities.is_none() {
            return Err(Refusal::invalid(format!(
                "not supported by etcd-node: --{} without --{}: every authority that this machine trusts could let clients in",
                names.demanded, names.authorities
            )));
        }
        let (suites, min, max) = protocol(given)?;
        let years = u32::try_from(given.unsigned("self-signed-cert-validity")).unwrap_or(u32::MAX);
        Ok(Self {
            identity,
            dialer_identity,
            authorities,
            allowed: Allowed::Any,
            revoked: path(names.revoked),
            auto: auto.then_some(years),
            from_its_host: false,
            suites,
            min,
            max,
        })
    }

    /// Whether its listeners have something to show.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.identity.is_some() || self.auto.is_some()
    }

    /// A listener that shows `identity`.
    #[must_use]
    pub fn server(&self, identity: CertificateFiles, from_its_host: bool) -> ServerSettings {
        let clients = self.authorities.as_ref().map_or(Clients::Anonymous, |authorities| {
            Clients::Certified {
                authorities: authorities.clone(),
                allowed: self.allowed.clone(),
                revoked: self.revoked.clone(),
                from_its_host,
            }
        });
        ServerSettings {
            identity,
            clients,
            suites: self.suites.clone(),
            min: self.min,
            max: self.max,
        }
    }

    /// A dialer that shows `identity`.
    #[must_use]
    pub fn dialer(&self, identity: Option<CertificateFiles>) -> ClientSettings {
        let roots = match (&self.authorities, self.auto) {
            (Some(file), _) => Roots::File(file.clone()),
            (None, Some(_)) => Roots::Anyone,
            (None, None) => Roots::System,
        };
        ClientSettings {
            identity,
            roots,
            allowed: self.allowed.clone(),
            protocols: Vec::new(),
            suites: self.suites.clone(),
            min: self.min,
            max: self.max,
        }
    }
}

/// Whether a URL asks for TLS.
#[must_use]
pub fn is_https(url: &str) -> bool {
    url.starts_with("https://")
}

/// Two files or none; else both as they were given.
fn pair<'a>(given: &'a Given, names: [&str; 2]) -> Result<Option<CertificateFiles>, [&'a str; 2]> {
    let [certificate, key] = names.map(|name| given.text(name));
    match (certificate, key) {
        ("", "") => Ok(None),
        ("", _) | (_, "") => Err([certificate, key]),
        _ => Ok(Some(CertificateFiles { certificate: certificate.into(), key: key.into() })),
    }
}

fn protocol(given: &Given) -> Result<(Suites, Version, Option<Version>), Refusal> {
    let suites = given.list("cipher-suites");
    let version = |name: &str| Version::parse(given.text(name)).map_err(refused);
    let (min, max) = (version("tls-min-version")?.unwrap_or_default(), version("tls-max-version")?);
    tls::provider::versions(min, max).map_err(refused)?;
    if min == Version::Tls13 && !suites.is_empty() {
        return Err(Refusal::invalid(
            "cipher suites cannot be configured when only TLS1.3 is enabled".to_owned(),
        ));
    }
    Ok((Suites::parse(&suites).map_err(refused)?, min, max))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: TlsError) -> Refusal {
    Refusal::invalid(error.to_string())
}

#[cfg(test)]
mod tests {
    use crate::config::{Command, Config, Refusal, load};

    fn run(arguments: &[&str]) -> Result<(Config, Vec<String>), Refusal> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.into()).collect();
        match load(&arguments, &[])? {
            Command::Run { config, notes } => Ok((*config, notes)),
            other => panic!("{other:?}"),
        }
    }

    const HTTPS: &str = "--listen-client-urls=https://127.0.0.1:1";
    const ADVERTISED: &str = "--advertise-client-urls=https://127.0.0.1:1";

    #[test]
    fn what_does_not_fit_together_is_refused_in_etcd_s_words() {
        for (arguments, text) in [
            (
                &[HTTPS, ADVERTISED][..],
                "TLS key/cert (--cert-file, --key-file) must be provided for client url https://127.0.0.1:1 with HTTPS scheme",
            ),
            (
                &["--listen-peer-urls=https://127.0.0.1:2"],
                "cannot listen on TLS for 127.0.0.1:2: KeyFile and CertFile are not presented",
            ),
            (
                &["--listen-metrics-urls=https://127.0.0.1:3"],
                "cannot listen on TLS for 127.0.0.1:3: KeyFile and CertFile are not presented",
            ),
            (&["--cert-file=/c"], "KeyFile and CertFile must both be present[key: , cert: /c]"),
            (&["--cipher-suites=TLS_NOPE"], "unexpected TLS cipher suite \"TLS_NOPE\""),
            (
                &["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"],
                "min version (TLS1.3) is greater than max version (TLS1.2)",
            ),
            (
                &["--tls-min-version=TLS1.3", "--cipher-suites=TLS_AES_128_GCM_SHA256"],
                "cipher suites cannot be configured when only TLS1.3 is enabled",
            ),
        ] {
            let refusal = run(arguments).unwrap_err();
            assert_eq!((refusal.exit, refusal.text.as_str()), (1, text), "{arguments:?}");
        }
        for (arguments, word) in [
            (&["--client-cert-auth"][..], "--client-cert-auth without --trusted-ca-file"),
            (&["--auto-tls", "--client-cert-auth", "--trusted-ca-file=/a"], "--auto-tls with"),
            (&["--peer-cert-allowed-cn=a", "--peer-cert-allowed-hostname=b"], "mutually exclusive"),
        ] {
            let refusal = run(arguments).unwrap_err();
            assert!(refusal.text.contains(word), "{}", refusal.text);
        }
    }

    #[test]
    fn a_trusted_authority_alone_demands_certificates_as_in_etcd() {
        let files = ["--cert-file=/c", "--key-file=/k", "--trusted-ca-file=/a", HTTPS, ADVERTISED];
        let (config, notes) = run(&files).unwrap();
        assert!(config.tls.client.authorities.is_some() && notes.is_empty(), "{notes:?}");
        assert!(!config.tls.peer.serves());
        let (_, notes) = run(&["--cert-file=/c", "--key-file=/k"]).unwrap();
        assert!(notes[0].starts_with("scheme is HTTP while key and cert files are present"));
        let (config, _) = run(&["--auto-tls", HTTPS, ADVERTISED]).unwrap();
        assert_eq!((config.tls.client.auto, config.tls.peer.auto), (Some(1), None));
        let (config, _) = run(&["--auto-tls", "--cert-file=/c", "--key-file=/k"]).unwrap();
        assert_eq!(config.tls.client.auto, None, "given files win");
    }
}
