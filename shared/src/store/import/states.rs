//! States of jobs that are taken over, to the byte.

use sea_orm::ConnectionTrait;

use super::{
    super::{StoreError, states},
    Import, Outcome, Taken,
};

const KIND: &str = "state";

impl Import {
    /// Takes the state of a job over, which was taken over itself: `old` is its id there, `job` its id here; without a
    /// text there is none there. A job that has run here since goes on from its own state.
    pub async fn state(&self, old: i64, job: i64, text: Option<&str>) -> Result<Taken, StoreError> {
        let current = states::read(&self.store, &self.tx, job).await?;
        let known = self.known(KIND, old).await?;
        if current.text.as_deref() == text {
            if text.is_some() || known.is_some() {
                self.remember(KIND, old, job, &current.version().to_string()).await?;
            }
            return Ok(Taken::new(job, Outcome::Unchanged));
        }
        let outcome = match known {
            None if current.history.is_empty() => Outcome::Made,
            Some(known) if known.id == job && known.mark == current.version().to_string() => Outcome::Updated,
            _ => {
                let reason = "the job has a state of its own here: it has run, or somebody put or reset one";
                return Ok(Taken::kept(job, reason));
            }
        };
        // The job's row is held: no task of it is made meanwhile.
        let sql =
            "SELECT id FROM tasks WHERE job_id = $1 AND status IN ('queued', 'running', 'waiting') LIMIT 1";
        if self.tx.query_one_raw(self.store.sql(sql, [job.into()])).await?.is_some() {
            return Ok(Taken::kept(job, "a task of the job is open here"));
        }
        states::insert(&self.store, &self.tx, job, text, None).await?;
        let version = states::read(&self.store, &self.tx, job).await?.version();
        self.remember(KIND, old, job, &version.to_string()).await?;
        Ok(Taken::new(job, outcome))
    }
}
