//! The pages, one file each.

mod explore;
mod latest;
mod overview;
mod paths;
mod request;
mod requests;
mod trace;

pub(crate) use self::{
    explore::{explore, explore_csv},
    latest::Latest,
    overview::overview,
    paths::session_href,
    request::request,
    requests::requests,
    trace::{session, trace},
};
