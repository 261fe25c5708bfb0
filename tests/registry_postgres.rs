//! Tests of `PostgresRegistry` with a real Postgres server, which `tests/run.sh` starts.

use std::time::{Duration, Instant, SystemTime};

use http::{Request, request::Parts};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_postgres::{Client, NoTls};
use tower_tagging::{
    metadata::Scope,
    registry::{
        ApiKey, Permission, PostgresRegistry, PrincipalStatus, RegisteredKey, Registry, SecretDigest, Workspace,
    },
    tagging::Admission,
    tags,
};

/// The database of one test.
struct Database {
    url: String,
    client: Client,
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

impl Database {
    async fn new(name: &str) -> Self {
        let server = std::env::var("DATABASE_URL").expect(
            "DATABASE_URL must name a Postgres server whose user may create databases: tests/run.sh starts one",
        );
        let name = format!("tower_tagging_registry_{name}");
        let admin = connect(&server).await;
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let (host, _) = server.rsplit_once('/').unwrap();
        let url = format!("{host}/{name}");
        Self { client: connect(&url).await, url }
    }

    async fn migrated(name: &str) -> (Self, PostgresRegistry) {
        let database = Self::new(name).await;
        let tables = PostgresRegistry::from_url(&database.url).unwrap();
        tables.migrate().await.unwrap();
        (database, tables)
    }

    async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }
}

fn parts(key: &str) -> Parts {
    Request::builder().header("x-portkey-api-key", key).body(()).unwrap().into_parts().0
}

fn name_of(registry: &Registry, key: &str) -> Option<String> {
    let principal = registry.principal(&parts(key));
    principal.api_key().map(str::to_owned)
}

async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A time that no text can express must not mean that a key never expires.
#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn infinite_times_and_times_of_other_eras_are_times() {
    let (database, tables) = Database::migrated("infinite").await;
    let row = |name: &str, secret: &str, key: &str| {
        format!(
            "INSERT INTO tagging_api_keys (name, secret_sha256, secret_expires_at, expires_at)
             VALUES ('{name}', sha256('{name}'), {secret}, {key})"
        )
    };
    let cases = [
        ("secret-ended", "'-infinity'", "NULL", PrincipalStatus::Expired),
        ("key-ended", "NULL", "'-infinity'", PrincipalStatus::Expired),
        ("long-ago", "NULL", "'0100-01-01 BC'", PrincipalStatus::Expired),
        ("before-1970", "'1969-12-31'", "NULL", PrincipalStatus::Expired),
        ("never", "'infinity'", "'infinity'", PrincipalStatus::Known),
        ("far", "NULL", "'12027-01-01'", PrincipalStatus::Known),
        ("last", "'9999-12-31 23:59:59.999999Z'", "NULL", PrincipalStatus::Known),
    ];
    for (name, secret, key, _) in cases {
        database.run(&row(name, secret, key)).await;
    }
    let registry = tables.connect().await.unwrap();
    for (name, _, _, expected) in cases {
        assert_eq!(registry.principal(&parts(name)).status(), expected, "{name}");
    }
}

/// The table refuses digests that are not SHA-256.
#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn digests_of_another_length_are_refused() {
    let (database, _) = Database::migrated("digests").await;
    for digest in ["'\\x'", "'\\x00'", "sha224('k')", "sha512('k')"] {
        for columns in [
            "name, secret_sha256) VALUES ('k', DIGEST",
            "name, secret_sha256, second_sha256) VALUES ('k', sha256('k'), DIGEST",
        ] {
            let sql = format!("INSERT INTO tagging_api_keys ({})", columns.replace("DIGEST", digest));
            let error = database.client.batch_execute(&sql).await.unwrap_err();
            assert_eq!(error.code(), Some(&tokio_postgres::error::SqlState::CHECK_VIOLATION), "{sql}");
        }
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn reads_every_column() {
    let (database, tables) = Database::migrated("columns").await;
    tables.migrate().await.unwrap();
    database
        .run(
            r#"INSERT INTO tagging_workspaces (slug, name, metadata, limits, contract) VALUES
                 ('acme', 'Acme "Corp"', '{"company": "acme"}', '{"value_chars": 64}',
                  '{"mode": "report", "schema": {"type": "object", "additionalProperties": true, "properties": {"env": {"type": "string"}}}}'),
                 ('other', NULL, DEFAULT, NULL, NULL);
               INSERT INTO tagging_api_keys (name, workspace, secret_sha256, secret_expires_at, second_sha256, metadata, forced,
                   forced_override, permissions, claims_allow, claims_otherwise, disabled, expires_at) VALUES
                 ('web', 'acme', sha256('old'), '2020-01-01T02:00:00+02', sha256('new'), '{"team": "grüwth"}', '{"_user": "ada"}',
                  true, '{logs.view,keys.list}', '{feature,environment=prod*}', 'reject', false, '2999-01-01'),
                 ('off', NULL, sha256('off'), NULL, NULL, DEFAULT, DEFAULT, DEFAULT, DEFAULT, NULL, DEFAULT, true, NULL),
                 ('generated', NULL, sha256('g'), NULL, NULL, DEFAULT, DEFAULT, DEFAULT, DEFAULT, NULL, DEFAULT, false, NULL);
               INSERT INTO tagging_virtual_keys (slug, provider, base_url, secret_env, workspaces) VALUES
                 ('openai', 'openai', 'https://api.openai.example', 'PATH', '{acme}')"#,
        )
        .await;
    let base = Registry::builder()
        .workspace(Workspace::new("code"))
        .api_key(RegisteredKey::new("from code").workspace("code").secret(SecretDigest::of("c")));
    let registry = tables.base(base).connect().await.unwrap();
    let status = registry.status();
    assert_eq!((status.keys, status.workspaces, status.virtual_keys), (4, 3, 1));
    assert!(status.source.starts_with("Postgres at 127.0.0.1:"), "{}", status.source);

    let principal = registry.principal(&parts("new"));
    assert_eq!((principal.status(), principal.api_key()), (PrincipalStatus::Known, Some("web")));
    assert_eq!(principal.workspace_name(), Some("Acme \"Corp\""));
    assert_eq!(principal.scopes().get(Scope::Workspace), &tags! { "company" => "acme" });
    assert_eq!(principal.scopes().get(Scope::ApiKey), &tags! { "team" => "grüwth" });
    assert_eq!(principal.fallback_if_empty(), &tags! { "_user" => "ada" });
    assert_eq!(principal.contracts().len(), 1);
    assert!(principal.claims().is_some() && principal.limits().is_some());
    let permissions: Vec<Permission> = principal.permissions().iter().collect();
    assert_eq!(permissions, [Permission::LogsView, Permission::KeysList]);
    assert!(principal.may_use(principal.virtual_key("openai").unwrap()));
    assert_eq!(registry.principal(&parts("old")).status(), PrincipalStatus::Expired);
    assert_eq!(registry.principal(&parts("off")).status(), PrincipalStatus::Disabled);
    assert_eq!(name_of(&registry, "c").as_deref(), Some("from code"));
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn follows_announced_changes() {
    let (database, tables) = Database::migrated("notify").await;
    let registry = tables.refresh(HOUR).connect().await.unwrap();
    let key = ApiKey::generate("gw").unwrap();
    assert_eq!(name_of(&registry, key.expose()), None);
    let statement = "INSERT INTO tagging_api_keys (name, secret_sha256) VALUES ('web', decode($1, 'hex'))";
    database.client.execute(statement, &[&key.sha256().to_string()]).await.unwrap();
    wait_until("the key is known", || name_of(&registry, key.expose()).is_some()).await;
    registry.identify(&mut parts(key.expose()), SystemTime::now());

    database.run("UPDATE tagging_api_keys SET disabled = true").await;
    let status = || registry.principal(&parts(key.expose())).status();
    wait_until("the key is disabled", || status() == PrincipalStatus::Disabled).await;
    assert_eq!(registry.report().keys["web"].requests, 1);
    database.run("TRUNCATE tagging_api_keys").await;
    wait_until("the key is unknown", || status() == PrincipalStatus::Unknown).await;
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn the_interval_finds_changes_that_were_not_announced() {
    let (database, tables) = Database::migrated("interval").await;
    database.run("ALTER TABLE tagging_api_keys DISABLE TRIGGER ALL").await;
    let registry = tables.clone().refresh(Duration::from_millis(20)).connect().await.unwrap();
    database.run("INSERT INTO tagging_api_keys (name, secret_sha256) VALUES ('web', sha256('k'))").await;
    wait_until("the key is known", || name_of(&registry, "k").is_some()).await;
    let asked = tables.refresh(HOUR).connect().await.unwrap();
    database.run("INSERT INTO tagging_api_keys (name, secret_sha256) VALUES ('app', sha256('k2'))").await;
    asked.reload().unwrap();
    wait_until("the key is known on request", || name_of(&asked, "k2").is_some()).await;
    wait_until("the key is known", || name_of(&registry, "k2").is_some()).await;
    let before = registry.status();
    wait_until("the state is confirmed", || registry.status().age < before.age).await;
    assert_eq!(registry.status().reloads, before.reloads, "nothing has changed");
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn invalid_rows_leave_the_old_state_in_force() {
    let (database, tables) = Database::migrated("invalid").await;
    database.run("INSERT INTO tagging_api_keys (name, secret_sha256) VALUES ('web', sha256('k'))").await;
    let registry = tables.clone().refresh(HOUR).connect().await.unwrap();
    database.run("UPDATE tagging_api_keys SET permissions = '{logs.vew}'").await;
    wait_until("the problem is reported", || registry.status().last_error.is_some()).await;
    let error = registry.status().last_error.unwrap();
    assert!(error.starts_with("api_keys.web.permissions.0: expected \"analytics.view\""), "{error}");
    assert_eq!(name_of(&registry, "k").as_deref(), Some("web"));
    assert_eq!(tables.connect().await.unwrap_err().to_string(), error);
    database.run("UPDATE tagging_api_keys SET permissions = '{logs.view}'").await;
    wait_until("the problem is solved", || registry.status().last_error.is_none()).await;
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn missing_tables_and_servers_are_errors() {
    let database = Database::new("missing").await;
    let error = PostgresRegistry::from_url(&database.url).unwrap().connect().await.unwrap_err().to_string();
    assert!(error.contains("run `PostgresRegistry::migrate`"), "{error}");
    let secret = "postgres://app:very-secret@127.0.0.1:1/app";
    let error = PostgresRegistry::from_url(secret).unwrap().connect().await.unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:1/app") && !error.contains("very-secret"), "{error}");
    assert!(!PostgresRegistry::from_url("postgres://:very-secret@").unwrap_err().to_string().contains("secret"));
}

/// Forwards connections to the server, until it is stopped.
struct Proxy {
    address: std::net::SocketAddr,
    task: JoinHandle<()>,
}

impl Proxy {
    async fn start(address: &str, server: String) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let mut server = TcpStream::connect(&server).await.unwrap();
                connections.spawn(async move { drop(copy_bidirectional(&mut client, &mut server).await) });
            }
        });
        Self { address, task }
    }

    async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn a_lost_database_leaves_the_last_state_in_force() {
    let (database, tables) = Database::migrated("lost").await;
    database.run("INSERT INTO tagging_api_keys (name, secret_sha256) VALUES ('web', sha256('k'))").await;
    let (_, rest) = database.url.split_once('@').unwrap();
    let (server, path) = rest.split_once('/').unwrap();
    let proxy = Proxy::start("127.0.0.1:0", server.to_owned()).await;
    let address = proxy.address;
    drop(tables);
    let tables = PostgresRegistry::from_url(&format!("postgres://postgres@{address}/{path}")).unwrap();
    let registry = tables.refresh(HOUR).connect().await.unwrap();

    proxy.stop().await;
    wait_until("the loss is reported", || registry.status().last_error.is_some()).await;
    assert_eq!(name_of(&registry, "k").as_deref(), Some("web"));
    let age = registry.status().age;
    wait_until("the age grows", || registry.status().age > age + Duration::from_millis(50)).await;
    let shown = registry.status().to_string();
    assert!(shown.contains("; the last attempt to load it failed: cannot read the registry from"), "{shown}");

    database.run("INSERT INTO tagging_api_keys (name, secret_sha256) VALUES ('app', sha256('k2'))").await;
    let proxy = Proxy::start(&address.to_string(), server.to_owned()).await;
    wait_until("the database is found again", || name_of(&registry, "k2").is_some()).await;
    assert_eq!(registry.status().last_error, None);
    // Changes are announced again.
    database.run("DELETE FROM tagging_api_keys WHERE name = 'app'").await;
    wait_until("the key is gone", || name_of(&registry, "k2").is_none()).await;
    proxy.stop().await;
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn the_connection_closes_with_the_last_handle() {
    let (database, tables) = Database::migrated("close").await;
    let registry = tables.refresh(HOUR).connect().await.unwrap();
    let count = || async {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()";
        database.client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    let handle = registry.clone();
    drop(registry);
    assert_eq!(count().await, 2);
    drop(handle);
    let end = Instant::now() + Duration::from_secs(30);
    while count().await != 1 {
        assert!(Instant::now() < end, "the connection is closed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
