//! Pages of lists: an opaque cursor, and the `Link` header that names the next page.
//!
//! A list is unpaged unless its `limit` is given. One key more than the page is read: it tells whether there is a
//! next page, and is not shown. The items are in [`crate::items`].

use olake_shared::store::{connections::Page, lists::Key};
use poem::http::Uri;
use poem_openapi::{
    ApiResponse,
    types::{ParseFromJSON, ToJSON, Type},
};

use crate::{items::Items, problem::Problem};

/// No page is longer; a larger `limit` is cut to it.
pub const LONGEST_PAGE: u64 = 1_000;

/// A list, with the way to its next page.
#[derive(ApiResponse)]
pub enum Paged<T: Type + ParseFromJSON + ToJSON + 'static> {
    /// Success
    #[oai(status = 200)]
    Ok(
        Items<T>,
        /// The next page, as `<path>; rel="next"`; absent on the last one
        #[oai(header = "Link")]
        Option<String>,
    ),
}

/// What handlers of lists answer.
pub type PagedAnswer<T> = Result<Paged<T>, Problem>;

/// A list of `items`; `next` is the cursor of its next page, `uri` that of the request.
///
/// # Errors
/// None: the type is what handlers end with.
pub fn paged<T: Type + ParseFromJSON + ToJSON>(
    items: Items<T>,
    uri: &Uri,
    next: Option<String>,
) -> PagedAnswer<T> {
    Ok(Paged::Ok(items, next.map(|cursor| next_link(uri, &cursor))))
}

/// What a request asks of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    limit: Option<u64>,
    after: Option<(i64, i64)>,
}

impl Wanted {
    /// Reads `limit` and `cursor`.
    ///
    /// # Errors
    /// 400 for a limit below 1 and for a cursor that no answer of ours has given.
    pub fn new(limit: Option<i64>, cursor: Option<&str>) -> Result<Self, Problem> {
        let after = cursor.filter(|cursor| !cursor.is_empty()).map(read_cursor).transpose()?;
        Ok(Self { limit: limit.map(|limit| checked(limit, LONGEST_PAGE)).transpose()?, after })
    }

    /// The page to read from the store: with one item more.
    pub fn page(self) -> Page {
        Page { limit: self.limit.map(|limit| limit + 1), after: self.after }
    }

    /// Takes the key that is not shown off `keys`, and answers the cursor of the next page if there is one.
    pub fn cut(self, keys: &mut Vec<Key>) -> Option<String> {
        let limit = usize::try_from(self.limit?).ok()?;
        if keys.len() <= limit {
            return None;
        }
        keys.truncate(limit);
        let Key { updated_at, id } = keys.last()?;
        Some(format!("{updated_at:x}-{id:x}"))
    }
}

/// The longest text that can be searched for, in bytes.
pub const LONGEST_SEARCH: usize = 1_024;

/// A text to search for.
///
/// # Errors
/// 400 for one that is too long.
pub fn checked_search(search: Option<&str>) -> Result<(), Problem> {
    match search {
        Some(text) if text.len() > LONGEST_SEARCH => {
            Err(Problem::bad_request("search", format!("at most {LONGEST_SEARCH} bytes can be searched for")))
        }
        _ => Ok(()),
    }
}

/// A limit from a request, cut to `most`.
///
/// # Errors
/// 400 below 1.
pub fn checked(limit: i64, most: u64) -> Result<u64, Problem> {
    match u64::try_from(limit) {
        Ok(limit) if limit > 0 => Ok(limit.min(most)),
        _ => Err(Problem::bad_request("limit", "must be at least 1")),
    }
}

fn read_cursor(text: &str) -> Result<(i64, i64), Problem> {
    let number = |part: &str| i64::from_str_radix(part, 16).ok().filter(|number| *number >= 0);
    text.split_once('-')
        .and_then(|(updated, id)| Some((number(updated)?, number(id)?)))
        .ok_or_else(|| Problem::bad_request("cursor", "is none that this list has given"))
}

/// The value of the `Link` header: this request again, with the cursor of the next page.
fn next_link(uri: &Uri, cursor: &str) -> String {
    let kept = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let query = kept.chain([format!("cursor={cursor}").as_str()]).collect::<Vec<_>>().join("&");
    format!("<{}?{query}>; rel=\"next\"", uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_to_the_item_after_the_page() {
        let wanted = Wanted::new(Some(2), None).unwrap();
        assert_eq!(wanted.page().limit, Some(3));
        let key = |updated_at, id| Key { updated_at, id };
        let mut keys = vec![key(1_700_000_000_000_003, 9), key(1_700_000_000_000_002, 8), key(1, 7)];
        let cursor = wanted.cut(&mut keys).unwrap();
        assert_eq!(keys.len(), 2);
        let next = Wanted::new(Some(2), Some(&cursor)).unwrap();
        assert_eq!(next.page().after, Some((1_700_000_000_000_002, 8)));
    }

    #[test]
    fn the_last_page_and_an_unpaged_list_have_no_next() {
        let mut keys = vec![Key { updated_at: 0, id: 1 }];
        assert_eq!(Wanted::new(Some(1), None).unwrap().cut(&mut keys), None);
        assert_eq!(Wanted::default().cut(&mut keys), None);
        assert_eq!(Wanted::default().page().limit, None);
    }

    #[test]
    fn what_is_no_page_is_refused() {
        assert!(Wanted::new(Some(0), None).is_err());
        assert!(Wanted::new(Some(-3), None).is_err());
        for cursor in ["x", "1", "1-", "-1-2", "zz-1", "1-2-3"] {
            assert!(Wanted::new(None, Some(cursor)).is_err(), "{cursor}");
        }
        assert_eq!(Wanted::new(Some(9_999), None).unwrap().page().limit, Some(LONGEST_PAGE + 1));
    }

    #[test]
    fn the_link_keeps_what_else_was_asked() {
        let uri: Uri = "/api/v1/project/olake/jobs?dest_id=1&cursor=5-5&limit=2".parse().unwrap();
        assert_eq!(
            next_link(&uri, "a-b"),
            "</api/v1/project/olake/jobs?dest_id=1&limit=2&cursor=a-b>; rel=\"next\""
        );
    }
}
