//! The whole way: bytes as Go sends them, through the filter, into the server that refuses them else.

use axum::{Router, routing::post};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{hpack::tests::compressed, *};

/// Preface, settings, and one request (POST /a) with this `:authority`.
fn request(authority: &[u8]) -> Vec<u8> {
    let mut block = vec![0x83, 0x86, 0x44, 0x02, b'/', b'a', 0x41];
    block.extend_from_slice(authority);
    let length = u8::try_from(block.len()).unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    // END_STREAM and END_HEADERS.
    bytes.extend_from_slice(&[0, 0, length, 1, 5, 0, 0, 0, 1]);
    bytes.extend_from_slice(&block);
    bytes
}

/// The kind of the first frame that the server answers with for stream 1. The bytes come in pieces
/// and, unless `bare`, through the filter.
async fn answer(bytes: &[u8], pieces: usize, bare: bool) -> u8 {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let router = Router::new().route("/a", post(async || "ok"));
    let served = tokio::spawn(async move {
        let service = TowerToHyperService::new(router);
        let builder = auto::Builder::new(TokioExecutor::new());
        // It ends when the client goes; how does not matter here.
        if bare {
            drop(builder.serve_connection(TokioIo::new(server), service).await);
        } else {
            let io = TokioIo::new(Authority::new(server));
            drop(builder.serve_connection(io, service).await);
        }
    });
    for piece in bytes.chunks(pieces) {
        client.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let kind = loop {
        let mut head = [0; 9];
        client.read_exact(&mut head).await.unwrap();
        let [a, b, c, kind, _, .., stream] = head;
        let length = u32::from_be_bytes([0, a, b, c]);
        let mut content = vec![0; usize::try_from(length).unwrap()];
        client.read_exact(&mut content).await.unwrap();
        if stream == 1 {
            break kind;
        }
    };
    drop(client);
    served.await.unwrap();
    kind
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;

#[tokio::test]
async fn a_url_as_authority_is_answered_however_it_is_written_and_cut() {
    let plain = b"\x0ahttp://a:1";
    let value = compressed("http://a:1");
    let packed = [&[0x80 | u8::try_from(value.len()).unwrap()][..], &value].concat();
    for authority in [&plain[..], &packed] {
        for pieces in [1, 7, 33, 1000] {
            assert_eq!(answer(&request(authority), pieces, false).await, HEADERS, "{pieces}");
        }
    }
}

#[tokio::test]
async fn an_ordinary_authority_is_answered_too() {
    assert_eq!(answer(&request(b"\x03a:1"), 1000, false).await, HEADERS);
}

/// The day this fails the filter can go.
#[tokio::test]
async fn without_the_filter_the_stream_is_refused() {
    assert_eq!(answer(&request(b"\x0ahttp://a:1"), 1000, true).await, RST_STREAM);
}
