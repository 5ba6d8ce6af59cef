//! What the web UI needs, as tables: [`rows`] says what every answer must be like, [`connector`] is the connector that the
//! tests run, [`exchange`] one request with its answer, [`form`] how values are looked at.

pub mod connector;
pub mod exchange;
pub mod form;
pub mod rows;
