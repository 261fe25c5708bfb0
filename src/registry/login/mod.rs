mod login_claims;
mod peer_identity;
mod spiffe_tags;
mod tag_mapping;

pub use self::{
    login_claims::LoginClaims, peer_identity::PeerIdentity, spiffe_tags::SpiffeTags, tag_mapping::TagMapping,
};
