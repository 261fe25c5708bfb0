//! Limits that are created through the API: their form, which is that of Portkey's policies, and the rules that they become.
//!
//! | member | meaning | default |
//! |---|---|---|
//! | `conditions` | `key` and `value`: a text, a list of alternatives, or `*` for any value. All conditions must hold. `excludes` inverts one (`true`), or excludes values | none |
//! | `group_by` | keys, each value of which is counted on its own | one group |
//! | `periodic_reset` | `weekly` (from Monday) or `monthly`, in `zone` | none: the limit holds for ever |
//! | `periodic_reset_days` | periods of 1 to 365 days from the creation | none |
//! | `zone` | an IANA time zone | UTC |
//! | `on_missing` | requests without a property: `skip`, `deny`, or `bucket` | `skip` |
//! | `on_unpriced` | models without a price: `allow` or `deny` | `allow` |
//! | `on_store_error` | while the ledger is not available: `allow` or `deny` | `allow` |
//! | `mode` | `enforce`, `shadow`, or `off` | `enforce` |
//! | `rejection_status` | the status of rejections | 429 |
//!
//! The defaults are those of Portkey, which lets requests pass that it cannot check. Keys are `api_key`, `workspace_id`,
//! `virtual_key`, `provider`, `model` (also as `@provider/model` and `@provider/*`), and `metadata.KEY`. As in Portkey, a
//! condition is not met by a request without the property.

mod policy;
mod policy_condition;
mod policy_key;
mod policy_options;
mod rate_limit_form;
mod refresh;
mod usage_limit_form;
mod virtual_keys;

pub(crate) use self::{
    policy::{Policy, PolicyForm},
    policy_condition::{Excludes, PolicyCondition, Values},
    policy_key::{PolicyKey, key_of},
    rate_limit_form::{RateLimitForm, unit_of},
    refresh::LATE,
    usage_limit_form::{UsageLimitForm, is_for_ever, usage_type},
    virtual_keys::KeyBudgets,
};
