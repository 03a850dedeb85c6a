//! What every other crate shares: identifiers, the clock, limits, error chains and the table of etcd's flags. No IO.

mod clock;
mod error;
pub mod flags;
mod ids;
pub mod limits;

pub use clock::{Clock, SystemClock};
pub use error::ErrorChain;
pub use ids::{ClusterId, Epoch, Index, MemberId, ParseIdError, Revision, Term};
