//! What is told of an attempt while it is there: each thing once, until it changes.

use std::time::Duration;

use olake_shared::domain::task::TaskPhase;

use super::{super::view::PodView, Drive};
use crate::launch::{Placed, Update};

impl Drive {
    pub(super) async fn tell(&mut self, phase: TaskPhase, why: Option<String>) {
        if self.told.as_ref().is_some_and(|told| told.0 == phase && told.1 == why) {
            return;
        }
        self.told = Some((phase, why.clone()));
        let _ = self.updates.send(Update::Starting { phase, why }).await;
    }

    pub(super) async fn tell_running(&mut self, since: Option<i64>) {
        self.has_run = true;
        if self.told.as_ref().map(|told| told.0) == Some(TaskPhase::Running) {
            return;
        }
        self.told = Some((TaskPhase::Running, None));
        let ran_for = since.map_or(Duration::ZERO, |since| self.ago(since));
        let _ = self.updates.send(Update::Started { pid: None, ran_for }).await;
    }

    pub(super) async fn tell_place(&mut self, view: &PodView) {
        let placed = Placed { pod: view.name.clone(), node: view.node.clone() };
        if self.placed.as_ref() != Some(&placed) {
            self.placed = Some(placed.clone());
            let _ = self.updates.send(Update::Placed(placed)).await;
        }
    }

    /// Whatever it did last: whether it still does that is unknown.
    pub(super) async fn tell_unreachable(&mut self, why: String) {
        if self.told.as_ref().map(|told| told.0) == Some(TaskPhase::NodeUnreachable) {
            return;
        }
        self.told = Some((TaskPhase::NodeUnreachable, None));
        let _ = self.updates.send(Update::Unreachable(why)).await;
    }
}
