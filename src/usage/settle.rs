//! Combines what was observed and what code recorded into the LLM call of an event.

use std::{sync::Arc, time::Duration};

use super::{
    Observation, consistency::inconsistencies, cost_origin::CostOrigin, cost_status::CostStatus, llm_call::LlmCall,
    recorded::Recorded, recorded_call::RecordedCall, recorded_sum::RecordedSum, request_facts::RequestFacts,
    usage_status::UsageStatus,
};

/// Returns the LLM call of a request, or `None` if there is neither a call nor a recorded usage or cost.
///
/// Recorded usage replaces observed usage. A recorded cost alone is added to the observed call.
pub(super) fn settle(
    observation: Option<Observation>,
    recorded: &Recorded,
    request: &RequestFacts<'_>,
) -> Option<LlmCall> {
    let observation = observation.filter(|observation| observation.is_llm_call(!recorded.is_empty(), request));
    let is_observed = observation.is_some();
    let mut call = match observation {
        Some(observation) if recorded.calls.is_empty() => with_recorded_cost(observation.price(request), recorded),
        Some(observation) => with_recorded_usage(observation.describe(request), recorded, request),
        None if recorded.is_empty() => return None,
        None => with_recorded_usage(described_by_request(request), recorded, request),
    };
    call.calls = (recorded.rolled_up > 0).then_some(recorded.rolled_up);
    call.models = recorded.models();
    call.duration = recorded.rolled_up_time().or_else(|| is_observed.then_some(request.duration));
    call.round_times();
    let rate = output_rate(&call, request.duration);
    call.output_tokens_per_second = call.output_tokens_per_second.or(rate);
    if call.cost_status == CostStatus::Priced && !call.inconsistencies.is_empty() {
        call.cost_status = CostStatus::Partial;
    }
    call.clamp_cost();
    Some(call)
}

/// Returns a call about which only the request body is known.
fn described_by_request(request: &RequestFacts<'_>) -> LlmCall {
    LlmCall {
        request_model: request.request_model(None),
        service_tier: request.fields.service_tier.clone(),
        stream: request.fields.stream == Some(true),
        ..LlmCall::unknown()
    }
}

/// Returns the LLM call of a request without an observed call, if code recorded usage or a cost.
pub(crate) fn settle_recorded(recorded: &Recorded, request: &RequestFacts<'_>) -> Option<LlmCall> {
    settle(None, recorded, request)
}

/// Adds a recorded cost to an observed call.
fn with_recorded_cost(mut call: LlmCall, recorded: &Recorded) -> LlmCall {
    call.quantities.clone_from(&recorded.quantities);
    let Some(money) = recorded.money else { return call };
    call.cost = Some(call.cost.unwrap_or_default() + money);
    call.cost_origin = CostOrigin::RecordedCost;
    // The recorded cost belongs to no kind of usage.
    call.cost_lines = None;
    call.price_source = Some(match &call.price_source {
        Some(source) => Arc::from(format!("{source} and custom")),
        None => Arc::from("custom"),
    });
    call.cost_status = match call.cost_status {
        CostStatus::NoUsage | CostStatus::Off => CostStatus::Priced,
        CostStatus::UnpricedModel => CostStatus::Partial,
        status => status,
    };
    call
}

/// Replaces the usage and the cost of a call by the sum of the recorded calls.
fn with_recorded_usage(mut call: LlmCall, recorded: &Recorded, request: &RequestFacts<'_>) -> LlmCall {
    let Recorded { calls, money, quantities, .. } = recorded;
    let mut sum = RecordedSum::new(*money);
    recorded.describe(&mut call);
    call.response_tier = common(calls, RecordedCall::response_tier);
    call.inference_geo = common(calls, RecordedCall::inference_geo);
    for recorded in calls {
        let record = &recorded.record;
        match &record.reported {
            Some(reported) => call.inconsistencies.extend(reported.call().inconsistencies.iter().cloned()),
            None => call.inconsistencies.extend(inconsistencies(&record.usage)),
        }
        call.provider = call.provider.take().or_else(|| record.provider.clone());
        call.response_model = call.response_model.take().or_else(|| record.model.clone());
        sum.add(recorded, request);
    }
    call.quantities.clone_from(quantities);
    call.cost_origin = match calls.as_slice() {
        _ if money.is_some() => CostOrigin::RecordedCost,
        [one] if one.is_described_by(&call) => sum.origin,
        _ => CostOrigin::SeveralCalls,
    };
    call.cost_status = sum.cost_status();
    call.price_source = sum.price_source();
    call.cost = sum.total();
    call.input_cost = sum.part(|cost| cost.input);
    call.output_cost = sum.part(|cost| cost.output);
    call.cost_lines = sum.lines();
    call.cache_savings = sum.cache_savings();
    call.usage_status = calls.iter().map(|call| call.status).reduce(UsageStatus::and).unwrap_or(UsageStatus::Recorded);
    call.usage = (!sum.usage.is_empty()).then_some(sum.usage);
    call
}

/// Returns a property of recorded calls. `None` if they differ.
fn common(calls: &[RecordedCall], of: impl Fn(&RecordedCall) -> Option<&str>) -> Option<String> {
    let (first, others) = calls.split_first()?;
    let value = of(first)?;
    others.iter().all(|other| of(other) == Some(value)).then(|| value.to_owned())
}

/// Returns the output tokens per second of a stream, from its first content to the end of the request.
#[allow(clippy::cast_precision_loss, reason = "a rate needs no more precision")]
fn output_rate(call: &LlmCall, duration: Duration) -> Option<f64> {
    let time = duration.checked_sub(call.first_token?)?.as_secs_f64();
    let tokens = call.usage.as_ref()?.output_tokens()?;
    (time > 0.0 && call.usage_status == UsageStatus::Reported).then(|| tokens as f64 / time)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use crate::{
        Metadata,
        body::request_fields::RequestFields,
        usage::{Cost, ExtraCost, Money, Unit, Usage},
    };

    use super::*;

    /// Settles a request without a tap.
    fn settled(recorded: &Recorded) -> Option<LlmCall> {
        let (fields, metadata) = (RequestFields::default(), Metadata::new());
        let request = RequestFacts {
            tap: None,
            fields: &fields,
            time: UNIX_EPOCH,
            host: "",
            path: "/",
            provider: None,
            is_success: true,
            duration: Duration::from_secs(1),
            metadata: &metadata,
        };
        settle(None, recorded, &request)
    }

    fn cost(dollars: &str) -> Cost {
        Cost::custom(dollars.parse().unwrap())
    }

    #[test]
    fn a_request_without_usage_and_cost_has_no_call() {
        assert_eq!(settled(&Recorded::default()), None);
    }

    #[test]
    fn recorded_usage_without_a_price_book_has_no_cost() {
        let mut recorded = Recorded::default();
        recorded.add_usage(Usage::tokens(1, 2).of("openai", "gpt-4o"));
        recorded.add_usage(Usage::tokens(10, 20).with(Unit::WebSearches, 3).of("google", "gemini"));
        let call = settled(&recorded).unwrap();
        assert_eq!(
            (call.usage_status(), call.cost_status(), call.cost()),
            (UsageStatus::Recorded, CostStatus::Off, None)
        );
        assert_eq!(call.usage(), Some(&Usage::tokens(11, 22).with(Unit::WebSearches, 3)));
        assert_eq!((call.provider(), call.response_model()), (Some("google"), Some("gemini")));
    }

    #[test]
    fn known_costs_add_up() {
        let mut recorded = Recorded::default();
        let parts = |input: &str, output: &str| cost("3").parts(input.parse().unwrap(), output.parse().unwrap());
        for cost in [parts("1", "2"), parts("2", "1").source("provider")] {
            recorded.add_call(&LlmCall::builder().usage(Usage::tokens(1, 1)).cost(cost).build(), None);
        }
        let call = settled(&recorded).unwrap();
        assert_eq!((call.cost_status(), call.price_source()), (CostStatus::Priced, Some("custom and provider")));
        let dollars = [call.cost(), call.input_cost(), call.output_cost()].map(|amount| amount.unwrap().to_string());
        assert_eq!(dollars, ["6", "3", "3"]);

        recorded.add_call(&LlmCall::builder().build(), None);
        assert_eq!(settled(&recorded).unwrap().cost_status(), CostStatus::Partial);
    }

    #[test]
    fn recorded_costs_need_no_usage_and_are_clamped() {
        let mut recorded = Recorded::default();
        recorded.add_cost(ExtraCost::new(Money::from_nano_usd(1)).of("rows", 2.0));
        let call = settled(&recorded).unwrap();
        assert_eq!((call.cost_status(), call.price_source(), call.usage()), (CostStatus::Priced, Some("custom"), None));
        recorded.add_cost(ExtraCost::new(Money::MAX));
        let call = settled(&recorded).unwrap();
        assert_eq!((call.cost(), call.clone().take_diagnostics().count()), (Some(LlmCall::MAX_COST), 1));
    }
}
