//! One page of a listing: prefix, delimiter, where it begins, how long it may be.

use std::mem;

/// What to list.
#[derive(Clone, Copy, Default)]
pub(super) struct Query<'a> {
    /// Keys begin with this.
    pub(super) prefix: &'a str,
    /// Keys that have this after the prefix are rolled up into one common prefix.
    pub(super) delimiter: Option<&'a str>,
    /// Keys and common prefixes come after this.
    pub(super) after: &'a str,
    /// At most so many keys and common prefixes together.
    pub(super) limit: usize,
}

/// A part of a listing.
pub(super) struct Page<T> {
    pub(super) entries: Vec<T>,
    pub(super) prefixes: Vec<String>,
    /// The last key or common prefix of this page, if there are more.
    pub(super) next: Option<String>,
}

impl Query<'_> {
    /// Makes the page from `rows`, which ascend by key and begin with the prefix or after it.
    pub(super) fn page<T, E>(
        &self,
        rows: impl IntoIterator<Item = Result<T, E>>,
        key: impl Fn(&T) -> &str,
    ) -> Result<Page<T>, E> {
        let mut page = Page {
            entries: Vec::new(),
            prefixes: Vec::new(),
            next: None,
        };
        let mut last = None;
        for row in rows {
            let row = row?;
            let Some(rest) = key(&row).strip_prefix(self.prefix) else {
                break;
            };
            let common = self
                .delimiter
                .and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()))
                .and_then(|end| Some(format!("{}{}", self.prefix, rest.get(..end)?)));
            // The rest of a group that is on this page or ended the one before.
            if common
                .as_ref()
                .is_some_and(|common| common == self.after || page.prefixes.last() == Some(common))
            {
                continue;
            }
            if page.entries.len() + page.prefixes.len() == self.limit {
                page.next = mem::take(&mut last);
                break;
            }
            if let Some(common) = common {
                last = Some(common.clone());
                page.prefixes.push(common);
            } else {
                last = Some(key(&row).to_owned());
                page.entries.push(row);
            }
        }
        Ok(page)
    }
}
