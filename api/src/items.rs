//! The items of a list, which are written one by one as they come from the database ([`crate::written`]).
//!
//! A list is read by keys: [`Items::read`] reads the rows of a batch when those before it have been written. A list whose
//! rows are few by themselves (a page without documents) may be read at once: [`Items::of`].

use std::marker::PhantomData;

use futures::{StreamExt, TryStreamExt, stream};
use olake_shared::store::{StoreError, lists::Key};
use poem::{IntoResponse, Response};
use poem_openapi::{
    payload::Payload,
    registry::{MetaSchemaRef, Registry},
    types::{ParseFromJSON, ToJSON, Type},
};

use crate::{
    envelope::Envelope,
    json::MEDIA_TYPE,
    written::{Batches, Values, hold_list},
};

/// How many rows are read at a time that are short.
pub const SHORT: usize = 500;
/// How many rows are read at a time that have configs or catalogs.
pub const WITH_DOCUMENTS: usize = 50;

/// Items that are made of the rows of a batch, one at a time.
pub type Batch<T> = Box<dyn Iterator<Item = T> + Send>;

/// A success whose `data` are the items of a list.
pub struct Items<T> {
    count: usize,
    batches: Batches,
    items: PhantomData<fn() -> T>,
}

impl<T: ToJSON + Send + 'static> Items<T> {
    /// The items that `read` makes of the ids, so many rows at a time. The first of them are read here.
    ///
    /// # Errors
    /// Those of the first reading. A later one breaks the answer off.
    pub async fn read<F>(
        keys: &[Key],
        rows: usize,
        read: impl Fn(Vec<i64>) -> F + Send + 'static,
    ) -> Result<Self, StoreError>
    where
        F: Future<Output = Result<Batch<T>, StoreError>> + Send + 'static,
    {
        let parts: Vec<_> = keys.chunks(rows).map(|keys| keys.iter().map(|key| key.id).collect()).collect();
        let mut batches = stream::iter(parts).then(read).map_ok(values).boxed();
        let first = batches.try_next().await?;
        let batches = stream::iter(first.map(Ok)).chain(batches).boxed();
        Ok(Self { count: keys.len(), batches, items: PhantomData })
    }

    /// These items.
    pub fn of(items: Vec<T>) -> Self {
        let count = items.len();
        let only = values(Box::new(items.into_iter()));
        Self { count, batches: stream::iter([Ok(only)]).boxed(), items: PhantomData }
    }
}

fn values<T: ToJSON + 'static>(items: Batch<T>) -> Values {
    Box::new(items.map(|item| item.to_json().unwrap_or_default()))
}

impl<T> IntoResponse for Items<T> {
    fn into_response(self) -> Response {
        hold_list(format!("{} found", self.count), self.batches, MEDIA_TYPE)
    }
}

impl<T: Type + ParseFromJSON + ToJSON> Payload for Items<T> {
    const CONTENT_TYPE: &'static str = MEDIA_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        Envelope::<Vec<T>>::schema_ref()
    }

    fn register(registry: &mut Registry) {
        Envelope::<Vec<T>>::register(registry);
    }
}
