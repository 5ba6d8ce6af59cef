//! What sources and destinations share: they have the same fields and the same rules.
//!
//! - [`request`]: what a request may hold, and what of it is refused;
//! - [`known`]: which connectors the live workers run;
//! - [`item`]: what an answer shows;
//! - [`create`], [`list`], [`get`], [`update`], [`delete`], [`test`], [`spec`],
//!   [`versions`]: one operation each.
//!
//! An operation takes the side ([`olake_shared::store::connections::Side`]); `sources` and `destinations` give it.

pub mod create;
pub mod delete;
pub mod get;
pub mod item;
pub mod known;
pub mod list;
pub mod request;
pub mod spec;
pub mod test;
pub mod update;
pub mod versions;
