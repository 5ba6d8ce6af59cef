//! What is stored of one attempt.

use sea_orm::EntityTrait;

use super::{LogLine, chunk, unpack};
use crate::store::{
    StoreError,
    tasks::{Fence, Queue},
};

impl Queue {
    /// Shows the first `number` stored lines of an attempt, in their order.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a part of the log cannot be unpacked.
    pub async fn stored_lines(
        &self,
        fence: Fence,
        number: i64,
        mut show: impl FnMut(LogLine),
    ) -> Result<(), StoreError> {
        let (mut left, mut after) = (usize::try_from(number).unwrap_or(0), -1_i64);
        // One part at a time: a log may be large.
        while left > 0 {
            let sql = "SELECT * FROM task_log_chunks WHERE task_id = $1 AND attempt = $2 AND sequence > $3 \
                       ORDER BY sequence LIMIT 1";
            let values = [fence.task.into(), fence.attempt.into(), after.into()];
            let statement = self.store.sql(sql, values);
            let Some(row) = chunk::Entity::find().from_raw_sql(statement).one(&self.store.db).await? else {
                return Ok(());
            };
            for line in unpack(&row)?.into_iter().take(left) {
                left -= 1;
                show(line);
            }
            after = row.sequence;
        }
        Ok(())
    }
}
