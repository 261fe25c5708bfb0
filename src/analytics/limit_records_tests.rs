//! The records of limits and alerts on each store.

use std::time::{Duration, SystemTime};

use crate::{
    analytics::Analytics,
    store::{
        AlertRecord, LimitCreditRecord, LimitRuleRecord, MemoryStore,
        records::{LimitRuleSaved, MAX_LIMIT_RULES},
    },
};

const LEASE: Duration = Duration::from_secs(60);

/// The stores of a test, whose files are removed when it ends.
struct Stores {
    all: Vec<Analytics>,
    #[cfg(feature = "sqlite")]
    path: std::path::PathBuf,
    #[cfg(feature = "postgres")]
    database: Option<(String, String)>,
}

impl Stores {
    /// Creates a memory store, an SQLite file, and, if `API_DATABASE_URL` names a server, a Postgres database.
    async fn new(test: &str) -> Self {
        let name = format!("tower_tagging_limits_{test}_{}", std::process::id());
        let mut stores = Self {
            all: vec![Analytics::new(MemoryStore::new())],
            #[cfg(feature = "sqlite")]
            path: std::env::temp_dir().join(format!("{name}.db")),
            #[cfg(feature = "postgres")]
            database: None,
        };
        #[cfg(feature = "sqlite")]
        {
            let sqlite = crate::store::SqliteStore::open(&stores.path).unwrap();
            sqlite.migrate().unwrap();
            stores.all.push(Analytics::new(sqlite));
        }
        #[cfg(feature = "postgres")]
        if let Ok(server) = std::env::var("API_DATABASE_URL") {
            execute(&server, &format!("CREATE DATABASE {name}")).await;
            let (host, _) = server.rsplit_once('/').unwrap();
            let store = crate::store::PostgresStore::from_url(&format!("{host}/{name}")).unwrap();
            store.migrate().await.unwrap();
            stores.all.push(Analytics::new(store));
            stores.database = Some((server, name));
        }
        stores
    }

    async fn remove(self) {
        drop(self.all);
        #[cfg(feature = "sqlite")]
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", self.path.display()));
        }
        #[cfg(feature = "postgres")]
        if let Some((server, name)) = self.database {
            execute(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

#[cfg(feature = "postgres")]
async fn execute(server: &str, statement: &str) {
    let (client, connection) = tokio_postgres::connect(server, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(statement).await.unwrap();
}

fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn rule(id: &str, workspace: Option<&str>) -> LimitRuleRecord {
    LimitRuleRecord {
        id: id.to_owned(),
        kind: "usage".to_owned(),
        body: format!("{{\"name\":\"{id}\"}}"),
        workspace: workspace.map(ToOwned::to_owned),
        created_at: time(1_700_000_000),
        updated_at: time(1_700_000_000),
        created_by: Some("ada".to_owned()),
        revision: 1_700_000_000_000_000,
    }
}

fn alert(id: &str, raised_at: u64) -> AlertRecord {
    AlertRecord {
        id: id.to_owned(),
        kind: "threshold".to_owned(),
        subject: "team-monthly".to_owned(),
        body: "{}".to_owned(),
        raised_at: time(raised_at),
        attempts: 0,
        next_attempt_at: time(raised_at),
        lease_until: SystemTime::UNIX_EPOCH,
        delivered_at: None,
    }
}

fn ids(alerts: &[AlertRecord]) -> Vec<&str> {
    alerts.iter().map(|alert| alert.id.as_str()).collect()
}

#[tokio::test]
async fn rules_are_kept_and_each_change_has_another_revision() {
    let stores = Stores::new("rules").await;
    for analytics in &stores.all {
        let ada = analytics.authored_by("ada");
        let mut seen = vec![analytics.limit_rules_revision().await.unwrap()];
        for (id, workspace) in [("b", Some("acme")), ("a", None)] {
            assert_eq!(ada.add_limit_rule(rule(id, workspace)).await.unwrap(), LimitRuleSaved::Saved);
            seen.push(analytics.limit_rules_revision().await.unwrap());
        }
        assert_eq!(analytics.limit_rules().await.unwrap(), [rule("a", None), rule("b", Some("acme"))]);

        // Of two callers that read the same revision, one succeeds.
        let read = || LimitRuleRecord { body: "{\"name\":\"changed\"}".to_owned(), ..rule("b", Some("acme")) };
        assert_eq!(analytics.change_limit_rule(read()).await.unwrap(), LimitRuleSaved::Saved);
        seen.push(analytics.limit_rules_revision().await.unwrap());
        assert_eq!(analytics.change_limit_rule(read()).await.unwrap(), LimitRuleSaved::Changed);
        assert_eq!(analytics.limit_rules_revision().await.unwrap(), *seen.last().unwrap());
        let stored = analytics.limit_rules().await.unwrap().remove(1);
        assert_eq!((stored.body.as_str(), stored.created_by.as_deref()), ("{\"name\":\"changed\"}", Some("ada")));
        assert!(stored.revision > rule("b", None).revision && stored.updated_at > stored.created_at);

        assert!(analytics.delete_limit_rule("b").await.unwrap());
        assert!(!analytics.delete_limit_rule("b").await.unwrap());
        seen.push(analytics.limit_rules_revision().await.unwrap());
        assert_eq!(analytics.change_limit_rule(stored).await.unwrap(), LimitRuleSaved::Changed);
        assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "{seen:?}");
    }
    stores.remove().await;
}

#[tokio::test]
async fn a_workspace_cannot_use_up_the_rules_of_others() {
    let stores = Stores::new("bounds").await;
    for analytics in &stores.all {
        for number in 0..MAX_LIMIT_RULES {
            let saved = analytics.add_limit_rule(rule(&format!("{number:04}"), Some("acme"))).await.unwrap();
            assert_eq!(saved, LimitRuleSaved::Saved);
        }
        assert_eq!(analytics.add_limit_rule(rule("x", Some("acme"))).await.unwrap(), LimitRuleSaved::TooMany);
        assert_eq!(analytics.add_limit_rule(rule("y", Some("globex"))).await.unwrap(), LimitRuleSaved::Saved);
        assert_eq!(analytics.add_limit_rule(rule("z", None)).await.unwrap(), LimitRuleSaved::Saved);
    }
    stores.remove().await;
}

#[tokio::test]
async fn credits_are_added_once_and_change_the_revision() {
    let stores = Stores::new("credits").await;
    for analytics in &stores.all {
        let credit = |id: &str, slot: i64, amount: i64| LimitCreditRecord {
            id: id.to_owned(),
            rule: "a".to_owned(),
            series: "[\"a\",\"USD\",\"month UTC\",null]".to_owned(),
            slot,
            amount,
            created_at: time(1_700_000_000 + amount.unsigned_abs()),
            created_by: Some("ada".to_owned()),
        };
        let ada = analytics.authored_by("ada");
        let before = analytics.limit_rules_revision().await.unwrap();
        assert!(ada.add_limit_credit(credit("one", -5, 7)).await.unwrap());
        assert_ne!(analytics.limit_rules_revision().await.unwrap(), before);
        assert!(!ada.add_limit_credit(credit("one", -5, 8)).await.unwrap());
        assert!(ada.add_limit_credit(credit("two", 10, 9)).await.unwrap());
        assert_eq!(analytics.limit_credits(-5, 10).await.unwrap(), [credit("two", 10, 9), credit("one", -5, 7)]);
        assert_eq!(analytics.limit_credits(-4, 10).await.unwrap(), [credit("two", 10, 9)]);
        assert_eq!(analytics.limit_credits(-5, 1).await.unwrap(), [credit("two", 10, 9)]);
    }
    stores.remove().await;
}

#[tokio::test]
async fn an_alert_is_raised_once_and_leased_by_one_process() {
    let stores = Stores::new("alerts").await;
    for analytics in &stores.all {
        assert!(analytics.raise_alert(alert("late", 200)).await.unwrap());
        assert!(analytics.raise_alert(alert("early", 100)).await.unwrap());
        assert!(!analytics.raise_alert(alert("early", 300)).await.unwrap());

        // What is not due is not claimed, and what is claimed is not claimed again before the lease ends.
        assert_eq!(ids(&analytics.claim_alerts(time(99), LEASE, 10).await.unwrap()), Vec::<&str>::new());
        let first = analytics.claim_alerts(time(200), LEASE, 1).await.unwrap();
        assert_eq!(ids(&first), ["early"]);
        assert_eq!((first[0].attempts, first[0].lease_until), (1, time(260)));
        assert_eq!(ids(&analytics.claim_alerts(time(201), LEASE, 10).await.unwrap()), ["late"]);
        assert_eq!(ids(&analytics.claim_alerts(time(259), LEASE, 10).await.unwrap()), Vec::<&str>::new());
        let second = analytics.claim_alerts(time(260), LEASE, 10).await.unwrap();
        assert_eq!((ids(&second), second[0].attempts), (vec!["early"], 2));

        // The first process, whose lease has ended, cannot end that of the second.
        analytics.alert_failed(&first[0], time(270)).await.unwrap();
        assert_eq!(ids(&analytics.claim_alerts(time(270), LEASE, 1).await.unwrap()), ["late"]);
        analytics.alert_failed(&second[0], time(280)).await.unwrap();
        assert_eq!(ids(&analytics.claim_alerts(time(279), LEASE, 10).await.unwrap()), Vec::<&str>::new());
        assert_eq!(ids(&analytics.claim_alerts(time(280), LEASE, 10).await.unwrap()), ["early"]);

        analytics.alert_delivered("early", time(281)).await.unwrap();
        analytics.alert_delivered("early", time(999)).await.unwrap();
        assert_eq!(ids(&analytics.claim_alerts(time(10_000), LEASE, 10).await.unwrap()), ["late"]);
        let recent = analytics.recent_alerts(10).await.unwrap();
        assert_eq!(ids(&recent), ["late", "early"]);
        assert_eq!(recent[1].delivered_at, Some(time(281)));
        let last = recent.iter().filter(|alert| alert.subject == recent[0].subject).map(|alert| alert.raised_at).max();
        assert_eq!(analytics.last_alert(&recent[0].subject).await.unwrap(), last);
        assert_eq!(analytics.last_alert("nothing").await.unwrap(), None);
        assert_eq!(ids(&analytics.recent_alerts(1).await.unwrap()), ["late"]);
        assert_eq!(analytics.prune_alerts(time(200)).await.unwrap(), 1);
        assert_eq!(ids(&analytics.recent_alerts(10).await.unwrap()), ["late"]);
    }
    stores.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_claim_at_the_same_time_share_the_alerts() {
    let stores = Stores::new("claims").await;
    for analytics in &stores.all {
        for number in 0..40 {
            assert!(analytics.raise_alert(alert(&format!("{number:02}"), 100)).await.unwrap());
        }
        let claims = (0..8).map(|_| {
            let analytics = analytics.clone();
            tokio::spawn(async move {
                let mut claimed = Vec::new();
                loop {
                    let alerts = analytics.claim_alerts(time(100), LEASE, 3).await.unwrap();
                    if alerts.is_empty() {
                        return claimed;
                    }
                    claimed.extend(alerts.into_iter().map(|alert| alert.id));
                }
            })
        });
        let mut all = Vec::new();
        for claim in claims.collect::<Vec<_>>() {
            all.extend(claim.await.unwrap());
        }
        all.sort_unstable();
        // A process can end early while others hold the rows that it selected, so the rest is claimed afterwards.
        all.extend(analytics.claim_alerts(time(100), LEASE, 100).await.unwrap().into_iter().map(|alert| alert.id));
        all.sort_unstable();
        let expected: Vec<String> = (0..40).map(|number| format!("{number:02}")).collect();
        assert_eq!(all, expected);
    }
    stores.remove().await;
}
