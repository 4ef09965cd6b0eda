//! The lines of a `.env` file, each read separately: the file also has lines for other programs, and a line that
//! cannot be read here must not hide the others.

/// The content of a `.env` file.
#[derive(Debug, Default)]
pub(super) struct EnvFile {
    /// The variables that are set, in the order of the file.
    pub(super) values: Vec<(String, String)>,
    /// Lines that set a known name, but cannot be read, or would lose characters.
    pub(super) unreadable: Vec<Unreadable>,
    /// All names, with their lines.
    pub(super) names: Vec<(usize, String)>,
}

/// A line that cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// The line, counted from 1.
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) help: String,
}

/// The most lines that a quoted value may span.
const LONGEST_VALUE: usize = 200;

impl EnvFile {
    /// Reads the text of a file. Lines with unknown names are never a problem.
    pub(super) fn parse(text: &str, is_known: impl Fn(&str) -> bool) -> Self {
        let mut file = Self::default();
        let mut readable = String::new();
        let lines: Vec<_> = text.lines().collect();
        let mut next = 0;
        while let Some(first) = lines.get(next) {
            let number = next + 1;
            let (name, value) = name_and_value(first);
            let entry = Self::entry(&lines[next..], &is_known);
            next += entry
                .as_ref()
                .map_or(1, |entry| entry.lines().count().max(1));
            if name.is_empty() {
                continue;
            }
            let is_set = |name: &str| {
                std::env::var_os(name).is_some()
                    || file.names.iter().any(|(_, other)| other == name)
            };
            let doubt = is_known(name).then(|| doubt(name, value, entry.as_deref(), is_set));
            file.names.push((number, name.to_owned()));
            if let Some(help) = doubt.flatten() {
                file.unreadable.push(Unreadable {
                    line: number,
                    name: name.to_owned(),
                    help,
                });
            } else if let Some(entry) = entry {
                readable.push_str(&entry);
                readable.push('\n');
            }
        }
        // All at once, since a value may refer to those above it.
        file.values = dotenvy::from_read_iter(readable.as_bytes())
            .flatten()
            .collect();
        file
    }

    /// The first line, or as many as its quotes span; `None` if that is not an assignment.
    fn entry(lines: &[&str], is_known: impl Fn(&str) -> bool) -> Option<String> {
        let first = without_comment(lines.first()?);
        let (_, value) = name_and_value(first);
        let spans = value.is_some_and(|value| value.starts_with(['"', '\'']));
        let most = if spans { LONGEST_VALUE } else { 1 };
        let starts_another = |line: &&&str| {
            let (name, value) = name_and_value(line);
            value.is_some() && is_known(name)
        };
        let others = lines.iter().take(most).skip(1);
        let count = 1 + others.take_while(|line| !starts_another(line)).count();
        (1..=count)
            .map(|count| [&[first], &lines[1..count]].concat().join("\n"))
            .find(|entry| {
                let entry = format!("{entry}\n");
                let mut read = dotenvy::from_read_iter(entry.as_bytes());
                read.all(|read| read.is_ok())
            })
    }
}

/// The name that a line begins with, and what follows its `=`.
fn name_and_value(line: &str) -> (&str, Option<&str>) {
    let line = line.trim_start();
    let line = match line.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
        _ => line,
    };
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c)));
    let (name, rest) = line.split_at(end.unwrap_or(line.len()));
    let value = rest.trim_start().strip_prefix('=');
    (name, value.map(str::trim_start))
}

/// A line without the comment after its value, which may contain quotes.
fn without_comment(line: &str) -> &str {
    let (_, Some(value)) = name_and_value(line) else {
        return line;
    };
    let mut quote = None;
    let mut before = ' ';
    let mut characters = value.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (None | Some('"'), '\\') => drop(characters.next()),
            (None, '#') if before.is_whitespace() => {
                return line[..line.len() - value.len() + at].trim_end();
            }
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
        before = character;
    }
    line
}

/// The help for a line that is not an assignment, or whose value would lose characters.
fn doubt(
    name: &str,
    value: Option<&str>,
    entry: Option<&str>,
    is_set: impl Fn(&str) -> bool,
) -> Option<String> {
    let Some(value) = value else {
        return Some(format!("write {name}=value"));
    };
    if value.contains(char::REPLACEMENT_CHARACTER) {
        return Some("save the file as UTF-8".into());
    }
    if entry.is_some_and(|entry| refers_to_nothing(entry, is_set)) {
        let help = "a `$` in it stands for a variable, and that is not set: put the value into single quotes, or \
                      write `${NAME}`";
        return Some(help.into());
    }
    let quote = value.chars().next().filter(|c| "'\"".contains(*c));
    let help = match quote {
        Some('\'') => "end the value with `'`; with a `'` or a last `\\` in it, put it into double quotes".into(),
        Some(_) => "end the value with `\"`, and put a backslash before each `\"`, `\\` and `$` in it".into(),
        None if value.contains('\'') => {
            "put the value into double quotes, with a backslash before each `\"`, `\\` and `$` in it".into()
        }
        None => format!("put the value into single quotes: {name}='…'"),
    };
    let is_doubtful = entry.is_none() || (quote.is_none() && loses_characters(value));
    is_doubtful.then_some(help)
}

/// Whether a `$` among other characters would be removed together with the name after it. A value that consists only of
/// a variable may be unset.
fn refers_to_nothing(entry: &str, is_set: impl Fn(&str) -> bool) -> bool {
    let value = name_and_value(entry).1.unwrap_or_default();
    let mut quote = None;
    let mut rest = value;
    while let Some(character) = rest.chars().next() {
        let at = value.len() - rest.len();
        rest = &rest[character.len_utf8()..];
        match (quote, character) {
            (None | Some('"'), '\\') => rest = rest.get(1..).unwrap_or_default(),
            (None | Some('"'), '$') => {
                let braced = rest.strip_prefix('{');
                let name = match braced {
                    Some(rest) => rest.split('}').next(),
                    None => rest.split(|c: char| !c.is_alphanumeric()).next(),
                };
                let name = name.unwrap_or_default();
                let braces = if braced.is_some() { 2 } else { 0 };
                let is_all = at == 0 && value.trim_end().len() == 1 + braces + name.len();
                if !is_all && !is_set(name) {
                    return true;
                }
            }
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
    }
    false
}

/// Whether a value without quotes around it contains quotes, or a backslash that is an escape: they would be removed.
fn loses_characters(value: &str) -> bool {
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' => return false,
            '"' | '\'' => return true,
            '\\' if matches!(characters.next(), None | Some('n')) => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> EnvFile {
        EnvFile::parse(text, |name| name.starts_with("KNOWN"))
    }

    fn values(text: &str) -> Vec<(String, String)> {
        let file = parse(text);
        assert!(file.unreadable.is_empty(), "{file:?}");
        file.values
    }

    #[test]
    fn lines_of_other_programs_spoil_nothing() {
        for other in [
            "OTHER=x y",
            "OTHER={\"b\": 1}",
            "OTHER=a\\b",
            "OTHER='it's",
            "OTHER=\"never closed",
            "OTHER",
            "- other: yaml",
            "{",
            "OTHER=don't",
        ] {
            let text = format!(
                "KNOWN_1=a\r\n{other}\r\nKNOWN_2='b c'\r\nexport KNOWN_3 = ${{KNOWN_1}} \t# d'\r\n"
            );
            let known = values(&text).into_iter();
            let known: Vec<_> = known.filter(|(name, _)| name != "OTHER").collect();
            let expected = [("KNOWN_1", "a"), ("KNOWN_2", "b c"), ("KNOWN_3", "a")];
            let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(known, expected, "{other}");
        }
    }

    #[test]
    fn the_help_fits_the_value() {
        let helps = [
            "x y",
            "{\"b\": 1}",
            "a\\b",
            "a\\nb",
            "a\\",
            "it's",
            "'it's'",
            "'open",
            "\"open",
            "\"a\" b",
            "pa$word",
            "\"pa$$word\"",
            "$KNOWN_OTHER/a",
            "${NONE}a",
        ]
        .map(|value| {
            let file = parse(&format!("\nKNOWN={value}\nKNOWN_TOO=1\n"));
            assert_eq!(
                file.values,
                [("KNOWN_TOO".to_owned(), "1".to_owned())],
                "{value}"
            );
            let [unreadable] = &file.unreadable[..] else {
                panic!("{value}: {file:?}");
            };
            assert_eq!((unreadable.line, &*unreadable.name), (2, "KNOWN"));
            format!("{value}: {}", unreadable.help)
        });
        insta::assert_snapshot!(helps.join("\n"));
        assert_eq!(parse("KNOWN 1").unreadable[0].help, "write KNOWN=value");
    }

    #[test]
    fn values_may_span_lines_and_lack_the_last_line_end() {
        let read = values("KNOWN_1='a\nb=c\n'\nKNOWN_2=\"x\\ny\" \nKNOWN_3=a\\ b ");
        let expected = [
            ("KNOWN_1", "a\nb=c\n"),
            ("KNOWN_2", "x\ny"),
            ("KNOWN_3", "a b"),
        ];
        assert_eq!(
            read,
            expected.map(|(name, value)| (name.into(), value.into()))
        );
    }

    #[test]
    fn a_value_may_refer_to_others_and_be_no_more_than_a_variable() {
        let text = "OTHER=a\nKNOWN_1=${OTHER}/$OTHER\nKNOWN_2=$NONE\nKNOWN_3=${NONE} # none\nKNOWN_4='$a'\n\
                    KNOWN_5=\"a\\$b\"\nKNOWN_6=a\\$b\n";
        let known = values(text).split_off(1);
        let known: Vec<_> = known.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(known, ["a/a", "", "", "$a", "a$b", "a$b"]);
    }

    proptest! {
        #[test]
        fn what_stands_in_single_quotes_is_the_value(value in "([^'\r\u{fffd}]{0,40}[^'\\\\\r\u{fffd}])?", before in "[^'\\r\\n]{0,20}") {
            let text = format!("#{before}\nKNOWN='{value}'\n");
            prop_assert_eq!(values(&text), [("KNOWN".to_owned(), value)]);
        }

        #[test]
        fn no_other_line_keeps_a_setting_from_being_read(before in "[^K]{0,80}") {
            let file = parse(&format!("{before}\nKNOWN=1\n"));
            prop_assert!(file.values.contains(&("KNOWN".into(), "1".into())), "{:?}", file);
        }
    }
}
