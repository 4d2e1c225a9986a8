//! Live connections change hands: from the kernel's NAT to the gateway (`adopt`), and back (`unload --hand-back`).

mod fate;
mod hand_back;
mod judge;
mod take;
mod tally;

pub use self::{
    fate::{Fate, Reason},
    hand_back::{HandedBack, hand_back},
    judge::Judge,
    take::{Taken, Taker, plan},
    tally::{Cut, Example, Tally},
};
