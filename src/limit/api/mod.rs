//! The endpoints of limits, next to those of [`Api`](crate::analytics::api::Api).
//!
//! | endpoint | permission |
//! |---|---|
//! | `GET /limits`: budgets with their groups, and rates | `analytics.view` |
//! | `POST` and `GET /policies/usage-limits`, `GET`, `PUT`, and `DELETE /policies/usage-limits/{id}` | `admin` |
//! | `POST` and `GET /policies/rate-limits`, `GET`, `PUT`, and `DELETE /policies/rate-limits/{id}` | `admin` |
//! | `GET /policies/usage-limits/{id}/entities`, `PUT /policies/usage-limits/{id}/entities/{entity_id}/reset` | `admin` |

mod done;
mod endpoints;
mod entities;
mod key_limits;
mod limit_api;
mod limit_group;
mod limits;
mod parameters;
mod policies;
mod rate_limits;
mod rate_shape;
mod reset;
mod usage_limits;
mod usage_shape;
