/// The tools, in the order in which they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToolName {
    CostAnalytics,
    RequestAnalytics,
    TokenAnalytics,
    UserSummary,
    ModelSummary,
    Workspaces,
    VirtualKeys,
    LogExports,
    Query,
    Trace,
    ExplainCost,
    Budgets,
}

impl ToolName {
    pub(crate) const ALL: [Self; 12] = [
        Self::CostAnalytics,
        Self::RequestAnalytics,
        Self::TokenAnalytics,
        Self::UserSummary,
        Self::ModelSummary,
        Self::Workspaces,
        Self::VirtualKeys,
        Self::LogExports,
        Self::Query,
        Self::Trace,
        Self::ExplainCost,
        Self::Budgets,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::CostAnalytics => "get_cost_analytics",
            Self::RequestAnalytics => "get_request_analytics",
            Self::TokenAnalytics => "get_token_analytics",
            Self::UserSummary => "get_user_analytics_summary",
            Self::ModelSummary => "get_model_analytics_summary",
            Self::Workspaces => "list_workspaces",
            Self::VirtualKeys => "list_virtual_keys",
            Self::LogExports => "list_log_exports",
            Self::Query => "query",
            Self::Trace => "trace",
            Self::ExplainCost => "explain_cost",
            Self::Budgets => "budgets",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.as_str() == name)
    }
}
