//! What istiod would push now, and what proxies and ztunnels hold.
//!
//! A proxy that was told takes what it is told within a moment, so that what differs for long was not taken: its stream to
//! istiod is down, or it rejects what comes. A pod that is gone then stays among its endpoints.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use meshwhy_parsers::event::{Addr, Event, Text};
use meshwhy_parsers::time::Time;

use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Class, Cluster, Endpoint, Lasting, Mesh, Proxy};

/// The check.
pub static CHECK: Check = Check {
    id: "pushed",
    title: "Proxies hold what istiod would push",
    before_linking: false,
    run: |view| {
        let mesh = view.mesh();
        let of = |cluster| {
            let proxies = Cluster::proxies(cluster).flat_map(move |proxy| of_proxy(mesh, cluster, proxy));
            proxies.chain(of_ztunnels(mesh, cluster))
        };
        mesh.clusters().flat_map(of).collect()
    },
};

/// How long a difference lasts before it counts: istiod collects changes for ten seconds at most
/// (`PILOT_DEBOUNCE_MAX`), and a replica may have learned of them later than another.
pub const SETTLE: Duration = Duration::from_secs(30);

const SLUG: &str = "stale-endpoint";

fn of_proxy(mesh: &Mesh, cluster: &Cluster, proxy: &Proxy) -> Vec<Item> {
    let Some(lasting) = proxy.apart(SETTLE) else { return Vec::new() };
    let object = format!("proxy {}", proxy.name);
    let mut kept: BTreeMap<&str, Vec<(Endpoint<'_>, Time)>> = BTreeMap::new();
    let mut living = Vec::new();
    let held = mesh.held_by_host(cluster, proxy).unwrap_or_default();
    for ((of, addr), since) in &lasting.kept {
        let host = of.rsplit('|').next().unwrap_or(of);
        let endpoints = held.get(host).into_iter().flatten();
        let mut same = endpoints.filter(|endpoint| *endpoint.address == *addr.host && endpoint.port == addr.port);
        let Some(endpoint) = same.next() else { continue };
        // Where all pods are known, whether one has the address is asked of them.
        match endpoint.class {
            Class::Stale { .. } => {}
            _ if mesh.identities().at(&addr.host).is_empty() => {
                kept.entry(host).or_default().push((endpoint.clone(), *since));
            }
            _ => living.push(format!("{} of {host}", addr.host)),
        }
    }
    let mut items: Vec<Item> =
        kept.into_iter().filter_map(|(host, kept)| left(cluster, proxy, host, &kept, &lasting)).collect();
    if let Some(first) = living.first() {
        let reason =
            format!("it holds {} that istiod would not push, though they live: {first}", counted(living.len()));
        items.push(Item::warn(cluster.title(), &object, reason, remedy(cluster, &proxy.name)));
    }
    if let Some(((of, addr), since)) = lasting.lacking.first() {
        let host = of.rsplit('|').next().unwrap_or(of);
        let reason = format!(
            "it lacks {} that istiod has pushed since {since}: {} of {host}",
            counted(lasting.lacking.len()),
            addr.host
        );
        items.push(Item::warn(cluster.title(), &object, reason, remedy(cluster, &proxy.name)));
    }
    if items.is_empty() && lasting.kept.is_empty() {
        items.push(Item::pass(cluster.title(), object, "it holds the endpoints that istiod would push"));
    }
    items
}

/// Endpoints of one service that nobody pushes and nobody is known to have.
fn left(
    cluster: &Cluster,
    proxy: &Proxy,
    host: &str,
    kept: &[(Endpoint<'_>, Time)],
    lasting: &Lasting<'_, (Text, Addr)>,
) -> Option<Item> {
    let addresses: Vec<&str> = kept.iter().map(|(endpoint, _)| &*endpoint.address).collect();
    let since = kept.iter().map(|(_, since)| *since).min()?;
    let addresses = addresses.join(", ");
    let first = kept.first().map_or("", |(endpoint, _)| &*endpoint.address);
    let reason = format!("it holds {addresses} for {host}, which istiod has not pushed since {since}");
    let verdict = Verdict::likely(&format!("{host} of {}", cluster.title()))
        .says("proxy {proxy} still calls {to} at {addr}, which istiod would not push any more")
        .slot("proxy", &proxy.name)
        .slot("to", host)
        .slot("addr", &addresses)
        .slot("host", first)
        .token(first)
        .token(host)
        .cluster(cluster.title());
    let verdict = apart(verdict, lasting.held, lasting.pushed, &format!("{host}: {addresses}"), since)
        .settle_by(format!("istioctl --context {} proxy-status {}", cluster.title(), proxy.name));
    Some(Item::fail(cluster.title(), format!("proxy {}", proxy.name), reason, SLUG, verdict))
}

/// Both views as evidence.
pub(super) fn apart(verdict: Verdict, held: &Arc<Event>, pushed: &Arc<Event>, what: &str, since: Time) -> Verdict {
    verdict.because_quote(held, what, "what the proxy holds").because_quote(
        pushed,
        &format!("not {what}"),
        &format!("what istiod would push, and has not pushed since {since}"),
    )
}

fn of_ztunnels(mesh: &Mesh, cluster: &Cluster) -> Vec<Item> {
    let mut items = Vec::new();
    for lasting in cluster.ztunnels_apart(SETTLE) {
        let pod = &lasting.held.origin.pod;
        let object = format!("ztunnel {pod}");
        let is_there = |uid: &str| {
            pod_of(mesh, uid).and_then(|(source, namespace, name)| {
                let found = source.pods_in(namespace).any(|(object, _)| *object.name == *name);
                if found { Some(true) } else { source.knows_all("Pod", namespace).then_some(false) }
            })
        };
        for (uid, since) in lasting.kept.iter().filter(|(uid, _)| is_there(uid) == Some(false)) {
            let Some((source, namespace, name)) = pod_of(mesh, uid) else { continue };
            let reason = format!("it holds {uid}, which istiod has not pushed since {since}");
            let dump = cluster.ztunnels().find(|(event, _)| Arc::ptr_eq(event, lasting.held)).map(|(_, dump)| dump);
            let workload = dump.and_then(|dump| dump.workloads.iter().find(|workload| workload.uid == **uid));
            let address =
                workload.and_then(|workload| workload.addresses.first()).map_or("<address>", |address| address);
            let verdict = Verdict::certain(&format!("{name}.{namespace} of {}", source.title()))
                .says("ztunnel {proxy} still holds pod {to}, which is gone and which istiod would not push any more")
                .slot("proxy", pod)
                .slot("to", format!("{name}.{namespace}"))
                .slot("addr", address)
                .slot("host", address)
                .token(format!("{name}.{namespace}"))
                .cluster(source.title());
            let verdict = apart(verdict, lasting.held, lasting.pushed, uid, *since);
            items.push(Item::fail(cluster.title(), &object, reason, SLUG, verdict));
        }
        let unknown = lasting.kept.iter().filter(|(uid, _)| is_there(uid) != Some(false)).count();
        if 0 < unknown {
            let reason = format!("it holds {unknown} workloads that istiod would not push");
            items.push(Item::warn(cluster.title(), &object, reason, remedy(cluster, pod)));
        }
        if let Some((uid, since)) = lasting.lacking.first() {
            let count = lasting.lacking.len();
            let reason = format!("it lacks {count} workloads that istiod has pushed since {since}: {uid}");
            items.push(Item::warn(cluster.title(), &object, reason, remedy(cluster, pod)));
        }
        if lasting.kept.is_empty() && lasting.lacking.is_empty() {
            items.push(Item::pass(cluster.title(), object, "it holds the workloads that istiod would push"));
        }
    }
    items
}

/// The pod that a workload is: `<cluster>//Pod/<namespace>/<name>`.
fn pod_of<'m, 'u>(mesh: &'m Mesh, uid: &'u str) -> Option<(&'m Cluster, &'u str, &'u str)> {
    let (cluster, pod) = uid.split_once("//Pod/")?;
    let (namespace, name) = pod.split_once('/')?;
    Some((mesh.by_id(cluster)?, namespace, name))
}

fn counted(count: usize) -> String {
    if count == 1 { "an endpoint".to_string() } else { format!("{count} endpoints") }
}

fn remedy(cluster: &Cluster, proxy: &str) -> String {
    format!(
        "Look whether its stream to istiod is up and what it rejects: istioctl --context {} proxy-status, and the log of \
         {proxy}; replicas of istiod may differ, too.",
        cluster.title()
    )
}

#[cfg(test)]
mod tests {
    use meshwhy_parsers::document::{self, Found};
    use meshwhy_parsers::origin::{self, Origin};

    use super::*;
    use crate::checks::stale;
    use crate::engine::check::Outcome;
    use crate::engine::view::View;
    use crate::engine::world::World;

    const CART: &str = "outbound|80||cart.shop.svc.cluster.local";

    /// A document of east, seen at so many seconds.
    type Seen<'a> = (i64, &'a str, String);

    fn world(seen: &[Seen<'_>]) -> World {
        let mut world = World::default();
        for (ordinal, (at, path, text)) in (1..).zip(seen) {
            let file = format!("east/{path}");
            let place = origin::place(&file, "");
            let origin = Origin { pod: place.pod, role: place.role, ..Origin::new("east", &file) };
            let read = document::read(text.as_bytes(), Found { path: &file, command: "" });
            let document = read.expect("it is known").expect("it is read");
            assert_eq!(document.losses, [""; 0], "{path}");
            for (_, fact) in document.facts {
                let at = Some(Time(at * 1_000_000_000));
                let event = Event::of_document(Arc::new(origin.clone()), None, at, fact);
                world.note(&Arc::new(event), ordinal);
            }
        }
        world
    }

    /// What is wrong and its cause, as this check says it and the one of what pods tell.
    fn told(seen: &[Seen<'_>]) -> Vec<String> {
        let world = world(seen);
        let view = View::new(&world, true);
        let items = (CHECK.run)(&view).into_iter().chain((stale::CHECK.run)(&view));
        let wrong = items.filter(|item| matches!(item.outcome, Outcome::Warn | Outcome::Fail));
        wrong
            .map(|item| {
                let cause = item.cause.map(|(slug, verdict)| format!(" {slug} {}", verdict.confidence.word()));
                format!("{} {}{}", item.outcome.word(), item.object, cause.unwrap_or_default())
            })
            .collect()
    }

    fn endpoints(addresses: &[&str]) -> String {
        let endpoint = |address: &&str| {
            format!(
                r#"{{"endpoint":{{"address":{{"socketAddress":{{"address":"{address}","portValue":8080}}}}}},
                "metadata":{{"filterMetadata":{{"istio":{{"workload":"cart;shop;cart;v1;east"}}}}}}}}"#
            )
        };
        addresses.iter().map(endpoint).collect::<Vec<_>>().join(",")
    }

    /// What the proxy holds.
    fn held(at: i64, addresses: &[&str]) -> Seen<'static> {
        let text = format!(
            r#"{{"configs":[
            {{"@type":"type.googleapis.com/envoy.admin.v3.BootstrapConfigDump","bootstrap":{{"node":{{
              "id":"sidecar~10.1.0.5~sleep-1.sample~sample.svc.cluster.local","cluster":"sleep.sample",
              "metadata":{{"CLUSTER_ID":"east","NAME":"sleep-1","NAMESPACE":"sample"}}}}}}}},
            {{"@type":"type.googleapis.com/envoy.admin.v3.ClustersConfigDump","dynamic_active_clusters":[
              {{"cluster":{{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster","name":"{CART}","type":"EDS"}}}}]}},
            {{"@type":"type.googleapis.com/envoy.admin.v3.EndpointsConfigDump","dynamic_endpoint_configs":[
              {{"endpoint_config":{{"@type":"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
                "cluster_name":"{CART}","endpoints":[{{"lb_endpoints":[{}]}}]}}}}]}}]}}"#,
            endpoints(addresses)
                .replace("socketAddress", "socket_address")
                .replace("portValue", "port_value")
                .replace("filterMetadata", "filter_metadata")
        );
        (at, "sample/sleep-1/config_dump", text)
    }

    /// What istiod would push.
    fn pushed(at: i64, addresses: &[&str]) -> Seen<'static> {
        let text = format!(
            r#"{{"configs":[
            {{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster","name":"{CART}","type":"EDS"}},
            {{"@type":"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment","clusterName":"{CART}",
              "endpoints":[{{"lbEndpoints":[{}]}}]}}]}}"#,
            endpoints(addresses)
        );
        (at, "istio-system/xds/debug/edsz?proxyID=sleep-1.sample", text)
    }

    /// All pods of the namespace.
    fn pods(at: i64, address: &str) -> Seen<'static> {
        let pod = |namespace: &str, name: &str, address: &str| {
            format!(
                "- {{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: {namespace}}}, \
                     status: {{phase: Running, podIP: {address}}}}}\n"
            )
        };
        let (cart, istiod) = (pod("shop", "cart-1", address), pod("istio-system", "istiod-1", "10.1.0.2"));
        (at, "pods.yaml", format!("apiVersion: v1\nkind: PodList\nitems:\n{cart}{istiod}"))
    }

    const OLD: &str = "10.1.0.9";
    const NEW: &str = "10.1.0.21";

    #[test]
    fn an_endpoint_that_is_long_not_pushed_any_more_is_stale() {
        let kept = [pushed(100, &[NEW]), held(140, &[OLD, NEW]), pushed(150, &[NEW])];
        assert_eq!(told(&kept), ["fail proxy sleep-1.sample stale-endpoint likely"]);
        // Where all pods are known, they tell that it is gone.
        let all = [&[pods(90, NEW)], &kept[..]].concat();
        assert_eq!(told(&all), ["fail endpoints of cart.shop.svc.cluster.local stale-endpoint likely"]);
    }

    #[test]
    fn what_may_be_on_its_way_is_not_blamed() {
        let nothing: [&str; 0] = [];
        for (why, seen) in [
            (
                "it is not pushed since a moment ago",
                vec![pushed(120, &[NEW]), held(140, &[OLD, NEW]), pushed(150, &[NEW])],
            ),
            ("the proxy was asked long ago", vec![pushed(100, &[NEW]), held(140, &[OLD, NEW]), pushed(600, &[NEW])]),
            ("istiod was not asked afterwards", vec![pushed(100, &[NEW]), held(140, &[OLD, NEW])]),
            ("the proxy was asked before", vec![held(90, &[OLD, NEW]), pushed(100, &[NEW]), pushed(150, &[NEW])]),
            (
                "it was pushed in between, as what becomes ready and unready is",
                vec![pushed(100, &[NEW]), pushed(130, &[OLD, NEW]), held(140, &[OLD, NEW]), pushed(145, &[NEW])],
            ),
            (
                "it came and went while the proxy was asked twice",
                vec![
                    pushed(100, &[NEW]),
                    held(110, &[OLD, NEW]),
                    pushed(115, &[OLD, NEW]),
                    pushed(120, &[NEW]),
                    held(140, &[OLD, NEW]),
                    pushed(145, &[NEW]),
                ],
            ),
            ("the proxy holds what is pushed", vec![pushed(100, &[NEW]), held(140, &[NEW]), pushed(150, &[NEW])]),
        ] {
            assert_eq!(told(&seen), nothing, "{why}");
        }
    }

    #[test]
    fn what_lives_or_was_not_taken_is_told_and_not_blamed() {
        let lives = [pods(90, OLD), pushed(100, &[]), held(140, &[OLD]), pushed(150, &[])];
        assert_eq!(told(&lives), ["warn proxy sleep-1.sample"]);
        let lacks = [pushed(100, &[OLD, NEW]), held(140, &[NEW]), pushed(150, &[OLD, NEW])];
        assert_eq!(told(&lacks), ["warn proxy sleep-1.sample"]);
    }

    /// What a ztunnel holds of pods of the shop.
    fn dump(at: i64, names: &[&str]) -> Seen<'static> {
        let workload = |name: &&str| {
            format!(
                r#"{{"uid":"east//Pod/shop/{name}","workloadIps":["10.1.0.9"],"name":"{name}","namespace":"shop",
                "protocol":"HBONE","network":"","clusterId":"east","status":"Healthy","serviceAccount":"cart"}}"#
            )
        };
        let workloads = names.iter().map(workload).collect::<Vec<_>>().join(",");
        let text = format!(
            r#"{{"workloads":[{workloads}],"services":[],"policies":[],"certificates":[],"config":{{"clusterId":"east"}}}}"#
        );
        (at, "istio-system/ztunnel-x/config_dump", text)
    }

    /// What istiod would push to ztunnels.
    fn addresses(at: i64, names: &[&str]) -> Seen<'static> {
        let workload = |name: &&str| {
            format!(
                r#"{{"@type":"type.googleapis.com/istio.workload.Address","workload":{{"uid":"east//Pod/shop/{name}",
                "name":"{name}","namespace":"shop","clusterId":"east","addresses":["10.1.0.9"]}}}}"#
            )
        };
        let workloads = names.iter().map(workload).collect::<Vec<_>>().join(",");
        (
            at,
            "istio-system/xds/debug/config_dump?proxyID=meshwhy.istio-system",
            format!(r#"{{"configs":[{workloads}]}}"#),
        )
    }

    #[test]
    fn a_ztunnel_is_held_against_what_ztunnels_are_told() {
        let views = [addresses(100, &["cart-1"]), dump(140, &["cart-1", "cart-0"]), addresses(150, &["cart-1"])];
        let gone = [&[pods(90, NEW)], &views[..]].concat();
        assert_eq!(told(&gone), ["fail ztunnel ztunnel-x stale-endpoint certain"]);
        assert_eq!(told(&views), ["warn ztunnel ztunnel-x"], "without the pods nobody can tell");
        let early = [addresses(120, &["cart-1"]), dump(140, &["cart-1", "cart-0"]), addresses(150, &["cart-1"])];
        assert_eq!(told(&early), [""; 0]);
        let lacks =
            [addresses(100, &["cart-1", "cart-2"]), dump(140, &["cart-1"]), addresses(150, &["cart-1", "cart-2"])];
        assert_eq!(told(&lacks), ["warn ztunnel ztunnel-x"]);
    }
}
