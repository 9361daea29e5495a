//! Real file systems, unmounted under a running recorder.
