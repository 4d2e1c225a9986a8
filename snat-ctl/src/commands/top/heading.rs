//! The lines that every view has on top: the instance, its rates, and how full it is.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Stylize as _,
    text::{Line, Span},
    widgets::Widget as _,
};

use super::{look::Seen, state::State};
use crate::{
    commands::words::{amount, bare, rate, share},
    health::Rates,
};

/// How many there are, an empty one among them.
pub(super) const LINES: u16 = 4;

pub(super) fn render(state: &State, area: Rect, buffer: &mut Buffer) {
    let [first, out, into, _] = area.rows().collect::<Vec<_>>()[..] else {
        return;
    };
    instance(state).render(first, buffer);
    Line::from(pace(state))
        .right_aligned()
        .render(first, buffer);
    if let Some(seen) = &state.seen {
        let [upper, lower] = numbers(seen);
        upper.render(out, buffer);
        lower.render(into, buffer);
    }
}

fn instance(state: &State) -> Line<'_> {
    let daemon = match state.seen.as_ref().map(|seen| seen.daemon) {
        None => Span::raw(""),
        Some(Some(pid)) => Span::raw(format!("  daemon {pid}")),
        Some(None) => Span::raw("  daemon stopped").yellow(),
    };
    let name = Span::raw(state.name.as_str()).bold();
    Line::from(vec![Span::raw("snat-ctl top  "), name, daemon])
}

/// How often it looks, and when it last did.
fn pace(state: &State) -> Vec<Span<'_>> {
    let took = state.stretched();
    let every = state.pause(took.unwrap_or_default());
    let mut pace = format!("every {:.1} s", every.as_secs_f64());
    if let Some(took) = took {
        pace += &format!(", a look takes {:.1} s", took.as_secs_f64());
    }
    let paused = if state.paused {
        Span::raw(" paused ").reversed()
    } else {
        Span::raw(pace)
    };
    let time = state.seen.as_ref().and_then(|seen| seen.time.get(11..19));
    let time = time.map_or_else(String::new, |time| format!("  {time} UTC"));
    vec![paused, Span::raw(time)]
}

fn numbers(seen: &Seen) -> [Line<'static>; 2] {
    let rates = seen.rates.as_ref();
    let per_second = |of: fn(&Rates) -> f64| {
        rates.map_or_else(|| "-".to_owned(), |rates| format!("{}/s", bare(of(rates))))
    };
    let way = |title, packets: fn(&Rates) -> f64, bits: fn(&Rates) -> f64| {
        let packets = rates.map_or("-".to_owned(), |of| amount(packets(of)) + "pps");
        let bits = rates.map_or("-".to_owned(), |of| rate(bits(of)));
        format!("{title:<4}{packets:>10}{bits:>13}")
    };
    let out = way("out", |of| of.packets_out, |of| of.bits_out);
    let into = way("in", |of| of.packets_in, |of| of.bits_in);
    // The sum of nothing would be -0.
    let lost = |of: &Rates| of.dropped().fold(0.0, |sum, (_, rate)| sum + rate);
    let (flows, clients) = (share(seen.flows), seen.clients.used);
    let (new, drops) = (per_second(|of| of.new_flows), per_second(lost));
    let drops = Span::raw(format!("drops{drops:>9}"));
    let is_losing = rates.is_some_and(|of| lost(of) > 0.0);
    [
        Line::from(format!("{out}  flows   {flows:<28} new  {new:>9}")),
        Line::from(vec![
            Span::raw(format!("{into}  clients {clients:<28} ")),
            if is_losing { drops.yellow() } else { drops },
        ]),
    ]
}
