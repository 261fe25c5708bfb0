//! Advisory locks. `0x7467` is "tg".

/// Writers hold this lock shared, and activations hold it exclusively.
pub(super) const ACTIVATION_LOCK: i64 = 0x7467_0001;
pub(super) const MIGRATION_LOCK: i64 = 0x7467_0002;
pub(super) const PARTITION_LOCK: i64 = 0x7467_0003;
