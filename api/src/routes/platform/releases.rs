//! `GET /api/v1/platform/releases`.

use poem_openapi::Object;

use super::VERSION;
use crate::{
    envelope::{Answer, ok},
    paging,
};

/// The releases of each product.
#[derive(Clone, Debug, Object)]
pub struct Releases {
    /// The control plane.
    pub olake_ui_worker: ProductReleases,
    /// Its Helm chart.
    pub olake_helm: ProductReleases,
    /// The connectors.
    pub olake: ProductReleases,
    /// What is new in all of them.
    pub features: ProductReleases,
}

/// The releases of one product.
#[derive(Clone, Debug, Default, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct ProductReleases {
    /// The version in use, where there is one.
    pub current_version: Option<String>,
    /// Newest first.
    pub releases: Vec<Release>,
}

/// A release.
#[derive(Clone, Debug, Object)]
pub struct Release {
    /// Its title.
    pub title: String,
    /// Its version.
    pub version: String,
    /// What it brings.
    pub description: String,
    /// What kind of release it is.
    pub tags: Vec<String>,
    /// RFC 3339, UTC.
    pub date: String,
    /// Where to read more.
    pub link: String,
}

/// The most releases of one product.
const MOST: u64 = 100;

pub(super) fn releases(limit: Option<i64>) -> Answer<Releases> {
    limit.map(|limit| paging::checked(limit, MOST)).transpose()?;
    let data = Releases {
        olake_ui_worker: ProductReleases { current_version: Some(VERSION.to_owned()), ..Default::default() },
        olake_helm: ProductReleases::default(),
        olake: ProductReleases::default(),
        features: ProductReleases::default(),
    };
    ok("no feed of releases is configured", data)
}
