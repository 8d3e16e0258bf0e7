//! Node frames: framing, authentication, windows. Pure; keys are passed in.
