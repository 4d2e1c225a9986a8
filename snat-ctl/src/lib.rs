//! snat-ctl
