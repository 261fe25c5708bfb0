//! The pages, one file each.

mod access;
#[cfg(feature = "limit")]
mod budget_tables;
mod budget_view;
mod budgets;
mod by_key;
mod compare;
mod explore;
mod health;
mod keys;
mod latest;
mod overview;
mod paths;
mod request;
mod requests;
mod sessions;
mod showback;
mod tables;
mod trace;
mod views;

pub(crate) use self::{
    access::access,
    budgets::{budgets, budgets_csv},
    by_key::by_key,
    compare::compare,
    explore::{explore, explore_csv},
    health::health,
    keys::{activate, deactivate, keys},
    latest::Latest,
    overview::overview,
    paths::{SESSION_KEYS, by_href, session_href, showback_href, trace_href},
    request::request,
    requests::requests,
    sessions::sessions,
    showback::showback,
    trace::{session, trace},
    views::{delete_view, rename_view, save_view, share_view, unshare_view, views},
};
