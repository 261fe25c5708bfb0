use utoipa::openapi::{
    HttpMethod::{Delete, Get, Post, Put},
    RefOr,
    schema::{ObjectBuilder, Schema, Type},
};

use crate::{
    analytics::api::{Components, Endpoint, LIMITS, envelope, value},
    registry::Permission,
};

use super::{
    super::policies::{RateLimitForm, UsageLimitForm},
    done::Done,
    entities::EntityList,
    limits::LimitsShape,
    parameters::{ENTITIES, RATE_LIMIT, RATE_LIMITS, USAGE_LIMIT, USAGE_LIMITS},
    rate_shape::RateLimitShape,
    usage_shape::UsageLimitShape,
};

const FROM_CONFIG: &str = "The limit is from the configuration, or other callers change it at the same time";
const FULL: &str = "The workspace has as many limits as it may have";

/// Returns the endpoints of limits for the OpenAPI document.
pub(super) fn endpoints(components: &mut Components) -> Vec<Endpoint> {
    let admin = Permission::Admin;
    let limits = components.of::<LimitsShape>();
    let report = "Budgets with their groups, those with the largest used share first, and rates";
    let mut endpoints = vec![Endpoint::new(Get, "/limits", Permission::AnalyticsView, report, limits).query(LIMITS)];
    let done = components.of::<Done>();

    let path = "/policies/usage-limits";
    let one = "/policies/usage-limits/{id}";
    let form = components.of::<UsageLimitForm>();
    let shape = components.of::<UsageLimitShape>();
    let list = components.add("UsageLimitList", envelope(shape.clone()));
    let groups = components.of::<EntityList>();
    let patch: RefOr<Schema> = ObjectBuilder::new()
        .property(
            "reset_usage_for_value",
            value(Type::String).description(Some("The value key, or a value, of a group whose usage is reset.")),
        )
        .description(Some("The members of a limit that change. null removes one."))
        .into();
    endpoints.extend([
        Endpoint::new(Post, path, admin, "Creates a usage limit", shape.clone()).body(form).or_conflict_if(FULL),
        Endpoint::new(Get, path, admin, "Usage limits", list).query(USAGE_LIMITS),
        Endpoint::new(Get, one, admin, "A usage limit", shape.clone()).query(USAGE_LIMIT),
        Endpoint::new(Put, one, admin, "Changes a usage limit", shape).body(patch).or_conflict_if(FROM_CONFIG),
        Endpoint::new(Delete, one, admin, "Deletes a usage limit", done.clone()).or_conflict_if(FROM_CONFIG),
        Endpoint::new(Get, "/policies/usage-limits/{id}/entities", admin, "The groups of a usage limit", groups)
            .query(ENTITIES),
        Endpoint::new(
            Put,
            "/policies/usage-limits/{id}/entities/{entity_id}/reset",
            admin,
            "Adds what a group has used to its limit, until the window ends",
            done.clone(),
        )
        .or_conflict_if(FROM_CONFIG),
    ]);

    let path = "/policies/rate-limits";
    let one = "/policies/rate-limits/{id}";
    let form = components.of::<RateLimitForm>();
    let shape = components.of::<RateLimitShape>();
    let list = components.add("RateLimitList", envelope(shape.clone()));
    let patch = ObjectBuilder::new().description(Some("The members of a limit that change. null removes one."));
    endpoints.extend([
        Endpoint::new(Post, path, admin, "Creates a rate limit", shape.clone()).body(form).or_conflict_if(FULL),
        Endpoint::new(Get, path, admin, "Rate limits", list).query(RATE_LIMITS),
        Endpoint::new(Get, one, admin, "A rate limit", shape.clone()).query(RATE_LIMIT),
        Endpoint::new(Put, one, admin, "Changes a rate limit", shape).body(patch).or_conflict_if(FROM_CONFIG),
        Endpoint::new(Delete, one, admin, "Deletes a rate limit", done).or_conflict_if(FROM_CONFIG),
    ]);
    endpoints
}
