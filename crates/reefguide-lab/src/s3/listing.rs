//! Pages of listings.

use std::mem;

/// What to list.
#[derive(Clone, Copy, Default)]
pub(super) struct ListQuery<'a> {
    /// List only keys that begin with this.
    pub(super) prefix: &'a str,
    /// Roll up keys that have this after the prefix into a common prefix.
    pub(super) delimiter: Option<&'a str>,
    /// List only keys and common prefixes after this.
    pub(super) after: &'a str,
    /// The maximum number of keys and common prefixes together.
    pub(super) limit: usize,
}

/// A page of a listing.
pub(super) struct ListPage<T> {
    pub(super) entries: Vec<T>,
    pub(super) prefixes: Vec<String>,
    /// The last key or common prefix of this page, if more pages follow.
    pub(super) next: Option<String>,
}

impl ListQuery<'_> {
    /// Builds the page from `rows`, which ascend by key and start at the prefix or after it.
    pub(super) fn page<T, E>(
        &self,
        rows: impl IntoIterator<Item = Result<T, E>>,
        key: impl Fn(&T) -> &str,
    ) -> Result<ListPage<T>, E> {
        let mut page = ListPage {
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
            // This group is already on this page, or was the last one on the previous page.
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
