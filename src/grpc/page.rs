//! Pages of lists. A token holds where the list goes on, and a mark of the list it belongs to, so that
//! it is not taken to another.

use super::error::{self, Violation, reason};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use tonic::{Code, Status};

/// Rows of a page where the request does not say.
const DEFAULT: usize = 50;
/// Rows of a page at most.
pub const MAX: usize = 500;
/// Bytes of a cursor at most.
const CURSOR_MAX: usize = 64;
const TOKEN_MAX: usize = 160;
const VERSION: u8 = 1;
const MARK_BYTES: usize = 8;

/// How many rows to answer.
///
/// # Errors
/// A negative number.
pub fn size(asked: i32) -> Result<usize, Violation> {
    match usize::try_from(asked) {
        Ok(0) => Ok(DEFAULT),
        Ok(asked) => Ok(asked.min(MAX)),
        Err(_) => Err(Violation::new("page_size", "0 to 500")),
    }
}

/// Which list a token is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mark([u8; MARK_BYTES]);

impl Mark {
    /// `parts`: whatever the list depends on.
    pub fn new(parts: &[&[u8]]) -> Mark {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut mark = [0; MARK_BYTES];
        mark.copy_from_slice(&context.finish().as_ref()[..MARK_BYTES]);
        Mark(mark)
    }

    /// The token of the next page; empty where there is none.
    pub fn token(&self, next: Option<Vec<u8>>) -> String {
        let Some(cursor) = next else { return String::new() };
        let mut bytes = Vec::with_capacity(1 + MARK_BYTES + cursor.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.0);
        bytes.extend_from_slice(&cursor);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Where the page begins.
    ///
    /// # Errors
    /// A token that is none, or that was made for another list.
    pub fn cursor(&self, token: &str) -> Result<Option<Vec<u8>>, Status> {
        if token.is_empty() {
            return Ok(None);
        }
        let read = || {
            let bytes = (token.len() <= TOKEN_MAX).then(|| URL_SAFE_NO_PAD.decode(token).ok()).flatten()?;
            let rest = bytes.strip_prefix(&[VERSION])?.strip_prefix(&self.0)?;
            (1..=CURSOR_MAX).contains(&rest.len()).then(|| rest.to_vec())
        };
        read().map(Some).ok_or_else(bad_token)
    }
}

/// The token is not one of this list.
pub fn bad_token() -> Status {
    let message = "page_token: not a token of this list; send the other fields as for the page before";
    error::plain(Code::InvalidArgument, reason::INVALID_PAGE_TOKEN, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_comes_back(cursor in proptest::collection::vec(any::<u8>(), 1..=CURSOR_MAX)) {
            let mark = Mark::new(&[b"calls", b"x"]);
            let token = mark.token(Some(cursor.clone()));
            prop_assert_eq!(mark.cursor(&token).expect("a token"), Some(cursor));
        }

        #[test]
        fn garbage_is_refused(token in "\\PC{1,200}") {
            prop_assert!(Mark::new(&[b"calls"]).cursor(&token).is_err());
        }
    }

    #[test]
    fn a_token_of_another_list_is_refused() {
        let token = Mark::new(&[b"calls", b"a"]).token(Some(vec![1, 2, 3]));
        assert!(Mark::new(&[b"calls", b"b"]).cursor(&token).is_err());
        // Where one part ends and the next begins is part of it.
        assert!(Mark::new(&[b"callsa", b""]).cursor(&token).is_err());
    }

    #[test]
    fn the_end_is_an_empty_token_and_an_empty_token_the_beginning() {
        let mark = Mark::new(&[]);
        assert_eq!(mark.token(None), "");
        assert_eq!(mark.cursor("").expect("the beginning"), None);
    }

    #[test]
    fn sizes_are_bounded() {
        assert_eq!((size(0), size(7), size(100_000)), (Ok(50), Ok(7), Ok(500)));
        assert!(size(-1).is_err());
    }
}
