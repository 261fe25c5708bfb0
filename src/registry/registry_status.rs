use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// The source of a [`Registry`](super::Registry), and how current its state is.
///
/// Its text is a single line for logs and health checks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryStatus {
    /// The source: `code`, the path of a file, or the address of a database without its password.
    pub source: String,
    /// The time at which the state came into force.
    pub loaded_at: SystemTime,
    /// The time since the state was last read from the source, or found to be unchanged there.
    ///
    /// A state from code is always current.
    pub age: Duration,
    /// The reason why the last attempt to load the source failed. `None` if it succeeded.
    pub last_error: Option<String>,
    /// The number of API keys.
    pub keys: usize,
    /// The number of workspaces.
    pub workspaces: usize,
    /// The number of virtual keys.
    pub virtual_keys: usize,
    /// The number of times that the state was replaced.
    pub reloads: u64,
}

impl fmt::Display for RegistryStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, age, keys, workspaces, virtual_keys, .. } = self;
        let age = humantime::format_duration(Duration::from_secs(age.as_secs()));
        write!(f, "{source}: {keys} keys, {workspaces} workspaces, {virtual_keys} virtual keys, {age} old")?;
        self.last_error.as_ref().map_or(Ok(()), |error| write!(f, "; the last attempt to load it failed: {error}"))
    }
}
