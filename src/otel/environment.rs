//! The [environment variables](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/) of the
//! OpenTelemetry SDK.

use std::{env, sync::Arc};

use opentelemetry_sdk::trace::{Config, ShouldSample};

use super::gen_ai_conventions::GenAiConventions;

/// Returns the value of a variable. An empty variable counts as unset.
pub(super) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns `true` if `OTEL_SDK_DISABLED` is `true`.
pub(super) fn is_disabled() -> bool {
    variable("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// Returns the sampler that `OTEL_TRACES_SAMPLER` names, or `None` if it is unset.
pub(super) fn sampler() -> Option<Arc<dyn ShouldSample>> {
    // The SDK's default configuration reads the variable and its argument.
    variable("OTEL_TRACES_SAMPLER").map(|_| Arc::from(Config::default().sampler))
}

/// Returns the conventions that `OTEL_SEMCONV_STABILITY_OPT_IN` selects.
pub(super) fn gen_ai_conventions() -> GenAiConventions {
    let text = variable("OTEL_SEMCONV_STABILITY_OPT_IN").unwrap_or_default();
    if text.split(',').any(|word| word.trim() == "gen_ai/dup") {
        return GenAiConventions::Both;
    }
    GenAiConventions::default()
}
