CREATE TABLE llm_requests (
    id TEXT PRIMARY KEY NOT NULL,
    requested_at TEXT NOT NULL,
    responded_at TEXT NOT NULL,
    response_time_ms INTEGER NOT NULL,
    time_to_first_byte_ms INTEGER,
    time_to_first_token_ms INTEGER,
    provider TEXT,
    model TEXT,
    request_model TEXT,
    operation TEXT,
    stream INTEGER,
    request_method TEXT NOT NULL,
    request_path TEXT NOT NULL,
    route TEXT,
    host TEXT,
    status_code INTEGER,
    outcome TEXT NOT NULL,
    request_bytes INTEGER,
    response_bytes INTEGER NOT NULL,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cached_tokens INTEGER,
    cache_creation_tokens INTEGER,
    cache_creation_1h_tokens INTEGER,
    reasoning_tokens INTEGER,
    input_cost REAL,
    output_cost REAL,
    total_cost REAL,
    cost_status TEXT,
    usage_status TEXT,
    price_source TEXT,
    trace_id TEXT NOT NULL,
    client_trace_id TEXT,
    span_id TEXT NOT NULL,
    parent_span_id TEXT,
    span_name TEXT,
    span_path TEXT,
    raw_metadata TEXT NOT NULL,
    indexed_metadata TEXT,
    diagnostics TEXT NOT NULL,
    error_message TEXT
);

CREATE INDEX llm_requests_requested_at ON llm_requests (requested_at);
CREATE INDEX llm_requests_trace_id ON llm_requests (trace_id);

CREATE TABLE llm_request_keys (
    name TEXT PRIMARY KEY NOT NULL,
    active INTEGER NOT NULL DEFAULT 0,
    requests INTEGER NOT NULL DEFAULT 0,
    last_seen TEXT,
    sketch BLOB NOT NULL DEFAULT x''
) WITHOUT ROWID;
