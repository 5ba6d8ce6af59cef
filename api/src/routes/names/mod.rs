//! Names of a project's things.

pub mod check;

use poem::web::Data;
use poem_openapi::{OpenApi, param::Path};

use self::check::{NameBody, NameIsUnique};
use super::Tags;
use crate::{auth::Auth, context::Context, envelope::Answer, json::Json};

/// The operations on names.
pub struct Api;

#[OpenApi(tag = "Tags::Jobs")]
impl Api {
    /// Whether a name is free
    ///
    /// Of a job, source or destination in this project. A taken name is a 409, in the words that the write would answer. For
    /// forms: a name that is free now may be taken by the time that it is used.
    #[oai(
        path = "/api/v1/project/:projectid/check-unique",
        method = "post",
        operation_id = "checkUniqueName"
    )]
    async fn check(
        &self,
        _auth: Auth,
        context: Data<&Context>,
        /// The project, as `olake`
        projectid: Path<String>,
        body: Json<NameBody>,
    ) -> Answer<NameIsUnique> {
        check::check(&context, &projectid, body.0).await
    }
}
