//! The cache of connector specs.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
    sea_query::OnConflict,
};

use super::{Store, StoreError, entities::spec_cache};

/// What a spec is of: the source itself, or one of the destinations in its image.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpecKey {
    /// The connector whose program or image prints it.
    pub connector_type: String,
    /// Its version, as `v0.9.4`.
    pub version: String,
    /// Lower case; none for the source's own spec.
    pub destination_type: Option<String>,
}

impl Store {
    /// The spec text, if it was read before.
    pub async fn cached_spec(&self, key: &SpecKey) -> Result<Option<String>, StoreError> {
        read(&self.db, key).await
    }

    /// The spec text of a destination (lower case) at a version, if it was read before from whichever connector.
    pub async fn cached_destination_spec(
        &self,
        destination_type: &str,
        version: &str,
    ) -> Result<Option<String>, StoreError> {
        read_destination(&self.db, destination_type, version).await
    }
}

pub(super) async fn read(db: &impl ConnectionTrait, key: &SpecKey) -> Result<Option<String>, StoreError> {
    let id =
        (key.connector_type.clone(), key.version.clone(), key.destination_type.clone().unwrap_or_default());
    Ok(spec_cache::Entity::find_by_id(id).one(db).await?.map(|row| row.spec))
}

/// A spec of a destination at this version, whichever source's image printed it.
pub(super) async fn read_destination(
    db: &impl ConnectionTrait,
    destination_type: &str,
    version: &str,
) -> Result<Option<String>, StoreError> {
    let row = spec_cache::Entity::find()
        .filter(spec_cache::Column::DestinationType.eq(destination_type.to_lowercase()))
        .filter(spec_cache::Column::Version.eq(version))
        .order_by_asc(spec_cache::Column::Type)
        .one(db)
        .await?;
    Ok(row.map(|row| row.spec))
}

pub(super) async fn write(
    db: &impl ConnectionTrait,
    key: &SpecKey,
    spec: &str,
    now: i64,
) -> Result<(), StoreError> {
    let row = spec_cache::ActiveModel {
        r#type: Set(key.connector_type.clone()),
        version: Set(key.version.clone()),
        destination_type: Set(key.destination_type.clone().unwrap_or_default()),
        spec: Set(spec.to_owned()),
        created_at: Set(now),
    };
    let columns =
        [spec_cache::Column::Type, spec_cache::Column::Version, spec_cache::Column::DestinationType];
    spec_cache::Entity::insert(row)
        .on_conflict(OnConflict::columns(columns).update_columns([spec_cache::Column::Spec]).to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(())
}
