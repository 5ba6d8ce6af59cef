//! Jobs that are taken over.

use super::{
    super::{
        StoreError,
        jobs::{Job, Written, insert, replace},
        tasks::clear::open_clear,
    },
    Import, Outcome, Taken, Times,
};
use crate::domain::{frequency::Frequency, project::ProjectId, settings::AdvancedSettings};

const KIND: &str = "job";

/// A job of the other installation, with the sides that it has here.
#[derive(Clone, Debug)]
pub struct ImportedJob {
    /// Its id there.
    pub id: i64,
    pub name: String,
    pub source: i64,
    pub destination: i64,
    pub frequency: String,
    pub streams_config: String,
    pub activate: bool,
    pub settings: AdvancedSettings,
    /// The account, of this installation, that made it.
    pub made_by: Option<i64>,
    pub times: Times,
}

impl Import {
    /// Takes a job over. The frequency of an active one can be read; of a paused one it may be any text.
    pub async fn job(&self, project: &ProjectId, there: &ImportedJob) -> Result<Taken, StoreError> {
        let next = if there.activate {
            Frequency::parse(&there.frequency, there.settings.time_zone.as_deref())
                .ok()
                .and_then(|frequency| frequency.next_after(self.store.clock().now()))
        } else {
            None
        };
        let written = Written {
            name: &there.name,
            source: there.source,
            destination: there.destination,
            frequency: &there.frequency,
            streams_config: &there.streams_config,
            activate: there.activate,
            settings: &there.settings,
            next,
        };
        let named = self.named("jobs", project, &there.name).await?;
        let lock = self.store.for_update_of("j");
        let Some(known) = self.known(KIND, there.id).await? else {
            let Some(named) = named else {
                let id = insert(&self.store, &self.tx, project, &written, there.made_by).await?;
                self.keep_times("jobs", id, there.times).await?;
                self.remember(KIND, there.id, id, "1").await?;
                return Ok(Taken::new(id, Outcome::Made));
            };
            return match self.project(project).job_by(&self.tx, named, &lock).await? {
                Some(here) if is_same(&here, there) => {
                    self.remember(KIND, there.id, here.id, &here.revision.to_string()).await?;
                    Ok(Taken::new(here.id, Outcome::Unchanged))
                }
                _ => Ok(Taken::refused("another job of this name is here already")),
            };
        };
        let Some(here) = self.project(project).job_by(&self.tx, known.id, &lock).await? else {
            return Ok(Taken::gone());
        };
        if is_same(&here, there) {
            return Ok(Taken::new(here.id, Outcome::Unchanged));
        }
        if here.revision.to_string() != known.mark {
            return Ok(Taken::kept(here.id, "it was changed here since it was taken over"));
        }
        if named.is_some_and(|named| named != here.id) {
            return Ok(Taken::kept(here.id, "its new name is taken by another job here"));
        }
        if open_clear(&self.store, &self.tx, here.id).await?.is_some() {
            return Ok(Taken::kept(here.id, "its destination is being cleared here"));
        }
        replace(&self.store, &self.tx, here.id, &written, there.made_by).await?;
        self.remember(KIND, there.id, here.id, &(here.revision + 1).to_string()).await?;
        Ok(Taken::new(here.id, Outcome::Updated))
    }
}

fn is_same(here: &Job, there: &ImportedJob) -> bool {
    here.name == there.name
        && here.source.id == there.source
        && here.destination.id == there.destination
        && here.frequency == there.frequency
        && here.streams_config == there.streams_config
        && here.activate == there.activate
        && here.advanced_settings == there.settings
}
