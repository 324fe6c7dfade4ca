//! The targets, a file for each.

pub mod addresses;
pub mod cron;
pub mod headers;
pub mod history;
pub mod machine;
pub mod pages;
pub mod query;
pub mod requests;
pub mod rows;
pub mod settings;
pub mod tokens;
pub mod values;

use crate::Target;

/// In the order of what they stand on: text first, a whole server last.
pub const TARGETS: &[Target] = &[
    Target { name: "query", what: "queries of lists and conditions of rules", run: query::run, seeds: none },
    Target { name: "values", what: "values of search attributes", run: values::run, seeds: none },
    Target { name: "cron", what: "cron schedules", run: cron::run, seeds: none },
    Target { name: "settings", what: "dynamic configuration", run: settings::run, seeds: none },
    Target { name: "headers", what: "what calls say of themselves", run: headers::run, seeds: none },
    Target {
        name: "addresses",
        what: "addresses to call, and the rules for them",
        run: addresses::run,
        seeds: none,
    },
    Target { name: "tokens", what: "tokens of tasks and pages", run: tokens::run, seeds: tokens::seeds },
    Target { name: "rows", what: "stored rows, whole and damaged", run: rows::run, seeds: none },
    Target { name: "history", what: "events folded into a run", run: history::run, seeds: none },
    Target { name: "machine", what: "commands and messages of workers", run: machine::run, seeds: none },
    Target { name: "requests", what: "calls to a whole server", run: requests::run, seeds: none },
    Target {
        name: "pages",
        what: "requests to the pages, and what a server answers them",
        run: pages::run,
        seeds: none,
    },
];

fn none() -> Vec<Vec<u8>> {
    Vec::new()
}
