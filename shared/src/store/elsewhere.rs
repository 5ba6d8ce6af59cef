//! What is read from elsewhere in the background: the tags of images, and news of releases.
//!
//! Each thing that is read has a row in `refreshes`. A claim moves its time to the end of a lease, so that one worker reads
//! at a time, and what a dead one has claimed is due again; whoever has read settles when it is due next.

use std::{collections::BTreeMap, time::Duration};

use sea_orm::{ConnectionTrait, FromQueryResult, Value as Db};

use super::{Store, StoreError, finish, tasks::Queue, time};
use crate::domain::{
    release::{Product, Release},
    version::ConnectorVersion,
};

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Queue {
    /// Takes the turn to read something, if it is due and nobody else has taken it. The turn lasts for `lease`.
    pub async fn claim_refresh(&self, name: &str, lease: Duration) -> Result<bool, StoreError> {
        let now = self.store.db_now();
        let sql = format!(
            "INSERT INTO refreshes (name, due_at, failures) VALUES ($1, {now} + $2, 0) ON CONFLICT (name) \
             DO UPDATE SET due_at = excluded.due_at WHERE refreshes.due_at <= {now}"
        );
        let statement = self.store.sql(&sql, [name.into(), micros(lease).into()]);
        Ok(self.store.db.execute_raw(statement).await?.rows_affected() > 0)
    }

    /// Says that it was read, and is due again after `wait`.
    pub async fn settle_refresh(&self, name: &str, wait: Duration) -> Result<(), StoreError> {
        let sql = format!(
            "UPDATE refreshes SET failures = 0, due_at = {} + $1 WHERE name = $2",
            self.store.db_now()
        );
        self.store.db.execute_raw(self.store.sql(&sql, [micros(wait).into(), name.into()])).await?;
        Ok(())
    }

    /// Says that it could not be read: it is due again after `first`, doubled with each failure in a row up to `most`.
    pub async fn postpone_refresh(
        &self,
        name: &str,
        first: Duration,
        most: Duration,
    ) -> Result<(), StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            failures: i32,
        }
        let sql = "UPDATE refreshes SET failures = failures + 1 WHERE name = $1 RETURNING failures";
        let row = Row::find_by_statement(self.store.sql(sql, [name.into()])).one(&self.store.db).await?;
        let doublings = row.map_or(0, |row| u32::try_from(row.failures - 1).unwrap_or(0)).min(20);
        let wait = first.saturating_mul(1 << doublings).min(most);
        let sql = format!("UPDATE refreshes SET due_at = {} + $1 WHERE name = $2", self.store.db_now());
        self.store.db.execute_raw(self.store.sql(&sql, [micros(wait).into(), name.into()])).await?;
        Ok(())
    }

    /// Puts what a registry has in place of what it had. Connector types that are not among `found` keep what they had:
    /// they could not be read.
    pub async fn set_image_tags(
        &self,
        found: &BTreeMap<String, Vec<ConnectorVersion>>,
    ) -> Result<(), StoreError> {
        let tx = self.store.begin().await?;
        let written = async {
            for (connector_type, versions) in found {
                let sql = "DELETE FROM image_tags WHERE connector_type = $1";
                tx.execute_raw(self.store.sql(sql, [connector_type.as_str().into()])).await?;
                for version in versions {
                    let sql = "INSERT INTO image_tags (connector_type, version, seen_at) VALUES ($1, $2, $3) \
                               ON CONFLICT (connector_type, version) DO NOTHING";
                    let values: [Db; 3] =
                        [connector_type.as_str().into(), version.to_string().into(), self.store.now().into()];
                    tx.execute_raw(self.store.sql(sql, values)).await?;
                }
            }
            Ok(())
        };
        let written = written.await;
        finish(tx, written).await
    }

    /// Puts news in place of those that there were.
    pub async fn set_releases(&self, news: &[(Product, Vec<Release>)]) -> Result<(), StoreError> {
        let tx = self.store.begin().await?;
        let written = async {
            tx.execute_raw(self.store.sql("DELETE FROM release_news", [])).await?;
            for (product, releases) in news {
                for release in releases {
                    let sql = "INSERT INTO release_news (product, version, title, description, link, published_at) \
                               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (product, version) DO NOTHING";
                    let values: [Db; 6] = [
                        product.as_str().into(),
                        release.version.as_str().into(),
                        release.title.as_str().into(),
                        release.description.as_str().into(),
                        release.link.as_str().into(),
                        time::micros(release.published_at).into(),
                    ];
                    tx.execute_raw(self.store.sql(sql, values)).await?;
                }
            }
            Ok(())
        };
        let written = written.await;
        finish(tx, written).await
    }
}

impl Store {
    /// The news of a product, newest first.
    pub async fn releases(&self, product: Product, limit: u64) -> Result<Vec<Release>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            version: String,
            title: String,
            description: String,
            link: String,
            published_at: i64,
        }
        let sql = "SELECT version, title, description, link, published_at FROM release_news WHERE product = $1 \
                   ORDER BY published_at DESC, version DESC LIMIT $2";
        let values: [Db; 2] = [product.as_str().into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
        let rows = Row::find_by_statement(self.sql(sql, values)).all(&self.db).await?;
        let release = |row: Row| Release {
            version: row.version,
            title: row.title,
            description: row.description,
            link: row.link,
            published_at: time::utc(row.published_at),
        };
        Ok(rows.into_iter().map(release).collect())
    }
}
