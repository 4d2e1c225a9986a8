use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::super::{
    fixture::{looking, seen, started},
    once::text,
    state::{Editing, State},
};
use crate::cli::top::View;

const SIZES: [(u16, u16); 3] = [(80, 24), (132, 40), (200, 50)];

/// The lines of a screen of that size, each within it.
fn lines(state: &State, (columns, rows): (u16, u16)) -> Vec<String> {
    let text = text(state, columns, rows);
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    println!("{text}");
    assert!(lines.len() <= rows.max(1).into(), "{text}");
    for line in &lines {
        assert!(line.chars().count() <= columns.into(), "{text}");
    }
    lines
}

/// The line that begins with that.
fn line<'a>(lines: &'a [String], begins: &str) -> &'a str {
    let line = lines
        .iter()
        .find(|line| line.trim_start().starts_with(begins));
    line.unwrap_or_else(|| panic!("no line {begins:?} in {lines:#?}"))
}

#[test]
fn every_view_has_the_instance_its_rates_and_the_keys() {
    for size in SIZES {
        for view in View::ALL {
            let mut state = looking(&[]);
            state.view = view;
            let lines = lines(&state, size);
            assert_eq!(lines.len(), usize::from(size.1), "{lines:#?}");
            assert!(lines[0].starts_with("snat-ctl top  blue  daemon 1234"));
            assert!(
                lines[0].ends_with("every 2.0 s  11:09:45 UTC"),
                "{}",
                lines[0]
            );
            let out = line(&lines, "out");
            assert!(out.contains("1.2 Mpps   3.4 Gbit/s"), "{out}");
            assert!(out.contains("3 of 1024 (0.3 %)"), "{out}");
            assert!(out.ends_with("new       12/s"), "{out}");
            let into = line(&lines, "in");
            assert!(into.contains("950 pps 340.0 kbit/s"), "{into}");
            assert!(into.ends_with("drops     12/s"), "{into}");
            assert!(lines[4].contains("5 Flows"), "{}", lines[4]);
            assert!(lines[lines.len() - 1].contains("q quit"), "{lines:#?}");
        }
    }
}

#[test]
fn sources_are_in_order_with_their_rates() {
    let state = looking(&[]);
    let lines = lines(&state, SIZES[0]);
    assert!(lines[4].ends_with("by rate"), "{}", lines[4]);
    let titles = "CLIENT             FLOWS  OUT BIT/S   IN BIT/S      BIT/S      PKT/S      BYTES";
    assert_eq!(lines[5], titles);
    let busy = "172.16.1.11            2      3.4 G    340.0 M      3.7 G    283.3 k     12.3 M";
    assert_eq!(lines[6], busy);
    assert!(lines[7].starts_with("172.16.1.12            9          0"));
    assert!(lines[22].ends_with("2 clients"), "{}", lines[22]);
}

#[test]
fn flows_have_their_ends_state_and_rate_on_the_narrowest_screen_and_more_on_a_wide_one() {
    let state = looking(&["--view", "flows"]);
    let narrow = lines(&state, SIZES[0]);
    let fastest =
        "tcp   172.16.1.11:40002     198.51.100.20:443     established    3.4 G  10s   0s";
    assert_eq!(narrow[6], fastest);
    let wide = lines(&state, SIZES[2]);
    let row = line(&wide, "tcp    172.16.1.11:40002 ");
    assert!(row.contains("203.0.113.10:20000"), "{row}");
    assert!(row.contains("eth1"), "{row}");
}

#[test]
fn pools_tell_when_they_run_out_the_fullest_first() {
    let lines = lines(&looking(&["--view", "pools"]), SIZES[0]);
    let udp = "203.0.113.10    udp      all servers              900    100   90.0     in 3m";
    assert_eq!(lines[6], udp);
    assert!(
        lines[7].contains("tcp") && lines[7].ends_with("0.0         -"),
        "{}",
        lines[7]
    );
}

#[test]
fn drops_say_what_they_mean_in_as_many_lines_as_it_takes() {
    let lines = lines(&looking(&["--view", "drops"]), SIZES[0]);
    assert!(
        lines[6].starts_with("ports_exhausted          12          120 No external port is free")
    );
    assert!(
        lines[7].trim_start().starts_with("destination."),
        "{lines:#?}"
    );
    assert!(lines[8].starts_with("unsolicited               0        70000 To one of our"));
}

#[test]
fn before_the_second_look_rates_are_not_known_and_nothing_is_claimed() {
    let mut state = started(&[]);
    assert!(line(&lines(&state, SIZES[0]), "looking").len() < 20);
    let mut first = seen();
    first.rates = None;
    state.take(Ok(first), Instant::now());
    let out = lines(&state, SIZES[0]);
    assert!(
        line(&out, "out").contains("out          -            -"),
        "{out:#?}"
    );
}

#[test]
fn a_gateway_that_is_gone_is_said_and_what_it_had_is_not_shown() {
    let mut state = looking(&[]);
    state.take(
        Err(anyhow!("no datapath of instance \"blue\" is loaded")),
        Instant::now(),
    );
    let gone = lines(&state, SIZES[0]).join("\n");
    assert!(
        gone.contains("no datapath of instance \"blue\" is loaded"),
        "{gone}"
    );
    assert!(gone.contains("Waiting; this goes on by itself"), "{gone}");
    assert!(
        !gone.contains("172.16.1.11") && !gone.contains("Gbit"),
        "{gone}"
    );
    state.take(Ok(seen()), Instant::now());
    let back = lines(&state, SIZES[0]).join("\n");
    assert!(
        back.contains("172.16.1.11") && !back.contains("Waiting"),
        "{back}"
    );
}

#[test]
fn a_look_that_takes_long_is_said_with_what_it_makes_of_the_interval() {
    let mut state = looking(&[]);
    let slow = Duration::from_millis(1800);
    state.take(
        Ok(super::super::look::Seen {
            took: slow,
            ..seen()
        }),
        Instant::now(),
    );
    let lines = lines(&state, SIZES[0]);
    assert!(
        lines[0].contains("every 9.0 s, a look takes 1.8 s"),
        "{}",
        lines[0]
    );
}

#[test]
fn a_filter_is_shown_while_it_is_written_with_what_is_wrong_and_while_it_counts() {
    let mut state = looking(&["--filter", "source=172.16.1.11"]);
    assert!(lines(&state, SIZES[0])[22].starts_with("filter: source=172.16.1.11 "));
    state.view = View::Drops;
    assert!(lines(&state, SIZES[0])[22].starts_with("not for this view: source="));
    state.editing = Some(Editing {
        text: "port=https".to_owned(),
        error: Some("not a port".to_owned()),
    });
    let lines = lines(&state, SIZES[0]);
    assert!(
        lines[22].starts_with("filter: port=https   not a port"),
        "{}",
        lines[22]
    );
    assert!(lines[23].starts_with("enter filter"), "{}", lines[23]);
}

#[test]
fn a_terminal_that_is_too_small_is_told_so_whatever_its_size() {
    let state = looking(&[]);
    let small = lines(&state, (40, 10)).join(" ");
    assert!(
        small.contains("needs 80x12 characters; this terminal has 40x10"),
        "{small}"
    );
    for size in [(0, 0), (1, 1), (79, 24), (80, 11), (200, 2)] {
        lines(&state, size);
    }
}

#[test]
fn help_names_every_word_of_a_filter() {
    let mut state = looking(&[]);
    state.help = true;
    let help = lines(&state, SIZES[0]).join("\n");
    let unknown = "x=y"
        .parse::<crate::datapath::Filter>()
        .expect_err("no word");
    let words = unknown.to_string();
    let words = words.split_once("there are ").expect("a list").1;
    for word in words.split(", ") {
        assert!(help.contains(word), "{word}: {help}");
    }
}
