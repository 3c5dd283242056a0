//! What a list has listed: all objects of a kind, of one namespace or of all, so that what is not among them does not
//! exist.

use std::collections::{BTreeMap, BTreeSet};

use crate::command;
use crate::document::Found;
use crate::event::Text;

/// Kinds as kubectl lets a person name them: all names, the kind, its group.
const KINDS: [(&[&str], &str, &str); 33] = [
    (&["pods", "pod", "po"], "Pod", ""),
    (&["services", "service", "svc"], "Service", ""),
    (&["endpoints", "endpoint", "ep"], "Endpoints", ""),
    (&["configmaps", "configmap", "cm"], "ConfigMap", ""),
    (&["secrets", "secret"], "Secret", ""),
    (&["namespaces", "namespace", "ns"], "Namespace", ""),
    (&["nodes", "node", "no"], "Node", ""),
    (&["serviceaccounts", "serviceaccount", "sa"], "ServiceAccount", ""),
    (&["endpointslices", "endpointslice"], "EndpointSlice", "discovery.k8s.io"),
    (&["deployments", "deployment", "deploy"], "Deployment", "apps"),
    (&["daemonsets", "daemonset", "ds"], "DaemonSet", "apps"),
    (&["statefulsets", "statefulset", "sts"], "StatefulSet", "apps"),
    (&["replicasets", "replicaset", "rs"], "ReplicaSet", "apps"),
    (&["jobs", "job"], "Job", "batch"),
    (&["networkpolicies", "networkpolicy", "netpol"], "NetworkPolicy", "networking.k8s.io"),
    (&["customresourcedefinitions", "customresourcedefinition", "crds", "crd"], "CustomResourceDefinition", CRD),
    (&["mutatingwebhookconfigurations", "mutatingwebhookconfiguration"], "MutatingWebhookConfiguration", WEBHOOKS),
    (
        &["validatingwebhookconfigurations", "validatingwebhookconfiguration"],
        "ValidatingWebhookConfiguration",
        WEBHOOKS,
    ),
    (&["gatewayclasses", "gatewayclass", "gc"], "GatewayClass", GATEWAYS),
    (&["gateways.gateway.networking.k8s.io", "gtw"], "Gateway", GATEWAYS),
    (&["httproutes", "httproute"], "HTTPRoute", GATEWAYS),
    (&["grpcroutes", "grpcroute"], "GRPCRoute", GATEWAYS),
    (&["gateways.networking.istio.io", "gw"], "Gateway", ISTIO),
    (&["virtualservices", "virtualservice", "vs"], "VirtualService", ISTIO),
    (&["destinationrules", "destinationrule", "dr"], "DestinationRule", ISTIO),
    (&["serviceentries", "serviceentry", "se"], "ServiceEntry", ISTIO),
    (&["workloadentries", "workloadentry", "we"], "WorkloadEntry", ISTIO),
    (&["workloadgroups", "workloadgroup", "wg"], "WorkloadGroup", ISTIO),
    (&["sidecars", "sidecar"], "Sidecar", ISTIO),
    (&["envoyfilters", "envoyfilter"], "EnvoyFilter", ISTIO),
    (&["peerauthentications", "peerauthentication", "pa"], "PeerAuthentication", "security.istio.io"),
    (&["authorizationpolicies", "authorizationpolicy", "ap"], "AuthorizationPolicy", "security.istio.io"),
    (&["telemetries", "telemetry"], "Telemetry", "telemetry.istio.io"),
];
const GATEWAYS: &str = "gateway.networking.k8s.io";
const ISTIO: &str = "networking.istio.io";
const CRD: &str = "apiextensions.k8s.io";
const WEBHOOKS: &str = "admissionregistration.k8s.io";

/// Kinds without a namespace.
const CLUSTER_WIDE: [&str; 6] = [
    "Namespace",
    "Node",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "GatewayClass",
];

/// What `kubectl get all` of Kubernetes covers.
const ALL: [&str; 7] = ["pods", "services", "deployments", "daemonsets", "replicasets", "statefulsets", "jobs"];

/// What was asked for, as far as the command or the file's place in an archive tells.
pub(super) struct Asked {
    /// Whether everything of the kinds was asked for, not what a selector or names chose.
    everything: bool,
    /// The kinds and groups asked for.
    kinds: Vec<(Text, Text)>,
    /// The namespace asked for, empty for all of them; `None` where that is not known.
    namespace: Option<Text>,
}

impl Asked {
    /// What was asked for. `empty` are the kinds of lists that say their kind and hold nothing.
    pub(super) fn of(found: Found<'_>, empty: &[(Text, Text)]) -> Asked {
        let mut asked = from_path(found.path).unwrap_or_else(|| from_command(found.command));
        asked.kinds.extend(empty.iter().filter(|(kind, _)| !kind.is_empty()).cloned());
        // `cluster-info dump` writes `<namespace>/pods.json`; kubectl itself prints no list that says `PodList`.
        if asked.namespace.is_none() && found.command.is_empty() && empty.iter().any(|(kind, _)| !kind.is_empty()) {
            asked.namespace = dumped(found.path).map(Text::from);
        }
        asked
    }

    /// The same, asked for in this namespace where nothing else tells.
    pub(super) fn within(self, namespace: Option<Text>) -> Asked {
        Asked { namespace: self.namespace.or(namespace), ..self }
    }

    /// What was listed: kind, group and namespace, empty for all. `seen` are the namespaces of each kind and group.
    pub(super) fn listed(&self, seen: &BTreeMap<(Text, Text), BTreeSet<Text>>) -> BTreeSet<(Text, Text, Text)> {
        let mut listed = BTreeSet::new();
        if !self.everything {
            return listed;
        }
        for ((kind, group), namespaces) in seen {
            let mut names = namespaces.iter();
            let namespace = match (&self.namespace, names.next(), names.next()) {
                (Some(namespace), _, _) => namespace.clone(),
                (None, Some(one), None) => one.clone(),
                (None, _, _) => Text::default(),
            };
            listed.insert((kind.clone(), group.clone(), namespace));
        }
        for (kind, group) in &self.kinds {
            let is_seen = seen.contains_key(&(kind.clone(), group.clone()));
            let everywhere = CLUSTER_WIDE.contains(&&**kind).then(Text::default);
            if let Some(namespace) = everywhere.or_else(|| self.namespace.clone()).filter(|_| !is_seen) {
                listed.insert((kind.clone(), group.clone(), namespace));
            }
        }
        listed
    }
}

/// Files of a bug report (`istio/istio: tools/bug-report/pkg/content/content.go`).
fn from_path(path: &str) -> Option<Asked> {
    let (folder, file) = path.rsplit_once('/')?;
    if folder.rsplit('/').next() != Some("cluster") {
        return None;
    }
    let further: &[&str] = match file {
        "k8s-resources" => &["endpointslices", "configmaps", "networkpolicies"],
        "k8s-cluster-resources" => {
            &["nodes", "namespaces", "crds", "mutatingwebhookconfigurations", "validatingwebhookconfigurations"]
        }
        "crs" => &[],
        "secrets" => &["secrets"],
        "nodes" => &["nodes"],
        _ => return None,
    };
    let all: &[&str] = if file == "k8s-resources" { &ALL } else { &[] };
    let kinds = further.iter().chain(all).filter_map(|name| kind(name)).collect();
    Some(Asked { everything: true, kinds, namespace: Some(Text::default()) })
}

/// The namespace whose folder a file of `cluster-info dump` stands in.
fn dumped(path: &str) -> Option<&str> {
    const FILES: [&str; 6] =
        ["services.json", "daemonsets.json", "deployments.json", "replicasets.json", "pods.json", "events.json"];
    let (folder, file) = path.rsplit_once('/')?;
    FILES.contains(&file).then(|| folder.rsplit('/').next().unwrap_or(folder))
}

/// `kubectl get pods,svc -n shop -o json`.
fn from_command(ran: &str) -> Asked {
    const WITH_VALUE: [&str; 12] = [
        "-n",
        "--namespace",
        "-o",
        "--output",
        "--context",
        "--kube-context",
        "--kubeconfig",
        "--cluster",
        "--user",
        "--sort-by",
        "--as",
        "--chunk-size",
    ];
    let mut asked = Asked { everything: true, kinds: Vec::new(), namespace: None };
    if ran.is_empty() {
        return asked;
    }
    let mut words = ran.split_whitespace().skip_while(|word| *word != "get").skip(1);
    let mut operands = Vec::new();
    while let Some(word) = words.next() {
        match word {
            // What a filter leaves over is not everything.
            "|" => asked.everything = words.next().is_some_and(|filter| matches!(filter, "tee" | "cat" | "less")),
            "-A" | "--all-namespaces" | "--all-namespaces=true" => asked.namespace = Some(Text::default()),
            _ if word.starts_with("-l") || word.starts_with("--selector") || word.starts_with("--field-selector") => {
                asked.everything = false;
            }
            "-f" | "--filename" | "--raw" => asked.everything = false,
            _ if WITH_VALUE.contains(&word) => {
                words.next();
            }
            _ if word.starts_with('-') => {}
            _ if word.starts_with(['>', '2']) => break,
            _ => operands.push(word),
        }
        if word == "|" {
            break;
        }
    }
    if asked.namespace.is_none() {
        asked.namespace = command::namespace(ran).map(Text::from);
    }
    let names = operands.first().copied().unwrap_or("");
    asked.everything &= operands.len() == 1 && !names.contains('/');
    let names = names.split(',').flat_map(|name| if name == "all" { ALL.to_vec() } else { vec![name] });
    asked.kinds = names.filter_map(kind).collect();
    asked
}

/// The kind and group of a name: `svc`, `deployments.apps`, `Gateways.networking.istio.io`.
fn kind(name: &str) -> Option<(Text, Text)> {
    let name = name.to_ascii_lowercase();
    let known = |name: &str| KINDS.iter().find(|(names, _, _)| names.contains(&name));
    let (_, kind, group) = known(&name).or_else(|| {
        let (plural, of) = name.split_once('.')?;
        known(plural).filter(|(_, _, group)| of.ends_with(group))
    })?;
    Some(((*kind).into(), (*group).into()))
}
