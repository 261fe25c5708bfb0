//! Screening: the share of secrets and personal data that it finds, the share of ids that it leaves alone, and the
//! treatment of both.
//!
//! `tests/screening_corpus.py` writes the corpus.

use std::{borrow::Cow, collections::BTreeMap, process::Command};

use proptest::prelude::*;
use serde::Deserialize;
use tower_tagging::registry::{Screening, ScreeningAction, ScreeningKind};

const CORPUS: &str = include_str!("registry/screening_corpus.jsonl");
const KEY: &str = "a hash key for tests";

/// All kinds except high entropy, which takes random ids for secrets.
const KINDS: [ScreeningKind; 5] =
    [ScreeningKind::Secrets, ScreeningKind::Emails, ScreeningKind::Cards, ScreeningKind::Ibans, ScreeningKind::Phones];

#[derive(Deserialize)]
struct Sample {
    kind: String,
    form: String,
    text: String,
    /// What must not remain.
    part: Option<String>,
}

fn corpus() -> impl Iterator<Item = Sample> {
    CORPUS.lines().map(|line| serde_json::from_str(line).unwrap())
}

fn screening(action: ScreeningAction) -> Screening {
    let builder = KINDS.iter().fold(Screening::builder(), |builder, kind| builder.kind(*kind, action));
    builder.hash_key(KEY).build().unwrap()
}

fn only(kind: ScreeningKind, action: ScreeningAction) -> Screening {
    Screening::builder().kind(kind, action).hash_key(KEY).build().unwrap()
}

/// Counts of one kind or form: the samples, and those with the right result.
#[derive(Default)]
struct Tally {
    all: usize,
    right: usize,
    wrong: Vec<String>,
}

impl Tally {
    fn add(&mut self, is_right: bool, text: &str) {
        self.all += 1;
        if is_right {
            self.right += 1;
        } else if self.wrong.len() < 3 {
            self.wrong.push(text.to_owned());
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn share(&self) -> f64 {
        self.right as f64 / self.all as f64
    }
}

fn report(title: &str, tallies: &BTreeMap<String, Tally>) -> String {
    let lines = tallies.iter().map(|(name, tally)| {
        let examples: Vec<_> = tally.wrong.iter().map(|text| format!("\n      {text}")).collect();
        let examples = examples.concat();
        format!("\n  {name}: {} of {} ({:.1} %){examples}", tally.right, tally.all, 100.0 * tally.share())
    });
    format!("{title}:{}", lines.collect::<String>())
}

#[test]
fn finds_secrets_and_personal_data() {
    let screening = screening(ScreeningAction::Mask);
    let (mut kinds, mut forms) = (BTreeMap::<String, Tally>::new(), BTreeMap::<String, Tally>::new());
    for Sample { kind, form, text, part } in corpus().filter(|sample| sample.kind != "id") {
        let (screened, found) = screening.screen_tag("note", &text);
        let is_found = found.iter().any(|found| found.as_str() == kind) && !screened.unwrap().contains(&part.unwrap());
        kinds.entry(kind.clone()).or_default().add(is_found, &text);
        forms.entry(format!("{kind} {form}")).or_default().add(is_found, &text);
    }
    let all: usize = kinds.values().map(|tally| tally.all).sum();
    let right: usize = kinds.values().map(|tally| tally.right).sum();
    println!("{}\n  all: {right} of {all}", report("found", &kinds));
    forms.retain(|_, tally| tally.right < tally.all);
    println!("{}", report("forms with misses", &forms));
    assert!(all >= 400);
    for (kind, tally) in &kinds {
        assert!(tally.share() >= 0.98, "{kind}: {}\n{}", report("found", &kinds), report("forms with misses", &forms));
    }
}

#[test]
fn leaves_ids_alone() {
    let screening = screening(ScreeningAction::Mask);
    let mut forms = BTreeMap::<String, Tally>::new();
    for Sample { form, text, .. } in corpus().filter(|sample| sample.kind == "id") {
        let is_same = matches!(screening.screen_tag("request_id", &text).0, Some(Cow::Borrowed(same)) if same == text);
        forms.entry(form).or_default().add(is_same, &text);
    }
    let all: usize = forms.values().map(|tally| tally.all).sum();
    let touched = all - forms.values().map(|tally| tally.right).sum::<usize>();
    forms.retain(|_, tally| tally.right < tally.all);
    println!("touched {touched} of {all}\n{}", report("unchanged", &forms));
    assert!(all >= 3000);
    assert!(touched * 200 <= all, "touched {touched} of {all}\n{}", report("unchanged", &forms));
}

/// Runs Python, so that it is not part of the usual tests. `tests/run.sh` runs it.
#[test]
#[ignore = "needs Python"]
fn the_script_writes_the_corpus() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/screening_corpus.py");
    let output = Command::new("python3").arg(script).output().expect("python3 is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == CORPUS.as_bytes(), "run tests/screening_corpus.py and check the difference in");
}

#[test]
fn replaces_only_the_recognized_part() {
    for (kind, text, expected) in [
        (ScreeningKind::Secrets, "key AKIAIOSFODNN7EXAMPLE, ok", "key [secret], ok"),
        (ScreeningKind::Secrets, "postgres://app:hunter2@db/x", "postgres://[secret]@db/x"),
        (ScreeningKind::Secrets, "password=hunter2&x=1", "password=[secret]&x=1"),
        (ScreeningKind::Emails, "from ada@example.com.", "from [email]."),
        (ScreeningKind::Cards, "card 4111 1111 1111 1111 12/29", "card [card] 12/29"),
        (ScreeningKind::Ibans, "to DE89 3704 0044 0532 0130 00 now", "to [iban] now"),
        (ScreeningKind::Phones, "call +1 (415) 555-2671!", "call [phone]!"),
        (ScreeningKind::HighEntropy, "x V1StGXR8_Z5jdHi6B-myT y", "x [entropy] y"),
    ] {
        let screening = only(kind, ScreeningAction::Mask);
        assert_eq!(screening.screen(text), expected);
        assert_eq!(screening.screen(text), expected);
        assert_eq!(screening.screen_tag("note", text), (Some(Cow::Owned(expected.to_owned())), vec![kind]));
        assert_eq!(screening.counts(), [(kind, 3)]);
    }
}

#[test]
fn kinds_that_are_not_named_are_off() {
    let text = "ada@example.com 4111111111111111 +14155552671 DE89370400440532013000 sk_live_0123456789abcdefghijklmn";
    for (kind, expected) in [
        (
            ScreeningKind::Emails,
            "[email] 4111111111111111 +14155552671 DE89370400440532013000 sk_live_0123456789abcdefghijklmn",
        ),
        (
            ScreeningKind::Cards,
            "ada@example.com [card] +14155552671 DE89370400440532013000 sk_live_0123456789abcdefghijklmn",
        ),
    ] {
        assert_eq!(only(kind, ScreeningAction::Mask).screen(text), expected);
    }
    assert!(Screening::default().is_off());
    assert!(Screening::builder().kind(ScreeningKind::Emails, ScreeningAction::Off).build().unwrap().is_off());
    assert_eq!(Screening::default().screen(text), text);
    assert!(Screening::default().counts().is_empty());
}

#[test]
fn equal_values_have_equal_hashes() {
    let screening = screening(ScreeningAction::Hash);
    for (label, spellings) in [
        ("email", ["Ada@Example.com", "ada@example.com"]),
        ("card", ["4111111111111111", "4111-1111-1111-1111"]),
        ("iban", ["DE89370400440532013000", "de89 3704 0044 0532 0130 00"]),
        ("phone", ["+14155552671", "+1 (415) 555-2671"]),
    ] {
        let [one, other] = spellings.map(|text| screening.screen(text).into_owned());
        assert_eq!(one, other);
        let digits = one.strip_prefix(label).and_then(|hash| hash.strip_prefix(':')).unwrap();
        assert!(digits.len() == 16 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{one}");
    }
    assert_ne!(screening.screen("ada@example.com"), screening.screen("bob@example.com"));
    let other_key = Screening::builder()
        .kind(ScreeningKind::Emails, ScreeningAction::Hash)
        .hash_key("another key for tests")
        .build();
    assert_ne!(screening.screen("ada@example.com"), other_key.unwrap().screen("ada@example.com"));
}

#[test]
fn drops_tags_and_masks_other_texts() {
    let screening = Screening::builder()
        .kind(ScreeningKind::Cards, ScreeningAction::Drop)
        .kind(ScreeningKind::Emails, ScreeningAction::Mask)
        .build()
        .unwrap();
    let text = "4111111111111111 ada@example.com";
    let (value, kinds) = screening.screen_tag("note", text);
    assert_eq!((value, kinds), (None, vec![ScreeningKind::Emails, ScreeningKind::Cards].into_iter().rev().collect()));
    assert_eq!(screening.screen(text), "[card] [email]");
    assert_eq!(screening.screen(text), "[card] [email]");
    assert_eq!(screening.screen_tag("note", "ada@example.com").0.as_deref(), Some("[email]"));
}

#[test]
fn rules_of_tags_apply_to_whole_values() {
    let screening = Screening::builder()
        .kind(ScreeningKind::Emails, ScreeningAction::Mask)
        .tag("_user", ScreeningAction::Hash)
        .tag("contact", ScreeningAction::Off)
        .tag("comment", ScreeningAction::Drop)
        .tag("name", ScreeningAction::Mask)
        .hash_key(KEY)
        .build()
        .unwrap();
    let tag = |key: &str, value: &'static str| screening.screen_tag(key, value).0;
    let hash = tag("_user", "ada").unwrap().into_owned();
    assert!(hash.starts_with("hash:") && hash.len() == 5 + 16, "{hash}");
    assert_eq!(screening.screen_tag("_user", &hash).0.as_deref(), Some(hash.as_str()));
    assert_eq!(tag("_user", "ada").as_deref(), Some(hash.as_str()));
    assert_eq!(tag("_user", "").as_deref(), Some(""));
    assert_eq!(tag("contact", "ada@example.com").as_deref(), Some("ada@example.com"));
    assert_eq!(tag("comment", "fine"), None);
    assert_eq!(tag("name", "Ada").as_deref(), Some("[masked]"));
    assert_eq!(tag("other", "ada@example.com").as_deref(), Some("[email]"));
    let counts = [("_user", 2), ("comment", 1), ("contact", 0), ("name", 1)];
    assert_eq!(screening.tag_counts(), counts.map(|(key, count)| (key.to_owned(), count)));
    assert_eq!(screening.counts(), [(ScreeningKind::Emails, 1)]);
}

#[test]
fn values_of_tags_with_secret_names_are_secrets() {
    let screening = only(ScreeningKind::Secrets, ScreeningAction::Mask);
    for (key, value, expected) in [
        ("password", "hunter2", "[secret]"),
        ("x-api-key", "0123456789abcdef0123456789abcdef", "[secret]"),
        ("clientSecret", "a-b-c-d", "[secret]"),
        ("access_token", "0123456789abcdefghij", "[secret]"),
        ("password", "[secret]", "[secret]"),
        ("page_token", "0123456789abcdefghij", "0123456789abcdefghij"),
        ("max_tokens", "4096", "4096"),
        ("feature", "hunter2", "hunter2"),
        ("password", "true", "true"),
    ] {
        assert_eq!(screening.screen_tag(key, value).0.as_deref(), Some(expected), "{key}={value}");
    }
}

#[test]
fn clones_share_their_counts() {
    let screening = only(ScreeningKind::Emails, ScreeningAction::Mask);
    screening.clone().screen("ada@example.com, bob@example.com");
    assert_eq!(screening.counts(), [(ScreeningKind::Emails, 2)]);
}

#[test]
fn hashes_need_a_key_of_16_bytes() {
    let problems = |builder: tower_tagging::registry::ScreeningBuilder| builder.build().unwrap_err().to_string();
    let hashed = || {
        Screening::builder()
            .kind(ScreeningKind::Phones, ScreeningAction::Hash)
            .tag("_user", ScreeningAction::Hash)
            .kind(ScreeningKind::Emails, ScreeningAction::Mask)
    };
    assert_eq!(problems(hashed()), "no hash key, but screening hashes _user, phones: set one of at least 16 bytes");
    let short = "the hash key of screening is too short: expected at least 16 bytes, found 15";
    assert_eq!(problems(hashed().hash_key("123456789012345")), short);
    assert_eq!(problems(Screening::builder().hash_key("123456789012345")), short);
    assert!(hashed().hash_key("1234567890123456").build().is_ok());
    // A later setting replaces an earlier one.
    let replaced = Screening::builder()
        .kind(ScreeningKind::Phones, ScreeningAction::Hash)
        .kind(ScreeningKind::Phones, ScreeningAction::Mask);
    assert!(replaced.build().is_ok());
}

#[test]
fn debug_output_hides_the_hash_key() {
    let builder =
        Screening::builder().kind(ScreeningKind::Emails, ScreeningAction::Hash).hash_key("do not show this key");
    let text = format!("{builder:?} {:?}", builder.clone().build().unwrap());
    assert!(!text.contains("do not show") && !text.contains("100, 111, 32"), "{text}");
}

#[test]
fn long_texts_take_linear_work() {
    let screening = screening(ScreeningAction::Mask);
    for pattern in [
        "sk-",
        "eyJ",
        "a@",
        "1 ",
        "4111-",
        "+1",
        "password=",
        "://a:",
        "%40",
        "DE89",
        "AKIA_",
        "-----BEGIN ",
        "(1)",
        "is ",
        // These are recognized, so that there are as many replacements.
        "a@b.com ",
        "sk-proj-abcdefghij0123456789ABCDEFGHIJ ",
        "DE89370400440532013000 ",
        "4242424242424242 ",
        "+49 170 1234567; ",
    ] {
        // Two hundred times the usual length. Quadratic work would take minutes.
        let text = pattern.repeat(200_000 / pattern.len());
        screening.screen(&text);
    }
}

fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        proptest::sample::select(corpus().map(|sample| sample.text).collect::<Vec<_>>()),
        "\\PC{0,12}",
        "[a-z0-9:@=./+ -]{0,16}",
        proptest::sample::select(vec![
            "[email]".to_owned(),
            "email:0123456789abcdef".to_owned(),
            "card:".to_owned(),
            "password=".to_owned(),
            "Bearer ".to_owned(),
            "https://a:b@".to_owned(),
            "+".to_owned(),
            "%40".to_owned(),
        ]),
    ];
    proptest::collection::vec(part, 1..4).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn screened_texts_stay_as_they_are(text in text()) {
        for action in [ScreeningAction::Mask, ScreeningAction::Hash] {
            let screening = KINDS.iter().chain([&ScreeningKind::HighEntropy])
                .fold(Screening::builder(), |builder, kind| builder.kind(*kind, action))
                .hash_key(KEY).build().unwrap();
            let once = screening.screen(&text).into_owned();
            prop_assert_eq!(screening.screen(&once), once.as_str(), "{}", text);
            let tag = screening.screen_tag("password", &text).0.unwrap().into_owned();
            prop_assert_eq!(screening.screen_tag("password", &tag).0.unwrap(), tag.as_str(), "{}", text);
        }
    }
}
