//! A job: moves the selected streams of a source to a destination.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub project_id: String,
    pub name: String,
    pub source_id: i64,
    pub destination_id: i64,
    pub frequency: String,
    pub streams_config: String,
    pub activate: bool,
    pub advanced_settings: String,
    pub next_run_at: Option<i64>,
    pub revision: i64,
    pub last_task_id: Option<Uuid>,
    pub last_run_time: Option<i64>,
    pub last_run_state: Option<String>,
    pub last_run_type: Option<String>,
    pub created_at: i64,
    pub updated_at: i64,
    pub created_by: Option<i64>,
    pub updated_by: Option<i64>,
    pub deleted_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
