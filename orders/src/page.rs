//! A page of a list: where it begins, how long it is, and what leads to the next one.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::field::Fields;

/// Rows on a page where the request names no number.
const DEFAULT: u32 = 20;
const MAX: u32 = 100;

/// Which list a token belongs to: its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum List {
    Orders = b'o',
    Customers = b'c',
}

/// What of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    list: List,
    size: u32,
    /// The last row of the page before.
    pub(crate) after: Option<Uuid>,
}

impl Page {
    /// Checks the `page_size` and the `page_token` of a request.
    pub(crate) fn new(list: List, size: u32, token: &str, fields: &mut Fields) -> Self {
        if size > MAX {
            fields.refuse("page_size", format!("must be 1 to {MAX}, or 0 for {DEFAULT}"));
        }
        let after = read(list, token);
        if after.is_none() && !token.is_empty() {
            fields.refuse("page_token", "must be the next_page_token of the page before");
        }
        Self { list, size: if size == 0 { DEFAULT } else { size }, after }
    }

    /// Rows to read: one more than asked for tells whether there is a next page.
    pub(crate) fn limit(&self) -> i64 {
        i64::from(self.size) + 1
    }

    /// Takes the row away that is too much; returns the token of the next page, empty where there is none.
    pub(crate) fn cut<T>(&self, rows: &mut Vec<T>, id: impl Fn(&T) -> Uuid) -> String {
        let size = self.size as usize;
        let more = rows.len() > size;
        rows.truncate(size);
        rows.last().filter(|_| more).map(|last| write(self.list, id(last))).unwrap_or_default()
    }
}

fn write(list: List, id: Uuid) -> String {
    let mut bytes = vec![list as u8];
    bytes.extend(id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read(list: List, token: &str) -> Option<Uuid> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (first, id) = bytes.split_first()?;
    Uuid::from_slice(id).ok().filter(|_| *first == list as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_on_in_its_own_list_only() {
        let ids: Vec<Uuid> = (0..3).map(|_| Uuid::now_v7()).collect();
        let page = Page::new(List::Orders, 2, "", &mut Fields::default());
        let mut rows = ids.clone();
        let token = page.cut(&mut rows, |id| *id);
        assert_eq!(rows, ids[..2]);
        assert_eq!(Page::new(List::Orders, 2, &token, &mut Fields::default()).after, Some(ids[1]));
        for (list, token) in [(List::Customers, token.as_str()), (List::Orders, "next"), (List::Orders, "bw"), (List::Orders, "\0")] {
            let mut fields = Fields::default();
            Page::new(list, 2, token, &mut fields);
            assert!(fields.all_right().is_err(), "{list:?} {token:?}");
        }
    }

    #[test]
    fn a_full_last_page_has_no_next_one() {
        let page = Page::new(List::Orders, 2, "", &mut Fields::default());
        assert_eq!(page.cut(&mut vec![Uuid::nil(), Uuid::nil()], |id| *id), "");
        assert_eq!(Page::new(List::Orders, 0, "", &mut Fields::default()).limit(), 21);
    }
}
