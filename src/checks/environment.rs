//! istiod's environment: variables that contradict each other, or what is in use, or that its version does not know.
//!
//! Defaults and ranges are those of `istio/istio: pilot/pkg/features/`; the names of peering are those of Solo's builds.

use std::sync::Arc;

use meshwhy_parsers::event::Event;
use meshwhy_parsers::state::object::Body;

use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Cluster, ControlPlane, GatewayKind, Mesh, NETWORK};
use crate::engine::view::View;

/// The check.
pub static CHECK: Check =
    Check { id: "environment", title: "istiod's environment fits what is in use", before_linking: true, run };

const SLUG: &str = "istiod-env-incompatible";

fn run(view: &View<'_>) -> Vec<Item> {
    let mesh = view.mesh();
    let mut items = Vec::new();
    for cluster in mesh.clusters() {
        let planes = cluster.control_planes();
        if planes.is_empty() && cluster.has_istiod() == Some(true) && 1 < mesh.clusters().count() {
            items.push(Item::unknown(
                cluster.title(),
                "istiod",
                "its environment is not among what was saved",
                format!("kubectl -n {} get deployment -l app=istiod -o yaml", cluster.system_namespace()),
            ));
        }
        for plane in planes {
            let found = Asked { mesh, cluster, plane }.all();
            let is_well = found.is_empty();
            items.extend(found);
            if is_well {
                items.push(Item::pass(cluster.title(), plane.object.title(), "no variable contradicts what is in use"));
            }
        }
    }
    items
}

/// One istiod whose environment is asked about.
struct Asked<'m> {
    mesh: &'m Mesh,
    cluster: &'m Cluster,
    plane: ControlPlane<'m>,
}

impl<'m> Asked<'m> {
    fn all(&self) -> Vec<Item> {
        let found = [
            self.flag_without_ambient(),
            self.networks_without_flag(),
            self.peering_off(),
            self.entries_not_selected(),
            self.secrets_ignored(),
            self.gateway_names_not_resolved(),
            self.gateways_not_discovered(),
            self.entries_of_others_ignored(),
            self.waits_for_ever(),
            self.ingress_over_classic_gateways(),
        ];
        found.into_iter().flatten().chain(self.unknown_to_version()).collect()
    }

    /// AMBIENT_ENABLE_MULTI_NETWORK is ignored without PILOT_ENABLE_AMBIENT, and istiod says so at its start.
    fn flag_without_ambient(&self) -> Option<Item> {
        let flag = self.on("AMBIENT_ENABLE_MULTI_NETWORK")?;
        if self.plane.is_on("PILOT_ENABLE_AMBIENT") {
            return None;
        }
        let reason = "AMBIENT_ENABLE_MULTI_NETWORK needs PILOT_ENABLE_AMBIENT=true, which is not set";
        let verdict = Verdict::certain(self.cluster.title())
            .because_quote(&self.plane.object.event, &flag, "multi-network ambient is asked for")
            .because_quote(
                &self.plane.object.event,
                &self.quote("PILOT_ENABLE_AMBIENT"),
                "but ambient itself is off, so the other variable is ignored",
            );
        Some(self.fail(reason, verdict))
    }

    /// Ambient clusters on several networks, with gateways between them, and an istiod that ignores networks.
    fn networks_without_flag(&self) -> Option<Item> {
        const FLAG: &str = "AMBIENT_ENABLE_MULTI_NETWORK";
        if self.plane.is_on(FLAG)
            || self.plane.is_on("ENABLE_PEERING_DISCOVERY")
            || self.plane.is_solo()
            || !has_ztunnel(self.cluster)
        {
            return None;
        }
        let (here, network) = self.cluster.network().and_then(|(here, network)| Some((here, network?)))?;
        let (there, other) = self.mesh.clusters().filter(|other| has_ztunnel(other)).find_map(|other| {
            let (namespace, label) = other.network()?;
            label.filter(|label| *label != network).map(|label| (namespace, label))
        })?;
        // Gateways of other makes between the networks may serve as well, without istiod's help.
        let gateway = self.cluster.gateways().into_iter().find(|gateway| gateway.kind != GatewayKind::Service)?;
        let reason =
            format!("ambient clusters lie on the networks {network} and {other}, but {FLAG} is not set to true");
        let verdict = Verdict::certain(&format!("{}: {FLAG}", self.cluster.title()))
            .says("istiod of {cluster} is not told to serve ambient across networks: {reason}")
            .because_quote(&self.plane.object.event, &self.quote(FLAG), "istiod ignores workloads of other networks")
            .because_quote(&here.event, &format!("{NETWORK}: {network}"), "the network of this cluster")
            .because_quote(&there.event, &format!("{NETWORK}: {other}"), "the network of another one")
            .because_quote(
                &gateway.object.event,
                &gateway.object.title(),
                "a gateway between networks of ambient is in use",
            );
        Some(self.fail(&reason, verdict))
    }

    /// Gateways stand for peers, and istiod's discovery through them is off.
    fn peering_off(&self) -> Option<Item> {
        const FLAG: &str = "ENABLE_PEERING_DISCOVERY";
        if !self.cluster.is_peered() || self.plane.is_on(FLAG) {
            return None;
        }
        let (event, quote) = self.peer()?;
        let reason = format!("clusters are peered, but {FLAG} is not set to true");
        let verdict = Verdict::certain(&format!("{}: {FLAG}", self.cluster.title()))
            .says("istiod of {cluster} does not discover the services of its peers: {reason}")
            .because_quote(event, &quote, "this cluster has a peer")
            .because_quote(
                &self.plane.object.event,
                &self.quote(FLAG),
                "without it peers may be connected, but their services are not discovered",
            );
        Some(self.fail(&reason, verdict))
    }

    /// What a peer brings are WorkloadEntries, which Services have to select.
    fn entries_not_selected(&self) -> Option<Item> {
        const FLAG: &str = "K8S_SELECT_WORKLOAD_ENTRIES";
        if !self.plane.is_off(FLAG) || !self.cluster.is_peered() {
            return None;
        }
        let (event, quote) = self.peer()?;
        let reason = format!("{FLAG} is off, so Services do not select the workloads that peers bring");
        let verdict = Verdict::certain(&format!("{}: {FLAG}", self.cluster.title()))
            .says("peering in {cluster} has no effect: {reason}")
            .because_quote(event, &quote, "this cluster has a peer")
            .because_quote(&self.plane.object.event, &self.quote(FLAG), "it must not be switched off with peering");
        Some(self.fail(&reason, verdict))
    }

    /// Remote secrets of an istiod that is told to ignore them.
    fn secrets_ignored(&self) -> Option<Item> {
        const FLAG: &str = "DISABLE_LEGACY_MULTICLUSTER";
        let flag = self.on(FLAG)?;
        let secret = self.cluster.remote_secrets().into_iter().next()?.secret;
        if self.cluster.is_peered() {
            return Some(Item::warn(
                self.cluster.title(),
                self.plane.object.title(),
                format!("{FLAG} is on: {} is ignored, only peering finds other clusters", secret.title()),
                "delete the remote secrets, or switch the variable off",
            ));
        }
        let reason = format!("{FLAG} is on, so remote secrets are ignored, and there is no peer");
        let verdict = Verdict::certain(&format!("{}: {FLAG}", self.cluster.title()))
            .says("istiod of {cluster} reads no other cluster: {reason}")
            .because_quote(&self.plane.object.event, &flag, "other clusters are found through peering only")
            .because_quote(&secret.event, &secret.title(), "but this cluster has remote secrets, and no peer");
        Some(self.fail(&reason, verdict))
    }

    /// A gateway of another cluster has a host name only, and istiod may not resolve it.
    fn gateway_names_not_resolved(&self) -> Option<Item> {
        const FLAG: &str = "RESOLVE_HOSTNAME_GATEWAYS";
        if !self.plane.is_off(FLAG) {
            return None;
        }
        let others = self.mesh.clusters().filter(|other| other.name != self.cluster.name);
        let gateway = others.flat_map(Cluster::gateways).find(|gateway| {
            gateway.network.is_some()
                && !gateway.addresses.is_empty()
                && gateway.addresses.iter().all(|address| address.parse::<std::net::IpAddr>().is_err())
        })?;
        let name = gateway.addresses.first()?;
        let reason = format!("{FLAG} is off, and the gateway of another cluster has only the host name {name}");
        let verdict = Verdict::certain(&format!("{}: {FLAG}", self.cluster.title()))
            .says("istiod of {cluster} may not resolve the gateway's name: {reason}")
            .because_quote(&self.plane.object.event, &self.quote(FLAG), "istiod drops gateways with a host name")
            .because_quote(&gateway.object.event, &format!("status: {name}"), "the gateway has no other address")
            .token(name);
        Some(self.fail(&reason, verdict))
    }

    /// Gateways of the Gateway API stand for networks, and istiod does not look at them (the default before 1.23).
    fn gateways_not_discovered(&self) -> Option<Item> {
        const FLAG: &str = "PILOT_MULTI_NETWORK_DISCOVER_GATEWAY_API";
        let by_default = || self.plane.env(FLAG).is_none() && self.plane.version().is_some_and(|is| is.minor < 23);
        // Ambient reads its gateways whatever this says.
        if !self.plane.is_off(FLAG) && !by_default() || has_ztunnel(self.cluster) || self.cluster.is_peered() {
            return None;
        }
        let gateway = self.cluster.gateways().into_iter().find(|gateway| gateway.kind == GatewayKind::Remote)?;
        let reason = format!("a Gateway stands for a network elsewhere, but {FLAG} is not on");
        let verdict = Verdict::certain(&format!("{}: {FLAG}", self.cluster.title()))
            .says("istiod of {cluster} does not look at Gateways of the Gateway API: {reason}")
            .because_quote(&gateway.object.event, "gatewayClassName: istio-remote", "it stands for a remote gateway")
            .because_quote(&self.plane.object.event, &self.quote(FLAG), "istiod does not read such Gateways");
        Some(self.fail(&reason, verdict))
    }

    fn entries_of_others_ignored(&self) -> Option<Item> {
        const FLAG: &str = "PILOT_ENABLE_CROSS_CLUSTER_WORKLOAD_ENTRY";
        if !self.plane.is_off(FLAG) {
            return None;
        }
        let others = self.mesh.clusters().filter(|other| other.name != self.cluster.name);
        let (other, entry) =
            others.flat_map(|other| other.objects("WorkloadEntry").map(move |it| (other, it))).next()?;
        Some(Item::warn(
            self.cluster.title(),
            self.plane.object.title(),
            format!("{FLAG} is off: {} of {} is not seen here", entry.title(), other.title()),
            "switch it on (the default), or accept that WorkloadEntries of other clusters have no endpoints here",
        ))
    }

    fn waits_for_ever(&self) -> Option<Item> {
        const KEY: &str = "PILOT_REMOTE_CLUSTER_TIMEOUT";
        let value = self.plane.env(KEY)?;
        matches!(value, "0" | "0s" | "0m" | "0h").then(|| {
            Item::warn(
                self.cluster.title(),
                self.plane.object.title(),
                format!("{KEY}={value}: one remote cluster that cannot be read keeps istiod from getting ready"),
                "give it a limit (the default is 30s)",
            )
        })
    }

    /// With classic gateways only, ingress gateways lose their remote endpoints (istio/istio#60609).
    fn ingress_over_classic_gateways(&self) -> Option<Item> {
        const FLAG: &str = "AMBIENT_ENABLE_MULTI_NETWORK_INGRESS";
        self.on(FLAG)?;
        let gateways: Vec<_> = self.mesh.clusters().flat_map(Cluster::gateways).collect();
        let are_classic = !gateways.is_empty() && gateways.iter().all(|gateway| gateway.kind == GatewayKind::Service);
        are_classic.then(|| {
            Item::warn(
                self.cluster.title(),
                self.plane.object.title(),
                format!("{FLAG} is on, but only gateways for sidecars (15443) are known: ingress gateways then have no way to other networks"),
                "offer HBONE on the east-west gateways, or switch the variable off",
            )
        })
    }

    /// Variables that this version does not know, or that do nothing in it yet.
    fn unknown_to_version(&self) -> Vec<Item> {
        /// Variables of multicluster and ambient with the first minor version in which they work.
        const SINCE: [(&str, u32); 5] = [
            ("PILOT_ENABLE_AMBIENT", 22),
            ("AMBIENT_ENABLE_MULTI_NETWORK", 27),
            ("AMBIENT_ENABLE_MULTI_NETWORK_WAYPOINT", 28),
            ("AMBIENT_ENABLE_MULTI_NETWORK_INGRESS", 29),
            ("PILOT_MULTICLUSTER_KUBECONFIG_PATH", 30),
        ];
        let Some(version) = self.plane.version() else { return Vec::new() };
        let mut items = Vec::new();
        let mut warn = |reason: String| {
            items.push(Item::warn(
                self.cluster.title(),
                self.plane.object.title(),
                reason,
                "upgrade istiod, or do without",
            ));
        };
        for (key, since) in SINCE {
            let is_used = self.plane.env(key).is_some_and(|value| !value.is_empty()) && !self.plane.is_off(key);
            if is_used && version.minor < since && !self.plane.is_solo() {
                warn(format!("{key} is set, but works only from 1.{since} on; this istiod is {version}"));
            }
        }
        if self.plane.is_on("ENABLE_PEERING_DISCOVERY") && self.plane.image().contains("docker.io/istio/") {
            warn("ENABLE_PEERING_DISCOVERY is set, but the image is upstream's, which has no peering".to_string());
        }
        items
    }

    /// What shows that the cluster has a peer.
    fn peer(&self) -> Option<(&'m Arc<Event>, String)> {
        let gateway = self.cluster.objects("Gateway").find_map(|object| {
            let Body::Gateway(gateway) = &object.body else { return None };
            let condition = gateway.conditions.iter().find(|condition| condition.kind.starts_with("gloo.solo.io/"));
            (&*gateway.class == "istio-remote").then(|| match condition {
                Some(condition) => {
                    (&object.event, format!("{}: {}={}", object.title(), condition.kind, condition.status))
                }
                None => (&object.event, format!("{}: gatewayClassName: istio-remote", object.title())),
            })
        });
        gateway.or_else(|| {
            let mut brought = self.cluster.objects("WorkloadEntry").chain(self.cluster.objects("ServiceEntry"));
            let entry = brought.find(|object| object.label("solo.io/source-cluster").is_some())?;
            Some((&entry.event, entry.title()))
        })
    }

    fn on(&self, key: &str) -> Option<String> {
        self.plane.is_on(key).then(|| self.quote(key))
    }

    /// A variable as evidence: `env: KEY=value`, or that it is not set.
    fn quote(&self, key: &str) -> String {
        match self.plane.env(key) {
            Some(value) => format!("{}: env {key}={value}", self.plane.object.title()),
            None => format!("{}: env {key} is not set", self.plane.object.title()),
        }
    }

    fn fail(&self, reason: &str, verdict: Verdict) -> Item {
        let verdict = verdict.slot("cluster", self.cluster.title()).slot("reason", reason);
        Item::fail(self.cluster.title(), self.plane.object.title(), reason, SLUG, verdict)
    }
}

/// Whether ztunnels run in a cluster, not only an istiod that could serve some.
fn has_ztunnel(cluster: &Cluster) -> bool {
    cluster.ztunnels().next().is_some()
        || cluster.workloads().any(|(object, workload)| {
            &*object.kind == "DaemonSet"
                && (object.name.starts_with("ztunnel")
                    || workload.pod_labels.get("app").is_some_and(|app| &**app == "ztunnel"))
        })
        || cluster.pods().any(|(object, _)| object.label("app") == Some("ztunnel"))
}
