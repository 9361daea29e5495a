//! Hearthkeep.
fn main() {}
