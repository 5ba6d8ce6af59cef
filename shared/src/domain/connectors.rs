//! The connectors that there are, whether a worker runs them or not.

/// The types of sources. Each is an image, or a program, of its own.
pub const SOURCES: [&str; 8] = ["mysql", "postgres", "oracle", "mongodb", "kafka", "s3", "db2", "mssql"];

/// The types of destinations. Every source's image writes them.
pub const DESTINATIONS: [&str; 2] = ["parquet", "iceberg"];
