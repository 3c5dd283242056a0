//! What is secret goes in by every door, and comes out by none.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::common::{base64, meshwhy, meshwhy_reading};

/// The body of a private key: no key at all, but where it turns up, a real one would.
pub const KEY: &str = "MIIEpAIBAAKCAQEAzVq3nWmE8PzHn0fQd2bVYxT4uR7sLkJhGfDsApOiUyTrEwQmNbVcXzLk";
/// The claims and the signature of a token.
const CLAIMS: &str = r#"{"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:istio-system:istio-reader-service-account","exp":4102444800}"#;
pub const SIGNATURE: &str = "c2lnbmF0dXJlLW9mLWEtdG9rZW4tdGhhdC1tdXN0LW5vdC1iZS1zZWVu";
/// A password in a URL.
pub const PASSWORD: &str = "correct-horse-battery";

pub fn token() -> String {
    let header = base64(br#"{"alg":"RS256","kid":"k1"}"#).replace('=', "");
    format!("{header}.{}.{SIGNATURE}", base64(CLAIMS.as_bytes()).replace('=', ""))
}

pub fn pem() -> String {
    format!("-----BEGIN RSA PRIVATE KEY-----\n{KEY}\n-----END RSA PRIVATE KEY-----\n")
}

/// A kubeconfig whose server is `server`.
fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: west\n  cluster:\n    server: {server}\n    proxy-url: http://me:{PASSWORD}@proxy:3128\n\
         contexts:\n- name: west\n  context: {{cluster: west, user: west}}\ncurrent-context: west\nusers:\n- name: west\n  user:\n    \
         token: {}\n    client-key-data: {}\n    password: {PASSWORD}\n",
        token(),
        base64(pem().as_bytes()),
    )
}

fn remote_secret(kubeconfig: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: istio-remote-secret-west\n  namespace: istio-system\n  labels:\n    istio/multiCluster: \"true\"\n\
         \x20 annotations:\n    kubectl.kubernetes.io/last-applied-configuration: '{{\"token\":\"{}\"}}'\ndata:\n  west: {}\n",
        token(),
        base64(kubeconfig.as_bytes()),
    )
}

/// Files in which secrets lie, as people save them; some are broken, so that errors speak.
pub fn doors() -> Vec<(&'static str, String)> {
    let good = remote_secret(&kubeconfig(&format!("https://admin:{PASSWORD}@127.0.0.1:6443")));
    let unreadable = remote_secret(&format!("users: [{{token: {}\nclient-key-data: |\n{}", token(), pem()));
    let cacerts = format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{{\"name\":\"cacerts\",\"namespace\":\"istio-system\"}},\"data\":{{\"ca-key.pem\":\"{}\",\"ca-cert.pem\":\"{}\",\"token\":\"{}\"}}}}",
        base64(pem().as_bytes()),
        base64(pem().as_bytes()),
        base64(token().as_bytes()),
    );
    let plain = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: cacerts, namespace: istio-system}}\nstringData:\n  ca-key.pem: |\n{}\n  token: {}\n",
        pem().lines().map(|line| format!("    {line}\n")).collect::<String>(),
        token(),
    );
    let dump = format!(
        "{{\"configs\":[{{\"@type\":\"type.googleapis.com/envoy.admin.v3.SecretsConfigDump\",\"dynamic_active_secrets\":[{{\"name\":\"default\",\"secret\":{{\"@type\":\"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret\",\"name\":\"default\",\"tls_certificate\":{{\"certificate_chain\":{{\"inline_bytes\":\"{}\"}},\"private_key\":{{\"inline_bytes\":\"{}\"}}}}}}}}]}}]}}",
        base64(pem().as_bytes()),
        base64(pem().as_bytes()),
    );
    let transcript = format!(
        "$ kubectl get secret -n istio-system istio-remote-secret-west -o yaml\n{good}$ cat ca-key.pem\n{}$ curl -H 'Authorization: Bearer {}' https://127.0.0.1:6443/api\ncurl: (7) Failed to connect to 127.0.0.1 port 6443: Connection refused\n",
        pem(),
        token(),
    );
    let log = format!(
        "2026-03-01T09:00:00.000000Z\terror\twatch error in cluster west: failed to list *v1.Pod: Get \"https://admin:{PASSWORD}@10.0.0.9:6443/api/v1/pods?token={}\": dial tcp 10.0.0.9:6443: i/o timeout\n\
         2026-03-01T09:00:01.000000Z\terror\tFailed to add remote cluster from secret istio-system/x: Authorization: Bearer {}\n",
        token(),
        token(),
    );
    let half = good[..good.len() - 200].to_string();
    vec![
        ("east/secret.yaml", good),
        ("east/unreadable.yaml", unreadable),
        ("east/half.yaml", half),
        ("east/cacerts.json", cacerts),
        ("east/plain.yaml", plain),
        ("east/key.pem", pem()),
        ("east/proxies/shop/cart-1/config_dump.json", dump),
        ("east/session.txt", transcript),
        ("east/istio-system/istiod-1/discovery.log", log),
    ]
}

/// Fails where a piece of a secret stands in what came out.
fn assert_silent(what: &str, output: &std::process::Output) {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    // A wrapped text is one text.
    let text: String = text.split_whitespace().collect();
    let token = token();
    let claims = token.split('.').nth(1).expect("a token has claims").to_string();
    let keys = [KEY.to_string(), base64(pem().as_bytes()), base64(base64(pem().as_bytes()).as_bytes())];
    let others = [claims, SIGNATURE.to_string(), PASSWORD.to_string(), base64(token.as_bytes())];
    for secret in keys.iter().chain(&others) {
        // Its begin may be a header that every key shares; what follows is secret piece by piece.
        let bytes = secret.as_bytes();
        let from = if bytes.starts_with(b"LS0t") { 48 } else { 0 };
        for piece in bytes[from..].windows(20.min(bytes.len() - from)).step_by(5) {
            let piece = std::str::from_utf8(piece).expect("secrets here are ASCII");
            assert!(!text.contains(piece), "{what} lets out {piece:?} of a secret:\n{text}");
        }
    }
}

const RUNS: [&[&str]; 9] = [
    &["replay", "."],
    &["replay", "--no-scan", "--output", "ndjson", "--events", "."],
    &["check", "."],
    &["check", "--precheck", "--quiet", "."],
    &["check", "--output", "ndjson", "."],
    &["check", "--output", "junit", "."],
    &["trace", "cart.shop", "prices.shop:80", "."],
    &["trace", "--output", "ndjson", "cart.shop", "prices.shop:80", "."],
    &["trace", "--output", "junit", "cart.shop", "prices.shop:80", "."],
];

fn write(dir: &Path, files: &[(&str, String)]) {
    for (name, text) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("folders can be made");
        fs::write(path, text).expect("files can be written");
    }
}

#[test]
fn no_secret_comes_out_of_any_command_in_any_format() {
    let together = TempDir::new().expect("a folder");
    write(together.path(), &doors());
    for args in RUNS {
        let output = meshwhy().current_dir(together.path()).args(args).output().expect("the program starts");
        assert_silent(&args.join(" "), &output);
        assert!(!output.stdout.is_empty() || output.status.code() == Some(2), "{args:?} says something");
    }
    for (name, text) in doors() {
        let alone = TempDir::new().expect("a folder");
        write(alone.path(), &[(name, text.clone())]);
        for args in RUNS {
            let output = meshwhy().current_dir(alone.path()).args(args).output().expect("the program starts");
            assert_silent(&format!("{} with {name}", args.join(" ")), &output);
        }
        for args in [["replay", "-"], ["check", "-"]] {
            assert_silent(&format!("{args:?} reading {name}"), &meshwhy_reading(text.as_bytes(), &args));
        }
        let line = text.lines().find(|line| line.len() > 80).unwrap_or(&text).to_string();
        let output = meshwhy().args(["explain", "--line", &line]).output().expect("the program starts");
        assert_silent(&format!("explain --line of {name}"), &output);
    }
}
