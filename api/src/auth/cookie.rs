//! The cookie that holds a session's token in a browser.

use chrono::TimeDelta;
use poem::web::cookie::{Cookie, CookieJar, SameSite};

/// The name of the cookie.
pub const NAME: &str = "olake-session";

/// The token that a request's cookie holds.
pub fn token(jar: &CookieJar) -> Option<String> {
    jar.get(NAME).map(|cookie| cookie.value_str().to_owned()).filter(|token| !token.is_empty())
}

/// Sets the cookie: out of reach for scripts, not sent along by other sites' forms.
pub fn set(jar: &CookieJar, token: &str, ttl: TimeDelta, secure: bool) {
    let mut cookie = base(token, secure);
    cookie.set_max_age(ttl.to_std().unwrap_or_default());
    jar.add(cookie);
}

/// Clears the cookie in the browser.
pub fn clear(jar: &CookieJar, secure: bool) {
    let mut cookie = base("", secure);
    cookie.set_max_age(std::time::Duration::ZERO);
    jar.add(cookie);
}

fn base(token: &str, secure: bool) -> Cookie {
    let mut cookie = Cookie::new_with_str(NAME, token);
    cookie.set_http_only(true);
    cookie.set_same_site(SameSite::Lax);
    cookie.set_path("/");
    cookie.set_secure(secure);
    cookie
}
