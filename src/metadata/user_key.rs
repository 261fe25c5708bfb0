/// The key of the tag that names the user of a request, as in Portkey's metadata.
pub(crate) const USER_KEY: &str = "_user";
