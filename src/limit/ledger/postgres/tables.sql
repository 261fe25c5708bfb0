-- A series, and the lock on everything that belongs to it.
CREATE TABLE tagging_ledger_series (
    key bytea PRIMARY KEY,
    series text COLLATE "C" NOT NULL,
    tat bigint NOT NULL DEFAULT 0,
    live bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE tagging_ledger_series IS 'What limits count: a rule, its unit and window, and the values of a group';
COMMENT ON COLUMN tagging_ledger_series.key IS 'The SHA-256 of the series';
COMMENT ON COLUMN tagging_ledger_series.tat IS 'Rates: the theoretical arrival time of GCRA, in microseconds since 1970';
COMMENT ON COLUMN tagging_ledger_series.live IS 'Limits on concurrency: the requests that run';
-- An index cannot hold long values.
CREATE INDEX tagging_ledger_series_series ON tagging_ledger_series (left(series, 512));

CREATE TABLE tagging_ledger_slots (
    key bytea NOT NULL,
    slot bigint NOT NULL,
    keep_until bigint NOT NULL,
    settled bigint NOT NULL DEFAULT 0,
    reserved bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (key, slot)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE tagging_ledger_slots IS 'The counts of budgets, by the start of their windows or parts of windows';
COMMENT ON COLUMN tagging_ledger_slots.slot IS 'The start, in microseconds since 1970';
COMMENT ON COLUMN tagging_ledger_slots.keep_until IS 'When the row is no longer read, in microseconds since 1970';
CREATE INDEX tagging_ledger_slots_keep_until ON tagging_ledger_slots (keep_until);

CREATE TABLE tagging_ledger_holds (
    id uuid NOT NULL,
    key bytea NOT NULL,
    slot bigint,
    amount bigint NOT NULL,
    ends bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE tagging_ledger_holds IS 'The reservations of requests that run';
COMMENT ON COLUMN tagging_ledger_holds.id IS 'The id of the event';
COMMENT ON COLUMN tagging_ledger_holds.slot IS 'The slot of a budget. NULL is a running request';
COMMENT ON COLUMN tagging_ledger_holds.ends IS 'The end of the lease, in microseconds since 1970';
CREATE INDEX tagging_ledger_holds_id ON tagging_ledger_holds (id);
CREATE INDEX tagging_ledger_holds_key ON tagging_ledger_holds (key, ends);
CREATE INDEX tagging_ledger_holds_ends ON tagging_ledger_holds (ends);

CREATE TABLE tagging_ledger_settled (
    id uuid PRIMARY KEY,
    settled_at bigint NOT NULL,
    requested_at bigint NOT NULL,
    keys bytea[] NOT NULL,
    slots bigint[] NOT NULL,
    amounts bigint[] NOT NULL
);
COMMENT ON TABLE tagging_ledger_settled IS 'What the requests of the last hour used, so that none is counted twice';
CREATE INDEX tagging_ledger_settled_requested_at ON tagging_ledger_settled (requested_at);
