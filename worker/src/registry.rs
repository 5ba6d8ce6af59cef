//! The tags of images, from a registry that speaks the Docker registry HTTP API v2.
//!
//! `GET /v2/<repository>/tags/list`, page by page as the answers' `Link` says. A registry that asks for a token
//! (`WWW-Authenticate: Bearer`) gets one from the server that it names, with the configured account or without one; one that
//! asks for `Basic` gets the account itself.
//!
//! Invariants: the account is sent to the registry and to the token server that it names, never in clear unless the
//! configured address itself says `http`; no error holds the account or a token; the number of pages is bounded.

use hyper::{
    HeaderMap, StatusCode,
    header::{HeaderValue, LINK, WWW_AUTHENTICATE},
};
use olake_shared::{
    config::{RegistryConfig, Secret},
    domain::version::{ConnectorVersion, OLDEST_SUPPORTED},
};
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use crate::http::{CallError, Document, basic, get};

/// Tags asked for at a time.
const PAGE: usize = 1_000;

/// The most pages of one repository: a registry that links in a circle comes to an end.
const MOST_PAGES: usize = 50;

/// Why tags could not be read. Without account and token.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// There is no answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Another status than what was hoped for.
    #[error("{what} answered {status}")]
    Status { what: &'static str, status: StatusCode },
    /// The registry wants an account.
    #[error(
        "the registry wants an account, or refuses the one that it was given (registry.username, registry.password)"
    )]
    Refused,
    /// It asks for what is not understood.
    #[error("the registry asks for credentials in a form that is not understood")]
    Challenge,
    /// A page or a token server elsewhere than it may be.
    #[error("the registry leads to an address that is not asked: {0}")]
    Elsewhere(&'static str),
    /// The answer is not in the API's form.
    #[error("{0} answered what is not of the registry API")]
    Form(&'static str),
    /// There is no end of it.
    #[error("the registry gives more than {MOST_PAGES} pages of tags")]
    Endless,
}

/// A registry.
pub struct Registry<'a> {
    config: &'a RegistryConfig,
    base: &'a Url,
}

/// What the registry asks for.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

impl<'a> Registry<'a> {
    /// The registry of a configuration, if there is one.
    pub fn of(config: &'a RegistryConfig) -> Option<Self> {
        config.url.as_ref().map(|base| Self { config, base })
    }

    /// The versions of a connector that there are images of. A repository that does not exist has none. Tags which are no
    /// versions (`latest`), or too old to be run, are left out.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn versions(&self, connector_type: &str) -> Result<Vec<ConnectorVersion>, RegistryError> {
        #[derive(Deserialize)]
        struct Page {
            // Null of a repository without tags.
            tags: Option<Vec<String>>,
        }
        let repository = self.config.repository.replace("{type}", connector_type);
        let path = format!("{}/v2/{repository}/tags/list?n={PAGE}", self.base.path().trim_end_matches('/'));
        let mut next = Some(self.base.join(&path).map_err(|_| RegistryError::Form("the registry"))?);
        let (mut versions, mut authorization) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let Some(url) = next else { return Ok(versions) };
            let answer = self.ask(&url, &repository, &mut authorization).await?;
            match answer.status {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Ok(versions),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(RegistryError::Refused),
                status => return Err(RegistryError::Status { what: "the registry", status }),
            }
            let page: Page = parse(&answer, "the registry")?;
            let tags = page.tags.unwrap_or_default();
            versions.extend(
                tags.iter()
                    .filter_map(|tag| tag.parse::<ConnectorVersion>().ok())
                    .filter(|version| *version >= OLDEST_SUPPORTED),
            );
            next = next_page(&url, &answer.headers)?;
        }
        Err(RegistryError::Endless)
    }

    /// Asks for a page, once more with what the registry asks for in turn.
    async fn ask(
        &self,
        url: &Url,
        repository: &str,
        authorization: &mut Option<HeaderValue>,
    ) -> Result<Document, RegistryError> {
        let answer = get(url, authorization.as_ref()).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let challenges = answer.headers.get_all(WWW_AUTHENTICATE).iter();
        let challenge = challenges.filter_map(|value| challenge(value.to_str().ok()?)).next();
        *authorization = match challenge.ok_or(RegistryError::Challenge)? {
            Challenge::Basic => Some(self.account().ok_or(RegistryError::Refused)?),
            Challenge::Bearer { realm, service, scope } => {
                let scope = scope.unwrap_or_else(|| format!("repository:{repository}:pull"));
                Some(self.token(&realm, service.as_deref(), &scope).await?)
            }
        };
        Ok(get(url, authorization.as_ref()).await?)
    }

    fn account(&self) -> Option<HeaderValue> {
        let password = self.config.password.as_ref().map(Secret::expose)?;
        basic(self.config.username.as_bytes(), password.as_bytes())
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: &str,
    ) -> Result<HeaderValue, RegistryError> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let mut url = Url::parse(realm).map_err(|_| RegistryError::Challenge)?;
        if url.scheme() != "https" && !(url.scheme() == "http" && self.base.scheme() == "http") {
            return Err(RegistryError::Elsewhere("a token server without https"));
        }
        let _ = (url.set_username(""), url.set_password(None));
        url.query_pairs_mut()
            .extend_pairs(service.map(|service| ("service", service)))
            .append_pair("scope", scope);
        let answer = get(&url, self.account().as_ref()).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(RegistryError::Refused),
            status => return Err(RegistryError::Status { what: "the registry's token server", status }),
        }
        let token: Token = parse(&answer, "the registry's token server")?;
        let bearer =
            token.token.or(token.access_token).map(|token| HeaderValue::from_str(&format!("Bearer {token}")));
        let Some(Ok(mut bearer)) = bearer else {
            return Err(RegistryError::Form("the registry's token server"));
        };
        bearer.set_sensitive(true);
        Ok(bearer)
    }
}

fn parse<T: DeserializeOwned>(answer: &Document, what: &'static str) -> Result<T, RegistryError> {
    let body = answer.body.as_ref().ok_or(RegistryError::Form(what))?;
    serde_json::from_slice(body).map_err(|_| RegistryError::Form(what))
}

/// The next page, by `Link: </v2/…?last=…>; rel="next"`.
fn next_page(url: &Url, headers: &HeaderMap) -> Result<Option<Url>, RegistryError> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let next = links.flat_map(|link| link.split(',')).find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters.split(';').any(|part| matches!(part.trim(), "rel=\"next\"" | "rel=next"));
        is_next.then_some(target)
    });
    let Some(next) = next else { return Ok(None) };
    let next = url.join(next).map_err(|_| RegistryError::Form("the registry"))?;
    match next.origin() == url.origin() {
        true => Ok(Some(next)),
        false => Err(RegistryError::Elsewhere("a page of another server")),
    }
}

/// What a registry asks for, by a `WWW-Authenticate` header.
fn challenge(text: &str) -> Option<Challenge> {
    let (scheme, parameters) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (mut realm, mut service, mut scope) = (None, None, None);
    let mut rest = parameters.trim();
    // `name="value", …`: a value may hold commas.
    while let Some((name, after)) = rest.split_once('=') {
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        let place = match name.trim().to_ascii_lowercase().as_str() {
            "realm" => Some(&mut realm),
            "service" => Some(&mut service),
            "scope" => Some(&mut scope),
            _ => None,
        };
        if let Some(place) = place {
            *place = Some(value.to_owned());
        }
        rest = left.trim_start().trim_start_matches(',').trim_start();
    }
    Some(Challenge::Bearer { realm: realm?, service, scope })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let read = Challenge::Bearer {
            realm: "https://auth.docker.io/token".to_owned(),
            service: Some("registry.docker.io".to_owned()),
            scope: Some("repository:a/b:pull,push".to_owned()),
        };
        assert_eq!(challenge(bearer), Some(read));
        let short = Challenge::Bearer { realm: "https://x/t".to_owned(), service: None, scope: None };
        assert_eq!(challenge(r#"bearer error="x", Realm="https://x/t""#), Some(short));
        assert_eq!(challenge(r#"Basic realm="Registry""#), Some(Challenge::Basic));
        for other in ["", "Bearer", "Bearer service=\"x\"", "Digest realm=\"x\"", "Bearer realm=\"unclosed"] {
            assert_eq!(challenge(other), None, "{other}");
        }
    }

    #[test]
    fn a_page_of_another_server_is_not_asked_for() {
        let url = Url::parse("https://registry.example.org/v2/a/tags/list?n=2").unwrap();
        let next = |link: &str| {
            let headers = [(LINK, HeaderValue::from_str(link).unwrap())].into_iter().collect();
            next_page(&url, &headers).map(|next| next.map(String::from))
        };
        let wanted = "https://registry.example.org/v2/a/tags/list?n=2&last=v1";
        assert_eq!(next("</v2/a/tags/list?n=2&last=v1>; rel=\"next\"").unwrap().as_deref(), Some(wanted));
        assert_eq!(next("</v2/a>; rel=\"prev\"").unwrap(), None);
        for elsewhere in [
            "<https://other.example.org/v2/a>; rel=\"next\"",
            "<http://registry.example.org/v2/a>; rel=\"next\"",
        ] {
            assert!(matches!(next(elsewhere), Err(RegistryError::Elsewhere(_))), "{elsewhere}");
        }
    }
}
