//! The definitions of workspaces and API keys.

mod permission;
mod permissions;
mod registered_key;
mod workspace;

pub use self::{permission::Permission, permissions::Permissions, registered_key::RegisteredKey, workspace::Workspace};
