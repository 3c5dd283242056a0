//! Webhooks of istiod: whether the `caBundle` by which the API server trusts them fits the CA of the istiod that serves them.
//!
//! istiod serves 15017 with a certificate of its own CA and writes that CA's root into its configurations, in remote
//! clusters as well (`istio/istio: pilot/pkg/bootstrap/webhook.go`, `pkg/webhooks/webhookpatch.go`).

use std::sync::Arc;

use meshwhy_parsers::cert::{Cert, shared};
use meshwhy_parsers::event::Event;
use meshwhy_parsers::state::object::{Body, Object, Webhook};

use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Cluster, Doc};
use crate::engine::view::View;

/// See the title.
pub static CHECK: Check =
    Check { id: "webhooks", title: "API servers trust the webhooks of istiod", before_linking: true, run };

const SLUG: &str = "webhook-cert-untrusted";

/// Kinds of configurations.
const KINDS: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

fn run(view: &View<'_>) -> Vec<Item> {
    let of_cluster = |cluster| {
        let objects = KINDS.into_iter().flat_map(move |kind| Cluster::objects(cluster, kind));
        objects.filter_map(|object| configuration(view, cluster, object))
    };
    view.mesh().clusters().flat_map(of_cluster).collect()
}

/// Certificates under which an istiod serves, and where they were found.
struct Root<'m> {
    event: &'m Arc<Event>,
    /// `ConfigMap istio-system/istio-ca-root-cert root-cert.pem`.
    place: String,
    certs: &'m [Cert],
}

/// The first webhook of a configuration of which the API server trusts the server least: they mostly have one bundle.
fn configuration(view: &View<'_>, cluster: &Cluster, object: &Doc<Object>) -> Option<Item> {
    let Body::Webhooks(webhooks) = &object.body else { return None };
    let of_istiod = webhooks.iter().filter(|webhook| webhook.name.ends_with(".istio.io"));
    let judged: Vec<Item> = of_istiod.filter_map(|webhook| judge(view, cluster, object, webhook)).collect();
    let worst = judged.iter().map(|item| item.outcome).max()?;
    judged.into_iter().find(|item| item.outcome == worst)
}

fn judge(view: &View<'_>, cluster: &Cluster, object: &Doc<Object>, webhook: &Webhook) -> Option<Item> {
    let host = host_of(&webhook.url);
    let namespace = match webhook.service.split_once('/') {
        // That a configuration calls a Service which is gone is another fault.
        Some((namespace, name)) if !exists(cluster, namespace, name) => return None,
        Some((namespace, _)) => namespace,
        None => cluster.system_namespace(),
    };
    if !webhook.has_ca {
        // The API server then trusts public CAs, of which one may have signed what a URL leads to.
        if object.is_row || host.is_some() || webhook.service.is_empty() {
            return None;
        }
        let remedy = "Let istiod patch the configuration (restart it), and find out who writes it without a caBundle.";
        let reason = format!("webhook {} has no caBundle, so no certificate of istiod is accepted", webhook.name);
        return Some(Item::warn(&cluster.name, object.title(), reason, remedy));
    }
    let bundled = webhook.ca.first()?;
    let is_remote = cluster.has_istiod() == Some(false);
    let is_elsewhere = host.is_some_and(|host| leads_elsewhere(view, cluster, host));
    let servers: Vec<&Cluster> = if is_remote || is_elsewhere {
        view.others(cluster).filter(|other| other.has_istiod() == Some(true)).collect()
    } else {
        vec![cluster]
    };
    let mut served: Vec<Vec<Root<'_>>> = servers.iter().map(|server| roots(server, namespace)).collect();
    if is_remote && served.iter().any(Vec::is_empty) {
        // The control plane hands its root out in the clusters that it serves, too.
        served = vec![roots(cluster, namespace)];
    }
    // A control plane whose CA is not known may be the one that is trusted.
    if servers.iter().any(|server| !signs_itself(server)) || served.is_empty() || served.iter().any(Vec::is_empty) {
        return None;
    }
    let known = || served.iter().flatten();
    if let Some(root) = known().find(|root| !shared(&webhook.ca, root.certs).is_empty()) {
        let reason = format!("its caBundle has the root of istiod ({})", bundled.short());
        let quote = format!("{}: {}", root.place, summed(bundled));
        let pass = Item::pass(&cluster.name, object.title(), reason);
        return Some(pass.refuting(SLUG, root.event, &quote, "the webhook's caBundle has istiod's root"));
    }
    let root = known().next()?;
    let cert = root.certs.first()?;
    let why = format!(
        "its caBundle has {} ({}), and istiod serves under {} ({})",
        bundled.called(),
        bundled.short(),
        cert.called(),
        cert.short()
    );
    if host.is_some() && !is_elsewhere {
        let remedy = format!("Look who answers at {}, and under which CA.", webhook.url);
        return Some(Item::warn(&cluster.name, object.title(), format!("webhook {}: {why}", webhook.name), remedy));
    }
    let verdict = Verdict::certain(&format!("{} of {}", object.name, cluster.name))
        .slot("webhook", &webhook.name)
        .slot("why", &why)
        .because_object(
            object,
            &format!("webhook {}: caBundle {}", webhook.name, summed(bundled)),
            "the only CA by which the API server trusts this webhook",
        )
        .because_quote(root.event, &format!("{}: {}", root.place, summed(cert)), "the CA under which istiod serves it");
    Some(Item::fail(&cluster.name, object.title(), why, SLUG, verdict))
}

/// Whether a Service may be there.
fn exists(cluster: &Cluster, namespace: &str, name: &str) -> bool {
    cluster.object("Service", namespace, name).is_some() || !cluster.knows_all("Service", namespace)
}

/// The host of a webhook's URL: `istiod.example.org` of `https://istiod.example.org:15017/inject`.
fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let host = rest.split('/').next()?;
    Some(host.rsplit_once(':').map_or(host, |(host, _)| host))
}

/// Whether a host is an address at which another cluster of the mesh is reached.
fn leads_elsewhere(view: &View<'_>, cluster: &Cluster, host: &str) -> bool {
    view.others(cluster).any(|other| {
        let of_services = other
            .services()
            .any(|(_, service)| service.ingress.iter().chain(&service.external_ips).any(|address| **address == *host));
        of_services || other.own_gateways().any(|gateway| gateway.addresses.contains(&host))
    })
}

/// Whether istiod serves under its own CA, and not under certificates that someone else gives it.
fn signs_itself(cluster: &Cluster) -> bool {
    let by_provider = cluster.istiod_env("PILOT_CERT_PROVIDER").is_none_or(|(_, provider)| provider == "istiod");
    let is_given = |arg: &str| arg.starts_with("--tlsCertFile") || arg.starts_with("--caCertFile");
    let planes = cluster.control_planes();
    let is_given_files = cluster.secrets().any(|(object, _)| &*object.name == "istiod-tls");
    by_provider
        && !is_given_files
        && !planes.iter().any(|plane| plane.containers.iter().any(|of| of.args.iter().any(|arg| is_given(arg))))
}

/// What istiod of a namespace serves under: what it hands out as root, then its CA, of which the signing certificate is as
/// good an anchor as the root.
fn roots<'m>(cluster: &'m Cluster, namespace: &str) -> Vec<Root<'m>> {
    let maps = cluster
        .config_maps()
        .filter(|(object, _)| &*object.name == "istio-ca-root-cert")
        .map(|(object, map)| (object, &map.certs));
    let is_ca = |name: &str| matches!(name, "cacerts" | "istio-ca-secret");
    let secrets =
        cluster.secrets().filter(|(object, _)| is_ca(&object.name)).map(|(object, secret)| (object, &secret.certs));
    let here = maps.chain(secrets).filter(|(object, _)| *object.namespace == *namespace);
    let of_keys = here.flat_map(|(object, keys)| {
        keys.iter().filter(|(_, certs)| !certs.is_empty()).map(move |(key, certs)| Root {
            event: &object.event,
            place: format!("{} {key}", object.title()),
            certs,
        })
    });
    of_keys.collect()
}

/// A certificate by its name and sum.
fn summed(cert: &Cert) -> String {
    format!("{} SHA-256 {}", cert.called(), cert.fingerprint)
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checks::testing::{ROOT_A, ROOT_B, failed, told};

    fn istiod(root: &str, args: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: istiod-1, namespace: istio-system, labels: {{app: istiod}}}}\n\
             spec: {{containers: [{{name: discovery, image: \"istio/pilot:1.28.1\", args: [discovery{args}]}}]}}\n\
             status: {{phase: Running}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: cacerts, namespace: \
             istio-system}}\ndata: {{root-cert.pem: {root}}}\n"
        )
    }

    fn webhook(client: &str) -> String {
        format!(
            "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {{name: \
             istio-sidecar-injector}}\nwebhooks:\n- name: namespace.sidecar-injector.istio.io\n  clientConfig: {{{client}}}\n"
        )
    }

    const SERVICE: &str = "service: {name: istiod, namespace: istio-system, path: /inject}";

    #[test]
    fn a_bundle_without_the_root_of_the_istiod_that_serves_fails() {
        let with = |root: &str, args: &str| {
            let files = [
                ("west", "istiod.yaml", &*istiod(root, args)),
                ("west", "webhooks.yaml", &*webhook(&format!("{SERVICE}, caBundle: {ROOT_A}"))),
            ];
            told(&CHECK, &files)
        };
        assert!(
            with(ROOT_B, "")[0].ends_with("[webhook-cert-untrusted: istio-sidecar-injector of west]"),
            "{:?}",
            with(ROOT_B, "")
        );
        assert!(with(ROOT_A, "")[0].starts_with("pass west"), "{:?}", with(ROOT_A, ""));
        let given = ", --tlsCertFile=/etc/cert-manager/tls/tls.crt";
        assert_eq!(with(ROOT_B, given), [""; 0], "what it serves under is not its CA's");
    }

    #[test]
    fn a_remote_cluster_trusts_the_root_of_the_control_plane_that_runs_it() {
        let hub = istiod(ROOT_A, "")
            + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: istio-remote-secret-edge, namespace: istio-system, \
               labels: {istio/multiCluster: \"true\"}}\ndata: {edge: e30=}\n";
        let pods = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: web, namespace: \
            shop}, status: {phase: Running}}\n- {apiVersion: v1, kind: Pod, metadata: {name: dns, namespace: kube-system}, \
            status: {phase: Running}}\n";
        let failed = |bundle: &str| {
            let files = [
                ("hub", "hub.yaml", &*hub),
                ("edge", "pods.yaml", pods),
                ("edge", "webhooks.yaml", &*webhook(&format!("{SERVICE}, caBundle: {bundle}"))),
            ];
            failed(&CHECK, &files)
        };
        assert_eq!(failed(ROOT_B), ["webhook-cert-untrusted"]);
        assert_eq!(failed(ROOT_A), [""; 0]);
    }

    #[test]
    fn of_a_url_that_leads_somewhere_unknown_another_root_is_only_a_warning() {
        let told = |client: &str| {
            let files = [("west", "istiod.yaml", &*istiod(ROOT_B, "")), ("west", "webhooks.yaml", &*webhook(client))];
            told(&CHECK, &files)
        };
        let url = "url: https://istiod.example.org:15017/inject/cluster/west/net/n1";
        assert!(told(&format!("{url}, caBundle: {ROOT_A}"))[0].starts_with("warn west"));
        assert_eq!(told(url), [""; 0], "public CAs are trusted then");
        assert!(told(SERVICE)[0].starts_with("warn west"), "nothing is trusted then");
    }
}
