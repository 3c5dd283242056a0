//! Waypoints that services, pods and namespaces are bound to: are they there, and ready?

use std::collections::BTreeMap;

use meshwhy_parsers::event::{Event, Fact, Kind};
use meshwhy_parsers::state::object::Object;
use meshwhy_parsers::ztunnel::ConnectionWhat;

use super::shown;
use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Cluster, Doc, USE_WAYPOINT, USE_WAYPOINT_OF};
use crate::engine::view::View;

/// See the title.
pub static CHECK: Check =
    Check { id: "waypoints", title: "Waypoints that are in use are there", before_linking: true, run };

const SLUG: &str = "waypoint-unavailable";

fn run(view: &View<'_>) -> Vec<Item> {
    let ambient = view.mesh().clusters().filter(|cluster| cluster.is_ambient());
    ambient.flat_map(|cluster| in_cluster(view, cluster)).collect()
}

/// Namespace and name of a waypoint, and what is bound to it.
type Bound<'m> = BTreeMap<(&'m str, &'m str), Vec<&'m Doc<Object>>>;

fn in_cluster(view: &View<'_>, cluster: &Cluster) -> Vec<Item> {
    let mut bound: Bound<'_> = BTreeMap::new();
    for kind in ["Service", "Pod", "ServiceEntry", "WorkloadEntry", "Namespace"] {
        for object in cluster.objects(kind).filter(|object| object.deleted.is_none()) {
            let Some(name) = object.label(USE_WAYPOINT).filter(|name| !matches!(*name, "" | "none")) else { continue };
            let own: &str = if kind == "Namespace" { &object.name } else { &object.namespace };
            bound.entry((object.label(USE_WAYPOINT_OF).unwrap_or(own), name)).or_default().push(object);
        }
    }
    bound.into_iter().filter_map(|((namespace, name), by)| waypoint(view, cluster, (namespace, name), &by)).collect()
}

/// Says how a waypoint fares; nothing where nothing of it was saved.
fn waypoint(view: &View<'_>, cluster: &Cluster, (namespace, name): (&str, &str), by: &[&Doc<Object>]) -> Option<Item> {
    let host = format!("{name}.{namespace}.svc.cluster.local");
    let title = format!("waypoint {namespace}/{name}");
    let pods: Vec<_> = cluster.waypoint_pods(namespace, name).filter(|(object, _)| object.deleted.is_none()).collect();
    let ready = pods.iter().filter(|(_, pod)| 0 < pod.ready.1 && pod.ready.0 == pod.ready.1).count();
    // istiod gives each waypoint a Service of its name: it is what callers are told of.
    let service = cluster.object("Service", namespace, name);
    let why = match (service.is_some(), pods.len()) {
        (false, _) if !cluster.knows_all("Service", namespace) => return None,
        (false, _) if cluster.object("Gateway", namespace, name).is_some() => {
            "its Gateway is there, and it has no Service".to_string()
        }
        (false, _) => "it does not exist".to_string(),
        (true, 0) => return Some(Item::pass(cluster.title(), title, "it is there; its pods were not saved")),
        (true, count) if 0 < ready => {
            let item = Item::pass(cluster.title(), title, format!("{ready} of {count} pods ready"));
            return Some(match service.filter(|service| is_made_since(view, cluster, service, &host)) {
                Some(service) => {
                    let made = service.created.map(|made| made.to_second()).unwrap_or_default();
                    let quote = format!("metadata.creationTimestamp: {made}");
                    item.disproving(
                        &host,
                        SLUG,
                        &service.event,
                        &quote,
                        "the waypoint was made after those lines, and is ready",
                    )
                }
                None => item,
            });
        }
        (true, count) => format!("{ready} of {count} pods ready"),
    };
    let user = by.first()?;
    let mut verdict = Verdict::certain(&host)
        .says("the waypoint {waypoint} that {to} is bound to in {cluster} is not available: {why}")
        .slot("waypoint", format!("{namespace}/{name}"))
        .slot("to", user.title())
        .slot("cluster", cluster.title())
        .slot("why", &why)
        .token(&host)
        .cluster(cluster.title());
    verdict = shown(verdict, user, &format!("{USE_WAYPOINT}: {name}"), "what is bound to it");
    if let Some((object, pod)) = pods.first() {
        let quote = format!("{} of {} containers ready", pod.ready.0, pod.ready.1);
        verdict = shown(verdict, object, &quote, "a pod of the waypoint");
    }
    let more = if by.len() == 1 { String::new() } else { format!(" and {} more", by.len() - 1) };
    let reason = format!("{why}, and {}{more} is bound to it", user.title());
    Some(Item::fail(cluster.title(), title, reason, SLUG, verdict))
}

/// Whether a waypoint was made after the last line that tells of its absence.
fn is_made_since(view: &View<'_>, cluster: &Cluster, service: &Object, host: &str) -> bool {
    let is_absence = |event: &Event| {
        let Fact::Connection(connection) = &event.fact else { return false };
        let what = connection.error.as_ref().map(|error| &error.what);
        matches!(what, Some(ConnectionWhat::UnknownWaypoint(name)) if name.rsplit('/').next() == Some(host))
    };
    let lines = view
        .known(Kind::Connection)
        .filter(|known| known.last.origin.cluster == cluster.name && is_absence(&known.last));
    let last = lines.filter_map(|known| known.last.at).max();
    matches!((last, service.created), (Some(last), Some(made)) if last < made)
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checks::testing::{failed, told};

    fn mesh(uses: &str, ready: Option<bool>) -> [String; 2] {
        let pods = "$ kubectl get pods -A\nNAMESPACE      NAME                         READY   STATUS    RESTARTS   AGE\n\
                    istio-system   ztunnel-bzq65                1/1     Running   0          5d\n";
        let way = match ready {
            None => String::new(),
            Some(ready) => format!(
                "shop           waypoint-5d8f9c7b6d-x2x9z    {}/1     Running   0          5d\n",
                u8::from(ready)
            ),
        };
        let service = |name: &str, uses: &str| {
            format!(
                "- apiVersion: v1\n  kind: Service\n  metadata: {{namespace: shop, name: {name}, labels: {{{uses}}}}}\n  spec: \
                 {{clusterIP: 10.2.0.1, ports: [{{port: 80}}]}}\n"
            )
        };
        let waypoint = ready.map(|_| service("waypoint", "")).unwrap_or_default();
        [format!("{pods}{way}"), format!("apiVersion: v1\nkind: List\nitems:\n{}{waypoint}", service("cart", uses))]
    }

    fn with(of: &[String; 2]) -> Vec<String> {
        told(&CHECK, &[("east", "pods.txt", &of[0]), ("east", "services.yaml", &of[1])])
    }

    #[test]
    fn a_waypoint_that_does_not_exist_is_named() {
        assert_eq!(
            with(&mesh("istio.io/use-waypoint: waypoint", None)),
            ["fail east waypoint shop/waypoint: it does not exist, and Service shop/cart is bound to it \
              [waypoint-unavailable: waypoint.shop.svc.cluster.local]"]
        );
    }

    #[test]
    fn a_waypoint_without_a_ready_pod_is_named() {
        assert_eq!(
            with(&mesh("istio.io/use-waypoint: waypoint", Some(false))),
            ["fail east waypoint shop/waypoint: 0 of 1 pods ready, and Service shop/cart is bound to it \
              [waypoint-unavailable: waypoint.shop.svc.cluster.local]"]
        );
    }

    #[test]
    fn what_is_ready_or_not_asked_for_or_not_saved_is_not_blamed() {
        assert_eq!(
            with(&mesh("istio.io/use-waypoint: waypoint", Some(true))),
            ["pass east waypoint shop/waypoint: 1 of 1 pods ready"]
        );
        assert_eq!(with(&mesh("istio.io/use-waypoint: none", None)), [""; 0]);
        let [pods, services] = mesh("istio.io/use-waypoint: elsewhere, istio.io/use-waypoint-namespace: bank", None);
        assert_eq!(failed(&CHECK, &[("east", "pods.txt", &pods), ("east", "services.yaml", &services)]), [""; 0]);
    }
}
