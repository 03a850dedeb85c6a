//! Changes of membership, one at a time and only beside healthy voters (R5): what is ill leaves first, then lost members
//! are replaced, new ones join as learners, URLs move, and what the spec dropped leaves, the leader last.

use super::{
    action::Action,
    membership::{self, Surplus},
    moves,
    note::{Note, NoteKind, Rule},
    observation::Fact,
    restart,
    survey::Survey,
    table::{Outcome, Pending},
    world::World,
    zones,
};
use crate::spec::NodeSpec;

const AWAITED: &str = "a learner counts once it follows its leader";

const LOST: &str = "its data is lost or broken, and the others are healthy";
const RENEWED: &str = "the spec counts its incarnation up: the member is given up for a new one";

/// Plans them. Stops at the first that has to wait.
pub(super) fn changes(survey: &Survey<'_>, world: &mut World) {
    // The first that has to wait has said so: nothing after it is planned.
    let _: Option<()> = in_order(survey, world);
}

/// Refuses a spec that would replace most voters at once: more likely the wrong file than a wish.
pub(super) fn overhaul(survey: &Survey<'_>) -> Option<Note> {
    let members = survey.observation.members.known()?;
    let surplus = membership::surplus(survey);
    let voter = |it: &&Surplus<'_>| it.listed.is_some_and(|member| !member.learner);
    let leaving = surplus.iter().filter(voter).count();
    let voters = members.iter().filter(|member| !member.learner).count();
    let joins = survey.with(|outcome| outcome == Outcome::Join).len();
    let kept =
        survey.spec.nodes.iter().any(|node| membership::listed(survey, &node.name).is_some());
    let most = leaving > voters / 2;
    (leaving > 0 && ((most && joins > 0) || !kept)).then(|| Note {
        kind: NoteKind::Refused,
        rule: Some(Rule(6)),
        node: None,
        text: format!("the spec replaces {leaving} of {voters} voters at once"),
        remedy: "see that it is this cluster's spec; replace members in several applies, fewer than half at a time"
            .to_owned(),
    })
}

fn in_order(survey: &Survey<'_>, world: &mut World) -> Option<()> {
    if survey.observation.members.known().is_none() {
        return unknown(survey, world);
    }
    let surplus = membership::surplus(survey);
    in_flight(survey, world, &surplus)?;
    let finished = moves::finish(survey, world);
    for gone in surplus.iter().filter(|it| it.listed.is_none()) {
        put_away(
            survey,
            world,
            gone.node,
            "the cluster no longer lists it, and the spec does not name it",
        );
    }
    let healthy = |world: &World, it: &Surplus<'_>| world.is_healthy(it.node);
    // Learners have left already.
    let votes = |it: &&Surplus<'_>| it.listed.is_some_and(|member| !member.learner);
    let mut leaving: Vec<&Surplus<'_>> = surplus.iter().filter(votes).collect();
    let leader = survey.leader();
    leaving.sort_by_key(|it| (healthy(world, it), Some(it.node) == leader));
    let (ill, well): (Vec<_>, Vec<_>) = leaving.into_iter().partition(|it| !healthy(world, it));
    for it in ill {
        remove(survey, world, it)?;
    }
    for node in survey.with(|outcome| outcome == Outcome::Replace) {
        replace(survey, world, node)?;
    }
    for node in survey.with(|outcome| outcome == Outcome::Rejoin) {
        archive(world, &node.name, "what it holds is of a member that the cluster no longer lists");
        join(survey, world, node)?;
    }
    // A node that takes the place of one that leaves has to wait for its URLs.
    let (mut early, mut late): (Vec<_>, Vec<_>) = (Vec::new(), well);
    let joins = survey.with(|outcome| outcome == Outcome::Join);
    for node in zones::growth_order(survey, joins) {
        let holds = |it: &&Surplus<'_>| it.listed.is_some_and(|member| shares_url(member, node));
        early.extend(late.extract_if(.., |it| holds(&&**it)));
        for it in early.drain(..) {
            remove(survey, world, it)?;
        }
        join(survey, world, node)?;
    }
    moves::begin(survey, world, finished)?;
    for it in late {
        not_below_the_spec(survey, world, it)?;
        remove(survey, world, it)?;
    }
    Some(())
}

/// What is well leaves only when the cluster is as large as the spec wants it without it: a node that is kept from
/// joining must not cost what the cluster survives.
fn not_below_the_spec(survey: &Survey<'_>, world: &mut World, it: &Surplus<'_>) -> Option<()> {
    let wanted = i64::try_from(survey.spec.nodes.len()).unwrap_or(i64::MAX);
    if world.voters() > wanted {
        return Some(());
    }
    let text = format!(
        "it leaves once all {wanted} nodes of the spec have a vote: {} have, itself included",
        world.voters()
    );
    world.notes.push(wait(Some(it.node), text));
    None
}

fn shares_url(member: &super::Member, node: &NodeSpec) -> bool {
    member.peer_urls.iter().any(|url| node.advertise_peer_urls.contains(url))
}

/// Without a quorum's word nothing is changed; it is said only where something would be.
fn unknown(survey: &Survey<'_>, world: &mut World) -> Option<()> {
    let dropped = membership::surplus(survey);
    let named = dropped.first()?;
    world.notes.push(wait(
        Some(named.node),
        "the spec no longer names it, and no quorum answers to take it out".to_owned(),
    ));
    None
}

/// R5: what was begun is finished before anything else is.
fn in_flight(survey: &Survey<'_>, world: &mut World, surplus: &[Surplus<'_>]) -> Option<()> {
    for stranger in membership::strangers(survey) {
        if stranger.learner || stranger.client_urls.is_empty() {
            let text = format!(
                "member {} at {} is being added by somebody else",
                stranger.id,
                stranger.peer_urls.join(",")
            );
            world.notes.push(wait(None, text));
            return None;
        }
    }
    for it in surplus.iter().filter(|it| it.listed.is_some_and(|member| member.learner)) {
        remove(survey, world, it)?;
    }
    for node in &survey.spec.nodes {
        let Some(member) = membership::listed(survey, &node.name) else { continue };
        if !member.learner || survey.outcome(&node.name) == Some(Outcome::Replace) {
            continue;
        }
        let runs = [Outcome::Keep, Outcome::Restart, Outcome::StartOwn, Outcome::StartJoin];
        let is_coming = survey.outcome(&node.name).is_some_and(|outcome| {
            // One that runs and does not keep up has its limit in the step.
            let pending = [Pending::Starting, Pending::NotHealthy, Pending::HealthUnknown];
            runs.contains(&outcome) || pending.map(Outcome::Wait).contains(&outcome)
        });
        if !is_coming {
            return None;
        }
        promote(survey, world, node)?;
    }
    Some(())
}

fn promote(survey: &Survey<'_>, world: &mut World, node: &NodeSpec) -> Option<()> {
    permitted(survey, world, &node.name)?;
    world.step(
        Action::Promote { node: node.name.clone() },
        "once it keeps up, its vote makes the cluster survive more",
    );
    Some(())
}

/// Learner, first start, vote.
fn join(survey: &Survey<'_>, world: &mut World, node: &NodeSpec) -> Option<()> {
    permitted(survey, world, &node.name)?;
    let name = node.name.clone();
    let peer_urls = node.advertise_peer_urls.clone();
    let action = Action::AddLearner { node: name.clone(), peer_urls };
    world.step(action, "the spec names it, and the cluster does not list it");
    world.step(Action::StartNode { node: name.clone() }, "the cluster waits for its first start");
    world.step(Action::AwaitHealthy { nodes: vec![name] }, AWAITED);
    promote(survey, world, node)
}

/// R17: a member that lost what it had acknowledged must not vote again under its id.
fn replace(survey: &Survey<'_>, world: &mut World, node: &NodeSpec) -> Option<()> {
    let Some(member) = membership::listed(survey, &node.name) else {
        let text = "another member has its name or its peer URLs".to_owned();
        let remedy = "give it a name and URLs of its own, or remove that member with `etcdctl member remove`";
        let note = wait(Some(&node.name), text);
        world.notes.push(Note { kind: NoteKind::Blocked, remedy: remedy.to_owned(), ..note });
        return None;
    };
    let surplus = Surplus { node: &node.name, id: member.id, listed: Some(member) };
    permitted(survey, world, &node.name)?;
    let (why, then) = if survey.is_renewed(&node.name) {
        (RENEWED, "its data is kept there, and it begins anew")
    } else {
        (LOST, "what is left of its data is kept, and it begins anew")
    };
    leave(survey, world, &surplus, why)?;
    archive(world, &node.name, then);
    join(survey, world, node)
}

fn remove(survey: &Survey<'_>, world: &mut World, it: &Surplus<'_>) -> Option<()> {
    permitted(survey, world, it.node)?;
    leave(survey, world, it, "the spec no longer names it")?;
    put_away(survey, world, it.node, "it is no member any more");
    Some(())
}

/// R6: what is left has its quorum; a leader hands over first (R11).
fn leave(survey: &Survey<'_>, world: &mut World, it: &Surplus<'_>, why: &str) -> Option<()> {
    let voter = it.listed.is_some_and(|member| !member.learner);
    let others = world.healthy().iter().filter(|name| name.as_str() != it.node).count();
    let left = world.voters() - i64::from(voter);
    if voter && i64::try_from(others).unwrap_or(0) < left / 2 + 1 {
        let text = format!("taking it out would leave {left} voters, {others} of them healthy");
        world.notes.push(Note { rule: Some(Rule(6)), ..wait(Some(it.node), text) });
        return None;
    }
    restart::hand_over(survey, world, it.node, &|other| {
        other != it.node && survey.spec.node(other).is_some()
    });
    let (node, member) = (it.node.to_owned(), it.id.to_string());
    world.step(Action::RemoveMember { node, member }, why);
    Some(())
}

/// What is known of a silent host's process and dirs is nothing: that waits, and nothing waits for it.
fn put_away(survey: &Survey<'_>, world: &mut World, node: &str, why: &str) {
    let unknown = match survey.observation.node(node).map(|seen| &seen.process) {
        Some(Fact::Known(_)) => return archive(world, node, why),
        Some(Fact::Unknown(reason)) => reason.as_str(),
        None => "its agent does not answer",
    };
    let text = format!("{why}: its data is put away once its host answers ({unknown})");
    world.notes.push(wait(Some(node), text));
}

fn archive(world: &mut World, node: &str, why: &str) {
    world.step(Action::Archive { node: node.to_owned() }, why);
}

/// R5: all voters but the one that it is about are healthy.
pub(super) fn permitted(survey: &Survey<'_>, world: &mut World, target: &str) -> Option<()> {
    let healthy = i64::try_from(world.healthy().len()).unwrap_or(i64::MAX);
    let is_voter = membership::listed(survey, target).is_some_and(|member| !member.learner);
    let excused = i64::from(is_voter && !world.is_healthy(target));
    let ill = world.voters() - healthy - excused;
    if ill <= 0 {
        return Some(());
    }
    let text = match ill {
        1 => "its change of membership waits until the voter that is not healthy is".to_owned(),
        _ => format!("its change of membership waits until {ill} voters that are not healthy are"),
    };
    world.notes.push(wait(Some(target), text));
    None
}

fn wait(node: Option<&str>, text: String) -> Note {
    Note {
        kind: NoteKind::Wait,
        rule: Some(Rule(5)),
        node: node.map(str::to_owned),
        text,
        remedy: String::new(),
    }
}
