//! Errors of the state machine as gRPC statuses.

use state::ApiError;
use tonic::{Code, Status};

/// The status that carries this error's code and text.
pub(super) fn refuse(error: &ApiError) -> Status {
    Status::new(Code::from_i32(error.code()), error.to_string())
}
