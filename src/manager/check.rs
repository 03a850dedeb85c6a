//! Judges a plan by the safety rules before anything of it is carried out. One function per rule; none decides what to do.
