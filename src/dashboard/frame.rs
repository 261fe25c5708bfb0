use http::request::Parts;

use crate::analytics::{Basis, SavedView, Totals, jiff::Timestamp};

use super::{
    assets::{SCRIPT, STYLE},
    format,
    mount::Mount,
    verified::Verified,
    view::{Condition, RangeChoice, UrlQuery, View},
    view_links::ViewLinks,
};

/// What all pages have in common: navigation, filters, and the line about the data.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) mount: Mount,
    pub(crate) style: &'static str,
    pub(crate) script: &'static str,
    pub(crate) navigation: Vec<NavigationItem>,
    pub(crate) views: Option<ViewLinks>,
    /// Who sees the page.
    pub(crate) viewer: String,
    /// The name of a caller who signed in with the form.
    pub(crate) signed_in: Option<String>,
    pub(crate) filters: Option<FilterBar>,
    pub(crate) trust: Option<TrustLine>,
}

/// A link to a page.
#[derive(Clone, Debug)]
pub(crate) struct NavigationItem {
    pub(crate) label: &'static str,
    pub(crate) href: String,
    pub(crate) is_current: bool,
}

/// The form with the range and the conditions.
#[derive(Clone, Debug)]
pub(crate) struct FilterBar {
    pub(crate) ranges: Vec<Choice>,
    /// The name of the time zone.
    pub(crate) zone: String,
    pub(crate) chips: Vec<Chip>,
    pub(crate) operators: Vec<Choice>,
    /// The names that the input suggests.
    pub(crate) names: Vec<String>,
    /// Parameters that the form keeps.
    pub(crate) hidden: Vec<(String, String)>,
    /// `None` for callers who cannot save views.
    pub(crate) save: Option<SaveForm>,
}

/// The form that saves the page as a view.
#[derive(Clone, Debug)]
pub(crate) struct SaveForm {
    pub(crate) page: String,
    pub(crate) query: String,
}

/// An option of a list.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) is_selected: bool,
}

/// A condition with the link that removes it.
#[derive(Clone, Debug)]
pub(crate) struct Chip {
    pub(crate) name: String,
    pub(crate) operator: &'static str,
    pub(crate) value: String,
    pub(crate) remove: String,
}

/// How far the numbers of a page can be trusted.
#[derive(Clone, Debug)]
pub(crate) struct TrustLine {
    pub(crate) data_up_to: String,
    /// The range that was summed.
    pub(crate) range: String,
    /// The lost and the accepted events. `None` without a delivery.
    pub(crate) lost: Option<(String, String)>,
    pub(crate) has_lost: bool,
    /// How many LLM calls have a price, and whether some have none.
    pub(crate) pricing: (String, bool),
    /// When sums were verified, and whether they differ from the rows. `None` if it cannot be read.
    pub(crate) verified: Option<(String, bool)>,
    pub(crate) zone: String,
    pub(crate) notes: Vec<String>,
}

/// The time zones that the input suggests.
pub(crate) const ZONES: [&str; 16] = [
    "UTC",
    "America/Los_Angeles",
    "America/Denver",
    "America/Chicago",
    "America/New_York",
    "America/Sao_Paulo",
    "Europe/London",
    "Europe/Paris",
    "Europe/Berlin",
    "Africa/Johannesburg",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Sydney",
];

/// The pages in the navigation, with their paths.
const PAGES: [(&str, &str); 10] = [
    ("Overview", ""),
    ("Explore", "explore"),
    ("Requests", "requests"),
    ("Sessions", "sessions"),
    ("Users", "by/_user"),
    ("Compare", "compare"),
    ("Budgets", "budgets"),
    ("Keys", "keys"),
    ("Health", "health"),
    ("Access", "access"),
];

impl Frame {
    /// Creates the frame of a page. `section` is the first segment of its path.
    pub(crate) fn new(
        title: impl Into<String>,
        section: &str,
        mount: &Mount,
        viewer: String,
        view: &View,
        views: &[SavedView],
    ) -> Self {
        let query = view.query_string().text();
        let item = |(label, page): (&'static str, &str)| NavigationItem {
            label,
            href: mount.link(page, &query),
            is_current: section == page,
        };
        let navigation = PAGES.into_iter().map(item).collect();
        let views = Some(ViewLinks::new(views, mount, section == "views"));
        Self { navigation, views, viewer, ..Self::bare(title, mount) }
    }

    /// Creates the frame of a page without navigation.
    pub(crate) fn bare(title: impl Into<String>, mount: &Mount) -> Self {
        Self {
            title: title.into(),
            mount: mount.clone(),
            style: STYLE.name.as_str(),
            script: SCRIPT.name.as_str(),
            navigation: Vec::new(),
            views: None,
            viewer: String::new(),
            signed_in: None,
            filters: None,
            trust: None,
        }
    }

    /// Adds the form that signs a caller out.
    #[must_use]
    pub(crate) fn with_sign_out(mut self, name: Option<String>) -> Self {
        self.signed_in = name;
        self
    }

    /// Adds the form with filters. `own` are the parameters of the page itself, which the form and its links keep.
    #[must_use]
    pub(crate) fn with_filters(mut self, view: &View, names: Vec<String>, own: &UrlQuery) -> Self {
        self.filters = Some(FilterBar::new(view, names, own));
        self
    }

    /// Adds the form that saves the page, to the form with filters.
    #[must_use]
    pub(crate) fn with_save(mut self, form: SaveForm) -> Self {
        if let Some(filters) = &mut self.filters {
            filters.save = Some(form);
        }
        self
    }

    /// Adds the line about the data.
    #[must_use]
    pub(crate) fn with_trust(mut self, trust: TrustLine) -> Self {
        self.trust = Some(trust);
        self
    }
}

impl FilterBar {
    fn new(view: &View, names: Vec<String>, own: &UrlQuery) -> Self {
        let listed = RangeChoice::LISTED.into_iter().map(|(choice, label)| Choice {
            value: choice.to_string(),
            label: label.to_owned(),
            is_selected: choice == view.range,
        });
        let mut ranges: Vec<Choice> = listed.collect();
        if !ranges.iter().any(|choice| choice.is_selected) {
            let value = view.range.to_string();
            ranges.push(Choice { label: value.replace("..", " – "), value, is_selected: true });
        }
        let operators = Condition::OPERATORS.into_iter().map(|operator| Choice {
            value: operator.as_str().to_owned(),
            label: operator.label().to_owned(),
            is_selected: false,
        });
        let mut hidden = view.query_string();
        // These have inputs.
        hidden.remove("r");
        hidden.remove("tz");
        hidden.extend(own);
        Self {
            ranges,
            zone: view.zone.iana_name().unwrap_or_default().to_owned(),
            chips: Chip::of_view(view, own),
            operators: operators.collect(),
            names,
            hidden: hidden.into_pairs(),
            save: None,
        }
    }
}

impl Chip {
    /// Returns the conditions of a view. `own` are the parameters of the page itself, which the links keep.
    pub(crate) fn of_view(view: &View, own: &UrlQuery) -> Vec<Self> {
        let chip = |condition: &Condition| {
            let mut query = view.without(condition).query_string();
            query.extend(own);
            Self {
                name: condition.name(),
                operator: condition.operator.label(),
                value: condition.label(),
                remove: query.href(),
            }
        };
        view.conditions.iter().map(chip).collect()
    }
}

impl TrustLine {
    /// Describes an answer. `counts` are the lost and the accepted events, for viewers who may know them.
    pub(crate) fn new(view: &View, basis: &Basis, counts: Option<(u64, u64)>, last: &Verified) -> Self {
        let zone = view.zone.iana_name().unwrap_or("UTC").to_owned();
        let day = |time: Timestamp| format::dated(time, &view.zone, view.now(), "%H:%M");
        let local = |time: Timestamp| {
            let date = view.zone.to_datetime(time);
            let is_today = date.date() == view.zone.to_datetime(view.now()).date();
            if is_today { date.strftime("%H:%M:%S").to_string() } else { day(time) }
        };
        Self {
            data_up_to: basis.data_up_to.map_or_else(|| "no data yet".to_owned(), local),
            range: format!("{} – {}", day(basis.from), day(basis.to)),
            lost: counts.map(|(lost, accepted)| (format::count(lost), format::count(accepted))),
            has_lost: counts.is_some_and(|(lost, _)| lost > 0),
            verified: verified(last, view.now()),
            pricing: format::pricing(basis.unpriced_share, 0),
            zone,
            notes: basis.notes.clone(),
        }
    }

    /// Mentions the LLM calls of which only a part has a price.
    #[must_use]
    pub(crate) fn with_totals(mut self, basis: &Basis, totals: &Totals) -> Self {
        self.pricing = format::pricing(basis.unpriced_share, totals.partially_priced);
        self
    }
}

/// Returns when sums were verified, and `true` if they differ from the rows.
fn verified(last: &Verified, now: Timestamp) -> Option<(String, bool)> {
    match last {
        Verified::Unknown => None,
        Verified::Never => Some(("Sums never verified".to_owned(), false)),
        Verified::Last(last) if last.differences > 0 => Some(("Sums differ from the requests".to_owned(), true)),
        Verified::Last(last) => Some((format!("Sums verified {}", format::ago(last.time, now)), false)),
    }
}

/// Returns the text that tells who sees the pages.
pub(crate) fn viewer(head: &Parts, grant: &crate::analytics::Grant) -> String {
    let _ = head;
    if grant.filters().is_empty() {
        return "all requests".to_owned();
    }
    let values = grant.filters().iter().filter_map(|filter| match filter {
        crate::analytics::Filter::In(_, values) => Some(values.join(", ")),
        _ => None,
    });
    let values: Vec<String> = values.collect();
    if values.is_empty() { "restricted".to_owned() } else { values.join(" · ") }
}
