//! Opens a stream at a peer: connects, asks, and judges the answer.

use std::{io, time::Duration};

use bytes::{Buf, BytesMut};
use http::StatusCode;
use tls::TlsIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    chunked::{BodyFraming, ChunkError, Dechunker},
    codec::{FrameError, StreamKind},
    link::{Link, Shared},
    urls::PeerUrl,
};

/// A stream on which nothing comes for so long is dead; also how long an answer may take.
pub(crate) const READ_DEADLINE: Duration = Duration::from_secs(5);
/// Longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Longest text taken from a refusal.
const REFUSAL_BYTES_MAX: usize = 1024;
const HEADERS_MAX: usize = 64;
/// The first version whose streams speak `msgappv2`.
const STREAMS_SINCE: semver::Version = semver::Version::new(2, 1, 0);

/// Why a stream could not be opened, or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("the peer has no usable URL")]
    NoUrl,
    #[error("connect to {authority}")]
    Connect {
        authority: String,
        #[source]
        source: io::Error,
    },
    #[error("read from the peer")]
    Read(#[source] io::Error),
    #[error("nothing came for {READ_DEADLINE:?}")]
    Silent,
    #[error("the peer closed the stream")]
    Closed,
    #[error("the peer's answer is no HTTP/1.1")]
    Http,
    #[error("the peer says this member is removed from the cluster")]
    Removed,
    #[error("the peer does not know this member yet")]
    Unknown,
    #[error("the peer refused: {reason}")]
    Refused { reason: String },
    #[error("the peer answered {status}")]
    Status { status: StatusCode },
    #[error("the peer's version {version} has no such stream")]
    Unsupported { version: String },
    #[error("read the body")]
    Chunk(#[from] ChunkError),
    #[error("read a frame")]
    Frame(#[from] FrameError),
}

/// An opened stream.
#[derive(Debug)]
pub(crate) struct OpenStream<R> {
    pub(crate) io: R,
    pub(crate) framing: BodyFraming,
    /// What came with the head of the answer.
    pub(crate) raw: BytesMut,
}

/// Dials the peer's stream at `url`.
pub(crate) async fn dial(
    shared: &Shared,
    link: &Link,
    kind: StreamKind,
    url: &PeerUrl,
) -> Result<OpenStream<TlsIo>, StreamError> {
    let authority = url.authority();
    let connected = shared.config.connector.connect(authority, url.is_secure()).await;
    let mut io = connected
        .map_err(|source| StreamError::Connect { authority: authority.to_owned(), source })?;
    let request = request(shared, link, kind, authority);
    timeout(READ_DEADLINE, async move {
        io.write_all(&request).await.map_err(StreamError::Read)?;
        read_answer(io).await
    })
    .await
    .map_err(|_elapsed| StreamError::Silent)?
}

fn request(shared: &Shared, link: &Link, kind: StreamKind, authority: &str) -> Vec<u8> {
    let segment = kind.segment();
    let local = shared.config.member;
    let to = link.id;
    let mut request = format!(
        "GET /raft/stream/{segment}/{local} HTTP/1.1\r\nHost: {authority}\r\nX-Raft-To: {to}\r\n"
    )
    .into_bytes();
    for (name, value) in &shared.headers {
        request.extend_from_slice(name.as_str().as_bytes());
        request.extend_from_slice(b": ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

/// Reads the head of the answer; a refusal is an error.
pub(crate) async fn read_answer<R>(mut io: R) -> Result<OpenStream<R>, StreamError>
where
    R: AsyncRead + Unpin,
{
    let mut raw = BytesMut::with_capacity(4096);
    let head = loop {
        if let Some(head) = parse_head(&raw)? {
            break head;
        }
        if raw.len() > HEAD_BYTES_MAX {
            return Err(StreamError::Http);
        }
        if io.read_buf(&mut raw).await.map_err(StreamError::Read)? == 0 {
            return Err(StreamError::Closed);
        }
    };
    raw.advance(head.bytes);
    if head.status != StatusCode::OK {
        return Err(refusal(io, raw, &head).await);
    }
    let version = head.version.as_deref().unwrap_or("2.0.0");
    match semver::Version::parse(version) {
        Ok(parsed) if parsed >= STREAMS_SINCE => {}
        Ok(_) | Err(_) => {
            return Err(StreamError::Unsupported { version: version.to_owned() });
        }
    }
    let framing = match head.chunked {
        true => BodyFraming::Chunked(Dechunker::default()),
        false => BodyFraming::UntilClose,
    };
    Ok(OpenStream { io, framing, raw })
}

#[derive(Debug)]
struct Head {
    bytes: usize,
    status: StatusCode,
    version: Option<String>,
    chunked: bool,
    content_length: Option<usize>,
}

fn parse_head(raw: &[u8]) -> Result<Option<Head>, StreamError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(raw).map_err(|_bad| StreamError::Http)?;
    let httparse::Status::Complete(bytes) = parsed else { return Ok(None) };
    let status =
        response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(StreamError::Http)?;
    let find = |name: &str| {
        let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.and_then(|header| std::str::from_utf8(header.value).ok()).map(str::trim)
    };
    Ok(Some(Head {
        bytes,
        status,
        version: find("X-Server-Version").map(str::to_owned),
        chunked: find("Transfer-Encoding").is_some_and(|it| it.eq_ignore_ascii_case("chunked")),
        content_length: find("Content-Length").and_then(|it| it.parse().ok()),
    }))
}

async fn refusal<R: AsyncRead + Unpin>(mut io: R, mut raw: BytesMut, head: &Head) -> StreamError {
    match head.status {
        StatusCode::GONE => StreamError::Removed,
        StatusCode::NOT_FOUND => StreamError::Unknown,
        StatusCode::PRECONDITION_FAILED => {
            let wanted = head.content_length.unwrap_or(0).min(REFUSAL_BYTES_MAX);
            while raw.len() < wanted {
                match io.read_buf(&mut raw).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
            }
            let text = raw.get(..wanted.min(raw.len())).unwrap_or_default();
            let reason = String::from_utf8_lossy(text).trim_end().to_owned();
            StreamError::Refused { reason }
        }
        status => StreamError::Status { status },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn judge(answer: &[u8]) -> Result<OpenStream<io::Cursor<Vec<u8>>>, StreamError> {
        read_answer(io::Cursor::new(answer.to_vec())).await
    }

    fn head(lines: &str) -> Vec<u8> {
        format!("HTTP/1.1 {lines}\r\n\r\n").into_bytes()
    }

    #[tokio::test]
    async fn a_chunked_answer_opens_the_stream_and_keeps_what_came_with_it() {
        let mut answer = head("200 OK\r\nX-Server-Version: 3.4.23\r\nTransfer-Encoding: chunked");
        answer.extend_from_slice(b"1\r\n\0\r\n");
        let stream = judge(&answer).await.unwrap();
        assert_eq!(stream.raw[..], b"1\r\n\0\r\n"[..]);
        assert!(matches!(stream.framing, BodyFraming::Chunked(_)));
    }

    #[tokio::test]
    async fn every_refusal_is_told_apart() {
        assert!(matches!(judge(&head("410 Gone")).await, Err(StreamError::Removed)));
        assert!(matches!(judge(&head("404 Not Found")).await, Err(StreamError::Unknown)));
        let other = judge(&head("503 Busy")).await;
        assert!(matches!(other, Err(StreamError::Status { status }) if status == 503));
        let mut mismatch = head("412 Precondition Failed\r\nContent-Length: 20");
        mismatch.extend_from_slice(b"cluster ID mismatch\n and more");
        match judge(&mismatch).await {
            Err(StreamError::Refused { reason }) => assert_eq!(reason, "cluster ID mismatch"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_old_or_nameless_version_has_no_streams() {
        for version in ["", "X-Server-Version: 2.0.9\r\n", "X-Server-Version: new\r\n"] {
            let answer = head(&format!("200 OK\r\n{version}Transfer-Encoding: chunked"));
            let judged = judge(&answer).await;
            assert!(matches!(judged, Err(StreamError::Unsupported { .. })), "{judged:?}");
        }
    }

    #[tokio::test]
    async fn answers_that_are_no_http_are_refused() {
        let endless = [&b"HTTP/1.1 200 OK\r\nA: "[..], &[b'a'; 20_000]].concat();
        let many = format!("200 OK\r\n{}", "A: b\r\n".repeat(100));
        for bad in [&b"SSH-2.0-OpenSSH\r\n\r\n"[..], &endless, &head(&many), b"\0\0\0\0"] {
            let judged = judge(bad).await;
            assert!(matches!(judged, Err(StreamError::Http)), "{judged:?}");
        }
        assert!(matches!(judge(b"HTTP/1.1 200").await, Err(StreamError::Closed)));
        let short = judge(&head("412 Precondition Failed\r\nContent-Length: 99999999")).await;
        assert!(matches!(short, Err(StreamError::Refused { .. })), "{short:?}");
    }
}
