//! Who may ask: a token, the right Host, the right origin; and what every answer says to the browser.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use gstreamer::glib;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// In every answer.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    // Other sites cannot show our pictures either, but with the token: see `Admitted::Embedded`.
    (RESOURCE_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// How long a browser keeps its cookie: a year.
const COOKIE_AGE: u32 = 365 * 24 * 60 * 60;
/// Whoever guesses has to wait.
const AFTER_A_GUESS: Duration = Duration::from_millis(300);

/// What is demanded of every request.
pub(super) struct Guard {
    token: Option<String>,
}

/// A request that is let in.
#[derive(Debug, PartialEq, Eq)]
enum Admitted {
    Known,
    /// A browser that came with the token in the address; it gets a cookie.
    Visitor {
        cookie: String,
    },
    /// A picture in somebody else's page, whose author has the token.
    Embedded,
}

/// A request that is refused, and why.
type Refusal = (StatusCode, &'static str);

impl Guard {
    pub fn new(token: Option<String>) -> Self {
        Self { token: token.filter(|t| !t.is_empty()) }
    }

    fn admit(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Admitted, Refusal> {
        let host = host(uri, headers).ok_or((StatusCode::BAD_REQUEST, "the request has no usable Host"))?;
        // A name that an attacker's server has turned to this machine (DNS rebinding). A token is safe from that.
        if self.token.is_none() && !is_own(&host) {
            return Err((
                StatusCode::FORBIDDEN,
                "without a token this console answers to localhost and to addresses in numbers only",
            ));
        }
        let given = uri.query().unwrap_or_default();
        let given = url::form_urlencoded::parse(given.as_bytes()).find(|(key, _)| key == "token");
        let in_address = given.zip(self.token.as_ref()).is_some_and(|((_, given), token)| same(&given, token));
        // Whose page it is in is not asked: over plain HTTP browsers do not tell.
        if in_address && *method == Method::GET && is_picture(uri.path()) {
            return Ok(Admitted::Embedded);
        }
        if !from_here(method, uri, headers, &host) {
            return Err((StatusCode::FORBIDDEN, "the request comes from another site"));
        }
        let Some(token) = &self.token else { return Ok(Admitted::Known) };
        let bearer = text(headers, &header::AUTHORIZATION).and_then(|v| v.strip_prefix("Bearer "));
        let (name, value) = (cookie_name(&host), cookie_value(token));
        let known = |value: &String| cookies(headers, &name).any(|c| same(c, value));
        if bearer.is_some_and(|t| same(t.trim(), token)) || value.as_ref().is_some_and(known) {
            return Ok(Admitted::Known);
        }
        if let Some(value) = value.filter(|_| in_address) {
            // Lax: who follows a link is let in; what changes something asks for its own origin anyway.
            let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={COOKIE_AGE}");
            return Ok(Admitted::Visitor { cookie });
        }
        Err((StatusCode::UNAUTHORIZED, "a token is wanted: open /?token=…, or send Authorization: Bearer …"))
    }
}

/// Stands in front of every route.
pub(super) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let admitted = guard.admit(request.method(), request.uri(), request.headers());
    let embedded = admitted == Ok(Admitted::Embedded);
    let mut response = match admitted {
        // Whether the program runs at all is no secret, and who asks that has no token.
        Err((StatusCode::UNAUTHORIZED, _)) if request.uri().path() == "/healthz" => next.run(request).await,
        Err(refusal) => {
            if refusal.0 == StatusCode::UNAUTHORIZED {
                tokio::time::sleep(AFTER_A_GUESS).await;
            }
            refusal.into_response()
        }
        Ok(Admitted::Visitor { cookie }) => {
            let mut response = next.run(request).await;
            if let Ok(cookie) = HeaderValue::from_str(&cookie) {
                response.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            response
        }
        Ok(Admitted::Known | Admitted::Embedded) => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if embedded {
        response.headers_mut().insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
        // Chromium shows no motion JPEG of another site that it may not sniff.
        response.headers_mut().remove(header::X_CONTENT_TYPE_OPTIONS);
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Whether a path is that of pictures, which other pages may want to show.
fn is_picture(path: &str) -> bool {
    (path.starts_with("/streams/") && path.ends_with("/mjpeg")) || path.ends_with("/snapshot.jpg")
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

fn host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    match uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => text(headers, &header::HOST)?.parse().ok(),
    }
}

/// Whether a host is this machine without asking any name server.
fn is_own(host: &Authority) -> bool {
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Whether it was our own page, or no page at all, that made the request. Others may only lead people here.
fn from_here(method: &Method, uri: &Uri, headers: &HeaderMap, host: &Authority) -> bool {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let fetch = |name| text(headers, &HeaderName::from_static(name));
    let led_here = reads && uri.path() == "/" && fetch("sec-fetch-mode") == Some("navigate");
    let site = fetch("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none")) || led_here;
    let origin = match headers.get(header::ORIGIN) {
        None => true,
        Some(origin) => {
            let origin = origin.to_str().ok().and_then(|o| o.parse::<Uri>().ok());
            origin.is_some_and(|o| o.authority() == Some(host))
        }
    };
    site && (origin || led_here)
}

/// Cookies know no ports: two consoles of one host would take each other's away.
fn cookie_name(host: &Authority) -> String {
    host.port().map_or("gradcast".to_owned(), |port| format!("gradcast-{port}"))
}

/// What a browser keeps, and sends to all other ports of the host as well: not the token itself.
fn cookie_value(token: &str) -> Option<String> {
    let text = format!("gradcast console {token}");
    glib::compute_checksum_for_string(glib::ChecksumType::Sha256, &text).map(Into::into)
}

fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
    all.filter_map(move |pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// In constant time, so that nobody learns how much of a guess was right.
fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(token: Option<&str>, method: &Method, uri: &str, headers: &[(&str, &str)]) -> Result<Admitted, u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let guard = Guard::new(token.map(Into::into));
        guard.admit(method, &uri.parse().unwrap(), &map).map_err(|(status, _)| status.as_u16())
    }

    #[test]
    fn without_a_token_only_names_that_nobody_can_turn_are_answered() {
        for (host, fine) in [
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("LocalHost", true),
            ("evil.example:8080", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
            ("a b", false),
        ] {
            assert_eq!(admit(None, &Method::GET, "/", &[("host", host)]).is_ok(), fine, "{host}");
        }
        assert_eq!(admit(None, &Method::GET, "/", &[]), Err(400));
    }

    #[test]
    fn other_sites_may_lead_here_and_nothing_else() {
        let own = ("host", "127.0.0.1:8080");
        let (get, post) = (Method::GET, Method::POST);
        for (method, path, more, fine) in [
            (&post, "/api/reload", &[][..], true),
            (&post, "/api/reload", &[("origin", "http://127.0.0.1:8080")], true),
            (&post, "/api/reload", &[("origin", "http://127.0.0.1:9090")], false),
            (&post, "/api/reload", &[("origin", "null")], false),
            (&post, "/api/reload", &[("sec-fetch-site", "cross-site")], false),
            (&post, "/", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], false),
            (&get, "/", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], true),
            (&get, "/streams/a/mjpeg", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], false),
            (&get, "/streams/a/mjpeg", &[("sec-fetch-site", "none")], true),
            (&get, "/api/streams", &[("sec-fetch-site", "same-site")], false),
        ] {
            let headers: Vec<_> = [own].iter().chain(more).copied().collect();
            assert_eq!(admit(None, method, path, &headers).is_ok(), fine, "{method} {path} {more:?}");
        }
    }

    #[test]
    fn a_token_comes_in_three_ways() {
        let host = ("host", "camera.lan");
        let ask = |uri: &str, headers: &[(&str, &str)]| {
            let headers: Vec<_> = [host].iter().chain(headers).copied().collect();
            admit(Some("s;crét"), &Method::GET, uri, &headers)
        };
        assert_eq!(ask("/", &[]), Err(401));
        assert_eq!(ask("/?token=wrong", &[]), Err(401));
        let uri = "/?a=b&token=s%3Bcr%C3%A9t";
        let Ok(Admitted::Visitor { cookie }) = ask(uri, &[]) else { panic!("no cookie") };
        assert!(cookie.starts_with("gradcast=") && cookie.contains("; Path=/; HttpOnly; SameSite=Lax; "), "{cookie}");
        let pair = format!("other=1; {}", cookie.split(';').next().unwrap());
        assert_eq!(ask("/", &[("cookie", &pair)]), Ok(Admitted::Known));
        for wrong in ["gradcast=00", "gradcast=", &pair.replace("gradcast", "gradcast-8080")] {
            assert_eq!(ask("/", &[("cookie", wrong)]), Err(401), "{wrong}");
        }
        assert_eq!(ask("/", &[("authorization", "Bearer wrong")]), Err(401));
        // Another console of the same host has a cookie of its own.
        let other = [("host", "camera.lan:8080")];
        let Ok(Admitted::Visitor { cookie: second }) = admit(Some("s;crét"), &Method::GET, uri, &other) else {
            panic!("no cookie")
        };
        assert!(second.starts_with("gradcast-8080=") && !second.contains("s;cr"), "{second}");
        assert_eq!(
            admit(Some("abc"), &Method::GET, "/", &[host, ("authorization", "Bearer abc")]),
            Ok(Admitted::Known)
        );
    }

    #[test]
    fn who_has_the_token_may_show_pictures_in_a_page_of_his_own() {
        // Over plain HTTP a browser says nothing of where the page is from.
        let told = [("host", "camera.lan"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")];
        for headers in [&told[..], &told[..1]] {
            let ask = |method, uri: &str| admit(Some("abc"), &method, uri, headers);
            for picture in ["/streams/a/mjpeg", "/api/streams/a/snapshot.jpg"] {
                assert_eq!(ask(Method::GET, &format!("{picture}?token=abc")), Ok(Admitted::Embedded));
                assert!(ask(Method::GET, &format!("{picture}?token=wrong")).is_err());
                assert!(ask(Method::GET, picture).is_err());
                assert_ne!(ask(Method::POST, &format!("{picture}?token=abc")), Ok(Admitted::Embedded));
            }
        }
        let ask = |method, uri: &str| admit(Some("abc"), &method, uri, &told);
        assert_eq!(ask(Method::GET, "/api/streams?token=abc"), Err(403));
        assert_eq!(admit(None, &Method::GET, "/streams/a/mjpeg?token=", &told), Err(403));
    }
}
