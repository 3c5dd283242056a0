//! East-west gateways of `east`, with `west` on another network beside it.

use meshwhy_parsers::event::Kind;

use super::CHECK;
use crate::causes;
use crate::checks::testing::{Saved, asked, world};
use crate::engine::cause::Rule;
use crate::engine::view::View;

/// The namespace of a control plane with the network of its cluster.
fn namespace(network: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: istio-system, labels: {{topology.istio.io/network: {network}}}}}\n"
    )
}

/// What `kubectl get <kind> -A -o yaml` prints.
fn list(items: &[&str]) -> String {
    format!("apiVersion: v1\nkind: List\nmetadata: {{resourceVersion: \"\"}}\nitems:\n{}", items.concat())
}

/// The Service of a gateway, with what follows `type:` and its status.
fn gateway(spec: &str, ports: &str, ingress: &str) -> String {
    format!(
        "- apiVersion: v1\n  kind: Service\n  metadata: {{name: istio-eastwestgateway, namespace: istio-system, \
         labels: {{istio: eastwestgateway, topology.istio.io/network: net-east}}}}\n  spec: {{{spec}, \
         clusterIP: 10.96.4.4, selector: {{istio: eastwestgateway}}, ports: [{ports}]}}\n  \
         status: {{loadBalancer: {{{ingress}}}}}\n"
    )
}

const LOAD_BALANCER: &str = "type: LoadBalancer";
const PORTS: &str = "{name: status-port, port: 15021}, {name: tls, port: 15443, targetPort: 15443}";
const READY: &str = "ingress: [{ip: 192.0.2.10}]";

/// A Service of another namespace, by which a list is one of all namespaces.
const DNS: &str = "- apiVersion: v1\n  kind: Service\n  metadata: {name: kube-dns, namespace: kube-system}\n  \
    spec: {clusterIP: 10.96.0.10, selector: {k8s-app: kube-dns}, ports: [{name: dns, port: 53}]}\n";

/// A Service of an application, and its endpoint.
const WEB: &str = "- apiVersion: v1\n  kind: Service\n  metadata: {name: web, namespace: shop}\n  \
    spec: {clusterIP: 10.96.7.7, selector: {app: web}, ports: [{name: http, port: 80}]}\n";
const WEB_POD: &str = "- apiVersion: discovery.k8s.io/v1\n  kind: EndpointSlice\n  metadata: {name: web-x1, namespace: shop, \
    labels: {kubernetes.io/service-name: web}}\n  addressType: IPv4\n  endpoints: [{addresses: [10.1.0.7], \
    conditions: {ready: true}}]\n  ports: [{name: http, port: 8080}]\n";

/// What the check says of these files of `east`, beside `west` on a network of its own.
fn east(files: &[(&str, &str)]) -> Vec<String> {
    beside(&namespace("net-west"), files)
}

/// The same beside a `west` of this namespace.
fn beside(west: &str, files: &[(&str, &str)]) -> Vec<String> {
    let (own, services) = (namespace("net-east"), list(&[WEB, DNS]));
    let mut all: Vec<Saved<'_>> = vec![
        ("east", "namespaces.yaml", &own),
        ("west", "namespaces.yaml", west),
        ("west", "services.yaml", &services),
    ];
    all.extend(files.iter().map(|(path, text)| ("east", *path, *text)));
    of_east(asked(&CHECK, &all))
}

fn of_east(told: Vec<String>) -> Vec<String> {
    let is_its = |line: &String| line.split(": ").next().is_some_and(|front| front.contains(" east "));
    told.into_iter().filter(is_its).collect()
}

#[test]
fn a_network_that_calls_lead_into_needs_a_gateway() {
    let services = list(&[WEB, DNS]);
    let called = |services: &str| east(&[("services.yaml", services), ("slices.yaml", &list(&[WEB_POD]))]);
    assert_eq!(
        called(&services),
        ["fail east network net-east: it has no east-west gateway; west is on network net-west, so this one needs a \
             gateway to be reached, and web.shop runs in both [eastwest-gateway-misconfigured: net-east]"]
    );
    let gateway = gateway(LOAD_BALANCER, PORTS, READY);
    assert_eq!(
        called(&list(&[WEB, DNS, &gateway])),
        ["pass east Service istio-system/istio-eastwestgateway: 192.0.2.10, ports 15021 15443"]
    );
}

#[test]
fn a_network_without_a_gateway_is_only_warned_of_where_nothing_shows_that_calls_lead_into_it() {
    let told = east(&[("services.yaml", &list(&[WEB, DNS]))]);
    assert!(told[0].starts_with("warn east network net-east: it has no east-west gateway"), "{told:?}");
    let told =
        beside(&namespace("net-east"), &[("services.yaml", &list(&[WEB, DNS])), ("slices.yaml", &list(&[WEB_POD]))]);
    assert_eq!(told, [""; 0], "both are on one network");
}

#[test]
fn a_gateway_that_may_merely_not_be_saved_is_not_missing() {
    let told = east(&[("slices.yaml", &list(&[WEB_POD]))]);
    assert_eq!(
        told,
        [
            "cannot tell east network net-east: west is on network net-west, so this one needs a gateway; the Services of all \
             namespaces are not shown"
        ]
    );
    // Where Services are deployed for Gateways, the Gateways have to be known.
    let of_gateway = "- apiVersion: v1\n  kind: Service\n  metadata: {name: ingress-istio, namespace: shop, labels: \
        {gateway.networking.k8s.io/gateway-name: ingress}}\n  spec: {type: ClusterIP, ports: [{port: 80}]}\n";
    let told = east(&[("services.yaml", &list(&[WEB, DNS, of_gateway])), ("slices.yaml", &list(&[WEB_POD]))]);
    assert!(told[0].starts_with("cannot tell east") && told[0].ends_with("its Gateways are not shown"), "{told:?}");
}

#[test]
fn a_load_balancer_that_is_pending_leaves_a_gateway_without_address() {
    let told = |spec: &str, ingress: &str| east(&[("services.yaml", &list(&[&gateway(spec, PORTS, ingress)]))]);
    assert_eq!(
        told(LOAD_BALANCER, ""),
        ["fail east Service istio-system/istio-eastwestgateway: its load balancer is still pending \
             [eastwest-gateway-no-address: istio-eastwestgateway of east]"]
    );
    let by_hand = told("type: LoadBalancer, externalIPs: [192.0.2.44]", "");
    assert_eq!(by_hand, ["pass east Service istio-system/istio-eastwestgateway: 192.0.2.44, ports 15021 15443"]);
    assert!(told("type: ClusterIP, externalIPs: [192.0.2.44]", "")[0].starts_with("pass"));
    assert!(told("type: ClusterIP", "")[0].contains("it is a ClusterIP Service, which other clusters cannot reach"));
}

#[test]
fn a_pending_load_balancer_harms_nobody_on_one_network_or_where_mesh_networks_name_an_address() {
    let services = list(&[&gateway(LOAD_BALANCER, PORTS, "")]);
    let told = beside(&namespace("net-east"), &[("services.yaml", &services)]);
    assert!(told[0].starts_with("warn east"), "{told:?}");
    let networks = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  meshNetworks: |\n    \
        networks:\n      net-east:\n        endpoints: [{fromRegistry: east}]\n        gateways: [{address: 192.0.2.9, port: 15443}]\n";
    let told = east(&[("services.yaml", &services), ("istio.yaml", networks)]);
    assert!(told.iter().all(|line| !line.starts_with("fail")), "{told:?}");
}

#[test]
fn a_node_port_gateway_has_an_address_only_by_the_annotation_that_selects_nodes() {
    let bare = gateway("type: NodePort", PORTS, "");
    let told = |service: &str| east(&[("services.yaml", &list(&[service]))]);
    assert!(told(&bare)[0].contains("[eastwest-gateway-no-address: istio-eastwestgateway of east]"));
    let selects = "namespace: istio-system, annotations: {traffic.istio.io/nodeSelector: '{\"role\":\"edge\"}'}";
    assert!(told(&bare.replacen("namespace: istio-system", selects, 1))[0].starts_with("pass"));
}

/// What istiod of `west` says of gateways while it reads these clusters.
fn known_in_west(ingress: &str, networkz: &str, clusterz: &str) -> Vec<String> {
    let services = list(&[&gateway(LOAD_BALANCER, PORTS, ingress)]);
    let (own, other) = (namespace("net-east"), namespace("net-west"));
    of_east(asked(
        &CHECK,
        &[
            ("east", "namespaces.yaml", &own),
            ("east", "services.yaml", &services),
            ("west", "namespaces.yaml", &other),
            ("west", "istio-system/istiod-1/debug/networkz.json", networkz),
            ("west", "istio-system/istiod-1/debug/clusterz.json", clusterz),
        ],
    ))
}

const OWN: &str = r#"{"Network":"net-west","Cluster":"west","Addr":"198.51.100.4","Port":15443}"#;
const READS: &str = r#"[{"id":"west","secretName":"","syncStatus":"synced"},
    {"id":"east","secretName":"istio-system/istio-remote-secret-east","syncStatus":"synced"}]"#;

#[test]
fn a_host_name_that_istiod_elsewhere_did_not_resolve_is_no_address() {
    let host = "ingress: [{hostname: ew.east.example}]";
    assert_eq!(
        known_in_west(host, &format!("[{OWN}]"), READS),
        ["fail east Service istio-system/istio-eastwestgateway: istiod of west does not resolve its host name \
             ew.east.example [eastwest-gateway-no-address: ew.east.example]"]
    );
    let resolved = r#"{"Network":"net-east","Cluster":"east","Addr":"192.0.2.77","Port":15443}"#;
    assert!(known_in_west(host, &format!("[{OWN},{resolved}]"), READS)[0].starts_with("pass"));
}

#[test]
fn istiod_elsewhere_has_to_know_the_gateway_of_a_cluster_that_it_reads() {
    let none = known_in_west(READY, &format!("[{OWN}]"), READS);
    assert_eq!(
        none,
        [
            "warn east Service istio-system/istio-eastwestgateway: istiod of west reads east and knows no gateway of network \
             net-east"
        ]
    );
    let known = |address: &str| {
        let row = format!(r#"{{"Network":"net-east","Cluster":"east","Addr":"{address}","Port":15443}}"#);
        known_in_west(READY, &format!("[{OWN},{row}]"), READS)
    };
    assert!(known("192.0.2.10")[0].starts_with("pass"));
    assert_eq!(
        known("192.0.2.99"),
        [
            "fail east Service istio-system/istio-eastwestgateway: istiod holds 192.0.2.99 for network net-east of west: it has \
             192.0.2.10 [eastwest-gateway-misconfigured: istio-system/istio-eastwestgateway]"
        ]
    );
    let unread = READS.replace("istio-remote-secret-east\",\"syncStatus\":\"synced", "x\",\"syncStatus\":\"timeout");
    let told = known_in_west(READY, &format!("[{OWN}]"), &unread);
    assert!(told[0].starts_with("pass"), "of a cluster that it does not read it knows nothing: {told:?}");
}

/// A pod of the gateway in this state.
fn pod(name: &str, ready: bool) -> String {
    format!(
        "- apiVersion: v1\n  kind: Pod\n  metadata: {{name: istio-eastwestgateway-{name}, namespace: istio-system, labels: \
         {{istio: eastwestgateway, app: istio-eastwestgateway}}}}\n  spec: {{containers: [{{name: istio-proxy, image: \
         \"istio/proxyv2:1.28.1\"}}]}}\n  status: {{phase: Running, podIP: 10.1.0.9, containerStatuses: [{{name: istio-proxy, \
         ready: {ready}, restartCount: 0, state: {{running: {{}}}}}}]}}\n"
    )
}

#[test]
fn a_gateway_needs_one_ready_pod() {
    let services = list(&[&gateway(LOAD_BALANCER, PORTS, READY)]);
    let told = |pods: &[&str]| east(&[("services.yaml", &services), ("pods.yaml", &list(pods))]);
    let (down, up) = (pod("a", false), pod("b", true));
    assert_eq!(
        told(&[&down]),
        [
            "fail east Service istio-system/istio-eastwestgateway: its pod istio-eastwestgateway-a is Running with 0 of 1 \
             containers ready [eastwest-gateway-down: east gateway]"
        ]
    );
    assert!(told(&[&down, &up])[0].starts_with("pass"), "one that is ready is enough");
    let alone = |pod: &str| east(&[("pods.yaml", &list(&[pod]))]).remove(0);
    assert!(alone(&down).contains("[eastwest-gateway-down: east gateway]"), "its Service need not be shown");
    assert!(alone(&up).starts_with("cannot tell"));
}

#[test]
fn a_gateway_that_is_scaled_to_zero_is_down() {
    let services = list(&[&gateway(LOAD_BALANCER, PORTS, READY)]);
    let deployment = |replicas: u32| {
        list(&[&format!(
            "- apiVersion: apps/v1\n  kind: Deployment\n  metadata: {{name: istio-eastwestgateway, namespace: istio-system}}\n  \
             spec: {{replicas: {replicas}, selector: {{matchLabels: {{istio: eastwestgateway}}}}, template: {{metadata: {{labels: \
             {{istio: eastwestgateway}}}}, spec: {{containers: [{{name: istio-proxy, image: auto}}]}}}}}}\n  \
             status: {{replicas: {replicas}, readyReplicas: {replicas}}}\n"
        )])
    };
    let told = |replicas: u32| east(&[("services.yaml", &services), ("deployments.yaml", &deployment(replicas))]);
    assert!(told(0)[0].contains("it is scaled to zero [eastwest-gateway-down:"), "{:?}", told(0));
    assert!(told(1)[0].starts_with("pass"));
}

#[test]
fn a_gateway_has_to_offer_a_port_that_crosses_networks() {
    let told = |ports: &str| east(&[("services.yaml", &list(&[&gateway(LOAD_BALANCER, ports, READY)]))]);
    assert_eq!(
        told("{name: http, port: 80}, {name: https, port: 443}"),
        ["fail east Service istio-system/istio-eastwestgateway: its Service offers neither 15443 nor 15008 \
             [eastwest-gateway-misconfigured: istio-system/istio-eastwestgateway]"]
    );
    assert!(told(PORTS)[0].starts_with("pass"));
    assert!(told("{name: hbone, port: 15008}")[0].starts_with("pass"));
    let relabelled = gateway(LOAD_BALANCER, "{name: tls, port: 443}", READY).replacen(
        "istio: eastwestgateway,",
        "istio: eastwestgateway, networking.istio.io/gatewayPort: \"443\",",
        1,
    );
    assert!(east(&[("services.yaml", &list(&[&relabelled]))])[0].starts_with("pass"), "the label names another port");
}

/// Istio's Gateway at the gateway's pods.
fn exposing(port: u16, mode: &str, hosts: &str) -> String {
    format!(
        "- apiVersion: networking.istio.io/v1\n  kind: Gateway\n  metadata: {{name: cross-network-gateway, namespace: istio-system}}\n  \
         spec: {{selector: {{istio: eastwestgateway}}, servers: [{{port: {{number: {port}, name: tls, protocol: TLS}}, \
         tls: {{mode: {mode}}}, hosts: [{hosts}]}}]}}\n"
    )
}

/// A Gateway of another namespace, for the way in from outside the mesh.
const INGRESS: &str = "- apiVersion: networking.istio.io/v1\n  kind: Gateway\n  metadata: {name: web, namespace: shop}\n  \
    spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, \
    tls: {mode: SIMPLE, credentialName: web}, hosts: [web.example]}]}\n";

#[test]
fn services_are_exposed_by_auto_passthrough_at_the_port_that_others_enter() {
    let services = list(&[&gateway(LOAD_BALANCER, PORTS, READY), WEB]);
    let istiod = list(&[
        "- apiVersion: v1\n  kind: Pod\n  metadata: {name: istiod-1, namespace: istio-system, labels: {app: istiod}}\n  \
        spec: {containers: [{name: discovery, image: \"istio/pilot:1.28.1\"}]}\n  status: {phase: Running, podIP: 10.1.0.4}\n",
    ]);
    let told = |gateways: Option<&str>| {
        let listed = gateways.map(|one| list(&[one, INGRESS]));
        let mut files = vec![("services.yaml", &*services), ("pods.yaml", &*istiod)];
        files.extend(listed.as_deref().map(|text| ("gateways.networking.istio.io.yaml", text)));
        east(&files).remove(0)
    };
    let misconfigured = " [eastwest-gateway-misconfigured: istio-system/istio-eastwestgateway]";
    let fails = |why: &str| format!("fail east Service istio-system/istio-eastwestgateway: {why}{misconfigured}");
    assert!(told(Some(&exposing(15443, "AUTO_PASSTHROUGH", "\"*.local\""))).starts_with("pass"));
    assert_eq!(
        told(Some(&exposing(15443, "PASSTHROUGH", "\"*.local\""))),
        fails("no Gateway opens its port 15443 with AUTO_PASSTHROUGH")
    );
    assert_eq!(
        told(Some(&exposing(443, "AUTO_PASSTHROUGH", "\"*.local\""))),
        fails("Gateway istio-system/cross-network-gateway opens port 443 with AUTO_PASSTHROUGH, not 15443")
    );
    assert_eq!(
        told(Some(&exposing(15443, "AUTO_PASSTHROUGH", "\"*.bank.svc.cluster.local\""))),
        fails(
            "Gateway istio-system/cross-network-gateway exposes only *.bank.svc.cluster.local, not \
             web.shop.svc.cluster.local"
        )
    );
    assert!(told(None).starts_with("pass"), "Gateways that were not saved may expose them");
}

/// A Gateway of the Gateway API with this condition `Programmed`.
fn ambient(programmed: &str, reason: &str, addresses: &str) -> String {
    list(&[&format!(
        "- apiVersion: gateway.networking.k8s.io/v1\n  kind: Gateway\n  metadata: {{name: istio-eastwestgateway, namespace: \
         istio-system, labels: {{topology.istio.io/network: net-east}}}}\n  spec: {{gatewayClassName: istio-east-west, listeners: \
         [{{name: mesh, port: 15008, protocol: HBONE}}]}}\n  status:\n    addresses: [{addresses}]\n    conditions:\n    - {{type: \
         Accepted, status: \"True\", reason: Accepted, message: Resource accepted}}\n    - {{type: Programmed, status: \
         \"{programmed}\", reason: {reason}, message: \"\"}}\n"
    )])
}

#[test]
fn a_gateway_of_the_gateway_api_has_to_be_programmed() {
    let told = |gateways: &str| east(&[("gateways.yaml", gateways)]);
    assert_eq!(
        told(&ambient("False", "AddressNotAssigned", "")),
        ["fail east Gateway istio-system/istio-eastwestgateway: the Gateway is not programmed: AddressNotAssigned \
             [eastwest-gateway-no-address: istio-eastwestgateway of east]"]
    );
    let programmed = ambient("True", "Programmed", "{type: IPAddress, value: 192.0.2.10}");
    assert_eq!(told(&programmed), ["pass east Gateway istio-system/istio-eastwestgateway: 192.0.2.10, ports 15008"]);
    let classes =
        list(&["- apiVersion: gateway.networking.k8s.io/v1\n  kind: GatewayClass\n  metadata: {name: istio}\n  \
        spec: {controllerName: istio.io/gateway-controller}\n"]);
    let told = east(&[("gateways.yaml", &programmed), ("gatewayclasses.yaml", &classes)]);
    assert!(told[0].contains("its class istio-east-west is not installed"), "{told:?}");
}

#[test]
fn plain_text_from_a_gateway_that_passes_tls_on_comes_from_before_it() {
    let state = |network: &str, address: &str, mode: &str| {
        format!(
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: istio-system\n    \
             labels: {{topology.istio.io/network: {network}}}\n- apiVersion: v1\n  kind: Service\n  metadata:\n    \
             name: istio-eastwestgateway\n    namespace: istio-system\n    labels: {{istio: eastwestgateway, \
             topology.istio.io/network: {network}}}\n  spec:\n    type: LoadBalancer\n    clusterIP: 10.96.0.4\n    \
             ports: [{{name: tls, port: 15443}}]\n  status:\n    loadBalancer: {{ingress: [{{ip: {address}}}]}}\n\
             - apiVersion: networking.istio.io/v1\n  kind: Gateway\n  metadata: {{name: cross-network-gateway, namespace: \
             istio-system}}\n  spec:\n    selector: {{istio: eastwestgateway}}\n    servers:\n    - hosts: ['*.local']\n      \
             port: {{name: tls, number: 15443, protocol: TLS}}\n      tls: {{mode: {mode}}}\n"
        )
    };
    const LINE: &str = "[2026-01-14T21:05:38.922Z] \"GET /hello HTTP/1.1\" 503 UF,URX upstream_reset_before_response_started{remote_connection_failure,TLS_error:|268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end} - \"TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end\" 0 114 22 - \"-\" \"curl/8.16.0\" \"b3e0bbca-fc4d-be56-2912-68bfcdc09025\" \"cart.shop:5000\" \"192.0.2.7:15443\" outbound|5000||cart.shop.svc.cluster.local - 10.0.2.112:5000 10.1.0.12:41118 - default\n";
    let blames = |slug: &str, address: &str, mode: &str| {
        let files = [
            ("east", "state.yaml", &*state("net-1", "192.0.2.1", "AUTO_PASSTHROUGH")),
            ("west", "state.yaml", &state("net-2", address, mode)),
            ("east", "shop/web-5b7d9c6f4-x2x9z/istio-proxy.log", LINE),
        ];
        let world = world(&files);
        let view = View::new(&world, true).asking_state(true);
        let event = view.events(Kind::Request).next().expect("the line is a request");
        let cause = causes::find(slug).expect("it is in the catalogue");
        cause.rules.iter().any(|rule| match rule {
            Rule::Symptom { trigger: Kind::Request, judge, .. } => judge(&view, event).is_some(),
            _ => false,
        })
    };
    let (blocked, plain) = ("crossnetwork-port-blocked", "tls-to-plaintext-port");
    let passes_on = "AUTO_PASSTHROUGH";
    assert!(blames(blocked, "192.0.2.7", passes_on) && !blames(plain, "192.0.2.7", passes_on));
    assert!(!blames(blocked, "192.0.2.7", "SIMPLE") && blames(plain, "192.0.2.7", "SIMPLE"), "it ends TLS itself");
    assert!(
        !blames(blocked, "192.0.2.8", passes_on) && blames(plain, "192.0.2.8", passes_on),
        "no gateway has the address"
    );
}
