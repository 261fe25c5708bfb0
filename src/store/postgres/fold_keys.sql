INSERT INTO tagging_keys AS stored (name, requests, last_seen, sketch)
SELECT counted.name, counted.requests, counted.last_seen, counted.sketch
FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::varbit[]) AS counted (name, requests, last_seen, sketch)
WHERE (SELECT count(*) FROM tagging_keys) < $5
    OR EXISTS (SELECT FROM tagging_keys AS known WHERE known.name = counted.name)
ORDER BY counted.name
ON CONFLICT (name) DO UPDATE SET
    requests = stored.requests + excluded.requests,
    last_seen = greatest(stored.last_seen, excluded.last_seen),
    sketch = coalesce(stored.sketch | excluded.sketch, excluded.sketch)
