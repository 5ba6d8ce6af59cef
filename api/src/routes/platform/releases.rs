//! `GET /api/v1/platform/releases`.

use chrono::SecondsFormat;
use olake_shared::domain::release::{self, Product};
use poem_openapi::Object;

use super::VERSION;
use crate::{
    context::Context,
    envelope::{Answer, ok},
    paging,
    problem::Problem,
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
    /// What it brings, as Markdown.
    pub description: String,
    /// What kind of release it is; empty.
    pub tags: Vec<String>,
    /// RFC 3339, UTC.
    pub date: String,
    /// Where to read more; empty if that is not told.
    pub link: String,
}

/// The most releases of one product.
const MOST: u64 = 100;

pub(super) async fn releases(context: &Context, limit: Option<i64>) -> Answer<Releases> {
    let limit = limit.map_or(Ok(MOST), |limit| paging::checked(limit, MOST))?;
    let of = async |product, current_version: Option<&str>| -> Result<ProductReleases, Problem> {
        let releases = context.store.releases(product, limit).await?.into_iter().map(Release::of).collect();
        Ok(ProductReleases { current_version: current_version.map(str::to_owned), releases })
    };
    let data = Releases {
        olake_ui_worker: of(Product::OlakeUiWorker, Some(VERSION)).await?,
        olake_helm: of(Product::OlakeHelm, None).await?,
        olake: of(Product::Olake, None).await?,
        features: of(Product::Features, None).await?,
    };
    ok("releases as they were read last", data)
}

impl Release {
    fn of(release: release::Release) -> Self {
        Self {
            title: release.title,
            version: release.version,
            description: release.description,
            tags: Vec::new(),
            date: release.published_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            link: release.link,
        }
    }
}
