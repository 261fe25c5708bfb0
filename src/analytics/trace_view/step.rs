use crate::row::EventRow;

/// The action of a turn. Turns with equal steps repeat each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step<'r> {
    Named { step: Option<&'r str>, tool: Option<&'r str>, path: Option<&'r str>, name: Option<&'r str> },
    Request { method: &'r str, route: &'r str, operation: Option<&'r str> },
}

impl<'r> Step<'r> {
    pub(super) fn of(row: &'r EventRow) -> Self {
        let (step, tool) = (row.raw_metadata.get("agent_step"), row.raw_metadata.get("agent_tool"));
        let (path, name) = (row.span_path.as_deref(), row.span_name.as_deref());
        if [step, tool, path, name].iter().any(Option::is_some) {
            return Self::Named { step, tool, path, name };
        }
        Self::Request {
            method: &row.request_method,
            route: row.route.as_deref().unwrap_or(&row.request_path),
            operation: row.operation.as_deref(),
        }
    }
}

/// The session and the agent run of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Conversation<'r> {
    session: Option<&'r str>,
    run: Option<&'r str>,
}

impl<'r> Conversation<'r> {
    pub(super) fn of(row: &'r EventRow) -> Self {
        Self { session: row.raw_metadata.get("session_id"), run: row.raw_metadata.get("agent_run_id") }
    }
}

/// Returns the tag with the number of the turn in a session.
pub(super) fn turn_number(row: &EventRow) -> Option<&str> {
    row.raw_metadata.get("turn")
}
