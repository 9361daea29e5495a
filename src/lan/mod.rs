//! The word of the box in the local network: multicast DNS (RFC 6762) with DNS-SD (RFC 6763), so that it is found by name.
//!
//! [`Announcement`] is what is told; [`Announcing`] tells it for as long as it is held. Whatever is in the network may send
//! to the socket that this needs, and its library remembers some of what it hears without a bound. So what listens there
//! is a process of its own ([`respond`]) that is given no key, may take little memory and runs behind the recorder: what a flood
//! makes it do is to die, and it is started again.

mod announcement;
mod announcing;
mod responder;

pub use announcement::{Announcement, Silence};
pub use announcing::Announcing;
pub use responder::{Error, respond};
