//! Keys and sizes.

use anyhow::{Result, ensure};

use super::{Busy, LARGE, SMALL};

#[test]
fn a_filter_is_typed_and_refused_and_taken() -> Result<()> {
    let busy = Busy::start()?;
    let mut top = busy.top(&[], SMALL)?;
    top.shows(&["172.16.1.11 ", "1 client"])?;
    top.press("/source=172.16.1.300\r")?;
    top.shows(&["not an IPv4 address or prefix"])?;
    // Away with the last two digits.
    top.press("\u{7f}\u{7f}\u{7f}12\r")?;
    top.shows(&["filter: source=172.16.1.12", "no clients with flows"])?;
    top.press("/\u{15}protocol=udp\r")?;
    top.shows(&["filter: protocol=udp", "172.16.1.11 "])?;
    top.press("s?")?;
    top.shows(&["page up, page down", "min-rate"])
}

#[test]
fn another_size_is_drawn_anew_and_one_too_small_says_so() -> Result<()> {
    let busy = Busy::start()?;
    let mut top = busy.top(&["--view", "flows"], SMALL)?;
    top.shows(&["172.16.1.11:40000"])?;
    ensure!(!top.text().contains("EXTERNAL"), "{}", top.text());
    top.resize(LARGE)?;
    top.shows(&["172.16.1.11:40000", "EXTERNAL", "203.0.113.10:"])?;
    top.resize((40, 10))?;
    top.shows(&["needs 80x12", "has 40x10"])?;
    top.resize(SMALL)?;
    top.shows(&["172.16.1.11:40000", "q quit"])?;
    ensure!(!top.text().contains("needs 80x12"), "{}", top.text());
    top.press("q")?;
    ensure!(top.end()?.success());
    Ok(())
}
