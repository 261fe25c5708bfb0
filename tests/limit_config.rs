//! Tests of the sections of a configuration file about limits.

use std::{fs, path::PathBuf, time::Duration};

use tower_tagging::{
    limit::{
        Amount, LedgerSettings, LimitDecision, LimitKind, LimitMode, LimitRule, LimitSettings, OnMissing, Window,
        alerts::{AlertSettings, AlertTrigger, WebhookShape},
    },
    registry::{ConfigFormat, Registry},
    usage::Money,
};

const EXAMPLE: &str = include_str!("limit/gateway.example.toml");

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

/// Returns the problems as `LINE:COLUMN: MESSAGE`.
fn problems(text: &str) -> Vec<String> {
    LimitSettings::check(text, ConfigFormat::Toml).iter().map(ToString::to_string).collect()
}

fn time(text: &str) -> std::time::SystemTime {
    humantime::parse_rfc3339(text).unwrap()
}

/// The example, with the secret of the webhook in a file.
fn with_secret_file() -> String {
    let text = EXAMPLE.replace("secret_env = \"HOOK_SECRET\"", "secret_file = \"hook.secret\"");
    assert!(text.contains("hook.secret"));
    text
}

#[test]
fn reads_the_example() {
    let folder = Folder::new("limit-example");
    folder.write("hook.secret", "whsec_c2VjcmV0\n");
    let settings = LimitSettings::from_file(folder.write("gateway.toml", &with_secret_file())).unwrap();

    let usd = |amount: &str| Amount::cost(amount.parse::<Money>().unwrap());
    let rule = LimitRule::budget("team-monthly", usd("500"), Window::month("Europe/Berlin").unwrap())
        .when("metadata.environment", ["production"])
        .exclude("metadata.team", ["internal"])
        .group_by("metadata.team")
        .estimate(usd("0.01"))
        .status(http::StatusCode::TOO_MANY_REQUESTS)
        .raise(usd("200"), time("2027-01-31T00:00:00Z"))
        .on_missing(OnMissing::Skip)
        .on_unpriced(LimitDecision::Allow)
        .on_store_error(LimitDecision::Deny)
        .mode(LimitMode::Enforce)
        .build()
        .unwrap();
    assert_eq!(settings.rules, [rule]);

    let mut alert = AlertSettings::new(AlertTrigger::limit("team-monthly"));
    alert.when = vec![("metadata.environment".to_owned(), vec!["production".to_owned()])];
    alert.thresholds = vec![0.5, 0.8, 1.0];
    alert.webhook = Some("https://hooks.example/llm".to_owned());
    alert.shape = WebhookShape::Plain;
    alert.secret_file = Some(folder.0.join("hook.secret"));
    assert_eq!(settings.alerts, [alert]);
    assert_eq!(settings.ledger, LedgerSettings::default());
}

#[test]
fn the_example_lacks_only_the_secret_of_the_environment() {
    let line = EXAMPLE.lines().position(|line| line.starts_with("secret_env = \"HOOK")).unwrap() + 1;
    let found = problems(EXAMPLE);
    assert_eq!(found, [format!("{line}:14: the environment variable is not set")]);
}

#[test]
fn reads_every_key() {
    let settings = LimitSettings::from_toml(
        r#"
        [[limits]]
        name = "per-key"
        title = "Requests per key"
        kind = "rate"
        amount = "60 requests"
        window = "1m"
        burst = 20
        concurrent = 8
        chunk = 5
        group_by = ["api_key", "model"]
        exclude = { workspace = ["internal-*"] }
        on_missing = "bucket"
        on_store_error = "allow"
        mode = "shadow"
        status = 402

        [[limits]]
        name = "tokens"
        kind = "rate"
        amount = "1000000 tokens"
        window = "1h"
        burst = "200000 tokens"
        estimate = "500 tokens"
        on_store_error = "allow"

        [[limits]]
        name = "running"
        kind = "rate"
        concurrent = 3
        on_store_error = "allow"

        [[limits]]
        name = "fiscal"
        kind = "budget"
        amount = "10.5 USD"
        window = "year"
        zone = "Europe/London"
        fiscal_start = "04-06"
        chunk = 0.25
        cut_streams = 2.5
        charge_unknown = true
        on_unpriced = "deny"
        on_store_error = "deny"

        [[limits]]
        name = "rolling"
        kind = "budget"
        amount = "60 gpu_seconds"
        window = "30d rolling"
        on_store_error = "deny"

        [[alerts]]
        on = "anomaly"
        exclude = { "metadata.environment" = ["staging", "dev*"] }
        minimum_cost = "2 USD"
        minimum_requests = 50
        window = "6h"
        cooldown = "1d"
        webhook = "http://10.0.0.1/hook"
        shape = "slack"
        allow_tag_values = true
        allow_private_addresses = true

        [[alerts]]
        on = "limit:*"

        [ledger]
        url = "redis://user:password@cache.example:6379/1"
        timeout = "250ms"
        lease = "2m"
        namespace = "prod-eu"
        "#,
    )
    .unwrap();
    let [per_key, tokens, running, fiscal, rolling] = &settings.rules[..] else { panic!("{:?}", settings.rules) };
    assert_eq!((per_key.name(), per_key.title(), per_key.mode()), ("per-key", "Requests per key", LimitMode::Shadow));
    let minute =
        LimitKind::Rate { amount: Amount::requests(60), per: Duration::from_secs(60), burst: Amount::requests(20) };
    assert_eq!(per_key.kind(), &minute);
    assert_eq!(per_key.group_by().len(), 2);
    let LimitKind::Rate { burst, .. } = tokens.kind() else { panic!("{tokens:?}") };
    assert_eq!(*burst, Amount::tokens(200_000));
    assert_eq!(running.kind(), &LimitKind::Concurrency { requests: 3 });
    let LimitKind::Budget { amount, window } = fiscal.kind() else { panic!("{fiscal:?}") };
    assert_eq!(
        (amount.to_string(), window.to_string()),
        ("10.5 USD".to_owned(), "year Europe/London 04-06".to_owned())
    );
    let LimitKind::Budget { amount, window } = rolling.kind() else { panic!("{rolling:?}") };
    assert_eq!((amount.to_string(), window.to_string()), ("60 gpu_seconds".to_owned(), "30d rolling".to_owned()));

    let [anomaly, any] = &settings.alerts[..] else { panic!("{:?}", settings.alerts) };
    assert_eq!(anomaly.on, AlertTrigger::Anomaly);
    assert_eq!(anomaly.minimum_cost, Some("2".parse::<Money>().unwrap()));
    assert_eq!((anomaly.minimum_requests, anomaly.window), (Some(50), Some(Duration::from_secs(6 * 3_600))));
    assert_eq!((anomaly.cooldown, anomaly.shape), (Some(Duration::from_secs(86_400)), WebhookShape::Slack));
    assert!(anomaly.allow_tag_values && anomaly.allow_private_addresses);
    assert_eq!(any.on, AlertTrigger::limit("*"));

    let ledger = &settings.ledger;
    assert_eq!((ledger.timeout, ledger.lease), (Some(Duration::from_millis(250)), Some(Duration::from_secs(120))));
    assert_eq!(ledger.namespace.as_deref(), Some("prod-eu"));
    assert!(!format!("{settings:?}").contains("password") && !format!("{settings:?}").contains("10.0.0.1"));
}

#[test]
fn json_and_toml_give_the_same_settings() {
    let toml = "[[limits]]\nname = \"a\"\nkind = \"budget\"\namount = \"5 requests\"\nwindow = \"day\"\n\
                on_store_error = \"deny\"\nraises = [{ amount = \"1 requests\", until = 2027-01-31T00:00:00Z }]\n";
    let json = r#"{"limits": [{"name": "a", "kind": "budget", "amount": "5 requests", "window": "day",
        "on_store_error": "deny", "raises": [{"amount": "1 requests", "until": "2027-01-31T00:00:00Z"}]}]}"#;
    assert_eq!(LimitSettings::from_toml(toml).unwrap(), LimitSettings::from_json(json).unwrap());
    assert_eq!(LimitSettings::from_toml("").unwrap(), LimitSettings::default());
    assert_eq!(LimitSettings::from_json("{}").unwrap(), LimitSettings::default());
    assert_eq!(LimitSettings::from_toml("[api_keys]\nx = 1\n[unknown]\n").unwrap(), LimitSettings::default());
}

/// A complete rule, to which tests add lines from line 6 on.
const RULE: &str = "[[limits]]\nname = \"a\"\nkind = \"budget\"\non_unpriced = \"allow\"\non_store_error = \"deny\"\n";
const BUDGET: &str = "amount = \"5 USD\"\nwindow = \"month\"\n";

#[test]
fn every_problem_has_its_place_and_its_key() {
    for (lines, expected) in [
        ("amount = \"5 USD\"\nwindow = \"fortnight\"\n", "7:10: window: invalid window \"fortnight\""),
        ("amount = \"lots\"\nwindow = \"month\"\n", "6:10: amount: invalid amount \"lots\""),
        ("amount = \"0 USD\"\nwindow = \"month\"\n", "6:10: amount: expected more than zero"),
        ("amount = 5\nwindow = \"month\"\n", "6:10: expected a string, found an integer"),
        ("window = \"month\"\n", "1:1: expected the key \"amount\""),
        ("amount = \"5 USD\"\n", "1:1: expected the key \"window\""),
        ("amount = \"5 USD\"\nwindow = \"month\"\nzone = \"Mars\"\n", "8:8: zone: unknown time zone \"Mars\""),
        (
            "amount = \"5 USD\"\nwindow = \"day\"\nfiscal_start = \"04-01\"\n",
            "8:16: fiscal_start: invalid fiscal start",
        ),
        (
            "amount = \"5 USD\"\nwindow = \"year\"\nfiscal_start = \"02-29\"\n",
            "8:16: fiscal_start: invalid fiscal start",
        ),
        ("amount = \"5 USD\"\nwindow = \"30d rolling\"\nfiscal_start = \"04-01\"\n", "8:16: fiscal_start: invalid"),
    ] {
        let found = problems(&format!("{RULE}{lines}"));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{lines}: {found:?}, expected {expected}");
    }
}

#[test]
fn problems_of_other_keys_have_their_place() {
    for (line, expected) in [
        ("windw = \"day\"", "8:1: unknown key \"windw\": did you mean \"window\"?"),
        ("estimate = \"5 tokens\"", "8:12: estimate: expected an amount in USD, found 5 tokens"),
        ("chunk = \"5 requests\"", "8:9: chunk: expected an amount in USD"),
        ("chunk = -1", "8:9: chunk: invalid amount \"-1 USD\""),
        ("burst = 5", "8:9: burst: only rates have a burst"),
        ("concurrent = 5", "8:14: concurrent: expected a rate"),
        ("status = 200", "8:10: status: expected a status from 400 to 499, found 200"),
        ("status = 70000", "8:10: status: expected a status from 400 to 499"),
        ("charge_unknown = 1", "8:18: expected true or false, found an integer"),
        ("cut_streams = 0.5", "8:15: cut_streams: expected a factor"),
        ("cut_streams = \"2\"", "8:15: expected a number, found a string"),
        ("mode = \"on\"", "8:8: expected \"off\", \"shadow\", or \"enforce\""),
        ("on_missing = \"bukket\"", "8:14: expected \"skip\", \"deny\", or \"bucket\": did you mean \"bucket\"?"),
        ("group_by = [\"api_key\", \"team\"]", "8:24: group_by: unknown property \"team\": expected metadata.KEY"),
        ("group_by = \"api_key\"", "8:12: expected a list, found a string"),
        ("when = { team = [\"a\"] }", "8:10: when: unknown property \"team\""),
        ("exclude = { api_key = [\"a\\\\\"] }", "8:13: exclude: api_key: invalid pattern"),
        ("when = { api_key = [] }", "8:10: when: api_key: expected at least one pattern"),
        ("raises = [{ amount = \"5 USD\" }]", "8:11: expected the key \"until\""),
        (
            "raises = [{ amount = \"5 tokens\", until = 2027-01-01T00:00:00Z }]",
            "8:1: raises: expected an amount in USD",
        ),
        ("raises = [{ amount = \"5 USD\", until = 2027-01-01 }]", "8:39: expected a time with an offset"),
    ] {
        let found = problems(&format!("{RULE}{BUDGET}{line}\n"));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{line}: {found:?}, expected {expected}");
    }
}

#[test]
fn decisions_have_no_default() {
    let rule = "[[limits]]\nname = \"a\"\nkind = \"budget\"\nwindow = \"month\"\n";
    let found = problems(&format!("{rule}amount = \"5 USD\"\n"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().any(|problem| problem.starts_with("1:1: on_store_error: ")), "{found:?}");
    assert!(found.iter().any(|problem| problem.starts_with("1:1: on_unpriced: ")), "{found:?}");
    // Only cost may be unknown.
    assert!(problems(&format!("{rule}amount = \"5 tokens\"\non_store_error = \"deny\"\n")).is_empty());
    // A decision that cannot be read is not reported as missing.
    let found = problems(&format!("{rule}amount = \"5 tokens\"\non_store_error = \"maybe\"\n"));
    assert_eq!(found, ["6:18: expected \"allow\" or \"deny\""]);
}

#[test]
fn rates_have_times_instead_of_windows() {
    let rule = "[[limits]]\nname = \"a\"\nkind = \"rate\"\non_store_error = \"allow\"\n";
    for (lines, expected) in [
        ("amount = \"5 requests\"\nwindow = \"month\"\n", "6:10: window: invalid time \"month\""),
        ("amount = \"5 requests\"\nwindow = \"0s\"\n", "6:10: window: invalid time \"0s\""),
        ("amount = \"5 requests\"\nwindow = \"90d\"\n", "6:10: window: expected more than zero and at most"),
        ("amount = \"5 requests\"\nwindow = \"1m\"\nfiscal_start = \"04-01\"\n", "7:16: fiscal_start: only budgets"),
        ("amount = \"5 requests\"\nwindow = \"1m\"\nburst = \"5 USD\"\n", "7:9: burst: expected an amount in requests"),
        ("amount = \"5 requests\"\nwindow = \"1m\"\nburst = 2.5\n", "7:9: burst: invalid amount \"2.5 requests\""),
        ("amount = \"5 requests\"\nwindow = \"1m\"\nconcurrent = 0\n", "7:14: expected a positive integer"),
        ("concurrent = 2\nwindow = \"1m\"\n", "6:10: window: expected the key \"amount\" as well"),
    ] {
        let found = problems(&format!("{rule}{lines}"));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{lines}: {found:?}, expected {expected}");
    }
}

#[test]
fn names_are_unique() {
    let found = problems(&format!("{RULE}{BUDGET}{RULE}{BUDGET}"));
    assert_eq!(found, ["9:8: name: duplicate limit rule \"a\""]);
    let found = problems(&format!("{RULE}{BUDGET}").replace("name = \"a\"", "name = \" \""));
    assert_eq!(found, ["2:8: invalid name \" \": expected 1 to 128 characters"]);
}

#[test]
fn alerts_name_rules_that_exist() {
    let rule = format!("{RULE}{BUDGET}").replace("name = \"a\"", "name = \"team-monthly\"");
    for (alert, expected) in [
        ("on = \"limit:team-montly\"", "9:6: on: unknown limit rule \"team-montly\": did you mean \"team-monthly\"?"),
        ("on = \"limit:x*\\\\\"", "9:6: on: invalid pattern \"x*\\\\\": it ends within an escape"),
        ("on = \"limits\"", "9:6: on: invalid trigger \"limits\": expected limit:NAME"),
        ("thresholds = [1]", "8:1: expected the key \"on\""),
        ("on = \"burn_rate\"\nthresholds = [0]", "10:15: thresholds: expected a number greater than zero"),
        ("on = \"burn_rate\"\nthresholds = []", "10:1: thresholds: expected at least one number"),
        ("on = \"burn_rate\"\nthresholds = [\"1\"]", "10:15: expected a number, found a string"),
        ("on = \"burn_rate\"\nwhen = { team = [\"a\"] }", "10:10: when: unknown property \"team\""),
        (
            "on = \"burn_rate\"\nwebhook = \"ftp://x\"\nshape = \"slack\"",
            "10:11: webhook: expected an http or https URL",
        ),
        ("on = \"burn_rate\"\nwebhook = \"https://x.example\"", "10:11: webhook: expected the key \"secret_env\""),
        ("on = \"burn_rate\"\nsecret_file = \"/no/such/file\"", "10:15: cannot read the file"),
        ("on = \"burn_rate\"\nminimum_cost = \"5 tokens\"", "10:16: minimum_cost: expected an amount in USD"),
        ("on = \"burn_rate\"\nwindow = \"long\"", "10:10: window: invalid time \"long\""),
        ("on = \"burn_rate\"\nthresholds = [1, 2]", "8:1: alert on burn_rate: thresholds: expected exactly one"),
        ("on = \"sink_loss\"\nwhen = { api_key = [\"a\"] }", "8:1: alert on sink_loss: api_key: this trigger cannot"),
        ("on = \"burn_rate\"\ntreshold = 1", "10:1: unknown key \"treshold\""),
    ] {
        let found = problems(&format!("{rule}[[alerts]]\n{alert}\n"));
        assert!(!found.is_empty() && found[0].starts_with(expected), "{alert}: {found:?}, expected {expected}");
    }
    // Limits that are created later may match a pattern.
    for alert in ["limit:x*", "limit:*"] {
        assert_eq!(problems(&format!("{rule}[[alerts]]\non = \"{alert}\"\n")), Vec::<String>::new());
    }
    let rate = "[[limits]]\nname = \"calls\"\nkind = \"rate\"\namount = \"5 requests\"\nwindow = \"1m\"\non_store_error = \"deny\"\n";
    let found = problems(&format!("{rate}[[alerts]]\non = \"limit:calls\"\n"));
    assert_eq!(found, ["8:6: on: limit \"calls\" is not a budget: only budgets have thresholds"]);
    // A rule with a problem exists, too.
    let broken = rule.replace("5 USD", "many");
    let found = problems(&format!("{broken}[[alerts]]\non = \"limit:team-monthly\"\n"));
    assert!(found.len() == 1 && found[0].contains("amount"), "{found:?}");
}

#[test]
fn alerts_with_the_same_webhook_have_the_same_settings() {
    let folder = Folder::new("limit-webhooks");
    let secrets = ["one", "two"].map(|name| folder.write(name, name).display().to_string());
    let alert = |url: &str, secret: usize, more: &str| {
        let file = &secrets[secret];
        format!("[[alerts]]\non = \"drift\"\nwebhook = \"https://{url}\"\nsecret_file = {file:?}\n{more}\n")
    };
    let found = |first: &str, second: &str| problems(&format!("{first}{second}"));
    let one = alert("hooks.example/sesame", 0, "");
    assert!(found(&one, &one).is_empty());
    assert!(found(&one, &alert("hooks.example/other", 1, "")).is_empty());
    assert!(found(&one, &alert("hooks.example/sesame", 1, "shape = \"slack\"")).is_empty());
    for other in
        [alert("hooks.example/sesame", 1, ""), alert("hooks.example/sesame", 0, "allow_private_addresses = true")]
    {
        let found = found(&one, &other);
        assert!(found.len() == 1 && found[0].starts_with("8:11: webhook: another alert has the same URL"), "{found:?}");
        assert!(!found[0].contains("sesame"), "{found:?}");
    }
}

#[test]
fn ledgers_never_quote_their_url() {
    for (lines, expected) in [
        ("url = \"mysql://user:hunter2@x\"", "2:7: url: expected \"memory\", or a URL that starts with postgres://"),
        ("url = \"postgres://\"", "2:7: url: expected \"memory\""),
        ("timeout = \"1s\"", "1:2: expected the key \"url\""),
        ("url = \"memory\"\ntimeout = \"2h\"", "3:11: timeout: expected a time from 1ms to 60s"),
        ("url = \"memory\"\nlease = \"10ms\"", "3:9: lease: expected a time from 1s"),
        ("url = \"memory\"\nnamespace = \"a b\"", "3:13: namespace: expected 1 to 64 letters"),
        ("url = \"memory\"\ntime_out = \"1s\"", "3:1: unknown key \"time_out\": did you mean \"timeout\"?"),
    ] {
        let found = problems(&format!("[ledger]\n{lines}\n"));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{lines}: {found:?}, expected {expected}");
        assert!(!found[0].contains("hunter2"));
    }
}

#[test]
fn wrong_kinds_of_sections_are_problems() {
    assert_eq!(problems("limits = 1\n"), ["1:10: expected a list, found an integer"]);
    assert_eq!(problems("[limits]\nname = \"a\"\n"), ["1:2: expected a list, found a table"]);
    assert_eq!(problems("limits = [1]\n").len(), 3);
    assert_eq!(problems("ledger = \"memory\"\n").len(), 2);
}

#[test]
fn problems_of_all_sections_form_one_list() {
    let text =
        "[access]\nunknown_keys = \"maybe\"\n\n[[limits]]\nname = \"a\"\nkind = \"bugdet\"\n\n[names]\nstyle = 1\n";
    let mut all = Registry::check(text, ConfigFormat::Toml);
    all.extend(LimitSettings::check(text, ConfigFormat::Toml));
    all.sort();
    let places: Vec<_> = all.iter().map(|problem| (problem.line, problem.column, problem.path.as_str())).collect();
    assert_eq!(places, [(2, 16, "access.unknown_keys"), (6, 8, "limits.0.kind"), (9, 9, "names.style")]);
    // Errors of the syntax are in both lists.
    let text = "[[limits]]\nname = \n";
    let (registry, limits) =
        (Registry::check(text, ConfigFormat::Toml), LimitSettings::check(text, ConfigFormat::Toml));
    assert!(registry.len() == 1 && limits.contains(&registry[0]), "{registry:?} {limits:?}");
    assert!(!LimitSettings::check("{", ConfigFormat::Json).is_empty());
}
