//! The framings against bytes taken from etcd's wire format, against each other on random
//! sequences, and against hostile input.

use base::MemberId;
use proptest::prelude::*;
use wire::raftpb::{Entry, MessageType};

use super::*;

const LOCAL: MemberId = MemberId::new(0xa);
const REMOTE: MemberId = MemberId::new(0xb);

/// The keepalive of the `message` stream as captured from etcd 3.4.23 and 3.5.1.
const KEEPALIVE: [u8; 30] = [
    0x08, 0x08, 0x10, 0x00, 0x18, 0x00, 0x20, 0x00, 0x28, 0x00, 0x30, 0x00, 0x40, 0x00, 0x4a, 0x0a,
    0x12, 0x08, 0x0a, 0x02, 0x28, 0x00, 0x10, 0x00, 0x18, 0x00, 0x50, 0x00, 0x58, 0x00,
];

fn encoder() -> Encoder {
    Encoder::Appends(AppendEncoder::new(LOCAL, REMOTE))
}

/// The decoder at the other end: what is local there is remote here.
fn decoder() -> Decoder {
    Decoder::Appends(AppendDecoder::new(REMOTE, LOCAL))
}

fn append(term: u64, log_term: u64, index: u64, entries: Vec<Entry>) -> raftpb::Message {
    raftpb::Message {
        r#type: i32::from(MessageType::MsgApp),
        from: LOCAL.get(),
        to: REMOTE.get(),
        term,
        log_term,
        index,
        entries,
        commit: index,
        ..raftpb::Message::default()
    }
}

fn entry(term: u64, index: u64, payload: &[u8]) -> Entry {
    Entry { r#type: 0, term, index, data: Some(Bytes::copy_from_slice(payload)) }
}

fn decode_all(decoder: &mut Decoder, bytes: &[u8]) -> Vec<Frame> {
    let mut buffer = BytesMut::from(bytes);
    let mut frames = Vec::new();
    while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
        frames.push(frame);
    }
    assert!(buffer.is_empty(), "whole frames are taken whole");
    frames
}

#[test]
fn the_message_streams_keepalive_is_etcds() {
    let mut out = BytesMut::new();
    Encoder::Messages.link_heartbeat(&mut out);
    assert_eq!(out[..8], 30_u64.to_be_bytes());
    assert_eq!(out[8..], KEEPALIVE);
    assert_eq!(decode_all(&mut Decoder::Messages, &out), [Frame::LinkHeartbeat]);
}

#[test]
fn the_append_streams_keepalive_is_one_zero() {
    let mut out = BytesMut::new();
    encoder().link_heartbeat(&mut out);
    assert_eq!(out[..], [0]);
    assert_eq!(decode_all(&mut decoder(), &out), [Frame::LinkHeartbeat]);
}

#[test]
fn an_append_is_whole_first_and_then_only_entries_and_commit() {
    let mut encoder = encoder();
    let first = append(2, 1, 4, vec![entry(2, 5, b"x")]);
    let mut out = BytesMut::new();
    encoder.encode(&first, &mut out);
    #[rustfmt::skip]
    let whole = [
        2, 0, 0, 0, 0, 0, 0, 0, 37,
        0x08, 3, 0x10, 0xb, 0x18, 0xa, 0x20, 2, 0x28, 1, 0x30, 4,
        0x3a, 9, 0x08, 0, 0x10, 2, 0x18, 5, 0x22, 1, b'x',
        0x40, 4,
        0x4a, 10, 0x12, 8, 0x0a, 2, 0x28, 0, 0x10, 0, 0x18, 0,
        0x50, 0, 0x58, 0,
    ];
    let length = u8::try_from(whole.len() - 9).unwrap();
    let mut expected = whole.to_vec();
    expected[8] = length;
    assert_eq!(out[..], expected);

    let mut second = append(2, 2, 5, vec![entry(2, 6, b"yz")]);
    second.commit = 6;
    let mut short = BytesMut::new();
    encoder.encode(&second, &mut short);
    #[rustfmt::skip]
    let entries = [
        1, 0, 0, 0, 0, 0, 0, 0, 1,
        0, 0, 0, 0, 0, 0, 0, 10,
        0x08, 0, 0x10, 2, 0x18, 6, 0x22, 2, b'y', b'z',
        0, 0, 0, 0, 0, 0, 0, 6,
    ];
    assert_eq!(short[..], entries);

    let mut third = append(2, 2, 6, vec![]);
    third.commit = 300;
    let mut commit_only = BytesMut::new();
    encoder.encode(&third, &mut commit_only);
    assert_eq!(commit_only[..], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 44]);

    let mut decoder = decoder();
    out.unsplit(short);
    out.unsplit(commit_only);
    let frames = [first, second, third].map(Frame::Message);
    assert_eq!(decode_all(&mut decoder, &out), frames);
}

#[test]
fn what_entries_and_commit_cannot_tell_is_sent_whole() {
    let base = append(0, 0, 0, vec![]);
    let changes: [fn(&mut raftpb::Message); 6] = [
        |it| it.reject = true,
        |it| it.reject_hint = 1,
        |it| it.context = Some(Bytes::from_static(b"c")),
        |it| it.from = 9,
        |it| it.snapshot.metadata.index = 1,
        |it| it.r#type = i32::from(MessageType::MsgHeartbeat),
    ];
    for change in changes {
        let mut message = base.clone();
        change(&mut message);
        let mut out = BytesMut::new();
        encoder().encode(&message, &mut out);
        assert_eq!(out[0], 2, "{message:?}");
        assert_eq!(decode_all(&mut decoder(), &out), [Frame::Message(message)]);
    }
    let mut out = BytesMut::new();
    encoder().encode(&base, &mut out);
    assert_eq!(out[0], 1);
}

#[test]
fn a_heartbeat_from_nobody_never_reaches_raft() {
    let mut whole = vec![2];
    whole.extend_from_slice(&30_u64.to_be_bytes());
    whole.extend_from_slice(&KEEPALIVE);
    assert_eq!(decode_all(&mut decoder(), &whole), [Frame::LinkHeartbeat]);
}

#[test]
fn lengths_over_the_limit_are_refused_before_anything_is_read() {
    for length in [PEER_MESSAGE_BYTES_MAX + 1, u64::MAX, 1 << 63] {
        let length = length.to_be_bytes();
        let framed = BytesMut::from(&length[..]);
        let refused = Decoder::Messages.decode(&mut framed.clone());
        assert!(matches!(refused, Err(FrameError::TooLong { .. })), "{refused:?}");
        for start in [vec![2], [&[1][..], &1_u64.to_be_bytes()[..]].concat()] {
            let mut bytes = BytesMut::from(&start[..]);
            bytes.extend_from_slice(&length);
            let refused = decoder().decode(&mut bytes);
            assert!(matches!(refused, Err(FrameError::TooLong { .. })), "{refused:?}");
        }
        let mut count = BytesMut::from(&[1][..]);
        count.extend_from_slice(&length);
        let refused = decoder().decode(&mut count);
        assert!(matches!(refused, Err(FrameError::TooManyEntries { .. })), "{refused:?}");
    }
}

#[test]
fn unknown_types_and_broken_messages_are_refused() {
    let mut unknown = BytesMut::from(&[3][..]);
    assert!(matches!(decoder().decode(&mut unknown), Err(FrameError::UnknownType { found: 3 })));
    let broken = [0, 0, 0, 0, 0, 0, 0, 2, 0x3a, 0xff];
    let refused = Decoder::Messages.decode(&mut BytesMut::from(&broken[..]));
    assert!(matches!(refused, Err(FrameError::Malformed(_))), "{refused:?}");
}

#[test]
fn entries_announced_but_not_sent_take_no_memory() {
    let mut decoder = AppendDecoder::new(REMOTE, LOCAL);
    let mut bytes = BytesMut::from(&[1, 0, 0, 0, 0, 0, 16, 0, 0][..]);
    assert!(matches!(decoder.decode(&mut bytes), Ok(None)));
    assert!(decoder.entries_room() <= 1024);
}

/// One step of a random conversation on an append stream.
#[derive(Debug, Clone)]
enum Step {
    Heartbeat,
    /// An append that follows on the last message, as a leader's steady stream does.
    Next {
        payloads: Vec<Vec<u8>>,
        commit: u64,
    },
    /// Any append.
    Jump(Box<raftpb::Message>),
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let payload = prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
    (0..3_i32, any::<u64>(), any::<u64>(), payload).prop_map(|(kind, term, index, payload)| Entry {
        r#type: kind,
        term,
        index,
        data: payload.map(Bytes::from),
    })
}

fn any_append() -> impl Strategy<Value = raftpb::Message> {
    let entries = prop::collection::vec(any_entry(), 0..4);
    let small = || prop_oneof![0..4_u64, any::<u64>()];
    (small(), small(), small(), entries, small(), any::<bool>()).prop_map(
        |(term, log_term, index, entries, commit, reject)| raftpb::Message {
            commit,
            reject,
            ..append(term, log_term, index, entries)
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    let payload = prop::collection::vec(any::<u8>(), 0..60);
    let next = (prop::collection::vec(payload, 0..5), any::<u64>());
    prop_oneof![
        1 => Just(Step::Heartbeat),
        5 => next.prop_map(|(payloads, commit)| Step::Next { payloads, commit }),
        2 => any_append().prop_map(|message| Step::Jump(Box::new(message))),
    ]
}

/// Turns steps into frames, following the last message's position as a leader would.
fn frames_of(steps: Vec<Step>) -> Vec<Frame> {
    let (mut term, mut last) = (0, 0_u64);
    let mut frames = Vec::new();
    for step in steps {
        frames.push(match step {
            Step::Heartbeat => Frame::LinkHeartbeat,
            Step::Next { payloads, commit } => {
                let indexes = (1..).map(|ahead| last.wrapping_add(ahead));
                let entries: Vec<Entry> = indexes
                    .zip(&payloads)
                    .map(|(index, payload)| entry(term, index, payload))
                    .collect();
                let message = raftpb::Message { commit, ..append(term, term, last, entries) };
                last = last.wrapping_add(wide(message.entries.len()));
                Frame::Message(message)
            }
            Step::Jump(message) => {
                term = message.term;
                last = message.entries.last().map_or(message.index, |entry| entry.index);
                Frame::Message(*message)
            }
        });
    }
    frames
}

proptest! {
    #[test]
    fn both_ends_of_an_append_stream_stay_in_step(
        steps in prop::collection::vec(any_step(), 0..40),
        pieces in prop::collection::vec(1_usize..200, 1..20),
    ) {
        let frames = frames_of(steps);
        let mut encoder = encoder();
        let mut wire = BytesMut::new();
        for frame in &frames {
            match frame {
                Frame::LinkHeartbeat => encoder.link_heartbeat(&mut wire),
                Frame::Message(message) => encoder.encode(message, &mut wire),
            }
        }
        let mut decoder = decoder();
        let mut arrived = BytesMut::new();
        let mut decoded = Vec::new();
        let mut sizes = pieces.iter().cycle();
        while !wire.is_empty() {
            let size = (*sizes.next().unwrap()).min(wire.len());
            arrived.extend_from_slice(&wire.split_to(size));
            while let Some(frame) = decoder.decode(&mut arrived).unwrap() {
                decoded.push(frame);
            }
        }
        prop_assert_eq!(decoded, frames);
        let (Encoder::Appends(encoder), Decoder::Appends(decoder)) = (&encoder, &decoder) else {
            unreachable!("both were made as append streams")
        };
        prop_assert!(encoder.in_step_with(decoder));
    }

    #[test]
    fn a_message_stream_gives_back_what_was_put_in(
        messages in prop::collection::vec(any_append(), 0..10),
        step in 1_usize..100,
    ) {
        let mut wire = BytesMut::new();
        for message in &messages {
            Encoder::Messages.encode(message, &mut wire);
        }
        let mut arrived = BytesMut::new();
        let mut decoded = Vec::new();
        for piece in wire.chunks(step) {
            arrived.extend_from_slice(piece);
            while let Some(frame) = Decoder::Messages.decode(&mut arrived).unwrap() {
                decoded.push(frame);
            }
        }
        prop_assert_eq!(decoded, messages.into_iter().map(Frame::Message).collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for mut decoder in [Decoder::Messages, decoder()] {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = decoder.decode(&mut buffer) {}
        }
    }

    #[test]
    fn no_damage_to_a_stream_makes_a_decoder_panic(
        steps in prop::collection::vec(any_step(), 1..10),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut encoder = encoder();
        let mut wire = BytesMut::new();
        for frame in frames_of(steps) {
            match frame {
                Frame::LinkHeartbeat => encoder.link_heartbeat(&mut wire),
                Frame::Message(message) => encoder.encode(&message, &mut wire),
            }
        }
        let at = at.index(wire.len());
        wire[at] = byte;
        let mut decoder = decoder();
        while let Ok(Some(_)) = decoder.decode(&mut wire) {}
    }
}
