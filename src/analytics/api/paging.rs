use super::{api_error::ApiError, parameters::Parameters};

/// A page of a list. The first page is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paging {
    /// The number of entries before the page.
    pub(crate) skip: u64,
    /// The maximum number of entries of the page.
    pub(crate) size: u64,
}

impl Paging {
    const DEFAULT_SIZE: u64 = 50;
    const MAX_SIZE: u64 = 1_000;
    /// The largest number of entries before a page. Each of them has to be computed.
    const MAX_SKIP: u64 = 100_000;

    /// Reads `current_page` and `page_size`.
    ///
    /// # Errors
    /// Returns an error if one is not a number, or is too large.
    pub(crate) fn read(parameters: &Parameters) -> Result<Self, ApiError> {
        let page = parameters.count("current_page")?.unwrap_or(0);
        let size = parameters.count("page_size")?.unwrap_or(Self::DEFAULT_SIZE);
        if size == 0 || size > Self::MAX_SIZE {
            let max = Self::MAX_SIZE;
            return Err(ApiError::invalid(format!("invalid page_size {size}: expected a number from 1 to {max}")));
        }
        let skip = page.saturating_mul(size);
        if skip > Self::MAX_SKIP {
            let max = Self::MAX_SKIP;
            return Err(ApiError::invalid(format!(
                "invalid current_page {page}: expected at most {max} entries before a page: add a filter"
            )));
        }
        Ok(Self { skip, size })
    }

    /// Returns the entries of the page.
    pub(crate) fn of<T>(self, entries: impl IntoIterator<Item = T>) -> Vec<T> {
        let length = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        entries.into_iter().skip(length(self.skip)).take(length(self.size)).collect()
    }
}
