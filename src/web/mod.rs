//! The box in a browser and for programs: HTTPS, sign-in, the API, the page.
//!
//! A request is decoded, a room is called, its answer is encoded. Nothing is decided here about footage or keys, and
//! nothing here could open footage. [`start`] serves on threads of its own until [`Running::stop`].

mod claim;
mod cookies;
mod disks;
mod error;
pub mod footage;
mod guard;
mod holds;
mod house;
mod live;
mod log;
pub mod metrics;
mod openapi;
mod page;
mod range;
mod recorder;
mod routes;
mod segments;
mod server;
mod sign_in;
mod streams;
mod timeline;
pub mod tls;

pub use openapi::Api;
pub use recorder::{RecorderFootage, Recording};
pub use server::{Error, Parts, Running, start};
