//! snat-tests
