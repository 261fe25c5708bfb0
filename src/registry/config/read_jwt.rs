//! The section `jwt`.

use super::{
    super::{jwt_settings::JwtSettings, key_set_location::KeySetLocation},
    place::{Place, Table},
    reader::Reader,
};

const KEYS: &[&str] = &["algorithms", "audience", "issuer", "jwks_file", "jwks_url", "tags"];

/// The signature algorithms of [RFC 7518](https://www.rfc-editor.org/rfc/rfc7518#section-3.1) and RFC 8037 with public keys.
///
/// A shared secret (`HS256`) would let the service sign tokens, and an attacker could use a public key as the secret.
const ALGORITHMS: &[&str] = &["ES256", "ES384", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"];

impl Reader<'_> {
    pub(super) fn jwt(&mut self, place: &Place<'_>) -> Option<JwtSettings> {
        let table = place.table(KEYS, &mut self.problems);
        let key_set = self.key_set(&table);
        let issuer = table.require("issuer", &mut self.problems);
        let audience = table.require("audience", &mut self.problems);
        let (issuer, audience) = (self.owned_text(issuer), self.owned_text(audience));
        let algorithms = table.require("algorithms", &mut self.problems).map(|place| self.algorithms(&place));
        let tags = self.tag_mapping(table.get("tags"));
        Some(JwtSettings { key_set: key_set?, issuer: issuer?, audience: audience?, algorithms: algorithms?, tags })
    }

    fn algorithms(&mut self, place: &Place<'_>) -> Vec<String> {
        let choices: Vec<(&str, &str)> = ALGORITHMS.iter().map(|name| (*name, *name)).collect();
        let items = place.list(&mut self.problems);
        if items.is_empty() {
            place.fail(&mut self.problems, "expected at least one algorithm, such as \"ES256\"");
        }
        let names = items.iter().filter_map(|item| item.choice(&choices, &mut self.problems));
        names.map(str::to_owned).collect()
    }

    fn key_set(&mut self, table: &Table<'_>) -> Option<KeySetLocation> {
        let (file, url) = (table.get("jwks_file"), table.get("jwks_url"));
        match (file, url) {
            (Some(_), Some(url)) => {
                url.fail(&mut self.problems, "expected either \"jwks_file\" or \"jwks_url\", found both");
                None
            }
            (None, None) => {
                table.place.fail(&mut self.problems, "expected the key \"jwks_file\" or \"jwks_url\"");
                None
            }
            (Some(file), None) => self.path(&file).map(KeySetLocation::File),
            (None, Some(url)) => {
                let text = url.text(&mut self.problems)?;
                let is_url =
                    text.parse().is_ok_and(|uri: http::Uri| matches!(uri.scheme_str(), Some("http" | "https")));
                if !is_url {
                    url.fail(&mut self.problems, "expected an http or https URL");
                }
                Some(KeySetLocation::Url(text.to_owned()))
            }
        }
    }
}
