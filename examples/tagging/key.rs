use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use serde_json::json;
use tower_tagging::registry::ApiKey;

use crate::{failure::Failure, print, print_json};

/// Creates API keys for a registry.
#[derive(Debug, Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Creates a key. It is printed once, on standard error, and the lines for the configuration file on standard output
    New {
        /// The name of the key
        name: String,
        /// The start of the key, such as the name of the service
        #[arg(default_value = "tt")]
        prefix: String,
        /// Prints an object with the name, the key, and its SHA-256 on standard output
        #[arg(long)]
        json: bool,
    },
}

impl Key {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let KeyCommand::New { name, prefix, json } = &self.command;
        let key = ApiKey::generate(prefix).map_err(|error| Failure::Usage(error.to_string()))?;
        if *json {
            let sha256 = key.sha256().to_string();
            print_json(&json!({ "name": name, "key": key.expose(), "sha256": sha256 }))?;
            return Ok(ExitCode::SUCCESS);
        }
        let shown = key.expose();
        let text =
            format!("The API key {name:?}, which is not shown again:\n\n    {shown}\n\nFor the configuration file:\n");
        writeln!(io::stderr(), "{text}")?;
        print(&format!(
            "[api_keys.{}]\n\
             secrets = [{{ sha256 = \"{}\" }}]\n\
             # workspace = \"acme\"\n\
             # metadata = {{ team = \"growth\" }}\n\
             # claims = {{ allow = [\"_user\", \"feature\"], otherwise = \"drop\" }}\n",
            toml_key(name),
            key.sha256()
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns the name as a TOML key, quoted if needed.
fn toml_key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    // A JSON string is a basic string of TOML.
    if is_bare { name.to_owned() } else { serde_json::Value::from(name).to_string() }
}
