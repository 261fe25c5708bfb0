use std::sync::{Arc, LazyLock};

use http::request::Parts;

use crate::{
    analytics::{
        Grant,
        api::{Access, Denied},
    },
    registry::Registry,
    tagging::Identity,
};

/// The head of the request of an agent, in the extensions of the requests to the API that it causes.
#[derive(Clone, Debug)]
pub(crate) struct CallerHead(pub(crate) Arc<Parts>);

/// The head of calls that are not HTTP requests: those over standard input.
static NO_HEAD: LazyLock<Parts> = LazyLock::new(|| http::Request::new(()).into_parts().0);

/// Decides by the request of the agent, as the client sent it, what the requests to the API may see.
pub(crate) struct CallerAccess(pub(crate) Arc<dyn Access>);

fn caller(head: &Parts) -> &Parts {
    head.extensions.get::<CallerHead>().map_or(&NO_HEAD, |CallerHead(head)| head)
}

impl Access for CallerAccess {
    fn grant(&self, head: &Parts) -> Result<Grant, Denied> {
        self.0.grant(caller(head))
    }

    fn identify(&self, head: &Parts) -> Identity {
        self.0.identify(caller(head))
    }

    fn recheck(&self, head: &Parts) -> Option<Box<dyn Fn() -> Result<Grant, Denied> + Send + Sync>> {
        self.0.recheck(caller(head))
    }

    fn registry(&self) -> Option<&Registry> {
        self.0.registry()
    }
}
