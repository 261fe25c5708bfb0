use std::{array, iter::Flatten};

use crate::metadata::Metadata;

use super::tags::Tags;

/// The tags of a conversation: its id, and the number of the turn.
///
/// All services of an organization then use the same keys, so that one query finds a whole conversation.
///
/// ```
/// use tower_tagging::{Metadata, Session, Tags, tags};
///
/// let session = Session::new("chat-42").turn(0);
/// assert_eq!(Metadata::from(&session), tags! { "session_id" => "chat-42", "turn" => "0" });
///
/// // In a handler:
/// let tags = Tags::new();
/// session.apply(&tags); // or `tags.extend(session)`
///
/// // For a call to a gateway, as a header:
/// let header = serde_json::to_string(&Metadata::from(&session))?;
/// assert_eq!(header, r#"{"session_id":"chat-42","turn":"0"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// To send the tags with all calls to a host, allow [`KEYS`](Self::KEYS):
/// `Destination::new().dialect(Dialect::Portkey).allow(Session::KEYS)`.
///
/// The id is limited as other values are: by default, it is truncated to 128 characters. In SQL, compare turns as numbers:
/// `CAST(raw_metadata->>'turn' AS BIGINT)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use = "a session has no effect until its tags are applied"]
pub struct Session {
    id: String,
    turn: Option<u32>,
}

impl Session {
    /// The keys of the tags.
    pub const KEYS: [&'static str; 2] = ["session_id", "turn"];

    /// Creates the tags of a conversation.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), turn: None }
    }

    /// Sets the number of the turn. The first turn may be 0 or 1.
    pub fn turn(mut self, turn: u32) -> Self {
        self.turn = Some(turn);
        self
    }

    /// Sets the tags of a request in the scope [`Handler`](crate::Scope::Handler).
    ///
    /// A turn of the client is removed if the session has none, so that it is not taken for a turn of this session.
    pub fn apply(&self, tags: &Tags) {
        if self.turn.is_none() {
            tags.remove("turn");
        }
        tags.extend(self.clone());
    }
}

impl IntoIterator for Session {
    type Item = (&'static str, String);
    type IntoIter = Flatten<array::IntoIter<Option<(&'static str, String)>, 2>>;

    fn into_iter(self) -> Self::IntoIter {
        let turn = self.turn.map(|turn| ("turn", turn.to_string()));
        [Some(("session_id", self.id)), turn].into_iter().flatten()
    }
}

impl From<&Session> for Metadata {
    fn from(session: &Session) -> Self {
        Self::from(session.clone())
    }
}

impl From<Session> for Metadata {
    fn from(session: Session) -> Self {
        session.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Session, Tags};
    use crate::{Metadata, tags};

    #[test]
    fn turn_0_is_a_turn() {
        let metadata = |session: Session| Metadata::from(session);
        assert_eq!(metadata(Session::new("s").turn(0)), tags! { "session_id" => "s", "turn" => "0" });
        assert_eq!(metadata(Session::new("s").turn(u32::MAX))["turn"], *"4294967295");
        assert_eq!(metadata(Session::new("s")), tags! { "session_id" => "s" });
    }

    #[test]
    fn replaces_the_tags_of_another_session() {
        let tags = Tags::new();
        tags.extend(Session::new("one").turn(7));
        Session::new("two").apply(&tags);
        assert_eq!(tags.metadata(), tags! { "session_id" => "two" });
        Session::new("two").turn(1).apply(&tags);
        assert_eq!(tags.metadata(), tags! { "session_id" => "two", "turn" => "1" });
    }
}
