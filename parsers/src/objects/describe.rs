//! What `kubectl describe` prints of pods, services, nodes, secrets, namespaces, endpoints and Gateways
//! (`kubernetes/kubectl: pkg/describe/describe.go`). It names no kind: the fields tell.

use serde_json::Value;

use super::field::{Field, short};
use super::{annotations, row, secret};
use crate::event::{Exhausted, Fact, Text};
use crate::kube;
use crate::state::object::{
    Body, Condition, Container, EndpointAddress, Endpoints, Map, Node, Object, Pod, Secret, Service, ServicePort,
};
use crate::time::Time;

/// The objects of a text that `kubectl describe` printed; what it says of other kinds is left out.
pub fn describe(text: &str) -> Vec<Object> {
    blocks(text).into_iter().filter_map(|block| Description::of(block)?.object()).collect()
}

/// Objects, and what their events and ends say with its time.
type Said = (Vec<Object>, Vec<(Option<Time>, Fact)>);

/// Objects and events of a document that is nothing but descriptions of kinds known here; `None` for another one.
pub(super) fn read(text: &str) -> Option<Said> {
    let (mut objects, mut facts) = (Vec::new(), Vec::new());
    for block in blocks(text) {
        let description = Description::of(block)?;
        let object = description.object()?;
        facts.extend(description.events().into_iter().map(|event| (None, event)));
        facts.extend(killed_for_memory(&object));
        objects.push(object);
    }
    (!objects.is_empty()).then_some((objects, facts))
}

/// Containers that were killed for want of memory, as the same line read alone says it.
fn killed_for_memory(object: &Object) -> Vec<(Option<Time>, Fact)> {
    let Body::Pod(pod) = &object.body else { return Vec::new() };
    let killed = pod.containers.iter().filter_map(|container| {
        let (reason, _, at) = container.ended.as_ref().filter(|(reason, _, _)| &**reason == "OOMKilled")?;
        let reason = format!("container {} of {} ended: {reason}", container.name, object.title()).into();
        Some((*at, Fact::Exhausted(Exhausted { what: "memory".into(), reason })))
    });
    killed.collect()
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

    /// Events as their rows say it. A message of several lines goes on at the left.
    fn events(&self) -> Vec<Fact> {
        let Some(events) = find(&self.0, "Events") else { return Vec::new() };
        let mut rows: Vec<String> = Vec::new();
        for line in events.under.iter().filter(|line| !line.trim_start().starts_with("----")) {
            let is_row = ["Normal", "Warning"].iter().any(|kind| line.trim_start().starts_with(kind));
            match rows.last_mut() {
                Some(row) if !is_row => {
                    row.push(' ');
                    row.push_str(line.trim());
                }
                _ if is_row => rows.push(line.trim().to_string()),
                _ => {}
            }
        }
        rows.iter().filter_map(|row| kube::event_row(row)).collect()
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
        let deleted = match self.value("Status").strip_prefix("Terminating") {
            // `Terminating (lasts 5m)`: since when is not said.
            Some(_) => find(&self.0, "Deletion Timestamp").and_then(|entry| time(entry.value)),
            None => None,
        };
        Some(Object {
            kind: kind.into(),
            namespace: short(self.value("Namespace")),
            name: short(self.value("Name")),
            labels: Some(self.labels()),
            annotations: self.annotations(kind == "Secret"),
            created: time(self.value("CreationTimestamp")),
            deleted,
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
        let mut value = serde_json::json!({
            "apiVersion": self.value("API Version"),
            "kind": self.value("Kind"),
            "metadata": {"name": self.value("Name"), "namespace": self.value("Namespace")},
        });
        for (key, member) in [("Spec", "spec"), ("Status", "status")].into_iter().filter(|_| is_gateway) {
            let lines = find(&self.0, key).map(|entry| entry.under.as_slice()).unwrap_or_default();
            value[member] = tree(lines, 0);
        }
        let (mut object, _) = super::object(Field::from(&value), ("", ""))?;
        if !is_gateway {
            object.body = Body::Other;
        }
        object.labels = Some(self.labels());
        object.annotations = self.annotations(false);
        object.created = Field::from(&Value::from(value_of(under(&self.0, "Metadata"), "Creation Timestamp"))).time();
        Some(object)
    }
}

fn value_of<'a>(entries: Vec<Entry<'a>>, key: &str) -> &'a str {
    value(&entries, key)
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
