//! A real OpenID provider: the Python package `oidc-provider-mock`.

#![allow(dead_code, reason = "each test uses its part")]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// A running provider. Its users have claims, and any client may log them in.
pub(crate) struct OidcProvider {
    child: Child,
    pub(crate) port: u16,
}

impl OidcProvider {
    /// Starts a provider on a free port, with the Python of the environment variable `OIDC_PYTHON`.
    pub(crate) fn start(users: &[Value]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::start_at(port, users)
    }

    /// Each provider creates a new key, so a restart is a key rotation.
    pub(crate) fn start_at(port: u16, users: &[Value]) -> Self {
        let python = std::env::var("OIDC_PYTHON").expect("OIDC_PYTHON is the path of a Python with oidc-provider-mock");
        let mut command = Command::new(python);
        command.args(["-W", "ignore", "-m", "oidc_provider_mock", "--port", &port.to_string()]);
        for user in users {
            command.args(["--user-claims", &user.to_string()]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut this = Self { child, port };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the provider does not start");
            assert!(this.child.try_wait().unwrap().is_none(), "the provider ended: is oidc-provider-mock installed?");
            std::thread::sleep(Duration::from_millis(50));
        }
        this
    }

    /// Returns the provider's description of itself (OpenID Connect Discovery).
    pub(crate) fn discovery(&self) -> Value {
        let (status, _, body) = self.send("GET", "/.well-known/openid-configuration", &[]);
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Logs a user in with the authorization code flow, and returns the id token for the client.
    pub(crate) fn id_token(&self, client: &str, user: &str) -> String {
        let redirect = "http://localhost/callback";
        let query = form(&[
            ("client_id", client),
            ("redirect_uri", redirect),
            ("response_type", "code"),
            ("scope", "openid email"),
            ("state", "some-state"),
        ]);
        let (status, head, body) = self.send("POST", &format!("/oauth2/authorize?{query}"), &[("sub", user)]);
        assert_eq!(status, 302, "{body}");
        let location = head.lines().find_map(|line| line.strip_prefix("Location: ")).expect(&head);
        assert!(location.contains("state=some-state"), "{location}");
        let code = location.split(['?', '&']).find_map(|pair| pair.strip_prefix("code=")).expect(location);
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
            ("client_id", client),
            ("client_secret", "any"),
        ];
        let (status, _, body) = self.send("POST", "/oauth2/token", &fields);
        assert_eq!(status, 200, "{body}");
        let tokens: Value = serde_json::from_str(&body).unwrap();
        tokens["id_token"].as_str().unwrap().to_owned()
    }

    /// Sends a request. Returns status, head, and body of the response.
    fn send(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> (u16, String, String) {
        let body = form(fields);
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: localhost:{}\r\nconnection: close\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.replace('\r', ""), body.to_owned())
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a user with claims that are not standard.
pub(crate) fn user(name: &str, organization: &str) -> Value {
    json!({
        "sub": name, "email": format!("{name}@{organization}.example"), "org": { "id": organization },
        "groups": ["growth", "ads"]
    })
}

fn form(fields: &[(&str, &str)]) -> String {
    let encoded = |text: &str| {
        let bytes = text.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        });
        bytes.collect::<String>()
    };
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    fields.join("&")
}
