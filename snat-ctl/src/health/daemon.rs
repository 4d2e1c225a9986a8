//! The daemon: there, and at work.

use super::Problem;
use crate::{heartbeat, instance};

pub(super) fn problems(name: &str) -> Vec<Problem> {
    let Some(process) = instance::daemon(name) else {
        return vec![Problem::degraded(
            "daemon.stopped",
            "no daemon runs: traffic goes on, but expired flows stay, and changes of routes, addresses \
             and neighbours are followed late or not at all",
            "start it: systemctl start snat-ctl, or snat-ctl run; last errors below, or journalctl -u snat-ctl",
        )];
    };
    if heartbeat::is_stopped(process) {
        return vec![Problem::degraded(
            "daemon.hung",
            format!("the daemon (process {process}) is stopped by a signal or a debugger"),
            format!("let it go on: kill -CONT {process}"),
        )];
    }
    let silence = heartbeat::silence(name).filter(|silence| *silence > heartbeat::HUNG);
    let hung = silence.map(|silence| {
        Problem::degraded(
            "daemon.hung",
            format!(
                "the daemon (process {process}) has done nothing for {} s",
                silence.as_secs()
            ),
            "restart it: systemctl restart snat-ctl; no flow is lost by that",
        )
    });
    hung.into_iter().collect()
}
