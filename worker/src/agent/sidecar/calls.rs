//! The calls of an agent to the workers, and how long it waits before it tries again.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use hyper::Method;
use tokio::time::Instant;

use super::{
    client::{CallError, Client, Target},
    settings::Settings,
};
use crate::internal::wire::{End, Pushed, Register, Registered, Waited};

/// The first wait after a failure; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How long an answer is waited for.
const ANSWER: Duration = Duration::from_secs(30);

/// How long the end of the connector is waited for in one call: longer than workers wait.
const END: Duration = Duration::from_secs(45);

/// Between two calls for the end, however soon they are answered.
const BETWEEN: Duration = Duration::from_millis(250);

/// Waits after failures.
#[derive(Default)]
pub struct BackOff {
    failures: u32,
}

impl BackOff {
    /// The wait after one more failure.
    pub fn next(&mut self) -> Duration {
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(10)).min(LONGEST_WAIT);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// A call succeeded.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// What a call came to.
pub enum Outcome {
    Registered(Result<Registered, CallError>),
    Pushed(Result<Pushed, CallError>),
    Recorded(Result<Pushed, CallError>),
}

/// A call on its way. It brings the client back.
pub type Call = Pin<Box<dyn Future<Output = (Client, Outcome)> + Send>>;

/// Asks for the permit.
pub async fn register(
    client: &mut Client,
    settings: &Settings,
    started: bool,
) -> Result<Registered, CallError> {
    let register = Register {
        pod_uid: settings.pod_uid.clone(),
        pod_name: settings.pod_name.clone(),
        node: settings.node.clone(),
        started,
    };
    let body = serde_json::to_vec(&register).map_err(|error| CallError::Away(error.to_string()))?;
    client.call(Method::POST, "register", body, ANSWER).await?.ok_or_else(no_answer)
}

/// Tells what is new.
pub async fn push(client: &mut Client, body: Vec<u8>) -> Result<Pushed, CallError> {
    client.call(Method::POST, "push", body, ANSWER).await?.ok_or_else(no_answer)
}

/// Tells what is left at the end.
pub async fn record(client: &mut Client, incarnation: i64, body: Vec<u8>) -> Result<Pushed, CallError> {
    let name = format!("final?incarnation={incarnation}");
    client.call(Method::POST, &name, body, ANSWER).await?.ok_or_else(no_answer)
}

fn no_answer() -> CallError {
    CallError::Away("the answer is empty".to_owned())
}

/// Waits until a worker knows that the connector has ended, or that the attempt is over.
pub async fn wait_for_end(target: Arc<Target>, incarnation: i64) -> End {
    let mut client = Client::new(target);
    let mut back_off = BackOff::default();
    loop {
        let asked = Instant::now();
        let name = format!("end?incarnation={incarnation}");
        match client.call::<Waited>(Method::GET, &name, Vec::new(), END).await {
            Ok(Some(waited)) => return waited.end,
            Ok(None) => {
                back_off.reset();
                tokio::time::sleep_until(asked + BETWEEN).await;
            }
            Err(error) if error.is_over() => return End::Over,
            Err(_) => tokio::time::sleep(back_off.next()).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew_after_a_success() {
        let mut back_off = BackOff::default();
        let waits: Vec<_> = (0..8).map(|_| back_off.next().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        back_off.reset();
        assert_eq!(back_off.next(), FIRST_WAIT);
    }
}
