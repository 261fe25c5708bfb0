use serde_json::{Map, Value};

/// A request extension with the claims that the service's own login has verified.
#[derive(Clone, Debug, Default)]
pub struct LoginClaims(pub Map<String, Value>);
