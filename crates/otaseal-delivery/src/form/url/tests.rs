use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> UrlError {
    match Url::parse(text) {
        Err(error) => error,
        Ok(url) => panic!("{text}: {url:?}"),
    }
}

#[test]
fn an_address_has_a_host_a_port_and_a_path() {
    for (text, host, port, path) in [
        ("http://192.168.1.50", "192.168.1.50", 80, "/update"),
        ("http://192.168.1.50/", "192.168.1.50", 80, "/update"),
        ("HTTP://kitchen.local:8080/firmware", "kitchen.local", 8080, "/firmware"),
        ("http://esp_1/u2?x=1#top", "esp_1", 80, "/u2?x=1"),
        ("http://esp?x", "esp", 80, "/?x"),
        ("http://[fe80::1]:81/update", "fe80::1", 81, "/update"),
        ("http://[::1]", "::1", 80, "/update"),
    ] {
        let url = url(text);
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), (host, port, path), "{text}");
        assert!(url.login.is_none());
    }
}

#[test]
fn an_address_may_have_a_user_and_a_password() {
    for (text, user, password) in [
        ("http://admin:secret@esp/", "admin", "secret"),
        ("http://admin:@esp/", "admin", ""),
        ("http://a%40b:c%3Ad%2F@esp/", "a@b", "c:d/"),
        ("http://admin:a:b@esp/", "admin", "a:b"),
        ("http://admin:a@b@esp/", "admin", "a@b"),
        ("http://u:K%C3%A4se@esp/", "u", "Käse"),
    ] {
        let login = url(text).login.unwrap();
        assert_eq!((login.user.as_str(), login.password.text()), (user, password), "{text}");
    }
}

#[test]
fn nothing_shows_the_password() {
    let url = url("http://admin:secret@esp:8080/x");
    assert_eq!(url.to_string(), "http://esp:8080/x");
    assert!(!format!("{url:?}").contains("secret"));
}

#[test]
fn other_addresses_are_refused() {
    for (text, expected) in [
        ("https://esp/update", UrlError::Https),
        ("ftp://esp/", UrlError::Scheme),
        ("esp/update", UrlError::Scheme),
        ("192.168.1.50", UrlError::Scheme),
        ("", UrlError::Scheme),
        ("http://", UrlError::Host),
        ("http:///x", UrlError::Host),
        ("http://:80/", UrlError::Host),
        ("http://a%b/", UrlError::Host),
        ("http://[fe80::1", UrlError::Host),
        ("http://[nonsense]/", UrlError::Host),
        ("http://[::1]80/", UrlError::Host),
        ("http://esp:0/", UrlError::Port),
        ("http://esp:/", UrlError::Port),
        ("http://esp:+80/", UrlError::Port),
        ("http://esp:65536/", UrlError::Port),
        ("http://fe80::1/", UrlError::Port),
        ("http://admin@esp/", UrlError::Login),
        ("http://a%3Ab:c@esp/", UrlError::Login),
        ("http://a:%zz@esp/", UrlError::Login),
        ("http://a:%4@esp/", UrlError::Login),
        ("http://a:%ff@esp/", UrlError::Login),
        ("http://esp/a b", UrlError::Character),
        ("http://esp/\r\nX-Evil: 1", UrlError::Character),
        ("http://esp/ä", UrlError::Character),
    ] {
        assert_eq!(error(text), expected, "{text:?}");
    }
    assert_eq!(error(&format!("http://esp/{}", "x".repeat(1024))), UrlError::TooLong);
}
