//! Who may know what.
//!
//! **Sharing knows no sensor, no rule and no network; it cannot make a situation, only make less of one.**
