//! Notifications: the webhook of a project, and the log of what was delivered to it.
//!
//! To add an operation: a file with request, response and handler, and a method here that calls it.

pub mod deliveries;
pub mod get;
pub mod item;
pub mod put;
pub mod test;

use poem::{http::Uri, web::Data};
use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
};

use self::{
    item::{DeliveryItem, NotificationItem},
    put::NotificationBody,
};
use super::Tags;
use crate::{
    auth::Auth,
    context::Context,
    envelope::{Answer, IfMatch, TaggedAnswer},
    json::Json,
    paging::PagedAnswer,
};

/// The operations on notifications.
pub struct Api;

#[OpenApi(tag = "Tags::Notifications")]
impl Api {
    /// Show the webhook
    ///
    /// Where the project's notifications go. The secret, and passwords and tokens in the URL, are shown as `********`. The
    /// `ETag` is the revision.
    #[oai(
        path = "/api/v1/project/:projectid/settings/notifications",
        method = "get",
        operation_id = "getNotifications"
    )]
    async fn get(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
    ) -> TaggedAnswer<NotificationItem> {
        get::get(&context, &projectid).await
    }

    /// Replace the webhook
    ///
    /// A notification is a POST to the URL when a sync or clear fails, when a job succeeds again for the first time after
    /// a failure, and (if wished) at every other success. It is delivered at least once; a receiver that does not
    /// answer 2xx within 10 seconds is tried again after 10 seconds, doubling up to an hour, for 24 hours. Redirects are not
    /// followed.
    ///
    /// Headers: `X-OLake-Delivery` (the same at each try), `X-OLake-Event`, `X-OLake-Timestamp` (seconds since 1970), and
    /// with a secret `X-OLake-Signature`: `sha256=` and the hexadecimal HMAC-SHA256, under the secret, of the timestamp, a
    /// dot and the body.
    ///
    /// The body in the format `json`: `event` (`failure`, `recovery`, `success` or `test`), `project`, `job` (`id`, `name`;
    /// null in a test), `task` (`id`, `kind`, `status`, `failure_class`, `failure_message`, `started_at`, `ended_at`,
    /// `records_read`; null in a test) and `url` (of the task, or null). In the format `text`: `{"text": "…"}`.
    #[oai(
        path = "/api/v1/project/:projectid/settings/notifications",
        method = "put",
        operation_id = "updateNotifications"
    )]
    async fn put(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The `ETag` that was read
        #[oai(name = "If-Match")]
        if_match_header: Header<Option<String>>,
        body: Json<NotificationBody>,
    ) -> TaggedAnswer<NotificationItem> {
        let if_match = IfMatch::read(if_match_header.as_deref());
        put::put(&context, &projectid, if_match, auth.user().id, body.0).await
    }

    /// Try the webhook
    ///
    /// Delivers a notification with the event `test`, once, also while notifications are not enabled, and answers what came
    /// of it: `delivered` or `failed`, with the receiver's status.
    #[oai(
        path = "/api/v1/project/:projectid/settings/notifications/test",
        method = "post",
        operation_id = "testNotifications"
    )]
    async fn test(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
    ) -> Answer<DeliveryItem> {
        test::test(&context, &projectid).await
    }

    /// List the deliveries
    ///
    /// What was told, or is to be, newest first; kept for 30 days. 1000 unless a `limit` is given; the `Link` header names
    /// the next page.
    #[oai(
        path = "/api/v1/project/:projectid/settings/notifications/deliveries",
        method = "get",
        operation_id = "listNotificationDeliveries"
    )]
    async fn deliveries(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        uri: &Uri,
        /// The project, as `olake`
        projectid: Path<String>,
        /// At most this many
        limit: Query<Option<i64>>,
        /// From the `Link` header of the page before
        cursor: Query<Option<String>>,
    ) -> PagedAnswer<DeliveryItem> {
        deliveries::deliveries(&context, &projectid, limit.0, cursor.as_deref(), uri).await
    }
}
