//! `snat-ctl flows list`: memory for what is shown, not for what is there.

use anyhow::Context as _;

use super::{rows, selected};
use crate::{
    cli::flows::FlowsListArgs,
    datapath::{Best, Flow, Order, Pins, Scan, Sort},
    output,
};

/// So many are sorted without being asked; more are printed as they come, so many at a time.
const PAGE: usize = 10_000;

pub(super) fn execute(pins: &Pins, args: &FlowsListArgs) -> anyhow::Result<()> {
    let rates = args.sort == Some(Sort::Rate);
    let scan = selected(pins, &args.filter, rates, args.interval);
    let scan = scan.context("cannot list the flows")?;
    let mut listing = Listing {
        json: args.json,
        rates: rates || args.filter.min_rate.is_some(),
        shown: 0,
    };
    let order = Order {
        sort: args.sort.unwrap_or(Sort::Client),
        reverse: args.reverse,
    };
    if args.sort.is_some() || args.reverse || args.limit.is_some() {
        let limit = args.limit.unwrap_or(usize::MAX);
        first(&scan, order, limit, &mut listing)
    } else {
        all(&scan, order, &mut listing)
    }
}

/// The first of an order.
fn first(scan: &Scan, order: Order, limit: usize, listing: &mut Listing) -> anyhow::Result<()> {
    let mut matched = 0;
    let mut best = Best::new(order, limit);
    scan.for_each(|flow| {
        matched += 1;
        best.offer(flow);
    })
    .context("cannot list the flows")?;
    for page in best.into_sorted().chunks(PAGE) {
        listing.page(page)?;
    }
    listing.end(matched, "")
}

/// All of them: in order if they are few.
fn all(scan: &Scan, order: Order, listing: &mut Listing) -> anyhow::Result<()> {
    let mut page: Vec<Flow> = Vec::new();
    let mut printed = Ok(());
    scan.for_each(|flow| {
        page.push(flow.clone());
        // One more shows that there are more.
        if page.len() > PAGE && printed.is_ok() {
            printed = listing.page(&page[..PAGE]);
        }
        if page.len() > PAGE {
            page.drain(..PAGE);
        }
    })
    .context("cannot list the flows")?;
    printed?;
    let unsorted = listing.shown > 0;
    if !unsorted {
        page.sort_unstable_by(|a, b| order.compare(a, b));
    }
    listing.page(&page)?;
    let note = if unsorted {
        ", in the table's order; --sort sorts them, --limit shows the first"
    } else {
        ""
    };
    listing.end(listing.shown, note)
}

/// What is on standard output so far.
struct Listing {
    json: bool,
    rates: bool,
    shown: u64,
}

impl Listing {
    fn page(&mut self, flows: &[Flow]) -> anyhow::Result<()> {
        let text = if self.json {
            self.objects(flows)?
        } else {
            self.rows(flows)
        };
        self.shown += flows.len() as u64;
        output::print(&text)
    }

    fn objects(&self, flows: &[Flow]) -> anyhow::Result<String> {
        let mut text = String::new();
        for (index, flow) in flows.iter().enumerate() {
            let first = self.shown == 0 && index == 0;
            text += if first { "[\n" } else { ",\n" };
            text += &serde_json::to_string(flow)?;
        }
        Ok(text)
    }

    /// Titles once.
    fn rows(&self, flows: &[Flow]) -> String {
        let table = rows::table(flows, self.rates);
        let skipped = usize::from(self.shown > 0);
        let lines = table.split_inclusive('\n').skip(skipped);
        lines.collect::<String>() + "\n"
    }

    fn end(&mut self, matched: u64, note: &str) -> anyhow::Result<()> {
        if self.json {
            return output::print(if self.shown == 0 { "[]\n" } else { "\n]\n" });
        }
        if self.shown == 0 {
            self.page(&[])?;
        }
        let all = rows::count(matched);
        output::print(&if self.shown == matched {
            format!("\n{all}{note}\n")
        } else {
            format!("\n{} of {all}{note}\n", self.shown)
        })
    }
}
