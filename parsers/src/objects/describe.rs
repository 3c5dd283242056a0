//! What `kubectl describe` prints of pods, services, nodes, secrets, namespaces, endpoints and Gateways
//! (`kubernetes/kubectl: pkg/describe/describe.go`). It names no kind: the fields tell.

use serde_json::Value;

use super::field::{Field, instant, short};
use super::{annotations, row, secret};
use crate::event::{Fact, Text};
use crate::kube;
use crate::state::object::{
    Body, Condition, Container, EndpointAddress, Endpoints, Map, Node, Object, Pod, Secret, Service, ServicePort,
};
use crate::time::Time;

/// The objects of a text that `kubectl describe` printed; what it says of other kinds is left out.
pub fn describe(text: &str) -> Vec<Object> {
    blocks(text).into_iter().filter_map(|block| Description::of(block)?.object()).collect()
}

/// Objects and events of a document that is nothing but descriptions of kinds known here; `None` for another one, and for
/// one that tells of a failure: its lines are evidence, and say more as lines.
pub(super) fn read(text: &str) -> Option<(Vec<Object>, Vec<Fact>)> {
    let (mut objects, mut events) = (Vec::new(), Vec::new());
    for block in blocks(text) {
        let description = Description::of(block)?;
        let rows = description.events();
        let object = description.object()?;
        if rows.iter().any(|row| row.starts_with("Warning")) || was_killed(&object) {
            return None;
        }
        events.extend(rows.iter().filter_map(|row| kube::event_row(row)));
        objects.push(object);
    }
    (!objects.is_empty()).then_some((objects, events))
}

/// Whether a container was killed for want of memory.
fn was_killed(object: &Object) -> bool {
    let Body::Pod(pod) = &object.body else { return false };
    pod.containers.iter().any(|container| matches!(&container.ended, Some((reason, _, _)) if &**reason == "OOMKilled"))
}

/// The lines of each object: it begins with its name at the left edge.
fn blocks(text: &str) -> Vec<Vec<&str>> {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    let mut is_blank = true;
    for line in text.lines() {
        if line.starts_with("Name: ") && is_blank {
            blocks.push(Vec::new());
        }
        is_blank = line.trim().is_empty();
        if let Some(block) = blocks.last_mut().filter(|_| !is_blank) {
            block.push(line.trim_end());
        }
    }
    blocks
}

/// A field, with the lines that stand below it and deeper.
#[derive(Clone, Debug, Default)]
struct Entry<'a> {
    key: &'a str,
    /// Empty where it is `<none>` or `<unset>`.
    value: &'a str,
    under: Vec<&'a str>,
}

/// The fields of lines that stand below each other.
fn entries<'a>(lines: &[&'a str]) -> Vec<Entry<'a>> {
    let indent = lines.first().map_or(0, |line| indent(line));
    let mut found: Vec<Entry<'a>> = Vec::new();
    for line in lines {
        if self::indent(line) > indent {
            if let Some(entry) = found.last_mut() {
                entry.under.push(line);
            }
            continue;
        }
        let (key, value) = match line.split_once(": ").or_else(|| line.split_once(":\t")) {
            Some((key, value)) => (key, value.trim()),
            None => (line.strip_suffix(':').unwrap_or(line), ""),
        };
        let value = if matches!(value, "<none>" | "<unset>" | "<nil>") { "" } else { value };
        found.push(Entry { key: key.trim(), value, under: Vec::new() });
    }
    found
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn find<'e, 'a>(entries: &'e [Entry<'a>], key: &str) -> Option<&'e Entry<'a>> {
    entries.iter().find(|entry| entry.key == key)
}

fn value<'a>(entries: &[Entry<'a>], key: &str) -> &'a str {
    find(entries, key).map_or("", |entry| entry.value)
}

/// The fields below a field.
fn under<'a>(entries: &[Entry<'a>], key: &str) -> Vec<Entry<'a>> {
    find(entries, key).map(|entry| self::entries(&entry.under)).unwrap_or_default()
}

/// The lines of a field, its own value first.
fn lines<'a>(entry: &Entry<'a>) -> impl Iterator<Item = &'a str> {
    [entry.value].into_iter().chain(entry.under.iter().map(|line| line.trim())).filter(|line| !line.is_empty())
}

/// One object.
struct Description<'a>(Vec<Entry<'a>>);

impl<'a> Description<'a> {
    /// `None` for lines that no description begins with.
    fn of(block: Vec<&'a str>) -> Option<Description<'a>> {
        let entries = entries(&block);
        let is_one = entries.first().is_some_and(|first| first.key == "Name" && !first.value.is_empty());
        (is_one && entries.get(1).is_some_and(|second| SECOND.contains(&second.key))).then_some(Description(entries))
    }

    fn value(&self, key: &str) -> &'a str {
        value(&self.0, key)
    }

    fn has(&self, key: &str) -> bool {
        find(&self.0, key).is_some()
    }

    /// The rows of its events. A message of several lines goes on at the left.
    fn events(&self) -> Vec<String> {
        let mut rows: Vec<String> = Vec::new();
        let lines = find(&self.0, "Events").map(|events| events.under.as_slice()).unwrap_or_default();
        for line in lines.iter().map(|line| line.trim()) {
            let is_row = line.starts_with("Normal ") || line.starts_with("Warning ");
            match rows.last_mut() {
                Some(row) if !is_row => {
                    row.push(' ');
                    row.push_str(line);
                }
                _ if is_row => rows.push(line.to_string()),
                _ => {}
            }
        }
        rows
    }

    /// The object, where its kind is one of ours.
    fn object(&self) -> Option<Object> {
        if self.has("API Version") && self.has("Kind") {
            return self.custom();
        }
        let (kind, body) = match () {
            () if self.has("Containers") && self.has("Node") => ("Pod", Body::Pod(Box::new(self.pod()))),
            () if self.has("Session Affinity") => ("Service", Body::Service(Box::new(self.service()))),
            () if self.has("System Info") => ("Node", Body::Node(self.node())),
            () if self.has("Subsets") => ("Endpoints", Body::Endpoints(self.endpoints())),
            () if self.has("Type") && self.has("Data") => ("Secret", Body::Secret(Box::new(self.secret()))),
            () if self.has("No resource quota.")
                || self.has("No LimitRange resource.")
                || self.has("Resource Quotas") =>
            {
                ("Namespace", Body::Namespace)
            }
            () => return None,
        };
        Some(Object {
            kind: kind.into(),
            namespace: short(self.value("Namespace")),
            name: short(self.value("Name")),
            labels: Some(self.labels()),
            annotations: self.annotations(kind == "Secret"),
            created: time(self.value("CreationTimestamp")),
            owner: short(self.value("Controlled By")),
            body,
            ..Object::default()
        })
    }

    fn labels(&self) -> Map {
        let pairs = find(&self.0, "Labels").into_iter().flat_map(lines).filter_map(|line| line.split_once('='));
        pairs.map(|(key, value)| (short(key), short(value))).collect()
    }

    fn annotations(&self, is_secret: bool) -> Map {
        let lines = find(&self.0, "Annotations").into_iter().flat_map(lines);
        let pairs = lines.filter_map(|line| line.split_once(": ").or_else(|| line.split_once('=')));
        let all: serde_json::Map<String, Value> =
            pairs.map(|(key, value)| (key.to_string(), Value::from(value.trim()))).collect();
        annotations(Field::from(&Value::Object(all)), is_secret).0
    }

    fn pod(&self) -> Pod {
        let of = |key: &str, is_init: bool| {
            let all = under(&self.0, key).into_iter().take(super::body::CONTAINERS_MAX);
            all.map(move |entry| container(&entry, is_init)).collect::<Vec<_>>()
        };
        let mut containers = of("Init Containers", true);
        containers.extend(of("Containers", false));
        let counted = || containers.iter().filter(|container| !container.is_init);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let mut ips: Vec<Text> = under(&self.0, "IPs").iter().map(|entry| short(entry.value)).collect();
        if ips.is_empty() && !self.value("IP").is_empty() {
            ips.push(short(self.value("IP")));
        }
        Pod {
            node: short(self.value("Node").split('/').next().unwrap_or("")),
            ips,
            phase: short(self.value("Status").split(" (").next().unwrap_or("")),
            service_account: short(self.value("Service Account")),
            // It is printed nowhere; but a pod that shares the node's address shares its network.
            host_network: self.value("Node").split_once('/').is_some_and(|(_, node)| node == self.value("IP")),
            ready: (
                count(counted().filter(|container| container.ready == Some(true)).count()),
                count(counted().count()),
            ),
            restarts: counted().fold(0, |sum: u32, container| sum.saturating_add(container.restarts)),
            conditions: table(find(&self.0, "Conditions")),
            containers,
        }
    }

    fn service(&self) -> Service {
        let all = |key: &str| -> Vec<Text> {
            let listed = self.value(key).split(',').map(|address| address.split(" (").next().unwrap_or("").trim());
            listed.filter(|address| !address.is_empty()).map(short).collect()
        };
        let mut ports: Vec<ServicePort> = Vec::new();
        for entry in &self.0 {
            // `tls  15443/TCP`, `<unset>  80/TCP`
            let (name, number) = entry.value.rsplit_once(char::is_whitespace).unwrap_or(("", entry.value));
            let (number, protocol) = number.split_once('/').unwrap_or((number, "TCP"));
            match (entry.key, ports.last_mut()) {
                ("Port", _) => {
                    let name = name.trim();
                    ports.push(ServicePort {
                        name: if name.starts_with('<') { Text::default() } else { short(name) },
                        port: number.parse().unwrap_or(0),
                        protocol: short(protocol),
                        ..ServicePort::default()
                    });
                }
                ("TargetPort", Some(port)) => port.target = short(number),
                ("NodePort", Some(port)) => port.node_port = number.parse().unwrap_or(0),
                _ => {}
            }
        }
        let cluster_ips = if all("IPs").is_empty() { all("IP") } else { all("IPs") };
        Service {
            kind: short(self.value("Type")),
            cluster_ips,
            external_ips: all("External IPs"),
            external_name: short(self.value("External Name")),
            ingress: all("LoadBalancer Ingress"),
            selector: row::labels_of(self.value("Selector")).unwrap_or_default(),
            ports,
            shows_selector: true,
        }
    }

    fn node(&self) -> Node {
        let conditions = table(find(&self.0, "Conditions"));
        Node {
            ready: conditions.iter().any(|condition| &*condition.kind == "Ready" && &*condition.status == "True"),
            kubelet: short(value(&under(&self.0, "System Info"), "Kubelet Version")),
            addresses: under(&self.0, "Addresses").iter().map(|entry| (short(entry.key), short(entry.value))).collect(),
            conditions,
        }
    }

    fn endpoints(&self) -> Endpoints {
        let mut found = Endpoints { service: short(self.value("Name")), ..Endpoints::default() };
        for entry in under(&self.0, "Subsets") {
            match entry.key {
                "Addresses" | "NotReadyAddresses" => {
                    for host in entry.value.split(',').map(str::trim).filter(|host| !host.is_empty()) {
                        let ready = entry.key == "Addresses";
                        found.addresses.push(EndpointAddress {
                            host: short(host),
                            ready,
                            ..EndpointAddress::default()
                        });
                    }
                }
                "Ports" => {
                    let rows = entry.under.iter().map(|line| line.split_whitespace().collect::<Vec<_>>());
                    for words in rows {
                        let [name, port, _] = words.as_slice() else { continue };
                        let Ok(port) = port.parse() else { continue };
                        let name = if name.starts_with('<') { Text::default() } else { short(name) };
                        found.ports.push((name, port));
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Keys with their sizes: `west:  2345 bytes`.
    fn secret(&self) -> Secret {
        let data = self.0.iter().skip_while(|entry| entry.key != "Data").skip(1);
        let keys: Vec<Text> =
            data.filter(|entry| entry.value.ends_with(" bytes")).map(|entry| short(entry.key)).collect();
        Secret {
            kind: short(self.value("Type")),
            keys_count: u32::try_from(keys.len()).unwrap_or(u32::MAX),
            keys,
            ..Secret::default()
        }
    }

    /// A custom resource: all of a Gateway of the Gateway API, the metadata of others. Lists are printed without marks,
    /// so that what is a list has to be known.
    fn custom(&self) -> Option<Object> {
        let is_gateway =
            self.value("Kind") == "Gateway" && self.value("API Version").starts_with("gateway.networking.k8s.io/");
        let mut whole = serde_json::json!({
            "apiVersion": self.value("API Version"),
            "kind": self.value("Kind"),
            "metadata": {"name": self.value("Name"), "namespace": self.value("Namespace")},
        });
        for (key, member) in [("Spec", "spec"), ("Status", "status")].into_iter().filter(|_| is_gateway) {
            let lines = find(&self.0, key).map(|entry| entry.under.as_slice()).unwrap_or_default();
            whole[member] = tree(lines, 0);
        }
        let (mut object, _) = super::object(Field::from(&whole), ("", ""))?;
        if !is_gateway {
            object.body = Body::Other;
        }
        object.labels = Some(self.labels());
        object.annotations = self.annotations(false);
        object.created = instant(value(&under(&self.0, "Metadata"), "Creation Timestamp"));
        Some(object)
    }
}

/// What stands behind the name.
const SECOND: [&str; 4] = ["Namespace", "Labels", "Roles", "Annotations"];

fn container(entry: &Entry<'_>, is_init: bool) -> Container {
    let fields = entries(&entry.under);
    let env = under(&fields, "Environment");
    // What is taken from elsewhere has no value of its own: `<set to the key ...>`, `x (v1:metadata.name)`.
    let own = env.iter().filter(|entry| !entry.value.starts_with("<set to the key") && !entry.value.contains(" (v1:"));
    let args: Vec<Text> = find(&fields, "Args").into_iter().flat_map(lines).map(short).collect();
    let state = |key: &str| find(&fields, key);
    let ended = [state("State"), state("Last State")].into_iter().flatten().find(|state| state.value == "Terminated");
    let ended = ended.map(|state| {
        let fields = entries(&state.under);
        let code = value(&fields, "Exit Code").parse().unwrap_or(0);
        (short(value(&fields, "Reason")), code, time(value(&fields, "Finished")))
    });
    let waiting = state("State").filter(|state| state.value == "Waiting");
    let ports = find(&fields, "Ports").or_else(|| find(&fields, "Port")).map_or("", |entry| entry.value);
    let ports = ports.split(',').filter_map(|port| port.trim().split('/').next()?.parse().ok());
    Container {
        name: short(entry.key),
        image: short(value(&fields, "Image")),
        env: own
            .filter(|entry| !secret::is_secret(entry.key, entry.value))
            .map(|entry| (short(entry.key), short(entry.value)))
            .collect(),
        args: secret::arguments(&args),
        ports: ports.collect(),
        ready: match value(&fields, "Ready") {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        },
        restarts: value(&fields, "Restart Count").parse().unwrap_or(0),
        waiting: waiting.map(|state| short(value(&entries(&state.under), "Reason"))).unwrap_or_default(),
        ended,
        is_init,
    }
}

/// The table of conditions: type and status, of nodes also times, reason and message.
fn table(entry: Option<&Entry<'_>>) -> Vec<Condition> {
    let rows = entry.map(|entry| entry.under.as_slice()).unwrap_or_default().iter();
    let mut found = Vec::new();
    for row in rows.map(|line| line.trim()).filter(|row| !row.starts_with("Type ") && !row.starts_with("----")) {
        let cells: Vec<&str> = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let cell = |at: usize| short(cells.get(at).copied().unwrap_or(""));
        let at = cells.get(3).and_then(|cell| time(cell));
        found.push(Condition { kind: cell(0), status: cell(1), reason: cell(4), message: cell(5), at });
    }
    found
}

/// Fields of a custom resource as the object they were printed from. Keys are sorted, so that one that is not after its
/// neighbour begins the next item of a list.
fn tree(lines: &[&str], depth: usize) -> Value {
    const DEPTH_MAX: usize = 32;
    const LISTS: [&str; 3] = ["listeners", "conditions", "addresses"];
    let mut items: Vec<serde_json::Map<String, Value>> = vec![serde_json::Map::new()];
    let mut last = String::new();
    for entry in entries(lines) {
        let key = member(entry.key);
        if key <= last {
            items.push(serde_json::Map::new());
        }
        let value = match entry.under.is_empty() || depth == DEPTH_MAX {
            true => Value::from(entry.value),
            false => tree(&entry.under, depth + 1),
        };
        let value = if LISTS.contains(&key.as_str()) && value.is_object() { Value::Array(vec![value]) } else { value };
        if let Some(item) = items.last_mut() {
            item.insert(key.clone(), value);
        }
        last = key;
    }
    match items.len() {
        1 => items.pop().map_or(Value::Null, Value::Object),
        _ => Value::Array(items.into_iter().map(Value::Object).collect()),
    }
}

/// `Gateway Class Name` was `gatewayClassName`; a key with other signs than letters is printed as it is.
fn member(label: &str) -> String {
    if label.contains(|c: char| !c.is_alphabetic() && c != ' ' && c != '-') {
        return label.to_string();
    }
    let mut words = label.split(' ');
    let mut name = words.next().unwrap_or("").to_lowercase();
    name.extend(words);
    name
}

/// `Sat, 21 Nov 2026 10:00:00 +0100`.
fn time(text: &str) -> Option<Time> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, clock, zone] = *words.as_slice() else { return None };
    let month = MONTHS.iter().position(|known| *known == month)?;
    let mut clock = clock.split(':').map(|part| part.parse().ok());
    let clock = (clock.next()??, clock.next()??, clock.next()??);
    let at = Time::from_civil((year.parse().ok()?, u32::try_from(month).ok()? + 1, day.parse().ok()?), clock, 0)?;
    let (sign, offset) = (zone.get(..1)?, zone.get(1..)?);
    let (hours, minutes): (u64, u64) = (offset.get(..2)?.parse().ok()?, offset.get(2..)?.parse().ok()?);
    let offset = std::time::Duration::from_secs(hours * 3_600 + minutes * 60);
    Some(if sign == "-" { at.plus(offset) } else { at.minus(offset) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "\
Name:             cart-6d7f9b5c4-x2lqf
Namespace:        shop
Priority:         0
Service Account:  cart
Node:             worker-1/172.18.0.3
Start Time:       Sat, 21 Nov 2026 10:00:00 +0100
Labels:           app=cart
                  topology.istio.io/network=net-west
Annotations:      istio.io/rev: default
                  prometheus.io/port: 15020
Status:           Running
IP:               10.10.1.7
IPs:
  IP:           10.10.1.7
Controlled By:  ReplicaSet/cart-6d7f9b5c4
Init Containers:
  istio-init:
    Container ID:  containerd://5d
    Image:         docker.io/istio/proxyv2:1.27.1
    Port:          <none>
    Args:
      istio-iptables
      -p
      15001
    State:          Terminated
      Reason:       Completed
      Exit Code:    0
      Started:      Sat, 21 Nov 2026 10:00:01 +0100
      Finished:     Sat, 21 Nov 2026 10:00:02 +0100
    Ready:          True
    Restart Count:  0
    Environment:    <none>
    Mounts:         <none>
Containers:
  cart:
    Container ID:   containerd://77
    Image:          registry.example/cart:1.4
    Ports:          8080/TCP, 9090/TCP
    Host Ports:     0/TCP, 0/TCP
    State:          Running
      Started:      Sat, 21 Nov 2026 10:10:00 +0100
    Last State:     Terminated
      Reason:       Error
      Exit Code:    1
      Started:      Sat, 21 Nov 2026 10:00:03 +0100
      Finished:     Sat, 21 Nov 2026 10:09:30 +0100
    Ready:          False
    Restart Count:  3
    Environment:
      ISTIO_META_CLUSTER_ID:  west
      API_TOKEN:              sesame
      POD_NAME:               cart-6d7f9b5c4-x2lqf (v1:metadata.name)
      DSN:                    <set to the key 'dsn' in secret 'cart'>  Optional: false
    Mounts:
      /var/run/secrets/kubernetes.io/serviceaccount from kube-api-access-2 (ro)
Conditions:
  Type                        Status
  PodReadyToStartContainers   True
  Ready                       False
Volumes:
  kube-api-access-2:
    Type:                    Projected (a volume that contains injected data from multiple sources)
QoS Class:                   Burstable
Node-Selectors:              <none>
Events:
  Type    Reason   Age   From     Message
  ----    ------   ----  ----     -------
  Normal  Pulled   12m   kubelet  Container image \"registry.example/cart:1.4\" already present on machine
";

    const SERVICE: &str = "\
Name:                     istio-eastwestgateway
Namespace:                istio-system
Labels:                   app=istio-eastwestgateway
                          topology.istio.io/network=net-west
Annotations:              <none>
Selector:                 app=istio-eastwestgateway,istio=eastwestgateway
Type:                     LoadBalancer
IP Family Policy:         SingleStack
IP Families:              IPv4
IP:                       10.96.10.4
IPs:                      10.96.10.4
LoadBalancer Ingress:     172.18.255.1 (VIP)
Port:                     tls  15443/TCP
TargetPort:               15443/TCP
NodePort:                 tls  31116/TCP
Endpoints:                10.10.1.9:15443
Port:                     <unset>  80/TCP
TargetPort:               http/TCP
Session Affinity:         None
External Traffic Policy:  Cluster
Internal Traffic Policy:  Cluster
Events:                   <none>


Name:         istio-remote-secret-east
Namespace:    istio-system
Labels:       istio/multiCluster=true
Annotations:  networking.istio.io/cluster: east

Type:  Opaque

Data
====
east:  2345 bytes


Name:         istio-system
Labels:       kubernetes.io/metadata.name=istio-system
Annotations:  <none>
Status:       Active

No resource quota.

No LimitRange resource.
";

    const GATEWAY: &str = "\
Name:         eastwest
Namespace:    istio-system
Labels:       topology.istio.io/network=net-west
Annotations:  <none>
API Version:  gateway.networking.k8s.io/v1
Kind:         Gateway
Metadata:
  Creation Timestamp:  2026-11-21T09:00:00Z
  Generation:          1
Spec:
  Gateway Class Name:  istio-east-west
  Listeners:
    Allowed Routes:
      Namespaces:
        From:  Same
    Name:      mesh
    Port:      15008
    Protocol:  HBONE
    Tls:
      Mode:  Terminate
      Options:
        gateway.istio.io/tls-terminate-mode:  ISTIO_MUTUAL
    Allowed Routes:
      Namespaces:
        From:  Same
    Name:      status
    Port:      15021
    Protocol:  TCP
Status:
  Addresses:
    Type:   IPAddress
    Value:  172.18.255.2
  Conditions:
    Last Transition Time:  2026-11-21T09:00:05Z
    Message:               Resource accepted
    Reason:                Accepted
    Status:                True
    Type:                  Accepted
    Last Transition Time:  2026-11-21T09:00:09Z
    Message:               Resource programmed, assigned to service(s) eastwest
    Reason:                Programmed
    Status:                True
    Type:                  Programmed
  Listeners:
    Attached Routes:  0
    Conditions:
      Last Transition Time:  2026-11-21T09:00:05Z
      Message:               No errors found
      Reason:                Programmed
      Status:                True
      Type:                  Programmed
    Name:                    mesh
Events:                      <none>
";

    #[test]
    fn a_pod_is_read_with_its_containers() {
        let (objects, events) = read(POD).expect("a description");
        let pod = &objects[0];
        assert_eq!(
            (pod.title(), &*pod.owner),
            ("Pod shop/cart-6d7f9b5c4-x2lqf".to_string(), "ReplicaSet/cart-6d7f9b5c4")
        );
        assert_eq!(
            (pod.label("topology.istio.io/network"), pod.annotation("prometheus.io/port")),
            (Some("net-west"), Some("15020"))
        );
        assert_eq!(events.len(), 1);
        let Body::Pod(pod) = &pod.body else { panic!("{pod:?}") };
        assert_eq!((&*pod.node, pod.ready, pod.restarts, pod.host_network), ("worker-1", (0, 1), 3, false));
        assert_eq!((pod.ips.as_slice(), &*pod.conditions[1].status), (["10.10.1.7".into()].as_slice(), "False"));
        assert_eq!(pod.containers[0].args, ["istio-iptables".into(), "-p".into(), "15001".into()]);
        let cart = &pod.containers[1];
        assert_eq!((cart.ports.as_slice(), cart.ready), ([8080, 9090].as_slice(), Some(false)));
        assert_eq!(cart.env, Map::from([("ISTIO_META_CLUSTER_ID".into(), "west".into())]));
        let (reason, code, at) = cart.ended.clone().expect("an end");
        assert_eq!(
            (&*reason, code, at.map(|at| at.to_string())),
            ("Error", 1, Some("2026-11-21T09:09:30.000Z".into()))
        );
    }

    #[test]
    fn services_secrets_and_namespaces_are_read_one_after_the_other() {
        let objects = describe(SERVICE);
        let titles: Vec<String> = objects.iter().map(Object::title).collect();
        assert_eq!(
            titles,
            [
                "Service istio-system/istio-eastwestgateway",
                "Secret istio-system/istio-remote-secret-east",
                "Namespace istio-system"
            ]
        );
        let Body::Service(service) = &objects[0].body else { panic!("{objects:?}") };
        assert_eq!((service.ingress.as_slice(), service.selector.len()), (["172.18.255.1".into()].as_slice(), 2));
        let ports: Vec<_> =
            service.ports.iter().map(|port| (&*port.name, port.port, &*port.target, port.node_port)).collect();
        assert_eq!(ports, [("tls", 15443, "15443", 31116), ("", 80, "http", 0)]);
        let Body::Secret(secret) = &objects[1].body else { panic!("{objects:?}") };
        assert_eq!((secret.keys.as_slice(), secret.keys_count), (["east".into()].as_slice(), 1));
        assert_eq!(objects[1].label("istio/multiCluster"), Some("true"));
    }

    #[test]
    fn a_gateway_is_read_from_its_fields() {
        let objects = describe(GATEWAY);
        let Body::Gateway(gateway) = &objects[0].body else { panic!("{objects:?}") };
        assert_eq!(
            (&*gateway.class, gateway.addresses.as_slice()),
            ("istio-east-west", ["172.18.255.2".into()].as_slice())
        );
        let listeners: Vec<_> = gateway.listeners.iter().map(|listener| (&*listener.name, listener.port)).collect();
        assert_eq!(listeners, [("mesh", 15008), ("status", 15021)]);
        assert_eq!(gateway.listeners[0].options.len(), 1);
        assert_eq!(&*gateway.listeners[0].conditions[0].kind, "Programmed");
        assert_eq!(gateway.conditions.len(), 2);
        assert_eq!(objects[0].created.map(|at| at.to_string()).as_deref(), Some("2026-11-21T09:00:00.000Z"));
    }

    #[test]
    fn a_node_and_endpoints_are_read() {
        let text = "\
Name:               worker-1
Roles:              <none>
Labels:             kubernetes.io/hostname=worker-1
                    topology.kubernetes.io/region=eu
CreationTimestamp:  Sat, 21 Nov 2026 08:00:00 +0000
Conditions:
  Type             Status  LastHeartbeatTime                 LastTransitionTime                Reason          Message
  ----             ------  -----------------                 ------------------                ------          -------
  Ready            False   Sat, 21 Nov 2026 10:00:00 +0000   Sat, 21 Nov 2026 09:30:00 +0000   KubeletNotReady network plugin is not ready
Addresses:
  InternalIP:  172.18.0.3
  Hostname:    worker-1
System Info:
  Kernel Version:             6.8.0
  Kubelet Version:            v1.33.1
Events:              <none>

Name:         istiod
Namespace:    istio-system
Labels:       app=istiod
Annotations:  <none>
Subsets:
  Addresses:          10.10.0.5
  NotReadyAddresses:  10.10.0.6,10.10.0.7
  Ports:
    Name       Port   Protocol
    ----       ----   --------
    https-dns  15012  TCP

Events:  <none>
";
        let objects = describe(text);
        let Body::Node(node) = &objects[0].body else { panic!("{objects:?}") };
        assert_eq!((node.ready, &*node.kubelet, node.addresses.len()), (false, "v1.33.1", 2));
        assert_eq!(node.conditions[0].at.map(|at| at.to_string()).as_deref(), Some("2026-11-21T09:30:00.000Z"));
        let Body::Endpoints(endpoints) = &objects[1].body else { panic!("{objects:?}") };
        let ready: Vec<_> = endpoints.addresses.iter().map(|address| (&*address.host, address.ready)).collect();
        assert_eq!(ready, [("10.10.0.5", true), ("10.10.0.6", false), ("10.10.0.7", false)]);
        assert_eq!(endpoints.ports, [("https-dns".into(), 15012)]);
    }

    #[test]
    fn what_tells_of_a_failure_is_left_to_its_lines() {
        let warned = POD.replace("  Normal  Pulled ", "  Warning  Unhealthy ");
        assert!(read(&warned).is_none());
        assert!(read(&POD.replace("Reason:       Error", "Reason:       OOMKilled")).is_none());
        assert_eq!(describe(&warned).len(), 1);
    }

    #[test]
    fn no_cut_description_panics() {
        for text in [POD, SERVICE, GATEWAY] {
            for cut in 0..text.len() {
                describe(&text[..cut]);
                describe(&text[cut..]);
            }
        }
    }
}
