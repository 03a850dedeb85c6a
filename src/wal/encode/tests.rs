//! Encoded bytes against prost and against hand-made ones.

use bytes::Bytes;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use prost::Message;
use wire::{raftpb::Entry, walpb};

use super::{Encoder, Kind};

fn payload() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        Just(None),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(Some),
        proptest::collection::vec(any::<u8>(), 16_000..17_000).prop_map(Some),
    ]
}

proptest! {
    #[test]
    fn an_entry_is_framed_as_the_messages_say(
        kind in 0..3_i32,
        term in any::<u64>(),
        index in any::<u64>(),
        payload in payload(),
        crc in any::<u32>(),
    ) {
        let entry = Entry { r#type: kind, term, index, data: payload.map(Bytes::from) };
        let inner = Bytes::from(entry.encode_to_vec());
        let chained = crc32c::crc32c_append(crc, &inner);
        let record =
            walpb::Record { r#type: 2, crc: chained, data: Some(inner) }.encode_to_vec();

        let mut encoder = Encoder::new(crc);
        encoder.entry(&entry);
        let framed = encoder.bytes();
        let length = u64::from_le_bytes(framed[..8].try_into().unwrap());
        assert_eq!(length & super::LENGTH_MASK, record.len() as u64);
        assert_eq!(framed[8..8 + record.len()], record);
        assert_eq!(framed.len() % 8, 0);
        assert!(framed[8 + record.len()..].iter().all(|byte| *byte == 0));
        let padding = framed.len() - 8 - record.len();
        assert!(padding < 8);
        let mark = if padding == 0 { 0 } else { 0x80 | padding as u64 };
        assert_eq!(length >> 56, mark);
    }
}

#[test]
fn the_chain_runs_over_payloads_only() {
    let mut encoder = Encoder::new(0);
    encoder.chain();
    let chain_record = [4, 0, 0, 0, 0, 0, 0, 0x84, 0x08, 0x04, 0x10, 0, 0, 0, 0, 0];
    assert_eq!(encoder.bytes(), chain_record, "no payload field, crc 0");
    encoder.payload(Kind::Metadata, b"ab");
    encoder.payload(Kind::State, b"c");
    assert_eq!(encoder.crc, crc32c::crc32c(b"abc"));
    encoder.chain();
    assert_eq!(encoder.crc, crc32c::crc32c(b"abc"));
}
