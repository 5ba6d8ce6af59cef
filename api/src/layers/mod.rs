//! What happens to every request before and after its handler; `app.rs` stacks these.
//!
//! - [`request_id`]: gives each request an id, in the answer and in every line of the log;
//! - [`access_log`]: one line for each request, without the query string;
//! - [`host`]: which names the server answers to;
//! - [`cors`]: which origins' pages may call the server;
//! - [`errors`]: whatever goes wrong is answered in the envelope;
//! - [`body_limit`]: how large a body may be;
//! - [`lists`]: tags for lists that are polled;
//! - [`compression`]: whose answers are compressed;
//! - [`boxed`]: keeps the stack of all these shallow.

pub mod access_log;
pub mod body_limit;
pub mod boxed;
pub mod compression;
pub mod cors;
pub mod errors;
pub mod host;
pub mod lists;
pub mod request_id;
