//! The model of fencing, decision and membership, with the decision code of production (docs/decisions/0007).

mod attempt;
mod evidence;
mod explorer;
mod scenario;
mod symmetry;
#[cfg(test)]
mod tests;
mod world;
