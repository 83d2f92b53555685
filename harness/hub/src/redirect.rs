//! Where a hub's redirects lead, and what may go there.
//!
//! What a `Location` looks like says little: `/\host` and `/<TAB>/host` lead to another host. So it is joined by the parser
//! that makes the request, and the origins of what comes out are compared. The token stays with the hub's own origin: the
//! request with which the hub is asked what it has follows no other one at all, and of the requests for content the client
//! removes it (`reqwest` compares scheme, host and port after joining).

use reqwest::Url;
use reqwest::redirect::Policy;
use thiserror::Error;

/// Redirects that are followed on the way to content.
const MOST: usize = 10;

/// Where a redirect leads, if that is the hub itself: the same scheme, host and port, and no other user.
pub(super) fn on_the_hub(from: &Url, location: &str) -> Option<Url> {
    let next = from.join(location).ok()?;
    let user = |url: &Url| (url.username().to_owned(), url.password().map(str::to_owned));
    let same = next.origin().is_tuple() && next.origin() == from.origin() && user(&next) == user(from);
    same.then_some(next)
}

/// How requests for content follow redirects: to whatever storage the hub names, but never from an encrypted connection to
/// one that is not.
pub(super) fn policy() -> Policy {
    Policy::custom(|attempt| {
        let came = attempt.previous();
        if came.last().is_some_and(|from| is_downgrade(from, attempt.url())) {
            return attempt.error(Refused::Downgrade);
        }
        if came.len() > MOST { attempt.error(Refused::TooMany) } else { attempt.follow() }
    })
}

fn is_downgrade(from: &Url, to: &Url) -> bool {
    from.scheme() == "https" && to.scheme() != "https"
}

/// Why a redirect is not followed.
#[derive(Debug, Error)]
enum Refused {
    #[error("it redirects from an encrypted connection to one that is not")]
    Downgrade,
    #[error("it redirects more than {MOST} times")]
    TooMany,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("an address")
    }

    #[test]
    fn only_the_same_scheme_host_and_port_is_the_hub() {
        let hub = "https://huggingface.co/owner/name/resolve/main/file";
        for (location, leads) in [
            ("/other/name/resolve/main/file", Some("https://huggingface.co/other/name/resolve/main/file")),
            ("file2", Some("https://huggingface.co/owner/name/resolve/main/file2")),
            ("?a=b", Some("https://huggingface.co/owner/name/resolve/main/file?a=b")),
            ("https://huggingface.co:443/x", Some("https://huggingface.co/x")),
            ("https://HUGGINGFACE.co/x", Some("https://huggingface.co/x")),
            ("//huggingface.co/x", Some("https://huggingface.co/x")),
            ("http://huggingface.co/x", None),
            ("http://huggingface.co:443/x", None),
            ("https://huggingface.co:8443/x", None),
            ("https://example.org/x", None),
            ("//example.org/x", None),
            ("/\\example.org/x", None),
            ("\\\\example.org/x", None),
            ("/\t/example.org/x", None),
            ("/\n/example.org/x", None),
            ("\t//example.org/x", None),
            ("https:\\\\example.org/x", None),
            ("https://huggingface.co@example.org/x", None),
            ("https://huggingface.co:x@example.org/x", None),
            ("https://somebody@huggingface.co/x", None),
            ("https://huggingface.co.example.org/x", None),
            ("https://huggingface.co%2eexample.org/x", None),
            ("https://[::1]/x", None),
            ("https://huggingface。co/x", Some("https://huggingface.co/x")),
            ("https://huggingfacе.co/x", None),
            ("file:///etc/passwd", None),
            ("data:,x", None),
            ("https://", None),
        ] {
            let found = on_the_hub(&url(hub), location);
            assert_eq!(found.as_ref().map(Url::as_str), leads, "{location:?}");
        }
        let local = url("http://[::1]:8080/x");
        assert!(on_the_hub(&local, "//[0:0::1]:8080/y").is_some());
        assert_eq!(on_the_hub(&local, "//[::1]:8081/y"), None);
        assert_eq!(on_the_hub(&local, "//[::ffff:127.0.0.1]:8080/y"), None);
        // Whoever names a user in HF_ENDPOINT keeps it.
        assert!(on_the_hub(&url("https://me:pw@mirror.example/x"), "/y").is_some());
    }

    #[test]
    fn content_never_comes_from_a_connection_that_is_less_encrypted() {
        for (from, to, refused) in [
            ("https://a.example/", "http://a.example/", true),
            ("https://a.example:80/", "http://a.example:80/", true),
            ("https://a.example/", "https://b.example/", false),
            ("http://a.example/", "http://b.example/", false),
            ("http://a.example/", "https://a.example/", false),
        ] {
            assert_eq!(is_downgrade(&url(from), &url(to)), refused, "{from} to {to}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_location_says_the_next_request_goes_to_the_hub(location in "[/\\\\\t:@.?#a-c\\[\\]%]{0,24}") {
            let hub = url("http://a.b:8080/c/d");
            if let Some(next) = on_the_hub(&hub, &location) {
                prop_assert_eq!((next.scheme(), next.host_str(), next.port()), ("http", Some("a.b"), Some(8080)));
            }
        }
    }
}
