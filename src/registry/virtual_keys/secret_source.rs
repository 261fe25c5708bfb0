use std::{env, fs, path::PathBuf};

use super::credential::Credential;

/// The place of a secret.
#[derive(Clone, Debug)]
pub(crate) enum SecretSource {
    Env(String),
    File(PathBuf),
    Given(Credential),
}

impl SecretSource {
    /// Reads the secret, without the line break at its end. The error does not quote it.
    pub(crate) fn read(&self) -> Result<Credential, String> {
        let (text, place) = match self {
            Self::Given(credential) => return Ok(credential.clone()),
            Self::Env(name) => {
                let text = env::var(name).map_err(|error| match error {
                    env::VarError::NotPresent => "the environment variable is not set".to_owned(),
                    env::VarError::NotUnicode(_) => "the environment variable is not valid UTF-8".to_owned(),
                })?;
                (text, "environment variable")
            }
            Self::File(path) => {
                let text = fs::read_to_string(path).map_err(|error| format!("cannot read the file ({error})"))?;
                (text, "file")
            }
        };
        let text = text.trim_ascii();
        if text.is_empty() {
            return Err(format!("the {place} is empty"));
        }
        if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Credential::new(text))
        } else {
            Err(format!("the {place} is not a secret: expected visible ASCII characters without spaces"))
        }
    }
}
