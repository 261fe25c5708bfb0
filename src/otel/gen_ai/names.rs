use crate::{
    otel::gen_ai_conventions::GenAiConventions,
    usage::{LlmCall, Operation},
};

/// Returns the name of a call's span, such as `chat gpt-4o`: the operation, and the requested model if it is known.
pub(in crate::otel) fn span_name(call: &LlmCall) -> Option<String> {
    let operation = operation_name(call.operation()?);
    Some(match call.request_model() {
        Some(model) => format!("{operation} {model}"),
        None => operation.to_owned(),
    })
}

/// Returns the attribute names of the provider: the current one and the old one.
pub(super) fn provider_attributes(conventions: GenAiConventions) -> (Option<&'static str>, Option<&'static str>) {
    let current = (conventions != GenAiConventions::System).then_some("gen_ai.provider.name");
    let old = (conventions != GenAiConventions::ProviderName).then_some("gen_ai.system");
    (current, old)
}

/// Returns the well-known value of `gen_ai.provider.name` for a provider id of the price catalog.
pub(super) fn provider_name(provider: &str) -> &str {
    match provider {
        "aws" => "aws.bedrock",
        "azure" => "azure.ai.openai",
        "google" => "gcp.gen_ai",
        "mistral" => "mistral_ai",
        "x-ai" => "x_ai",
        other => other,
    }
}

/// Returns the value of `gen_ai.system` for a provider id of the price catalog.
pub(super) fn system_name(provider: &str) -> &str {
    if provider == "x-ai" { "xai" } else { provider_name(provider) }
}

/// Returns the well-known value of `gen_ai.operation.name`, or the name of the operation if there is none.
pub(super) fn operation_name(operation: &Operation) -> &str {
    match operation {
        Operation::Chat | Operation::Responses | Operation::Messages | Operation::Converse => "chat",
        Operation::Interactions => "generate_content",
        Operation::Completions | Operation::Generate | Operation::InvokeModel => "text_completion",
        other => other.as_str(),
    }
}
