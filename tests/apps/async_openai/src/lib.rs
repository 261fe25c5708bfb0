//! The example, as the docs page has it.

include!(concat!(env!("OUT_DIR"), "/example.rs"));
