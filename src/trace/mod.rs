//! Walks one call through the mesh as state shows it: why does it not reach the other cluster?

#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

mod call;
mod client;
mod far;
mod hops;
mod lines;
mod reach;
mod service;

use call::{Call, Plane};
use hops::Hops;
use reach::Known;

use crate::engine::check::Checked;
use crate::engine::mesh::Cluster;
use crate::engine::trace::Trace;
use crate::engine::view::View;

/// Who calls: a pod, or a workload by the name of its Deployment, app or service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From {
    /// Cluster; empty where not given.
    pub cluster: String,
    /// Namespace; `default` where not given.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// What is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct To {
    /// Host: short, with its namespace, or in full.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl From {
    /// Reads `sleep.sample`, `cluster1/sleep.sample`, `sleep`.
    pub fn parse(text: &str) -> Option<From> {
        let (cluster, rest) = text.split_once('/').unwrap_or(("", text));
        let (name, namespace) = rest.split_once('.').unwrap_or((rest, "default"));
        let is_name = |part: &str| !part.is_empty() && !part.contains(['/', ':', ' ']);
        (is_name(name) && is_name(namespace) && !cluster.contains(' ')).then(|| From {
            cluster: cluster.to_string(),
            namespace: namespace.to_string(),
            name: name.to_string(),
        })
    }
}

impl To {
    /// Reads `helloworld.sample:5000`, `http://helloworld.sample.svc.cluster.local:5000/hello`.
    pub fn parse(text: &str) -> Option<To> {
        let (rest, default) = match text.split_once("://") {
            Some(("http", rest)) => (rest, Some(80)),
            Some(("https", rest)) => (rest, Some(443)),
            Some(_) => return None,
            None => (text, None),
        };
        let authority = rest.split('/').next().unwrap_or(rest);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (authority, default),
        };
        let port: u16 = port.filter(|port| *port > 0)?;
        (!host.is_empty() && !host.contains(' ')).then(|| To { host: host.to_string(), port })
    }
}

/// Walks a call through what is known and what checks said of it. The error says what was not found, and what is known.
pub fn walk(view: &View<'_>, checked: &[Checked], from: &From, to: &To) -> Result<Trace, String> {
    let call = Call::find(view, checked, from, to)?;
    let title = format!("{}/{}", call.near.title(), call.who());
    let called = format!("{}:{}", call.service.host, call.service.port);
    let mut hops = Hops::default();
    let goes_on = hops.walk(client::client(&call))
        && (call.plane == Plane::Unknown || hops.walk(client::proxy(&call)))
        && hops.walk(service::at_the_client(&call))
        && far::waypoint(&call, call.near).is_none_or(|step| hops.walk(step));
    if goes_on {
        clusters(&call, &mut hops);
    }
    if !hops.fails() {
        lines::traffic(&call).map(|step| hops.walk(step));
    }
    Ok(hops.trace(title, called))
}

/// A pod at one of both ends of a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    /// The name of its cluster.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// Its node; empty where unknown.
    pub node: String,
    /// Whether it is the one that calls.
    pub is_caller: bool,
}

/// The pods at both ends of a call, as far as they are known: none where the caller or the service is not.
pub fn ends(view: &View<'_>, from: &From, to: &To) -> Vec<End> {
    Call::find(view, &[], from, to).map_or_else(|_| Vec::new(), |call| call.ends())
}

/// The ways to all clusters in which the service runs, the own one first: each is walked until it ends.
fn clusters(call: &Call<'_>, hops: &mut Hops) {
    let known = Known::of(call, call.near);
    let runs_here = known.runs();
    if runs_here && hops.walk(reach::endpoints(call, call.near, &known)) {
        hops.walk(far::application(call, call.near, &known));
    }
    let mut runs = runs_here;
    for far in call.others() {
        let known = Known::of(call, far);
        if known.may_run() {
            runs = true;
            crossing(call, far, &known, hops);
        }
    }
    if !runs {
        hops.walk(far::nowhere(call));
    }
}

/// The way into another cluster.
fn crossing(call: &Call<'_>, far: &Cluster, known: &Known<'_>, hops: &mut Hops) -> bool {
    let mut goes_on = |step: Option<hops::Step>| step.is_none_or(|step| hops.walk(step));
    goes_on(service::at_the_server(call, far))
        && goes_on(reach::link(call, far, known))
        && goes_on(Some(reach::endpoints(call, far, known)))
        && goes_on(far::gateway(call, far, known))
        && goes_on(Some(far::trust(call, far)))
        && goes_on(far::waypoint(call, far))
        && goes_on(Some(far::application(call, far, known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_and_hosts_are_read_as_people_write_them() {
        let from = From::parse("cluster1/sleep.sample").expect("a caller");
        assert_eq!((&*from.cluster, &*from.name, &*from.namespace), ("cluster1", "sleep", "sample"));
        assert_eq!(From::parse("sleep").expect("a caller").namespace, "default");
        assert_eq!(From::parse("a b"), None);
        let to = |text: &str| To::parse(text).map(|to| (to.host, to.port));
        assert_eq!(to("helloworld.sample:5000"), Some(("helloworld.sample".to_string(), 5000)));
        assert_eq!(to("http://helloworld.sample/hello"), Some(("helloworld.sample".to_string(), 80)));
        assert_eq!(to("helloworld.sample"), None);
        assert_eq!(to("helloworld.sample:0"), None);
    }

    use crate::checks::testing::{Saved, world};
    use crate::engine::check::Checked;
    use crate::engine::view::View;

    /// What a call from `sleep.sample` of east says, a line a hop, and the slug at its end.
    fn walked(files: &[Saved<'_>]) -> Vec<String> {
        walked_to("helloworld.sample:5000", files).expect("caller and service are known")
    }

    fn walked_to(to: &str, files: &[Saved<'_>]) -> Result<Vec<String>, String> {
        let world = world(files);
        let view = View::new(&world, true).asking_state(true);
        let checked: Vec<Checked> =
            crate::checks::ALL.iter().map(|check| Checked { check, items: (check.run)(&view) }).collect();
        let from = From::parse("east/sleep.sample").expect("a caller");
        let trace = walk(&view, &checked, &from, &To::parse(to).expect("a destination"))?;
        let mut said: Vec<String> =
            trace.hops.iter().map(|hop| format!("{} {}: {}", hop.outcome.word(), hop.name, hop.says)).collect();
        said.extend(trace.cause.map(|(slug, _)| slug.to_string()));
        Ok(said)
    }

    fn last(files: &[Saved<'_>]) -> String {
        walked(files).pop().unwrap_or_default()
    }

    fn namespaces(network: &str) -> String {
        format!(
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: istio-system\n    \
             labels: {{kubernetes.io/metadata.name: istio-system, topology.istio.io/network: {network}}}\n- apiVersion: v1\n  \
             kind: Namespace\n  metadata:\n    name: sample\n    labels: {{istio-injection: enabled}}\n"
        )
    }

    fn services(gateway: &str, network: &str, app: &str) -> String {
        format!(
            "apiVersion: v1\nkind: ServiceList\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata:\n    name: istio-eastwestgateway\n    \
             namespace: istio-system\n    labels: {{istio: eastwestgateway, topology.istio.io/network: {network}}}\n  spec:\n    \
             type: LoadBalancer\n    clusterIP: 10.96.0.3\n    selector: {{istio: eastwestgateway}}\n    ports:\n    - {{name: tls, port: \
             15443, protocol: TCP, targetPort: 15443}}\n  status:\n    loadBalancer:\n      ingress:\n      - ip: {gateway}\n- apiVersion: \
             v1\n  kind: Service\n  metadata:\n    name: {app}\n    namespace: sample\n    labels: {{app: {app}}}\n  spec:\n    type: \
             ClusterIP\n    clusterIP: 10.96.7.7\n    clusterIPs: [10.96.7.7]\n    selector: {{app: {app}}}\n    ports:\n    - {{name: http, \
             port: 5000, protocol: TCP, targetPort: 5000}}\n  status:\n    loadBalancer: {{}}\nmetadata:\n  resourceVersion: ''\n"
        )
    }

    const EAST_PODS: &str = "\
$ kubectl get pods -A -o wide
NAMESPACE      NAME                     READY   STATUS    RESTARTS   AGE   IP          NODE   NOMINATED NODE   READINESS GATES
istio-system   istiod-7d9f8b6c5-abcde   1/1     Running   0          4d    10.0.0.5    n1     <none>           <none>
sample         sleep-5b7d9c6f4-x2x9z    2/2     Running   0          4d    10.0.0.13   n1     <none>           <none>
";
    const WEST_PODS: &str = "\
$ kubectl get pods -A -o wide
NAMESPACE      NAME                          READY   STATUS    RESTARTS   AGE   IP          NODE   NOMINATED NODE   READINESS GATES
istio-system   istiod-6c5d8f7b9-fghij        1/1     Running   0          4d    10.1.0.5    m1     <none>           <none>
sample         helloworld-6f7d8c5b4-k8k2v    2/2     Running   0          4d    10.1.0.12   m1     <none>           <none>
";
    const SLEEP: &str = "sample/sleep-5b7d9c6f4-x2x9z";

    fn held(address: &str) -> String {
        format!(
            "$ istioctl proxy-config endpoints sleep-5b7d9c6f4-x2x9z.sample\n\
             ENDPOINT            STATUS      OUTLIER CHECK     CLUSTER\n\
             {address}     HEALTHY     OK                outbound|5000||helloworld.sample.svc.cluster.local\n"
        )
    }

    /// Two clusters in order: helloworld runs in west, and east holds the gateway's address for it.
    struct Clusters {
        east: [String; 2],
        west: [String; 2],
        west_pods: String,
        held: String,
    }

    impl Clusters {
        fn sound() -> Clusters {
            Clusters {
                east: [namespaces("net-east"), services("203.0.113.1", "net-east", "helloworld")],
                west: [namespaces("net-west"), services("203.0.113.2", "net-west", "helloworld")],
                west_pods: WEST_PODS.to_string(),
                held: held("203.0.113.2:15443"),
            }
        }

        fn files(&self) -> Vec<Saved<'_>> {
            vec![
                ("east", "namespaces.yaml", &self.east[0]),
                ("east", "services.yaml", &self.east[1]),
                ("east", "pods.txt", EAST_PODS),
                ("east", "sample/sleep-5b7d9c6f4-x2x9z/endpoints.txt", &self.held),
                ("west", "namespaces.yaml", &self.west[0]),
                ("west", "services.yaml", &self.west[1]),
                ("west", "pods.txt", &self.west_pods),
            ]
        }
    }

    #[test]
    fn a_call_through_a_sound_gateway_passes_every_hop_that_is_known() {
        let said = walked(&Clusters::sound().files());
        assert!(said.iter().all(|hop| !hop.starts_with("fail")), "{said:#?}");
        let wanted = "pass endpoints: the sidecar holds 203.0.113.2:15443 (the gateway of west)";
        assert!(said.iter().any(|hop| hop == wanted), "{said:#?}");
        assert!(said.iter().any(|hop| hop.starts_with("pass gateway: 203.0.113.2:15443")), "{said:#?}");
        assert!(said.iter().any(|hop| hop == "pass application: 1 of 1 ready"), "{said:#?}");
    }

    #[test]
    fn a_pods_address_where_the_gateway_should_be_ends_the_call_and_the_same_on_one_network_does_not() {
        let mut clusters = Clusters::sound();
        clusters.held = held("10.1.0.12:5000");
        assert_eq!(last(&clusters.files()), "network-label-wrong");
        let flat = || [namespaces("net"), services("203.0.113.1", "net", "helloworld")];
        (clusters.east, clusters.west) = (flat(), flat());
        let said = walked(&clusters.files());
        let wanted = "pass endpoints: the sidecar holds 10.1.0.12:5000 (a pod of west, same network)";
        assert!(said.iter().any(|hop| hop == wanted), "{said:#?}");
    }

    #[test]
    fn what_a_check_finds_broken_on_the_way_is_the_cause_and_what_is_broken_elsewhere_is_not() {
        let mut clusters = Clusters::sound();
        clusters.held = held("10.1.0.12:5000");
        clusters.west[1] = services("203.0.113.2", "net-west", "helloworld")
            .replace("    loadBalancer:\n      ingress:\n      - ip: 203.0.113.2\n", "    loadBalancer: {}\n");
        assert_eq!(last(&clusters.files()), "eastwest-gateway-no-address");
        let mut clusters = Clusters::sound();
        clusters.east[1] = services("203.0.113.1", "net-east", "helloworld")
            .replace("    loadBalancer:\n      ingress:\n      - ip: 203.0.113.1\n", "    loadBalancer: {}\n");
        let said = walked(&clusters.files());
        assert!(
            said.iter().all(|hop| !hop.starts_with("fail")),
            "the caller's own gateway is not on the way: {said:#?}"
        );
    }

    #[test]
    fn a_gateway_of_the_other_data_plane_ends_the_call() {
        let mut clusters = Clusters::sound();
        clusters.west[1] = clusters.west[1].replace("15443", "15008");
        clusters.held = held("203.0.113.2:15008");
        let said = walked(&clusters.files());
        assert_eq!(said.last().map(String::as_str), Some("dataplane-mode-mismatch"), "{said:#?}");
    }

    #[test]
    fn a_service_that_only_the_other_cluster_has_is_not_found_by_name_unless_the_proxy_answers_dns() {
        let mut clusters = Clusters::sound();
        clusters.east[1] = services("203.0.113.1", "net-east", "other");
        assert_eq!(last(&clusters.files()), "service-differs");
        let captures = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: istio\n  namespace: istio-system\ndata:\n  mesh: |-\n    \
                        defaultConfig:\n      proxyMetadata:\n        ISTIO_META_DNS_CAPTURE: 'true'\n";
        let mut files = clusters.files();
        files.push(("east", "istio.yaml", captures));
        let said = walked(&files);
        let wanted = "warn service: does not exist; the name resolves only where the proxy answers DNS";
        assert!(said.iter().any(|hop| hop == wanted), "{said:#?}");
    }

    #[test]
    fn a_port_that_the_service_lacks_ends_the_call() {
        let clusters = Clusters::sound();
        let said = walked_to("helloworld.sample:5001", &clusters.files()).expect("a service");
        assert_eq!(said.last().map(String::as_str), Some("fail service: it has no port 5001, but 5000"));
    }

    #[test]
    fn pods_that_are_not_ready_end_the_call() {
        let mut clusters = Clusters::sound();
        clusters.west_pods =
            WEST_PODS.replace("helloworld-6f7d8c5b4-k8k2v    2/2", "helloworld-6f7d8c5b4-k8k2v    1/2");
        assert_eq!(last(&clusters.files()), "no-healthy-upstream");
    }

    #[test]
    fn a_pod_without_a_sidecar_is_outside_the_mesh_and_one_with_a_native_sidecar_is_not() {
        let pod = |containers: &str, statuses: &str| {
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata:\n  name: sleep-5b7d9c6f4-x2x9z\n  namespace: sample\n  labels: {{app: sleep}}\n\
                 spec:\n  nodeName: n1\n{containers}status:\n  phase: Running\n  podIP: 10.0.0.13\n  containerStatuses:\n  - {{name: sleep, \
                 ready: true, restartCount: 0}}\n{statuses}"
            )
        };
        let clusters = Clusters::sound();
        let with = |pod: &str| {
            let mut files = clusters.files();
            files.retain(|(_, path, _)| !path.ends_with("endpoints.txt"));
            files.push(("east", "pod.yaml", pod));
            walked(&files)
        };
        let said = with(&pod("  containers:\n  - {name: sleep, image: curlimages/curl}\n", ""));
        assert_eq!(said.last().map(String::as_str), Some("injection-missing"), "{said:#?}");
        let native = "  containers:\n  - {name: sleep, image: curlimages/curl}\n  initContainers:\n  - {name: istio-proxy, image: \
                      istio/proxyv2, restartPolicy: Always}\n";
        let started =
            "  initContainerStatuses:\n  - {name: istio-proxy, ready: true, started: true, restartCount: 0}\n";
        let said = with(&pod(native, started));
        assert!(said.first().is_some_and(|hop| hop.starts_with("pass client: has a sidecar")), "{said:#?}");
    }

    #[test]
    fn lines_about_the_call_name_what_state_does_not_show_and_what_was_answered_later_is_over() {
        let line = |time: &str, code: &str| {
            format!(
                "[2026-01-19T15:{time}Z] \"GET /hello HTTP/1.1\" {code} - \"-\" 0 114 10003 - \"-\" \"curl/8.16.0\" \
                 \"fd60f4d5-6373-afb2-6e2d-0fa0b2f37bbf\" \"helloworld.sample:5000\" \"203.0.113.2:15443\" \
                 outbound|5000||helloworld.sample.svc.cluster.local - 10.96.7.7:5000 10.0.0.13:37825 - default\n"
            )
        };
        let blocked = line("40:12.852", "503 UF,URX upstream_reset_before_response_started{connection_timeout}");
        let answered = line("45:12.852", "200 - via_upstream");
        let clusters = Clusters::sound();
        let path = format!("{SLEEP}/istio-proxy.log");
        let with = |log: &str| {
            let mut files = clusters.files();
            files.push(("east", &path, log));
            walked(&files)
        };
        assert_eq!(with(&blocked).last().map(String::as_str), Some("crossnetwork-port-blocked"));
        let said = with(&format!("{blocked}{answered}"));
        assert_eq!(said.last().map(String::as_str), Some("warn traffic: one call failed, later ones were answered"));
        let other = blocked
            .replace("outbound|5000||helloworld", "outbound|5000||other")
            .replace("helloworld.sample", "other.sample");
        assert!(with(&other).iter().all(|hop| !hop.starts_with("fail")), "calls to another service are not this call");
    }

    #[test]
    fn whom_nobody_knows_is_told_with_what_is_known() {
        let clusters = Clusters::sound();
        let files = clusters.files();
        let error = walked_to("hello.sample:5000", &files).expect_err("no such service");
        assert!(error.contains("known are helloworld.sample.svc.cluster.local"), "{error}");
        let world = world(&files);
        let view = View::new(&world, true).asking_state(true);
        let to = To::parse("helloworld.sample:5000").expect("a destination");
        let error = |from: &str| {
            walk(&view, &[], &From::parse(from).expect("a caller"), &to).map(|_| ()).expect_err("no such caller")
        };
        assert_eq!(error("north/sleep.sample"), "no cluster is called north\nhint: known are east, west");
        assert!(error("sleep").contains("hint: known are east/sleep.sample"), "{}", error("sleep"));
    }
}
