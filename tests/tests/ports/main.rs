//! Every port is used before a client is refused, none twice, and none sooner than it may be (RFC 4787, 5382, 6888).

mod choice;
mod crowd;
mod exhausted;
mod ground;
mod rate;
mod returned;
mod used_up;
