//! Connections as clients send them, through the wrapper, into another HPACK decoder and into h2's server.

use loona_hpack::Encoder;
use proptest::{collection::vec, prelude::*};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    frame::{CONTINUATION, FrameHead, HEAD_BYTES, HEADERS},
    mender::PREFACE,
    *,
};

const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// What etcdctl sends before its request.
fn opening() -> Vec<u8> {
    [PREFACE, &frame(4, 0, 0, &[])].concat()
}

fn block(encoder: &mut Encoder<'_>, authority: &[u8]) -> Vec<u8> {
    encoder.encode([
        (&b":method"[..], &b"POST"[..]),
        (b":scheme", b"http"),
        (b":path", b"/etcdserverpb.Maintenance/Status"),
        (b":authority", authority),
        (b"content-type", b"application/grpc"),
    ])
}

/// A connection with requests on the streams 1, 3, 5 …, each with a message.
fn connection(authorities: &[&[u8]]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let mut sent = opening();
    for (stream, authority) in (1..).step_by(2).zip(authorities) {
        let block = block(&mut encoder, authority);
        sent.extend(frame(HEADERS, END_HEADERS, stream, &block));
        sent.extend(frame(0, END_STREAM, stream, b"a message"));
    }
    sent
}

/// Pushes in pieces; what goes on, and the mender after it.
fn pushed(sent: &[u8], piece_bytes: usize) -> (Vec<u8>, Mender) {
    let (mut mender, mut onward) = (Mender::new(), Vec::new());
    for mut piece in sent.chunks(piece_bytes) {
        while !piece.is_empty() {
            piece = &piece[mender.push(piece, &mut onward)..];
        }
    }
    (onward, mender)
}

/// The frames behind the preface.
fn frames(mut wire: &[u8]) -> Vec<(FrameHead, Vec<u8>)> {
    wire = wire.strip_prefix(PREFACE).unwrap();
    let mut frames = Vec::new();
    while let Some((head, rest)) = wire.split_first_chunk::<HEAD_BYTES>() {
        let head = FrameHead::parse(*head);
        let (payload, rest) = rest.split_at(head.length);
        frames.push((head, payload.to_vec()));
        wire = rest;
    }
    assert!(wire.is_empty());
    frames
}

/// The authority of each request, by a decoder that saw nothing but the mended blocks.
fn authorities(wire: &[u8]) -> Vec<String> {
    let mut decoder = loona_hpack::Decoder::new();
    let mut found = Vec::new();
    let mut block = Vec::new();
    for (head, payload) in frames(wire) {
        if ![HEADERS, CONTINUATION].contains(&head.kind) {
            continue;
        }
        block.extend_from_slice(&payload);
        if head.ends_block() {
            let fields = decoder.decode(&std::mem::take(&mut block)).unwrap();
            let authority = fields.into_iter().find(|(name, _)| name == b":authority").unwrap();
            found.push(String::from_utf8(authority.1).unwrap());
        }
    }
    found
}

#[test]
fn http_1_passes_untouched() {
    for sent in
        [&b"POST /v3/kv/put HTTP/1.1\r\nHost: http://a\r\n\r\n"[..], b"PRI * HTTP/1.1\r\n", b"P"]
    {
        for piece_bytes in 1..=sent.len() {
            assert_eq!(pushed(sent, piece_bytes).0, sent);
        }
    }
}

#[test]
fn a_good_authority_passes_byte_for_byte_and_ends_the_look() {
    for authority in [&b"127.0.0.1:2379"[..], b"[::1]:2379", b"db.example"] {
        let sent = connection(&[authority, authority]);
        for piece_bytes in 1..=sent.len() {
            let (onward, mender) = pushed(&sent, piece_bytes);
            assert_eq!(onward, sent);
            assert!(mender.is_through());
        }
    }
}

#[test]
fn every_malformed_authority_becomes_a_host() {
    let cases: [(&[u8], &str); 7] = [
        (b"http://127.0.0.1:2379", "127.0.0.1:2379"),
        (b"https://127.0.0.1:2379/", "127.0.0.1:2379"),
        (b"http://[::1]:2379/a?b#c", "[::1]:2379"),
        (b"127.0.0.1:2379/a", "127.0.0.1:2379"),
        (b"", "localhost"),
        (b"unix:///run/etcd", "localhost"),
        (b"\xff\xfe", "localhost"),
    ];
    for (sent, wanted) in cases {
        assert_eq!(authorities(&pushed(&connection(&[sent]), 1000).0), [wanted], "{sent:?}");
    }
}

#[test]
fn where_the_bytes_are_cut_changes_nothing() {
    let sent = connection(&[b"http://a:1", b"http://a:1", b"b:2", b"http://a:1/"]);
    let (wanted, mender) = pushed(&sent, sent.len());
    assert!(!mender.is_through());
    assert_eq!(authorities(&wanted), ["a:1", "a:1", "b:2", "a:1"]);
    for piece_bytes in 1..sent.len() {
        assert_eq!(pushed(&sent, piece_bytes).0, wanted, "{piece_bytes}");
    }
}

#[test]
fn padding_goes_and_priority_and_the_end_of_the_stream_stay() {
    let block = block(&mut Encoder::new(), b"http://a:1");
    let (first, rest) = block.split_at(10);
    let payload = [&[3, 0x80, 0, 0, 0, 15], first, &[0; 3]].concat();
    let mut sent = opening();
    sent.extend(frame(HEADERS, PADDED | PRIORITY | END_STREAM, 1, &payload));
    sent.extend(frame(CONTINUATION, 0, 1, &[]));
    sent.extend(frame(CONTINUATION, END_HEADERS, 1, rest));
    for piece_bytes in 1..=sent.len() {
        let (onward, _) = pushed(&sent, piece_bytes);
        let frames = frames(&onward);
        let [_, (head, payload)] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(onward[PREFACE.len() + 9 + 4], END_STREAM | END_HEADERS | PRIORITY);
        assert_eq!((head.kind, &payload[..5]), (HEADERS, &[0x80, 0, 0, 0, 15][..]));
        let fields = loona_hpack::Decoder::new().decode(&payload[5..]).unwrap();
        assert_eq!(fields[3].1, b"a:1");
    }
}

#[test]
fn a_block_too_long_for_a_frame_is_continued() {
    let long = vec![b'v'; 40_000];
    let block = Encoder::new().encode([(&b":authority"[..], &b"http://a:1"[..]), (b"n", &long)]);
    let mut sent = opening();
    sent.extend(frame(HEADERS, 0, 1, &block[..16_000]));
    sent.extend(frame(CONTINUATION, END_HEADERS, 1, &block[16_000..]));
    let (onward, _) = pushed(&sent, 5000);
    let lengths: Vec<usize> = frames(&onward)[1..].iter().map(|(head, _)| head.length).collect();
    assert_eq!(lengths[..2], [16_384, 16_384]);
    assert_eq!(lengths.len(), 3);
    assert_eq!(authorities(&onward), ["a:1"]);
}

#[test]
fn what_cannot_be_followed_at_first_passes_as_it_came() {
    let fine = block(&mut Encoder::new(), b"http://a:1");
    let mut endless = frame(HEADERS, 0, 1, b"\x82");
    for _ in 0..10 {
        endless.extend(frame(CONTINUATION, 0, 1, &[0; 10_000]));
    }
    for frames in [
        frame(HEADERS, END_HEADERS, 1, b"\xff\xff"),
        frame(HEADERS, END_HEADERS | PADDED, 1, &[9, 1]),
        frame(HEADERS, END_HEADERS | PRIORITY, 1, &[9, 1]),
        frame(HEADERS, END_HEADERS, 1, &[0; 70_000]),
        [frame(HEADERS, 0, 1, &fine), frame(0, 0, 1, b"between")].concat(),
        [frame(HEADERS, 0, 1, &fine), frame(CONTINUATION, END_HEADERS, 3, b"")].concat(),
        endless,
    ] {
        let sent = [opening(), frames].concat();
        let (onward, mender) = pushed(&sent, 100);
        assert!(mender.is_through());
        assert_eq!(onward, sent);
    }
}

#[test]
fn a_client_that_leaves_within_a_block_is_seen_to() {
    let sent = connection(&[b"http://a:1"]);
    let cut = &sent[..opening().len() + 30];
    let (mut onward, mut mender) = pushed(cut, 7);
    assert_eq!(onward, opening());
    mender.end(&mut onward);
    assert_eq!(onward, cut);
}

/// h2's server behind the wrapper: the authorities of the requests it saw, at most so many, and whether it refused the
/// connection.
async fn served(sent: Vec<u8>, requests_max: usize) -> (Vec<String>, bool) {
    let (mut client, server) = tokio::io::duplex(1024);
    let sending = tokio::spawn(async move {
        client.write_all(&sent).await.unwrap();
        // The server's frames, until it hangs up.
        let mut answer = Vec::new();
        drop(client.read_to_end(&mut answer).await);
    });
    let mut seen = Vec::new();
    let mut refused = false;
    let mut requests = h2::server::handshake(MendedAuthority::new(server)).await.unwrap();
    while seen.len() < requests_max
        && let Some(request) = requests.accept().await
    {
        match request {
            Ok((request, mut respond)) => {
                seen.push(request.uri().authority().unwrap().to_string());
                respond.send_response(http::Response::new(()), true).unwrap();
            }
            Err(error) => {
                refused |= error.is_library();
                break;
            }
        }
    }
    drop(requests);
    sending.await.unwrap();
    (seen, refused)
}

#[tokio::test]
async fn h2_takes_requests_that_refer_to_the_table() {
    let (seen, refused) = served(connection(&[&b"http://a:1"[..]; 40]), 40).await;
    assert_eq!(seen, vec!["a:1"; 40]);
    assert!(!refused);
}

/// The day this fails the wrapper can go.
#[tokio::test]
async fn without_the_wrapper_h2_resets_the_stream() {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    client.write_all(&connection(&[b"http://a:1"])).await.unwrap();
    let served = tokio::spawn(async move {
        let mut requests = h2::server::handshake(server).await.unwrap();
        requests.accept().await.is_some()
    });
    // If the server takes the request, it hangs up after it and this ends as well.
    let mut head = [0; HEAD_BYTES];
    while client.read_exact(&mut head).await.is_ok() && FrameHead::parse(head).kind != RST_STREAM {
        client.read_exact(&mut vec![0; FrameHead::parse(head).length]).await.unwrap();
    }
    assert_eq!(FrameHead::parse(head).kind, RST_STREAM);
    drop(client);
    assert!(!served.await.unwrap());
}

#[tokio::test]
async fn h2_refuses_a_block_that_went_bad_after_mending() {
    let mut sent = connection(&[b"http://a:1"]);
    sent.extend(frame(HEADERS, END_HEADERS, 3, b"\xff\xff"));
    let (_, refused) = served(sent, 2).await;
    assert!(refused);
}

#[tokio::test]
async fn reads_go_straight_to_the_connection_after_a_good_request() {
    let sent = connection(&[b"a:1"]);
    let (mut client, server) = tokio::io::duplex(64);
    let mut server = MendedAuthority::new(server);
    let expected = sent.clone();
    let sending = tokio::spawn(async move {
        client.write_all(&sent).await.unwrap();
        client.write_all(&[7; 1000]).await.unwrap();
    });
    let mut got = vec![0; expected.len()];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(got, expected);
    let mut rest = Vec::new();
    server.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, [7; 1000]);
    assert!(server.look.is_none());
    sending.await.unwrap();
}

proptest! {
    #[test]
    fn garbage_never_panics_wherever_it_is_cut(
        mended in any::<bool>(),
        parts in vec((0..12_u8, any::<u8>(), 0..4_u8, vec(any::<u8>(), 0..90)), 0..30),
        tail in vec(any::<u8>(), 0..200),
    ) {
        let mut sent = if mended { connection(&[b"http://a:1"]) } else { opening() };
        for (kind, flags, stream, payload) in &parts {
            sent.extend(frame(*kind, *flags, *stream, payload));
        }
        sent.extend(tail);
        let (wanted, _) = pushed(&sent, sent.len());
        for piece_bytes in [1, 10, 100] {
            prop_assert_eq!(&pushed(&sent, piece_bytes).0, &wanted);
        }
    }

    #[test]
    fn noise_passes(sent in vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(pushed(&sent, 7).0, sent);
    }
}
