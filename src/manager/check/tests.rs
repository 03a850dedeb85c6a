//! For each rule a plan that breaks it.
