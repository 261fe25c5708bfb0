use serde_json::{Map, Value};

use crate::mcp::{tool_answer::ToolAnswer, tool_error::ToolError, tool_name::ToolName};

use super::{Call, budgets, explain_cost, graphs, groups, lists, query, trace};

/// Runs a tool.
///
/// # Errors
/// Returns an error for the model, and the person in front of it.
pub(crate) async fn run(
    call: &Call<'_>,
    tool: ToolName,
    arguments: Option<Map<String, Value>>,
) -> Result<ToolAnswer, ToolError> {
    match tool {
        ToolName::CostAnalytics => graphs::cost(call, arguments).await,
        ToolName::RequestAnalytics => graphs::requests(call, arguments).await,
        ToolName::TokenAnalytics => graphs::tokens(call, arguments).await,
        ToolName::UserSummary => groups::users(call, arguments).await,
        ToolName::ModelSummary => groups::models(call, arguments).await,
        ToolName::Workspaces => lists::workspaces(call, arguments).await,
        ToolName::VirtualKeys => lists::virtual_keys(call, arguments).await,
        ToolName::LogExports => lists::log_exports(call, arguments).await,
        ToolName::Query => query::query(call, arguments).await,
        ToolName::Trace => trace::trace(call, arguments).await,
        ToolName::ExplainCost => explain_cost::explain_cost(call, arguments).await,
        ToolName::Budgets => budgets::budgets(call, arguments).await,
    }
}
