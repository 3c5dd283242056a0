//! What `east` and `west` trust and sign with: root maps, CA Secrets, proxies, mesh config.

use meshwhy_parsers::cert;

use super::{DOMAINS, ROOTS, VALIDITY};
use crate::checks::testing::{ROOT_A, ROOT_B, Saved, asked};

/// A root `O=root C` that is valid until 2056.
const ROOT_C: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJlVENDQVIrZ0F3SUJBZ0lVQmVVTjZGSkx4QkZ3cVN5QU5nVHlSTC9wYnlN\
    d0NnWUlLb1pJemowRUF3SXcKRVRFUE1BMEdBMVVFQ2d3R2NtOXZkQ0JETUNBWERUSTJNREV3TVRBd01EQXdNRm9ZRHpJd05UWXdN\
    VEF4TURBdwpNREF3V2pBUk1ROHdEUVlEVlFRS0RBWnliMjkwSUVNd1dUQVRCZ2NxaGtqT1BRSUJCZ2dxaGtqT1BRTUJCd05DCkFB\
    U3pWVnRFYUlZeVFJamdKWU5OVGNSb1lwYzlYUGRndlpqTUNTdldLZUVueEpuY3NTZTdGeW9ob1U4ZXRxYXgKamNJNy95TGlSUVNW\
    NDdVT21rNC9kQlFpbzFNd1VUQVBCZ05WSFJNQkFmOEVCVEFEQVFIL01CMEdBMVVkRGdRVwpCQlQ0czFHaVJkRW92U3NUemd6N2Vl\
    bEh5VU5FQ3pBZkJnTlZIU01FR0RBV2dCVDRzMUdpUmRFb3ZTc1R6Z3o3CmVlbEh5VU5FQ3pBS0JnZ3Foa2pPUFFRREFnTklBREJG\
    QWlFQTYzdEw2KzRwOTB4RWpEOWhzUXVVWDF5V3BDNmEKTnI0T21obVg4bHBZRG53Q0lDWHRoSlMrYzNBak5JY29DMUdkTmZnaVpL\
    dXB6R1h3WkNsSHRONTBnbjU3Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K";
/// An intermediate of it that ends at 2026-06-01T00:00:00Z.
const OF_C: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJnVENDQVNpZ0F3SUJBZ0lVWGlQdUp3SnBNcGdoK2lmRUFkd21UTWsvWmtR\
    d0NnWUlLb1pJemowRUF3SXcKRVRFUE1BMEdBMVVFQ2d3R2NtOXZkQ0JETUI0WERUSTJNREV3TVRBd01EQXdNRm9YRFRJMk1EWXdN\
    VEF3TURBdwpNRm93SERFYU1CZ0dBMVVFQ2d3UmFXNTBaWEp0WldScFlYUmxJRzltSUVNd1dUQVRCZ2NxaGtqT1BRSUJCZ2dxCmhr\
    ak9QUU1CQndOQ0FBUUdQdW1oYzB4RjExUEFHM0FPNTFoZWtsV1hYUDF5MFJTNEpqZWNSLzIxWXRZbEVtdkIKb2NoejdEQ3BQYlpJ\
    dXZrOHF4elVscWMzSml6M044ZCtWUlU2bzFNd1VUQVBCZ05WSFJNQkFmOEVCVEFEQVFILwpNQjBHQTFVZERnUVdCQlFjVUY2ajc3\
    SFdoTzRESjhkUCtqT21QWlRRT0RBZkJnTlZIU01FR0RBV2dCVDRzMUdpClJkRW92U3NUemd6N2VlbEh5VU5FQ3pBS0JnZ3Foa2pP\
    UFFRREFnTkhBREJFQWlCU3UzKy9LeEFxVHdua3JQSEgKUlVtckhVNlFOYktYcm4xRWZ0MWJkUW8ycndJZ0UyQzNKQks4VnU1NzQw\
    b21Vei9rNUxkVEVHRjZ4RFVqTnhzQworVGZsTFQ0PQotLS0tLUVORCBDRVJUSUZJQ0FURS0tLS0tCg==";

/// The roots that istiod hands out in a namespace.
fn handed_in(namespace: &str, roots: &[&str]) -> String {
    let pems = roots.iter().map(|root| String::from_utf8(cert::base64(root.as_bytes()).unwrap()).unwrap());
    let bundle = pems.collect::<String>().replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: istio-ca-root-cert\n  namespace: {namespace}\n  \
         labels: {{istio.io/config: \"true\"}}\ndata:\n  root-cert.pem: |\n    {}\n",
        bundle.trim_end()
    )
}

fn handed(roots: &[&str]) -> String {
    handed_in("istio-system", roots)
}

/// A plugged-in CA: what signs, and its root.
fn cacerts(signer: &str, root: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: cacerts, namespace: istio-system}}\ntype: Opaque\ndata:\n  \
         ca-cert.pem: {signer}\n  ca-key.pem: c2VjcmV0\n  cert-chain.pem: {signer}\n  root-cert.pem: {root}\n"
    )
}

/// All Secrets of the control plane's namespace, and none of them is `cacerts`.
const SECRETS: &str = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, type: Opaque, metadata: {name: \
    istio-remote-secret-x, namespace: istio-system, labels: {istio/multiCluster: \"true\"}}, data: {x: e30=}}\n";

/// What a proxy holds: its certificate and its root.
fn proxy(own: &str, root: &str) -> String {
    format!(
        r#"{{"configs":[{{"@type":"type.googleapis.com/envoy.admin.v3.BootstrapConfigDump","bootstrap":{{"node":{{
        "id":"sidecar~10.1.0.7~web-1.shop~shop.svc.cluster.local","cluster":"web.shop","metadata":{{"CLUSTER_ID":"east"}}}}}}}},
        {{"@type":"type.googleapis.com/envoy.admin.v3.SecretsConfigDump","dynamic_active_secrets":[
        {{"name":"default","secret":{{"name":"default","tls_certificate":{{"certificate_chain":{{"inline_bytes":"{own}"}}}}}}}},
        {{"name":"ROOTCA","secret":{{"name":"ROOTCA","validation_context":{{"trusted_ca":{{"inline_bytes":"{root}"}}}}}}}}]}}]}}"#
    )
}

const PROXY: &str = "proxies/shop/web-1/config_dump.json";

/// A pod that shows until when the state was saved.
fn seen(time: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web-1, namespace: shop}}\nspec: {{containers: [{{name: web, image: web}}, \
         {{name: istio-proxy, image: \"istio/proxyv2:1.28.1\"}}]}}\nstatus:\n  phase: Running\n  startTime: \"{time}\"\n  \
         conditions:\n  - {{type: Ready, status: \"True\", lastTransitionTime: \"{time}\"}}\n"
    )
}

/// What is said of roots where both clusters hand out these.
fn roots(east: &[&str], west: &[&str], more: &[Saved<'_>]) -> Vec<String> {
    let (ours, theirs) = (handed(east), handed(west));
    let mut files = vec![("east", "roots.yaml", &*ours), ("west", "roots.yaml", &*theirs)];
    files.extend(more);
    asked(&ROOTS, &files)
}

#[test]
fn clusters_without_a_common_root_do_not_trust_each_other() {
    let told = roots(&[ROOT_A], &[ROOT_B], &[]);
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("fail east, west roots: east has root O=root A ("), "{told:?}");
    assert!(told[0].ends_with("they have no root in common [root-of-trust-mismatch: east and west]"), "{told:?}");
    let told = roots(&[ROOT_A], &[ROOT_A], &[]);
    assert!(told[0].starts_with("pass east, west roots: both trust O=root A ("), "{told:?}");
}

#[test]
fn bundles_that_share_a_root_are_enough() {
    let told = roots(&[ROOT_A, ROOT_B], &[ROOT_B, ROOT_A], &[]);
    assert!(told[0].starts_with("pass"), "the order says nothing: {told:?}");
    // While roots are changed each side trusts both and signs with one of them.
    let (east, west) = (cacerts(ROOT_A, ROOT_A), cacerts(ROOT_B, ROOT_B));
    let bundled = [("east", "cacerts.yaml", &*east), ("west", "cacerts.yaml", &*west)];
    let told = roots(&[ROOT_A, ROOT_B], &[ROOT_A, ROOT_B], &bundled);
    assert!(told[0].starts_with("pass east, west roots"), "{told:?}");
}

#[test]
fn an_intermediate_of_another_root_is_not_trusted_elsewhere() {
    let (east, west) = (cacerts(OF_C, ROOT_A), cacerts(ROOT_A, ROOT_A));
    let plugged = [("east", "cacerts.yaml", &*east), ("west", "cacerts.yaml", &*west)];
    let told = roots(&[ROOT_A], &[ROOT_A], &plugged);
    assert!(told[0].starts_with("fail east, west roots") && told[0].contains("root C"), "{told:?}");
    let right = cacerts(OF_C, ROOT_C);
    let plugged = [("east", "cacerts.yaml", &*right), ("west", "cacerts.yaml", &*right)];
    assert!(roots(&[ROOT_C], &[ROOT_C], &plugged)[0].starts_with("pass"));
}

#[test]
fn clusters_without_cacerts_made_roots_of_their_own() {
    let both = [("east", "secrets.yaml", SECRETS), ("west", "secrets.yaml", SECRETS)];
    let told = roots(&[ROOT_A], &[ROOT_B], &both);
    assert!(told[0].contains(": neither has a Secret cacerts, so each istiod made a root of its own ["), "{told:?}");
    let told = roots(&[ROOT_A], &[ROOT_B], &both[..1]);
    assert!(told[0].contains(": east has no Secret cacerts, so its istiod made a root of its own ["), "{told:?}");
    assert!(roots(&[ROOT_A], &[ROOT_A], &both)[0].starts_with("pass"), "one root, however it came there");
}

#[test]
fn a_root_that_was_not_saved_is_not_a_wrong_one() {
    let (east, west) = (handed(&[ROOT_A]), seen("2026-03-01T00:00:00Z"));
    let told = asked(&ROOTS, &[("east", "roots.yaml", &east), ("west", "pods.yaml", &west)]);
    assert_eq!(told, ["cannot tell east, west roots: the root of west is not shown"]);
    assert_eq!(asked(&ROOTS, &[("east", "roots.yaml", &east)]), [""; 0], "one cluster has nobody to trust");
}

#[test]
fn a_plugged_in_ca_that_istiod_did_not_take_up_is_warned_of() {
    let plugged = cacerts(ROOT_B, ROOT_B);
    let told = roots(&[ROOT_A], &[ROOT_A], &[("east", "cacerts.yaml", &plugged)]);
    assert!(told[0].starts_with("pass east, west roots"), "what workloads are given counts: {told:?}");
    assert!(told[1].starts_with("warn east Secret cacerts: workloads are given O=root A SHA-256 "), "{told:?}");
    assert_eq!(told.len(), 2);
}

#[test]
fn a_proxy_has_to_hold_the_root_that_is_handed_out() {
    let with = |held: &str, handed: &[&str]| {
        let dump = proxy(held, held);
        roots(handed, handed, &[("east", PROXY, &dump)]).remove(1)
    };
    let wrong = with(ROOT_B, &[ROOT_A]);
    assert!(
        wrong.starts_with("fail east proxy web-1.shop: it holds another root than east hands out: O=root B"),
        "{wrong}"
    );
    assert!(wrong.ends_with("[root-of-trust-mismatch: east proxy web-1.shop]"), "{wrong}");
    assert_eq!(with(ROOT_A, &[ROOT_A]), "pass east proxies: 1 proxy holds the root that is handed out");
    assert!(with(ROOT_B, &[ROOT_A, ROOT_B]).starts_with("pass"), "one of a bundle");
}

#[test]
fn a_certificate_that_does_not_lead_to_the_root_is_told_by_its_issuer() {
    let with = |root: &str| {
        let dump = proxy(OF_C, root);
        roots(&[root], &[root], &[("east", PROXY, &dump)]).remove(1)
    };
    assert!(
        with(ROOT_A)
            .contains("its certificate does not lead to the root that east hands out: it names the issuer O=root C"),
        "{}",
        with(ROOT_A)
    );
    assert!(with(ROOT_C).starts_with("pass"));
}

#[test]
fn a_namespace_with_another_root_fails_only_where_workloads_use_it() {
    let other = handed_in("shop", &[ROOT_B]);
    let told = roots(&[ROOT_A], &[ROOT_A], &[("east", "shop.yaml", &other)]);
    assert!(told[1].starts_with("warn east ConfigMap istio-ca-root-cert of shop: it holds O=root B"), "{told:?}");
    let pod = seen("2026-03-01T00:00:00Z");
    let told = roots(&[ROOT_A], &[ROOT_A], &[("east", "shop.yaml", &other), ("east", "pods.yaml", &pod)]);
    assert!(told[1].starts_with("fail east") && told[1].ends_with("[root-of-trust-mismatch: east namespace shop]"));
    let same = handed_in("shop", &[ROOT_A]);
    assert_eq!(roots(&[ROOT_A], &[ROOT_A], &[("east", "shop.yaml", &same), ("east", "pods.yaml", &pod)]).len(), 1);
}

#[test]
fn a_signing_certificate_is_over_by_the_newest_time_known() {
    let (root, plugged) = (handed(&[ROOT_C]), cacerts(OF_C, ROOT_C));
    let at = |time: &str| {
        let pod = seen(time);
        asked(&VALIDITY, &[("east", "r.yaml", &root), ("east", "cacerts.yaml", &plugged), ("east", "pods.yaml", &pod)])
    };
    assert_eq!(
        at("2026-06-01T08:00:00Z"),
        ["fail east Secret istio-system/cacerts ca-cert.pem: O=intermediate of C ended at 2026-06-01T00:00:00Z \
             [ca-cert-expired: east]"]
    );
    assert_eq!(
        at("2026-05-20T08:00:00Z"),
        ["warn east Secret istio-system/cacerts ca-cert.pem: it ends at 2026-06-01T00:00:00Z"]
    );
    assert_eq!(at("2026-03-01T08:00:00Z"), ["pass east CA and roots: valid until 2026-06-01T00:00:00Z"]);
    let told = asked(&VALIDITY, &[("east", "r.yaml", &root), ("east", "cacerts.yaml", &plugged)]);
    assert_eq!(
        told,
        [
            "cannot tell east CA and roots: nothing tells when the state was saved; the first of them ends at 2026-06-01T00:00:00Z"
        ]
    );
}

#[test]
fn of_several_roots_one_that_is_valid_is_enough() {
    let at = |roots: &[&str]| {
        let (root, pod) = (handed(roots), seen("2026-06-01T08:00:00Z"));
        asked(&VALIDITY, &[("east", "r.yaml", &root), ("east", "pods.yaml", &pod)])
    };
    assert!(at(&[OF_C])[0].starts_with("fail east"), "{:?}", at(&[OF_C]));
    let told = at(&[OF_C, ROOT_C]);
    assert!(told[0].starts_with("warn east") && told.len() == 1, "{told:?}");
}

#[test]
fn a_workload_whose_certificate_is_over_is_named() {
    let at = |time: &str| {
        let (dump, pod) = (proxy(OF_C, ROOT_C), seen(time));
        asked(&VALIDITY, &[("east", PROXY, &dump), ("east", "pods.yaml", &pod)]).pop()
    };
    assert_eq!(
        at("2026-06-01T08:00:00Z").as_deref(),
        Some(
            "fail east proxy shop/web-1: certificate default ended at 2026-06-01T00:00:00Z \
             [workload-cert-expired: shop/web-1]"
        )
    );
    assert_eq!(at("2026-05-31T23:00:00Z").as_deref(), Some("pass east workload certificates: 1 valid"));
}

/// What is said where each cluster has these lines of mesh config.
fn domains(east: &str, west: &str) -> Vec<String> {
    let config = |lines: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |-\n    \
             rootNamespace: istio-system\n    {lines}\n"
        )
    };
    asked(&DOMAINS, &[("east", "istio.yaml", &config(east)), ("west", "istio.yaml", &config(west))])
}

#[test]
fn trust_domains_that_differ_have_to_be_aliases_of_each_other() {
    let east = "trustDomain: east.example\n    trustDomainAliases: [west.example]";
    let west = "trustDomain: west.example\n    trustDomainAliases: [east.example]";
    assert_eq!(
        domains("trustDomain: east.example", "trustDomain: west.example"),
        [
            "fail east, west trust domains: east is east.example, west is west.example, and neither lists the other's as an \
             alias [trust-domain-mismatch: east.example and west.example]"
        ]
    );
    assert_eq!(
        domains(east, west),
        ["pass east, west trust domains: east.example and west.example are aliases of each other"]
    );
    let one_sided = domains(east, "trustDomain: west.example");
    assert!(one_sided[0].starts_with("fail") && one_sided[0].contains("only one lists the other's as an alias"));
}

#[test]
fn a_trust_domain_that_is_not_set_is_the_default_one() {
    let told = domains("trustDomain: cluster.local", "enableAutoMtls: true");
    assert_eq!(told, ["pass east, west trust domains: both are cluster.local"]);
}
