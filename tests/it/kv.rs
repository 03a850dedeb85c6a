//! KV against the oracle: one random sequence of calls goes to a real etcd 3.5.1 and to ours, and every
//! response must be equal, field by field, except ids and terms; HashKV at every compared revision.

mod calls;
mod texts;

use anyhow::Result;
use proptest::{prelude::*, test_runner::Config};
use tokio::runtime::Runtime;

use crate::harness::{api::Api, cluster::Cluster, oracle::Kind};
use calls::{Answer, Call};

/// The two servers, at the same revision before and after each case.
struct Pair {
    runtime: Runtime,
    ours: Cluster,
    real: Cluster,
}

fn pair(other: Kind) -> Result<Pair> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let flags = ["--experimental-initial-corrupt-check=true", "--max-txn-ops=16"];
    let (ours, real) = runtime.block_on(async {
        anyhow::Ok((
            Cluster::start(Kind::Ours, 1, &flags).await?,
            Cluster::start(other, 1, &flags).await?,
        ))
    })?;
    Ok(Pair { runtime, ours, real })
}

impl Pair {
    /// Runs the calls on both; the first difference is the error.
    fn compare(&self, sequence: &[Call]) -> Result<(), String> {
        self.runtime.block_on(async {
            let mut ours = self.ours.nodes[0].api().map_err(|error| error.to_string())?;
            let mut real = self.real.nodes[0].api().map_err(|error| error.to_string())?;
            let mut revision = current(&mut real).await?;
            let mine = current(&mut ours).await?;
            if mine != revision {
                return Err(format!("revisions before: ours {mine}, real {revision}"));
            }
            let start = revision;
            for (at, call) in sequence.iter().enumerate() {
                let expected = calls::run(&mut real, call, revision).await;
                let answer = calls::run(&mut ours, call, revision).await;
                if answer != expected {
                    return Err(format!(
                        "call {at} at revision {revision}: {call:?}\n ours: {answer:?}\n real: {expected:?}"
                    ));
                }
                if let Answer::Ok { revision: now, .. } = expected
                    && now > 0
                {
                    revision = now;
                }
            }
            for at in start..=revision {
                let expected = calls::hash(&mut real, at).await;
                // 3.5.1 refuses the compacted revision itself; later 3.5 hash it (docs/compatibility.md).
                if matches!(expected, Answer::Refused { .. }) {
                    continue;
                }
                let answer = calls::hash(&mut ours, at).await;
                if answer != expected {
                    return Err(format!("HashKV({at}): ours {answer:?}, real {expected:?}"));
                }
            }
            Ok(())
        })
    }
}

async fn current(api: &mut Api) -> Result<i64, String> {
    let answer = api.get("x").await.map_err(|status| status.to_string())?;
    Ok(answer.header.map_or(0, |header| header.revision))
}

#[test]
fn every_kv_answer_equals_the_real_one() {
    let pair = pair(Kind::Real35).expect("both servers start");
    let config = Config { max_shrink_iters: 200, ..Config::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&prop::collection::vec(calls::call(), 1..40), |sequence| {
        pair.compare(&sequence).map_err(TestCaseError::fail)
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
