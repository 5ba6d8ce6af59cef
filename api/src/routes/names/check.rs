//! `POST P/check-unique`.

use olake_shared::store::names::Named;
use poem_openapi::{Enum, Object, types::Example};

use crate::{
    context::Context,
    envelope::{Answer, ok},
    routes::{connections::request, scope},
};

/// The name that is asked for.
#[derive(Clone, Debug, Object)]
#[oai(rename = "NameInput", example)]
pub struct NameBody {
    /// 1 to 200 characters.
    pub name: String,
    /// What is to have it.
    pub entity_type: NamedWord,
}

/// What has a name that is unique in its project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "Named", rename_all = "lowercase")]
pub enum NamedWord {
    Job,
    Source,
    Destination,
}

impl Example for NameBody {
    fn example() -> Self {
        Self { name: "shop to lake".into(), entity_type: NamedWord::Job }
    }
}

/// A name that is free.
#[derive(Clone, Debug, Object)]
pub struct NameIsUnique {
    /// Always true: a taken name is a 409.
    pub unique: bool,
}

/// Checks that a name is free.
pub async fn check(context: &Context, project: &str, body: NameBody) -> Answer<NameIsUnique> {
    let project = scope::project(context, project).await?;
    let name = request::name(&body.name, "")?;
    let what = match body.entity_type {
        NamedWord::Job => Named::Job,
        NamedWord::Source => Named::Source,
        NamedWord::Destination => Named::Destination,
    };
    project.name_is_free(what, &name).await?;
    ok("the name is free", NameIsUnique { unique: true })
}
