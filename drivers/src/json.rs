//! JSON by pointer to any reading.
