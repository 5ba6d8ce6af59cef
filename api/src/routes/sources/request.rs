//! What requests about sources hold.

use poem_openapi::{Object, types::Example};
use serde_json::json;

use crate::{
    document::Document,
    routes::connections::{request::Given, test},
};

/// A source that is made or replaced.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Source", example)]
pub struct SourceBody {
    /// Unique among the sources of the project; 1 to 200 characters.
    pub name: String,
    /// The connector's type.
    #[oai(rename = "type")]
    pub connector_type: String,
    /// The connector's version, as `v0.9.4`; v0.2.1 is the oldest.
    pub version: String,
    /// What the connector's spec asks for. Secrets may be given as the `sealed:` tokens that a read shows.
    pub config: Document,
}

impl Example for SourceBody {
    fn example() -> Self {
        Self {
            name: "shop database".to_owned(),
            connector_type: "postgres".to_owned(),
            version: "v0.9.4".to_owned(),
            config: config(),
        }
    }
}

/// A source's config that is tested.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct SourceTest {
    /// The connector's type.
    #[oai(rename = "type")]
    pub connector_type: String,
    /// The connector's version, as `v0.9.4`.
    pub version: String,
    /// What the connector's spec asks for. Secrets may be given as the `sealed:` tokens that a read shows.
    pub config: Document,
}

impl Example for SourceTest {
    fn example() -> Self {
        Self { connector_type: "postgres".to_owned(), version: "v0.9.4".to_owned(), config: config() }
    }
}

/// A source whose streams are listed.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct SourceStreams {
    /// The connector's type.
    #[oai(rename = "type")]
    pub connector_type: String,
    /// The connector's version, as `v0.9.4`.
    pub version: String,
    /// What the connector's spec asks for. Secrets may be given as the `sealed:` tokens that a read shows.
    pub config: Document,
    /// How many threads the connector may use for it, 1 to 1000; absent: its own default.
    #[oai(skip_serializing_if_is_none)]
    pub max_discover_threads: Option<i64>,
    /// A job whose selections the connector merges into what it finds; absent, or not above 0: none.
    #[oai(skip_serializing_if_is_none)]
    pub job_id: Option<i64>,
    /// The job's name, from which the connector makes the names of destination databases; absent: that of `job_id`.
    #[oai(skip_serializing_if_is_none)]
    pub job_name: Option<String>,
}

impl Example for SourceStreams {
    fn example() -> Self {
        let SourceTest { connector_type, version, config } = SourceTest::example();
        Self { connector_type, version, config, max_discover_threads: None, job_id: None, job_name: None }
    }
}

/// A source whose streams are listed by a GET: `type` and `version` may come in the query instead.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct StreamsOfGet {
    /// The connector's type.
    #[oai(rename = "type", skip_serializing_if_is_none)]
    pub connector_type: Option<String>,
    /// The connector's version, as `v0.9.4`.
    #[oai(skip_serializing_if_is_none)]
    pub version: Option<String>,
    /// What the connector's spec asks for. Secrets may be given as the `sealed:` tokens that a read shows.
    pub config: Document,
    /// How many threads the connector may use for it, 1 to 1000; absent: its own default.
    #[oai(skip_serializing_if_is_none)]
    pub max_discover_threads: Option<i64>,
    /// A job whose selections the connector merges into what it finds; absent, or not above 0: none.
    #[oai(skip_serializing_if_is_none)]
    pub job_id: Option<i64>,
    /// The job's name, from which the connector makes the names of destination databases; absent: that of `job_id`.
    #[oai(skip_serializing_if_is_none)]
    pub job_name: Option<String>,
}

impl Example for StreamsOfGet {
    fn example() -> Self {
        let SourceTest { connector_type, version, config } = SourceTest::example();
        Self {
            connector_type: Some(connector_type),
            version: Some(version),
            config,
            max_discover_threads: None,
            job_id: None,
            job_name: None,
        }
    }
}

fn config() -> Document {
    Document::native(json!({
        "host": "db.example.com", "port": 5432, "database": "shop", "username": "olake", "password": "secret",
    }))
}

impl From<SourceBody> for Given {
    fn from(body: SourceBody) -> Self {
        Self {
            name: body.name,
            connector_type: body.connector_type,
            version: body.version,
            config: body.config,
        }
    }
}

impl From<SourceTest> for test::Given {
    fn from(body: SourceTest) -> Self {
        Self {
            connector_type: body.connector_type,
            version: body.version,
            config: body.config,
            source_type: None,
            source_version: None,
        }
    }
}
