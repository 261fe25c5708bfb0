/// The headers of a typical LLM API client. Four of them can become tags.
pub(crate) const HEADERS: [(&str, &str); 12] = [
    ("host", "api.example.com"),
    ("user-agent", "OpenAI/Python 2.30.0"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate"),
    ("content-type", "application/json"),
    ("content-length", "69"),
    ("x-user-id", "user_8821"),
    ("x-tenant", "acme"),
    ("x-feature", "search"),
    ("x-session-id", "sess-0192837465"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    (
        "x-portkey-metadata",
        r#"{"_user": "user_8821", "environment": "production", "feature": "search", "team": "growth"}"#,
    ),
];
