//! Connection tracking on a node is full, or takes good packets for invalid ones.

use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind};
use meshwhy_parsers::state::State;

use super::node_network_broken::unconnected;
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The page.
pub static CAUSE: Cause = Cause {
    slug: "conntrack-problem",
    severity: Severity::Error,
    summary: "connection tracking on a node {what}",
    mechanism: "The kernel of each node keeps a table of connections for Services, capture and filters. When it is \
                full, packets of new connections are dropped while old ones go on, so a busy node loses some calls at \
                random, to every destination, with time-outs of one second and more. A second form: packets that the \
                table takes for INVALID (out of its window, or of a connection that went another way round) are not \
                translated back, and the client resets a connection that was fine. The mesh reports time-outs and \
                resets, and no proxy knows why.",
    remedy: "Raise `net.netfilter.nf_conntrack_max` on the node or find who opens so many connections; for INVALID \
             packets drop them before they leave untranslated, or set `nf_conntrack_tcp_be_liberal`.",
    verify: "sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max",
    explains: &[
        ("upstream-connect-timeout", Within::Mesh),
        ("upstream-closed-connection", Within::Mesh),
        ("dns-failure", Within::Mesh),
        ("resource-exhaustion", Within::File),
    ],
    hits: &["conntrack-table-full"],
    near_misses: &["packet-filter-listed-and-healthy"],
    rules: &[Rule::on(Kind::Exhausted, table_full), Rule::Mesh(counted_full), Rule::Mesh(invalid_dropped)],
};

fn table_full(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Exhausted(exhausted) = &event.fact else { return None };
    (&*exhausted.what == "connection tracking").then(|| {
        Verdict::certain("connection table")
            .slot("what", "is full: packets of new connections are dropped")
            .because(event, "the kernel says that it drops packets")
    })
}

/// Share of the table, in percent, from which it counts as full: short bursts reach the limit between two looks.
const FULL_PERCENT: u64 = 98;

fn counted_full(view: &View<'_>) -> Vec<Verdict> {
    let setting = |name: &str| {
        view.states().find_map(|(event, state)| match state {
            State::KernelSetting { key, value } if key.ends_with(name) => Some((event, *value)),
            _ => None,
        })
    };
    let (Some((event, count)), Some((_, max))) = (setting("nf_conntrack_count"), setting("nf_conntrack_max")) else {
        return Vec::new();
    };
    if max == 0 || count.saturating_mul(100) < max.saturating_mul(FULL_PERCENT) {
        return Vec::new();
    }
    let verdict = Verdict::certain("connection table")
        .slot("what", format!("is full: {count} of {max} entries"))
        .because(event, "the table has reached its limit");
    vec![verdict]
}

fn invalid_dropped(view: &View<'_>) -> Vec<Verdict> {
    let rule = view.states().find_map(|(event, state)| match state {
        State::PacketFilter { rule, packets } if rule.contains("INVALID") => {
            packets.filter(|count| *count > 0).map(|count| (event, count))
        }
        _ => None,
    });
    let (Some((event, count)), Some(failure)) = (rule, unconnected(view)) else { return Vec::new() };
    let verdict = Verdict::possible("invalid packets")
        .slot("what", format!("took {count} packets for invalid"))
        .because(event, "packets were dropped as INVALID")
        .because(failure, "and this connection got nowhere")
        .settle_by("conntrack -S");
    vec![verdict]
}
