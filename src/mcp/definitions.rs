use std::sync::LazyLock;

use rmcp::model::{Tool, ToolAnnotations};

use super::{tool_name::ToolName, tools::schemas};

/// All tools, with their schemas. They are the same for all callers.
static TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(|| ToolName::ALL.into_iter().map(tool).collect());

/// Returns the definitions of all tools.
pub(crate) fn tools() -> &'static [Tool] {
    &TOOLS
}

fn tool(name: ToolName) -> Tool {
    let (title, description) = describe(name);
    let annotations =
        ToolAnnotations::with_title(title).read_only(true).destructive(false).idempotent(true).open_world(false);
    Tool::new(name.as_str(), description, schemas::input(name))
        .with_title(title)
        .with_raw_output_schema(schemas::output(name).into())
        .with_annotations(annotations)
}

/// Returns the title of a tool, and what a model has to know to choose it.
const fn describe(name: ToolName) -> (&'static str, &'static str) {
    match name {
        ToolName::CostAnalytics => (
            "Cost over time",
            "The cost of LLM calls over time, in cents (100 cents are one US dollar): the total, the average per call, and a \
             series. Use filters for one model, workspace, key, status, or tag. For the cost by model, use \
             get_model_analytics_summary, or query with group_by. Example: {\"time_of_generation_min\": \"last_7d\", \
             \"metadata\": {\"team\": \"search\"}}.",
        ),
        ToolName::RequestAnalytics => (
            "Requests and errors over time",
            "The number of requests over time, and the errors among them: totals, and a series. Use it to find spikes. Example: \
             {\"time_of_generation_min\": \"last_24h\"}.",
        ),
        ToolName::TokenAnalytics => (
            "Tokens over time",
            "The number of input and output tokens over time: the total, the average per call, and a series. Example: \
             {\"time_of_generation_min\": \"last_30d\", \"ai_model\": \"gpt-4o\"}.",
        ),
        ToolName::UserSummary => (
            "Requests and cost by user",
            "Users with their requests and their cost in cents, those with the most requests first. Set order_by to cost for \
             the costliest first. A user is a value of the tag _user. Example: {\"time_of_generation_min\": \"last_month\", \
             \"page_size\": 10, \"order_by\": \"cost\"}.",
        ),
        ToolName::ModelSummary => (
            "Requests and cost by model",
            "Models with their requests and their cost in cents, those with the most requests first. Set order_by to cost for \
             the costliest first, and columns for more, such as total_tokens,avg_latency,error_count. For a series by model, \
             use query. Example: {\"time_of_generation_min\": \"last_30d\", \"order_by\": \"cost\"}.",
        ),
        ToolName::Workspaces => (
            "Workspaces",
            "The workspaces that the API key may see, with the tags of their requests. Their slugs are values of the argument \
             workspace_slug of other tools.",
        ),
        ToolName::VirtualKeys => (
            "Virtual keys",
            "The virtual keys (credentials of providers, without their secrets) that the API key may see: the status active, \
             exhausted, or expired, the budget, and the time at which each expires. Use it to find keys that are exhausted or \
             close to expiry.",
        ),
        ToolName::LogExports => (
            "Exports of requests",
            "The exports of requests that the API key may see, the newest first, with their status. This tool does not create \
             or start an export.",
        ),
        ToolName::Query => (
            "Any measures by any dimensions",
            "Computes measures (cost, requests, errors, tokens, latency, and more) by up to three dimensions (model, workspace, \
             metadata.team, and more), over time if bucket is set. Money is in US dollars, not in cents. The values of each \
             group are in the order of `measures`, and the series in the order of `buckets`. Example for the spend by model \
             and day: {\"time_of_generation_min\": \"last_30d\", \"measures\": [\"cost\", \"requests\"], \"group_by\": \
             [\"model\"], \"bucket\": \"day\", \"order\": {\"by\": \"cost\"}}.",
        ),
        ToolName::Trace => (
            "The requests of a trace",
            "The requests of one trace or agent run in order, as turns: what each step was, how long it took, what it cost in US \
             dollars, which failed, which are retries, and which repeat in a loop. The id of a turn is a request_id of \
             explain_cost. Example: {\"trace_id\": \"4bf92f3577b34da6a3ce929d0e0e4736\"}.",
        ),
        ToolName::ExplainCost => (
            "The cost of a request, line by line",
            "Explains what one request cost: for each kind of usage (input, output, and cached tokens, and more) the quantity, \
             the price of a million, and the cost in US dollars. The lines add up to the total. Amounts are exact decimal \
             numbers in text. Example: {\"request_id\": \"01890a5d-ac96-774b-bcce-b302099a8057\"}.",
        ),
        ToolName::Budgets => (
            "Budgets and rates",
            "The limits on cost, tokens, and requests that the API key may see: for each group of a budget the limit, what is \
             settled and reserved, what remains, a projection to the end of the window, and the rejected requests, those with the \
             largest used share first; and the rates with their rejections. Money is in US dollars. Use it to find who is about to \
             run out, or why requests were rejected. Example: {\"page_size\": 10}.",
        ),
    }
}
