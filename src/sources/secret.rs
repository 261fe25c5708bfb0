use http::HeaderName;

/// Headers that hold secrets. They only become tags if they are opted in by name.
const SECRET_HEADERS: [&str; 11] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
    "x-portkey-api-key",
    "x-majordomo-key",
    "x-goog-api-key",
    "x-amz-security-token",
    "x-auth-token",
];

pub(super) fn is_secret(name: &HeaderName) -> bool {
    SECRET_HEADERS.contains(&name.as_str())
}
