//! The domain: types and decisions without IO. Nothing here may use the database, tokio or the clock.

pub mod address;
pub mod connectors;
pub mod frequency;
pub mod machine;
pub mod missed;
pub mod project;
pub mod quantity;
pub mod release;
pub mod settings;
pub mod slot;
pub mod state;
pub mod task;
pub mod version;
pub mod webhook;
