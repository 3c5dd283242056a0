//! Puts the parts of a document together into what it says about a proxy.

use std::collections::BTreeSet;

use super::shape::{
    Accepted, Address, Assignment, Chain, Cluster, Destination, Details, DynamicListener, ErrorState, HeldCertificates,
    HostStatus, LbEndpoint, List, Listener, ListenerState, Locality, Node, Part, RouteConfig, Secret, Socket, Source,
    Trusted, VirtualHost,
};
use super::{metrics, of_node};
use crate::cert::{self, Cert};
use crate::event::{Addr, Text};
use crate::state::proxy::{
    EndpointWorkload, HeldSecret, ProxyCluster, ProxyEndpoint, ProxyListener, ProxyNode, ProxyRoute, ProxyState,
    Rejected, ServerInfo, ToldBy,
};
use crate::time::Time;

/// Endpoints kept of one document.
pub const ENDPOINTS_MAX: usize = 250_000;
/// Clusters, listeners and secrets kept of one document, each.
pub const RESOURCES_MAX: usize = 100_000;
/// Virtual hosts kept of one document: each route configuration repeats most services.
pub const VIRTUAL_HOSTS_MAX: usize = 400_000;
/// Longest name kept, in bytes. Names of services and clusters are below 300.
pub const NAME_BYTES_MAX: usize = 1_024;
/// Longest text of a rejection kept, in bytes.
pub const DETAILS_BYTES_MAX: usize = 2_048;
/// Losses that are named; the others are counted.
const LOSSES_MAX: usize = 20;

/// What was understood so far.
#[derive(Default)]
pub(super) struct Fold {
    pub state: ProxyState,
    /// Whether any part was one of Envoy's.
    pub is_known: bool,
    pub taken: Option<Time>,
    losses: Vec<String>,
    losses_unsaid: usize,
    has_bootstrap: bool,
    /// How many sections only an Envoy's whole dump has.
    sections: BTreeSet<Text>,
    /// Clusters with endpoints of several priorities.
    failover: BTreeSet<Text>,
    /// Kinds and names of what was refused.
    rejected: BTreeSet<(String, String)>,
}

impl Fold {
    /// Notes what could not be read.
    pub fn lose(&mut self, loss: String) {
        self.state.is_cut = true;
        match self.losses.len() < LOSSES_MAX {
            true => self.losses.push(loss),
            false => self.losses_unsaid += 1,
        }
    }

    /// Takes series.
    pub fn stats(&mut self, series: metrics::Series) {
        self.is_known = true;
        if series.left_out > 0 {
            self.lose(format!("{} series beyond the limit of {} were not kept", series.left_out, metrics::SERIES_MAX));
        }
        self.state.stats = series.stats;
    }

    /// What it all says, when it was taken at the earliest, and what was lost.
    pub fn finish(mut self) -> (ProxyState, Option<Time>, Vec<String>) {
        let own = self.state.secrets.iter().flatten().find(|secret| &*secret.name == "default");
        let trust_domain = own.and_then(|secret| {
            let sans = secret.certs.first().map_or(&secret.sans, |leaf| &leaf.sans);
            sans.iter().find_map(|san| san.strip_prefix("spiffe://")?.split('/').next())
        });
        if let (Some(node), Some(trust_domain)) = (&mut self.state.node, trust_domain) {
            node.trust_domain = trust_domain.into();
        }
        for cluster in self.state.clusters.iter_mut().flatten() {
            cluster.locality_lb |= self.failover.contains(&cluster.name);
        }
        // An Envoy's whole dump begins with its bootstrap; istiod knows none.
        let is_whole = ["ClustersConfigDump", "ListenersConfigDump"].iter().all(|kind| self.sections.contains(*kind));
        if is_whole && !self.has_bootstrap {
            self.state.told_by = ToldBy::Istiod;
        }
        if self.losses_unsaid > 0 {
            self.losses.push(format!("and {} more like these", self.losses_unsaid));
        }
        (self.state, self.taken, self.losses)
    }

    /// Takes a part; one that is not Envoy's is left alone.
    pub fn part(&mut self, part: Part<'_>) {
        let kind = part.kind.rsplit(['.', '/']).next().unwrap_or("").to_string();
        self.saw(part.last_updated.0);
        self.section(&kind, &part);
        let failed = part.error_state.as_ref();
        self.reject(kind_of(&kind), &part.name, failed);
        if let Some(bootstrap) = part.bootstrap {
            (self.is_known, self.has_bootstrap) = (true, true);
            self.state.node = bootstrap.node.map(node);
        }
        let warming = part.dynamic_warming_clusters.map(|list| (list, true));
        for (list, warming) in [part.static_clusters, part.dynamic_active_clusters]
            .into_iter()
            .flatten()
            .map(|l| (l, false))
            .chain(warming)
        {
            for item in self.all("clusters", list) {
                self.saw(item.last_updated.0);
                self.reject("cluster", &item.cluster.name, item.error_state.as_ref());
                self.cluster(item.cluster, warming);
            }
        }
        for item in self.all("listeners", part.static_listeners.unwrap_or_default()) {
            self.listener_state(item, "", false);
        }
        for item in self.all("listeners", part.dynamic_listeners.unwrap_or_default()) {
            self.dynamic_listener(item);
        }
        for list in [part.static_route_configs, part.dynamic_route_configs].into_iter().flatten() {
            for item in self.all("route configurations", list) {
                self.saw(item.last_updated.0);
                self.reject("route", &item.route_config.name, item.error_state.as_ref());
                self.routes(item.route_config);
            }
        }
        for list in [part.inline_scoped_route_configs, part.dynamic_scoped_route_configs].into_iter().flatten() {
            for item in self.all("scoped routes", list) {
                self.saw(item.last_updated.0);
                self.reject("route", &item.name, item.error_state.as_ref());
            }
        }
        let secrets = [
            (part.static_secrets, "ACTIVE"),
            (part.dynamic_active_secrets, "ACTIVE"),
            (part.dynamic_warming_secrets, "WARMING"),
        ];
        for (list, status) in secrets {
            for item in self.all("secrets", list.unwrap_or_default()) {
                self.saw(item.last_updated.0);
                self.reject("secret", &item.name, item.error_state.as_ref());
                self.secret(&item.name, item.secret, status);
            }
        }
        for list in [part.static_endpoint_configs, part.dynamic_endpoint_configs].into_iter().flatten() {
            for item in self.all("clusters' endpoints", list) {
                self.saw(item.last_updated.0);
                self.reject("endpoint", &item.endpoint_config.cluster_name, item.error_state.as_ref());
                self.assignment(item.endpoint_config);
            }
        }
        for item in self.all("extensions", part.ecds_filters.unwrap_or_default()) {
            self.saw(item.last_updated.0);
            self.reject("extension", &item.ecds_filter.name, item.error_state.as_ref());
        }
        // One item of a section.
        if let Some(cluster) = part.cluster {
            self.cluster(cluster, false);
        }
        if let Some(listener) = part.listener {
            self.listener(listener, "", false);
        }
        if part.active_state.is_some() || part.warming_state.is_some() {
            self.dynamic_listener(DynamicListener {
                name: part.name.clone(),
                active_state: part.active_state,
                warming_state: part.warming_state,
                error_state: None,
            });
        }
        if let Some(config) = part.route_config {
            self.routes(config);
        }
        if let Some(endpoints) = part.endpoint_config {
            self.assignment(endpoints);
        }
        if let Some(secret) = part.secret {
            self.secret(&part.name, secret, "");
        }
        // A resource by itself.
        if let Some(cluster_name) = part.cluster_name {
            self.assignment(Assignment { cluster_name, endpoints: part.endpoints.unwrap_or_default() });
        } else if let Some(hosts) = part.host_statuses {
            self.status(part.name, hosts);
        } else if part.filter_chains.is_some() || part.listener_filters.is_some() || kind == "Listener" {
            let listener = Listener {
                name: part.name,
                address: part.address.unwrap_or_default(),
                filter_chains: part.filter_chains.unwrap_or_default(),
                default_filter_chain: part.default_filter_chain,
            };
            self.listener(listener, "", false);
        } else if part.virtual_hosts.is_some() || part.validate_clusters.is_some() || kind == "RouteConfiguration" {
            let virtual_hosts = part.virtual_hosts.unwrap_or_default();
            self.routes(RouteConfig { name: part.name, virtual_hosts });
        } else if part.tls_certificate.is_some() || part.validation_context.is_some() || kind == "Secret" {
            let secret = Secret {
                name: part.name,
                tls_certificate: part.tls_certificate,
                validation_context: part.validation_context,
            };
            self.secret("", secret, "");
        } else if kind == "Cluster"
            || part.eds_cluster_config.is_some()
            || part.lb_policy.is_some()
            || part.connect_timeout.is_some()
            || !part.transport_socket_matches.is_empty()
        {
            let cluster = Cluster {
                name: part.name,
                discovery: part.discovery,
                cluster_type: part.cluster_type,
                transport_socket: part.transport_socket,
                transport_socket_matches: part.transport_socket_matches,
                common_lb_config: part.common_lb_config,
                outlier_detection: part.outlier_detection,
            };
            self.cluster(cluster, false);
        } else if part.added_via_api.is_some() && part.circuit_breakers.is_some() {
            // `ClusterStatus` of a cluster without hosts.
            self.status(part.name, List::default());
        }
        // Whole answers of other endpoints.
        if let Some(statuses) = part.cluster_statuses {
            self.state.clusters.get_or_insert_default();
            self.state.endpoints.get_or_insert_default();
            self.is_known = true;
            for status in self.all("clusters", statuses) {
                self.status(status.name, status.host_statuses);
            }
        }
        if let Some(statuses) = part.listener_statuses {
            self.state.listeners.get_or_insert_default();
            self.is_known = true;
            for status in self.all("listeners", statuses) {
                let addresses = std::iter::once(&status.local_address).chain(&status.additional_local_addresses);
                for address in addresses.take(RESOURCES_MAX) {
                    let addr = addr(address).unwrap_or_default();
                    self.keep_listener(ProxyListener { name: status.name.clone(), addr, ..ProxyListener::default() });
                }
            }
        }
        if let Some(certificates) = part.certificates {
            self.certificates(certificates);
        }
        if let Some(stats) = part.stats {
            self.is_known = true;
            for stat in self.all("stats", stats) {
                let kept = self.state.stats.len() < metrics::SERIES_MAX;
                self.state.stats.extend(metrics::stat(&stat.name, stat.value.0 as f64).filter(|_| kept));
            }
        }
        if !part.state.is_empty() && (part.hot_restart_version.is_some() || !part.uptime_current_epoch.is_empty()) {
            self.is_known = true;
            self.state.server = Some(ServerInfo {
                state: part.state.0,
                version: part.version.0,
                uptime_s: part.uptime_current_epoch.trim_end_matches('s').parse().unwrap_or(0),
            });
            self.state.node = self.state.node.take().or(part.node.map(node));
        }
    }

    /// A section says of its kind all there is, even where it is empty.
    fn section(&mut self, kind: &str, part: &Part<'_>) {
        let says_clusters = part.static_clusters.is_some() || part.dynamic_active_clusters.is_some();
        let says_listeners = part.static_listeners.is_some() || part.dynamic_listeners.is_some();
        let says_routes = part.static_route_configs.is_some() || part.dynamic_route_configs.is_some();
        let says_secrets = part.static_secrets.is_some()
            || part.dynamic_active_secrets.is_some()
            || part.dynamic_warming_secrets.is_some();
        let says_endpoints = part.static_endpoint_configs.is_some() || part.dynamic_endpoint_configs.is_some();
        let mut known = true;
        match kind {
            _ if says_clusters || kind == "ClustersConfigDump" => {
                self.state.clusters.get_or_insert_default();
                self.sections.insert("ClustersConfigDump".into());
            }
            _ if says_listeners || kind == "ListenersConfigDump" => {
                self.state.listeners.get_or_insert_default();
                self.sections.insert("ListenersConfigDump".into());
            }
            _ if says_routes || kind == "RoutesConfigDump" => {
                self.state.routes.get_or_insert_default();
            }
            _ if says_secrets || kind == "SecretsConfigDump" => {
                self.state.secrets.get_or_insert_default();
            }
            _ if says_endpoints || kind == "EndpointsConfigDump" => {
                self.state.endpoints.get_or_insert_default();
            }
            "BootstrapConfigDump" | "ScopedRoutesConfigDump" | "EcdsConfigDump" => {}
            // istiod lists what it would send as it is; an Envoy wraps it in sections.
            "Cluster" | "ClusterLoadAssignment" | "Listener" | "RouteConfiguration" | "Secret" => {
                self.state.told_by = ToldBy::Istiod;
            }
            _ => known = false,
        }
        self.is_known |= known;
    }

    fn saw(&mut self, at: Option<Time>) {
        self.taken = self.taken.max(at);
    }

    /// The items of a list; those beyond its limit are a loss.
    fn all<T>(&mut self, what: &str, list: List<T>) -> Vec<T> {
        if list.cut > 0 {
            self.lose(format!("{} {what} beyond the limit were not read", list.cut));
        }
        list.kept
    }

    fn reject(&mut self, kind: &str, name: &str, failed: Option<&ErrorState>) {
        let Some(failed) = failed else { return };
        self.is_known = true;
        self.saw(failed.last_update_attempt.0);
        // Envoy lists a refused listener twice: by its name, and once more without one.
        let of_refused = failed.failed_configuration.as_ref().map_or("", |refused| &*refused.name);
        let name = begin(if name.is_empty() { of_refused } else { name }, NAME_BYTES_MAX);
        if !self.rejected.insert((kind.to_string(), name.to_string())) {
            return;
        }
        self.state.rejected.push(Rejected {
            kind: kind.into(),
            name: name.into(),
            details: begin(&failed.details, DETAILS_BYTES_MAX).into(),
            at: failed.last_update_attempt.0,
        });
    }

    fn cluster(&mut self, cluster: Cluster, warming: bool) {
        let sockets: Vec<(&str, &Socket)> = cluster
            .transport_socket_matches
            .iter()
            .filter_map(|with| Some((&*with.name, with.transport_socket.as_ref()?)))
            .chain(cluster.transport_socket.as_ref().map(|socket| ("", socket)))
            .collect();
        let mut sans: Vec<Text> = Vec::new();
        let mut is_mesh_tls = false;
        for (name, socket) in sockets {
            let (mut socket, mut tls) = (socket, None);
            // The socket of an internal listener holds the real one.
            loop {
                tls = tls.or(socket.typed_config.common_tls_context.as_ref());
                let Some(inner) = &socket.typed_config.transport_socket else { break };
                socket = inner;
            }
            let Some(tls) = tls else { continue };
            is_mesh_tls |= name == "tlsMode-istio"
                || tls.tls_certificate_sds_secret_configs.iter().any(|secret| &*secret.name == "default");
            let accepted = tls.combined_validation_context.as_ref().map(|both| &both.default_validation_context);
            for san in [accepted, tls.validation_context.as_ref()].into_iter().flatten().flat_map(names_accepted) {
                if !sans.contains(&san) && sans.len() < 1_000 {
                    sans.push(san);
                }
            }
        }
        let kind = match (&*cluster.discovery, cluster.cluster_type) {
            ("", Some(named)) => named.name,
            _ => cluster.discovery.0,
        };
        let locality_lb = cluster.common_lb_config.is_some_and(|lb| lb.locality_weighted_lb_config.is_some());
        self.keep_cluster(ProxyCluster {
            name: cluster.name,
            kind,
            sans,
            tls: if is_mesh_tls { "istio".into() } else { Text::default() },
            locality_lb,
            outlier_detection: cluster.outlier_detection.is_some(),
            warming,
        });
    }

    /// Keeps a cluster unless it has no name or there are too many.
    pub fn keep_cluster(&mut self, cluster: ProxyCluster) {
        self.is_known = true;
        let clusters = self.state.clusters.get_or_insert_default();
        if cluster.name.is_empty() {
            return;
        }
        if NAME_BYTES_MAX < cluster.name.len() || RESOURCES_MAX <= clusters.len() {
            return self.lose("a cluster beyond the limits was not kept".to_string());
        }
        clusters.push(cluster);
    }

    fn dynamic_listener(&mut self, item: DynamicListener<'_>) {
        self.reject("listener", &item.name, item.error_state.as_ref());
        // While a new version warms, the old one serves.
        let is_active = item.active_state.is_some();
        if let Some(state) = item.active_state {
            self.listener_state(state, &item.name, false);
        }
        if let Some(state) = item.warming_state {
            match is_active {
                true => self.saw(state.last_updated.0),
                false => self.listener_state(state, &item.name, true),
            }
        }
    }

    fn listener_state(&mut self, state: ListenerState<'_>, name: &str, warming: bool) {
        self.saw(state.last_updated.0);
        self.listener(state.listener, name, warming);
    }

    fn listener(&mut self, listener: Listener<'_>, name: &str, warming: bool) {
        let mut sni = BTreeSet::new();
        let mut clusters = BTreeSet::new();
        let chains = self.all("filter chains", listener.filter_chains);
        for Chain { filter_chain_match, filters } in chains.into_iter().chain(listener.default_filter_chain) {
            sni.extend(filter_chain_match.server_names);
            clusters.extend(filters.into_iter().flat_map(|filter| leads_to(filter.typed_config)));
        }
        self.keep_listener(ProxyListener {
            name: if listener.name.is_empty() { name.into() } else { listener.name },
            addr: addr(&listener.address).unwrap_or_default(),
            sni: sni.into_iter().collect(),
            clusters: clusters.into_iter().collect(),
            warming,
        });
    }

    /// Keeps a listener unless there are too many.
    pub fn keep_listener(&mut self, listener: ProxyListener) {
        self.is_known = true;
        let listeners = self.state.listeners.get_or_insert_default();
        if NAME_BYTES_MAX < listener.name.len() || RESOURCES_MAX <= listeners.len() {
            return self.lose("a listener beyond the limits was not kept".to_string());
        }
        listeners.push(listener);
    }

    fn routes(&mut self, config: RouteConfig) {
        self.is_known = true;
        let name = config.name;
        for VirtualHost { domains, routes } in self.all("virtual hosts", config.virtual_hosts) {
            let routes = self.all("routes", routes);
            let mut clusters: Vec<Text> = Vec::new();
            for cluster in routes.into_iter().flat_map(|route| leads_to(route.route)) {
                // The routes of a host lead to few clusters, most often to one.
                if clusters.len() < 256 && !clusters.contains(&cluster) {
                    clusters.push(cluster);
                }
            }
            let kept = self.state.routes.get_or_insert_default();
            if NAME_BYTES_MAX < name.len() || VIRTUAL_HOSTS_MAX <= kept.len() {
                return self.lose("virtual hosts beyond the limits were not kept".to_string());
            }
            kept.push(ProxyRoute { config: name.clone(), domains, clusters });
        }
        self.state.routes.get_or_insert_default();
    }

    fn secret(&mut self, name: &str, secret: Secret<'_>, status: &str) {
        self.is_known = true;
        let name: Text = if name.is_empty() { secret.name } else { name.into() };
        let mut certs = Vec::new();
        if let Some(tls) = &secret.tls_certificate {
            certs.extend(self.certs_of(&name, &tls.certificate_chain));
        }
        if let Some(Trusted { trusted_ca, custom_validator_config }) = &secret.validation_context {
            certs.extend(self.certs_of(&name, trusted_ca));
            for bundle in custom_validator_config.typed_config.trust_domains.iter().take(1_000) {
                certs.extend(self.certs_of(&name, &bundle.trust_bundle));
            }
        }
        self.keep_secret(HeldSecret { name, status: status.into(), certs, ..HeldSecret::default() });
    }

    fn certs_of(&mut self, name: &str, source: &Source<'_>) -> Vec<Cert> {
        let text = if source.inline_bytes.is_empty() { &source.inline_string } else { &source.inline_bytes };
        if text.is_empty() {
            return Vec::new();
        }
        let read = cert::read(text.as_bytes());
        for fault in read.unreadable {
            self.lose(format!("secret {}: {fault}", begin(name, NAME_BYTES_MAX)));
        }
        read.certs
    }

    fn keep_secret(&mut self, secret: HeldSecret) {
        let secrets = self.state.secrets.get_or_insert_default();
        if NAME_BYTES_MAX < secret.name.len() || RESOURCES_MAX <= secrets.len() {
            return self.lose("a secret beyond the limits was not kept".to_string());
        }
        secrets.push(secret);
    }

    fn assignment(&mut self, assignment: Assignment<'_>) {
        self.is_known = true;
        self.state.endpoints.get_or_insert_default();
        let cluster = assignment.cluster_name;
        let mut priorities = BTreeSet::new();
        for group in self.all("localities", assignment.endpoints) {
            let locality = locality(&group.locality);
            let priority = u32::try_from(group.priority.0).unwrap_or(u32::MAX);
            priorities.insert(priority);
            for endpoint in self.all("endpoints", group.lb_endpoints) {
                let Some(addr) = addr(&endpoint.endpoint.address) else { continue };
                self.keep_endpoint(ProxyEndpoint {
                    cluster: cluster.clone(),
                    addr,
                    health: Text::from(&*endpoint.health_status),
                    ejected: false,
                    priority,
                    locality: locality.clone(),
                    tls_mode: tls_mode(&endpoint),
                    workload: workload(&endpoint.metadata.filter_metadata.istio.workload),
                    connect_failures: None,
                    connects: None,
                });
            }
        }
        if priorities.len() > 1 {
            self.failover.insert(cluster);
        }
    }

    fn status(&mut self, name: Text, hosts: List<HostStatus<'_>>) {
        self.state.endpoints.get_or_insert_default();
        let mut priorities = BTreeSet::new();
        for host in self.all("endpoints", hosts) {
            let Some(addr) = addr(&host.address) else { continue };
            let priority = u32::try_from(host.priority.0).unwrap_or(u32::MAX);
            priorities.insert(priority);
            let stat = |name: &str| host.stats.kept.iter().find(|stat| stat.name == name).map(|stat| stat.value.0);
            let health = match host.health_status.failed_active_health_check {
                true => "UNHEALTHY",
                false => &host.health_status.eds_health_status,
            };
            self.keep_endpoint(ProxyEndpoint {
                cluster: name.clone(),
                addr,
                health: health.into(),
                ejected: host.health_status.failed_outlier_check,
                priority,
                locality: locality(&host.locality),
                connect_failures: stat("cx_connect_fail"),
                connects: stat("cx_total"),
                ..ProxyEndpoint::default()
            });
        }
        if priorities.len() > 1 {
            self.failover.insert(name.clone());
        }
        self.keep_cluster(ProxyCluster { name, ..ProxyCluster::default() });
    }

    /// Keeps an endpoint unless there are too many.
    pub fn keep_endpoint(&mut self, endpoint: ProxyEndpoint) {
        self.is_known = true;
        let endpoints = self.state.endpoints.get_or_insert_default();
        if NAME_BYTES_MAX < endpoint.cluster.len() || ENDPOINTS_MAX <= endpoints.len() {
            return self.lose("an endpoint beyond the limits was not kept".to_string());
        }
        endpoints.push(endpoint);
    }

    /// `/certs` lists the certificates of every TLS context, mostly the same ones over and over.
    fn certificates(&mut self, certificates: List<HeldCertificates>) {
        self.is_known = true;
        let mut seen = BTreeSet::new();
        self.state.secrets.get_or_insert_default();
        for HeldCertificates { ca_cert, cert_chain } in self.all("certificates", certificates) {
            let is_workload = cert_chain
                .first()
                .is_some_and(|leaf| leaf.subject_alt_names.iter().any(|name| name.uri.starts_with("spiffe://")));
            let chain = if is_workload { "default" } else { "" };
            // Its roots are listed beside it; a context that only checks others has the mesh's, as a rule.
            let roots = if is_workload || cert_chain.is_empty() { "ROOTCA" } else { "" };
            // Of a chain the leaf says it all; roots are told apart.
            let leaf = cert_chain.into_iter().take(1).map(|details| (chain, details));
            for (name, details) in leaf.chain(ca_cert.into_iter().map(|details| (roots, details))) {
                if seen.insert((name, details.serial_number.clone())) {
                    self.keep_secret(described(name, details));
                }
            }
        }
    }
}

/// A certificate of `/certs`: its name is that of the secret, as far as it can be told, else its path.
fn described(name: &str, details: Details) -> HeldSecret {
    let sans = details.subject_alt_names.into_iter().flat_map(|san| [san.uri, san.dns, san.ip_address]);
    HeldSecret {
        name: if name.is_empty() { details.path } else { name.into() },
        valid: details.valid_from.0.zip(details.expiration_time.0),
        serial: details.serial_number.to_ascii_lowercase().trim_start_matches('0').into(),
        sans: sans.filter(|san| !san.is_empty()).collect(),
        ..HeldSecret::default()
    }
}

/// What a rejected resource of a section is.
fn kind_of(kind: &str) -> &str {
    match kind {
        "DynamicCluster" => "cluster",
        "DynamicListener" => "listener",
        "DynamicRouteConfig" => "route",
        "DynamicEndpointConfig" => "endpoint",
        "DynamicSecret" => "secret",
        other => other,
    }
}

fn names_accepted(accepted: &Accepted) -> impl Iterator<Item = Text> {
    let typed = accepted.match_typed_subject_alt_names.iter().map(|typed| &typed.matcher);
    let matchers = typed.chain(&accepted.match_subject_alt_names).filter_map(|matcher| {
        match (&*matcher.exact, &*matcher.prefix, &*matcher.suffix) {
            ("", "", "") => None,
            ("", "", suffix) => Some(format!("*{suffix}").into()),
            ("", prefix, _) => Some(format!("{prefix}*").into()),
            (exact, _, _) => Some(exact.into()),
        }
    });
    matchers.chain(accepted.verify_subject_alt_name.iter().cloned())
}

/// The clusters a TCP proxy or a route leads to.
fn leads_to(destination: Destination) -> impl Iterator<Item = Text> {
    let one = Some(destination.cluster.0).filter(|cluster| !cluster.is_empty());
    let many = destination.weighted_clusters.map(|weighted| weighted.clusters).unwrap_or_default();
    one.into_iter().chain(many.into_iter().map(|cluster| cluster.name))
}

/// An address; that of an internal listener is the one it stands for.
fn addr(address: &Address<'_>) -> Option<Addr> {
    let (socket, internal) = (&address.socket_address, &address.envoy_internal_address);
    if !socket.address.is_empty() {
        let port = u16::try_from(socket.port_value.0).unwrap_or(0);
        return Some(Addr { host: Text::from(&*socket.address), port });
    }
    let inner = [&internal.endpoint_id, &internal.server_listener_name, &address.pipe.path];
    let inner = inner.into_iter().find(|text| !text.is_empty())?;
    Some(Addr::parse(inner).unwrap_or_else(|| Addr { host: Text::from(&**inner), port: 0 }))
}

fn tls_mode(endpoint: &LbEndpoint<'_>) -> Text {
    Text::from(&*endpoint.metadata.filter_metadata.socket_match.tls_mode)
}

/// Reads `<workload>;<namespace>;<canonical name>;<canonical revision>;<cluster>`; a gateway to another network has only
/// the cluster. `istio/istio: pilot/pkg/networking/util/util.go`
fn workload(text: &str) -> Option<EndpointWorkload> {
    let mut parts = text.split(';');
    let (name, namespace) = (parts.next()?, parts.next()?);
    let cluster = parts.nth(2).unwrap_or("");
    let says_something = !name.is_empty() || !cluster.is_empty();
    says_something.then(|| EndpointWorkload { name: name.into(), namespace: namespace.into(), cluster: cluster.into() })
}

/// Region, zone and sub-zone with slashes, as far as they are set.
pub(super) fn locality_text(region: &str, zone: &str, sub_zone: &str) -> Text {
    [region, zone, sub_zone].join("/").trim_end_matches('/').into()
}

fn locality(locality: &Locality<'_>) -> Text {
    locality_text(&locality.region, &locality.zone, &locality.sub_zone)
}

fn node(node: Node<'_>) -> ProxyNode {
    let meta = node.metadata;
    let (kind, name) = of_node(&node.id);
    let (pod, namespace) = name.rsplit_once('.').unwrap_or((name, ""));
    let or = |said: Text, else_said: &str| if said.is_empty() { else_said.into() } else { said };
    ProxyNode {
        kind: kind.into(),
        cluster: meta.cluster_id.0,
        network: meta.network.0,
        network_view: meta.requested_network_view.0,
        router_mode: meta.router_mode.0,
        namespace: or(meta.namespace.0, namespace),
        name: or(meta.name.0, pod),
        version: meta.istio_version.0,
        service_account: meta.service_account.0,
        mesh_id: meta.mesh_id.0,
        locality: locality(&node.locality),
        discovery_address: meta.proxy_config.discovery_address.0,
        trust_domain: Text::default(),
        id: Text::from(&*node.id),
    }
}

/// The begin of a text, cut between characters.
pub(super) fn begin(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
