use std::fmt;

use serde_json::{Map, Value};

/// A request extension with the claims that the service's own login has verified.
///
/// Only code that has verified them may insert it. Its `Debug` text has the names of the claims, not their values.
#[derive(Clone, Default, PartialEq)]
pub struct LoginClaims(pub Map<String, Value>);

impl fmt::Debug for LoginClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LoginClaims").field(&self.0.keys().collect::<Vec<_>>()).finish()
    }
}
