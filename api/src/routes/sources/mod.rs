//! Where data comes from.
//!
//! What sources share with destinations is in [`crate::routes::connections`]. To add an operation: a file with request,
//! response and handler, and a method here that calls it.

pub mod catalog;
pub mod request;
pub mod spec;
pub mod streams;

use olake_shared::store::connections::Side;
use poem::{http::Uri, web::Data};
use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
};

use self::{
    catalog::CatalogBody,
    request::{SourceBody, SourceStreams, SourceTest, StreamsOfGet},
    spec::{SourceSpec, SourceSpecQuery},
    streams::Streams,
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
    document::Document,
    envelope::{Answer, IfMatch, LaterAnswer, TaggedAnswer},
    json::{Json, OptionalJson},
    paging::{PagedAnswer, Wanted, checked_search},
};

const SIDE: Side = Side::Source;

/// The operations on sources.
pub struct Api;

#[OpenApi(tag = "Tags::Sources")]
impl Api {
    /// The form of a source
    ///
    /// A JSON schema of the config and how a form shows it, as the connector prints them. `type` and `version` come as
    /// query parameters, or as a JSON body. The form is read once from the connector and then kept.
    #[oai(path = "/api/v1/project/:projectid/sources/spec", method = "get", operation_id = "getSourceSpec")]
    async fn spec(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The connector's type
        #[oai(name = "type")]
        connector_type: Query<Option<String>>,
        /// The connector's version
        version: Query<Option<String>>,
        /// `respond-async`: answer the task instead of waiting for it
        #[oai(name = "Prefer")]
        prefer: Header<Option<String>>,
        body: OptionalJson<SourceSpecQuery>,
    ) -> LaterAnswer<SourceSpec> {
        let body = body.0.unwrap_or_default();
        let query = SourceSpecQuery {
            connector_type: body.connector_type.or(connector_type.0),
            version: body.version.or(version.0),
        };
        spec::read(&context, &projectid, Asker::new(&auth, &prefer), query).await
    }

    /// The form of a source, as a POST
    ///
    /// As the GET, with its fields in the body.
    #[oai(path = "/api/v1/project/:projectid/sources/spec", method = "post", operation_id = "readSourceSpec")]
    async fn post_spec(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// `respond-async`: answer the task instead of waiting for it
        #[oai(name = "Prefer")]
        prefer: Header<Option<String>>,
        body: Json<SourceSpecQuery>,
    ) -> LaterAnswer<SourceSpec> {
        spec::read(&context, &projectid, Asker::new(&auth, &prefer), body.0).await
    }

    /// List the versions of a source
    ///
    /// Newest first: what the workers run; if none runs it, what they once ran, or what is configured. Never empty.
    #[oai(
        path = "/api/v1/project/:projectid/sources/versions",
        method = "get",
        operation_id = "listSourceVersions"
    )]
    async fn versions(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The connector's type
        #[oai(name = "type")]
        connector_type: Query<Option<String>>,
    ) -> Answer<Versions> {
        versions::versions(&context, SIDE, &projectid, connector_type.0).await
    }

    /// Test a source
    ///
    /// Runs the connector's check. A test that fails is a 200 whose `connection_result.status` is `FAILED`.
    #[oai(path = "/api/v1/project/:projectid/sources/test", method = "post", operation_id = "testSource")]
    async fn test(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// `respond-async`: answer the task instead of waiting for it
        #[oai(name = "Prefer")]
        prefer: Header<Option<String>>,
        body: Json<SourceTest>,
    ) -> LaterAnswer<Tested> {
        test::test(&context, SIDE, &projectid, Asker::new(&auth, &prefer), body.0.into()).await
    }

    /// Create a source
    ///
    /// Answers what was sent, in the form in which it was sent, with the new id; secrets in the config come back as
    /// `sealed:` tokens.
    #[oai(path = "/api/v1/project/:projectid/sources", method = "post", operation_id = "createSource")]
    async fn create(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        body: Json<SourceBody>,
    ) -> TaggedAnswer<WrittenConnection> {
        create::create(&context, SIDE, &projectid, auth.user().id, body.0.into()).await
    }

    /// List the sources
    ///
    /// Newest-updated first, each with the jobs that use it. All of them, unless a `limit` is given: then the `Link`
    /// header names the next page.
    #[oai(path = "/api/v1/project/:projectid/sources", method = "get", operation_id = "listSources")]
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

    /// Show a source
    ///
    /// With the jobs that use it; the `ETag` is its revision.
    #[oai(path = "/api/v1/project/:projectid/sources/:id", method = "get", operation_id = "getSource")]
    async fn get(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The source's id
        id: Path<i64>,
    ) -> TaggedAnswer<ConnectionItem> {
        get::get(&context, SIDE, &projectid, id.0).await
    }

    /// Replace a source
    ///
    /// A running sync keeps what it started with; the next attempt uses the new config. The type of a source that jobs use
    /// cannot change. With `If-Match` only the revision of that `ETag` is replaced.
    #[oai(path = "/api/v1/project/:projectid/sources/:id", method = "put", operation_id = "updateSource")]
    async fn update(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The source's id
        id: Path<i64>,
        /// The `ETag` that was read
        #[oai(name = "If-Match")]
        if_match_header: Header<Option<String>>,
        body: Json<SourceBody>,
    ) -> TaggedAnswer<WrittenConnection> {
        let if_match = IfMatch::read(if_match_header.as_deref());
        let target = Target { side: SIDE, id: id.0, user: auth.user().id, if_match };
        update::update(&context, &projectid, target, body.0.into()).await
    }

    /// Delete a source
    ///
    /// Refused (409) while jobs use it. Its name is free again. With `If-Match` only the revision of that `ETag` is deleted.
    #[oai(path = "/api/v1/project/:projectid/sources/:id", method = "delete", operation_id = "deleteSource")]
    async fn delete(
        &self,
        auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The source's id
        id: Path<i64>,
        /// The `ETag` that was read
        #[oai(name = "If-Match")]
        if_match_header: Header<Option<String>>,
    ) -> Answer<delete::Deleted> {
        let if_match = IfMatch::read(if_match_header.as_deref());
        let target = Target { side: SIDE, id: id.0, user: auth.user().id, if_match };
        delete::delete(&context, &projectid, target).await
    }

    /// Discover the catalog of a source
    ///
    /// As `POST …/source/streams`, and `data` is the catalog itself. With the id of a job its selections are merged in.
    #[oai(
        path = "/api/v1/project/:projectid/sources/streams",
        method = "post",
        operation_id = "discoverSourceCatalog"
    )]
    async fn post_catalog(
        &self,
        auth: Auth,
        context: Data<&Context>,
        uri: &Uri,
        /// The project, as `olake`
        projectid: Path<String>,
        /// `respond-async`: answer the task instead of waiting for it
        #[oai(name = "Prefer")]
        prefer: Header<Option<String>>,
        body: Json<CatalogBody>,
    ) -> LaterAnswer<Document> {
        streams::refuse_config_in_query(uri.query())?;
        catalog::discover(&context, &projectid, Asker::new(&auth, &prefer), body.0).await
    }

    /// List the streams of a source
    ///
    /// As the POST. The body is `{type, version, config}`; `type` and `version` may come as query parameters instead, and
    /// those of the body win. A config in the query string is refused (400), since a query string ends in logs.
    #[oai(
        path = "/api/v1/project/:projectid/source/streams",
        method = "get",
        operation_id = "getSourceStreams"
    )]
    #[expect(clippy::too_many_arguments, reason = "one argument for each part of the request")]
    async fn get_streams(
        &self,
        auth: Auth,
        context: Data<&Context>,
        uri: &Uri,
        /// The project, as `olake`
        projectid: Path<String>,
        /// The connector's type
        #[oai(name = "type")]
        connector_type: Query<Option<String>>,
        /// The connector's version
        version: Query<Option<String>>,
        /// `respond-async`: answer the task instead of waiting for it
        #[oai(name = "Prefer")]
        prefer: Header<Option<String>>,
        body: OptionalJson<StreamsOfGet>,
    ) -> LaterAnswer<Streams> {
        let given = streams::from_parts(uri.query(), connector_type.0, version.0, body.0)?;
        streams::discover(&context, &projectid, Asker::new(&auth, &prefer), given).await
    }

    /// Discover the streams of a source
    ///
    /// Runs the connector's discover: the tables or collections with their schemas and what can be selected of them. It
    /// can take minutes; `Prefer: respond-async` answers the task at once.
    #[oai(
        path = "/api/v1/project/:projectid/source/streams",
        method = "post",
        operation_id = "discoverSourceStreams"
    )]
    async fn post_streams(
        &self,
        auth: Auth,
        context: Data<&Context>,
        uri: &Uri,
        /// The project, as `olake`
        projectid: Path<String>,
        /// `respond-async`: answer the task instead of waiting for it
        #[oai(name = "Prefer")]
        prefer: Header<Option<String>>,
        body: Json<SourceStreams>,
    ) -> LaterAnswer<Streams> {
        streams::refuse_config_in_query(uri.query())?;
        streams::discover(&context, &projectid, Asker::new(&auth, &prefer), body.0).await
    }
}
