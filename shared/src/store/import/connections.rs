//! Sources and destinations that are taken over.

use super::{
    super::{
        StoreError,
        connections::{Connection, ConnectionInput, Side, job_names},
    },
    Import, Outcome, Taken, Times,
};
use crate::domain::project::ProjectId;

impl Import {
    /// Takes a source or destination over: `old` is its id there, `input` has its secrets in clear.
    pub async fn connection(
        &self,
        side: Side,
        old: i64,
        project: &ProjectId,
        input: &ConnectionInput,
        made_by: Option<i64>,
        times: Times,
    ) -> Result<Taken, StoreError> {
        let sealed = match self.store.seal(&self.tx, project, side, input).await {
            Err(error @ StoreError::Secret(_)) => return Ok(Taken::refused(error.to_string())),
            sealed => sealed?,
        };
        let is_same = |here: &Connection| {
            here.name == input.name
                && here.connector_type == input.connector_type
                && here.version == input.version
                && here.is_readable
                && here.config == sealed
        };
        let lock = self.store.for_update_of("c");
        let find = |condition: &str| format!("{condition} {lock}");
        let named = self
            .store
            .connection_by(&self.tx, project, side, &find("c.name = $2"), input.name.as_str().into())
            .await?;
        let kind = side.name();
        let Some(known) = self.known(kind, old).await? else {
            return match named {
                Some(here) if is_same(&here) => {
                    self.remember(kind, old, here.id, &here.revision.to_string()).await?;
                    Ok(Taken::new(here.id, Outcome::Unchanged))
                }
                Some(_) => Ok(Taken::refused(format!("another {kind} of this name is here already"))),
                None => {
                    let id = self
                        .store
                        .insert_connection(&self.tx, project, side, input, &sealed, made_by)
                        .await?;
                    self.keep_times(side.table(), id, times).await?;
                    self.remember(kind, old, id, "1").await?;
                    Ok(Taken::new(id, Outcome::Made))
                }
            };
        };
        let here =
            self.store.connection_by(&self.tx, project, side, &find("c.id = $2"), known.id.into()).await?;
        let Some(here) = here else { return Ok(Taken::gone()) };
        if is_same(&here) {
            return Ok(Taken::new(here.id, Outcome::Unchanged));
        }
        if here.revision.to_string() != known.mark {
            return Ok(Taken::kept(here.id, "it was changed here since it was taken over"));
        }
        if named.is_some_and(|named| named.id != here.id) {
            return Ok(Taken::kept(here.id, format!("its new name is taken by another {kind} here")));
        }
        if here.connector_type != input.connector_type
            && !job_names(&self.tx, &self.store, side, here.id).await?.is_empty()
        {
            return Ok(Taken::kept(here.id, "its type has changed there, and jobs here use it"));
        }
        self.store.replace_connection(&self.tx, project, side, here.id, input, &sealed, made_by).await?;
        self.remember(kind, old, here.id, &(here.revision + 1).to_string()).await?;
        Ok(Taken::new(here.id, Outcome::Updated))
    }
}
