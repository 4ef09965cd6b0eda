//! Which texts are addresses of servers, and how messages show them.

use proptest::prelude::*;

use reefguide_transport::address::{AddressError, parse, shown, without_api};

#[test]
fn an_error_says_what_is_wrong_with_an_address_and_shows_no_secret() {
    use AddressError::{AfterPath, Credentials, NoScheme, Unusable};

    for (text, error) in [
        ("", Unusable),
        ("not a host", Unusable),
        ("ftp://reef", Unusable),
        ("http://", Unusable),
        ("reef", NoScheme),
        ("localhost:5000/base", NoScheme),
        ("[::1]:5000", NoScheme),
        ("http://hunter2@reef", Credentials),
        ("https://me:hunter2@reef/", Credentials),
        ("https:/me:hunter2@reef", Credentials),
        ("https:\\\\me:hunter2@reef", Credentials),
        ("http://:hunter2@reef", Credentials),
        ("me:hunter2@reef:5000", Credentials),
        ("http://me:hun/ter2@reef", Unusable),
        ("http://me:80/hunter2@reef", Credentials),
        ("http://reef?key=hunter2", AfterPath),
        ("http://reef/#hunter2", AfterPath),
        ("http://reef/?user=me@hunter2", AfterPath),
    ] {
        assert_eq!(parse(text), Err(error), "{text}");
        assert!(!shown(text).contains("ter2"), "{text}");
    }
    assert_eq!(shown("localhost:5000"), "\"localhost:5000\"");
}

#[test]
fn the_routes_are_removed_from_the_address_of_the_api() {
    assert_eq!(without_api("http://reef/API"), Some("http://reef"));
    assert_eq!(
        without_api("http://reef/base/api"),
        Some("http://reef/base")
    );
    assert_eq!(without_api("http://reef/apis"), None);
    assert_eq!(without_api("http://api"), None);
}

proptest! {
    #[test]
    fn an_accepted_address_has_no_more_than_a_path(text in "(https?:)?/?/?[a-z@:?#/.\\\\]{0,20}") {
        if let Ok(address) = parse(&text) {
            prop_assert!(!address.contains(['@', '?', '#']) && !address.ends_with('/'), "{}", address);
            prop_assert_eq!(parse(&address), Ok(address));
        }
    }
}
