//! Tests of reader and writer together.
