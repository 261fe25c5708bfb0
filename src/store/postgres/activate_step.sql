WITH step AS (
    SELECT id, requested_at FROM tagging_events WHERE id > $2 AND id <= $3 ORDER BY id LIMIT $4
), changed AS (
    UPDATE tagging_events AS request
    SET indexed_metadata = coalesce(request.indexed_metadata, '{}') || jsonb_build_object($1, request.raw_metadata -> $1)
    FROM step
    WHERE request.id = step.id AND request.requested_at = step.requested_at
        AND request.raw_metadata ? $1 AND NOT coalesce(request.indexed_metadata ? $1, false)
)
SELECT id FROM step ORDER BY id DESC LIMIT 1
