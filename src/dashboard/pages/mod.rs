//! The pages, one file each.

mod access;
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
mod showback;
mod tables;
mod trace;

pub(crate) use self::{
    access::access,
    budgets::budgets,
    by_key::by_key,
    compare::compare,
    explore::{explore, explore_csv},
    health::health,
    keys::{activate, deactivate, keys},
    latest::Latest,
    overview::overview,
    paths::{by_href, session_href},
    request::request,
    requests::requests,
    showback::showback,
    trace::{session, trace},
};
