//! A plain HTTP/1.1 request, byte by byte: what a node answers, headers and all.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result};

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Status code.
    pub(crate) code: u16,
    /// Header names in lower case, and values.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub(crate) body: String,
}

impl Answer {
    /// A header's value, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map_or("", |(_, value)| value)
    }
}

/// Sends `METHOD path` to the authority of `url` and reads to the end.
///
/// # Errors
/// If the node does not answer in 10 s, or no HTTP.
pub(crate) fn request(method: &str, url: &str, path: &str) -> Result<Answer> {
    request_with(method, url, path, "")
}

/// The same with a body, after its header lines and an empty line: `Name: value\r\n\r\nbody`.
///
/// # Errors
/// As [`request`].
pub(crate) fn request_with(method: &str, url: &str, path: &str, rest: &str) -> Result<Answer> {
    let rest = match rest.split_once("\r\n\r\n") {
        Some((lines, body)) => format!("{lines}\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        None => "\r\n".to_owned(),
    };
    let authority = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n{rest}")?;
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    // The peer port of a real etcd keeps some connections open for 5 s after an answer of a told length.
    while !is_whole(&bytes) {
        let count = stream.read(&mut part)?;
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&part[..count]);
    }
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").context("no head")?;
    let mut lines = head.lines();
    let code = lines.next().and_then(|line| line.split(' ').nth(1)).context("status line")?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let chunked =
        headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { join_chunks(body)? } else { body.to_owned() };
    Ok(Answer { code: code.parse()?, headers, body })
}

/// Whether an answer tells its length and has it.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_some_and(|length| body.len() >= length)
}

fn join_chunks(mut rest: &str) -> Result<String> {
    let mut joined = String::new();
    loop {
        let (length, after) = rest.split_once("\r\n").context("chunk length")?;
        let length = usize::from_str_radix(length, 16)?;
        if length == 0 {
            return Ok(joined);
        }
        joined += after.get(..length).context("chunk")?;
        rest = after.get(length + 2..).context("end of chunk")?;
    }
}
