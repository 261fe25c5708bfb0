//! Tests of the reload of a registry.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

use http::{Request, request::Parts};
use tower_tagging::{
    metadata::Scope,
    registry::{RegisteredKey, Registry, SecretDigest, VirtualKeyStatus, Workspace},
    tagging::Admission,
};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tower-tagging-reload-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        // Readers never see half of a file.
        let (path, new) = (self.0.join(name), self.0.join(format!("{name}.new")));
        fs::write(&new, text).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn parts(key: &str) -> Parts {
    Request::builder().header("x-portkey-api-key", key).body(()).unwrap().into_parts().0
}

/// Counts a request.
fn count(registry: &Registry, key: &str) {
    registry.identify(&mut parts(key), SystemTime::now());
}

/// A configuration whose key and workspace carry the same version.
fn config(version: &str) -> String {
    format!(
        "[workspaces.acme]\nmetadata = {{ version = \"{version}\" }}\n\
         [api_keys.web]\nworkspace = \"acme\"\nsecrets = [{{ sha256 = \"{}\" }}]\nmetadata = {{ key_version = \"{version}\" }}\n",
        SecretDigest::of("k1")
    )
}

fn version(registry: &Registry) -> String {
    registry.principal(&parts("k1")).scopes().get(Scope::ApiKey)["key_version"].to_owned()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_broken_file_leaves_the_old_state_in_force() {
    let folder = Folder::new("broken");
    let path = folder.write("gateway.toml", &config("1"));
    let registry = Registry::from_file(&path).unwrap();
    assert_eq!(registry.status().last_error, None);

    folder.write("gateway.toml", &config("2").replace("workspace =", "workspce ="));
    let error = registry.reload().unwrap_err().to_string();
    assert!(error.contains("gateway.toml:4:1: unknown key \"workspce\""), "{error}");
    assert_eq!(version(&registry), "1");
    let status = registry.status();
    assert_eq!((status.last_error, status.reloads, status.keys, status.workspaces), (Some(error), 0, 1, 1));

    folder.write("gateway.toml", &config("2"));
    registry.reload().unwrap();
    assert_eq!(version(&registry), "2");
    let status = registry.status();
    assert_eq!((status.last_error, status.reloads), (None, 1));
    fs::remove_file(&path).unwrap();
    assert!(registry.reload().unwrap_err().to_string().contains("cannot read the file"));
    assert_eq!(version(&registry), "2");
}

#[test]
fn counters_and_states_continue_after_a_reload() {
    let folder = Folder::new("counters");
    let virtual_key = "[virtual_keys.v]\nprovider = \"p\"\nbase_url = \"https://h.example\"\nsecret_file = \"v.key\"\n";
    folder.write("v.key", "secret-1");
    let path = folder.write("gateway.toml", &format!("{}{virtual_key}", config("1")));
    let registry = Registry::from_file(path).unwrap();
    let before = registry.principal(&parts("k1"));
    count(&registry, "k1");
    count(&registry, "other");
    registry.set_virtual_key_status("v", VirtualKeyStatus::Exhausted);

    folder.write("gateway.toml", &format!("{}{virtual_key}", config("2")));
    registry.reload().unwrap();
    count(&registry, "k1");
    let report = registry.report();
    assert_eq!(report.keys["web"].requests, 2);
    assert_eq!((report.workspaces["acme"].requests, report.anonymous.requests), (2, 1));
    assert_eq!(registry.virtual_key_statuses(SystemTime::now())["v"], VirtualKeyStatus::Exhausted);
    assert_eq!(&before.scopes().get(Scope::ApiKey)["key_version"], "1");
}

/// An editor or script may truncate the file before it writes it.
#[test]
fn a_watched_file_that_is_empty_or_lost_its_keys_is_not_loaded() {
    let folder = Folder::new("truncated");
    let path = folder.write("gateway.toml", &config("1"));
    let registry = Registry::from_file(path).unwrap();
    registry.watch(Duration::from_millis(5)).unwrap();
    for (text, reason) in [("", "the file is empty"), ("[access]\nunknown_keys = \"anonymous\"\n", "has no API keys")] {
        folder.write("gateway.toml", text);
        let fails = || registry.status().last_error.is_some_and(|error| error.contains(reason));
        wait_until("the error is reported", fails);
        assert_eq!(version(&registry), "1");
    }
    // On request, the keys are removed.
    registry.reload().unwrap();
    assert_eq!(registry.status().keys, 0);
}

#[test]
fn a_watched_file_is_reloaded_when_its_content_or_that_of_a_secret_changes() {
    let folder = Folder::new("watch");
    let virtual_key = "[virtual_keys.v]\nprovider = \"p\"\nbase_url = \"https://h.example\"\nsecret_file = \"v.key\"\n";
    folder.write("v.key", "secret-1");
    let path = folder.write("gateway.toml", &format!("{}{virtual_key}", config("1")));
    let registry = Registry::from_file(path).unwrap();
    registry.watch(Duration::from_millis(5)).unwrap();

    folder.write("gateway.toml", &format!("{}{virtual_key}", config("2")));
    wait_until("the file is reloaded", || version(&registry) == "2");
    let secret = || {
        let principal = registry.principal(&parts("k1"));
        principal.virtual_key("v").unwrap().secret().map(|secret| secret.expose().to_owned())
    };
    folder.write("v.key", "secret-2");
    wait_until("the secret is read again", || secret().as_deref() == Some("secret-2"));

    // The file is valid again as soon as the secret exists, although the file itself does not change.
    fs::remove_file(folder.0.join("v.key")).unwrap();
    wait_until("the error is reported", || registry.status().last_error.is_some());
    assert_eq!(secret().as_deref(), Some("secret-2"));
    folder.write("v.key", "secret-3");
    wait_until("the error is gone", || registry.status().last_error.is_none());
    assert_eq!(secret().as_deref(), Some("secret-3"));
}

#[test]
fn requests_during_reloads_see_one_state() {
    let folder = Folder::new("load");
    let path = folder.write("gateway.toml", &config("0"));
    let registry = Registry::from_file(path).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let head = parts("k1");
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let principal = registry.principal(&head);
                    let scopes = principal.scopes();
                    let version = &scopes.get(Scope::ApiKey)["key_version"];
                    assert_eq!(&scopes.get(Scope::Workspace)["version"], version);
                    let number: u32 = version.parse().unwrap();
                    assert!(number >= last, "states never go back");
                    last = number;
                }
            });
        }
        for version in 1..200 {
            folder.write("gateway.toml", &config(&version.to_string()));
            registry.reload().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!((version(&registry), registry.status().reloads), ("199".to_owned(), 199));
}

/// Other modules read other sections of the file, and may refuse it.
#[test]
fn a_file_that_another_module_refuses_is_not_loaded() {
    let folder = Folder::new("checks");
    let path = folder.write("gateway.toml", &config("0"));
    let registry = Registry::from_file(&path).unwrap();
    registry.also_check(|path| {
        let text = fs::read_to_string(path).unwrap();
        assert!(!text.contains("panic"));
        if text.contains("fortnight") { Err("limits: no fortnights") } else { Ok(()) }
    });
    for (comment, reason) in [("# fortnight", "no fortnights"), ("# panic", "panicked")] {
        folder.write("gateway.toml", &format!("{}{comment}\n", config("1")));
        let error = registry.reload().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(registry.status().last_error.unwrap().contains(reason));
        assert_eq!((version(&registry), registry.status().reloads), ("0".to_owned(), 0));
    }
    registry.watch(Duration::from_millis(5)).unwrap();
    folder.write("gateway.toml", &format!("{}# fortnight\n", config("2")));
    wait_until("the error is reported", || {
        registry.status().last_error.is_some_and(|error| error.contains("fortnights"))
    });
    folder.write("gateway.toml", &config("3"));
    wait_until("the file is loaded", || version(&registry) == "3");
    assert_eq!((registry.status().reloads, registry.status().last_error), (1, None));
}

#[test]
fn code_replaces_the_state_and_cannot_be_watched() {
    let key = |name: &str| RegisteredKey::new(name).workspace("acme").secret(SecretDigest::of("k1"));
    let definition = |name: &str| Registry::builder().workspace(Workspace::new("acme")).api_key(key(name));
    let registry = definition("one").build().unwrap();
    let handle = registry.clone();
    count(&registry, "k1");
    handle.replace(definition("two")).unwrap();
    assert_eq!(registry.principal(&parts("k1")).api_key(), Some("two"));
    assert_eq!(registry.report().workspaces["acme"].requests, 1);
    assert!(!registry.report().keys.contains_key("one"));
    assert!(handle.replace(Registry::builder().api_key(key("three"))).is_err());
    assert_eq!(registry.principal(&parts("k1")).api_key(), Some("two"));
    assert!(registry.reload().is_err() && registry.watch(Duration::from_secs(1)).is_err());
    assert_eq!((registry.status().source.as_str(), registry.status().age), ("code", Duration::ZERO));
}
