//! One run of a task's connector.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "task_attempts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub task_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt: i32,
    pub worker_id: Uuid,
    pub host: String,
    pub source_revision: Option<i64>,
    pub destination_revision: Option<i64>,
    pub job_revision: Option<i64>,
    pub started_at: i64,
    pub connector_started_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub failure_class: Option<String>,
    pub failure_message: Option<String>,
    pub exit_code: Option<i32>,
    pub pod_uid: Option<String>,
    pub pod_name: Option<String>,
    pub node: Option<String>,
    pub incarnation: i64,
    pub push_sequence: i64,
    pub final_record: Option<String>,
    pub final_incarnation: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
