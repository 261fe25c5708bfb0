use redis::Script;

/// The scripts of the ledger. Each runs as one atomic step.
///
/// They are named by their hash, so that old and new replicas run their own.
pub(super) struct Scripts {
    pub(super) reserve: Script,
    pub(super) settle: Script,
    pub(super) extend: Script,
    pub(super) scan: Script,
    pub(super) settled_before: Script,
    pub(super) adjust: Script,
    pub(super) prune: Script,
    /// The texts of all scripts.
    pub(super) texts: Vec<String>,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let mut texts = Vec::new();
        let mut script = |body: &str| {
            let text = format!("{}\n{body}", include_str!("scripts/common.lua"));
            let script = Script::new(&text);
            texts.push(text);
            script
        };
        Self {
            reserve: script(include_str!("scripts/reserve.lua")),
            settle: script(include_str!("scripts/settle.lua")),
            extend: script(include_str!("scripts/extend.lua")),
            scan: script(include_str!("scripts/scan.lua")),
            settled_before: script(include_str!("scripts/settled_before.lua")),
            adjust: script(include_str!("scripts/adjust.lua")),
            prune: script(include_str!("scripts/prune.lua")),
            texts,
        }
    }
}
