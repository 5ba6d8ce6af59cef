//! What requests about destinations hold.

use poem_openapi::{Object, types::Example};
use serde_json::json;

use crate::{
    document::Document,
    routes::connections::{request::Given, test},
};

/// A destination that is made or replaced.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Destination", example)]
pub struct DestinationBody {
    /// Unique among the destinations of the project; 1 to 200 characters.
    pub name: String,
    /// What is written, as `parquet` or `iceberg`.
    #[oai(rename = "type")]
    pub connector_type: String,
    /// The version of the connectors that write it, as `v0.9.4`; v0.2.1 is the oldest.
    pub version: String,
    /// What the destination's spec asks for. Secrets may be given as the `sealed:` tokens that a read shows.
    pub config: Document,
}

impl Example for DestinationBody {
    fn example() -> Self {
        Self {
            name: "lake".to_owned(),
            connector_type: "parquet".to_owned(),
            version: "v0.9.4".to_owned(),
            config: config(),
        }
    }
}

/// A destination's config that is tested.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct DestinationTest {
    /// What is written, as `parquet` or `iceberg`.
    #[oai(rename = "type")]
    pub connector_type: String,
    /// The version of the connectors that write it, as `v0.9.4`.
    pub version: String,
    /// What the destination's spec asks for. Secrets may be given as the `sealed:` tokens that a read shows.
    pub config: Document,
    /// The source whose connector runs the test; absent or empty: any that writes this destination.
    #[oai(skip_serializing_if_is_none)]
    pub source_type: Option<String>,
    /// The version of that source; absent or empty: `version`.
    #[oai(skip_serializing_if_is_none)]
    pub source_version: Option<String>,
}

impl Example for DestinationTest {
    fn example() -> Self {
        Self {
            connector_type: "parquet".to_owned(),
            version: "v0.9.4".to_owned(),
            config: config(),
            source_type: None,
            source_version: None,
        }
    }
}

fn config() -> Document {
    Document::native(json!({
        "type": "PARQUET",
        "writer": {"s3_bucket": "lake", "s3_region": "eu-central-1", "s3_path": "/olake"},
    }))
}

impl From<DestinationBody> for Given {
    fn from(body: DestinationBody) -> Self {
        Self {
            name: body.name,
            connector_type: body.connector_type,
            version: body.version,
            config: body.config,
        }
    }
}

impl From<DestinationTest> for test::Given {
    fn from(body: DestinationTest) -> Self {
        Self {
            connector_type: body.connector_type,
            version: body.version,
            config: body.config,
            source_type: body.source_type,
            source_version: body.source_version,
        }
    }
}
