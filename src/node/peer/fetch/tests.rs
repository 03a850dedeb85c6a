//! Questions to peers that misbehave. Well-behaved ones are real etcds, see `peer::tests`.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

const LIMIT: Duration = Duration::from_millis(300);

/// A peer that gives every caller the same bytes; its URL.
async fn peer(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut io, _)) = listener.accept().await {
            let mut request = [0; 4096];
            // The caller may be gone already: that is what some tests are about.
            drop(io.read(&mut request).await);
            drop(io.write_all(&answer).await);
            // Held open until the caller goes.
            drop(io.read(&mut request).await);
        }
    });
    url
}

fn answer(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn members_are_read_as_go_writes_them() {
    let body = r#"[{"id":4604040285073729409,"peerURLs":null,"isLearner":true},
        {"id":18446744073709551615,"peerURLs":["http://a:1"],"name":"a","clientURLs":["http://a:2"]}]"#;
    let url = peer(answer("200 OK\r\nX-Etcd-Cluster-Id: c1", body)).await;
    let known = Fetcher::new(Connector::new(LIMIT, None)).members(&url, LIMIT).await.unwrap();
    assert_eq!(known.cluster, ClusterId::new(0xc1));
    let [learner, voter] = known.members.as_slice() else { panic!("{known:?}") };
    assert_eq!(learner.id, 4_604_040_285_073_729_409);
    assert!(learner.is_learner && learner.peer_urls.is_empty() && learner.name.is_empty());
    assert_eq!((voter.id, voter.name.as_str()), (u64::MAX, "a"));
    assert_eq!(voter.client_urls, ["http://a:2"]);
}

#[tokio::test]
async fn a_silent_peer_is_given_up_in_time() {
    let url = peer(Vec::new()).await;
    let error = Fetcher::new(Connector::new(LIMIT, None)).version(&url, LIMIT).await.unwrap_err();
    assert!(matches!(error, FetchError::Timeout { .. }), "{error:?}");
    let half = peer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec()).await;
    let error = Fetcher::new(Connector::new(LIMIT, None)).version(&half, LIMIT).await.unwrap_err();
    assert!(matches!(error, FetchError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_over_the_limit_is_not_read() {
    let endless = "x".repeat(ANSWER_BYTES_MAX + 1);
    let url = peer(answer("200 OK", &endless)).await;
    let error = Fetcher::new(Connector::new(LIMIT, None))
        .version(&url, Duration::from_secs(20))
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::Connect { .. }), "{error:?}");
}

#[tokio::test]
async fn other_answers_say_what_was_wrong() {
    let fetcher = Fetcher::new(Connector::new(LIMIT, None));
    let no_header = peer(answer("200 OK", "[]")).await;
    let error = fetcher.members(&no_header, LIMIT).await.unwrap_err();
    assert!(error.to_string().contains("no X-Etcd-Cluster-ID header"), "{error}");
    let no_json = peer(answer("200 OK", "<html>")).await;
    let error = fetcher.version(&no_json, LIMIT).await.unwrap_err();
    assert!(matches!(error, FetchError::Answer { .. }), "{error:?}");
    let refused = peer(answer("412 Precondition Failed", "not now\n")).await;
    let error = fetcher.promote(&refused, MemberId::new(1), LIMIT).await.unwrap_err();
    assert!(error.to_string().ends_with("answered 412 Precondition Failed: not now"), "{error}");
    let unclear = peer(answer("200 OK", "maybe")).await;
    let error = fetcher.downgrade_enabled(&unclear, LIMIT).await.unwrap_err();
    assert!(matches!(error, FetchError::Answer { .. }), "{error:?}");
}

#[tokio::test]
async fn https_is_never_asked_in_plain_text_and_a_dead_port_is_no_answer() {
    let fetcher = Fetcher::new(Connector::new(LIMIT, None));
    let plain = peer(answer("200 OK", r#"{"etcdserver":"3.5.1"}"#)).await;
    fetcher.version(&plain, LIMIT).await.unwrap();
    let plain = peer(answer("200 OK", r#"{"etcdserver":"3.5.1"}"#)).await;
    let error = fetcher.version(&plain.replace("http:", "https:"), LIMIT).await.unwrap_err();
    assert!(format!("{error:?}").contains("no --peer-trusted-ca-file"), "{error:?}");
    let error = fetcher.version("unix://x", LIMIT).await.unwrap_err();
    assert!(matches!(error, FetchError::Url(_)), "{error:?}");
    let error = fetcher.version("http://127.0.0.1:1", LIMIT).await.unwrap_err();
    assert!(matches!(error, FetchError::Connect { .. }), "{error:?}");
}
