//! What failed at start-up or during a rollout and works again in the same log.

use crate::engine::cause::{Cause, Severity};

/// The note; the engine writes it, since only it knows what recovered.
pub static CAUSE: Cause = Cause {
    slug: "transient-recovered",
    severity: Severity::Info,
    summary: "what failed here worked again before the input ended",
    mechanism: "Proxies start before DNS, istiod or their certificates are there, and retry. A rollout drains connections \
                and opens new ones. Such lines look like faults, but the same destination or stream worked afterwards in \
                the same input, so nothing is left to fix.",
    remedy: "Nothing to do. If it comes back often, look at what restarts.",
    verify: "meshwhy replay with newer logs names nothing",
    explains: &[],
    hits: &[
        "envoy-broken-and-repaired",
        "proxy-waits-for-dns-at-start",
        "cni-socket-late-at-start",
        "control-plane-comes-late",
        "ztunnel-xds-reconnects",
    ],
    near_misses: &["control-plane-port-dropped"],
    rules: &[],
};
