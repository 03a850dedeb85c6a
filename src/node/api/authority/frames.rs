//! Walks along the frames of an HTTP/2 connection's bytes. All but header frames pass as they come;
//! those are held until they are whole. Facts: RFC 9113, sections 3.4, 4.1 and 6.2.

use super::hpack;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES: usize = 9;
const HEADERS: u8 = 1;
const FLAG_PADDED: u8 = 0x08;
const FLAG_PRIORITY: u8 = 0x20;
/// The largest frame that a peer may send unless it was allowed more, which it never is.
const FRAME_BYTES_MAX: usize = 16_384;

/// Where the walk is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Walk {
    /// So many bytes were those of the preface.
    Preface(usize),
    /// No HTTP/2: everything passes.
    Other,
    /// Before a frame, or so many bytes of a frame's content before the next.
    Frames(usize),
}

impl Default for Walk {
    fn default() -> Self {
        Self::Preface(0)
    }
}

impl Walk {
    /// Looks through `bytes`, none of which was released before; how many may be passed on.
    pub(super) fn release(&mut self, bytes: &mut [u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let passed = self.step(&mut bytes[at..]);
            if passed == 0 {
                break;
            }
            at += passed;
        }
        at
    }

    /// As much as can be told at once; zero if more bytes are needed.
    fn step(&mut self, bytes: &mut [u8]) -> usize {
        match self {
            Self::Other => bytes.len(),
            Self::Preface(seen) => {
                let wanted = &PREFACE[*seen..];
                let count = wanted.len().min(bytes.len());
                if bytes[..count] != wanted[..count] {
                    *self = Self::Other;
                    return bytes.len();
                }
                *seen += count;
                if *seen == PREFACE.len() {
                    *self = Self::Frames(0);
                }
                count
            }
            Self::Frames(0) => {
                let Some(head) = bytes.first_chunk::<HEAD_BYTES>() else { return 0 };
                let [a, b, c, kind, flags, ..] = *head;
                let content = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                let whole = HEAD_BYTES + content;
                if kind != HEADERS || content > FRAME_BYTES_MAX {
                    *self = Self::Frames(content);
                    return HEAD_BYTES;
                }
                let Some(frame) = bytes.get_mut(HEAD_BYTES..whole) else { return 0 };
                if let Some(block) = header_block(frame, flags) {
                    hpack::mend_authority(block);
                }
                whole
            }
            Self::Frames(left) => {
                let count = bytes.len().min(*left);
                *left -= count;
                count
            }
        }
    }
}

/// A header frame's content without padding and priority; nothing if it is malformed.
fn header_block(frame: &mut [u8], flags: u8) -> Option<&mut [u8]> {
    let (mut start, mut end) = (0, frame.len());
    if flags & FLAG_PADDED != 0 {
        end = end.checked_sub(usize::from(*frame.first()?))?;
        start += 1;
    }
    if flags & FLAG_PRIORITY != 0 {
        start += 5;
    }
    frame.get_mut(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_http_2_passes_untouched() {
        let mut walk = Walk::default();
        let mut bytes = *b"PRI http://";
        assert_eq!(walk.release(&mut bytes), bytes.len());
        assert_eq!(walk, Walk::Other);
        assert_eq!(walk.release(&mut bytes), bytes.len());
        assert_eq!(&bytes, b"PRI http://");
    }

    #[test]
    fn header_frames_are_held_until_they_are_whole_and_others_pass() {
        let mut walk = Walk::Frames(0);
        let mut data = vec![0, 0, 3, 0, 0, 0, 0, 0, 1, 7, 8];
        assert_eq!(walk.release(&mut data), 11);
        assert_eq!(walk, Walk::Frames(1));
        assert_eq!(walk.release(&mut [9, 0, 0, 2, HEADERS]), 1);
        let mut headers = vec![0, 0, 2, HEADERS, 4, 0, 0, 0, 1, 0x82];
        assert_eq!(walk.release(&mut headers), 0);
        headers.push(0x86);
        assert_eq!(walk.release(&mut headers), 11);
    }

    #[test]
    fn padding_and_priority_are_no_part_of_the_block() {
        let mut frame = [2, 0, 0, 0, 0, 16, 0x82, 0, 0];
        let block = header_block(&mut frame, FLAG_PADDED | FLAG_PRIORITY);
        assert_eq!(block.as_deref(), Some(&[0x82][..]));
        assert_eq!(header_block(&mut [9, 1], FLAG_PADDED), None);
        assert_eq!(header_block(&mut [], FLAG_PADDED), None);
    }
}
