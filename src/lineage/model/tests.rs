//! Production's rules hold in every state of the small scenarios; and each rule, broken, is found out.

use stateright::{Checker, HasDiscoveries, Model};

use crate::{
    evidence::Broken,
    explorer::{
        Action::{
            self, Abort, Accept, Begin, Change, Choose, Elect, Fence, LearnAbort, LoseDisk,
            Replicate, Write,
        },
        DECLARED, EPOCHS, Explorer, ONE_LINEAGE, RAFT,
    },
    scenario::{CALM, FIVE, FOUR, Scenario, THREE, small, voters},
    symmetry::representative,
    world::{Budget, each},
};

const ALWAYS: [&str; 4] = [ONE_LINEAGE, DECLARED, EPOCHS, RAFT];

/// Every state of it, one thread: the machine is shared.
fn explore(scenario: &Scenario) {
    let checker = scenario.explorer.clone().checker().threads(1);
    let checker = checker.symmetry_fn(representative).spawn_dfs().join();
    for property in ALWAYS {
        if let Some(path) = checker.discovery(property) {
            panic!("{}: not so: {property}\n{:#?}", scenario.name, path.into_actions());
        }
    }
    for goal in scenario.reached {
        assert!(checker.discovery(goal).is_some(), "{}: never {goal}", scenario.name);
    }
    println!("{}: {} states", scenario.name, checker.unique_state_count());
}

fn named(name: &str) -> Scenario {
    let scenario = small().into_iter().find(|scenario| scenario.name == name);
    scenario.unwrap_or_else(|| panic!("there is no scenario {name}"))
}

/// The broken rule must lead to a state where the property does not hold. That it is the rule that does it, and not the
/// ground, is shown by the scenario's own test, which explores the same ground with the rule kept.
fn breaks_in(name: &str, broken: Broken, property: &'static str) {
    breaks(named(name).explorer, broken, property);
}

/// The same on a ground of its own, explored here with the rule kept first.
fn breaks_on(explorer: Explorer, broken: Broken, property: &'static str) {
    explore(&Scenario { name: "the rule kept", explorer: explorer.clone(), reached: &[] });
    breaks(explorer, broken, property);
}

fn breaks(explorer: Explorer, broken: Broken, property: &'static str) {
    let checker = explorer.breaking(broken).checker().threads(1);
    let checker = checker.finish_when(HasDiscoveries::AnyFailures).symmetry_fn(representative);
    let checker = checker.spawn_dfs().join();
    let path = checker.discovery(property);
    let path = path.unwrap_or_else(|| panic!("{broken:?} broken, and nobody saw: {property}"));
    println!("{broken:?}: {} steps to: not {property}", path.into_actions().len());
}

macro_rules! scenarios {
    ($($test:ident: $name:literal;)*) => {
        $(#[test]
        fn $test() {
            explore(&named($name));
        })*

        #[test]
        fn every_small_scenario_has_a_test() {
            let named = [$($name),*];
            for scenario in small() {
                assert!(named.contains(&scenario.name), "{} is not tested", scenario.name);
            }
        }
    };
}

scenarios! {
    three_hosts_that_lose_disks_never_split: "disks-lost";
    one_of_two_with_its_log_loses_nothing: "half-of-two";
    a_restored_disk_is_told_by_its_marks: "disk-restored";
    a_restored_disk_without_marks_is_not_called_whole: "disk-restored-unmarked";
    two_control_groups_open_one_lineage: "rivals";
    an_agent_that_lost_its_record_counts_nowhere: "rivals-agent-lost";
    an_agent_with_an_old_record_needs_the_others: "rivals-agent-restored";
    a_change_behind_our_back_is_seen: "member-added-or-removed";
    confirmed_hosts_stay_off_in_every_attempt: "confirmed-off";
    impatient_agents_endanger_nothing: "impatient-agents";
}

#[test]
fn silence_taken_for_death_splits() {
    breaks_in("rivals", Broken::SilenceIsDeath, ONE_LINEAGE); // R1
}

#[test]
fn deciding_without_a_majority_splits() {
    let ground = voters(FOUR, 0, CALM).entries(0, 1).rivals();
    breaks_on(ground, Broken::BlockingIsEnough, ONE_LINEAGE);
}

#[test]
fn the_longest_log_is_not_the_best() {
    // Host 0 wrote more than it could replicate; the others went on without it.
    let prelude = vec![
        Write { leader: 0 },
        Write { leader: 0 },
        Elect { leader: 1, others: 0b1100 },
        Write { leader: 1 },
        Replicate { leader: 1, follower: 2 },
        Replicate { leader: 1, follower: 3 },
    ];
    let ground = voters(FOUR, 0, Budget { lost_disks: 2, ..CALM }).after(prelude);
    breaks_on(ground, Broken::SeedByLength, DECLARED);
}

#[test]
fn an_uncommitted_change_left_out_hides_who_votes() {
    breaks_in("member-added-or-removed", Broken::CommittedOnly, DECLARED);
}

#[test]
fn voters_nobody_vouches_for_may_be_out_of_date() {
    // Host 0 was away while the others replaced each other by host 3.
    let mut prelude = Vec::new();
    for (voters, followers) in
        [(0b1111, 0b0010), (0b1110, 0b1010), (0b1100, 0b1000), (0b1000, 0b1000)]
    {
        prelude.push(Change { leader: 2, voters });
        prelude.extend(each(followers).map(|follower| Replicate { leader: 2, follower }));
    }
    let (coordinator, leader) = (0, 3);
    prelude.extend([
        Elect { leader, others: 0b0100 },
        Write { leader },
        Replicate { leader, follower: 2 },
        Begin { coordinator, epoch: 2 },
        Fence { coordinator, host: 0 },
    ]);
    let budget = Budget { changes: 4, confirmed_off: 2, ..CALM };
    let ground = voters(THREE, 1, budget).entries(6, 2).led_by(2).after(prelude);
    breaks_on(ground, Broken::NoFreshnessProof, ONE_LINEAGE);
}

#[test]
fn a_promise_forgotten_splits() {
    breaks_in("rivals-agent-restored", Broken::ForgottenPromises, ONE_LINEAGE);
}

#[test]
fn counting_an_agent_without_a_record_splits() {
    breaks_in("rivals-agent-lost", Broken::AmnesiacCounts, ONE_LINEAGE);
}

#[test]
fn counting_an_agent_with_an_old_record_splits() {
    breaks_in("rivals-agent-restored", Broken::RestoredAgentCounts, ONE_LINEAGE); // R17
}

#[test]
fn starting_by_an_old_record_splits() {
    breaks_in("rivals-agent-restored", Broken::RestoredAgentStarts, ONE_LINEAGE); // R17
}

#[test]
fn a_stale_log_loses_what_was_acknowledged() {
    breaks_in("disk-restored", Broken::StaleLogCounts, DECLARED); // R17
}

#[test]
fn marks_that_lag_prove_nothing() {
    breaks_in("disk-restored-unmarked", Broken::MarksProveWhole, DECLARED); // R18
}

#[test]
fn an_image_that_changed_since_it_was_chosen_loses_more() {
    breaks_in("disk-restored", Broken::ImageUnchecked, DECLARED); // R18
}

#[test]
fn giving_up_what_was_adopted_splits() {
    breaks_in("rivals", Broken::AdoptedIsAborted, ONE_LINEAGE);
}

#[test]
fn an_epoch_without_its_author_splits() {
    breaks_in("rivals", Broken::EpochsWithoutAuthor, ONE_LINEAGE);
}

#[test]
fn adopting_nothing_splits() {
    breaks_in("rivals", Broken::NothingIsAdopted, ONE_LINEAGE);
}

#[test]
fn a_tail_of_an_older_term_is_not_kept_for_sure() {
    breaks_in("disks-lost", Broken::TailIsKept, DECLARED); // R18
}

/// Of five, host 3 leads; hosts 0 to 2 promised, host 2 without its disk; host 0's log is chosen.
fn a_choice_of_three_among_five() -> Vec<Action> {
    let coordinator = 0;
    vec![
        Begin { coordinator, epoch: 2 },
        LoseDisk { host: 2 },
        Fence { coordinator, host: 0 },
        Fence { coordinator, host: 1 },
        Fence { coordinator, host: 2 },
        Choose { coordinator },
    ]
}

#[test]
fn accepting_what_was_given_up_loses_what_came_between() {
    let ground = voters(FIVE, 0, Budget { lost_disks: 1, ..CALM }).entries(1, 1).led_by(3);
    let ground = ground.impatient().after(a_choice_of_three_among_five());
    breaks_on(ground, Broken::AbortedIsAccepted, DECLARED);
}

#[test]
fn a_bound_declared_before_an_abort_is_out_of_date() {
    let (coordinator, host) = (0, 1);
    let mut prelude = a_choice_of_three_among_five();
    prelude.extend([
        Accept { coordinator, host: 0 },
        Abort { coordinator },
        LearnAbort { coordinator, host },
        Begin { coordinator: 1, epoch: 3 },
    ]);
    let budget = Budget { lost_disks: 1, aborts: 1, ..CALM };
    let ground = voters(FIVE, 0, budget).entries(1, 1).led_by(3).rivals().after(prelude);
    breaks_on(ground, Broken::AdoptedLossStands, DECLARED);
}
