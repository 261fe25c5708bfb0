use std::{borrow::Cow, sync::Arc};

use crate::metadata::{FilteredTag, Scope, TagFilter};

use super::caller::Caller;

/// The rules for the event of an outgoing call: its texts are screened as those of the request that makes the call.
#[derive(Debug)]
pub(crate) struct InheritedRules {
    rules: Arc<dyn Caller>,
}

impl InheritedRules {
    pub(crate) fn new(rules: Arc<dyn Caller>) -> Self {
        Self { rules }
    }
}

impl TagFilter for InheritedRules {
    fn filter<'t>(&self, scope: Scope, key: &'t str, value: &'t str) -> FilteredTag<'t> {
        // Inherited tags have passed the filter.
        if scope.is_trusted() { FilteredTag::new(key, value) } else { self.rules.filter(Scope::Handler, key, value) }
    }

    fn screen<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.rules.screen(text)
    }
}

impl Caller for InheritedRules {}
