//! Which packets a trace shows.

use super::{Found, Story, UNASKED};
use crate::flow::Addr;

/// Which packets are shown; each part left at its widest admits all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Number of a [`crate::Protocol`], or [`UNASKED`].
    pub protocol: u32,
    /// The client.
    pub client: End,
    /// The server.
    pub server: End,
    /// What the server sees of the client.
    pub external: End,
}

/// An endpoint's part of a [`Filter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Prefix: its address.
    pub net: Addr,
    /// And its mask; zero admits every address.
    pub mask: Addr,
    /// The port, or [`UNASKED`].
    pub port: u32,
}

/// How many numbers a [`Filter`] is handed over as.
pub const FILTER_WORDS: usize = 10;

impl Filter {
    /// Everything.
    pub const ALL: Self = Self {
        protocol: UNASKED,
        client: End::ANY,
        server: End::ANY,
        external: End::ANY,
    };

    /// As numbers, for a program's constants.
    #[must_use]
    pub fn words(&self) -> [u32; FILTER_WORDS] {
        let [c, s, e] = [self.client, self.server, self.external].map(End::words);
        [
            self.protocol,
            c[0],
            c[1],
            c[2],
            s[0],
            s[1],
            s[2],
            e[0],
            e[1],
            e[2],
        ]
    }

    /// From those.
    #[inline(always)]
    #[must_use]
    pub fn of(words: [u32; FILTER_WORDS]) -> Self {
        let [protocol, c0, c1, c2, s0, s1, s2, e0, e1, e2] = words;
        Self {
            protocol,
            client: End::of(c0, c1, c2),
            server: End::of(s0, s1, s2),
            external: End::of(e0, e1, e2),
        }
    }

    /// Whether the packet is to be shown, whichever way it goes. What is asked for and not known of it is not so: a
    /// packet from outside that has no flow is no client's.
    #[inline(always)]
    #[must_use]
    pub fn admits(&self, story: &Story) -> bool {
        let key = &story.key;
        if self.protocol != UNASKED && self.protocol != u32::from(key.protocol as u8) {
            return false;
        }
        let src = Some((key.src, key.src_port));
        let dst = Some((key.dst, key.dst_port));
        let target =
            (story.found != Found::Nothing as u8).then_some((story.target, story.target_port));
        let is_in = story.found == Found::In as u8;
        let is_out = story.found == Found::Out as u8;
        let out = !is_in
            && self.client.admits(src)
            && self.server.admits(dst)
            && self.external.admits(target);
        out || !is_out
            && self.client.admits(target)
            && self.server.admits(src)
            && self.external.admits(dst)
    }
}

impl End {
    /// Any.
    pub const ANY: Self = Self {
        net: [0; 4],
        mask: [0; 4],
        port: UNASKED,
    };

    fn words(self) -> [u32; 3] {
        [
            u32::from_ne_bytes(self.net),
            u32::from_ne_bytes(self.mask),
            self.port,
        ]
    }

    #[inline(always)]
    const fn of(net: u32, mask: u32, port: u32) -> Self {
        Self {
            net: net.to_ne_bytes(),
            mask: mask.to_ne_bytes(),
            port,
        }
    }

    #[inline(always)]
    fn admits(&self, end: Option<(Addr, u16)>) -> bool {
        let Some((addr, port)) = end else {
            return self.mask == [0; 4] && self.port == UNASKED;
        };
        let masked = u32::from_ne_bytes(addr) & u32::from_ne_bytes(self.mask);
        masked == u32::from_ne_bytes(self.net)
            && (self.port == UNASKED || self.port == u32::from(port))
    }
}

#[cfg(test)]
mod tests {
    use super::{End, FILTER_WORDS, Filter, Found, Story};
    use crate::{
        flow::{Addr, FlowKey, Protocol},
        trace::Program,
    };

    const CLIENT: Addr = [172, 16, 4, 9];
    const SERVER: Addr = [192, 0, 2, 1];
    const EXTERNAL: Addr = [203, 0, 113, 10];

    fn story(found: Found) -> Story {
        let mut story = Story::of(FlowKey::NONE, Program::Slow as u8, 2, 3, 5);
        story.key.protocol = Protocol::Tcp;
        story.found = found as u8;
        if found == Found::In {
            (story.key.src, story.key.src_port) = (SERVER, 443);
            (story.key.dst, story.key.dst_port) = (EXTERNAL, 32001);
            (story.target, story.target_port) = (CLIENT, 4000);
        } else {
            (story.key.src, story.key.src_port) = (CLIENT, 4000);
            (story.key.dst, story.key.dst_port) = (SERVER, 443);
            (story.target, story.target_port) = (EXTERNAL, 32001);
        }
        story
    }

    fn end(net: Addr, mask: Addr, port: u32) -> End {
        End { net, mask, port }
    }

    const HOST: Addr = [255; 4];
    const ANY_PORT: u32 = super::UNASKED;

    #[test]
    fn a_client_is_matched_by_its_packets_and_by_the_answers_that_have_its_flow() {
        let filter = Filter {
            client: end([172, 16, 4, 0], [255, 255, 255, 0], ANY_PORT),
            server: end([0; 4], [0; 4], 443),
            protocol: Protocol::Tcp as u32,
            ..Filter::ALL
        };
        for found in [Found::Out, Found::In, Found::Nothing] {
            assert!(filter.admits(&story(found)), "{found:?}");
        }
        let mut stray = story(Found::In);
        stray.found = Found::Nothing as u8;
        assert!(!filter.admits(&stray), "nobody knows whose it is");
        let mut other = story(Found::Out);
        other.key.src = [172, 16, 5, 9];
        assert!(!filter.admits(&other));
        other = story(Found::In);
        other.key.src_port = 80;
        assert!(!filter.admits(&other));
        other = story(Found::In);
        other.key.protocol = Protocol::Udp;
        assert!(!filter.admits(&other));
    }

    #[test]
    fn an_external_port_is_matched_from_outside_and_as_soon_as_it_is_known() {
        let filter = Filter {
            external: end(EXTERNAL, HOST, 32001),
            ..Filter::ALL
        };
        for found in [Found::Out, Found::In] {
            assert!(filter.admits(&story(found)), "{found:?}");
        }
        assert!(!filter.admits(&story(Found::Nothing)));
        let mut stray = story(Found::In);
        stray.found = Found::Nothing as u8;
        assert!(filter.admits(&stray), "it was sent to that port");
    }

    #[test]
    fn a_filter_comes_back_from_its_numbers() {
        let filter = Filter {
            client: end(CLIENT, HOST, 4000),
            ..Filter::ALL
        };
        let words: [u32; FILTER_WORDS] = filter.words();
        assert_eq!(Filter::of(words), filter);
    }
}
