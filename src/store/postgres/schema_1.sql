CREATE TABLE llm_requests (
    id uuid NOT NULL,
    requested_at timestamptz NOT NULL,
    responded_at timestamptz NOT NULL,
    response_time_ms integer NOT NULL,
    time_to_first_byte_ms integer,
    time_to_first_token_ms integer,
    provider text,
    model text,
    request_model text,
    operation text,
    stream boolean,
    request_method text NOT NULL,
    request_path text NOT NULL,
    route text,
    host text,
    status_code integer,
    outcome text NOT NULL,
    request_bytes bigint,
    response_bytes bigint NOT NULL,
    input_tokens bigint,
    output_tokens bigint,
    cached_tokens bigint,
    cache_creation_tokens bigint,
    cache_creation_1h_tokens bigint,
    reasoning_tokens bigint,
    input_cost numeric,
    output_cost numeric,
    total_cost numeric,
    cost_status text,
    usage_status text,
    price_source text,
    trace_id text NOT NULL,
    client_trace_id text,
    span_id text NOT NULL,
    parent_span_id text,
    span_name text,
    span_path text,
    raw_metadata jsonb NOT NULL,
    indexed_metadata jsonb,
    diagnostics jsonb NOT NULL,
    error_message text,
    PRIMARY KEY ({primary_key})
){partition_by};

CREATE INDEX llm_requests_requested_at ON llm_requests (requested_at);
CREATE INDEX llm_requests_trace_id ON llm_requests (trace_id);
CREATE INDEX llm_requests_indexed_metadata ON llm_requests
    USING gin (indexed_metadata jsonb_path_ops) WHERE indexed_metadata IS NOT NULL;

CREATE TABLE llm_request_keys (
    name text PRIMARY KEY,
    active boolean NOT NULL DEFAULT false,
    requests bigint NOT NULL DEFAULT 0,
    last_seen timestamptz,
    sketch bit varying
);
