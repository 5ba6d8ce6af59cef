//! Where data goes to.
//!
//! What destinations share with sources is in [`crate::routes::connections`]. To add an operation: a file with request,
//! response and handler, and a method here that calls it.

pub mod narrow;
pub mod request;
pub mod spec;

use olake_shared::store::connections::Side;
use poem::{http::Uri, web::Data};
use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
};

use self::{
    request::{DestinationBody, DestinationTest},
    spec::{DestinationSpec, DestinationSpecQuery},
};
use super::{
    Tags,
    connections::{
        create, delete, get,
        item::{ConnectionItem, WrittenConnection},
        list,
        test::{self, Asker, Tested},
        update::{self, Target},
        versions::{self, Versions},
    },
};
use crate::{
    auth::Auth,
    context::Context,
    envelope::{Answer, IfMatch, LaterAnswer, TaggedAnswer},
    json::{Json, OptionalJson},
    paging::{PagedAnswer, Wanted, checked_search},
};

const SIDE: Side = Side::Destination;

/// The operations on destinations.
pub struct Api;

#[OpenApi(tag = "Tags::Destinations")]
impl Api {
    /// The form of a destination
    ///
    /// A JSON schema of the config and how a form shows it, as a connector that writes the destination prints them. The
    /// fields come as query parameters, or as a JSON body. A `catalog` narrows the form of iceberg to that catalog.
    #[oai(
        path = "/api/v1/project/:projectid/destinations/spec",
        method = "get",
        operation_id = "getDestinationSpec"
    )]
    #[expect(clippy::too_many_arguments, reason = "one argument for each part of the request")]
    async fn spec(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// What is written, as `parquet` or `iceberg`
        #[oai(name = "type")]
        connector_type: Query<Option<String>>,
        /// The version of the connectors that write it
        version: Query<Option<String>>,
        /// A catalog of iceberg
        catalog: Query<Option<String>>,
        /// `respond-async`: answer the task instead of waiting for it
        #[oai(name = "Prefer")]
        prefer: Header<Option<String>>,
        body: OptionalJson<DestinationSpecQuery>,
    ) -> LaterAnswer<DestinationSpec> {
        let body = body.0.unwrap_or_default();
        let query = DestinationSpecQuery {
            connector_type: body.connector_type.or(connector_type.0),
            version: body.version.or(version.0),
            catalog: body.catalog.or(catalog.0),
            ..body
        };
        spec::read(&context, &projectid, Asker::new(&auth, &prefer), query).await
    }

    /// The form of a destination, as a POST
    ///
    /// As the GET, with its fields in the body.
    #[oai(
        path = "/api/v1/project/:projectid/destinations/spec",
        method = "post",
        operation_id = "readDestinationSpec"
    )]
    async fn post_spec(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// `respond-async`: answer the task instead of waiting for it
        #[oai(name = "Prefer")]
        prefer: Header<Option<String>>,
        body: Json<DestinationSpecQuery>,
    ) -> LaterAnswer<DestinationSpec> {
        spec::read(&context, &projectid, Asker::new(&auth, &prefer), body.0).await
    }

    /// List the versions of a destination
    ///
    /// Newest first: what the workers run; if none runs it, what they once ran, or what is configured. Never empty.
    #[oai(
        path = "/api/v1/project/:projectid/destinations/versions",
        method = "get",
        operation_id = "listDestinationVersions"
    )]
    async fn versions(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// What is written, as `parquet` or `iceberg`
        #[oai(name = "type")]
        connector_type: Query<Option<String>>,
    ) -> Answer<Versions> {
        versions::versions(&context, SIDE, &projectid, connector_type.0).await
    }

    /// Test a destination
    ///
    /// Runs the check of a connector that writes it. A test that fails is a 200 whose `connection_result.status` is `FAILED`.
    #[oai(
        path = "/api/v1/project/:projectid/destinations/test",
        method = "post",
        operation_id = "testDestination"
    )]
    async fn test(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// `respond-async`: answer the task instead of waiting for it
        #[oai(name = "Prefer")]
        prefer: Header<Option<String>>,
        body: Json<DestinationTest>,
    ) -> LaterAnswer<Tested> {
        test::test(&context, SIDE, &projectid, Asker::new(&auth, &prefer), body.0.into()).await
    }

    /// Create a destination
    ///
    /// Answers what was sent, in the form in which it was sent, with the new id; secrets in the config come back as
    /// `sealed:` tokens.
    #[oai(
        path = "/api/v1/project/:projectid/destinations",
        method = "post",
        operation_id = "createDestination"
    )]
    async fn create(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        body: Json<DestinationBody>,
    ) -> TaggedAnswer<WrittenConnection> {
        create::create(&context, SIDE, &projectid, auth.user().id, body.0.into()).await
    }

    /// List the destinations
    ///
    /// Newest-updated first, each with the jobs that use it. All of them, unless a `limit` is given: then the `Link`
    /// header names the next page.
    #[oai(
        path = "/api/v1/project/:projectid/destinations",
        method = "get",
        operation_id = "listDestinations"
    )]
    async fn list(
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
        /// Only those whose name holds this text, without regard to case
        search: Query<Option<String>>,
    ) -> PagedAnswer<ConnectionItem> {
        checked_search(search.as_deref())?;
        let page = Wanted::new(limit.0, cursor.as_deref())?;
        list::list(&context, SIDE, &projectid, search.as_deref(), page, uri).await
    }

    /// Show a destination
    ///
    /// With the jobs that use it; the `ETag` is its revision.
    #[oai(
        path = "/api/v1/project/:projectid/destinations/:id",
        method = "get",
        operation_id = "getDestination"
    )]
    async fn get(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The destination's id
        id: Path<i64>,
    ) -> TaggedAnswer<ConnectionItem> {
        get::get(&context, SIDE, &projectid, id.0).await
    }

    /// Replace a destination
    ///
    /// A running sync keeps what it started with; the next attempt uses the new config. The type of a destination that jobs use
    /// cannot change. With `If-Match` only the revision of that `ETag` is replaced.
    #[oai(
        path = "/api/v1/project/:projectid/destinations/:id",
        method = "put",
        operation_id = "updateDestination"
    )]
    async fn update(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The destination's id
        id: Path<i64>,
        /// The `ETag` that was read
        #[oai(name = "If-Match")]
        if_match_header: Header<Option<String>>,
        body: Json<DestinationBody>,
    ) -> TaggedAnswer<WrittenConnection> {
        let if_match = IfMatch::read(if_match_header.as_deref());
        let target = Target { side: SIDE, id: id.0, user: auth.user().id, if_match };
        update::update(&context, &projectid, target, body.0.into()).await
    }

    /// Delete a destination
    ///
    /// Refused (409) while jobs use it. Its name is free again. With `If-Match` only the revision of that `ETag` is deleted.
    #[oai(
        path = "/api/v1/project/:projectid/destinations/:id",
        method = "delete",
        operation_id = "deleteDestination"
    )]
    async fn delete(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The destination's id
        id: Path<i64>,
        /// The `ETag` that was read
        #[oai(name = "If-Match")]
        if_match_header: Header<Option<String>>,
    ) -> Answer<delete::Deleted> {
        let if_match = IfMatch::read(if_match_header.as_deref());
        let target = Target { side: SIDE, id: id.0, user: auth.user().id, if_match };
        delete::delete(&context, &projectid, target).await
    }
}
