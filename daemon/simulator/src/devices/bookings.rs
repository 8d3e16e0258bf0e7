//! placeholder until the reference format is there
