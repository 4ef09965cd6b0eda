//! Text files in the encodings that editors write.

use proptest::prelude::*;
use serde_json::Value;

use reefguide_transport::text::{TextError, decode, json};

fn utf16(text: &str, mark: bool, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let mark = mark.then_some(0xfeff);
    mark.into_iter()
        .chain(text.encode_utf16())
        .flat_map(order)
        .collect()
}

#[test]
fn a_byte_order_mark_and_line_ends_of_windows_do_not_matter() {
    let value: Value = json(b"\xef\xbb\xbf{\r\n  \"a\": 1\r\n}\r\n").unwrap();
    assert_eq!(value, serde_json::json!({ "a": 1 }));
    assert_eq!(decode(b"\xef\xbb\xbf").unwrap(), "");
    // It is a mark only at the start.
    assert_eq!(decode("a\u{feff}".as_bytes()).unwrap(), "a\u{feff}");
}

#[test]
fn utf_16_is_named_with_and_without_a_mark() {
    for mark in [true, false] {
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            let error = decode(&utf16("{\"a\": 1}", mark, order)).unwrap_err();
            assert!(matches!(error, TextError::Utf16), "{error}");
        }
    }
}

#[test]
fn errors_name_the_line() {
    let error = decode(b"{\n\"reef\": \"caf\xe9\"}").unwrap_err();
    assert_eq!(error.to_string(), "line 2 is not UTF-8: save it as UTF-8");
    let error = json::<Value>(b"\xef\xbb\xbf{\r\n\"a\": }").unwrap_err();
    assert_eq!(error.to_string(), "expected value at line 2 column 6");
}

proptest! {
    #[test]
    fn a_mark_does_not_change_the_text(text in "[^\u{feff}\\x00][^\\x00]{0,40}") {
        let marked = format!("\u{feff}{text}");
        prop_assert_eq!(decode(marked.as_bytes()).unwrap(), &text);
        prop_assert_eq!(decode(text.as_bytes()).unwrap(), &text);
    }

    #[test]
    fn decoding_never_panics(bytes: Vec<u8>) {
        let _ = json::<Value>(&bytes);
    }
}
