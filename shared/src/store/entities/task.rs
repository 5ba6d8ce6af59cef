//! A task: the truth about one piece of work.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tasks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub project_id: String,
    pub job_id: Option<i64>,
    pub kind: String,
    pub place_class: String,
    pub trigger_kind: String,
    pub created_by: Option<i64>,
    pub status: String,
    pub phase: Option<String>,
    pub attempt: i32,
    pub epoch: i64,
    pub owner: Option<Uuid>,
    pub not_before: Option<i64>,
    pub scheduled_for: Option<i64>,
    pub cancel_requested_at: Option<i64>,
    pub force_end_requested_at: Option<i64>,
    pub after_task_id: Option<Uuid>,
    pub after_condition: Option<String>,
    pub slot_key: Option<String>,
    pub connector_type: Option<String>,
    pub connector_version: Option<String>,
    pub input: Option<String>,
    pub result: Option<String>,
    pub result_until: Option<i64>,
    pub hold_reason: Option<String>,
    pub unrunnable_since: Option<i64>,
    pub failure_class: Option<String>,
    pub failure_message: Option<String>,
    pub exit_code: Option<i32>,
    pub records_read: Option<i64>,
    pub bytes_read: Option<i64>,
    pub stats: Option<String>,
    pub state_sequence: i64,
    pub log_sequence: i64,
    pub log_lines: i64,
    pub attempt_lines: i64,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
