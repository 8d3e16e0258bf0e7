//! The tracker as a whole.
