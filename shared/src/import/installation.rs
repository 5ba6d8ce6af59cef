//! The tables of an existing installation. Its server makes them at its start (by Beego's ORM, later by GORM), named
//! after its run mode: `olake-dev-user`, `olake-dev-source`, `olake-dev-destination`, `olake-dev-job`,
//! `olake-dev-project-settings`.
//!
//! Versions differ in their columns: the type of a source was `source_type` before it was `type`; versions of connectors,
//! a job's project, its advanced settings, and the catalog in two parts came later. Ids of projects were numbers first.
//! So every column is read as text, and a column that is not there as NULL. JSON is kept there in `jsonb`: its text is
//! what PostgreSQL writes of it, numbers to the last digit.
//!
//! Everything is read in one read-only snapshot: what is taken over was there at one moment.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, IsolationLevel, QueryResult,
    Statement, TransactionTrait, Value as Db,
};

use crate::{
    config::Secret,
    store::{ConnectError, connections::Side, import::Times, open_postgres, time},
};

/// Why an installation cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// Its database cannot be opened.
    #[error("the database of the existing installation cannot be opened (OLAKE_IMPORT_FROM, --from): {0}")]
    Connect(String),
    /// Its database failed.
    #[error("the database of the existing installation: {0}")]
    Database(#[from] DbErr),
    /// There are no such tables.
    #[error("there is no OLake installation in that database: it has no table named like olake-dev-job")]
    None,
    /// There are tables of several run modes.
    #[error("that database has the tables of several run modes: name one by --run-mode ({0})")]
    Several(String),
    /// There are no tables of this run mode.
    #[error("that database has no tables of the run mode '{wanted}', but of {there}")]
    OtherMode { wanted: String, there: String },
    /// A table lacks what every version has.
    #[error("the table '{table}' there has no column {column}: it is of no version that can be read")]
    Column { table: String, column: String },
    /// A row holds what no version writes.
    #[error("the table '{table}' there has a row whose {column} cannot be read")]
    Row { table: String, column: &'static str },
}

/// An account.
pub struct OldUser {
    pub id: i64,
    pub username: String,
    pub email: String,
    pub password: String,
}

/// A source or destination.
pub struct OldConnection {
    pub id: i64,
    pub name: String,
    pub project: Option<String>,
    pub connector_type: Option<String>,
    pub version: Option<String>,
    pub config: Option<String>,
    pub made_by: Option<i64>,
    pub times: Times,
}

/// A job, without its documents.
pub struct OldJob {
    pub id: i64,
    pub name: String,
    pub project: Option<String>,
    pub source: Option<i64>,
    pub destination: Option<i64>,
    pub is_active: bool,
    pub frequency: String,
    pub advanced_settings: Option<String>,
    pub made_by: Option<i64>,
    pub times: Times,
}

/// What may be long of a job.
pub struct Documents {
    pub streams: Option<String>,
    pub available: Option<String>,
    pub selected: Option<String>,
    pub state: Option<String>,
}

/// An existing installation.
pub struct Installation {
    tx: DatabaseTransaction,
    mode: String,
    id: String,
}

/// What tells a database from others, copies of it in other servers among them: things that were taken over from one are
/// not those of another.
async fn identity(tx: &DatabaseTransaction) -> Result<String, DbErr> {
    let one = async |sql: &str| {
        let row = tx.query_one_raw(statement(sql, [])).await?;
        row.map(|row| row.try_get::<String>("", "id")).transpose().map(Option::unwrap_or_default)
    };
    let database = one("SELECT current_database() || '/' || current_schema() AS id").await?;
    let may_ask = "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')::text AS id";
    let server = match one(may_ask).await?.as_str() {
        "true" => one("SELECT system_identifier::text AS id FROM pg_control_system()").await?,
        _ => "?".to_owned(),
    };
    Ok(format!("{server}/{database}"))
}

/// A table, and which columns it has.
struct Table {
    name: String,
    columns: HashSet<String>,
}

impl Installation {
    /// Opens the installation in a database. Nothing can be written there.
    pub async fn open(url: &Secret, mode: Option<&str>) -> Result<Self, InstallationError> {
        let db = open_postgres(url, 1, Duration::from_secs(10)).await.map_err(|error| match error {
            ConnectError::Database(error) => InstallationError::Connect(error.to_string()),
            error @ ConnectError::Address => InstallationError::Connect(error.to_string()),
            // The other errors speak of our own database.
            _ => InstallationError::Connect("the address must begin with postgres://".to_owned()),
        })?;
        let tx =
            db.begin_with_config(Some(IsolationLevel::RepeatableRead), Some(AccessMode::ReadOnly)).await?;
        let sql = "SELECT table_name::text AS name FROM information_schema.tables \
                   WHERE table_schema = current_schema() AND table_name LIKE 'olake-%-job' ORDER BY 1";
        let modes = tx.query_all_raw(statement(sql, [])).await?;
        let modes: Vec<String> = modes
            .iter()
            .filter_map(|row| row.try_get::<String>("", "name").ok())
            .filter_map(|name| Some(name.strip_prefix("olake-")?.strip_suffix("-job")?.to_owned()))
            .collect();
        let mode = match (mode, modes.as_slice()) {
            (_, []) => return Err(InstallationError::None),
            (Some(wanted), modes) if modes.iter().any(|mode| mode == wanted) => wanted.to_owned(),
            (Some(wanted), modes) => {
                return Err(InstallationError::OtherMode {
                    wanted: wanted.to_owned(),
                    there: modes.join(", "),
                });
            }
            (None, [mode]) => mode.clone(),
            (None, modes) => return Err(InstallationError::Several(modes.join(", "))),
        };
        let id = format!("{}/{mode}", identity(&tx).await?);
        Ok(Self { tx, id, mode })
    }

    /// What tells this installation from others.
    pub fn id(&self) -> &str {
        &self.id
    }

    async fn table(&self, what: &str) -> Result<Table, InstallationError> {
        let name = format!("olake-{}-{what}", self.mode);
        let sql = "SELECT column_name::text AS name FROM information_schema.columns \
                   WHERE table_schema = current_schema() AND table_name = $1";
        let rows = self.tx.query_all_raw(statement(sql, [name.as_str().into()])).await?;
        let columns = rows.iter().map(|row| row.try_get("", "name")).collect::<Result<_, _>>()?;
        Ok(Table { name, columns })
    }

    /// The accounts, by their ids.
    pub async fn users(&self) -> Result<Vec<OldUser>, InstallationError> {
        let table = self.table("user").await?;
        for column in ["id", "username", "password"] {
            table.require(column)?;
        }
        let rows = self.rows(&table, &[&["id"], &["username"], &["email"], &["password"]]).await?;
        rows.iter()
            .map(|row| {
                let username = text(row, "username")?.unwrap_or_default();
                Ok(OldUser {
                    id: table.number(row, "id")?,
                    email: text(row, "email")?
                        .filter(|email| !email.is_empty())
                        .unwrap_or_else(|| format!("{username}@localhost")),
                    username,
                    password: text(row, "password")?.unwrap_or_default(),
                })
            })
            .collect()
    }

    /// The sources or destinations, by their ids.
    pub async fn connections(&self, side: Side) -> Result<Vec<OldConnection>, InstallationError> {
        let table = self.table(side.name()).await?;
        for column in ["id", "name", "config"] {
            table.require(column)?;
        }
        let connector_type: &[&str] = match side {
            Side::Source => &["type", "source_type"],
            Side::Destination => &["dest_type", "type"],
        };
        let columns: [&[&str]; 6] =
            [&["id"], &["name"], &["project_id"], &["version"], &["config"], &["created_by_id"]];
        let rows = self.rows(&table, &[columns.as_slice(), &[connector_type]].concat()).await?;
        rows.iter()
            .map(|row| {
                Ok(OldConnection {
                    id: table.number(row, "id")?,
                    name: text(row, "name")?.unwrap_or_default(),
                    project: text(row, "project_id")?,
                    connector_type: text(row, connector_type[0])?,
                    version: text(row, "version")?.filter(|version| !version.is_empty()),
                    config: text(row, "config")?,
                    made_by: table.optional_number(row, "created_by_id")?,
                    times: times(row)?,
                })
            })
            .collect()
    }

    /// The jobs, by their ids.
    pub async fn jobs(&self) -> Result<Vec<OldJob>, InstallationError> {
        let table = self.table("job").await?;
        for column in ["id", "name", "source_id", "dest_id", "active", "frequency", "streams_config"] {
            table.require(column)?;
        }
        let columns: [&[&str]; 9] = [
            &["id"],
            &["name"],
            &["project_id"],
            &["source_id"],
            &["dest_id"],
            &["active"],
            &["frequency"],
            &["advanced_settings"],
            &["created_by_id"],
        ];
        let rows = self.rows(&table, &columns).await?;
        rows.iter()
            .map(|row| {
                Ok(OldJob {
                    id: table.number(row, "id")?,
                    name: text(row, "name")?.unwrap_or_default(),
                    project: text(row, "project_id")?,
                    source: table.optional_number(row, "source_id")?,
                    destination: table.optional_number(row, "dest_id")?,
                    is_active: text(row, "active")?.as_deref() == Some("true"),
                    frequency: text(row, "frequency")?.unwrap_or_default().trim().to_owned(),
                    advanced_settings: text(row, "advanced_settings")?,
                    made_by: table.optional_number(row, "created_by_id")?,
                    times: times(row)?,
                })
            })
            .collect()
    }

    /// The documents of a job. They may be long: of one job at a time.
    pub async fn documents(&self, job: i64) -> Result<Documents, InstallationError> {
        let table = self.table("job").await?;
        let columns: [&[&str]; 4] =
            [&["streams_config"], &["available_streams_config"], &["selected_streams_config"], &["state"]];
        let sql = format!("SELECT {} FROM {} t WHERE t.id = $1", table.select(&columns), quoted(&table.name));
        let row = self.tx.query_one_raw(statement(&sql, [job.into()])).await?;
        let Some(row) = row else {
            return Err(InstallationError::Row { table: table.name, column: "id" });
        };
        Ok(Documents {
            streams: text(&row, "streams_config")?,
            available: text(&row, "available_streams_config")?,
            selected: text(&row, "selected_streams_config")?,
            state: text(&row, "state")?,
        })
    }

    /// The projects that have a webhook.
    pub async fn projects_with_webhook(&self) -> Result<Vec<String>, InstallationError> {
        let table = self.table("project-settings").await?;
        if !table.columns.contains("webhook_alert_url") || !table.columns.contains("project_id") {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT t.project_id::text AS project_id FROM {} t WHERE t.webhook_alert_url <> '' ORDER BY 1",
            quoted(&table.name)
        );
        let rows = self.tx.query_all_raw(statement(&sql, [])).await?;
        Ok(rows.iter().map(|row| row.try_get("", "project_id")).collect::<Result<_, _>>()?)
    }

    /// The rows of a table that are not deleted, by their ids, each with its times.
    async fn rows(&self, table: &Table, columns: &[&[&str]]) -> Result<Vec<QueryResult>, InstallationError> {
        let micros = |column: &str| match table.columns.contains(column) {
            true => format!("(extract(epoch FROM t.{column}) * 1000000)::bigint AS {column}"),
            false => format!("NULL::bigint AS {column}"),
        };
        let there = match table.columns.contains("deleted_at") {
            true => "WHERE t.deleted_at IS NULL",
            false => "",
        };
        let sql = format!(
            "SELECT {}, {}, {} FROM {} t {there} ORDER BY t.id",
            table.select(columns),
            micros("created_at"),
            micros("updated_at"),
            quoted(&table.name)
        );
        Ok(self.tx.query_all_raw(statement(&sql, [])).await?)
    }
}

impl Table {
    fn require(&self, column: &str) -> Result<(), InstallationError> {
        match self.columns.contains(column) {
            true => Ok(()),
            false => Err(InstallationError::Column { table: self.name.clone(), column: column.to_owned() }),
        }
    }

    /// Columns as text, each under the first of the names that it has had.
    fn select(&self, columns: &[&[&str]]) -> String {
        let column = |names: &&[&str]| {
            let known = names.iter().find(|name| self.columns.contains(**name));
            let value = known.map_or_else(|| "NULL".to_owned(), |name| format!("t.{}", quoted(name)));
            format!("{value}::text AS {}", quoted(names.first().unwrap_or(&"")))
        };
        columns.iter().map(column).collect::<Vec<_>>().join(", ")
    }

    fn number(&self, row: &QueryResult, column: &'static str) -> Result<i64, InstallationError> {
        let missing = || InstallationError::Row { table: self.name.clone(), column };
        self.optional_number(row, column)?.ok_or_else(missing)
    }

    fn optional_number(
        &self,
        row: &QueryResult,
        column: &'static str,
    ) -> Result<Option<i64>, InstallationError> {
        let unreadable = |_| InstallationError::Row { table: self.name.clone(), column };
        text(row, column)?.map(|number| number.parse().map_err(unreadable)).transpose()
    }
}

fn text(row: &QueryResult, column: &str) -> Result<Option<String>, InstallationError> {
    Ok(row.try_get("", column)?)
}

fn times(row: &QueryResult) -> Result<Times, InstallationError> {
    let created: Option<i64> = row.try_get("", "created_at")?;
    let updated: Option<i64> = row.try_get("", "updated_at")?;
    let at = |micros: Option<i64>| -> DateTime<Utc> { time::utc(micros.unwrap_or_default()) };
    Ok(Times { created_at: at(created.or(updated)), updated_at: at(updated.or(created)) })
}

fn statement<const N: usize>(sql: &str, values: [Db; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
