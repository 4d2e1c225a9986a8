//! What each view is sorted by.

use crate::{
    cli::top::{TopSort, View},
    datapath::{Order, Sort, TalkerSort},
};

/// One order for each view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Orders([ViewOrder; View::ALL.len()]);

/// A view's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ViewOrder {
    pub(super) sort: TopSort,
    pub(super) reverse: bool,
}

impl Default for Orders {
    fn default() -> Self {
        Self(View::ALL.map(|view| ViewOrder {
            sort: view.sorts()[0],
            reverse: false,
        }))
    }
}

impl Orders {
    pub(super) fn of(&self, view: View) -> ViewOrder {
        self.0[view as usize]
    }

    /// False if that view can't be sorted so.
    pub(super) fn set(&mut self, view: View, sort: TopSort) -> bool {
        self.0[view as usize].sort = sort;
        view.sorts().contains(&sort)
    }

    /// The next of what the view can be sorted by.
    pub(super) fn next(&mut self, view: View) {
        let order = &mut self.0[view as usize];
        let sorts = view.sorts();
        let at = sorts.iter().position(|sort| *sort == order.sort);
        order.sort = sorts[at.map_or(0, |at| (at + 1) % sorts.len())];
    }

    pub(super) fn reverse(&mut self, view: View) {
        self.0[view as usize].reverse ^= true;
    }

    /// That of [`View::Flows`].
    pub(super) fn flows(&self) -> Order {
        let ViewOrder { sort, reverse } = self.of(View::Flows);
        let sort = match sort {
            TopSort::Bytes => Sort::Bytes,
            TopSort::Packets => Sort::Packets,
            TopSort::Age => Sort::Age,
            TopSort::Idle => Sort::Idle,
            TopSort::Client => Sort::Client,
            TopSort::Server => Sort::Server,
            TopSort::State => Sort::State,
            _ => Sort::Rate,
        };
        Order { sort, reverse }
    }

    /// That of [`View::Sources`] or [`View::Destinations`].
    pub(super) fn talkers(&self, view: View) -> (TalkerSort, bool) {
        let ViewOrder { sort, reverse } = self.of(view);
        let sort = match sort {
            TopSort::Packets => TalkerSort::Packets,
            TopSort::Flows => TalkerSort::Flows,
            TopSort::Bytes => TalkerSort::Bytes,
            TopSort::Address => TalkerSort::Address,
            _ => TalkerSort::Rate,
        };
        (sort, reverse)
    }
}
