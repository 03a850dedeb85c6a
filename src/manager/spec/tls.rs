//! What a spec asks of TLS that this build does not serve. It is refused here: never plain text in its place.

use super::{
    diagnostic::{Code, Report},
    nodes::Urls,
    raw::{Section, Spot},
    types::Binary,
};

const CLIENT_FLAGS: &[&str] = &[
    "auto-tls",
    "cert-file",
    "client-cert-allowed-hostname",
    "client-cert-auth",
    "client-cert-file",
    "client-crl-file",
    "client-key-file",
    "key-file",
    "trusted-ca-file",
];

const PEER_FLAGS: &[&str] = &[
    "peer-auto-tls",
    "peer-cert-allowed-cn",
    "peer-cert-allowed-hostname",
    "peer-cert-file",
    "peer-client-cert-auth",
    "peer-client-cert-file",
    "peer-client-key-file",
    "peer-crl-file",
    "peer-key-file",
    "peer-trusted-ca-file",
];

/// Reports https URLs and TLS flags. Peers of another etcd than ours may use TLS among themselves.
pub(super) fn check(
    sections: [&Section; 2],
    binary: &Binary,
    urls: (&Urls, &Urls),
    report: &mut Report<'_>,
) {
    check_urls("client", urls.0, report);
    let in_tree = *binary == Binary::InTree;
    if in_tree {
        check_urls("peer", urls.1, report);
    }
    for section in sections {
        let Some(flags) = section.pairs("flags") else { continue };
        for (name, value) in flags.value {
            let flag = name.value.as_str();
            let refused = CLIENT_FLAGS.contains(&flag) || (in_tree && PEER_FLAGS.contains(&flag));
            if refused && !["", "false"].contains(&value.value.as_str()) {
                report_flag(name, report);
            }
        }
    }
}

fn check_urls(side: &str, urls: &Urls, report: &mut Report<'_>) {
    for url in urls.listen.iter().chain(&urls.advertise).filter(|url| url.value.tls) {
        let reason =
            format!("{side} URL {} asks for TLS, which this build does not serve", url.value);
        let remedy = "use http on a network that you trust, until a build serves TLS";
        report.error(Code::NoTls, &url.span, reason, remedy);
    }
}

fn report_flag(name: &Spot<String>, report: &mut Report<'_>) {
    let reason = format!("`{}` asks for TLS, which this build does not serve", name.value);
    let remedy = "leave it out, on a network that you trust, until a build serves TLS";
    report.error(Code::NoTls, &name.span, reason, remedy);
}
