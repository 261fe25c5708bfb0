//! Tests of the configuration file of a registry.

use std::{fs, path::PathBuf, time::Duration};

use http::Request;
use tower_tagging::{
    analytics::AnalyticsSettings,
    limit::LimitSettings,
    metadata::Scope,
    registry::{
        ConfigFormat, Credential, Permission, PrincipalStatus, RegisteredKey, Registry, SecretDigest, VirtualKey,
        Workspace,
    },
    tags,
};

/// A folder that is removed at the end of a test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tower-tagging-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn digest(key: &str) -> String {
    SecretDigest::of(key).to_string()
}

fn problems(text: &str) -> Vec<String> {
    Registry::check(text, ConfigFormat::Toml).iter().map(ToString::to_string).collect()
}

fn parts(headers: &[(&str, &str)]) -> http::request::Parts {
    let builder = headers.iter().fold(Request::builder(), |builder, (name, value)| builder.header(*name, *value));
    builder.body(()).unwrap().into_parts().0
}

/// A configuration with every section and key.
fn complete() -> String {
    format!(
        r#"
[workspaces.acme]
name = "Acme Corp"
metadata = {{ company = "acme", compliance_region = "eu" }}

[workspaces.acme.limits]
value_chars = 64
key_chars = 32
total_bytes = 4096
tags = 20
overflow = "drop"

[workspaces.acme.contract]
mode = "reject"
schema = {{ type = "object", additionalProperties = true, required = ["_user"], properties = {{ _user = {{ type = "string" }}, environment = {{ type = "string", enum = ["production", "staging", "development"], default = "development" }} }} }}

[api_keys.web]
workspace = "acme"
secrets = [{{ sha256 = "{web}", expires_at = 2027-06-30T00:00:00Z }}]
metadata = {{ team = "growth", service = "web" }}
forced = {{ }}
forced_override = false
permissions = ["analytics.view"]
claims = {{ allow = ["_user", "feature", "session_id", "environment=prod*"], otherwise = "drop" }}
disabled = false
expires_at = 2027-01-01T00:00:00Z

[virtual_keys.openai-prod]
provider = "openai"
base_url = "https://api.openai.example"
secret_file = "openai.key"
workspaces = ["acme"]
expires_at = 2027-01-01T00:00:00Z

[access]
unknown_keys = "anonymous"
key_headers = ["x-portkey-api-key", "x-majordomo-key", "authorization"]
trusted_headers = {{ x-tenant-id = {{ key = "tenant_id", scope = "workspace" }} }}
errors = "problem"

[jwt]
jwks_file = "jwks.json"
issuer = "https://login.example"
audience = "llm"
algorithms = ["ES256", "RS256"]
tags = {{ "/org/id" = {{ key = "tenant_id", scope = "workspace" }}, "/sub" = {{ key = "_user", scope = "forced" }} }}

[names]
aliases = {{ user_id = "_user", userId = "_user", x-user-id = "_user", user-id = "_user" }}

[screening]
secrets = "mask"
emails = "hash"
cards = "mask"
hash_key_file = "hash.key"

[login]
tags = {{ "/org" = {{ key = "org", scope = "workspace" }} }}

[spiffe]
trust_domain = "example.org"
segments = {{ sa = {{ key = "service", scope = "api_key" }} }}

[analytics]
active_keys = ["_user"]

[[limits]]
name = "team-monthly"

[[alerts]]
on = "limit:team-monthly"

[ledger]
url = "memory"
"#,
        web = digest("sk-gateway-1"),
    )
}

/// Names fold keys of clients. A rule with another name for the key would protect nothing.
#[test]
fn rules_must_name_keys_as_they_are_stored() {
    let names = "[names]\nstyle = \"snake\"\naliases = { user_id = \"_user\", uid = \"UserKey\" }\n";
    for (text, key) in [
        ("[workspaces.acme]\nmetadata = { cost-center = \"1\" }", "cost-center"),
        ("[api_keys.web]\nsecrets = [{ sha256 = \"DIGEST\" }]\nmetadata = { tenantId = \"1\" }", "tenantId"),
        ("[api_keys.web]\nsecrets = [{ sha256 = \"DIGEST\" }]\nforced = { user_id = \"1\" }", "user_id"),
        ("[api_keys.web]\nsecrets = [{ sha256 = \"DIGEST\" }]\nclaims = { allow = [\"tenantId=*\"] }", "tenantId"),
        ("[access.trusted_headers]\nx-t = { key = \"tenantId\", scope = \"workspace\" }", "tenantId"),
        ("[login]\ntags = { \"/org\" = { key = \"orgId\", scope = \"workspace\" } }", "orgId"),
        ("[spiffe]\ntrust_domain = \"a.b\"\nsegments = { sa = { key = \"saName\", scope = \"forced\" } }", "saName"),
        ("[screening]\ntags = { cardNo = \"mask\" }", "cardNo"),
        (
            "[contract]\nschema = { type = \"object\", additionalProperties = true, properties = { tenantId = { type = \"string\" } } }",
            "tenantId",
        ),
    ] {
        let text = text.replace("DIGEST", &digest("k"));
        let found = problems(&format!("{names}{text}"));
        let is_found = |problem: &String| problem.contains(&format!("{key:?}")) && problem.contains("is stored as");
        assert!(found.len() == 1 && is_found(&found[0]), "{text}: {found:?}");
        // Without names, there is no problem. The key of an alias is stored as it is.
        assert_eq!(problems(&text), [""; 0], "{text}");
        assert_eq!(problems(&format!("{names}{}", text.replace(key, "UserKey"))), [""; 0], "{text}");
    }
    let rule = "[[limits]]\nname = \"a\"\nkind = \"budget\"\namount = \"1 requests\"\nwindow = \"day\"\non_store_error = \"deny\"\n";
    for rest in [
        "group_by = [\"metadata.userId\"]",
        "when = { \"metadata.userId\" = [\"x\"] }",
        "exclude = { \"metadata.userId\" = [\"x\"] }",
    ] {
        let check = |names: &str, rest: &str| LimitSettings::check(&format!("{names}{rule}{rest}"), ConfigFormat::Toml);
        let found = check(names, rest);
        assert!(found.len() == 1 && found[0].message.contains("\"userId\" are stored as \"_user\""), "{found:?}");
        assert!(check("", rest).is_empty() && check(names, &rest.replace("userId", "_user")).is_empty());
    }
    for rest in ["active_keys = [\"userId\"]", "pairs = [[\"metadata.userId\", \"model\"]]"] {
        let error = AnalyticsSettings::from_toml(&format!("{names}[analytics]\n{rest}")).unwrap_err().to_string();
        assert!(error.contains("\"userId\" are stored as \"_user\""), "{error}");
    }
}

/// Their values are shown, or describe the message.
#[test]
fn headers_with_another_meaning_cannot_hold_keys() {
    for name in ["x-portkey-trace-id", "X-Portkey-Metadata", "x-majordomo-user", "traceparent", "baggage", "host"] {
        let found = problems(&format!("[access]\nkey_headers = [\"{name}\"]"));
        assert!(found.len() == 1 && found[0].contains("has another meaning"), "{found:?}");
    }
    let keys =
        "key_headers = [\"x-portkey-api-key\", \"x-majordomo-key\", \"authorization\", \"x-api-key\", \"x-own\"]";
    assert_eq!(problems(&format!("[access]\n{keys}")), [""; 0]);
}

/// The file that documents the format has the sections of all modules.
#[test]
fn reads_the_documented_file() {
    let text = include_str!("limit/gateway.example.toml");
    let found: Vec<String> = problems(text);
    let missing = |problem: &String| problem.contains("environment variable") || problem.contains("cannot read");
    assert!(found.iter().all(missing), "{found:#?}");
    let analytics = AnalyticsSettings::from_toml(text).unwrap();
    assert_eq!(
        (analytics.active_keys.map(|keys| keys.len()), analytics.zone.as_deref()),
        (Some(5), Some("Europe/Berlin"))
    );
}

#[test]
fn reads_every_section() {
    let folder = Folder::new("complete");
    folder.write("openai.key", "sk-provider-1\n");
    folder.write("hash.key", "hash-key-of-the-test\n");
    // RFC 7517, appendix A.1.
    let key = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","kid":"1"}"#;
    folder.write("jwks.json", &format!("{{\"keys\":[{key}]}}"));
    let registry = Registry::from_file(folder.write("gateway.toml", &complete())).unwrap();
    assert_eq!(registry.ignored_sections(), ["alerts", "analytics", "ledger", "limits"]);

    let now = humantime::parse_rfc3339("2026-12-01T00:00:00Z").unwrap();
    let mut head = parts(&[("authorization", "Bearer sk-gateway-1"), ("x-tenant-id", "t1")]);
    let principal = registry.principal_at(&head, now);
    assert_eq!(principal.status(), PrincipalStatus::Known);
    assert_eq!((principal.api_key(), principal.workspace()), (Some("web"), Some("acme")));
    assert_eq!(principal.workspace_name(), Some("Acme Corp"));
    assert!(principal.permissions().allow(Permission::AnalyticsView));
    assert!(!principal.permissions().allow(Permission::LogsView));
    assert_eq!(principal.scopes().get(Scope::ApiKey), &tags! { "team" => "growth", "service" => "web" });
    assert_eq!(principal.scopes().get(Scope::Workspace), &tags! { "company" => "acme", "compliance_region" => "eu" });
    assert!(principal.claims().is_some());
    assert_eq!(principal.contracts().len(), 1);
    let openai = principal.virtual_key("openai-prod").unwrap();
    assert!(principal.may_use(openai));
    assert_eq!(openai.secret().map(Credential::expose), Some("sk-provider-1"));

    registry.strip_credentials(&mut head);
    assert!(!head.headers.contains_key("authorization") && head.headers.contains_key("x-tenant-id"));
    for shown in [format!("{registry:?}"), format!("{principal:?}"), format!("{openai:?}")] {
        for secret in ["sk-gateway-1", "sk-provider-1", "hash-key", &digest("sk-gateway-1")] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn json_and_code_give_the_same_registry() {
    let toml = format!(
        r#"
        [workspaces.acme]
        metadata = {{ company = "acme" }}
        [api_keys.web]
        workspace = "acme"
        secrets = [{{ sha256 = "{digest}", expires_at = 2027-06-30T00:00:00Z }}]
        metadata = {{ team = "growth" }}
        forced = {{ _user = "ada" }}
        permissions = ["logs.view"]
        "#,
        digest = digest("sk-1")
    );
    let json = format!(
        r#"{{
            "workspaces": {{"acme": {{"metadata": {{"company": "acme"}}}}}},
            "api_keys": {{"web": {{
                "workspace": "acme",
                "secrets": [{{"sha256": "{digest}", "expires_at": "2027-06-30T02:00:00+02:00"}}],
                "metadata": {{"team": "gr\u006fwth"}}, "forced": {{"_user": "ada"}}, "permissions": ["logs.view"]
            }}}}
        }}"#,
        digest = digest("sk-1")
    );
    let end = humantime::parse_rfc3339("2027-06-30T00:00:00Z").unwrap();
    let secret = tower_tagging::registry::KeySecret::new(SecretDigest::of("sk-1")).expires_at(end);
    let code = Registry::builder()
        .workspace(Workspace::new("acme").metadata(tags! { "company" => "acme" }))
        .api_key(
            RegisteredKey::new("web")
                .workspace("acme")
                .secret(secret)
                .metadata(tags! { "team" => "growth" })
                .forced(tags! { "_user" => "ada" })
                .permissions([Permission::LogsView]),
        )
        .build()
        .unwrap();
    let registries = [Registry::from_toml(&toml).unwrap(), Registry::from_json(&json).unwrap(), code];
    let head = parts(&[("x-portkey-api-key", "sk-1")]);
    for now in [end - Duration::from_secs(1), end] {
        let seen = registries.each_ref().map(|registry| {
            let principal = registry.principal_at(&head, now);
            format!("{principal:?} {:?}", principal.scopes())
        });
        assert!(seen.iter().all(|other| other == &seen[0]), "{seen:#?}");
        assert!(seen[0].contains(if now < end { "Known" } else { "Expired" }));
    }
}

/// Configurations with the beginnings of their problems.
const PROBLEMS: &[(&str, &[&str])] = &[
    (
        "[api_keys.web]\nworkspce = \"acme\"\n",
        &[
            "1:11: expected one or two secrets, found none",
            "2:1: unknown key \"workspce\": did you mean \"workspace\"?",
        ],
    ),
    ("[workspace.acme]", &["1:2: unknown key \"workspace\": did you mean \"workspaces\"?"]),
    ("zzz = 1", &["1:1: unknown key \"zzz\": expected \"access\","]),
    ("[workspaces.a]\nname = 1", &["2:8: expected a string, found an integer"]),
    ("workspaces = 1", &["1:14: expected a table, found an integer"]),
    (
        "[workspaces.a]\nmetadata = { \"größe\" = 1, b = [] }",
        &["2:24: expected a string, found an integer", "2:27: expected a string, found a list"],
    ),
    (
        "[workspaces.a.limits]\ntags = 0\nvalue_chars = \"1\"\noverflow = \"dorp\"",
        &[
            "2:8: expected a positive integer",
            "3:15: expected a positive integer, found a string",
            "4:12: expected \"truncate\", \"drop\", or \"reject\": did you mean \"drop\"?",
        ],
    ),
    (
        "[workspaces.a]\nmetadata = { long = \"LONG\" }",
        &["2:21: tag \"long\" is not within the limits (value_truncated)"],
    ),
    (
        "[workspaces.acme]\n[api_keys.web]\nworkspace = \"acmee\"\nsecrets = [{ sha256 = \"ZEROS\" }]",
        &["3:13: unknown workspace \"acmee\": did you mean \"acme\"?"],
    ),
    (
        "[api_keys.web]\nsecrets = [{ sha256 = \"00\" }, { expires_at = 2027-01-01 }]",
        &[
            "2:23: expected 64 hexadecimal digits (the SHA-256 of the whole key), found 2 characters",
            "2:31: expected the key \"sha256\"",
            "2:46: expected a time with an offset, such as 2027-06-30T00:00:00Z",
        ],
    ),
    (
        "[api_keys.web]\nsecrets = [{ sha256 = \"ZEROS\" }, { sha256 = \"ONES\" }, { sha256 = \"TWOS\" }]",
        &["2:1: expected at most two secrets, found 3: remove the oldest"],
    ),
    (
        "[api_keys.a]\nsecrets = [{ sha256 = \"ZEROS\" }]\n[api_keys.b]\nsecrets = [{ sha256 = \"ONES\" }, { sha256 = \"ZEROS\" }]",
        &["4:104: the API key \"a\" has the same secret"],
    ),
    (
        "[api_keys.a]\nsecrets = [{ sha256 = \"ZEROS\" }]\npermissions = [\"logs.view\", \"log.write\"]\nexpires_at = 2027-01-01T00:00:00",
        &[
            "3:29: expected \"analytics.view\", \"logs.view\", \"logs.write\", \"logs.export\", \"keys.list\", or \"admin\": did you mean \"logs.write\"?",
            "4:14: expected a time with an offset, such as 2027-06-30T00:00:00Z",
        ],
    ),
    (
        "[api_keys.sk-live-1]\nsecrets = [{ sha256 = \"ZEROS\" }]",
        &["1:11: the name looks like a key: expected a name that events may show"],
    ),
    (
        "[virtual_keys.v]\nprovider = \"\"\nbase_url = \"https://u:p@h.example?k=v\"\nsecret_env = \"TOWER_TAGGING_TEST_UNSET\"\nworkspaces = [\"acme\"]",
        &[
            "2:12: expected the name of a provider, such as \"openai\"",
            "3:12: expected a URL without credentials: use `secret_env` or `secret_file`",
            "4:14: the environment variable is not set",
            "5:15: unknown workspace \"acme\"",
        ],
    ),
    (
        "[virtual_keys.v]\nprovider = \"p\"\nbase_url = \"ftp://h.example\"\nsecret_file = \"/does/not/exist\"",
        &["3:12: expected an http or https URL, such as \"https://api.openai.com\"", "4:15: cannot read the file ("],
    ),
    (
        "[virtual_keys.v]\nprovider = \"p\"\nbase_url = \"https://h.example?k=v\"",
        &["1:15: expected a secret (`secret_env` or `secret_file`)", "3:12: expected a URL without a query (`?`)"],
    ),
    (
        "[access]\nkey_headers = [\"x y\", \"authorization\", \"Authorization\"]\nunknown_keys = \"deny\"\nerrors = \"Portkey\"",
        &[
            "2:16: invalid header name \"x y\"",
            "2:40: \"Authorization\" is listed twice",
            "3:16: expected \"anonymous\" or \"reject\"",
            "4:10: expected \"problem\" or \"portkey\": did you mean \"portkey\"?",
        ],
    ),
    (
        "[access.trusted_headers]\nx-a = { key = \"a\", scope = \"request\" }\nx-b = { key = \"\", scope = \"forced\" }\ncookie = { key = \"c\", scope = \"forced\" }\nx-d = { scope = \"forced\" }",
        &[
            "2:28: expected \"fallback\", \"api_key\", \"workspace\", or \"forced\"",
            "3:15: expected the key of a tag: 1 to 128 characters",
            "4:1: the header \"cookie\" is for credentials, which cannot be tags",
            "5:1: expected the key \"key\"",
        ],
    ),
    (
        "[jwt]\njwks_url = \"jwks.json\"\nalgorithms = [\"HS256\"]\nissuer = \"i\"",
        &["1:2: expected the key \"audience\"", "2:12: expected an http or https URL", "3:15: expected \"ES256\","],
    ),
    (
        "[screening]\nemals = \"mask\"\ncards = \"blur\"",
        &[
            "2:1: unknown key \"emals\": did you mean \"emails\"?",
            "3:9: expected \"mask\", \"hash\", \"drop\", or \"off\"",
        ],
    ),
    (
        "[contract]\nmode = \"rejct\"",
        &[
            "1:2: expected the key \"schema\"",
            "2:8: expected \"off\", \"report\", or \"reject\": did you mean \"reject\"?",
        ],
    ),
    ("a = 1\na = 2", &["1:1: unknown key", "2:1: invalid TOML: duplicate key"]),
    ("[names\naliases = 1\n[zzz]", &["1:7: invalid TOML: ", "3:2: unknown key \"zzz\""]),
];

#[test]
fn reports_every_problem_with_its_position() {
    let zeros = "0".repeat(64);
    let mut failures = Vec::new();
    for &(text, expected) in PROBLEMS {
        let text = text.replace("LONG", &"x".repeat(129)).replace("ZEROS", &zeros);
        let text = text.replace("ONES", &"1".repeat(64)).replace("TWOS", &"2".repeat(64));
        let found = problems(&text);
        let matches = found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected));
        if found.len() != expected.len() || !matches {
            failures.push(format!("{text}\nfound {found:#?}\nexpected {expected:#?}"));
        }
        // Building reports the same problems.
        let error = Registry::from_toml(&text).unwrap_err();
        assert!(error.problems().map(|(_, message)| message).eq(&found));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn reports_problems_of_rules_with_their_position() {
    let mut failures = Vec::new();
    for (text, expected) in [
        (
            "[contract]\nschema = { type = \"object\", additionalProperties = true, properties = { env = { type = \"string\", format = \"date\" } } }",
            &["2:107: unsupported keyword \"format\""][..],
        ),
        (
            "[api_keys.a]\nsecrets = [{ sha256 = \"ZEROS\" }]\nclaims = { allow = [\"_user\", \" x\"], otherwise = \"reject\" }",
            &["3:30: invalid claim"],
        ),
        ("[names.aliases]\na = \"b\"\n\"\" = \"c\"", &["3:6: "]),
        ("[names.aliases]\na = \"b\"\nb = \"c\"", &["1:8: "]),
        ("[screening]\nemails = \"hash\"", &["1:2: "]),
        (
            "[screening]\nemails = \"hash\"\nhash_key_env = \"TOWER_TAGGING_TEST_UNSET\"",
            &["3:16: the environment variable is not set"],
        ),
        ("[login.tags]\n\"org\" = { key = \"org\", scope = \"workspace\" }", &["2:1: "]),
        ("[spiffe]\ntrust_domain = \"a b\"", &["2:16: "]),
    ] {
        let found = problems(&text.replace("ZEROS", &"0".repeat(64)));
        if found.len() != expected.len() || !found.iter().zip(expected).all(|(found, start)| found.starts_with(start)) {
            failures.push(format!("{text}\nfound {found:#?}\nexpected {expected:#?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A contract that allows two environments.
const ENVIRONMENTS: &str = r#"schema = { type = "object", additionalProperties = true, required = ["_user"], properties = { env = { type = "string", enum = ["prod", "dev"] } } }"#;

#[test]
fn own_tags_that_contradict_a_contract_are_refused_at_their_place() {
    let secret = format!("secrets = [{{ sha256 = \"{}\" }}]", digest("k"));
    let expected = |subject: &str| format!("{subject} contradicts its contract: tag \"env\": ");
    for (text, line, subject) in [
        (
            format!("[contract]\n{ENVIRONMENTS}\n[workspaces.acme]\nmetadata = {{ env = \"x\" }}"),
            4,
            "workspace \"acme\"",
        ),
        (
            format!("[contract]\n{ENVIRONMENTS}\n[api_keys.web]\n{secret}\nforced = {{ env = \"x\" }}"),
            5,
            "API key \"web\"",
        ),
        (
            format!(
                "[workspaces.acme.contract]\n{ENVIRONMENTS}\n[api_keys.web]\n{secret}\nmetadata.env = \"x\"\nworkspace = \"acme\""
            ),
            5,
            "API key \"web\"",
        ),
        (
            format!(
                "[workspaces.acme]\nmetadata.env = \"x\"\n[api_keys.web]\n{secret}\nworkspace = \"acme\"\ncontract.{ENVIRONMENTS}"
            ),
            3,
            "API key \"web\"",
        ),
    ] {
        let found = problems(&text);
        let start = format!("{line}:");
        assert!(
            found.len() == 1 && found[0].starts_with(&start) && found[0].contains(&expected(subject)),
            "{text}\n{found:#?}"
        );
        assert!(!found[0].contains("\"x\""), "values are not quoted");
        let name = if text.contains("contract.schema") { "contract." } else { "" };
        let off = text.replace(&format!("{name}schema ="), &format!("{name}mode = \"off\"\n{name}schema ="));
        assert_eq!(problems(&off), [] as [&str; 0], "{off}");
    }
    // The client may still set a tag that is missing, and override one that is a default.
    let text = format!("[contract]\n{ENVIRONMENTS}\n[api_keys.web]\n{secret}\nmetadata.env = \"dev\"");
    assert_eq!(problems(&text), [] as [&str; 0]);
}

#[test]
fn the_default_of_the_narrowest_contract_wins() {
    let contract = |value: &str| {
        format!("schema = {{ type = \"object\", additionalProperties = true, properties = {{ {value} }} }}")
    };
    let tag = |key: &str, value: &str| format!("{key} = {{ type = \"string\", default = \"{value}\" }}");
    let text = format!(
        "[contract]\n{}\n[workspaces.acme.contract]\n{}\n[api_keys.web]\nworkspace = \"acme\"\nsecrets = [{{ sha256 = \"{}\" }}]\n\
         forced = {{ d = \"forced\" }}\nforced_override = true\n[api_keys.web.contract]\n{}\n",
        contract(&["a", "b", "c", "d"].map(|key| tag(key, "global")).join(", ")),
        contract(&["b", "c", "d"].map(|key| tag(key, "workspace")).join(", ")),
        digest("k"),
        contract(&["c", "d"].map(|key| tag(key, "key")).join(", ")),
    );
    let registry = Registry::from_toml(&text).unwrap();
    let principal = registry.principal(&parts(&[("x-api-key", "k")]));
    assert_eq!(principal.contracts().len(), 3);
    let expected = tags! { "a" => "global", "b" => "workspace", "c" => "key", "d" => "forced" };
    assert_eq!(principal.scopes().get(Scope::Fallback), &expected);
    let anonymous = registry.principal(&parts(&[]));
    assert_eq!(anonymous.contracts().len(), 1);
    let global = tags! { "a" => "global", "b" => "global", "c" => "global", "d" => "global" };
    assert_eq!(anonymous.scopes().get(Scope::Fallback), &global);
}

#[test]
fn reports_problems_of_json_with_their_position() {
    for (text, expected) in [
        ("{\"api_keys\": {\"a\": {\"secrets\": [}]}}}", &["1:33: invalid JSON: expected value"][..]),
        (
            "{\n  \"größe\": 1, \"acces\": {}\n}",
            &["2:3: unknown key \"größe\"", "2:15: unknown key \"acces\": did you mean \"access\"?"],
        ),
        ("{\"access\": {}, \"access\": {\"errors\": null}}", &["1:16: duplicate key \"access\""]),
        ("[]", &["1:1: expected a table, found a list"]),
        ("", &["1:1: invalid JSON: EOF while parsing a value"]),
        (
            "{\"workspaces\": {\"a\": {\"name\": 1.5, \"limits\": {\"tags\": 99999999999999999999}}}}",
            &["1:31: expected a string, found a number", "1:55: expected a positive integer"],
        ),
    ] {
        let found: Vec<String> = Registry::check(text, ConfigFormat::Json).iter().map(ToString::to_string).collect();
        let matches = found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected));
        assert!(found.len() == expected.len() && matches, "{text}\nfound {found:#?}\nexpected {expected:#?}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(!Registry::check(&deep, ConfigFormat::Json).is_empty());
    assert!(!Registry::check(&format!("a = {deep}"), ConfigFormat::Toml).is_empty());
}

#[test]
fn problems_of_a_file_name_it_and_quote_no_values() {
    let folder = Folder::new("problems");
    let secret = "sk-very-secret-value";
    let text = format!(
        "[api_keys.web]\nsecrets = [\"{secret}\"]\nworkspace = \"{secret}\"\n\"{secret}\" = 1\npermissions = [\"{secret}\"]\n\
         [virtual_keys.v]\nprovider = \"p\"\nbase_url = \"{secret}\"\nsecret_env = \"{secret}\"\n[access]\nerrors = \"{secret}\"\n\
         [api_keys.app]\nsecrets = [{{ sha256 = \"{secret}\" }}]\nclaims = {{ allow = [\" {secret}\"] }}\n"
    );
    let path = folder.write("gateway.toml", &text);
    let found = Registry::check_file(&path).unwrap();
    assert!(found.len() >= 8, "{found:#?}");
    assert!(found.iter().all(|problem| problem.to_string().starts_with(&format!("{}:", path.display()))));
    let shown = format!("{found:?} {}", Registry::from_file(&path).unwrap_err());
    assert!(!shown.contains("very-secret"), "{shown}");
}

#[test]
fn code_reports_every_problem_with_its_path() {
    let error = Registry::builder()
        .workspace(Workspace::new("acme"))
        .workspace(Workspace::new("acme"))
        .api_key(RegisteredKey::new("web").workspace("acmee"))
        .virtual_key(VirtualKey::new("v").base_url("x").provider("p").credential(Credential::new("secret-1")))
        .trusted_header("x-a", "a", Scope::Request)
        .build()
        .unwrap_err();
    let problems: Vec<&str> = error.problems().map(|(_, message)| message).collect();
    assert_eq!(
        problems,
        [
            "workspaces.acme: \"acme\" is defined twice",
            "api_keys.web.secrets: expected one or two secrets, found none",
            "api_keys.web.workspace: unknown workspace \"acmee\": did you mean \"acme\"?",
            "virtual_keys.v.base_url: expected an http or https URL, such as \"https://api.openai.com\"",
            "access.trusted_headers.x-a.scope: expected a trusted scope: \"fallback\", \"api_key\", \"workspace\", or \"forced\"",
        ]
    );
}
