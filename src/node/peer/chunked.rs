//! Takes the chunk headers out of an HTTP/1.1 body, as bytes arrive.

use bytes::BytesMut;

use super::codec::wide;

/// Longest chunk header taken: sixteen digits and some extension.
const HEADER_BYTES_MAX: usize = 256;

/// How a response marks the end of its body.
#[derive(Debug)]
pub(crate) enum BodyFraming {
    /// By chunks.
    Chunked(Dechunker),
    /// By the end of the connection.
    UntilClose,
}

/// What follows next in a chunked body.
#[derive(Debug, Default)]
pub(crate) struct Dechunker {
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// In the digits of a chunk header.
    Size { value: u64, digits: usize },
    /// Behind the digits, before the line's end.
    Extension { value: u64, bytes: usize },
    /// In the content.
    Content { left: u64 },
    /// In the line end behind the content.
    ContentEnd,
    /// The last chunk has been seen.
    End,
}

impl Default for State {
    fn default() -> Self {
        Self::Size { value: 0, digits: 0 }
    }
}

/// Not a chunked body.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer's answer is not a chunked body")]
pub(crate) struct ChunkError;

impl BodyFraming {
    /// Appends the content found in `raw` to `out`. True once the body has ended.
    pub(crate) fn feed(&mut self, raw: &[u8], out: &mut BytesMut) -> Result<bool, ChunkError> {
        match self {
            Self::Chunked(dechunker) => dechunker.feed(raw, out),
            Self::UntilClose => {
                out.extend_from_slice(raw);
                Ok(false)
            }
        }
    }
}

impl Dechunker {
    fn feed(&mut self, mut raw: &[u8], out: &mut BytesMut) -> Result<bool, ChunkError> {
        while let Some((&byte, rest)) = raw.split_first() {
            if let State::Content { left } = self.state {
                let take = usize::try_from(left).unwrap_or(usize::MAX).min(raw.len());
                let (content, rest) = raw.split_at(take);
                out.extend_from_slice(content);
                raw = rest;
                let left = left - wide(take);
                self.state = if left == 0 { State::ContentEnd } else { State::Content { left } };
                continue;
            }
            self.state = self.state.after(byte)?;
            if matches!(self.state, State::End) {
                return Ok(true);
            }
            raw = rest;
        }
        Ok(false)
    }
}

impl State {
    fn after(self, byte: u8) -> Result<Self, ChunkError> {
        match self {
            Self::Size { value, digits } => match char::from(byte).to_digit(16) {
                Some(digit) if digits < 16 => {
                    Ok(Self::Size { value: (value << 4) | u64::from(digit), digits: digits + 1 })
                }
                None if digits > 0 && matches!(byte, b'\r' | b';' | b' ' | b'\t') => {
                    Ok(Self::Extension { value, bytes: 0 })
                }
                None if digits > 0 && byte == b'\n' => Ok(Self::behind_header(value)),
                _ => Err(ChunkError),
            },
            Self::Extension { value, .. } if byte == b'\n' => Ok(Self::behind_header(value)),
            Self::Extension { value, bytes } if bytes < HEADER_BYTES_MAX => {
                Ok(Self::Extension { value, bytes: bytes + 1 })
            }
            Self::ContentEnd if byte == b'\r' => Ok(Self::ContentEnd),
            Self::ContentEnd if byte == b'\n' => Ok(Self::default()),
            Self::Extension { .. } | Self::ContentEnd | Self::Content { .. } | Self::End => {
                Err(ChunkError)
            }
        }
    }

    fn behind_header(value: u64) -> Self {
        if value == 0 { Self::End } else { Self::Content { left: value } }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn feed_all(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), ChunkError> {
        let mut framing = BodyFraming::Chunked(Dechunker::default());
        let mut out = BytesMut::new();
        let mut ended = false;
        for piece in pieces {
            ended = framing.feed(piece, &mut out)?;
        }
        Ok((out.to_vec(), ended))
    }

    #[test]
    fn content_is_taken_out_of_its_chunks() {
        let body: &[u8] = b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n";
        assert_eq!(feed_all(&[body]), Ok((b"hello!".to_vec(), true)));
    }

    #[test]
    fn bytes_that_are_no_chunk_are_refused() {
        let long = [b'a'; 17];
        let endless = [&b"1;"[..], &[b'x'; 300]].concat();
        for bad in [&b"\r\n"[..], b"xyz", b"1\r\nab", b"-1\r\n", &long, &endless] {
            assert_eq!(feed_all(&[bad]), Err(ChunkError), "{bad:?}");
        }
    }

    #[test]
    fn a_huge_chunk_is_not_allocated_ahead() {
        let (content, ended) = feed_all(&[b"ffffffffffffffff\r\nabc"]).unwrap();
        assert_eq!((content.as_slice(), ended), (&b"abc"[..], false));
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_content(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            step in 1_usize..9,
        ) {
            let mut raw = Vec::new();
            for chunk in &chunks {
                raw.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                raw.extend_from_slice(chunk);
                raw.extend_from_slice(b"\r\n");
            }
            raw.extend_from_slice(b"0\r\n");
            let pieces: Vec<&[u8]> = raw.chunks(step).collect();
            // The end is seen at the last chunk's header, so what follows is not fed.
            let result = feed_all(&pieces);
            prop_assert_eq!(result, Ok((chunks.concat(), true)));
        }
    }
}
