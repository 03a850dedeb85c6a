//! Streams over memory with the clock held still: silence, heartbeats, ends and what must not
//! reach raft.

use bytes::BufMut;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::peer::{
    chunked::{BodyFraming, Dechunker},
    codec::{Encoder, FrameError, appends::AppendEncoder},
};

const LOCAL: MemberId = MemberId::new(1);
const REMOTE: MemberId = MemberId::new(2);

#[derive(Debug, Default)]
struct Received {
    bytes: usize,
    messages: Vec<raftpb::Message>,
}

impl Sink for Received {
    fn received(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    fn message(&mut self, message: raftpb::Message) {
        self.messages.push(message);
    }
}

fn heartbeat() -> raftpb::Message {
    raftpb::Message {
        r#type: i32::from(MessageType::MsgHeartbeat),
        to: LOCAL.get(),
        from: REMOTE.get(),
        term: 1,
        ..raftpb::Message::default()
    }
}

fn chunk(content: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", content.len()).as_bytes(), content, b"\r\n"].concat()
}

async fn read(io: DuplexStream) -> (StreamError, Received) {
    let framing = BodyFraming::Chunked(Dechunker::default());
    let stream = OpenStream { io, framing, raw: BytesMut::new() };
    let mut received = Received::default();
    let error = read_stream(stream, &mut Decoder::Messages, &mut received).await;
    (error, received)
}

#[tokio::test(start_paused = true)]
async fn silence_breaks_a_stream_after_five_seconds() {
    let (io, _peer) = duplex(1024);
    let started = Instant::now();
    let (error, _) = read(io).await;
    assert!(matches!(error, StreamError::Silent), "{error}");
    assert_eq!(started.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn link_heartbeats_keep_a_stream_and_reach_nobody() {
    let (io, mut peer) = duplex(1024);
    let started = Instant::now();
    let beat = async {
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_millis(1667)).await;
            let mut frame = BytesMut::new();
            Encoder::Messages.link_heartbeat(&mut frame);
            peer.write_all(&chunk(&frame)).await.unwrap();
        }
        peer
    };
    let ((error, received), _peer) = tokio::join!(read(io), beat);
    assert!(matches!(error, StreamError::Silent), "{error}");
    assert_eq!(started.elapsed(), Duration::from_millis(30 * 1667 + 5000));
    assert!(received.messages.is_empty());
    assert!(received.bytes >= 30 * 38);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_trickles_inside_a_frame_is_not_silent() {
    let (io, mut peer) = duplex(1024);
    let mut frame = BytesMut::new();
    Encoder::Messages.encode(&heartbeat(), &mut frame);
    let trickle = async {
        for byte in chunk(&frame) {
            tokio::time::sleep(Duration::from_secs(4)).await;
            peer.write_u8(byte).await.unwrap();
        }
        drop(peer);
    };
    let ((error, received), ()) = tokio::join!(read(io), trickle);
    assert!(matches!(error, StreamError::Closed), "{error}");
    assert_eq!(received.messages, [heartbeat()]);
}

#[tokio::test(start_paused = true)]
async fn the_last_chunk_ends_a_stream_in_good_order() {
    let (io, mut peer) = duplex(1024);
    let mut frame = BytesMut::new();
    Encoder::Messages.encode(&heartbeat(), &mut frame);
    let bytes = [chunk(&frame), chunk(&frame), b"0\r\n\r\n".to_vec()].concat();
    peer.write_all(&bytes).await.unwrap();
    let (error, received) = read(io).await;
    assert!(matches!(error, StreamError::Closed), "{error}");
    assert_eq!(received.messages.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_length_over_the_limit_breaks_a_stream_at_once() {
    let (io, mut peer) = duplex(1024);
    peer.write_all(&chunk(&u64::MAX.to_be_bytes())).await.unwrap();
    let started = Instant::now();
    let (error, _) = read(io).await;
    assert!(matches!(error, StreamError::Frame(FrameError::TooLong { .. })), "{error}");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn many_appends_in_one_chunk_all_arrive() {
    let (io, mut peer) = duplex(1 << 20);
    let mut encoder = Encoder::Appends(AppendEncoder::new(REMOTE, LOCAL));
    let mut bytes = BytesMut::new();
    for index in 0..500 {
        let entry = raftpb::Entry { term: 3, index: index + 1, ..raftpb::Entry::default() };
        let message = raftpb::Message {
            r#type: i32::from(MessageType::MsgApp),
            term: 3,
            log_term: 3,
            index,
            entries: vec![entry],
            ..heartbeat()
        };
        encoder.encode(&message, &mut bytes);
    }
    bytes.put_u8(0);
    peer.write_all(&chunk(&bytes)).await.unwrap();
    drop(peer);
    let framing = BodyFraming::Chunked(Dechunker::default());
    let stream = OpenStream { io, framing, raw: BytesMut::new() };
    let mut received = Received::default();
    let mut decoder = decoder(StreamKind::Appends, LOCAL, REMOTE);
    let error = read_stream(stream, &mut decoder, &mut received).await;
    assert!(matches!(error, StreamError::Closed), "{error}");
    let indexes: Vec<u64> = received.messages.iter().map(|it| it.index).collect();
    assert_eq!(indexes, (0..500).collect::<Vec<u64>>());
}
