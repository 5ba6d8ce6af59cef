//! The places of one class: how many tasks of it may run at once.

use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

/// The places of a class, and the bell that is heard while one is free.
pub struct Places {
    permits: Arc<Semaphore>,
    free: watch::Sender<bool>,
    rung: Arc<Notify>,
}

/// A place that is taken. It is free again when this is dropped.
pub struct Place {
    permit: Option<OwnedSemaphorePermit>,
    free: watch::Sender<bool>,
    rung: Arc<Notify>,
}

impl Places {
    pub fn new(number: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(number)),
            free: watch::Sender::new(number > 0),
            rung: Arc::new(Notify::new()),
        }
    }

    /// Woken by a bell, and by each end of a task.
    pub fn rung(&self) -> &Arc<Notify> {
        &self.rung
    }

    pub fn watch_free(&self) -> watch::Receiver<bool> {
        self.free.subscribe()
    }

    pub fn number_free(&self) -> usize {
        self.permits.available_permits()
    }

    /// Takes a place, if one is free.
    pub fn take(&self) -> Option<Place> {
        let permit = self.permits.clone().try_acquire_owned().ok();
        if self.number_free() == 0 {
            self.free.send_replace(false);
        }
        Some(Place { permit: Some(permit?), free: self.free.clone(), rung: self.rung.clone() })
    }
}

impl Places {
    /// Takes a place, beyond the number if none is free: what runs already is not turned away.
    pub fn take_for_running(&self) -> Place {
        self.take().unwrap_or_else(|| Place {
            permit: None,
            free: self.free.clone(),
            rung: self.rung.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // One beyond the number frees none.
        if self.permit.take().is_some() {
            self.free.send_replace(true);
            self.rung.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_runs_already_takes_a_place_beyond_the_number_which_frees_none() {
        let places = Places::new(1);
        let (one, beyond) = (places.take_for_running(), places.take_for_running());
        drop(beyond);
        assert!(places.take().is_none());
        drop(one);
        assert!(places.take().is_some());
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_it_is_dropped_and_that_rings() {
        let places = Places::new(1);
        let free = places.watch_free();
        let place = places.take().unwrap();
        assert!(places.take().is_none());
        assert!(!*free.borrow());
        drop(place);
        places.rung().notified().await;
        assert!(*free.borrow());
        assert!(places.take().is_some());
    }
}
