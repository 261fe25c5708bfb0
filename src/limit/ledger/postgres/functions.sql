-- The functions of version 1. A change of their meaning needs functions with another name, so that replicas of both versions
-- run side by side. Parameters and variables start with an underscore, columns do not.
--
-- Every function that changes something of a series first locks its row, in the order of keys. So there are no deadlocks, and
-- what belongs to a locked series does not change.
--
-- A reservation also shares a lock with the other ones of its process. A settlement whose reservation may still be executed,
-- because its request has gone, takes this lock alone: before it, the reservation is committed, or it sees the settlement. The
-- first number of the lock, 0x74670302, is that of the ledger.

CREATE OR REPLACE FUNCTION tagging_ledger_now_1() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
$$;

CREATE OR REPLACE FUNCTION tagging_ledger_key_1(_series text) RETURNS bytea LANGUAGE sql STABLE STRICT AS $$
    SELECT sha256(convert_to(_series, 'UTF8'))
$$;

CREATE OR REPLACE FUNCTION tagging_ledger_clamped_1(_number numeric) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT least(greatest(_number, -9223372036854775808), 9223372036854775807)::bigint
$$;

-- Creates and locks series.
CREATE OR REPLACE FUNCTION tagging_ledger_lock_1(_keys bytea[], _names text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _wanted bigint;
    _found bigint;
BEGIN
    SELECT count(DISTINCT k) INTO _wanted FROM unnest(_keys) AS u(k);
    SELECT count(*) INTO _found FROM tagging_ledger_series WHERE key = ANY (_keys);
    IF _found < _wanted THEN
        -- Before any lock is held, so that waiting for another insertion cannot be a deadlock.
        INSERT INTO tagging_ledger_series (key, series)
            SELECT DISTINCT ON (k) k, n FROM unnest(_keys, _names) AS u(k, n) ORDER BY k
            ON CONFLICT DO NOTHING;
    END IF;
    SELECT count(*) INTO _found
        FROM (SELECT FROM tagging_ledger_series WHERE key = ANY (_keys) ORDER BY key FOR UPDATE) AS locked;
    IF _found < _wanted THEN
        RAISE EXCEPTION 'a series was removed at the same time' USING ERRCODE = 'serialization_failure';
    END IF;
END $$;

-- Takes the amounts of deleted holds of locked series off what is reserved. Holds of requests that run have no slot.
CREATE OR REPLACE FUNCTION tagging_ledger_release_1(_keys bytea[], _slots bigint[], _amounts bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH sums AS (
        SELECT key, slot, sum(amount) AS amount FROM unnest(_keys, _slots, _amounts) AS u(key, slot, amount) GROUP BY key, slot
    ), released AS (
        UPDATE tagging_ledger_slots AS s SET reserved = tagging_ledger_clamped_1(greatest(s.reserved - sums.amount, 0)) FROM sums
            WHERE s.key = sums.key AND s.slot = sums.slot
    )
    UPDATE tagging_ledger_series AS s SET live = tagging_ledger_clamped_1(greatest(s.live - sums.amount, 0)) FROM sums
        WHERE s.key = sums.key AND sums.slot IS NULL;
END $$;

-- Releases the holds of locked series whose lease has ended.
CREATE OR REPLACE FUNCTION tagging_ledger_expire_1(_keys bytea[], _now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _held bytea[];
    _slots bigint[];
    _amounts bigint[];
BEGIN
    IF NOT EXISTS (SELECT FROM tagging_ledger_holds WHERE key = ANY (_keys) AND ends <= _now) THEN
        RETURN;
    END IF;
    WITH gone AS (
        DELETE FROM tagging_ledger_holds WHERE key = ANY (_keys) AND ends <= _now RETURNING key, slot, amount
    )
    SELECT array_agg(key), array_agg(slot), array_agg(amount) INTO _held, _slots, _amounts FROM gone;
    PERFORM tagging_ledger_release_1(_held, _slots, _amounts);
END $$;

-- Takes what each of several requests needs, one after the other. The checks of a request follow each other, and `_owners` has
-- the number of their request, from 1. Returns which requests are admitted, and the state of each check.
--
-- Kinds: 0 is a budget (`_froms`, `_slots`, `_keeps`, `_amounts`, `_limits`), 1 a rate (`_amounts` is the increment, `_limits`
-- the tolerance), and 2 a limit on concurrency (`_limits`). `_process` names the process that calls.
CREATE OR REPLACE FUNCTION tagging_ledger_reserve_1(
    _process integer, _ids uuid[], _leases bigint[],
    _owners integer[], _names text[], _enforced boolean[], _kinds smallint[],
    _froms bigint[], _slots bigint[], _keeps bigint[], _amounts bigint[], _limits bigint[],
    OUT _admitted boolean[], OUT _passes boolean[], OUT _used bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    _keys bytea[];
    _now bigint;
    _count integer := cardinality(_owners);
    _first integer := 1;
    _last integer;
    _is_known boolean;
    _is_admitted boolean;
    _total numeric;
    _does_pass boolean;
BEGIN
    SELECT array_agg(tagging_ledger_key_1(n) ORDER BY at) INTO _keys FROM unnest(_names) WITH ORDINALITY AS u(n, at);
    PERFORM pg_advisory_xact_lock_shared(1952908034, _process);
    PERFORM tagging_ledger_lock_1(_keys, _names);
    _now := tagging_ledger_now_1();
    PERFORM tagging_ledger_expire_1(_keys, _now);
    _admitted := '{}';
    _passes := array_fill(NULL::boolean, ARRAY[_count]);
    _used := array_fill(NULL::bigint, ARRAY[_count]);
    FOR _request IN 1 .. cardinality(_ids) LOOP
        _last := _first;
        WHILE _last < _count AND _owners[_last + 1] = _request LOOP
            _last := _last + 1;
        END LOOP;
        _is_known := EXISTS (SELECT FROM tagging_ledger_holds WHERE id = _ids[_request] AND ends > _now)
            OR EXISTS (SELECT FROM tagging_ledger_settled WHERE id = _ids[_request]);
        _is_admitted := true;
        FOR _at IN _first .. _last LOOP
            CASE _kinds[_at]
            WHEN 0 THEN
                SELECT coalesce(sum(settled) + sum(reserved), 0) INTO _total FROM tagging_ledger_slots
                    WHERE key = _keys[_at] AND slot BETWEEN _froms[_at] AND _slots[_at];
                _does_pass := _total + _amounts[_at] <= _limits[_at];
            WHEN 1 THEN
                SELECT greatest(tat - _now, 0) INTO _total FROM tagging_ledger_series WHERE key = _keys[_at];
                _does_pass := _total + _amounts[_at] <= _limits[_at];
            ELSE
                SELECT live INTO _total FROM tagging_ledger_series WHERE key = _keys[_at];
                _does_pass := _total < _limits[_at];
            END CASE;
            _passes[_at] := _does_pass;
            _used[_at] := tagging_ledger_clamped_1(_total);
            _is_admitted := _is_admitted AND (_does_pass OR NOT _enforced[_at]);
        END LOOP;
        _admitted := _admitted || (_is_known OR _is_admitted);
        IF _is_admitted AND NOT _is_known THEN
            FOR _at IN _first .. _last LOOP
                CASE _kinds[_at]
                WHEN 0 THEN
                    INSERT INTO tagging_ledger_slots AS s (key, slot, keep_until, reserved)
                        VALUES (_keys[_at], _slots[_at], _keeps[_at], _amounts[_at])
                        ON CONFLICT (key, slot) DO UPDATE SET
                            reserved = tagging_ledger_clamped_1(s.reserved::numeric + excluded.reserved),
                            keep_until = greatest(s.keep_until, excluded.keep_until);
                WHEN 1 THEN
                    IF _passes[_at] THEN
                        UPDATE tagging_ledger_series
                            SET tat = tagging_ledger_clamped_1(greatest(tat, _now)::numeric + _amounts[_at])
                            WHERE key = _keys[_at];
                    END IF;
                ELSE
                    UPDATE tagging_ledger_series SET live = live + 1 WHERE key = _keys[_at];
                END CASE;
            END LOOP;
            INSERT INTO tagging_ledger_holds (id, key, slot, amount, ends)
                SELECT _ids[_request], _keys[at], CASE _kinds[at] WHEN 0 THEN _slots[at] END,
                    CASE _kinds[at] WHEN 0 THEN _amounts[at] ELSE 1 END, _now + _leases[_request]
                FROM generate_series(_first, _last) AS at WHERE _kinds[at] <> 1;
        END IF;
        _first := _last + 1;
    END LOOP;
END $$;

-- Releases what requests hold, and adds what they used. The charges and the corrections of rates have the number of their
-- settlement, from 1. Settlements that are known are ignored. `_process` names the process that calls, if a reservation of one
-- of the requests may still be executed, and is NULL otherwise.
CREATE OR REPLACE FUNCTION tagging_ledger_settle_1(
    _process integer, _ids uuid[], _times bigint[],
    _owners integer[], _names text[], _slots bigint[], _keeps bigint[], _amounts bigint[],
    _rate_owners integer[], _rate_names text[], _rate_micros bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _now bigint := tagging_ledger_now_1();
    _new_ids uuid[];
    _is_new boolean[];
    _keys bytea[];
    _rate_keys bytea[];
    _locked bytea[];
    _locked_names text[];
    _held bytea[];
    _held_slots bigint[];
    _held_amounts bigint[];
BEGIN
    IF _process IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(1952908034, _process);
    END IF;
    SELECT coalesce(array_agg(tagging_ledger_key_1(n) ORDER BY at), '{}') INTO _keys
        FROM unnest(_names) WITH ORDINALITY AS u(n, at);
    SELECT coalesce(array_agg(tagging_ledger_key_1(n) ORDER BY at), '{}') INTO _rate_keys
        FROM unnest(_rate_names) WITH ORDINALITY AS u(n, at);
    WITH charges AS (
        SELECT o, array_agg(k ORDER BY at) AS keys, array_agg(s ORDER BY at) AS slots, array_agg(a ORDER BY at) AS amounts
            FROM unnest(_owners, _keys, _slots, _amounts) WITH ORDINALITY AS u(o, k, s, a, at) GROUP BY o
    ), added AS (
        -- In the order of ids, so that two batches do not wait for each other.
        INSERT INTO tagging_ledger_settled (id, settled_at, requested_at, keys, slots, amounts)
            SELECT DISTINCT ON (r.id) r.id, _now, r.time, coalesce(c.keys, '{}'), coalesce(c.slots, '{}'),
                coalesce(c.amounts, '{}')
            FROM unnest(_ids, _times) WITH ORDINALITY AS r(id, time, at) LEFT JOIN charges AS c ON c.o = r.at
            ORDER BY r.id, r.at
            ON CONFLICT (id) DO NOTHING
            RETURNING id
    )
    SELECT array_agg(id) INTO _new_ids FROM added;
    IF _new_ids IS NULL THEN
        RETURN;
    END IF;
    -- The first settlement with an id counts.
    SELECT array_agg(id = ANY (_new_ids) AND rank = 1 ORDER BY at) INTO _is_new
        FROM (SELECT id, at, row_number() OVER (PARTITION BY id ORDER BY at) AS rank
            FROM unnest(_ids) WITH ORDINALITY AS u(id, at)) AS ranked;
    SELECT array_agg(k), array_agg(n) INTO _locked, _locked_names FROM (
        SELECT k, n FROM unnest(_owners, _keys, _names) AS u(o, k, n) WHERE _is_new[o]
        UNION
        SELECT k, n FROM unnest(_rate_owners, _rate_keys, _rate_names) AS u(o, k, n) WHERE _is_new[o]
        UNION
        SELECT s.key, s.series FROM tagging_ledger_holds AS h JOIN tagging_ledger_series AS s USING (key)
            WHERE h.id = ANY (_new_ids)
    ) AS touched;
    IF _locked IS NULL THEN
        RETURN;
    END IF;
    PERFORM tagging_ledger_lock_1(_locked, _locked_names);
    _now := tagging_ledger_now_1();
    WITH gone AS (
        DELETE FROM tagging_ledger_holds WHERE id = ANY (_new_ids) AND key = ANY (_locked) RETURNING key, slot, amount
    )
    SELECT array_agg(key), array_agg(slot), array_agg(amount) INTO _held, _held_slots, _held_amounts FROM gone;
    PERFORM tagging_ledger_release_1(_held, _held_slots, _held_amounts);
    INSERT INTO tagging_ledger_slots AS s (key, slot, keep_until, settled)
        SELECT k, slot, max(keep), tagging_ledger_clamped_1(sum(amount))
            FROM unnest(_owners, _keys, _slots, _keeps, _amounts) AS u(o, k, slot, keep, amount)
            WHERE _is_new[o] GROUP BY k, slot ORDER BY k, slot
        ON CONFLICT (key, slot) DO UPDATE SET
            settled = tagging_ledger_clamped_1(s.settled::numeric + excluded.settled),
            keep_until = greatest(s.keep_until, excluded.keep_until);
    FOR _at IN 1 .. cardinality(_rate_keys) LOOP
        IF _is_new[_rate_owners[_at]] THEN
            UPDATE tagging_ledger_series
                SET tat = tagging_ledger_clamped_1(greatest(tat, _now)::numeric + _rate_micros[_at])
                WHERE key = _rate_keys[_at];
        END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION tagging_ledger_extend_1(_ids uuid[], _leases bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _now bigint;
BEGIN
    PERFORM FROM tagging_ledger_series
        WHERE key IN (SELECT key FROM tagging_ledger_holds WHERE id = ANY (_ids)) ORDER BY key FOR UPDATE;
    _now := tagging_ledger_now_1();
    UPDATE tagging_ledger_holds AS h SET ends = greatest(h.ends, _now + u.lease)
        FROM (SELECT id, max(lease) AS lease FROM unnest(_ids, _leases) AS u(id, lease) GROUP BY id) AS u
        WHERE h.id = u.id AND h.ends > _now;
END $$;

CREATE OR REPLACE FUNCTION tagging_ledger_adjust_1(
    _names text[], _slots bigint[], _keeps bigint[], _deltas bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _keys bytea[];
BEGIN
    SELECT array_agg(tagging_ledger_key_1(n) ORDER BY at) INTO _keys FROM unnest(_names) WITH ORDINALITY AS u(n, at);
    PERFORM tagging_ledger_lock_1(_keys, _names);
    INSERT INTO tagging_ledger_slots AS s (key, slot, keep_until, settled)
        SELECT k, slot, max(keep), tagging_ledger_clamped_1(sum(delta))
            FROM unnest(_keys, _slots, _keeps, _deltas) AS u(k, slot, keep, delta) GROUP BY k, slot ORDER BY k, slot
        ON CONFLICT (key, slot) DO UPDATE SET
            settled = tagging_ledger_clamped_1(s.settled::numeric + excluded.settled),
            keep_until = greatest(s.keep_until, excluded.keep_until);
END $$;

-- Returns slots in the order of series and slot, of a number of series that start with a text and are greater than another one.
-- The order by the start of a series is that of the index. Without a full sort, the search ends after that number.
CREATE OR REPLACE FUNCTION tagging_ledger_scan_1(
    _prefix text, _after text, _from_slot bigint, _limit bigint,
    OUT series text, OUT slot bigint, OUT settled bigint, OUT reserved bigint
) RETURNS SETOF record LANGUAGE sql SET enable_sort = off AS $$
    WITH named AS MATERIALIZED (
        SELECT s.key, s.series
            FROM tagging_ledger_series AS s
            WHERE left(s.series, 512) COLLATE "C" >= left(greatest(_prefix COLLATE "C", _after COLLATE "C"), 512)
                AND left(s.series, 512) COLLATE "C" <= left(_prefix, 512) || repeat(U&'\+10FFFF', 8)
                AND starts_with(s.series, _prefix) AND s.series COLLATE "C" > _after
                AND EXISTS (SELECT FROM tagging_ledger_slots AS t WHERE t.key = s.key AND t.slot >= _from_slot)
            ORDER BY left(s.series, 512) COLLATE "C", s.series COLLATE "C" LIMIT _limit
    ), found AS (
        SELECT n.key, n.series, t.slot, t.settled, t.reserved
            FROM named AS n JOIN tagging_ledger_slots AS t USING (key) WHERE t.slot >= _from_slot
    ), clock AS MATERIALIZED (
        SELECT tagging_ledger_now_1() AS now
    )
    SELECT f.series, f.slot, f.settled, tagging_ledger_clamped_1(greatest(f.reserved - coalesce((
            -- Leases that ended, and were not released yet.
            SELECT sum(h.amount) FROM tagging_ledger_holds AS h
                WHERE h.key = f.key AND h.slot = f.slot AND h.ends <= (SELECT now FROM clock)
        ), 0), 0))
        FROM found AS f ORDER BY f.series COLLATE "C", f.slot
$$;

CREATE OR REPLACE FUNCTION tagging_ledger_settled_before_1(_names text[], _slots bigint[], _before bigint)
RETURNS bigint[] LANGUAGE sql AS $$
    WITH asked AS (
        SELECT tagging_ledger_key_1(n) AS key, s AS slot, at FROM unnest(_names, _slots) WITH ORDINALITY AS u(n, s, at)
    ), late AS (
        SELECT c.key, c.slot, sum(c.amount) AS amount
            FROM tagging_ledger_settled AS d, unnest(d.keys, d.slots, d.amounts) AS c(key, slot, amount)
            WHERE d.requested_at >= _before GROUP BY c.key, c.slot
    )
    SELECT array_agg(tagging_ledger_clamped_1(coalesce(t.settled - coalesce(l.amount, 0), 0)) ORDER BY a.at)
        FROM asked AS a
        LEFT JOIN tagging_ledger_slots AS t ON t.key = a.key AND t.slot = a.slot
        LEFT JOIN late AS l ON l.key = a.key AND l.slot = a.slot
$$;

-- Each of the following functions removes a part of the rows of a table that are not read any more, in little time. They skip
-- series that are in use, so that no request waits.

-- Releases about `_max` holds whose lease has ended, the oldest first. Returns whether there may be more.
CREATE OR REPLACE FUNCTION tagging_ledger_prune_holds_1(_max bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    _now bigint := tagging_ledger_now_1();
    _found bigint;
    _until bigint;
    _due bytea[];
    _keys bytea[];
BEGIN
    SELECT count(*), max(ends), array_agg(DISTINCT key) INTO _found, _until, _due
        FROM (SELECT key, ends FROM tagging_ledger_holds WHERE ends <= _now ORDER BY ends LIMIT _max) AS due;
    SELECT array_agg(key) INTO _keys FROM (
        SELECT key FROM tagging_ledger_series WHERE key = ANY (_due) ORDER BY key FOR UPDATE SKIP LOCKED
    ) AS locked;
    IF _keys IS NULL THEN
        RETURN false;
    END IF;
    PERFORM tagging_ledger_expire_1(_keys, _until);
    RETURN _found >= _max;
END $$;

-- Removes about `_max` slots, the oldest first. Returns whether there may be more.
CREATE OR REPLACE FUNCTION tagging_ledger_prune_slots_1(_max bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    _now bigint := tagging_ledger_now_1();
    _found bigint;
    _until bigint;
    _due bytea[];
    _keys bytea[];
BEGIN
    SELECT count(*), max(keep_until), array_agg(DISTINCT key) INTO _found, _until, _due FROM (
        SELECT key, keep_until FROM tagging_ledger_slots
            WHERE keep_until <= _now AND reserved = 0 ORDER BY keep_until LIMIT _max
    ) AS due;
    SELECT array_agg(key) INTO _keys FROM (
        SELECT key FROM tagging_ledger_series WHERE key = ANY (_due) ORDER BY key FOR UPDATE SKIP LOCKED
    ) AS locked;
    IF _keys IS NULL THEN
        RETURN false;
    END IF;
    DELETE FROM tagging_ledger_slots WHERE key = ANY (_keys) AND keep_until <= _until AND reserved = 0;
    RETURN _found >= _max;
END $$;

-- Looks at `_max` series after a key, and removes those without anything. Returns the last key, or NULL at the end.
CREATE OR REPLACE FUNCTION tagging_ledger_prune_series_1(_after bytea, _max bigint) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    _now bigint := tagging_ledger_now_1();
    _step bytea[];
    _keys bytea[];
BEGIN
    SELECT array_agg(key ORDER BY key) INTO _step FROM (
        SELECT key FROM tagging_ledger_series WHERE key > _after ORDER BY key LIMIT _max
    ) AS step;
    SELECT array_agg(key) INTO _keys FROM (
        SELECT key FROM tagging_ledger_series AS s
            WHERE key = ANY (_step) AND tat <= _now AND live = 0
                AND NOT EXISTS (SELECT FROM tagging_ledger_slots AS t WHERE t.key = s.key)
                AND NOT EXISTS (SELECT FROM tagging_ledger_holds AS h WHERE h.key = s.key)
            ORDER BY key FOR UPDATE SKIP LOCKED
    ) AS locked;
    -- The conditions are read again: they may have changed before the lock.
    DELETE FROM tagging_ledger_series AS s
        WHERE key = ANY (_keys) AND tat <= _now AND live = 0
            AND NOT EXISTS (SELECT FROM tagging_ledger_slots AS t WHERE t.key = s.key)
            AND NOT EXISTS (SELECT FROM tagging_ledger_holds AS h WHERE h.key = s.key);
    RETURN CASE WHEN cardinality(_step) >= _max THEN _step[cardinality(_step)] END;
END $$;

-- Forgets up to `_max` settlements. Returns whether there may be more.
CREATE OR REPLACE FUNCTION tagging_ledger_prune_settled_1(_remembered bigint, _max bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    _now bigint := tagging_ledger_now_1();
    _removed bigint;
BEGIN
    DELETE FROM tagging_ledger_settled WHERE id IN (
        SELECT id FROM tagging_ledger_settled
            WHERE requested_at <= _now - _remembered AND settled_at <= _now - _remembered
            ORDER BY requested_at LIMIT _max FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS _removed = ROW_COUNT;
    RETURN _removed >= _max;
END $$;
