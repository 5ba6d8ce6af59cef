//! Who makes a request: a session's cookie, or its token as `Authorization: Bearer`.
//!
//! A handler that takes [`Auth`] as its FIRST argument answers 401 to everybody else, before anything else of the
//! request is looked at. A valid cookie wins, so that an unknown bearer beside it does no harm (the web UI sends a
//! literal one).

pub mod cookie;
pub mod throttle;

use olake_shared::store::accounts::User;
use poem::{
    Request, RequestBody,
    http::{Method, header},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};

use crate::{context::Context, problem::Problem};

const COOKIE_SCHEME: &str = "session";
const BEARER_SCHEME: &str = "bearer";

/// The account behind a request.
#[derive(Clone, Debug)]
pub enum Auth {
    /// By the session's cookie.
    Cookie(Session),
    /// By `Authorization: Bearer`.
    Bearer(Session),
}

/// An open session.
#[derive(Clone)]
pub struct Session {
    user: User,
    token: String,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("user", &self.user.id).finish_non_exhaustive()
    }
}

impl Auth {
    /// The account.
    pub fn user(&self) -> &User {
        &self.session().user
    }

    /// The token of the session, to end it.
    pub fn token(&self) -> &str {
        &self.session().token
    }

    fn session(&self) -> &Session {
        match self {
            Self::Cookie(session) | Self::Bearer(session) => session,
        }
    }
}

impl<'a> ApiExtractor<'a> for Auth {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let scheme = |ty, description| MetaSecurityScheme {
            ty,
            description: Some(description),
            name: None,
            key_in: None,
            scheme: None,
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        };
        registry.create_security_scheme(
            COOKIE_SCHEME,
            MetaSecurityScheme {
                name: Some(cookie::NAME),
                key_in: Some("cookie"),
                ..scheme("apiKey", "The cookie that `POST /login` sets.")
            },
        );
        registry.create_security_scheme(
            BEARER_SCHEME,
            MetaSecurityScheme {
                scheme: Some("bearer"),
                ..scheme("http", "The token that `POST /login` answers as `data.token`.")
            },
        );
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![COOKIE_SCHEME, BEARER_SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(authenticate(request).await?)
    }
}

/// Who makes a request. It needs the context and the cookies in it.
///
/// # Errors
/// 401 for nobody, 403 for another site's page.
pub(crate) async fn authenticate(request: &Request) -> Result<Auth, Problem> {
    // The context is in every request: `app` puts it there.
    let Some(context) = request.data::<Context>() else { return Err(Problem::unauthenticated()) };
    if let Some(session) = open(context, cookie::token(request.cookie())).await? {
        refuse_foreign_page(request, context)?;
        return Ok(Auth::Cookie(session));
    }
    match open(context, bearer(request)).await? {
        Some(session) => Ok(Auth::Bearer(session)),
        None => Err(Problem::unauthenticated()),
    }
}

async fn open(context: &Context, token: Option<String>) -> Result<Option<Session>, Problem> {
    let Some(token) = token else { return Ok(None) };
    let user = context.store.session_user(&token).await?;
    Ok(user.map(|user| Session { user, token }))
}

fn bearer(request: &Request) -> Option<String> {
    let (scheme, token) = request.header(header::AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// Browsers add the cookie to what another site's page sends. A page that may call us is in the list of origins.
fn refuse_foreign_page(request: &Request, context: &Context) -> Result<(), Problem> {
    let changes_nothing = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let foreign = request.header("sec-fetch-site") == Some("cross-site");
    let allowed = request.header(header::ORIGIN).is_some_and(|origin| context.settings.allows_origin(origin));
    if foreign && !changes_nothing && !allowed {
        return Err(Problem::forbidden("the request comes from another site's page"));
    }
    Ok(())
}
