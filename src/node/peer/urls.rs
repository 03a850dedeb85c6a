//! Peer URLs: parsed once, tried in turn.

use parking_lot::Mutex;
use url::Url;

/// Where a peer listens: `http://host:port` or `https://host:port`, nothing after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerUrl {
    /// `host:port`, with brackets round an IPv6 address: what the Host header and a dial need.
    authority: String,
    secure: bool,
}

/// A peer URL that cannot be dialled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerUrlError {
    /// Not a URL.
    #[error("peer URL {url:?} cannot be parsed")]
    Malformed {
        /// As given.
        url: String,
        /// What the parser said.
        #[source]
        source: url::ParseError,
    },
    /// Neither `http` nor `https`.
    #[error("peer URL {url:?} is neither http nor https")]
    Scheme {
        /// As given.
        url: String,
    },
    /// No host, or something after the port.
    #[error("peer URL {url:?} is not of the form http://host:port or https://host:port")]
    Form {
        /// As given.
        url: String,
    },
}

impl PeerUrl {
    /// Parses `http://host:port` or `https://host:port`.
    ///
    /// # Errors
    /// The URL is not of that form.
    pub fn parse(text: &str) -> Result<Self, PeerUrlError> {
        let url = Url::parse(text)
            .map_err(|source| PeerUrlError::Malformed { url: text.to_owned(), source })?;
        let secure = url.scheme() == "https";
        if !secure && url.scheme() != "http" {
            return Err(PeerUrlError::Scheme { url: text.to_owned() });
        }
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let (Some(host), Some(port), true) = (url.host_str(), url.port_or_known_default(), bare)
        else {
            return Err(PeerUrlError::Form { url: text.to_owned() });
        };
        Ok(Self { authority: format!("{host}:{port}"), secure })
    }

    /// `host:port`.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether it is dialled with TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The URL of a path (which starts with a slash) there.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.authority)
    }
}

/// The URLs of one peer. All its tasks use the picked one until one of them finds it unreachable.
#[derive(Debug)]
pub(crate) struct UrlPicker {
    state: Mutex<Picked>,
}

#[derive(Debug)]
struct Picked {
    urls: Vec<PeerUrl>,
    at: usize,
}

impl UrlPicker {
    pub(crate) fn new(urls: Vec<PeerUrl>) -> Self {
        Self { state: Mutex::new(Picked { urls, at: 0 }) }
    }

    pub(crate) fn update(&self, urls: Vec<PeerUrl>) {
        *self.state.lock() = Picked { urls, at: 0 };
    }

    /// The URL to use; none if the peer has no usable one.
    pub(crate) fn pick(&self) -> Option<PeerUrl> {
        let state = self.state.lock();
        state.urls.get(state.at).cloned()
    }

    /// Moves on to the next URL if `url` is still the picked one.
    pub(crate) fn unreachable(&self, url: &PeerUrl) {
        let mut state = self.state.lock();
        if state.urls.get(state.at) == Some(url) {
            state.at = (state.at + 1) % state.urls.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_http_or_https_with_nothing_after_the_port() {
        assert_eq!(PeerUrl::parse("http://10.0.0.1:2380").unwrap().authority(), "10.0.0.1:2380");
        assert_eq!(PeerUrl::parse("http://[::1]:2380/").unwrap().authority(), "[::1]:2380");
        assert_eq!(PeerUrl::parse("http://h").unwrap().join("/raft"), "http://h:80/raft");
        let secure = PeerUrl::parse("https://h:1").unwrap();
        assert_eq!((secure.is_secure(), secure.join("/x").as_str()), (true, "https://h:1/x"));
        for bad in
            ["unix://x", "https://a:1/x", "http://a:1/x", "http://a:1/?q", "a:1", "", "http://"]
        {
            assert!(PeerUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unreachable_url_gives_way_to_the_next_once() {
        let url = |port: u16| PeerUrl::parse(&format!("http://a:{port}")).unwrap();
        let picker = UrlPicker::new(vec![url(1), url(2)]);
        picker.unreachable(&url(1));
        picker.unreachable(&url(1));
        assert_eq!(picker.pick(), Some(url(2)));
        picker.unreachable(&url(2));
        assert_eq!(picker.pick(), Some(url(1)));
        picker.update(vec![]);
        picker.unreachable(&url(1));
        assert_eq!(picker.pick(), None);
    }
}
