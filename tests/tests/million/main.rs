//! With a million flows the commands that look are quick and small, and cost the packets next to nothing.

mod cost;
mod looks;
mod scrapes;
mod table;
