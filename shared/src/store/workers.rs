//! Workers: their leases and what they can run.

use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value as Db};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Store, StoreError, tasks::Queue};
use crate::domain::version::{ConnectorVersion, OLDEST_SUPPORTED};

/// A connector that a worker can run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunnableConnector {
    /// The source type, as `postgres`.
    pub connector_type: String,
    /// As `v0.9.4`.
    pub version: String,
    /// The destination types that its program writes, lower case.
    pub destinations: Vec<String>,
}

/// A connector of which a worker can run every version: they are images.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ImageType {
    /// The source type, as `postgres`.
    pub connector_type: String,
    /// The destination types that its program writes, lower case.
    pub destinations: Vec<String>,
}

impl ImageType {
    /// This connector at a version. None for a version that no worker runs.
    pub fn at(&self, version: &str) -> Option<RunnableConnector> {
        is_of_an_image(version).then(|| RunnableConnector {
            connector_type: self.connector_type.clone(),
            version: version.to_owned(),
            destinations: self.destinations.clone(),
        })
    }
}

/// Whether an image of this version can be run, if there is one.
fn is_of_an_image(version: &str) -> bool {
    version.parse::<ConnectorVersion>().is_ok_and(|version| version >= OLDEST_SUPPORTED)
}

/// What a worker can run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    /// In the configured order.
    pub connectors: Vec<RunnableConnector>,
    /// Those of which every version can be run, in the configured order.
    #[serde(default)]
    pub images: Vec<ImageType>,
    /// The placement profiles that a job may name.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// The most memory that a job may ask for, in bytes; none where a job's limit is not honoured.
    #[serde(default)]
    pub memory: Option<u64>,
}

impl Runs {
    /// Whether a connector of this type and version is among them.
    pub fn knows(&self, connector_type: &str, version: &str) -> bool {
        self.connector(connector_type, version).is_some()
    }

    /// The connector of a type and version, if it is among them.
    pub fn connector(&self, connector_type: &str, version: &str) -> Option<RunnableConnector> {
        let listed =
            self.connectors.iter().find(|c| c.connector_type == connector_type && c.version == version);
        listed.cloned().or_else(|| self.image(connector_type).and_then(|image| image.at(version)))
    }

    /// The image of a type.
    pub fn image(&self, connector_type: &str) -> Option<&ImageType> {
        self.images.iter().find(|image| image.connector_type == connector_type)
    }

    /// Takes in what another worker can run, each once. Any worker may get a job's task: of the profiles, those count that all
    /// of them have, as a new one is read by each in its own time.
    fn add(&mut self, other: Self) {
        add_new(&mut self.connectors, other.connectors);
        add_new(&mut self.images, other.images);
        self.profiles.retain(|profile| other.profiles.contains(profile));
        self.memory = self.memory.max(other.memory);
    }

    /// The condition that a row's connector is among them; its values are appended.
    pub(super) fn sql_condition(
        &self,
        type_column: &str,
        version_column: &str,
        values: &mut Vec<Db>,
    ) -> String {
        if self.connectors.is_empty() && self.images.is_empty() {
            return "1 = 0".to_owned();
        }
        let mut cases: Vec<String> = self
            .connectors
            .iter()
            .map(|connector| {
                values.push(connector.connector_type.as_str().into());
                values.push(connector.version.as_str().into());
                format!("({type_column} = ${} AND {version_column} = ${})", values.len() - 1, values.len())
            })
            .collect();
        // A version that is too old fails with words when it is launched.
        cases.extend(self.images.iter().map(|image| {
            values.push(image.connector_type.as_str().into());
            format!("{type_column} = ${}", values.len())
        }));
        format!("({})", cases.join(" OR "))
    }
}

/// A worker process, as it registers itself.
#[derive(Clone, Debug)]
pub struct NewWorker {
    /// A new one for each process start.
    pub id: Uuid,
    pub host: String,
    pub launcher: String,
    /// What all workers with this launcher must share, if anything.
    pub place: Option<String>,
    pub runs: Runs,
    pub places_sync: i32,
    pub places_interactive: i32,
}

impl Store {
    /// What the live workers can run together, in the order in which they started; none when no worker is live.
    pub async fn live_runs(&self) -> Result<Option<Runs>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            connectors: String,
        }
        let sql = format!(
            "SELECT connectors FROM workers WHERE lease_until > {} ORDER BY started_at, id",
            self.db_now()
        );
        let rows = Row::find_by_statement(self.sql(&sql, [])).all(&self.db).await?;
        let mut all: Option<Runs> = None;
        for row in rows {
            let runs = serde_json::from_str(&row.connectors)?;
            match &mut all {
                Some(all) => all.add(runs),
                None => all = Some(runs),
            }
        }
        Ok(all)
    }
}

impl Queue {
    /// What the live workers can run together, see [`Store::live_runs`].
    pub async fn live_runs(&self) -> Result<Option<Runs>, StoreError> {
        self.store.live_runs().await
    }

    /// Registers a worker, or says anew what a registered one can run; its lease runs from now.
    pub async fn register(&self, worker: &NewWorker, lease: Duration) -> Result<(), StoreError> {
        let store = &self.store;
        let sql = format!(
            "INSERT INTO workers (id, host, launcher, connectors, places_sync, places_interactive, started_at, \
             lease_until, place) VALUES ($1, $2, $3, $4, $5, $6, $7, {} + $8, $9) \
             ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until, connectors = excluded.connectors",
            store.db_now()
        );
        let values: [Db; 9] = [
            worker.id.into(),
            worker.host.as_str().into(),
            worker.launcher.as_str().into(),
            serde_json::to_string(&worker.runs)?.into(),
            worker.places_sync.into(),
            worker.places_interactive.into(),
            store.now().into(),
            micros(lease).into(),
            worker.place.as_deref().into(),
        ];
        store.db.execute_raw(Statement::from_sql_and_values(store.backend(), sql, values)).await?;
        Ok(())
    }

    /// Renews a lease. False when the worker's row is gone: it must register again.
    pub async fn renew(&self, worker: Uuid, lease: Duration) -> Result<bool, StoreError> {
        let store = &self.store;
        let sql = format!("UPDATE workers SET lease_until = {} + $2 WHERE id = $1", store.db_now());
        let done = store.db.execute_raw(store.sql(&sql, [worker.into(), micros(lease).into()])).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Takes a worker out, when it stops.
    pub async fn unregister(&self, worker: Uuid) -> Result<(), StoreError> {
        self.store
            .db
            .execute_raw(self.store.sql("DELETE FROM workers WHERE id = $1", [worker.into()]))
            .await?;
        Ok(())
    }

    /// Takes out workers whose lease ran out long ago and that own nothing any more.
    pub async fn forget_dead_workers(&self, after: Duration) -> Result<u64, StoreError> {
        let store = &self.store;
        let sql = format!(
            "DELETE FROM workers WHERE lease_until + $1 < {} \
             AND NOT EXISTS (SELECT 1 FROM tasks WHERE owner = workers.id AND status = 'running')",
            store.db_now()
        );
        Ok(store.db.execute_raw(store.sql(&sql, [micros(after).into()])).await?.rows_affected())
    }

    /// Takes out every worker but this one: on one machine the lock of the data folder proves them dead.
    pub async fn forget_all_but(&self, worker: Uuid) -> Result<(), StoreError> {
        self.store
            .db
            .execute_raw(self.store.sql("DELETE FROM workers WHERE id <> $1", [worker.into()]))
            .await?;
        Ok(())
    }

    /// The hosts of other live workers with this launcher that are at another place.
    pub async fn elsewhere(&self, launcher: &str, place: &str) -> Result<Vec<String>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            host: String,
        }
        let sql = format!(
            "SELECT DISTINCT host FROM workers WHERE launcher = $1 AND place <> $2 AND lease_until > {}",
            self.store.db_now()
        );
        let values = [launcher.into(), place.into()];
        let rows = Row::find_by_statement(self.store.sql(&sql, values)).all(&self.store.db).await?;
        Ok(rows.into_iter().map(|row| row.host).collect())
    }
}

impl Queue {
    /// The launcher of another live worker, if it is not this one.
    pub async fn with_another_launcher(&self, launcher: &str) -> Result<Option<String>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            launcher: String,
        }
        let now = self.store.db_now();
        let sql =
            format!("SELECT launcher FROM workers WHERE launcher <> $1 AND lease_until > {now} LIMIT 1");
        let row = Row::find_by_statement(self.store.sql(&sql, [launcher.into()])).one(&self.store.db).await?;
        Ok(row.map(|row| row.launcher))
    }
}

fn add_new<T: PartialEq>(all: &mut Vec<T>, more: Vec<T>) {
    for item in more {
        if !all.contains(&item) {
            all.push(item);
        }
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(connector_type: &str, destinations: &[&str]) -> ImageType {
        ImageType {
            connector_type: connector_type.to_owned(),
            destinations: destinations.iter().map(|&word| word.to_owned()).collect(),
        }
    }

    #[test]
    fn of_an_image_every_version_is_known_that_can_be_run() {
        let runs = Runs { images: vec![image("postgres", &["iceberg"])], ..Runs::default() };
        assert!(runs.knows("postgres", "v0.9.4") && runs.knows("postgres", "v12.0.0"));
        assert!(!runs.knows("postgres", "v0.2.0"), "older than what can be run");
        assert!(!runs.knows("postgres", "latest") && !runs.knows("mysql", "v0.9.4"));
        assert_eq!(runs.connector("postgres", "v1.0.0").unwrap().destinations, ["iceberg"]);
    }

    #[test]
    fn what_two_workers_run_is_put_together_each_once_and_profiles_count_that_both_have() {
        let one = Runs {
            images: vec![image("postgres", &["iceberg"])],
            profiles: vec!["large".to_owned()],
            ..Runs::default()
        };
        let mut all = one.clone();
        all.add(Runs { memory: Some(1 << 30), profiles: vec!["large".to_owned(), "gpu".to_owned()], ..one });
        assert_eq!((all.images.len(), all.memory), (1, Some(1 << 30)));
        assert_eq!(all.profiles, ["large"], "a worker that does not know 'gpu' may get its task");
    }

    #[test]
    fn a_row_of_an_older_worker_reads_as_one_without_images() {
        let runs: Runs = serde_json::from_str(r#"{"connectors": []}"#).unwrap();
        assert_eq!(runs, Runs::default());
    }
}
