//! `hearthkeep disk`, with a running recorder and without one.
