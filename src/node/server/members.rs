//! Changes of the membership as clients ask for them: judged beforehand as etcd's strict check does, then proposed.
//! What is judged again when their turn comes in the log is `state`'s. Facts: surface A.6.

mod promote;
mod rules;

use base::{MemberId, flags};
use state::{ApiError, membership::Member};
use wire::raftpb::{ConfChange, ConfChangeType};

use self::rules::HEALTH_INTERVAL;
use super::Server;

/// With or without a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Votes from the start.
    Voter,
    /// Follows only, until it is promoted.
    Learner,
}

/// Peer URLs that a member may have: sorted, without space around them.
///
/// # Errors
/// What is wrong with them, in etcd's words.
pub fn parse_peer_urls(urls: &[String]) -> Result<Vec<String>, String> {
    if urls.is_empty() {
        return Err("no valid URLs given".to_owned());
    }
    let mut sorted = Vec::with_capacity(urls.len());
    for url in urls {
        flags::parse_url(url).map_err(|error| error.reason)?;
        sorted.push(url.trim().to_owned());
    }
    sorted.sort_unstable();
    Ok(sorted)
}

impl Server {
    /// Adds a member with these URLs (see [`parse_peer_urls`]). Returns it, and all members after it.
    ///
    /// # Errors
    /// `NotEnoughStarted`, `Unhealthy`; `MemberExists`, `PeerUrlExists`, `TooManyLearners`; as [`Server::propose`].
    pub async fn add_member(
        &self,
        peer_urls: &[String],
        standing: Standing,
    ) -> Result<(Member, Vec<Member>), ApiError> {
        let since_1970 = self.clock.wall().duration_since(std::time::UNIX_EPOCH);
        let now = since_1970.unwrap_or_default().as_secs();
        let is_learner = standing == Standing::Learner;
        let member = Member { is_learner, ..Member::new("", peer_urls, "", Some(now)) };
        self.judge_add(standing).inspect_err(|error| {
            tracing::warn!(member = %member.id, ?peer_urls, %error, "rejecting member add request");
        })?;
        let kind = match standing {
            Standing::Voter => ConfChangeType::ConfChangeAddNode,
            Standing::Learner => ConfChangeType::ConfChangeAddLearnerNode,
        };
        let members = self.change(kind, member.id, Some(member.to_json())).await?;
        Ok((member, members))
    }

    fn judge_add(&self, standing: Standing) -> Result<(), ApiError> {
        if !self.settings.strict_reconfig {
            return Ok(());
        }
        let voters = self.membership.voters();
        if standing == Standing::Voter && !rules::may_add_voter(&voters) {
            return Err(ApiError::NotEnoughStarted);
        }
        if self.connected_long_enough(&voters) == voters.len() {
            Ok(())
        } else {
            Err(ApiError::Unhealthy)
        }
    }

    /// Removes a member for good; its id is never used again. Returns the members left.
    ///
    /// # Errors
    /// `NotEnoughStarted`, `Unhealthy`; `MemberNotFound`; as [`Server::propose`].
    pub async fn remove_member(&self, id: MemberId) -> Result<Vec<Member>, ApiError> {
        self.judge_remove(id).inspect_err(|error| {
            tracing::warn!(member = %id, %error, "rejecting member remove request");
        })?;
        self.change(ConfChangeType::ConfChangeRemoveNode, id, None).await
    }

    fn judge_remove(&self, id: MemberId) -> Result<(), ApiError> {
        if !self.settings.strict_reconfig || self.membership.is_learner(id) {
            return Ok(());
        }
        let voters = self.membership.voters();
        if !rules::may_remove_voter(&voters, id) {
            return Err(ApiError::NotEnoughStarted);
        }
        let transport = self.transport.get();
        let active = transport.and_then(|transport| transport.active_since(id));
        // A member that is down is no part of the quorum that works.
        if id != self.member && active.is_none() {
            return Ok(());
        }
        if rules::leaves_quorum(voters.len(), self.connected_long_enough(&voters)) {
            Ok(())
        } else {
            Err(ApiError::Unhealthy)
        }
    }

    /// Gives a member other peer URLs (see [`parse_peer_urls`]). Returns the members after it.
    ///
    /// # Errors
    /// `MemberNotFound`, `PeerUrlExists`; as [`Server::propose`].
    pub async fn update_member(
        &self,
        id: MemberId,
        peer_urls: Vec<String>,
    ) -> Result<Vec<Member>, ApiError> {
        // Whoever applies this takes the learner flag from it, too.
        let is_learner = self.membership.is_learner(id);
        let member = Member { id, peer_urls, is_learner, ..Member::default() };
        self.change(ConfChangeType::ConfChangeUpdateNode, id, Some(member.to_json())).await
    }

    async fn change(
        &self,
        kind: ConfChangeType,
        id: MemberId,
        context: Option<String>,
    ) -> Result<Vec<Member>, ApiError> {
        let change = ConfChange {
            r#type: kind.into(),
            node_id: id.get(),
            context: context.map(Into::into),
            ..ConfChange::default()
        };
        let members = self.propose_conf_change(change).await?;
        let change = kind.as_str_name();
        tracing::info!(change, member = %id, "applied a configuration change through raft");
        Ok(members)
    }

    /// How many of these members, this one among them, have been connected for [`HEALTH_INTERVAL`].
    fn connected_long_enough(&self, members: &[Member]) -> usize {
        let Some(since) = self.clock.now().checked_sub(HEALTH_INTERVAL) else { return 0 };
        let connected =
            |member: &&Member| member.id == self.member || self.connected_since(since, member.id);
        members.iter().filter(connected).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_urls_are_trimmed_sorted_and_checked_with_etcds_words() {
        let parse = |urls: &[&str]| {
            parse_peer_urls(&urls.iter().map(|&url| url.to_owned()).collect::<Vec<_>>())
        };
        let sorted = parse(&[" http://b:2", "http://a:1 "]).unwrap();
        assert_eq!(sorted, ["http://a:1", "http://b:2"]);
        for (urls, reason) in [
            (&[][..], "no valid URLs given"),
            (&["ftp://a:1"][..], "URL scheme must be http, https, unix, or unixs: ftp://a:1"),
            (&["http://a:1/x"][..], "URL must not contain a path: http://a:1/x"),
            (
                &["http://ok:1", "http://a"][..],
                "URL address does not have the form \"host:port\": http://a",
            ),
        ] {
            assert_eq!(parse(urls).unwrap_err(), reason);
        }
    }
}
