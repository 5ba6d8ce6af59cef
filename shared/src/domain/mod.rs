//! The domain: types and decisions without IO. Nothing here may use the database, tokio or the clock.

pub mod frequency;
pub mod machine;
pub mod project;
pub mod settings;
pub mod slot;
pub mod task;
pub mod version;
