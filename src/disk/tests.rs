//! The same behaviour of both disks.
