//! Tests of what all ledgers have in common. Those on servers need `DATABASE_URL` and `REDIS_URL`; see `tests/run.sh`.

mod chunks;
mod contract;
mod outages;
mod processes;
mod properties;
mod support;
mod unreachable;
