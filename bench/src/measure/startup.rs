//! How long `snat-ctl run` takes to be ready, and to translate; and whether a restart costs packets.
//!
//! Small datagrams go from a client to a server all the while. Cold: everything is loaded, verified, attached. Warm: the
//! daemon ends and starts again, while what it had pinned translates on.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use snat_tests::gateway::Gateway;

use crate::{
    bench::Bench,
    contender::{Contender, config},
    measure::{
        Measure,
        drip::{self, Drip},
    },
    results::Quantity,
    stage::{Poller, Shape, Stage},
};

/// The measurement.
pub(crate) const MEASURE: Measure = Measure {
    name: "startup",
    about: "from the start of snat-ctl run until it is ready, and translates",
    rounds: 5,
    run,
};

/// Until the daemon says that it is ready.
pub(crate) const READY: Quantity = Quantity {
    name: "start-up, until ready",
    unit: "ms",
    over: "",
};
/// Until a server sees a client's packet translated.
pub(crate) const TRANSLATES: Quantity = Quantity {
    name: "start-up, until a packet is translated",
    ..READY
};
/// What does not arrive translated of what is sent while the daemon restarts.
pub(crate) const LOST: Quantity = Quantity {
    name: "restart, packets lost or untranslated",
    unit: "packets",
    over: "",
};

fn run(bench: &mut Bench) -> Result<()> {
    for datapath in bench.in_turn(&["xdp", "tc"]) {
        measure(bench, datapath)?;
    }
    Ok(())
}

fn measure(bench: &mut Bench, datapath: &'static str) -> Result<()> {
    let stage = Stage::polled(Shape::Routed, Poller::Sender)?;
    let config = config(&stage, datapath, "");
    let drip = Drip::open(&stage)?;
    let (times, seen) = drip.during(|| {
        let begin = Instant::now();
        let mut gateway = Gateway::start_in(stage.gateway().name(), "bench", &config, &[])?;
        let cold = begin.elapsed();
        gateway.stop()?;
        let stopped = Instant::now();
        gateway.start_again()?;
        let warm = stopped.elapsed();
        // A moment of its packets, too.
        std::thread::sleep(10 * drip::EACH);
        Ok(Times { begin, cold, warm })
    })?;
    let first = seen.translated.context("no packet was translated")?;
    ensure!(
        seen.sent_since >= 100,
        "only {} packets were sent since the first translated one",
        seen.sent_since
    );
    let who = Contender::Snat(datapath).name();
    let results = &mut bench.results;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    results.add(READY, 0, &format!("{who}, cold"), ms(times.cold));
    results.add(READY, 0, &format!("{who}, restart"), ms(times.warm));
    let until_translated = first.saturating_duration_since(times.begin);
    results.add(TRANSLATES, 0, &format!("{who}, cold"), ms(until_translated));
    let lost = seen.sent_since - seen.translated_since;
    results.add(LOST, 0, who, lost as f64);
    Ok(())
}

struct Times {
    begin: Instant,
    cold: Duration,
    warm: Duration,
}
