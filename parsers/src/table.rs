//! Rows of the tables that kubectl and istioctl print: cells by header, then what the row says.
//!
//! Columns are known by the header's words. A pasted table is seldom straight (cells wider than their column, indents,
//! empty cells), so a row is cut at wide gaps first, and by position where that does not add up.

use crate::command;
use crate::event::{Addr, Fact, Line, Text};
use crate::kube;
use crate::state::State;
use crate::time;

/// Reads a row of a table whose header the framing attached, and a row of Kubernetes events without one; a header itself
/// is a known line.
pub fn row(line: &Line) -> Option<Fact> {
    let text = line.text.trim_end();
    if is_header(text) {
        return Some(Fact::Known);
    }
    let Some(header) = line.header.as_deref() else { return kube::event_row(text).or_else(|| pod_alone(text)) };
    let of_events = ["Events", "Type ", "LAST SEEN"].iter().any(|first| header.trim_start().starts_with(first));
    if let Some(event) = of_events.then(|| kube::event_row(text)).flatten() {
        return Some(event);
    }
    if text.trim().is_empty() || !may_be_row(text) {
        return None;
    }
    let ran = line.command.as_deref().unwrap_or("");
    let row = Row { cells: cells(header, text), namespace: command::namespace(ran).unwrap_or("").into(), command: ran };
    Some(row.fact())
}

/// A row of `kubectl get pods` whose header was not pasted: `istiod-5-x2lqf  0/1  CrashLoopBackOff  7 (42s ago)  12m`.
fn pod_alone(text: &str) -> Option<Fact> {
    const STATUSES: [&str; 14] = [
        "Running",
        "Pending",
        "CrashLoopBackOff",
        "Error",
        "Completed",
        "ImagePullBackOff",
        "ErrImagePull",
        "ContainerCreating",
        "PodInitializing",
        "Terminating",
        "Evicted",
        "OOMKilled",
        "CreateContainerConfigError",
        "NotReady",
    ];
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.iter().position(|word| word.contains('/') && fraction(word).is_some())?;
    let (before, after) = words.split_at(at);
    let (namespace, name) = match before {
        [name] => ("", *name),
        [namespace, name] => (*namespace, *name),
        _ => return None,
    };
    let [ready, status, restarts, age, ..] = *after else { return None };
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let is_pod = name.contains('-') && name.chars().all(is_name) && namespace.chars().all(is_name);
    let is_status = STATUSES.contains(&status) || status.starts_with("Init:");
    let is_age = age.starts_with(|c: char| c.is_ascii_digit() || c == '(');
    if !is_pod || !is_status || !is_age || restarts.parse::<u32>().is_err() {
        return None;
    }
    let cells =
        [("NAMESPACE", namespace), ("NAME", name), ("READY", ready), ("STATUS", status), ("RESTARTS", restarts)];
    let cells = cells.map(|(column, cell)| (Text::from(column), Text::from(cell))).to_vec();
    Some(Row { cells, namespace: Text::default(), command: "" }.fact())
}

/// Whether a line is the header of a table kubectl or istioctl prints.
pub fn is_header(text: &str) -> bool {
    let text = text.trim();
    let is_events = text.starts_with("Type ") && text.contains("Reason") && text.contains("Message");
    let is_ruler = text.starts_with("---- ") && text.bytes().all(|c| c == b'-' || c == b' ');
    let first = text.split_whitespace().next().unwrap_or("");
    let is_named = matches!(
        first,
        "NAME"
            | "NAMESPACE"
            | "LAST"
            | "ENDPOINT"
            | "SERVICE"
            | "RESOURCE"
            | "CERTIFICATE"
            | "ADDRESS"
            | "WORKLOAD"
            | "POD"
            | "CLUSTER"
    );
    let is_upper = text.contains(' ')
        && text.split_whitespace().all(|word| word.bytes().all(|c| c.is_ascii_uppercase() || b"-/()%_.".contains(&c)));
    is_events || is_ruler || is_named && is_upper
}

/// A record with a time or a level in front, JSON or a prompt is no row, whatever stands above it.
fn may_be_row(text: &str) -> bool {
    let text = text.trim_start();
    let bytes = text.as_bytes();
    let begins_with_date =
        bytes.len() > 10 && bytes[4] == b'-' && bytes[7] == b'-' && bytes[..4].iter().all(u8::is_ascii_digit);
    !begins_with_date && !text.starts_with(['[', '{', '$', '#', '"'])
}

/// The cells of a row under a header, by column.
fn cells(header: &str, text: &str) -> Vec<(Text, Text)> {
    let columns = columns(header);
    let names = columns.iter().map(|(_, name)| Text::from(*name));
    let wide = wide_fields(text);
    if wide.len() == columns.len() {
        return names.zip(wide.into_iter().map(|(_, cell)| cell.into())).collect();
    }
    let starts: Vec<usize> = columns.iter().map(|(start, _)| *start).collect();
    if let Some(found) = by_position(&starts, text) {
        return names.zip(found).collect();
    }
    let narrow: Vec<&str> = text.split_whitespace().collect();
    if narrow.len() == columns.len() {
        return names.zip(narrow.into_iter().map(Text::from)).collect();
    }
    names.zip(nearest(&starts, &wide)).collect()
}

/// Column names of two words; other words are columns of their own, however narrow the gap.
const TWO_WORDS: [&str; 20] = [
    "LAST SEEN",
    "OUTLIER CHECK",
    "SERVICE FQDN",
    "DESTINATION RULE",
    "VIRTUAL SERVICE",
    "RESOURCE NAME",
    "CERTIFICATE NAME",
    "VALID CERT",
    "SERIAL NUMBER",
    "NOT AFTER",
    "NOT BEFORE",
    "POD NAME",
    "WORKLOAD NAME",
    "SERVICE NAME",
    "SERVICE VIP",
    "POLICY NAME",
    "REMOTE TARGET",
    "SUBSCRIBED TYPES",
    "NOMINATED NODE",
    "READINESS GATES",
];

/// The columns of a header, with where each begins.
fn columns(header: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (column, field) in wide_fields(header) {
        let mut at = 0;
        while at < field.len() {
            let rest = &field[at..];
            let pair = TWO_WORDS.iter().find(|pair| rest.starts_with(**pair)).map(|pair| pair.len());
            let end = pair.unwrap_or_else(|| rest.find(' ').unwrap_or(rest.len()));
            found.push((column + field[..at].chars().count(), &rest[..end]));
            at += end;
            at += field[at..].len() - field[at..].trim_start().len();
        }
    }
    found
}

/// Fields that two blanks or a TAB keep apart, with the column at which each begins.
fn wide_fields(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut begin: Option<(usize, usize)> = None;
    let mut blanks = 0;
    let mut end = 0;
    for (column, (at, c)) in text.char_indices().enumerate() {
        if c == ' ' || c == '\t' {
            blanks += if c == '\t' { 2 } else { 1 };
            continue;
        }
        if let Some((start_column, start)) = begin.filter(|_| blanks > 1) {
            found.push((start_column, &text[start..end]));
            begin = None;
        }
        blanks = 0;
        end = at + c.len_utf8();
        begin = begin.or(Some((column, at)));
    }
    if let Some((column, start)) = begin {
        found.push((column, &text[start..end]));
    }
    found
}

/// Cells cut where the header's columns begin, where each cut falls behind a blank.
fn by_position(starts: &[usize], text: &str) -> Option<Vec<Text>> {
    let chars: Vec<char> = text.chars().collect();
    let is_clean = |start: usize| start == 0 || chars.get(start - 1).is_none_or(|c| *c == ' ');
    if chars.contains(&'\t') || !starts.iter().all(|start| is_clean(*start)) {
        return None;
    }
    let cell = |at: usize| {
        let begin = starts[at].min(chars.len());
        let end = starts.get(at + 1).copied().unwrap_or(chars.len()).clamp(begin, chars.len());
        let cell: String = chars[begin..end].iter().collect();
        Text::from(cell.trim())
    };
    Some((0..starts.len()).map(cell).collect())
}

/// Each field goes to the column that begins nearest to it, never before its left neighbour's.
fn nearest(starts: &[usize], fields: &[(usize, &str)]) -> Vec<Text> {
    let mut found: Vec<Text> = vec![Text::default(); starts.len()];
    let mut from = 0;
    for (column, cell) in fields {
        let candidates = (from..starts.len()).min_by_key(|at| starts[*at].abs_diff(*column));
        let Some(at) = candidates else { break };
        found[at] = (*cell).into();
        from = at + 1;
    }
    found
}

/// A row with its cells by column name.
struct Row<'a> {
    cells: Vec<(Text, Text)>,
    namespace: Text,
    command: &'a str,
}

impl Row<'_> {
    /// The cell of a column; empty where the table has no such column. `<none>` and `<unknown>` stay as printed.
    fn cell(&self, column: &str) -> &str {
        self.cells.iter().find(|(name, _)| name.eq_ignore_ascii_case(column)).map_or("", |(_, cell)| cell)
    }

    /// The cell of a column, where it names something: istioctl prints `None` and `NA` for nothing.
    fn named(&self, column: &str) -> &str {
        match plain(self.cell(column)) {
            "None" | "NA" => "",
            cell => cell,
        }
    }

    fn has(&self, columns: &[&str]) -> bool {
        columns.iter().all(|column| self.cells.iter().any(|(name, _)| name.eq_ignore_ascii_case(column)))
    }

    fn namespace(&self) -> Text {
        match self.cell("NAMESPACE") {
            "" => self.namespace.clone(),
            named => named.into(),
        }
    }

    /// The name, without the type that `kubectl get a,b` puts in front.
    fn name(&self) -> Text {
        let name = self.cell("NAME");
        name.rsplit_once('/').map_or(name, |(_, name)| name).into()
    }

    fn labels(&self) -> Text {
        self.cell("LABELS").into()
    }

    fn fact(&self) -> Fact {
        if self.has(&["REASON", "MESSAGE"]) {
            return kube::event(self.cell("TYPE"), self.cell("REASON"), self.cell("OBJECT"), self.cell("MESSAGE"));
        }
        Fact::State(Box::new(self.state()))
    }

    fn state(&self) -> State {
        let of_cluster = ["NAME", "SECRET", "STATUS", "ISTIOD"];
        if self.has(&of_cluster) {
            return State::RemoteCluster {
                name: self.cell("NAME").into(),
                secret: self.cell("SECRET").into(),
                status: self.cell("STATUS").into(),
                istiod: self.cell("ISTIOD").into(),
            };
        }
        if self.has(&["NAME", "ISTIOD", "VERSION"]) {
            return self.proxy_status();
        }
        if self.has(&["NAME", "EXTERNAL-IP", "PORT(S)"]) {
            return State::Service {
                namespace: self.namespace(),
                name: self.name(),
                kind: self.cell("TYPE").into(),
                external: self.cell("EXTERNAL-IP").into(),
                ports: self.cell("PORT(S)").into(),
                labels: self.labels(),
            };
        }
        if self.has(&["NAME", "READY", "STATUS", "RESTARTS"]) {
            return self.pod();
        }
        if self.has(&["SERVICE NAME", "SERVICE VIP"]) {
            let vips = self.named("SERVICE VIP").split(',').map(str::trim).filter(|vip| !vip.is_empty());
            return State::ServiceEndpoints {
                namespace: self.namespace(),
                name: self.cell("SERVICE NAME").into(),
                vips: vips.map(Text::from).collect(),
                waypoint: self.named("WAYPOINT").into(),
                endpoints: fraction(self.cell("ENDPOINTS")),
            };
        }
        if self.has(&["POLICY NAME", "ACTION", "SCOPE"]) {
            return State::ZtunnelPolicy {
                namespace: self.namespace(),
                name: self.cell("POLICY NAME").into(),
                action: self.cell("ACTION").into(),
                scope: self.cell("SCOPE").into(),
            };
        }
        if self.has(&["NAME", "ENDPOINTS"]) {
            return self.endpoints();
        }
        if self.has(&["ENDPOINT", "STATUS", "CLUSTER"]) {
            return self.proxy_endpoint().unwrap_or(State::Row);
        }
        if self.has(&["ADDRESS", "PROTOCOL"]) {
            let pod = ["POD NAME", "WORKLOAD NAME", "POD"]
                .into_iter()
                .map(|column| self.cell(column))
                .find(|name| !name.is_empty());
            return State::Workload {
                namespace: self.namespace(),
                name: pod.unwrap_or("").into(),
                address: self.cell("ADDRESS").into(),
                protocol: self.cell("PROTOCOL").into(),
            };
        }
        if self.has(&["TYPE", "STATUS", "VALID CERT"]) {
            return self.certificate();
        }
        if self.has(&["NAME", "TYPE", "DATA"]) {
            return State::Secret { namespace: self.namespace(), name: self.name(), labels: self.labels() };
        }
        if self.has(&["NAME", "CLASS", "PROGRAMMED"]) {
            return State::Gateway {
                namespace: self.namespace(),
                name: self.name(),
                class: self.cell("CLASS").into(),
                address: self.cell("ADDRESS").into(),
                programmed: self.cell("PROGRAMMED").into(),
            };
        }
        if self.has(&["NAME", "STATUS", "ROLES", "VERSION"]) {
            return State::Node {
                name: self.name(),
                status: self.cell("STATUS").into(),
                version: self.cell("VERSION").into(),
            };
        }
        if self.has(&["NAME", "WEBHOOKS"]) {
            return State::WebhookConfig { name: self.name() };
        }
        if self.has(&["NAME", "POD-SELECTOR"]) {
            return State::NetworkPolicy {
                namespace: self.namespace(),
                name: self.name(),
                selector: self.cell("POD-SELECTOR").into(),
            };
        }
        if self.has(&["NAME", "READY"]) {
            return self.replicas().unwrap_or(State::Row);
        }
        if self.has(&["NAME", "STATUS"]) && self.is_namespace_table() {
            let label = label(self.cell("LABELS"), NETWORK_LABEL).unwrap_or("");
            let column = self.cell("NETWORK");
            return State::NamespaceNetwork {
                namespace: self.name(),
                network: if column.is_empty() { label } else { column }.into(),
                labels: self.cell("LABELS").into(),
            };
        }
        State::Row
    }

    fn is_namespace_table(&self) -> bool {
        let shows_network = self.has(&["NETWORK"]) || self.has(&["LABELS"]);
        let words = || self.command.split_whitespace();
        let says_namespace = words().any(|word| matches!(word, "ns" | "namespace" | "namespaces"));
        shows_network && (says_namespace || self.command.is_empty() && self.has(&["NETWORK"]))
    }

    fn pod(&self) -> State {
        let (ready, containers) = fraction(self.cell("READY")).unwrap_or_default();
        // `3 (2m ago)`.
        let restarts = self.cell("RESTARTS").split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
        State::Pod {
            namespace: self.namespace(),
            name: self.name(),
            ready,
            containers,
            status: self.cell("STATUS").into(),
            restarts,
            ip: plain(self.cell("IP")).into(),
        }
    }

    fn replicas(&self) -> Option<State> {
        let (ready, wanted) = match fraction(self.cell("READY")) {
            Some(both) => both,
            None => (self.cell("READY").parse().ok()?, self.cell("DESIRED").parse().ok()?),
        };
        // A ReplicaSet that wants nothing is an old revision, kept for a roll-back.
        if wanted == 0 && self.has(&["DESIRED"]) {
            return None;
        }
        Some(State::Replicas { namespace: self.namespace(), name: self.name(), ready, wanted })
    }

    fn endpoints(&self) -> State {
        let listed = plain(self.cell("ENDPOINTS"));
        let ports = plain(self.cell("PORTS"));
        // `10.0.0.1:80,10.0.0.2:80 + 3 more...`
        let listed = listed.split(" + ").next().unwrap_or("");
        let addresses = listed.split(',').map(str::trim).filter(|address| !address.is_empty() && *address != "<unset>");
        let one_port = ports.parse::<u16>().is_ok();
        let with_port = |address: &str| match one_port && Addr::parse(address).is_none() {
            true => Addr { host: address.into(), port: ports.parse().unwrap_or(0) }.to_string().into(),
            false => Text::from(address),
        };
        State::Endpoints {
            namespace: self.namespace(),
            name: self.name(),
            addresses: addresses.map(with_port).collect(),
        }
    }

    fn proxy_endpoint(&self) -> Option<State> {
        let endpoint = self.cell("ENDPOINT");
        Some(State::ProxyEndpoint {
            proxy: command::proxy(self.command).unwrap_or("").into(),
            addr: Addr::parse(endpoint)?,
            status: self.cell("STATUS").into(),
            outlier: self.cell("OUTLIER CHECK").into(),
            cluster: self.cell("CLUSTER").into(),
            priority: None,
        })
    }

    fn certificate(&self) -> State {
        let name = ["RESOURCE NAME", "CERTIFICATE NAME"].into_iter().map(|column| self.cell(column));
        let instant = |column: &str| time::rfc3339(self.cell(column).as_bytes()).map(|(at, _)| at);
        State::ProxySecret {
            name: name.into_iter().find(|name| !name.is_empty()).unwrap_or("").into(),
            status: self.cell("STATUS").into(),
            kind: self.named("TYPE").into(),
            valid: match self.cell("VALID CERT") {
                "true" => Some(true),
                // Without a certificate the column says `false`, too.
                "false" if self.cell("NOT AFTER") != "NA" => Some(false),
                _ => None,
            },
            serial: self.named("SERIAL NUMBER").to_ascii_lowercase().into(),
            not_before: instant("NOT BEFORE"),
            not_after: instant("NOT AFTER"),
        }
    }

    fn proxy_status(&self) -> State {
        let behind = self.cells.iter().filter(|(_, cell)| {
            cell.starts_with("STALE") || cell.starts_with("ERROR") || cell.starts_with("NOT SENT (Never Acknowledged)")
        });
        State::ProxyStatus {
            proxy: self.cell("NAME").into(),
            cluster: self.cell("CLUSTER").into(),
            version: self.cell("VERSION").into(),
            behind: behind.cloned().collect(),
        }
    }
}

/// The label that names a network.
pub(crate) const NETWORK_LABEL: &str = "topology.istio.io/network";

/// The value of a label in `a=b,c=d`.
pub fn label<'a>(labels: &'a str, key: &str) -> Option<&'a str> {
    labels.split(',').find_map(|pair| pair.trim().strip_prefix(key)?.strip_prefix('='))
}

/// A cell, where it says something: `<none>` and `<unset>` are empty.
fn plain(cell: &str) -> &str {
    if cell.starts_with('<') { "" } else { cell }
}

/// `1/2`.
fn fraction(cell: &str) -> Option<(u32, u32)> {
    let (a, b) = cell.split_once('/')?;
    Some((a.trim().parse().ok()?, b.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::origin::Origin;

    fn read(command: &str, header: &str, text: &str) -> Fact {
        let line = Line {
            command: (!command.is_empty()).then(|| command.into()),
            header: Some(header.into()),
            ..Line::alone(Origin::new("c", "f"), text)
        };
        row(&line).unwrap_or(Fact::Known)
    }

    fn state(command: &str, header: &str, text: &str) -> State {
        match read(command, header, text) {
            Fact::State(state) => *state,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pod_row_without_its_header_is_known_by_its_shape() {
        let pod = |text: &str| match pod_alone(text) {
            Some(Fact::State(state)) => match *state {
                State::Pod { name, ready, containers, status, restarts, .. } => {
                    format!("{name} {ready}/{containers} {status} {restarts}")
                }
                other => format!("{other:?}"),
            },
            other => format!("{other:?}"),
        };
        let row = "istio-system   istiod-5-x2lqf   0/1   CrashLoopBackOff   7 (42s ago)   12m";
        assert_eq!(pod(row), "istiod-5-x2lqf 0/1 CrashLoopBackOff 7");
        assert_eq!(pod("cart-1-ab   0/2   Init:Error   3   12m"), "cart-1-ab 0/2 Init:Error 3");
        for other in ["we saw 1/2 Running 3 times", "cart-1   1/2   Busy   3   12m", "cart-1 1/2 Running"] {
            assert_eq!(pod(other), "None", "{other}");
        }
    }

    #[test]
    fn an_empty_cell_in_the_middle_stays_empty() {
        let header = "NAME       SECRET                                STATUS     ISTIOD";
        let local = state("", header, "north                                            synced     istiod-1");
        let State::RemoteCluster { name, secret, status, .. } = local else { panic!() };
        assert_eq!((&*name, &*secret, &*status), ("north", "", "synced"));
    }

    #[test]
    fn an_empty_cell_at_the_end_stays_empty() {
        let header = "NAME           STATUS   AGE    NETWORK";
        let row = state(
            "kubectl get ns istio-system -L topology.istio.io/network",
            header,
            "istio-system   Active   20d    ",
        );
        assert_eq!(
            row,
            State::NamespaceNetwork { namespace: "istio-system".into(), network: "".into(), labels: "".into() }
        );
    }

    #[test]
    fn a_cell_wider_than_its_column_is_still_found() {
        let header = "NAME         ENDPOINTS     AGE";
        let row = state("kubectl -n shop get endpoints cart", header, "cart         10.9.0.9:5000   58m");
        let State::Endpoints { namespace, addresses, .. } = row else { panic!() };
        assert_eq!((&*namespace, addresses.len(), &*addresses[0]), ("shop", 1, "10.9.0.9:5000"));
    }

    #[test]
    fn slices_get_their_port_and_none_is_empty() {
        let header = "NAME         ADDRESSTYPE   PORTS   ENDPOINTS             AGE";
        let row = state("", header, "cart-7xk2p   IPv4          9080    10.9.0.9,10.9.0.11    3d");
        let State::Endpoints { addresses, .. } = row else { panic!() };
        assert_eq!(addresses, ["10.9.0.9:9080".into(), Text::from("10.9.0.11:9080")]);
        let State::Endpoints { addresses, .. } = state("", "NAME   ENDPOINTS   AGE", "cart   <none>      26m") else {
            panic!()
        };
        assert!(addresses.is_empty());
    }

    #[test]
    fn restarts_with_an_age_do_not_shift_the_columns() {
        let header = "NAME            READY   STATUS             RESTARTS      AGE     IP            NODE";
        let row =
            state("", header, "istiod-5-x2lqf  0/1     CrashLoopBackOff   7 (42s ago)   12m     10.9.0.4      node-a");
        let State::Pod { ready, containers, status, restarts, ip, .. } = row else { panic!() };
        assert_eq!((ready, containers, &*status, restarts, &*ip), (0, 1, "CrashLoopBackOff", 7, "10.9.0.4"));
    }

    #[test]
    fn the_type_in_front_of_a_name_is_dropped() {
        let header = "NAME                            TYPE           CLUSTER-IP    EXTERNAL-IP   PORT(S)     AGE";
        let row = state(
            "",
            header,
            "service/istio-eastwestgateway   LoadBalancer   10.0.140.9    <pending>     15443/TCP   12d",
        );
        let State::Service { name, external, .. } = row else { panic!() };
        assert_eq!((&*name, &*external), ("istio-eastwestgateway", "<pending>"));
    }

    #[test]
    fn rows_packed_with_single_blanks_are_read_by_position() {
        let header = "NAMESPACE POD NAME               ADDRESS   NODE                       WAYPOINT PROTOCOL";
        let text = "shop      cart-68c754c4b-gmz2p   10.9.0.4  worker-0-zlgh6.example.org None     HBONE";
        let State::Workload { name, address, protocol, .. } = state("", header, text) else { panic!() };
        assert_eq!((&*name, &*address, &*protocol), ("cart-68c754c4b-gmz2p", "10.9.0.4", "HBONE"));
    }

    #[test]
    fn what_a_ztunnel_knows_is_read_row_by_row() {
        let header = "NAMESPACE SERVICE NAME SERVICE VIP               WAYPOINT ENDPOINTS";
        let text = "shop      cart         10.96.37.201,fd00:9::c9   waypoint 0/2";
        let State::ServiceEndpoints { name, vips, waypoint, endpoints, .. } = state("", header, text) else { panic!() };
        assert_eq!((&*name, vips.len(), &*waypoint, endpoints), ("cart", 2, "waypoint", Some((0, 2))));
        let headless = state("", header, "shop      db                                     None     3/3");
        let State::ServiceEndpoints { vips, waypoint, endpoints, .. } = headless else { panic!() };
        assert_eq!((vips.len(), &*waypoint, endpoints), (0, "", Some((3, 3))));
        let header = "NAMESPACE POLICY NAME    ACTION SCOPE";
        let State::ZtunnelPolicy { name, action, scope, .. } =
            state("", header, "shop      allow-waypoint Allow  WorkloadSelector")
        else {
            panic!()
        };
        assert_eq!((&*name, &*action, &*scope), ("allow-waypoint", "Allow", "WorkloadSelector"));
    }

    #[test]
    fn a_certificate_row_tells_its_serial_and_dates() {
        let header = "CERTIFICATE NAME                            TYPE     STATUS           VALID CERT     SERIAL NUMBER                        NOT AFTER                NOT BEFORE";
        let text = "spiffe://cluster.local/ns/shop/sa/cart      Leaf     Available        true           e5dfb59150b2ba7f108d93dcec5aa613     2033-03-22T13:04:57Z     2023-03-21T13:02:57Z";
        let State::ProxySecret { kind, serial, not_after, .. } = state("", header, text) else { panic!() };
        assert_eq!((&*kind, &*serial), ("Leaf", "e5dfb59150b2ba7f108d93dcec5aa613"));
        assert_eq!(not_after.map(|at| at.to_string()).as_deref(), Some("2033-03-22T13:04:57.000Z"));
        let text = "spiffe://cluster.local/ns/shop/sa/pay       NA       Initializing     false          NA                                   NA                       NA";
        let State::ProxySecret { kind, serial, valid, status, .. } = state("", header, text) else { panic!() };
        assert_eq!((&*kind, &*serial, valid, &*status), ("", "", None, "Initializing"));
        let header = "RESOURCE NAME     TYPE           STATUS     VALID CERT     SERIAL NUMBER                        NOT AFTER                NOT BEFORE";
        let text = "default           Cert Chain     ACTIVE     true           7e4bb7ba2a5e5e2ae0cbd3a1b2a8c9d0     2026-11-22T11:58:03Z     2026-11-21T11:56:03Z";
        let State::ProxySecret { kind, not_before, .. } = state("", header, text) else { panic!() };
        assert_eq!(
            (&*kind, not_before.map(|at| at.to_string()).as_deref()),
            ("Cert Chain", Some("2026-11-21T11:56:03.000Z"))
        );
    }

    #[test]
    fn both_forms_of_proxy_status_are_read() {
        let old =
            "NAME            CLUSTER    CDS       LDS           EDS       RDS       ECDS      ISTIOD      VERSION";
        let row = state(
            "",
            old,
            "web-1.shop      north      SYNCED    STALE (14m)   SYNCED    SYNCED    IGNORED   istiod-1    1.26.2",
        );
        let State::ProxyStatus { behind, version, .. } = row else { panic!() };
        assert_eq!((behind, &*version), (vec![("LDS".into(), "STALE (14m)".into())], "1.26.2"));
        let new = "NAME           CLUSTER     ISTIOD       VERSION     SUBSCRIBED TYPES";
        let row = state("", new, "web-1.shop     north       istiod-1     1.28.0      5 (CDS,LDS,EDS,RDS,ECDS)");
        let State::ProxyStatus { proxy, cluster, .. } = row else { panic!() };
        assert_eq!((&*proxy, &*cluster), ("web-1.shop", "north"));
    }

    #[test]
    fn headers_are_known_and_records_below_a_table_are_no_rows() {
        assert!(is_header("LAST SEEN   TYPE      REASON    OBJECT   MESSAGE"));
        assert!(is_header("  Type     Reason     Age    From     Message"));
        assert!(!is_header("NAME"));
        assert!(!is_header("GET /healthz HTTP/1.1"));
        assert_eq!(read("", "NAME   ENDPOINTS   AGE", "2026-01-01T00:00:00Z\tinfo\tx"), Fact::Known);
    }
}
