use std::{fmt, sync::OnceLock};

use tracing_core::{
    Callsite, Interest, Kind, Level, Metadata, callsite,
    field::{Field, FieldSet},
    identify_callsite,
};

/// A `tracing` call site whose target and level are chosen at run time, which the macros do not support.
pub(super) struct TracingCallsite {
    pub(super) metadata: Metadata<'static>,
    pub(super) fields: Vec<Field>,
}

/// The identity of a call site, to which its own metadata refers.
struct CallsiteId(OnceLock<&'static TracingCallsite>);

impl TracingCallsite {
    /// Registers a call site, which lives as long as the process.
    pub(super) fn register(target: &str, level: Level, fields: &'static [&'static str]) -> &'static Self {
        let id: &'static CallsiteId = Box::leak(Box::new(CallsiteId(OnceLock::new())));
        let target: &'static str = Box::leak(target.to_owned().into_boxed_str());
        let fields = FieldSet::new(fields, identify_callsite!(id));
        let callsite: &'static Self = id.0.get_or_init(|| {
            Box::leak(Box::new(Self {
                fields: fields.iter().collect(),
                metadata: Metadata::new(
                    "request",
                    target,
                    level,
                    Some(file!()),
                    Some(line!()),
                    Some(module_path!()),
                    fields,
                    Kind::EVENT,
                ),
            }))
        });
        callsite::register(id);
        callsite
    }
}

impl Callsite for CallsiteId {
    // Subscribers are asked for each event, so their interest is not cached.
    fn set_interest(&self, _interest: Interest) {}

    #[allow(clippy::expect_used, reason = "a call site is initialized before it is registered")]
    fn metadata(&self) -> &Metadata<'_> {
        &self.0.get().expect("the call site is initialized").metadata
    }
}

impl fmt::Debug for TracingCallsite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TracingCallsite").field(&self.metadata).finish()
    }
}
