//! Secrets of configs: replaced by tokens, opened again, and sealed anew when a spec that arrives names more of them.

use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value as Db};
use serde_json::Value;
use uuid::Uuid;

use super::{ConnectionInput, Side};
use crate::{
    crypto::SecretRules,
    domain::project::ProjectId,
    json::parse_json,
    store::{Store, StoreError, specs},
};

/// What the sealed text of a config is bound to.
pub(super) fn aad(side: Side, project: &ProjectId, seal_id: Uuid) -> String {
    format!("{}|{project}|{seal_id}", side.table())
}

impl Store {
    /// Makes plain text of a config, for the input of a task.
    ///
    /// # Errors
    /// [`StoreError::Secret`] names the field whose token does not open.
    pub fn open_config(&self, project: &ProjectId, side: Side, config: &Value) -> Result<Value, StoreError> {
        Ok(self.keys.open_config(&side.scope(project), config)?)
    }

    pub(super) fn config_of(&self, aad: &str, sealed: &str) -> Result<Value, StoreError> {
        Ok(parse_json(self.keys.open_text(aad, sealed)?)?)
    }

    /// Replaces the secrets of `config` by tokens, by what the connector's spec says if it was read before.
    pub(in crate::store) async fn seal(
        &self,
        db: &impl ConnectionTrait,
        project: &ProjectId,
        side: Side,
        input: &ConnectionInput,
    ) -> Result<Value, StoreError> {
        let spec = match side {
            Side::Source => {
                let key = specs::SpecKey {
                    connector_type: input.connector_type.clone(),
                    version: input.version.clone(),
                    destination_type: None,
                };
                specs::read(db, &key).await?
            }
            Side::Destination => specs::read_destination(db, &input.connector_type, &input.version).await?,
        };
        // A spec that cannot be read marks nothing: names alone decide then.
        let spec = spec.and_then(|text| parse_json(text).ok());
        let rules = SecretRules::from_spec(spec.as_ref());
        Ok(self.keys.seal_config(&side.scope(project), &input.config, &rules)?)
    }

    /// Seals the configs again whose secrets a spec names, after it arrived: until then only well-known names were
    /// sealed.
    pub(in crate::store) async fn seal_again(
        &self,
        db: &impl ConnectionTrait,
        key: &specs::SpecKey,
        spec: &str,
    ) -> Result<(), StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            id: i64,
            project_id: String,
            seal_id: Uuid,
            config: String,
        }
        let (side, connector_type) = match &key.destination_type {
            None => (Side::Source, key.connector_type.clone()),
            Some(destination) => (Side::Destination, destination.to_lowercase()),
        };
        let rules = SecretRules::from_spec(Some(&parse_json(spec)?));
        let sql = format!(
            "SELECT id, project_id, seal_id, config FROM {} WHERE lower(type) = $1 AND version = $2",
            side.table()
        );
        let values: [Db; 2] = [connector_type.into(), key.version.as_str().into()];
        let rows = Row::find_by_statement(Statement::from_sql_and_values(self.backend(), sql, values))
            .all(db)
            .await?;
        for row in rows {
            let project = ProjectId::new(row.project_id);
            let aad = aad(side, &project, row.seal_id);
            let sealed = self.config_of(&aad, &row.config).and_then(|shown| {
                let sealed = self.keys.seal_config(&side.scope(&project), &shown, &rules)?;
                Ok((shown, sealed))
            });
            let (shown, sealed) = match sealed {
                Ok(both) => both,
                Err(error) => {
                    tracing::error!(side = side.name(), id = row.id, %error, "a config cannot be sealed again");
                    continue;
                }
            };
            if sealed != shown {
                let text = self.keys.seal_text(&aad, &serde_json::to_string(&sealed)?);
                // Only if nobody has changed it since: another text is bound to another seal_id.
                let sql = format!("UPDATE {} SET config = $1 WHERE id = $2 AND seal_id = $3", side.table());
                let values: [Db; 3] = [text.into(), row.id.into(), row.seal_id.into()];
                db.execute_raw(Statement::from_sql_and_values(self.backend(), sql, values)).await?;
            }
        }
        Ok(())
    }
}
