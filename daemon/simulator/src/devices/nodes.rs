//! placeholder until the node's API is there
