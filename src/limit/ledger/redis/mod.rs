//! A ledger in Redis or Valkey.

mod driver;
mod redis_ledger;
mod scripts;

pub use self::redis_ledger::RedisLedger;
