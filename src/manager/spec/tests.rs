//! Good and bad specs.
