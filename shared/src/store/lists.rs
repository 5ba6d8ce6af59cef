//! What lists need beyond their rows: the revision by which a client sees that nothing has changed, the keys of what is
//! in them, the text that they are searched for, and the light form of the jobs.
//!
//! A list is read in two steps: which rows it has, by their keys alone ([`ProjectStore::job_keys`],
//! [`ProjectStore::connection_keys`]), and then the rows, by their ids and as many at a time as the reader likes. So a long
//! list needs little memory and holds no connection while a slow client is sent it, and what is changed meanwhile is in it
//! all the same: pages that follow each other by the time of the last change would miss what has moved to the front.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value as Db};
use uuid::Uuid;

use super::{
    ProjectStore, Store, StoreError,
    connections::{Page, Side},
    jobs::{JobFilter, LastRun},
    time,
};
use crate::domain::{project::ProjectId, settings::AdvancedSettings};

/// Where a row stands in a list: the newest-updated first, of equals that with the greater id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Key {
    /// Microseconds since 1970.
    pub updated_at: i64,
    pub id: i64,
}

/// A job as a light list shows it: no config is opened for it, and no catalog read.
#[derive(Clone, Debug)]
pub struct JobBrief {
    pub id: i64,
    pub name: String,
    pub source: SideBrief,
    pub destination: SideBrief,
    pub frequency: String,
    pub activate: bool,
    pub advanced_settings: AdvancedSettings,
    pub next_run_at: Option<DateTime<Utc>>,
    /// Absent if the job never ran.
    pub last_run: Option<LastRun>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub created_by: Option<String>,
    pub updated_by: Option<String>,
}

/// A source or destination without its config.
#[derive(Clone, Debug)]
pub struct SideBrief {
    pub id: i64,
    pub name: String,
    pub connector_type: String,
    pub version: String,
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    name: String,
    frequency: String,
    activate: bool,
    advanced_settings: String,
    next_run_at: Option<i64>,
    last_task_id: Option<Uuid>,
    last_run_time: Option<i64>,
    last_run_state: Option<String>,
    last_run_type: Option<String>,
    created_at: i64,
    updated_at: i64,
    created_by: Option<String>,
    updated_by: Option<String>,
    source_id: i64,
    source_name: String,
    source_type: String,
    source_version: String,
    destination_id: i64,
    destination_name: String,
    destination_type: String,
    destination_version: String,
}

impl Row {
    fn brief(self) -> Result<JobBrief, StoreError> {
        let last_run = match (self.last_task_id, self.last_run_time, self.last_run_state, self.last_run_type)
        {
            (Some(task), Some(at), Some(state), Some(kind)) => {
                Some(LastRun { task, time: time::utc(at), state, kind })
            }
            _ => None,
        };
        Ok(JobBrief {
            id: self.id,
            name: self.name,
            source: SideBrief {
                id: self.source_id,
                name: self.source_name,
                connector_type: self.source_type,
                version: self.source_version,
            },
            destination: SideBrief {
                id: self.destination_id,
                name: self.destination_name,
                connector_type: self.destination_type,
                version: self.destination_version,
            },
            frequency: self.frequency,
            activate: self.activate,
            advanced_settings: serde_json::from_str(&self.advanced_settings)?,
            next_run_at: self.next_run_at.map(time::utc),
            last_run,
            created_at: time::utc(self.created_at),
            updated_at: time::utc(self.updated_at),
            created_by: self.created_by,
            updated_by: self.updated_by,
        })
    }
}

const BRIEF: &str = "SELECT j.id, j.name, j.frequency, j.activate, j.advanced_settings, j.next_run_at, \
     j.last_task_id, j.last_run_time, j.last_run_state, j.last_run_type, j.created_at, j.updated_at, \
     cu.username AS created_by, uu.username AS updated_by, \
     s.id AS source_id, s.name AS source_name, s.type AS source_type, s.version AS source_version, \
     d.id AS destination_id, d.name AS destination_name, d.type AS destination_type, \
     d.version AS destination_version FROM jobs j \
     JOIN sources s ON s.id = j.source_id JOIN destinations d ON d.id = j.destination_id \
     LEFT JOIN users cu ON cu.id = j.created_by LEFT JOIN users uu ON uu.id = j.updated_by \
     WHERE j.project_id = $1 AND j.deleted_at IS NULL AND ";

/// Which jobs, and which page of them: the rest of a query on `jobs j` after its `AND`, and all of its values. The first
/// one is the project, for `$1`.
///
/// The limit stands in the text and what is not asked for does not, so that the database sees how little a page is and
/// reads no more than that.
fn wanted_jobs(project: &ProjectId, filter: &JobFilter, page: Page) -> (String, Vec<Db>) {
    let mut sql = String::from("1 = 1");
    let mut values: Vec<Db> = vec![project.as_str().into()];
    if let Some(id) = filter.source_id {
        values.push(id.into());
        sql.push_str(&format!(" AND j.source_id = ${}", values.len()));
    }
    if let Some(id) = filter.destination_id {
        values.push(id.into());
        sql.push_str(&format!(" AND j.destination_id = ${}", values.len()));
    }
    wanted_page("j", filter.search.as_deref(), page, &mut sql, &mut values);
    (sql, values)
}

/// The same for the table that the query calls `letter`, without its own filters.
fn wanted_page(letter: &str, search: Option<&str>, page: Page, sql: &mut String, values: &mut Vec<Db>) {
    if let Some(pattern) = name_pattern(search) {
        values.push(pattern.into());
        sql.push_str(&format!(" AND lower({letter}.name) LIKE ${} ESCAPE '\\'", values.len()));
    }
    if let Some((updated, id)) = page.after {
        values.extend([updated.into(), id.into()]);
        let last = values.len();
        sql.push_str(&format!(" AND ({letter}.updated_at, {letter}.id) < (${}, ${last})", last - 1));
    }
    sql.push_str(&sorted(letter));
    if let Some(limit) = page.limit {
        sql.push_str(&format!(" LIMIT {limit}"));
    }
}

/// The order of all lists, of the table that the query calls `letter`.
fn sorted(letter: &str) -> String {
    format!(" ORDER BY {letter}.updated_at DESC, {letter}.id DESC")
}

/// The pattern of names that hold a text, without regard to case; none if no text is looked for.
fn name_pattern(search: Option<&str>) -> Option<String> {
    let text = search.filter(|text| !text.is_empty())?;
    let mut pattern = String::from("%");
    for letter in text.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    Some(pattern + "%")
}

impl Store {
    /// The store as a project sees it, and the revision of its lists: it grows with each change of what they show.
    ///
    /// Whoever reads a list after its revision may see newer things under an older revision, never the other way round.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown project.
    pub async fn project_with_revision(&self, id: &ProjectId) -> Result<(ProjectStore, i64), StoreError> {
        let sql = "SELECT CAST(COALESCE((SELECT SUM(revision) FROM list_revisions WHERE project_id = $1), 0) AS BIGINT) \
                   AS revision FROM projects WHERE id = $1";
        let row = self.db.query_one_raw(self.sql(sql, [id.as_str().into()])).await?;
        let row = row.ok_or_else(|| StoreError::NotFound(format!("project '{id}'")))?;
        let project = ProjectStore { store: self.clone(), project: id.clone() };
        Ok((project, row.try_get("", "revision")?))
    }

    /// That `column` is one of the ids in `$2`, which [`ids`] makes: one text of a statement for any number of them.
    pub(super) fn is_one_of(&self, column: &str) -> String {
        match self.backend() {
            DbBackend::Postgres => format!("{column} = ANY(string_to_array($2, ',')::bigint[])"),
            _ => format!("{column} IN (SELECT value FROM json_each('[' || $2 || ']'))"),
        }
    }

    /// The rest of a query, after its `AND`, that wants the rows with the ids in `$2`, in the order of lists.
    pub(super) fn rows_with_ids(&self, letter: &str) -> String {
        self.is_one_of(&format!("{letter}.id")) + &sorted(letter)
    }
}

/// The value for [`Store::is_one_of`].
pub(super) fn ids(ids: &[i64]) -> Db {
    ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",").into()
}

impl ProjectStore {
    /// Which jobs a list has, newest-updated first.
    pub async fn job_keys(&self, filter: &JobFilter, page: Page) -> Result<Vec<Key>, StoreError> {
        let (wanted, values) = wanted_jobs(&self.project, filter, page);
        self.keys("jobs j", "j", &wanted, values).await
    }

    /// Which sources or destinations a list has, newest-updated first; with `search`, those whose name holds this text,
    /// without regard to case.
    pub async fn connection_keys(
        &self,
        side: Side,
        search: Option<&str>,
        page: Page,
    ) -> Result<Vec<Key>, StoreError> {
        let mut wanted = String::from("1 = 1");
        let mut values: Vec<Db> = vec![self.project.as_str().into()];
        wanted_page("c", search, page, &mut wanted, &mut values);
        self.keys(&format!("{} c", side.table()), "c", &wanted, values).await
    }

    async fn keys(
        &self,
        table: &str,
        letter: &str,
        wanted: &str,
        values: Vec<Db>,
    ) -> Result<Vec<Key>, StoreError> {
        let sql = format!(
            "SELECT {letter}.updated_at, {letter}.id FROM {table} \
             WHERE {letter}.project_id = $1 AND {letter}.deleted_at IS NULL AND {wanted}"
        );
        let statement = Statement::from_sql_and_values(self.store.backend(), sql, values);
        Ok(Key::find_by_statement(statement).all(&self.store.db).await?)
    }

    /// The jobs with these ids, without configs and catalogs, newest-updated first. Those that are gone are left out.
    pub async fn jobs_brief(&self, with: &[i64]) -> Result<Vec<JobBrief>, StoreError> {
        let sql = format!("{BRIEF}{}", self.store.rows_with_ids("j"));
        let statement = self.store.sql(&sql, [self.project.as_str().into(), ids(with)]);
        let rows = Row::find_by_statement(statement).all(&self.store.db).await?;
        rows.into_iter().map(Row::brief).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_for_is_taken_as_it_is() {
        assert_eq!(name_pattern(Some("50%_Off\\")).as_deref(), Some("%50\\%\\_off\\\\%"));
        assert_eq!(name_pattern(Some("")), None);
        assert_eq!(name_pattern(None), None);
    }
}
