//! `logs NODE [-f]`: the end of a node's log file, and what is added to it. For a node of this
//! machine no agent is needed.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use tokio::signal::unix::{SignalKind, signal};
use wire::agentpb::ReadLogsRequest;

use super::{
    arguments::Logs,
    connect, generated,
    outcome::{Failure, Outcome},
    screen::Screen,
};
use crate::{
    agent::{
        local::remote_hosts,
        tail::{CHUNK_BYTES, PAUSE, is_replaced, newer, start_of_last_lines},
    },
    report,
    spec::{self, ClusterSpec},
};

pub(super) async fn logs(logs: &Logs, screen: &mut Screen) -> Result<Outcome, Failure> {
    let spec = spec::load(logs.spec_file())?.spec;
    let node = generated::node(&spec, &logs.node)?;
    if logs.reach.agent.is_some() || remote_hosts(&spec).contains(&node.host) {
        return logs_elsewhere(logs, &spec, screen).await;
    }
    let path = report::log_path(&spec, &logs.node);
    let mut file = match File::open(&path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound && logs.follow => None,
        Err(error) => return Err(Failure::failed(format!("{}: {error}", path.display()))),
    };
    if let Some(file) = &mut file {
        let start = start_of_last_lines(file, logs.lines)?;
        file.seek(SeekFrom::Start(start))?;
        if !copy_rest(file, screen)? {
            return Ok(Outcome::Done);
        }
    }
    if logs.follow {
        follow(file, &path, screen).await?;
    }
    Ok(Outcome::Done)
}

/// By the agent of the node's host.
async fn logs_elsewhere(
    logs: &Logs,
    spec: &ClusterSpec,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    let mut agent = connect::expect(spec, &logs.reach).await?;
    let request = ReadLogsRequest {
        node: logs.node.clone(),
        lines: u32::try_from(logs.lines).unwrap_or(u32::MAX),
        follow: logs.follow,
    };
    let mut chunks = agent.read_logs(request).await?.into_inner();
    let mut interrupts = signal(SignalKind::interrupt())?;
    loop {
        let chunk = tokio::select! {
            chunk = chunks.message() => chunk?,
            _ = interrupts.recv() => None,
        };
        match chunk {
            Some(chunk) if screen.copy(&chunk.text) => {}
            _ => return Ok(Outcome::Done),
        }
    }
}

/// Copies what is added, until Ctrl-C or until nobody reads any more.
async fn follow(mut file: Option<File>, path: &Path, screen: &mut Screen) -> io::Result<()> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = interrupts.recv() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
        // Asked first: once it is rotated away nothing is added to it, so this copies all of it.
        let has_newer = file.as_ref().is_none_or(|open| is_replaced(open, path));
        if let Some(open) = &mut file
            && !copy_rest(open, screen)?
        {
            return Ok(());
        }
        if !has_newer {
            continue;
        }
        for mut next in newer(file.as_ref(), path) {
            if !copy_rest(&mut next, screen)? {
                return Ok(());
            }
            file = Some(next);
        }
    }
}

/// False if nobody reads our output any more.
fn copy_rest(file: &mut File, screen: &mut Screen) -> io::Result<bool> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            return Ok(true);
        }
        if !screen.copy(&chunk[..count]) {
            return Ok(false);
        }
    }
}
