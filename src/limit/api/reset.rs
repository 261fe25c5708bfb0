use std::time::SystemTime;

use crate::{
    analytics::api::{ApiError, ApiState, Caller},
    store::LimitCreditRecord,
};

use super::{
    super::limiter::Limiter,
    limit_group::LimitGroup,
    policies::{self, Listed},
    usage_shape::value_key,
};

/// Adds what a group has used to its limit, until the window ends.
///
/// Nothing that was counted is lost: the credit and the change stay in the history.
pub(super) async fn reset(
    api: &ApiState,
    limiter: &Limiter,
    caller: &Caller,
    listed: &Listed,
    group: &LimitGroup,
) -> Result<(), ApiError> {
    let amount = group.current_count();
    if amount == 0 {
        return Ok(());
    }
    let credit = LimitCreditRecord {
        // Of two callers that reset the same usage, one adds the credit.
        id: format!("{}-{}-{}", group.id(), group.slot, group.credit),
        rule: listed.rule.name().to_owned(),
        series: group.usage.series.clone(),
        slot: group.slot,
        amount,
        created_at: SystemTime::now(),
        created_by: None,
    };
    if api.analytics.authored_by(caller.author()).add_limit_credit(credit).await? {
        let subject = format!("{}: {}", listed.subject(), value_key(&group.usage));
        policies::record(api, caller, listed, "reset usage limit".to_owned(), subject).await?;
    }
    limiter.refresh_from(&api.analytics).await?;
    Ok(())
}
