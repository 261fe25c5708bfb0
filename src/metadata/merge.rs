//! The merge of all scopes into the effective metadata.

use std::array;

use super::{metadata::Metadata, precedence::Precedence, scope::Scope, scopes::Scopes, tag_table::TagTable};

impl Scopes {
    /// Merges all scopes: each key gets the value of the strongest scope that sets it.
    ///
    /// Returns the effective metadata, and for each of its tags the scope that set it.
    ///
    /// ```
    /// use tower_tagging::{tags, metadata::{Precedence, Scope, Scopes}};
    ///
    /// let scopes = Scopes::new()
    ///     .with(Scope::Request, tags! { "env" => "dev", "_user" => "ada" })
    ///     .with(Scope::Workspace, tags! { "env" => "prod" });
    /// let (effective, sources) = scopes.merge(Precedence::Strict);
    /// assert_eq!(effective, tags! { "_user" => "ada", "env" => "prod" });
    /// assert_eq!(sources, [Scope::Request, Scope::Workspace]);
    /// ```
    pub fn merge(&self, precedence: Precedence) -> (Metadata, Vec<Scope>) {
        let (mut effective, mut sources) = (Metadata::new(), Vec::new());
        self.merge_into(precedence, &mut effective, &mut sources);
        (effective, sources)
    }

    /// Performs [`merge`](Self::merge) into empty buffers.
    pub(crate) fn merge_into(&self, precedence: Precedence, effective: &mut Metadata, sources: &mut Vec<Scope>) {
        let mut used = precedence.strongest_first().iter().copied().filter(|scope| !self.get(*scope).is_empty());
        let mut heads: Heads<'_> = array::from_fn(|_| used.next().and_then(|scope| Head::new(scope, self.get(scope))));
        match &heads {
            [None, ..] => {}
            // The map of a single scope is shared, not copied.
            [Some(only), None, ..] => {
                *effective = self.get(only.scope).clone();
                sources.resize(effective.len(), only.scope);
            }
            _ => merge_heads(&mut heads, effective.open(), sources),
        }
    }
}

/// The scopes that have tags, strongest first, followed by `None`.
type Heads<'a> = [Option<Head<'a>>; Scope::ALL.len()];

/// The remaining tags of one scope.
struct Head<'a> {
    scope: Scope,
    table: &'a TagTable,
    next: usize,
    /// The key at `next`.
    key: Option<&'a str>,
}

impl<'a> Head<'a> {
    fn new(scope: Scope, metadata: &'a Metadata) -> Option<Self> {
        let table = metadata.table()?;
        Some(Self { scope, table, next: 0, key: table.key_at(0) })
    }

    fn advance(&mut self) {
        self.next += 1;
        self.key = self.table.key_at(self.next);
    }
}

/// Writes the least remaining key of all scopes until none remains. All tables are sorted, so the result is as well.
fn merge_heads(heads: &mut Heads<'_>, effective: &mut TagTable, sources: &mut Vec<Scope>) {
    loop {
        let mut winner: Option<(&Head<'_>, &str)> = None;
        for head in heads.iter().map_while(Option::as_ref) {
            // Of equal keys, the first one belongs to the strongest scope.
            if let Some(key) = head.key
                && winner.is_none_or(|(_, least)| key < least)
            {
                winner = Some((head, key));
            }
        }
        let Some((winner, least)) = winner else { return };
        effective.append_from(winner.table, winner.next);
        sources.push(winner.scope);
        for head in heads.iter_mut().map_while(Option::as_mut) {
            if head.key == Some(least) {
                head.advance();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        metadata::{Precedence, Scope, Scopes},
        tags,
    };

    #[test]
    fn the_strongest_remaining_scope_wins() {
        for precedence in [Precedence::Strict, Precedence::Legacy] {
            for (at, winner) in precedence.strongest_first().iter().enumerate() {
                let mut scopes = Scopes::new();
                for scope in precedence.strongest_first().iter().skip(at) {
                    scopes.add(*scope, tags! { "key" => scope.as_str() });
                }
                let (effective, sources) = scopes.merge(precedence);
                assert_eq!((&effective["key"], sources), (winner.as_str(), vec![*winner]), "{precedence:?}");
            }
        }
    }

    #[test]
    fn a_single_scope_is_shared() {
        let scopes = Scopes::new().with(Scope::Handler, tags! { "a" => "1", "b" => "2" });
        let (effective, sources) = scopes.merge(Precedence::Strict);
        assert!(effective.shares_with(scopes.get(Scope::Handler)));
        assert_eq!(sources, [Scope::Handler; 2]);
        assert_eq!(Scopes::new().merge(Precedence::Strict), (tags! {}, vec![]));
    }
}
