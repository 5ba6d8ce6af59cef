//! Keeps the stack of layers shallow.
//!
//! A layer's future holds those of all layers below it, and is moved on the stack as each one begins: without optimisation
//! a dozen of them fill the stack of a thread. Below this one there is a pointer.

use std::future::Future;

use poem::{Endpoint, Middleware, Request};

/// Puts the futures of what is below it on the heap.
#[derive(Clone, Copy, Debug)]
pub struct Boxed;

/// What [`Boxed`] makes of an endpoint.
#[derive(Clone, Debug)]
pub struct BoxedFutures<E>(E);

impl<E: Endpoint> Middleware<E> for Boxed {
    type Output = BoxedFutures<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        BoxedFutures(endpoint)
    }
}

impl<E: Endpoint> Endpoint for BoxedFutures<E> {
    type Output = E::Output;

    fn call(&self, request: Request) -> impl Future<Output = poem::Result<Self::Output>> + Send {
        Box::pin(self.0.call(request))
    }
}
