//! What a notification says.
//!
//! The `json` form is documented in `openapi.yaml` at `PUT …/settings/notifications`: fields may be added to it, and none
//! is taken away.

use olake_shared::{
    domain::webhook::{NotificationEvent, NotificationFormat},
    store::notifications::outbox::{Delivery, Subject},
};
use serde_json::{Value, json};

/// The longest failure that a text tells, in characters.
const LONGEST_FAILURE: usize = 1_000;

/// The body of a notification. It is the same at each try.
pub fn body(delivery: &Delivery, public_url: Option<&str>) -> String {
    let url = link(delivery, public_url);
    match delivery.target.format {
        NotificationFormat::Json => object(delivery, url).to_string(),
        NotificationFormat::Text => json!({ "text": text(delivery, url.as_deref()) }).to_string(),
    }
}

/// Where the task's story is told.
fn link(delivery: &Delivery, public_url: Option<&str>) -> Option<String> {
    let (base, subject) = (public_url?, delivery.subject.as_ref()?);
    Some(format!("{base}/api/v1/project/{}/tasks/{}", delivery.project, subject.task.id))
}

fn object(delivery: &Delivery, url: Option<String>) -> Value {
    let job = delivery.subject.as_ref().map(|subject| json!({ "id": subject.job, "name": subject.job_name }));
    let task = delivery.subject.as_ref().map(|Subject { task, .. }| {
        json!({
            "id": task.id,
            "kind": task.kind,
            "status": task.status,
            "failure_class": task.failure_class,
            "failure_message": task.failure_message,
            "started_at": task.started_at,
            "ended_at": task.ended_at,
            "records_read": task.records_read,
        })
    });
    json!({
        "event": delivery.event,
        "project": delivery.project.as_str(),
        "job": job,
        "task": task,
        "url": url,
    })
}

fn text(delivery: &Delivery, url: Option<&str>) -> String {
    let project = escaped(delivery.project.as_str());
    let mut text = match &delivery.subject {
        None => format!("OLake: this is a test of the notifications of project {project}."),
        Some(subject) => {
            let (kind, job) = (subject.task.kind, escaped(&subject.job_name));
            let what = match delivery.event {
                NotificationEvent::Failure => "failed",
                NotificationEvent::Recovery => "works again",
                NotificationEvent::Success | NotificationEvent::Test => "succeeded",
            };
            let mut line = format!("OLake: the {kind} of job '{job}' (project {project}) {what}");
            match (&subject.task.failure_message, subject.task.records_read) {
                (Some(failure), _) if delivery.event == NotificationEvent::Failure => {
                    let failure: String = failure.chars().take(LONGEST_FAILURE).collect();
                    line.push_str(": ");
                    line.push_str(&escaped(&failure));
                }
                (_, Some(records)) => line.push_str(&format!(": {records} records were read.")),
                _ => line.push('.'),
            }
            line
        }
    };
    if let Some(url) = url {
        text.push('\n');
        text.push_str(url);
    }
    text
}

/// What stands for itself in chat tools: in their text these three signs begin links and mentions of everybody.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
