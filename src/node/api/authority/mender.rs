//! Follows the bytes a client sends and mends each request's `:authority` on a connection that needs it. No IO: the wrapper
//! in [`super`] pushes what came in and hands out what goes on.
//!
//! ```text
//! Preface ── HTTP/1.1 ───────────────────────────────┐
//!    │                                               │
//!    v            good authority, no block in bounds v
//!   Head ─> Body (HEADERS, CONTINUATION) ──────────> Through
//!    ^ │     │ bad authority: mend this block and all after
//!    │ v     │
//!   Rest <───┘ (other frames, streamed)
//! ```

use http::uri::Authority;

use super::{
    frame::{Block, CONTINUATION, FrameHead, HEAD_BYTES, HEADERS},
    hpack::{Decoder, Field},
};

/// What every HTTP/2 client says first.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Frames of one header block, heads and padding included.
const BLOCK_BYTES_MAX: usize = 64 * 1024;
/// Stands for an authority of which nothing can be kept.
const NO_HOST: &[u8] = b"localhost";

/// One connection's state.
#[derive(Debug)]
pub(super) struct Mender {
    stage: Stage,
    /// The block's frames as they came, or the part of a head: all that was taken in and not handed on.
    held: Vec<u8>,
    /// The block whose frames are in `held`.
    block: Option<Block>,
    /// There from the first malformed authority on: all blocks are decoded, and none reaches the server as it came.
    decoder: Option<Decoder>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// So many octets of the preface came.
    Preface { matched: usize },
    /// Reads a frame's head, `at` in `held`.
    Head { at: usize },
    /// Reads the payload of a frame that belongs to a header block; it begins `at` in `held`.
    Body { at: usize, head: FrameHead },
    /// Hands on what is left of any other frame.
    Rest { left: usize },
    /// Hands on everything.
    Through,
}

impl Mender {
    pub(super) fn new() -> Self {
        Self { stage: Stage::Preface { matched: 0 }, held: Vec::new(), block: None, decoder: None }
    }

    /// True once nothing more will be changed or held.
    pub(super) fn is_through(&self) -> bool {
        self.stage == Stage::Through
    }

    /// Takes a part of `input` (not empty), appends to `onward` what may go on, and says how much it took: at least an
    /// octet, and no more than one header block, so that `onward` stays small.
    pub(super) fn push(&mut self, input: &[u8], onward: &mut Vec<u8>) -> usize {
        match self.stage {
            Stage::Preface { matched } => self.push_preface(matched, input, onward),
            Stage::Head { at } => {
                let taken = self.hold(input, at + HEAD_BYTES);
                if let Some(head) = self.held.get(at..).and_then(<[u8]>::first_chunk) {
                    self.push_head(at + HEAD_BYTES, FrameHead::parse(*head), onward);
                }
                taken
            }
            Stage::Body { at, head } => {
                let taken = self.hold(input, at + head.length);
                if self.held.len() == at + head.length {
                    self.push_body(at, head, onward);
                }
                taken
            }
            Stage::Rest { left } => {
                let taken = left.min(input.len());
                onward.extend_from_slice(&input[..taken]);
                self.stage = rest(left - taken);
                taken
            }
            Stage::Through => {
                onward.extend_from_slice(input);
                input.len()
            }
        }
    }

    /// The client sends no more: what is held goes on, for the server to see where it broke off.
    pub(super) fn end(&mut self, onward: &mut Vec<u8>) {
        onward.append(&mut self.held);
        self.stage = Stage::Through;
    }

    fn push_preface(&mut self, matched: usize, input: &[u8], onward: &mut Vec<u8>) -> usize {
        let awaited = &PREFACE[matched..];
        let taken = awaited.len().min(input.len());
        onward.extend_from_slice(&input[..taken]);
        self.stage = if awaited[..taken] != input[..taken] {
            Stage::Through
        } else if taken < awaited.len() {
            Stage::Preface { matched: matched + taken }
        } else {
            Stage::Head { at: 0 }
        };
        taken
    }

    /// Holds input until `held` has grown to `target`.
    fn hold(&mut self, input: &[u8], target: usize) -> usize {
        let taken = (target - self.held.len()).min(input.len());
        self.held.extend_from_slice(&input[..taken]);
        taken
    }

    fn push_head(&mut self, at: usize, head: FrameHead, onward: &mut Vec<u8>) {
        let ours = match &self.block {
            None => head.kind == HEADERS,
            Some(block) => head.kind == CONTINUATION && head.stream == block.stream,
        };
        if ours && at + head.length <= BLOCK_BYTES_MAX {
            self.stage = Stage::Body { at, head };
            if head.length == 0 {
                self.push_body(at, head, onward);
            }
        } else if ours || self.block.is_some() {
            self.give_up(head.stream, onward);
        } else {
            onward.append(&mut self.held);
            self.stage = rest(head.length);
        }
    }

    fn push_body(&mut self, at: usize, head: FrameHead, onward: &mut Vec<u8>) {
        let payload = &self.held[at..];
        let block = match self.block.take() {
            None => Block::open(head, payload),
            Some(mut block) => {
                block.fragment.extend_from_slice(payload);
                Some(block)
            }
        };
        match block {
            None => self.give_up(head.stream, onward),
            Some(block) if head.ends_block() => self.end_block(&block, onward),
            Some(block) => {
                self.block = Some(block);
                self.stage = Stage::Head { at: self.held.len() };
            }
        }
    }

    fn end_block(&mut self, block: &Block, onward: &mut Vec<u8>) {
        let mending = self.decoder.is_some();
        let mut decoder = self.decoder.take().unwrap_or_else(Decoder::new);
        let Ok(mut fields) = decoder.decode(&block.fragment) else {
            self.decoder = mending.then_some(decoder);
            self.give_up(block.stream, onward);
            return;
        };
        let mended = mend(&mut fields);
        if !mending && !mended {
            self.end(onward);
            return;
        }
        self.held.clear();
        block.write(&fields, onward);
        self.decoder = Some(decoder);
        self.stage = Stage::Head { at: 0 };
    }

    /// The server shall refuse what we cannot follow. As long as nothing was changed it can do so from the original;
    /// later its table differs from the client's, and the original might mean something else to it.
    fn give_up(&mut self, stream: [u8; 4], onward: &mut Vec<u8>) {
        if self.decoder.is_some() {
            self.held.clear();
            Block::write_refused(stream, onward);
        }
        self.end(onward);
    }
}

fn rest(left: usize) -> Stage {
    if left == 0 { Stage::Head { at: 0 } } else { Stage::Rest { left } }
}

/// Replaces malformed authorities; true if there were any.
fn mend(fields: &mut [Field]) -> bool {
    let mut mended = false;
    for field in fields.iter_mut().filter(|field| field.name == b":authority") {
        if Authority::try_from(field.value.as_slice()).is_err() {
            field.value = host_and_port(&field.value).unwrap_or_else(|| NO_HOST.to_vec());
            mended = true;
        }
    }
    mended
}

/// `http://host:port/path` without its ends.
fn host_and_port(value: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(value).ok()?;
    let text = text.split_once("://").map_or(text, |(_, after)| after);
    let text = text.split(['/', '?', '#']).next()?;
    Authority::try_from(text).ok().map(|authority| authority.as_str().as_bytes().to_vec())
}
