//! The history of the demo: synthetic requests of the last 30 days. They are the same for the same time.
//!
//! Six teams use four features, mostly on workdays, and more every week. Two weeks ago, the chat moved to another model.
//! Six days ago, a provider was down for three hours.

use std::time::{Duration, SystemTime};

use crate::{
    demo_request::{
        CLAUDE_HAIKU, CLAUDE_SONNET, CLAUDE_SONNET_OLD, Caller, EMBEDDING, End, GEMINI, GPT, GPT_MINI, GPT_OLD, LLAMA,
        Request, Step,
    },
    random::Random,
};

/// The number of synthetic requests.
pub(crate) const REQUESTS: usize = 20_000;

const DAYS: u64 = 30;
const HOUR: u64 = 3_600_000_000;
const DAY: u64 = 24 * HOUR;
const SECOND: u64 = 1_000_000;

/// The requests per hour of a day in UTC, in relation to each other.
const HOURS: [u64; 24] = [6, 4, 3, 2, 2, 4, 8, 18, 40, 62, 74, 78, 66, 72, 80, 82, 76, 64, 48, 36, 28, 22, 16, 10];

/// A team, its workspace, its API key, and the features that it uses. Features that are listed twice are used more.
struct Team {
    name: &'static str,
    workspace: &'static str,
    api_key: &'static str,
    features: [Feature; 4],
}

#[derive(Clone, Copy)]
enum Feature {
    Chat,
    Summarize,
    Search,
    Agent,
}

use Feature::{Agent, Chat, Search, Summarize};

/// The workspace `acme` and its API key `web` are also in the sample configuration, `gateway.toml`.
const TEAMS: [Team; 6] = [
    Team { name: "growth", workspace: "acme", api_key: "web", features: [Chat, Chat, Summarize, Search] },
    Team { name: "support", workspace: "acme", api_key: "helpdesk", features: [Chat, Chat, Chat, Summarize] },
    Team { name: "search", workspace: "acme", api_key: "search", features: [Search; 4] },
    Team { name: "platform", workspace: "internal", api_key: "ci", features: [Agent, Agent, Chat, Summarize] },
    Team {
        name: "finance",
        workspace: "internal",
        api_key: "ledger",
        features: [Summarize, Summarize, Summarize, Chat],
    },
    Team { name: "research", workspace: "lab", api_key: "notebooks", features: [Agent, Chat, Search, Summarize] },
];
/// The teams by their shares of the traffic.
const SHARES: [usize; 14] = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5];
const TENANTS: [&str; 12] = [
    "acme", "globex", "initech", "umbrella", "hooli", "vandelay", "wonka", "stark", "tyrell", "soylent", "aperture",
    "monarch",
];
const NAMES: [&str; 20] = [
    "ada",
    "grace",
    "alan",
    "edsger",
    "barbara",
    "donald",
    "margaret",
    "dennis",
    "frances",
    "ken",
    "hedy",
    "john",
    "radia",
    "claude",
    "katherine",
    "niklaus",
    "sophie",
    "tony",
    "shafi",
    "leslie",
];
const TOOLS: [&str; 4] = ["search", "sql", "fetch", "python"];

/// Returns the requests of the 30 days before `now`, the oldest first.
pub(crate) fn requests(now: SystemTime) -> Vec<Request> {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut history = History::new(u64::try_from(now.as_micros()).unwrap_or_default());
    while history.requests.len() < REQUESTS {
        history.add();
    }
    history.requests.truncate(REQUESTS);
    history.requests.sort_by_key(|request| request.time);
    history.requests
}

struct History {
    random: Random,
    now: u64,
    /// For each hour, the number of requests up to its end, in relation to the last one.
    hours: Vec<u64>,
    requests: Vec<Request>,
}

impl History {
    fn new(now: u64) -> Self {
        let from = now.saturating_sub(DAYS * DAY);
        let mut sum = 0;
        let hours = (0..DAYS * 24).map(|hour| {
            sum += weight(from + hour * HOUR, hour / 24);
            sum
        });
        let hours = hours.collect();
        // The seed.
        Self { random: Random::new(24), now, hours, requests: Vec::with_capacity(REQUESTS) }
    }

    /// Adds a request, or several that belong together.
    fn add(&mut self) {
        let time = self.time();
        if self.random.chance(4) {
            let caller = Caller { environment: "production", ..Caller::default() };
            return self.push(Request::new(time, caller, GPT_MINI).end(End::Rejected));
        }
        let team = &TEAMS[self.random.pick(&SHARES)];
        let feature = self.random.pick(&team.features);
        let caller = self.caller(team, feature);
        match feature {
            Chat => self.chat(time, &caller),
            Summarize => self.summary(time, caller),
            Search => self.search(time, &caller),
            Agent => self.agent_run(time, &caller),
        }
    }

    /// Returns a time that follows the days and weeks.
    fn time(&mut self) -> u64 {
        let at = self.random.below(*self.hours.last().unwrap_or(&1));
        let hour = self.hours.partition_point(|sum| *sum <= at) as u64;
        self.now.saturating_sub(DAYS * DAY) + hour * HOUR + self.random.below(HOUR)
    }

    fn caller(&mut self, team: &Team, feature: Feature) -> Caller {
        let user = self.random.skewed(160);
        let name = NAMES[usize::try_from(user % 20).unwrap_or_default()];
        let user_name = if user < 20 { name.to_owned() } else { format!("{name}{}", user / 20 + 1) };
        // A user belongs to one tenant.
        let tenant = TENANTS[usize::try_from(Random::new(user).skewed(12)).unwrap_or_default()];
        let is_known = !self.random.chance(20);
        Caller {
            team: is_known.then_some(team.name),
            workspace: is_known.then_some(team.workspace),
            api_key: is_known.then_some(team.api_key),
            user: (!self.random.chance(40)).then_some(user_name),
            tenant: is_known.then_some(tenant),
            feature: Some(match feature {
                Chat => "chat",
                Summarize => "summarize",
                Search => "search",
                Agent => "agent",
            }),
            environment: match self.random.below(100) {
                0..85 => "production",
                85..95 => "staging",
                _ => "development",
            },
            is_spoofing: self.random.chance(3),
        }
    }

    /// Adds a conversation, whose context grows with each turn.
    fn chat(&mut self, mut time: u64, caller: &Caller) {
        let session = format!("chat-{:08x}", self.random.below(1 << 32));
        let model = match (caller.team, self.random.below(10)) {
            // The team's own model has no price.
            (Some("support"), 0..2) => LLAMA,
            (Some("growth"), 0..5) => GPT_MINI,
            (_, 0..3) if self.is_before_move(time) => GPT_OLD,
            (_, 0..3) => GPT,
            (_, 3..5) => GEMINI,
            _ if self.is_before_move(time) => CLAUDE_SONNET_OLD,
            _ => CLAUDE_SONNET,
        };
        let turns = 1 + self.random.skewed(14);
        let mut context = self.random.between(400, 1_800);
        for turn in 1..=turns {
            let prompt = self.random.between(20, 400);
            let output = self.random.between(60, 700);
            let cached = if turn > 1 && model.has_cache { context * 9 / 10 } else { 0 };
            let mut request = Request::new(time, caller.clone(), model).tokens(context + prompt, output).cached(cached);
            request.is_stream = !self.random.chance(120);
            request.session = Some((session.clone(), turn));
            let duration = self.send(request);
            context += prompt + output;
            time += duration + self.random.between(8, 90) * SECOND;
        }
    }

    /// Adds a single call with much input.
    fn summary(&mut self, time: u64, caller: Caller) {
        let model = if self.random.chance(700) { CLAUDE_HAIKU } else { GEMINI };
        let (input, output) = (self.random.between(2_000, 24_000), self.random.between(150, 900));
        self.send(Request::new(time, caller, model).tokens(input, output));
    }

    /// Adds an embedding of the question, and the answer from what was found.
    fn search(&mut self, time: u64, caller: &Caller) {
        let trace = self.random.bytes();
        let question = self.random.between(6, 60);
        let mut embed =
            Request::new(time, caller.clone(), EMBEDDING).tokens(question, 0).step(Step::new(trace, "embed"));
        embed.is_stream = false;
        let duration = self.send(embed);
        let (input, output) = (self.random.between(1_200, 6_000), self.random.between(40, 350));
        let answer = Request::new(time + duration, caller.clone(), GPT_MINI).tokens(question + input, output);
        self.send(answer.step(Step::new(trace, "answer")));
    }

    /// Adds a run of an agent: a plan, steps with tools, and an answer. Each step reads what the earlier ones wrote.
    fn agent_run(&mut self, mut time: u64, caller: &Caller) {
        let trace = self.random.bytes();
        let run = format!("run-{:08x}", self.random.below(1 << 32));
        let mut context = self.random.between(1_500, 4_000);
        // Some runs repeat a step until they give up.
        let is_loop = self.random.chance(60);
        let steps = if is_loop { self.random.between(14, 28) } else { self.random.between(3, 10) };
        let repeated = self.random.pick(&TOOLS);
        for number in 1..=steps {
            let (name, tool) = match number {
                1 => ("plan", None),
                _ if number == steps => ("answer", None),
                _ if is_loop => ("research", Some(repeated)),
                _ => ("research", Some(self.random.pick(&TOOLS))),
            };
            let model = match (name, caller.team) {
                ("plan", _) => GPT,
                (_, Some("research")) => GEMINI,
                _ => CLAUDE_SONNET,
            };
            let output = self.random.between(80, 900);
            let cached = if number > 2 && model.has_cache { context * 8 / 10 } else { 0 };
            let request = Request::new(time, caller.clone(), model).tokens(context, output).cached(cached);
            let duration = self.send(request.step(Step::new(trace, name).run(&run).tool(tool)));
            context += output + self.random.between(200, 2_500);
            time += duration + self.random.between(1, 6) * SECOND;
        }
    }

    /// Adds a request, and another attempt if the provider refused it. Returns the time that they took.
    fn send(&mut self, mut request: Request) -> u64 {
        let is_down = request.model.provider == "openai" && self.is_outage(request.time);
        request.end = match self.random.below(1_000) {
            0..450 if is_down => End::Refused(503, "The server is overloaded or not ready yet."),
            0..12 => End::Refused(429, "Rate limit reached for requests."),
            12..18 => End::Refused(500, "The server had an error while processing your request."),
            18..24 => End::Refused(400, "This model's maximum context length is exceeded."),
            24..27 => End::Broken,
            27..57 if request.is_stream => End::Cancelled,
            57..60 if request.is_stream => End::ErrorInStream,
            _ => End::Answered,
        };
        self.jitter(&mut request);
        let duration = request.duration;
        let again = match request.end {
            End::Refused(429 | 500 | 503, _) => {
                let mut again = request.clone().end(End::Answered);
                again.time += duration + 2 * SECOND;
                self.jitter(&mut again);
                Some(again)
            }
            _ => None,
        };
        self.push(request);
        let waited = again.as_ref().map_or(0, |again| again.duration + 2 * SECOND);
        again.into_iter().for_each(|again| self.push(again));
        duration + waited
    }

    /// Sets the time that a request takes. A few take much longer.
    fn jitter(&mut self, request: &mut Request) {
        let first = request.model.first_token * self.random.between(60, 180) / 100 + request.input * 12;
        let all = request.output * request.model.per_token * self.random.between(80, 130) / 100;
        let slow = if self.random.chance(15) { 4 } else { 1 };
        request.first_token = first * slow;
        request.duration = match request.end {
            End::Refused(..) | End::Rejected => self.random.between(8_000, 180_000),
            End::Cancelled | End::Broken | End::ErrorInStream => first * slow + all * self.random.between(5, 80) / 100,
            End::Answered => (first + all) * slow,
        };
    }

    /// Adds a request, unless it would end in the future.
    fn push(&mut self, mut request: Request) {
        request.event_id = self.random.bytes();
        request.span_id = self.random.bytes();
        if request.step.is_none() {
            request.trace_id = self.random.bytes();
        }
        if request.time + request.duration < self.now {
            self.requests.push(request);
        }
    }

    fn is_before_move(&self, time: u64) -> bool {
        time + 14 * DAY < self.now
    }

    fn is_outage(&self, time: u64) -> bool {
        let ago = self.now.saturating_sub(time);
        (6 * DAY..6 * DAY + 3 * HOUR).contains(&ago)
    }
}

/// Returns the number of requests of an hour, in relation to other hours.
fn weight(time: u64, day: u64) -> u64 {
    // 1970 began on a Thursday.
    let is_weekend = matches!((time / DAY + 4) % 7, 0 | 6);
    let hour = usize::try_from(time / HOUR % 24).unwrap_or_default();
    HOURS[hour] * if is_weekend { 3 } else { 10 } * (60 + 80 * day / DAYS)
}

/// Returns the time of a number of microseconds since 1970.
pub(crate) fn system_time(micros: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}
