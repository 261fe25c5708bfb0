//! The parameters of the endpoints.

use utoipa::openapi::schema::Type;

use crate::analytics::api::{Accepted, PAGE, Parameter, WORKSPACE_ID, optional};

const STATUS: &[Parameter] = &[optional("status", Type::String, "active or archived. All limits are active.")];

/// The parameters of the list of usage limits.
pub(super) const USAGE_LIMITS: Accepted =
    &[PAGE, WORKSPACE_ID, STATUS, &[optional("type", Type::String, "cost, tokens, or requests.")]];

/// The parameters of a usage limit.
pub(super) const USAGE_LIMIT: Accepted =
    &[STATUS, &[optional("include_usage", Type::Boolean, "true for the usage of up to 1,000 groups.")]];

/// The parameters of the list of rate limits.
pub(super) const RATE_LIMITS: Accepted = &[
    PAGE,
    WORKSPACE_ID,
    STATUS,
    &[
        optional("type", Type::String, "requests or tokens."),
        optional("unit", Type::String, "rps, rpm, rph, rpd, or rpw."),
        optional("target", Type::String, "llm or mcp_tools. All limits are for llm."),
    ],
];

/// The parameters of a rate limit.
pub(super) const RATE_LIMIT: Accepted = &[STATUS];

/// The parameters of the list of groups.
pub(super) const ENTITIES: Accepted = &[
    PAGE,
    &[
        optional("status", Type::String, "active or exhausted."),
        optional("search", Type::String, "A part of the value key, case-sensitive."),
    ],
];
