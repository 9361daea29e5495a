//! Stand-in until the keys half is merged.
/// An identity.
pub struct Identity;
