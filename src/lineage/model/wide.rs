//! Larger scenarios, for a machine that has the time: minutes to an hour each.

use crate::{
    explorer::{ADOPTED, ANY, BOUND, NO_LOSS},
    scenario::{CALM, FIVE, FOUR, Scenario, THREE, TWO, voters},
    world::Budget,
};

/// All of them.
pub(crate) fn wide() -> Vec<Scenario> {
    let scenario = |name, reached, explorer| Scenario { name, explorer, reached };
    let lost = |lost_disks| Budget { lost_disks, ..CALM };
    vec![
        scenario(
            "rivals-two-terms",
            &[ANY, ADOPTED],
            voters(THREE, 0, Budget { aborts: 1, ..lost(1) }).rivals(),
        ),
        scenario(
            "rivals-everything-once",
            &[ANY, ADOPTED],
            voters(THREE, 0, Budget { lost_agents: 1, restored_agents: 1, aborts: 1, ..lost(1) })
                .entries(1, 1)
                .rivals(),
        ),
        scenario("four-voters", &[NO_LOSS], voters(FOUR, 0, lost(2)).entries(2, 2)),
        scenario("four-voters-rivals", &[ANY], voters(FOUR, 0, lost(2)).entries(1, 1).rivals()),
        scenario("five-voters", &[BOUND], voters(FIVE, 0, lost(3)).entries(1, 1)),
        scenario(
            "three-and-a-spare",
            &[ANY],
            voters(THREE, 1, Budget { changes: 2, ..lost(2) }).entries(3, 1),
        ),
        scenario(
            "confirmed-off-while-members-change",
            &[ANY],
            voters(THREE, 1, Budget { changes: 2, confirmed_off: 2, ..CALM }).entries(3, 1),
        ),
        scenario(
            "two-and-two-spares",
            &[ANY],
            voters(TWO, 2, Budget { changes: 3, ..lost(1) }).entries(4, 1),
        ),
    ]
}
