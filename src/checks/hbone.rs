//! The port of ambient: can tunnels enter the pods that ambient captured?

use std::collections::BTreeMap;
use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind};
use meshwhy_parsers::state::object::{NetworkPolicy, Object, Pod};
use meshwhy_parsers::ztunnel::Direction;

use crate::causes::{hbone_blocked, tunnel};
use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Cluster, Doc};
use crate::engine::view::View;

/// See the title.
pub static CHECK: Check = Check { id: "hbone", title: "Tunnels can enter pods of ambient", before_linking: true, run };

/// Where every call to a captured pod comes in.
const HBONE: u16 = 15008;

fn run(view: &View<'_>) -> Vec<Item> {
    view.mesh().clusters().flat_map(|cluster| shut(view, cluster)).collect()
}

/// Captured pods that a policy lets applications' ports into, and not the tunnel's.
fn shut(view: &View<'_>, cluster: &Cluster) -> Vec<Item> {
    let mut by_policy: BTreeMap<String, Shut<'_>> = BTreeMap::new();
    for (object, pod) in cluster.pods().filter(|(object, pod)| is_captured(cluster, object, pod)) {
        let Some((policy, rules)) = cluster.shut_by(object, HBONE) else { continue };
        // One that lets nothing in at all is meant to.
        if !rules.ingress_ports.is_empty() {
            by_policy
                .entry(policy.title())
                .or_insert_with(|| Shut { policy, rules, pods: Vec::new() })
                .pods
                .push((object, pod));
        }
    }
    by_policy.into_values().filter_map(|shut| blocked(view, cluster, &shut)).collect()
}

/// A policy that keeps tunnels out, and the pods of which it does.
struct Shut<'m> {
    policy: &'m Doc<Object>,
    rules: &'m NetworkPolicy,
    pods: Vec<(&'m Doc<Object>, &'m Pod)>,
}

fn blocked(view: &View<'_>, cluster: &Cluster, Shut { policy, rules, pods }: &Shut<'_>) -> Option<Item> {
    let (first, _) = pods.first()?;
    // Some network plugins do not know policies: a tunnel that was made shows it.
    if pods.iter().any(|(_, pod)| was_entered(view, pod)) {
        return None;
    }
    let ports: Vec<String> = rules.ingress_ports.iter().flatten().map(ToString::to_string).collect();
    let ports = ports.join(", ");
    let silent = pods.iter().find_map(|(object, pod)| Some((*object, silent_dial(view, pod)?)));
    let (object, dial) = silent.map_or((*first, None), |(object, dial)| (object, Some(dial)));
    let address = pods.iter().find(|(of, _)| of.name == object.name).and_then(|(_, pod)| pod.ips.first());
    let address = address.map_or("", |address| address);
    let to = format!("{}/{}", object.namespace, object.name);
    let strength = if dial.is_some() { Verdict::certain } else { Verdict::likely };
    let mut verdict = strength(&to)
        .says("{policy} of {cluster} lets {ports} into {to} and not 15008, where ambient brings every call: HBONE to {addr} is blocked")
        .slot("policy", policy.title())
        .slot("cluster", cluster.title())
        .slot("ports", &ports)
        .slot("to", &to)
        .slot("addr", format!("{address}:{HBONE}"))
        .slot("namespace", &object.namespace)
        .because_object(policy, &format!("ingress ports: {ports}"), "no rule of it lets the tunnel's port in")
        .because_object(object, "captured by ambient, and selected by the policy", "its calls come in a tunnel to 15008");
    if let Some(dial) = dial {
        verdict = verdict.because(dial, "connecting to port 15008 of the pod timed out");
    }
    for address in pods.iter().flat_map(|(_, pod)| &pod.ips) {
        verdict = verdict.token(address);
    }
    let more = match pods.len() {
        1 => String::new(),
        count => format!(" and {} more pods", count - 1),
    };
    let reason = format!("it lets {ports} into {to}{more}, and not {HBONE}, where ambient brings every call");
    Some(Item::fail(&cluster.name, policy.title(), reason, hbone_blocked::CAUSE.slug, verdict))
}

/// Whether ztunnel serves a pod: as istio-cni marked it, else as the labels ask.
fn is_captured(cluster: &Cluster, object: &Object, pod: &Pod) -> bool {
    let is_over = object.deleted.is_some() || matches!(&*pod.phase, "Succeeded" | "Failed");
    if is_over || pod.host_network || object.is_row {
        return false;
    }
    if let Some(mark) = object.annotation("ambient.istio.io/redirection") {
        return mark == "enabled";
    }
    let has_sidecar = pod.containers.iter().any(|container| &*container.name == "istio-proxy");
    !has_sidecar && cluster.asks_for_ambient(object)
}

/// A connection of a ztunnel to a pod's port for tunnels that nobody answered.
fn silent_dial<'w>(view: &View<'w>, pod: &Pod) -> Option<&'w Arc<Event>> {
    view.events(Kind::Connection).find(|event| {
        let Fact::Connection(connection) = &event.fact else { return false };
        let to = connection.dst.addr.as_ref();
        let is_its = to.is_some_and(|addr| addr.port == HBONE && pod.ips.contains(&addr.host));
        let is_lost = |error: &meshwhy_parsers::ztunnel::ConnectionError| {
            tunnel::connect_fault(&error.what).is_some_and(|what| *what == What::TimedOut)
        };
        is_its && connection.direction == Direction::Outbound && connection.error.as_ref().is_some_and(is_lost)
    })
}

/// Whether a tunnel into a pod was made from any pod that is known.
fn was_entered(view: &View<'_>, pod: &Pod) -> bool {
    let sources = view.mesh().clusters().flat_map(Cluster::pods);
    let mut ways = sources.flat_map(|(source, _)| pod.ips.iter().map(move |ip| (&source.name, ip)));
    ways.any(|(source, ip)| view.worked(meshwhy_parsers::way_to(source, &format!("{ip}:{HBONE}"))).is_some())
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checks::testing::{failed, told};

    fn pod(annotations: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: cart-1\n  namespace: shop\n  labels: {{app: cart}}\n  annotations: {{{annotations}}}\nspec:\n  containers: [{{name: cart, \
             image: cart}}]\nstatus: {{phase: Running, podIP: 10.1.0.9}}\n"
        )
    }

    fn policy(name: &str, selector: &str, ingress: &str) -> String {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  podSelector: {selector}\n  policyTypes: [Ingress]\n  ingress: {ingress}\n"
        )
    }

    const CAPTURED: &str = "ambient.istio.io/redirection: enabled";
    const CART: &str = "{matchLabels: {app: cart}}";
    const HTTP: &str = "[{ports: [{port: 5000, protocol: TCP}]}]";
    const BLOCKED: [&str; 1] = ["hbone-blocked"];

    #[test]
    fn a_policy_for_the_applications_port_alone_keeps_tunnels_out() {
        let with = |pod: &str, policies: &[String]| {
            failed(&CHECK, &[("east", "pods.yaml", pod), ("east", "policies.yaml", &policies.join("---\n"))])
        };
        let captured = pod(CAPTURED);
        assert_eq!(with(&captured, &[policy("http", CART, HTTP)]), BLOCKED);
        assert_eq!(with(&captured, &[policy("http", CART, "[{ports: [{port: 5000}, {port: 15008}]}]")]), [""; 0]);
        // Policies add up.
        let open = policy("tunnel", "{}", "[{ports: [{port: 15008}]}]");
        assert_eq!(with(&captured, &[policy("http", CART, HTTP), open]), [""; 0]);
        assert_eq!(with(&captured, &[policy("http", "{matchLabels: {app: other}}", HTTP)]), [""; 0]);
        assert_eq!(with(&captured, &[policy("deny-all", "{}", "[]")]), [""; 0], "it is meant to keep all out");
        assert_eq!(with(&pod("ambient.istio.io/redirection: disabled"), &[policy("http", CART, HTTP)]), [""; 0]);
    }

    #[test]
    fn what_ztunnel_says_settles_whether_the_policy_is_enforced() {
        let line = |result: &str| {
            format!(
                "2026-05-07T06:18:09.343404Z\t{result}src.addr=10.1.0.7:39893 src.workload=\"web-1\" src.namespace=\"shop\" dst.addr=10.1.0.9:15008 \
                 dst.hbone_addr=10.1.0.9:5000 dst.service=\"cart.shop.svc.cluster.local\" dst.workload=\"cart-1\" dst.namespace=\"shop\" direction=\"outbound\" bytes_sent=0 bytes_recv=0 duration=\"10002ms\""
            )
        };
        let (timed_out, served) = (
            format!(
                "{} error=\"connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: deadline has elapsed\"\n",
                line("error\taccess\tconnection complete\t")
            ),
            format!("{}\n", line("info\taccess\tconnection complete\t")),
        );
        let pods = format!(
            "{}---\n{}",
            pod(CAPTURED),
            pod(CAPTURED).replace("cart-1", "web-1").replace("10.1.0.9", "10.1.0.7").replace("app: cart", "app: web")
        );
        let with = |log: &str| {
            let files = [
                ("east", "pods.yaml", &*pods),
                ("east", "policy.yaml", &policy("http", CART, HTTP)),
                ("east", "istio-system/ztunnel-1/istio-proxy.log", log),
            ];
            told(&CHECK, &files)
        };
        assert!(with(&timed_out)[0].ends_with("[hbone-blocked: shop/cart-1]"));
        assert_eq!(with(&served), [""; 0], "the network plugin does not enforce policies");
    }
}
