//! A v2 request as it stands in the log, and its effect on the store. Facts: surface E.2.

use bytes::Bytes;
use prost::encoding::decode_varint;

use super::{Event, Previous, Removal, Store, Ttl, V2Error, node::names};

/// The methods that logs hold.
pub(crate) const METHODS: [&str; 5] = ["PUT", "POST", "DELETE", "QGET", "SYNC"];
/// Deepest path that is applied: deeper trees could not be saved and recovered.
pub(crate) const DEPTH_MAX: usize = 500;

/// The fields that matter at apply. Go does not check that strings are UTF-8; what is not is replaced
/// here as Go's JSON does when it saves the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of API v2")]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) value: String,
    dir: bool,
    prev_value: String,
    prev_index: u64,
    prev_exist: Option<bool>,
    /// Nanoseconds since 1970; zero is never.
    expiration: i64,
    recursive: bool,
    time: i64,
    refresh: bool,
}

impl Request {
    /// None if the bytes are no v2 request.
    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        let mut request = Self::default();
        let mut rest: &[u8] = bytes;
        while !rest.is_empty() {
            let tag = decode_varint(&mut rest).ok()?;
            match tag & 7 {
                0 => request.set_number(tag >> 3, decode_varint(&mut rest).ok()?),
                2 => {
                    let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
                    let (content, after) = rest.split_at_checked(length)?;
                    rest = after;
                    request.set_text(tag >> 3, content);
                }
                _ => return None,
            }
        }
        METHODS.contains(&request.method.as_str()).then_some(request)
    }

    fn set_number(&mut self, field: u64, number: u64) {
        let flag = number != 0;
        match field {
            1 => self.id = number,
            5 => self.dir = flag,
            7 => self.prev_index = number,
            8 => self.prev_exist = Some(flag),
            9 => self.expiration = number.cast_signed(),
            12 => self.recursive = flag,
            15 => self.time = number.cast_signed(),
            17 => self.refresh = flag,
            _ => {}
        }
    }

    fn set_text(&mut self, field: u64, content: &[u8]) {
        let target = match field {
            2 => &mut self.method,
            3 => &mut self.path,
            4 => &mut self.value,
            6 => &mut self.prev_value,
            _ => return,
        };
        target.clear();
        for chunk in content.utf8_chunks() {
            target.push_str(chunk.valid());
            target.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
        }
    }

    /// Whether this is a PUT without conditions, the only kind that membership listens to.
    pub(crate) fn is_plain_put(&self) -> bool {
        self.method == "PUT"
            && self.prev_exist.is_none()
            && self.prev_index == 0
            && self.prev_value.is_empty()
    }

    /// Whether the tree could become deeper than can be saved.
    pub(crate) fn is_too_deep(&self) -> bool {
        names(&self.path).nth(DEPTH_MAX).is_some()
    }

    fn removal(&self) -> Removal {
        match (self.dir, self.recursive) {
            (_, true) => Removal::Tree,
            (true, false) => Removal::EmptyFolder,
            (false, false) => Removal::File,
        }
    }

    fn content(&self) -> Option<&str> {
        (!self.dir).then_some(self.value.as_str())
    }
}

impl Store {
    /// Carries a request out. SYNC answers nothing.
    pub(crate) fn apply(&mut self, request: &Request) -> Result<Option<Event>, V2Error> {
        let path = request.path.as_str();
        let expires = (request.expiration != 0).then_some(request.expiration);
        let ttl = Ttl { expires, refresh: request.refresh };
        let previous = Previous { value: &request.prev_value, index: request.prev_index };
        let compares = request.prev_index > 0 || !request.prev_value.is_empty();
        let event = match (request.method.as_str(), request.prev_exist) {
            ("PUT", Some(false)) => self.create(path, request.content(), expires),
            ("PUT", _) if compares => self.compare_and_swap(path, previous, &request.value, ttl),
            ("PUT", Some(true)) => self.update(path, &request.value, ttl),
            ("PUT", None) => self.set(path, request.content(), ttl),
            ("POST", _) => self.create_in_order(path, request.content(), expires),
            ("DELETE", _) if compares => self.compare_and_delete(path, previous),
            ("DELETE", _) => self.delete(path, request.removal()),
            ("QGET", _) => self.get(path, request.recursive),
            _ => {
                self.expire(request.time);
                return Ok(None);
            }
        };
        event.map(Some)
    }
}
