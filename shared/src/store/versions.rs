//! The versions of connectors: what workers run, what there are images of, and what workers once ran.

use sea_orm::FromQueryResult;

use super::{Store, StoreError, connections::Side, workers::Runs};
use crate::domain::{connectors::DESTINATIONS, version::ConnectorVersion};

#[derive(FromQueryResult)]
struct WorkerRow {
    connectors: String,
}

#[derive(FromQueryResult)]
struct VersionRow {
    version: String,
}

impl Store {
    /// The versions of a connector, newest first: those that live workers run, and, where they run images (or none is up),
    /// those that the registry has images of; if there are none, those that workers once ran, as far as it is still known.
    /// A destination has those of the connectors that write it.
    pub async fn versions(&self, side: Side, wanted: &str) -> Result<Vec<ConnectorVersion>, StoreError> {
        let live = self.live_runs().await?;
        let mut texts = match &live {
            Some(live) if !runs_images(live, side, wanted) => Vec::new(),
            _ => self.tags(side, wanted).await?,
        };
        if let Some(live) = live {
            texts.extend(of(&live, side, wanted));
        }
        let found = sorted(texts);
        if !found.is_empty() {
            return Ok(found);
        }
        let mut texts = Vec::new();
        for row in
            WorkerRow::find_by_statement(self.sql("SELECT connectors FROM workers", [])).all(&self.db).await?
        {
            texts.extend(of(&serde_json::from_str(&row.connectors)?, side, wanted));
        }
        let condition = match side {
            Side::Source => "type = $1",
            Side::Destination => "destination_type = $1",
        };
        let sql = format!("SELECT DISTINCT version FROM spec_cache WHERE {condition}");
        let wanted = match side {
            Side::Source => wanted.to_owned(),
            Side::Destination => wanted.to_lowercase(),
        };
        let rows = VersionRow::find_by_statement(self.sql(&sql, [wanted.into()])).all(&self.db).await?;
        texts.extend(rows.into_iter().map(|row| row.version));
        Ok(sorted(texts))
    }

    /// The tags of a connector's images. Every source's image writes every destination.
    async fn tags(&self, side: Side, wanted: &str) -> Result<Vec<String>, StoreError> {
        let statement = match side {
            Side::Source => {
                self.sql("SELECT version FROM image_tags WHERE connector_type = $1", [wanted.into()])
            }
            Side::Destination if DESTINATIONS.iter().any(|known| known.eq_ignore_ascii_case(wanted)) => {
                self.sql("SELECT DISTINCT version FROM image_tags", [])
            }
            Side::Destination => return Ok(Vec::new()),
        };
        let rows = VersionRow::find_by_statement(statement).all(&self.db).await?;
        Ok(rows.into_iter().map(|row| row.version).collect())
    }
}

/// Whether a connector's images can be run.
fn runs_images(runs: &Runs, side: Side, wanted: &str) -> bool {
    runs.images.iter().any(|image| match side {
        Side::Source => image.connector_type == wanted,
        Side::Destination => image.destinations.iter().any(|written| written.eq_ignore_ascii_case(wanted)),
    })
}

fn of(runs: &Runs, side: Side, wanted: &str) -> Vec<String> {
    let connectors = runs.connectors.iter().filter(|connector| match side {
        Side::Source => connector.connector_type == wanted,
        Side::Destination => {
            connector.destinations.iter().any(|written| written.eq_ignore_ascii_case(wanted))
        }
    });
    connectors.map(|connector| connector.version.clone()).collect()
}

/// Newest first, each once. What is no version was never offered.
fn sorted(texts: Vec<String>) -> Vec<ConnectorVersion> {
    let mut versions: Vec<ConnectorVersion> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.dedup();
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_sorted_as_numbers_newest_first() {
        let texts = ["v0.9.4", "v0.10.0", "v0.9.4", "odd"].map(str::to_owned).to_vec();
        let found: Vec<String> = sorted(texts).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["v0.10.0", "v0.9.4"]);
    }
}
