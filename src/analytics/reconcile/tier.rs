//! Names of service tiers, as reports and responses have them.

/// The tier of calls for which no other tier is named.
pub(super) const STANDARD: &str = "standard";

/// Returns the tier under which a provider bills calls, by its name in a response or in a report.
///
/// Anthropic's fast mode is a surcharge, and not a separate tier.
pub(super) fn billed_tier(name: &str) -> &str {
    match name {
        "default" | "auto" | "fast" | "on_demand" => STANDARD,
        "priority_on_demand" => "priority",
        "flex_discount" => "flex",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::billed_tier;

    #[test]
    fn tiers_have_one_name() {
        for (name, tier) in [
            ("default", "standard"),
            ("standard", "standard"),
            ("fast", "standard"),
            ("priority", "priority"),
            ("priority_on_demand", "priority"),
            ("flex_discount", "flex"),
            ("batch", "batch"),
        ] {
            assert_eq!(billed_tier(name), tier);
        }
    }
}
