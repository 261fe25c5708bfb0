use std::collections::BTreeSet;

/// The service tiers of the billed lines with the same subject. `None` stands for lines without a tier.
#[derive(Default)]
pub(super) struct ReportTiers {
    /// The tiers of the cost report.
    pub(super) costs: BTreeSet<Option<String>>,
    /// The tiers of the usage report.
    pub(super) usage: BTreeSet<Option<String>>,
}

impl ReportTiers {
    /// Returns the tier under which a line is compared. `None` for all tiers.
    ///
    /// Within one report, a line without a tier is about other usage than the lines with one. Of two reports, one may be
    /// grouped by tier and the other one not.
    pub(super) fn common(&self, tier: Option<String>) -> Option<String> {
        let Self { costs, usage } = self;
        let is_single_report = costs.is_empty() || usage.is_empty();
        let has_all_tiers = !costs.contains(&None) && !usage.contains(&None);
        if is_single_report || has_all_tiers || costs == usage {
            return tier;
        }
        // Only one tier was used.
        let is_single_tier = costs.len() == 1 && usage.len() == 1;
        costs.iter().chain(usage).flatten().next().filter(|_| is_single_tier).cloned()
    }
}
