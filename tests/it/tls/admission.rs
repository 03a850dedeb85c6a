//! Who is let in by ours and by the real etcd, with the real etcdctl.

use std::io::{Read, Write};

use base::Clock;
use tls::authority::Purpose;

use super::{pki::Pki, *};
use crate::harness::{
    ctl,
    oracle::{Kind, Version},
};

/// What a client shows and trusts.
struct Caller {
    what: &'static str,
    arguments: Vec<String>,
    /// `https` or `http`.
    scheme: &'static str,
    /// Whether it is let in.
    good: bool,
}

fn caller(
    what: &'static str,
    trusts: &Pki,
    shows: Option<&CertificateFiles>,
    good: bool,
) -> Caller {
    let mut arguments = vec![
        format!("--cacert={}", trusts.bundle().display()),
        "--command-timeout=2s".to_owned(),
        "--dial-timeout=1s".to_owned(),
    ];
    if let Some(files) = shows {
        arguments.push(format!("--cert={}", files.certificate.display()));
        arguments.push(format!("--key={}", files.key.display()));
    }
    Caller { what, arguments, scheme: "https", good }
}

fn try_all(
    node_url: &str,
    version: Version,
    callers: &[Caller],
) -> Result<Vec<(&'static str, bool)>> {
    let ask = |caller: &Caller| {
        let url = node_url.replace("https", caller.scheme);
        let mut arguments: Vec<&str> = caller.arguments.iter().map(String::as_str).collect();
        arguments.extend(["put", "k", "v"]);
        ctl::run(version, &url, &arguments).map(|said| (caller.what, said.code == 0))
    };
    // etcdctl waits for its timeout where it is refused: all at once.
    std::thread::scope(|scope| {
        let asked: Vec<_> = callers.iter().map(|caller| scope.spawn(|| ask(caller))).collect();
        asked.into_iter().map(|asked| asked.join().expect("no panic")).collect()
    })
}

async fn admits(kind: Kind, pki: &Pki, extra: &[(&str, String)], callers: &[Caller]) -> Result<()> {
    let server = pki.member("server")?;
    let mut cluster = Cluster::prepare(&[kind], &[])?;
    secure_clients(&mut cluster, &[pki.mutual("", &server), extra.to_vec()].concat());
    cluster.nodes[0].start()?;
    let known =
        pki.issue("known", ("ann", &["ann.example"]), Purpose::Peer, base::SystemClock.wall())?;
    serving(&cluster.nodes[0], &connect(&cluster.nodes[0], &pki.bundle(), Some(known))?).await?;
    let expected: Vec<(&str, bool)> =
        callers.iter().map(|caller| (caller.what, caller.good)).collect();
    let url = secure_url(&cluster.nodes[0]);
    for version in Version::ALL {
        assert_eq!(try_all(&url, version, callers)?, expected, "{kind:?} with etcdctl {version:?}");
    }
    Ok(())
}

async fn certificates_decide(kind: Kind) -> Result<()> {
    let (pki, foreign) = (Pki::new("ours")?, Pki::new("foreign")?);
    let good = pki.client("good")?;
    let mut plain = caller("http to the https port", &pki, None, false);
    plain.scheme = "http";
    let callers = [
        caller("a certificate of the authority", &pki, Some(&good), true),
        caller("no certificate", &pki, None, false),
        caller("a certificate of another authority", &pki, Some(&foreign.client("x")?), false),
        caller("an expired certificate", &pki, Some(&pki.expired("old")?), false),
        caller("a client that trusts another authority", &foreign, Some(&good), false),
        plain,
    ];
    admits(kind, &pki, &[], &callers).await
}

#[tokio::test]
async fn ours_lets_in_whom_its_authority_signed() -> Result<()> {
    certificates_decide(Kind::Ours).await
}

#[tokio::test]
async fn real_3_4_lets_in_whom_its_authority_signed() -> Result<()> {
    certificates_decide(Kind::Real34).await
}

#[tokio::test]
async fn real_3_5_lets_in_whom_its_authority_signed() -> Result<()> {
    certificates_decide(Kind::Real35).await
}

async fn host_names_decide(kind: Kind) -> Result<()> {
    let pki = Pki::new("ours")?;
    let now = base::SystemClock.wall();
    let named = pki.issue("named", ("x", &["ann.example"]), Purpose::Peer, now)?;
    let other = pki.issue("other", ("ann.example", &["bob.example"]), Purpose::Peer, now)?;
    let callers = [
        caller("the allowed host name", &pki, Some(&named), true),
        caller("another host name", &pki, Some(&other), false),
        caller("no host name", &pki, Some(&pki.client("ann.example")?), false),
    ];
    let allowed = ("--client-cert-allowed-hostname", "ann.example".to_owned());
    admits(kind, &pki, &[allowed], &callers).await
}

#[tokio::test]
async fn ours_lets_in_only_the_allowed_host_name() -> Result<()> {
    host_names_decide(Kind::Ours).await
}

#[tokio::test]
async fn real_3_5_lets_in_only_the_allowed_host_name() -> Result<()> {
    host_names_decide(Kind::Real35).await
}

/// One TLS port: gRPC, and HTTP/1.1 beside it; never anything in plain text. And one that never shakes hands holds up
/// nobody.
#[tokio::test]
async fn one_port_serves_grpc_and_http_and_no_plain_text() -> Result<()> {
    let pki = Pki::new("ours")?;
    let server = pki.member("server")?;
    let mut cluster = Cluster::prepare(&[Kind::Ours], &[])?;
    secure_clients(&mut cluster, &pki.mutual("", &server));
    let node = &mut cluster.nodes[0];
    let metrics = crate::harness::ports::Port::take()?;
    node.set_flag("--listen-metrics-urls", &metrics.url().replace("http:", "https:"));
    node.start()?;
    let good = pki.member("good")?;
    let authority = node.url().trim_start_matches("http://").to_owned();
    let scrape = metrics.url().trim_start_matches("http://").to_owned();
    let silent: Vec<std::net::TcpStream> =
        (0..64).filter_map(|_| std::net::TcpStream::connect(&authority).ok()).collect();
    serving(node, &connect(node, &pki.bundle(), Some(good.clone()))?).await?;
    drop(silent);
    for (place, path, word) in [
        (authority.as_str(), "/health", "\"health\":\"true\""),
        (&authority, "/version", "etcdserver"),
        (&authority, "/metrics", "etcd_server_has_leader 1"),
        (&scrape, "/metrics", "etcd_server_has_leader 1"),
        (&scrape, "/health", "\"health\":\"true\""),
    ] {
        let answer = get(&pki, &good, place, path).await?;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(word), "{path}: {answer}");
    }
    let mut plain = std::net::TcpStream::connect(&authority)?;
    plain.set_read_timeout(Some(Duration::from_secs(10)))?;
    plain.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut answer = Vec::new();
    // The connection may end with an alert or a reset.
    plain.read_to_end(&mut answer).ok();
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    let log = node.process.as_ref().context("runs")?.log();
    assert!(log.contains("rejected connection"), "{log}");
    Ok(())
}

/// One request over TLS with HTTP/1.1.
async fn get(pki: &Pki, files: &CertificateFiles, place: &str, path: &str) -> Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut settings =
        tls::ClientSettings::new(Some(files.clone()), tls::Roots::File(pki.bundle()));
    settings.protocols = vec!["http/1.1".to_owned()];
    let tls = tls::ClientTls::new(settings)?;
    let io = tokio::net::TcpStream::connect(place).await?;
    let mut io = tls.connect("127.0.0.1", io).await?;
    assert_eq!(io.protocol(), Some(&b"http/1.1"[..]));
    let request = format!("GET {path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n");
    io.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    io.read_to_string(&mut answer).await?;
    Ok(answer)
}
