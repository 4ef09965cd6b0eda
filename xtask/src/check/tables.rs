//! The tables of the page about the architecture.

/// A row: the words in backticks of its first cell, and its last cell.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Row {
    pub(crate) names: Vec<String>,
    pub(crate) last: String,
    pub(crate) line: usize,
}

/// A section of a page, from a heading that begins with `heading` to the next one of its level.
pub(crate) fn section<'a>(page: &'a str, heading: &str) -> Option<(usize, &'a str)> {
    let level = heading.split_once(' ')?.0;
    let start = page
        .match_indices(heading)
        .map(|(start, _)| start)
        .find(|&start| start == 0 || page[..start].ends_with('\n'))?;
    let text = &page[start..];
    let end = text
        .match_indices('\n')
        .map(|(end, _)| end + 1)
        .find(|&end| text[end..].starts_with(&format!("{level} ")))
        .unwrap_or(text.len());
    Some((page[..start].lines().count() + 1, &text[..end]))
}

/// The rows of all tables in a section whose last column is called `last`.
pub(crate) fn rows(first_line: usize, section: &str, last: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut is_wanted = None;
    for (offset, line) in section.lines().enumerate() {
        let Some(cells) = line.strip_prefix('|') else {
            is_wanted = None;
            continue;
        };
        let cells = cells.trim_end().trim_end_matches('|');
        let (before, cell) = cells.rsplit_once('|').unwrap_or((cells, ""));
        let cell = cell.trim();
        match is_wanted {
            None => is_wanted = Some(cell == last),
            Some(true) if !cell.starts_with("---") => rows.push(Row {
                names: names(before.split('|').next().unwrap_or_default()),
                last: cell.to_owned(),
                line: first_line + offset,
            }),
            Some(_) => {}
        }
    }
    rows
}

/// The words in backticks.
pub(crate) fn names(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# Architecture

## Crates

| crate | depends on |
| --- | --- |
| `a` | `b`, `c` |

| file | what |
| --- | --- |
| `x` | y |

### More

| crate | what | depends on |
| --- | --- | --- |
| `d`, `e` | all of `f` | |

## Crates elsewhere

| crate | depends on |
| --- | --- |
| `z` | |
";

    #[test]
    fn a_section_has_the_rows_of_its_tables_with_the_wanted_column() {
        let (line, text) = section(PAGE, "## Crates").unwrap();
        assert_eq!(line, 3);
        assert!(!text.contains("elsewhere"));
        let row = |names: &[&str], last: &str, line| Row {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            last: last.to_owned(),
            line,
        };
        assert_eq!(
            rows(line, text, "depends on"),
            [row(&["a"], "`b`, `c`", 7), row(&["d", "e"], "", 17)]
        );
    }

    #[test]
    fn a_section_that_is_not_there_is_none() {
        assert!(section(PAGE, "## Rooms").is_none());
        assert!(section(PAGE, "# More").is_none());
    }
}
