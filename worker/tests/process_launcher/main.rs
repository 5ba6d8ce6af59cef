//! The process launcher with its supervisor, on connectors that are small shell scripts.
//!
//! Everything is real: processes, signals, locks, pipes. Tests wait for what they expect to see, with a deadline.

mod ends;
mod guard;
mod inputs;
mod output;
mod support;
mod zz_latency;
