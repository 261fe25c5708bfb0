mod claims;
mod otherwise;

pub use self::{claims::Claims, otherwise::Otherwise};
