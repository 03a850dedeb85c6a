//! placeholder
pub mod peer;
