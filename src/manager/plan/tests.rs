//! Plans: the start table by enumeration, and stories of a cluster as plans kept for review.

mod changes;
mod lifetimes;
mod model;
mod random;
mod stories;
mod totality;
mod verbs;
mod zones;
