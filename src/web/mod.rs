//! HTTPS.

pub mod tls;
