//! News of releases, from a feed: a JSON document in the form in which GitHub lists releases.

use chrono::{DateTime, Utc};
use hyper::StatusCode;
use olake_shared::domain::release::{Product, Release};
use serde::Deserialize;
use url::Url;

use crate::http::{CallError, get};

/// The most releases of one product that are kept.
const MOST: usize = 100;

/// The longest description that is kept, in characters.
const LONGEST_DESCRIPTION: usize = 20_000;

/// The longest other text that is kept, in characters.
const LONGEST_TEXT: usize = 500;

/// Why there are no news.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// There is no answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Another status than 200.
    #[error("the feed answered {0}")]
    Status(StatusCode),
    /// It is too long, broke off, or is no feed.
    #[error("the feed is no list of releases, and no object of such lists")]
    Form,
}

/// A release as GitHub lists it.
#[derive(Deserialize)]
struct Listed {
    tag_name: String,
    name: Option<String>,
    body: Option<String>,
    published_at: Option<DateTime<Utc>>,
    html_url: Option<String>,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    prerelease: bool,
}

/// One list is the connectors'; otherwise there is one for each product.
#[derive(Deserialize)]
#[serde(untagged)]
enum Feed {
    Connectors(Vec<Listed>),
    Products {
        #[serde(default)]
        olake_ui_worker: Vec<Listed>,
        #[serde(default)]
        olake_helm: Vec<Listed>,
        #[serde(default)]
        olake: Vec<Listed>,
        #[serde(default)]
        features: Vec<Listed>,
    },
}

/// Reads a feed.
///
/// # Errors
/// [`FeedError`].
pub async fn read(url: &Url) -> Result<Vec<(Product, Vec<Release>)>, FeedError> {
    let document = get(url, None).await?;
    if document.status != StatusCode::OK {
        return Err(FeedError::Status(document.status));
    }
    parse(&document.body.ok_or(FeedError::Form)?)
}

fn parse(bytes: &[u8]) -> Result<Vec<(Product, Vec<Release>)>, FeedError> {
    let products = match serde_json::from_slice(bytes).map_err(|_| FeedError::Form)? {
        Feed::Connectors(list) => vec![(Product::Olake, list)],
        Feed::Products { olake_ui_worker, olake_helm, olake, features } => vec![
            (Product::OlakeUiWorker, olake_ui_worker),
            (Product::OlakeHelm, olake_helm),
            (Product::Olake, olake),
            (Product::Features, features),
        ],
    };
    Ok(products.into_iter().map(|(product, list)| (product, releases(list))).collect())
}

/// The newest first. Drafts and previews are nothing to be told of.
fn releases(list: Vec<Listed>) -> Vec<Release> {
    let cut = |text: String, most: usize| text.chars().filter(|c| *c != '\0').take(most).collect::<String>();
    let mut releases: Vec<Release> = list
        .into_iter()
        .filter(|listed| !listed.draft && !listed.prerelease && !listed.tag_name.is_empty())
        .filter_map(|listed| {
            let title =
                listed.name.filter(|name| !name.is_empty()).unwrap_or_else(|| listed.tag_name.clone());
            Some(Release {
                title: cut(title, LONGEST_TEXT),
                version: cut(listed.tag_name, LONGEST_TEXT),
                description: cut(listed.body.unwrap_or_default(), LONGEST_DESCRIPTION),
                link: listed.html_url.as_deref().and_then(address).unwrap_or_default(),
                published_at: listed.published_at?,
            })
        })
        .collect();
    releases.sort_by_key(|release| std::cmp::Reverse(release.published_at));
    releases.truncate(MOST);
    releases
}

/// An address as it is spelt in the end. The UI makes a link of it: other schemes would run as code.
fn address(link: &str) -> Option<String> {
    let url = Url::parse(link).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    Some(url.to_string()).filter(|link| link.len() <= 2_000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listed(tag: &str, day: u32) -> serde_json::Value {
        json!({"tag_name": tag, "name": format!("Release {tag}"), "body": "what is *new*", "draft": false, "prerelease": false,
            "published_at": format!("2026-01-{day:02}T10:00:00Z"), "html_url": format!("https://example.org/{tag}"), "id": 1})
    }

    #[test]
    fn a_list_is_of_the_connectors_newest_first() {
        let mut preview = listed("v0.11.0", 9);
        preview["prerelease"] = json!(true);
        let mut draft = listed("v0.12.0", 10);
        draft["draft"] = json!(true);
        let bare = json!({"tag_name": "v0.9.9", "published_at": "2026-01-02T00:00:00Z", "html_url": "javascript:alert(1)"});
        let feed =
            json!([listed("v0.9.4", 1), preview, draft, listed("v0.10.0", 5), bare, {"tag_name": "v0"}])
                .to_string();
        let news = parse(feed.as_bytes()).unwrap();
        assert_eq!((news.len(), news[0].0), (1, Product::Olake));
        let versions: Vec<_> = news[0].1.iter().map(|release| release.version.as_str()).collect();
        assert_eq!(versions, ["v0.10.0", "v0.9.9", "v0.9.4"]);
        let [newest, bare, _] = news[0].1.as_slice() else { panic!() };
        assert_eq!(
            (newest.title.as_str(), newest.description.as_str()),
            ("Release v0.10.0", "what is *new*")
        );
        assert_eq!(newest.link, "https://example.org/v0.10.0");
        assert_eq!((bare.title.as_str(), bare.link.as_str()), ("v0.9.9", ""));
    }

    #[test]
    fn an_object_has_a_list_for_each_product() {
        let feed = json!({"olake_helm": [listed("olake-0.1.0", 1)], "features": [], "more": 1}).to_string();
        let news = parse(feed.as_bytes()).unwrap();
        assert_eq!(news.iter().map(|(product, _)| *product).collect::<Vec<_>>(), Product::ALL);
        assert_eq!(news.iter().map(|(_, list)| list.len()).collect::<Vec<_>>(), [0, 1, 0, 0]);
    }

    #[test]
    fn what_is_no_feed_is_refused() {
        for other in ["", "<html>", "1", "[1]", "[{}]", "{\"olake\": 1}"] {
            assert!(matches!(parse(other.as_bytes()), Err(FeedError::Form)), "{other}");
        }
    }
}
