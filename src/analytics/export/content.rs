use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::Stream;

use crate::analytics::QueryError;

/// The content of an export, piece by piece.
pub(super) type Content = Pin<Box<dyn Stream<Item = Result<Bytes, QueryError>> + Send>>;
