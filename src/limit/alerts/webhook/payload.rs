//! The bodies of webhooks.

use serde_json::{Value, json};

use crate::{limit::alerts::alert::Alert, text::truncated};

/// Maximum length of a text in a block, which Slack limits to 3,000 characters.
const MAX_BLOCK_CHARS: usize = 2_900;

/// Returns the body as the Standard Webhooks specification recommends.
pub(super) fn plain(alert: &Alert) -> Value {
    json!({"type": format!("alert.{}", alert.kind), "timestamp": alert.time, "data": alert})
}

/// Returns the body for an incoming webhook of Slack.
pub(super) fn slack(alert: &Alert) -> Value {
    let section = |text: &str| json!({"type": "section", "text": {"type": "mrkdwn", "text": text}});
    let mut blocks =
        vec![section(&format!("*{}*\n{}", escaped(&alert.title, 500), escaped(&alert.text, MAX_BLOCK_CHARS - 600)))];
    if !alert.top.is_empty() {
        let lines: Vec<String> = alert
            .top
            .iter()
            .map(|top| {
                format!("• {}: {} {}", escaped(&top.value.to_string(), 200), top.amount, escaped(&alert.unit, 64))
            })
            .collect();
        blocks.push(section(&lines.join("\n")));
    }
    blocks.push(json!({
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": format!("{} · {}", alert.time, alert.id)}],
    }));
    json!({"text": escaped(&alert.title, 500), "blocks": blocks})
}

/// Escapes a text as [Slack requires](https://api.slack.com/reference/surfaces/formatting#escaping), so that a value cannot
/// mention people or write links.
fn escaped(text: &str, max_chars: usize) -> String {
    truncated(text, max_chars).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
