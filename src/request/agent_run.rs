use std::{array, iter::Flatten};

use crate::metadata::Metadata;

use super::{step::Step, tags::Tags};

/// The tags and spans of an agent's run: its id, the current step, and the tool that the step uses.
///
/// ```
/// use tower_tagging::{AgentRun, Tags, tags};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let tags = Tags::new(); // in a handler, those of the request
/// let plan = AgentRun::new("run-7").step("plan");
///
/// let planning = plan.start(&tags);
/// assert_eq!(tags.metadata(), tags! { "agent_run_id" => "run-7", "agent_step" => "plan" });
/// planning.clone().scope(async { /* calls of this step */ }).await;
///
/// let search = plan.tool("search").start_in(&planning);
/// assert_eq!(tags.get("agent_tool").as_deref(), Some("search"));
/// assert_eq!(search.trace().span_path(), Some("agent:plan/tool:search"));
/// search.scope(async { /* calls of this tool */ }).await;
/// # }).unwrap();
/// ```
///
/// Tags belong to the request, so the last started step is on its event. Calls inherit the tags when they start. If steps run
/// at the same time, or each step needs its own event, run them with [`Tags::work`], and [`apply`](Self::apply) the tags
/// within it.
///
/// To send the tags with all calls to a host, allow [`KEYS`](Self::KEYS):
/// `Destination::new().dialect(Dialect::Portkey).allow(AgentRun::KEYS)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use = "a run has no effect until its tags are applied"]
pub struct AgentRun {
    id: String,
    step: Option<String>,
    tool: Option<String>,
}

impl AgentRun {
    /// The keys of the tags.
    pub const KEYS: [&'static str; 3] = ["agent_run_id", "agent_step", "agent_tool"];

    /// Creates the tags of a run.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), step: None, tool: None }
    }

    /// Returns a step of this run, without a tool.
    pub fn step(&self, name: impl Into<String>) -> Self {
        Self { id: self.id.clone(), step: Some(name.into()), tool: None }
    }

    /// Returns the use of a tool in this step.
    pub fn tool(&self, name: impl Into<String>) -> Self {
        Self { tool: Some(name.into()), ..self.clone() }
    }

    /// Sets the tags of a request in the scope [`Handler`](crate::Scope::Handler).
    ///
    /// Tags of an earlier step and tool are removed.
    pub fn apply(&self, tags: &Tags) {
        let [_, step, tool] = Self::KEYS;
        for (key, is_set) in [(step, self.step.is_some()), (tool, self.tool.is_some())] {
            if !is_set {
                tags.remove(key);
            }
        }
        tags.extend(self.clone());
    }

    /// Applies the tags, and creates the span of the step, and within it that of the tool.
    ///
    /// The spans have the names `agent:STEP` and `tool:TOOL`. Without a step, the span of the run has the name `agent`.
    pub fn start(&self, tags: &Tags) -> Step {
        self.apply(tags);
        match (&self.step, &self.tool) {
            (None, None) => tags.child("agent"),
            (None, Some(tool)) => tags.child(&format!("tool:{tool}")),
            (Some(step), None) => tags.child(&format!("agent:{step}")),
            (Some(step), Some(tool)) => tags.child(&format!("agent:{step}")).child(&format!("tool:{tool}")),
        }
    }

    /// Applies the tags, and creates the span of the tool, or else that of the step, within another span.
    ///
    /// Use it for a tool of a step that has been [started](Self::start), or for a step of an agent that another one called.
    pub fn start_in(&self, parent: &Step) -> Step {
        self.apply(parent.tags());
        match (&self.step, &self.tool) {
            (_, Some(tool)) => parent.child(&format!("tool:{tool}")),
            (Some(step), None) => parent.child(&format!("agent:{step}")),
            (None, None) => parent.child("agent"),
        }
    }
}

impl IntoIterator for AgentRun {
    type Item = (&'static str, String);
    type IntoIter = Flatten<array::IntoIter<Option<(&'static str, String)>, 3>>;

    fn into_iter(self) -> Self::IntoIter {
        let [id, step, tool] = AgentRun::KEYS;
        let tags = [Some((id, self.id)), self.step.map(|name| (step, name)), self.tool.map(|name| (tool, name))];
        tags.into_iter().flatten()
    }
}

impl From<&AgentRun> for Metadata {
    fn from(run: &AgentRun) -> Self {
        Self::from(run.clone())
    }
}

impl From<AgentRun> for Metadata {
    fn from(run: AgentRun) -> Self {
        run.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{AgentRun, Tags};
    use crate::{Metadata, tags};

    #[test]
    fn a_new_step_has_no_tool_of_the_previous_one() {
        let tags = Tags::new();
        let run = AgentRun::new("run-7");
        run.step("plan").tool("search").apply(&tags);
        assert_eq!(
            tags.metadata(),
            tags! { "agent_run_id" => "run-7", "agent_step" => "plan", "agent_tool" => "search" }
        );
        run.step("plan").tool("search").step("answer").apply(&tags);
        assert_eq!(tags.metadata(), tags! { "agent_run_id" => "run-7", "agent_step" => "answer" });
        run.apply(&tags);
        assert_eq!(tags.metadata(), tags! { "agent_run_id" => "run-7" });
        assert_eq!(Metadata::from(run), tags.metadata());
    }

    #[test]
    fn spans_nest_like_steps_and_tools() {
        let tags = Tags::new();
        let run = AgentRun::new("run-7");
        let path = |step: &super::Step| step.trace().span_path().map(str::to_owned);
        assert_eq!(path(&run.start(&tags)).as_deref(), Some("agent"));
        assert_eq!(path(&run.tool("search").start(&tags)).as_deref(), Some("tool:search"));
        let plan = run.step("plan").start(&tags);
        assert_eq!(path(&plan).as_deref(), Some("agent:plan"));
        let both = run.step("plan").tool("search").start(&tags);
        assert_eq!(path(&both).as_deref(), Some("agent:plan/tool:search"));
        assert_ne!(
            both.trace().parent_span_id(),
            Some(plan.trace().span_id().as_str()),
            "another span of the same name"
        );
        let search = run.step("plan").tool("search").start_in(&plan);
        assert_eq!(search.trace().parent_span_id(), Some(plan.trace().span_id().as_str()));
        let nested = AgentRun::new("run-8").step("read").start_in(&search);
        assert_eq!(path(&nested).as_deref(), Some("agent:plan/tool:search/agent:read"));
        assert_eq!(path(&AgentRun::new("run-8").start_in(&search)).as_deref(), Some("agent:plan/tool:search/agent"));
        assert_eq!(tags.metadata(), tags! { "agent_run_id" => "run-8" });
    }
}
