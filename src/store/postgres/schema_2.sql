ALTER TABLE llm_requests ADD COLUMN metadata_sources jsonb;
