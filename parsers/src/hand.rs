//! What people's own commands print: nc, curl, grpcurl, ping, openssl, ss, iptables, sysctl, tcpdump, and the sentences of
//! istioctl.
//!
//! Lines that speak for themselves are signatures; [`answer`] reads those that only the command above them explains.

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, tag_no_case, take_until, take_while1};
use nom::character::complete::{char, multispace0, space1, u16, u32};
use nom::combinator::{opt, rest};
use nom::multi::many_m_n;
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

use crate::command;
use crate::errors::{Fault, What, fault};
use crate::event::{Addr, Config, ConfigWhat, Dns, Fact, Line, Network, Text, Trust};
use crate::kube::folded;
use crate::origin::is_generic;
use crate::signature::{Said, Signature, refuse};
use crate::state::{Call, State};
use crate::table::NETWORK_LABEL;

/// The known lines.
pub static SIGNATURES: &[Signature] = &[
    Signature {
        name: "envoy-error-body",
        printed_by: "envoyproxy/envoy: source/common/router/router.cc, source/extensions/filters/http/rbac/",
        versions: "all",
        meaning: "The body that Envoy itself answers with; a client or a user interface shows it.",
        points_to: &["upstream-not-listening", "root-of-trust-mismatch", "no-healthy-upstream", "authz-denied"],
        examples: &[
            "upstream connect error or disconnect/reset before headers. reset reason: overflow",
            "  Message: upstream connect error or disconnect/reset before headers. retried and the latest reset reason: remote connection failure, transport failure reason: delayed connect error: Connection refused",
            "RBAC: access denied",
            "no healthy upstream",
            "Jwt issuer is not configured",
        ],
        read: envoy_body,
    },
    Signature {
        name: "probe-connected",
        printed_by: "nc of OpenBSD, nmap's ncat, busybox",
        versions: "all",
        meaning: "A TCP connection by hand was accepted.",
        points_to: &["crossnetwork-port-blocked"],
        examples: &[
            "Connection to 192.0.2.44 15021 port [tcp/*] succeeded!",
            "Ncat: Connected to 192.0.2.44:15443.",
            "gateway.example.org (192.0.2.44:15443) open",
            "* Connected to gateway.example.org (192.0.2.44) port 15443 (#0)",
        ],
        read: probe_connected,
    },
    Signature {
        name: "probe-failed",
        printed_by: "nc of OpenBSD, macOS and busybox; curl -v",
        versions: "all",
        meaning: "A TCP connection by hand failed.",
        points_to: &["crossnetwork-port-blocked", "eastwest-gateway-down", "pod-ip-unreachable"],
        examples: &[
            "nc: connect to 192.0.2.44 port 15443 (tcp) timed out: Operation now in progress",
            "nc: connect to 192.0.2.44 port 15443 (tcp) failed: Connection refused",
            "nc: connectx to 192.0.2.44 port 15443 (tcp) failed: Operation timed out",
            "nc: 192.0.2.44 (192.0.2.44:15443): Connection timed out",
            "* connect to 192.0.2.44 port 15443 from 10.0.0.4 port 51842 failed: Connection timed out",
        ],
        read: probe_failed,
    },
    Signature {
        name: "name-unresolved",
        printed_by: "curl, nslookup, ping, wget; Node and Java programs",
        versions: "all",
        meaning: "A name did not resolve where a tool or a program asked for it.",
        points_to: &["dns-failure", "istiod-remote-missing"],
        examples: &[
            "curl: (6) Could not resolve host: cart.shop.global",
            "** server can't find cart.shop.svc.cluster.local: NXDOMAIN",
            ";; connection timed out; no servers could be reached",
            "wget: bad address 'cart.shop'",
            "Error: getaddrinfo ENOTFOUND cart.shop",
        ],
        read: name_unresolved,
    },
    Signature {
        name: "curl-failed",
        printed_by: "curl/curl: lib/connect.c, lib/vtls/",
        versions: "all",
        meaning: "A call by hand got no answer.",
        points_to: &["upstream-not-listening", "dns-failure", "plaintext-to-mtls-strict"],
        examples: &[
            "curl: (7) Failed to connect to cart.shop port 9080 after 2 ms: Connection refused",
            "curl: (28) Failed to connect to 10.9.0.4 port 8080 after 5001 ms: Timeout was reached",
            "curl: (56) Recv failure: Connection reset by peer",
            "* OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection to gateway.example.org:443",
        ],
        read: curl_failed,
    },
    Signature {
        name: "mysql-no-greeting",
        printed_by: "mysql/mysql-server: sql-common/client.cc",
        versions: "all",
        meaning: "A MySQL client connected and got no greeting: the server speaks first in this protocol.",
        points_to: &["protocol-mismatch", "plaintext-to-mtls-strict"],
        examples: &[
            "ERROR 2013 (HY000): Lost connection to MySQL server at 'reading initial communication packet', system error: 0",
            "ERROR 2013 (HY000): Lost connection to server at 'handshake: reading initial communication packet', system error: 11",
        ],
        read: no_greeting,
    },
    Signature {
        name: "answer-header",
        printed_by: "curl -v, curl -i",
        versions: "all",
        meaning: "A header of an answer that tells Envoy's own answers from the application's.",
        points_to: &["no-route"],
        examples: &["< server: istio-envoy", "x-envoy-upstream-service-time: 12"],
        read: answer_header,
    },
    Signature {
        name: "curl-remark",
        printed_by: "curl/curl: lib/",
        versions: "all",
        meaning: "What curl says while it works.",
        points_to: &[],
        examples: &[
            "*   Trying 192.0.2.44:443...",
            "> GET /hello HTTP/1.1",
            "* TLSv1.3 (OUT), TLS handshake, Client hello (1):",
        ],
        read: curl_remark,
    },
    Signature {
        name: "http-status",
        printed_by: "curl -v, curl -i",
        versions: "all",
        meaning: "The status a call by hand was answered with.",
        points_to: &["no-healthy-upstream", "authz-denied"],
        examples: &["< HTTP/1.1 503 Service Unavailable", "HTTP/2 200"],
        read: http_status,
    },
    Signature {
        name: "hello-answer",
        printed_by: "istio/istio: samples/helloworld/src/app.py",
        versions: "all",
        meaning: "The sample service says which version and instance answered.",
        points_to: &["locality-lb"],
        examples: &["Hello version: v2, instance: helloworld-v2-5866f57dd6-tkz2g"],
        read: hello,
    },
    Signature {
        name: "listening-socket",
        printed_by: "iproute2: misc/ss.c; net-tools: netstat",
        versions: "all",
        meaning: "A process listens on this address.",
        points_to: &["upstream-not-listening"],
        examples: &[
            "tcp   LISTEN 0      2048         0.0.0.0:8001       0.0.0.0:*",
            "LISTEN 0      128        127.0.0.1:8080       0.0.0.0:*    users:((\"app\",pid=7,fd=3))",
            "tcp        0      0 127.0.0.1:8080          0.0.0.0:*               LISTEN      1/app",
            "tcp6       0      0 :::8080                 :::*                    LISTEN      1/app",
        ],
        read: listening,
    },
    Signature {
        name: "proxy-endpoint-row",
        printed_by: "istio/istio: istioctl/pkg/writer/envoy/clusters/",
        versions: "all",
        meaning: "An endpoint a proxy holds, from a table whose header was cut off.",
        points_to: &["network-label-wrong", "no-healthy-upstream", "outlier-ejected"],
        examples: &["10.9.2.14:5000     HEALTHY     OK     outbound|5000||helloworld.sample.svc.cluster.local"],
        read: proxy_endpoint,
    },
    Signature {
        name: "ztunnel-workload-row",
        printed_by: "istio/istio: istioctl/pkg/writer/ztunnel/configdump/workload.go",
        versions: "1.22+",
        meaning: "A workload ztunnel holds, from a table whose header was cut off.",
        points_to: &["endpoint-address-wrong"],
        examples: &["shop      cart-68c754c4b-gmz2p      10.9.1.41   worker-0.example.org None     HBONE"],
        read: ztunnel_workload,
    },
    Signature {
        name: "webhook-config-row",
        printed_by: "kubernetes/kubernetes: pkg/printers/internalversion/printers.go",
        versions: "all",
        meaning: "An injection webhook configuration, from a table whose header was cut off.",
        points_to: &["webhook-stale"],
        examples: &["istio-sidecar-injector-1-20   4   5m29s"],
        read: webhook_config,
    },
    Signature {
        name: "create-remote-secret-failed",
        printed_by: "istio/istio: istioctl/pkg/multicluster/remote_secret.go",
        versions: "all",
        meaning: "istioctl could not make a remote secret.",
        points_to: &["remote-secret-missing"],
        examples: &[
            "error: could not get access token to read resources from local kube-apiserver: no secret found in the service account: {...}",
            "Error: could not get access token to read resources from local kube-apiserver: wait for secret \"istio-reader-service-account-token\" to be populated with token timed out",
        ],
        read: remote_secret_failed,
    },
    Signature {
        name: "analyze-message",
        printed_by: "istio/istio: pkg/config/analysis/diag/",
        versions: "all",
        meaning: "A finding of `istioctl analyze` or `istioctl x precheck`.",
        points_to: &["config-invalid", "service-differs"],
        examples: &[
            "Error [IST0101] (VirtualService shop/cart) Referenced host not found: \"cart-v2\"",
            "Warning [IST0171] [cluster-west] (Gateway shop/front) A condition with a negative status is present: type=Programmed, reason=Pending, message=Waiting for an address.",
            "Warning [IST0170] (Service shop/cart) The service cart in namespace \"shop\" is inconsistent across clusters \"north,south\"",
        ],
        read: analyze,
    },
    Signature {
        name: "analyze-clean",
        printed_by: "istio/istio: istioctl/pkg/analyze/, istioctl/pkg/precheck/",
        versions: "all",
        meaning: "istioctl found nothing to say, or a proxy in step.",
        points_to: &[],
        examples: &[
            "✔ No validation issues found when analyzing namespace: shop.",
            "Clusters Match",
            "Routes Match (RDS last loaded at Tue, 03 Jun 2025 10:00:00 UTC)",
        ],
        read: analyze_clean,
    },
    Signature {
        name: "root-digest",
        printed_by: "a vendor's `istioctl multicluster check`",
        versions: "all",
        meaning: "The SHA-256 sum of a cluster's root certificate.",
        points_to: &["root-of-trust-mismatch"],
        examples: &[
            "ℹ Intermediate Certs Compatibility Check: cluster north root certificate SHA256 sum: 1f0c6a7be21a40cf7b7f3c86a10ce4e0b8d2c43a97f15e0a6d85f04b1c2d9e33",
        ],
        read: root_digest,
    },
    Signature {
        name: "roots-compared",
        printed_by: "istio/istio: istioctl/pkg/proxyconfig/proxyconfig.go",
        versions: "1.14+",
        meaning: "Whether two proxies hold the same root.",
        points_to: &["root-of-trust-mismatch"],
        examples: &[
            "Both [web-1.shop] and [cart-1.shop] have the non identical ROOTCA, theoretically the connectivity between them is unavailable",
        ],
        read: roots_compared,
    },
    Signature {
        name: "root-files-compared",
        printed_by: "GNU diffutils: diff -q, diff -s, cmp",
        versions: "all",
        meaning: "Whether two files of root certificates are the same.",
        points_to: &["root-of-trust-mismatch"],
        examples: &[
            "Files east/root-cert.pem and west/root-cert.pem differ",
            "Files root-cert-east.pem and root-cert-west.pem are identical",
            "root-east.pem root-west.pem differ: byte 412, line 8",
        ],
        read: root_files_compared,
    },
    Signature {
        name: "install-wait-failed",
        printed_by: "istio/istio: operator/pkg/install/wait.go, istioctl install; helm",
        versions: "all",
        meaning: "An installation waited in vain for a Deployment to get ready.",
        points_to: &["istiod-down", "eastwest-gateway-down"],
        examples: &[
            "✘ Istiod encountered an error: failed to wait for resource: resources not ready after 5m0s: context deadline exceeded Deployment/istio-system/istiod (container failed to start: CrashLoopBackOff: back-off 5m0s restarting failed container)",
            "  Deployment/istio-system/istio-eastwestgateway (containers with unready status: [istio-proxy])",
        ],
        read: install_wait_failed,
    },
    Signature {
        name: "check-verdict",
        printed_by: "a vendor's `istioctl multicluster check`; `linkerd`-style check marks of other tools",
        versions: "all",
        meaning: "A check of another tool and how it ended.",
        points_to: &[],
        examples: &[
            "❌ Intermediate Certs Compatibility Check: cluster north does not fit cluster south",
            "✅ License Check: license is valid",
        ],
        read: check,
    },
    Signature {
        name: "traffic-policy",
        printed_by: "kubectl -o jsonpath='{.spec.trafficPolicy}' or -o json of a DestinationRule",
        versions: "all",
        meaning: "A DestinationRule's load balancing and outlier detection.",
        points_to: &["locality-lb"],
        examples: &[
            "{\"loadBalancer\":{\"localityLbSetting\":{\"enabled\":true}},\"outlierDetection\":{\"consecutive5xxErrors\":3,\"interval\":\"10s\"}}",
        ],
        read: traffic_policy,
    },
    Signature {
        name: "packet-filter-drop",
        printed_by: "iptables-save, iptables -L, nft list ruleset",
        versions: "all",
        meaning: "A rule of a node that drops or rejects packets.",
        points_to: &["node-network-broken", "conntrack-problem", "networkpolicy-blocked"],
        examples: &[
            "4    DROP         all  --  anywhere             anywhere            /* cali:f5 */ mark match 0x40000/0x40000 rpfilter validmark invert",
            "[812:48720] -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
            "Chain PREROUTING (1 references) pkts bytes target prot opt in out source destination 412 29664 DROP all -- * * 0.0.0.0/0 0.0.0.0/0 rpfilter validmark invert",
            "-A cali-tw-cali1 -m comment --comment \"Drop if no policies passed packet\" -j DROP",
        ],
        read: packet_filter,
    },
    Signature {
        name: "network-plugin-drop",
        printed_by: "cilium/cilium: pkg/hubble, pkg/monitor; projectcalico/calico: flow logs",
        versions: "all",
        meaning: "The network plugin dropped a packet and says that a policy asked for it.",
        points_to: &["networkpolicy-blocked", "hbone-blocked"],
        examples: &[
            "Mar  2 07:50:03.021: shop/web-58c4d:40112 (ID:11024) <> shop/cart-6d7f9:9080 (ID:20311) Policy denied DROPPED (TCP Flags: SYN)",
            "xx drop (Policy denied) flow 0x21b to endpoint 1904, ifindex 31, identity 11024->20311: 10.9.0.4:40112 -> 10.9.2.17:9080 tcp SYN",
        ],
        read: plugin_drop,
    },
    Signature {
        name: "kernel-setting",
        printed_by: "sysctl",
        versions: "all",
        meaning: "A kernel setting or counter.",
        points_to: &["conntrack-problem", "node-network-broken"],
        examples: &["net.netfilter.nf_conntrack_count = 262144"],
        read: kernel_setting,
    },
    Signature {
        name: "packet-too-big",
        printed_by: "iputils: ping/ping.c, tracepath",
        versions: "all",
        meaning: "The path carries smaller packets than the sender made.",
        points_to: &["mtu-blackhole"],
        examples: &[
            "From 10.9.0.1 icmp_seq=1 Frag needed and DF set (mtu = 1420)",
            "ping: local error: message too long, mtu=1450",
        ],
        read: too_big,
    },
    Signature {
        name: "tool-version",
        printed_by: "istio/istio: pkg/version/cobra.go; kubectl version",
        versions: "all",
        meaning: "Versions of istioctl, control plane, proxies or Kubernetes.",
        points_to: &["version-skew"],
        examples: &[
            "control plane version: 1.27.1",
            "data plane version: 1.27.1 (4 proxies), 1.24.0 (1 proxies)",
            "Server Version: v1.31.2",
            "Client Version: version.Info{Major:\"1\", Minor:\"25\", GitVersion:\"v1.25.0\", GitCommit:\"a866cbe2e5bbaa01cfd5e969aa3e033f3282a8a2\"}",
            "pilot version: version.BuildInfo{Version:\"1.27.1\", GitRevision:\"8e5e\", GolangVersion:\"\", BuildStatus:\"Clean\", GitTag:\"1.27.1\"}",
            "&version.MeshInfo{version.ServerInfo{Component:\"pilot\", Revision:\"default\", Info:version.BuildInfo{Version:\"1.27.1\", GitRevision:\"8e5e\", GolangVersion:\"\", BuildStatus:\"Clean\", GitTag:\"\"}}}",
            "Revision default: Versions {1.27.1, 1.26.4}",
        ],
        read: tool_version,
    },
    Signature {
        name: "packet-seen",
        printed_by: "tcpdump",
        versions: "all",
        meaning: "A packet on the wire.",
        points_to: &["node-network-broken"],
        examples: &[
            "01:30:01.942451 IP 10.9.11.13.53562 > 10.96.0.10.53: 9568+ A? istiod.istio-system.svc.cluster.local. (72)",
        ],
        read: packet,
    },
    Signature {
        name: "command-line",
        printed_by: "a shell",
        versions: "all",
        meaning: "The prompt and the command whose output follows, or a remark of whoever saved it.",
        points_to: &[],
        examples: &[
            "$ kubectl get pods -n istio-system",
            "# from a node of north",
            "ERROR:",
            "  Code: Unavailable",
            "...",
        ],
        read: prompt,
    },
];

/// Reads a line that only the command above it explains.
pub fn answer(line: &Line) -> Option<Fact> {
    let ran = line.command.as_deref()?;
    let text = line.text.trim();
    if text.is_empty() || line.header.is_some() {
        return None;
    }
    if let Some(what) = text.strip_prefix("No resources found") {
        let namespace = what.strip_prefix(" in ").and_then(|tail| tail.split_once(" namespace")).map(|(name, _)| name);
        let namespace = namespace.or(command::namespace(ran)).unwrap_or("");
        return Some(state(State::Missing {
            kind: asked_kind(ran).into(),
            namespace: namespace.into(),
            name: asked_for(ran).into(),
        }));
    }
    if ran.contains("networkz") {
        return networks(text);
    }
    if let Some(endpoint) = listed_endpoint(ran, text).or_else(|| proxy_row(ran, text)) {
        return Some(endpoint);
    }
    if let Some(digest) = digest(text) {
        // `sha256sum` and `md5sum` name the file behind the sum; `-` is what came through a pipe.
        let file = text.split_whitespace().nth(1).map(|file| file.trim_start_matches('*')).filter(|file| *file != "-");
        return (speaks_of_root(ran) || file.is_some_and(speaks_of_root)).then(|| {
            let context = command::context(ran);
            let looped = context.and_then(|variable| command::looped(ran, variable)).map(Text::from);
            let named = file.filter(|_| context.is_none()).map(|file| cluster_of_file(file).into());
            let cluster = looped.or(named).unwrap_or_else(|| line.origin.cluster.clone());
            Fact::Trust(Trust::RootDigest { cluster, digest: digest.into() })
        });
    }
    if let Some(compared) = roots_diffed(ran, text) {
        return Some(compared);
    }
    if ran.contains("http_code") {
        let code: u32 = text.get(text.len().checked_sub(3)?..)?.parse().ok()?;
        return Some(status(code, text));
    }
    let asks_network = ran.replace('\\', "").contains(NETWORK_LABEL) && ran.contains("jsonpath");
    if asks_network && (ran.contains(" ns ") || ran.contains(" namespace ")) && !text.contains(char::is_whitespace) {
        let namespace = asked_for(ran);
        return Some(state(State::NamespaceNetwork {
            namespace: namespace.into(),
            network: text.into(),
            labels: "".into(),
        }));
    }
    dialled(ran, text)
}

/// Who called whom, as the command above the answer tells.
pub fn of_call(fact: Fact, command: Option<&str>) -> Fact {
    let Fact::State(mut state) = fact else { return fact };
    if let (State::Answered { call, .. } | State::CallFailed { call, .. }, Some(command)) = (&mut *state, command) {
        let exec = command::exec(command).unwrap_or_default();
        *call = Call {
            namespace: exec.namespace.into(),
            from: exec.pod.into(),
            container: exec.container.into(),
            to: command::called(command).unwrap_or("").into(),
        };
    }
    Fact::State(state)
}

fn state(state: State) -> Fact {
    Fact::State(Box::new(state))
}

/// The resource type of `kubectl get <type>`.
fn asked_kind(command: &str) -> &str {
    let mut words = command.split_whitespace().skip_while(|word| !matches!(*word, "get" | "describe"));
    words.next();
    words.find(|word| !word.starts_with('-')).unwrap_or("")
}

/// The name of `kubectl get <type> <name>`, or the label selector of a list.
fn asked_for(command: &str) -> &str {
    if let Some(selector) = command::option(command, &["-l", "--selector"]) {
        return selector;
    }
    let kind = asked_kind(command);
    let mut words = command.split_whitespace().skip_while(|word| *word != kind);
    words.next();
    words.next().filter(|word| !word.starts_with(['-', '|'])).unwrap_or("")
}

/// Networks as `/debug/networkz` lists them, on one line or several.
fn networks(text: &str) -> Option<Fact> {
    if text == "[]" || text == "null" {
        return Some(state(State::NetworkGateway { network: Text::default() }));
    }
    let (_, tail) = text.split_once("\"Network\"").or_else(|| text.split_once("\"network\""))?;
    let network = tail.split('"').nth(1)?;
    Some(state(State::NetworkGateway { network: network.into() }))
}

/// `["10.9.2.17","us-west1",null]`: address, locality, priority, as people pick them out of a JSON answer.
fn listed_endpoint(command: &str, text: &str) -> Option<Fact> {
    let listed: Vec<serde_json::Value> = text.starts_with('[').then(|| serde_json::from_str(text).ok())??;
    let host = listed.first()?.as_str()?;
    host.parse::<std::net::IpAddr>().ok()?;
    let port = listed
        .iter()
        .skip(1)
        .find_map(|value| u16::try_from(value.as_u64()?).ok().filter(|port| *port > 15))
        .unwrap_or(0);
    let priority = listed.iter().skip(1).rev().find_map(|value| match value {
        serde_json::Value::Null => Some(0),
        value => u32::try_from(value.as_u64()?).ok().filter(|priority| *priority <= 15),
    });
    Some(state(State::ProxyEndpoint {
        proxy: command::proxy(command).unwrap_or("").into(),
        addr: Addr { host: host.into(), port },
        status: Text::default(),
        outlier: Text::default(),
        cluster: command::option(command, &["--cluster"]).unwrap_or("").into(),
        priority,
    }))
}

/// A digest alone on its line, with the file name of `sha256sum` and `md5sum`, or behind `Fingerprint=`.
fn digest(text: &str) -> Option<String> {
    let value = match text.split_once("ingerprint=") {
        Some((_, value)) => value.replace(':', ""),
        None => text.split_whitespace().next()?.to_string(),
    };
    let is_hex = value.bytes().all(|c| c.is_ascii_hexdigit());
    (is_hex && matches!(value.len(), 32 | 40 | 64 | 128)).then(|| value.to_ascii_lowercase())
}

/// `Connection refused` and its like without an address: it stands in the command.
fn dialled(command: &str, text: &str) -> Option<Fact> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let tool = words.iter().position(|word| matches!(*word, "nc" | "ncat" | "telnet"))?;
    let mut operands =
        words[tool + 1..].iter().filter(|word| !word.starts_with('-') && !word.starts_with(['|', '>', '&', ';']));
    let port_at = operands.clone().position(|word| word.parse::<u16>().is_ok_and(|port| port > 10))?;
    let host = operands.clone().nth(port_at.checked_sub(1)?)?;
    let port: u16 = operands.nth(port_at)?.parse().ok()?;
    let addr = Addr { host: (*host).into(), port };
    let said = ["Ncat: ", "telnet: ", "nc: "].iter().find_map(|tool| text.strip_prefix(tool));
    if text.starts_with("Connected to ") || text.ends_with(" open") {
        return Some(state(State::Probe { addr, fault: None }));
    }
    let reason = said?.rsplit(": ").next()?;
    let failed = dial_fault(reason, &addr);
    (failed.what != What::Other).then(|| state(State::Probe { addr, fault: Some(failed) }))
}

/// A socket's error as tools print it.
fn dial_fault(reason: &str, addr: &Addr) -> Fault {
    let lower = reason.to_ascii_lowercase();
    let what = if lower.contains("timed out") || lower.contains("timeout") {
        What::TimedOut
    } else if lower.contains("refused") || lower.contains("couldn't connect to server") {
        What::Refused
    } else if lower.contains("no route to host") || lower.contains("host is unreachable") {
        What::NoRoute
    } else if lower.contains("network is unreachable") {
        What::NetworkUnreachable
    } else if lower.contains("reset by peer") {
        What::Cut
    } else {
        fault(reason).what
    };
    Fault { what, text: reason.into(), code: None, address: Some(addr.clone()), url: None, by_peer: false }
}

fn failed_call<'a>(fault: Fault) -> IResult<&'a str, Fact> {
    Ok(("", state(State::CallFailed { fault, call: Call::default() })))
}

fn no_greeting<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    match message.contains("Lost connection to ") && message.contains("reading initial communication packet") {
        true => failed_call(Fault { what: What::Cut, ..fault(message) }),
        false => refuse(message),
    }
}

fn envoy_body<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    const UPSTREAM: &str = "upstream connect error or disconnect/reset before headers";
    let text = folded(&said.message);
    // Proxies quote the sentence about their own streams; those lines have rows of their own.
    if said.scope.starts_with("envoy") || said.scope.contains("::") || text.contains("gRPC config") {
        return refuse(&said.message);
    }
    // Clients and their logs put their own words around it.
    if let Some(body) = text.find(UPSTREAM).and_then(|at| text.get(at..)) {
        let body = body.trim_end_matches(['"', '\'', '}', ']', '\\']);
        let reason = body.split_once("reset reason: ").map_or(body, |(_, reason)| reason);
        let mut failed = fault(reason.split_once("transport failure reason: ").map_or(reason, |(_, reason)| reason));
        failed.text = body.into();
        return failed_call(failed);
    }
    // grpcurl prints `ERROR:`, `Code: ...`, `Message: ...`, which may have been joined.
    let is_grpcurl = ["ERROR:", "Code: ", "Message: "].iter().any(|first| text.starts_with(first));
    let body = if is_grpcurl { text.split_once("Message: ").map_or(&*text, |(_, body)| body) } else { &text };
    let whole = body.trim_end_matches(['.', '"']).trim_start_matches('"');
    let plain = [
        "RBAC: access denied",
        "no healthy upstream",
        "stream timeout",
        "upstream request timeout",
        "upstream max stream duration reached",
        "no route matched",
        "fault filter abort",
        "local_rate_limited",
        "Client sent an HTTP request to an HTTPS server",
        "http: server gave HTTP response to HTTPS client",
    ];
    let is_token = whole.len() < 120
        && (["Jwt ", "Jwks "].iter().any(|first| whole.starts_with(first))
            || whole == "Audiences in Jwt are not allowed");
    let is_quoted = whole.len() < 160
        && ["RBAC: access denied", "no healthy upstream", "plain HTTP request was sent to HTTPS port"]
            .iter()
            .any(|known| whole.contains(known));
    if plain.contains(&whole) || is_token || is_quoted && said.scope.is_empty() {
        let mut failed = fault(whole);
        failed.text = body.into();
        return failed_call(failed);
    }
    refuse(&said.message)
}

/// A name that tools and programs could not resolve: nslookup, ping, wget, Go, Node.
fn name_unresolved<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = said.message.trim();
    let (begin, end, what): (&str, &str, fn(Text) -> What) = match () {
        () if text.contains("Could not resolve host: ") => ("Could not resolve host: ", ";", What::NameUnknown),
        () if text.starts_with("** server can't find ") => ("** server can't find ", ":", What::NameUnknown),
        () if text.starts_with(";; connection timed out; no servers could be reached") => {
            (";; ", ";", What::NameLookupFailed)
        }
        () if text.contains("bad address '") => ("bad address '", "'", What::NameUnknown),
        () if text.contains("unknown host ") => ("unknown host ", " ", What::NameUnknown),
        () if text.contains("getaddrinfo ENOTFOUND ") => ("getaddrinfo ENOTFOUND ", " ", What::NameUnknown),
        () if text.contains("getaddrinfo EAI_AGAIN ") => ("getaddrinfo EAI_AGAIN ", " ", What::NameLookupFailed),
        () if text.contains("java.net.UnknownHostException: ") => {
            ("java.net.UnknownHostException: ", ":", What::NameUnknown)
        }
        () => return refuse(text),
    };
    let host = text.split_once(begin).map_or("", |(_, tail)| tail).split(end).next().unwrap_or("");
    let host = if host.contains(' ') { "" } else { host.trim() };
    let fault =
        Fault { what: what(host.into()), text: text.into(), code: None, address: None, url: None, by_peer: false };
    Ok(("", Fact::Dns(Dns { host: host.into(), fault })))
}

/// A host with its port, behind one of the sentences of nc and curl.
fn host_and_port<'a>(input: &'a str, between: &'static str) -> IResult<&'a str, Addr> {
    let (input, host) = is_not(" ").parse(input)?;
    let (input, port) = preceded(tag(between), u16).parse(input)?;
    Ok((input, Addr { host: host.into(), port }))
}

fn probe_connected<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = said.message.trim();
    let connected = |addr| Ok(("", state(State::Probe { addr, fault: None })));
    if let Some(tail) = text.strip_prefix("Connection to ") {
        let (tail, addr) =
            host_and_port(tail, " ").or_else(|_: nom::Err<nom::error::Error<&str>>| host_and_port(tail, " port "))?;
        return if tail.contains("succeeded") { connected(addr) } else { refuse(text) };
    }
    if let Some(tail) = text.strip_prefix("Ncat: Connected to ") {
        return match Addr::parse(tail.trim_end_matches('.')) {
            Some(addr) => connected(addr),
            None => refuse(text),
        };
    }
    if let Some((_, tail)) = text.strip_prefix("* Connected to ").and_then(|tail| tail.split_once('(')) {
        let (host, tail) = tail.split_once(") port ").unwrap_or(("", ""));
        let port = tail.split(' ').next().and_then(|port| port.parse().ok());
        return match port {
            Some(port) => connected(Addr { host: host.into(), port }),
            None => refuse(text),
        };
    }
    let open = text.strip_suffix(" open").and_then(|text| text.strip_suffix(')')?.rsplit_once('('));
    match open.and_then(|(_, addr)| Addr::parse(addr)) {
        Some(addr) => connected(addr),
        None => refuse(text),
    }
}

fn probe_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = said.message.trim();
    let (tail, _) =
        alt((tag("nc: connect to "), tag("nc: connectx to "), tag("* connect to "), tag("nc: "))).parse(text)?;
    if let Ok((tail, addr)) = host_and_port(tail, " port ") {
        let reason = tail.rsplit_once("failed: ").map_or(tail, |(_, reason)| reason);
        let failed = dial_fault(reason, &addr);
        return Ok(("", state(State::Probe { addr, fault: Some(failed) })));
    }
    // busybox: `nc: host (10.0.0.1:80): Connection timed out`
    let addr = tail.split_once('(').and_then(|(_, tail)| tail.split_once("): "));
    match addr.and_then(|(addr, reason)| Some((Addr::parse(addr)?, reason))) {
        Some((addr, reason)) => {
            let failed = dial_fault(reason, &addr);
            Ok(("", state(State::Probe { addr, fault: Some(failed) })))
        }
        None => refuse(text),
    }
}

fn curl_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = said.message.trim();
    if let Some((_, tail)) = text.split_once("SSL_connect: ") {
        let host = tail.split_once("in connection to ").and_then(|(_, host)| Addr::parse(host.trim()));
        let mut failed = fault(tail);
        failed.what =
            if tail.contains("SSL_ERROR_SYSCALL") || tail.contains("reset by peer") { What::Cut } else { failed.what };
        failed.address = host.or(failed.address);
        // The words in front tell a handshake from a call.
        failed.text = text.into();
        return failed_call(failed);
    }
    let (reason, code) = preceded((opt(tag("* ")), tag("curl: (")), terminated(u32, tag(") "))).parse(text)?;
    let to = reason.split_once("Failed to connect to ").and_then(|(_, tail)| host_and_port(tail, " port ").ok());
    let addr = to.map(|(_, addr)| addr);
    let what = match code {
        7 if !reason.contains("timed out") => dial_fault(reason, &Addr { host: Text::default(), port: 0 }).what,
        7 | 28 => What::TimedOut,
        // Empty reply, receive failure.
        52 | 56 | 55 => What::Cut,
        35 if reason.contains("SYSCALL") || reason.contains("reset by peer") => What::Cut,
        _ => fault(reason).what,
    };
    let what = if code == 7 && what == What::Other { What::Refused } else { what };
    failed_call(Fault { what, text: text.into(), code: None, address: addr, url: None, by_peer: false })
}

fn curl_remark<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = &*said.message;
    let starts = [
        "*   Trying ",
        "* TLSv1",
        "* SSL connection using",
        "* ALPN",
        "* Server certificate",
        "*  subject:",
        "*  issuer:",
        "*  start date:",
        "*  expire date:",
        "*  CAfile",
        "* Mark bundle",
        "* Connection #",
        "* Closing connection",
        "* Host ",
        "* IPv",
        "* Using ",
        "* Request completely sent",
        "* Established connection",
        "* Immediate connect fail",
        "* Empty reply from server",
        "> ",
        "< ",
        "{ [",
        "} [",
        "  % Total",
        "  0     0",
        "Trying ",
        "Escape character is",
    ];
    // A status behind `<` is an answer, read by its own row.
    let is_status = text.starts_with("< HTTP/");
    if !is_status && (starts.iter().any(|start| text.starts_with(start)) || matches!(text, ">" | "<" | "*")) {
        return Ok(("", Fact::Known));
    }
    refuse(text)
}

fn status(code: u32, text: &str) -> Fact {
    match code {
        500.. | 0 => state(State::CallFailed {
            fault: Fault { text: text.into(), ..fault(&format!("{code}")) },
            call: Call::default(),
        }),
        _ => state(State::Answered { by: text.into(), call: Call::default() }),
    }
}

fn http_status<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = said.message.trim();
    let (tail, _) = (opt(tag("< ")), tag("HTTP/"), is_not(" "), space1).parse(text)?;
    let (tail, code) = u32(tail)?;
    if !(100..600).contains(&code) || code >= 500 && tail.contains('"') {
        return refuse(text);
    }
    let what = match code {
        503 => What::ServerUnavailable,
        500.. => What::ServerError,
        // Envoy's own answers; an application seldom gives them.
        426 | 431 => What::Status(u16::try_from(code).unwrap_or_default()),
        _ => return Ok(("", state(State::Answered { by: text.into(), call: Call::default() }))),
    };
    failed_call(Fault { what, text: text.into(), code: None, address: None, url: None, by_peer: true })
}

fn answer_header<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = said.message.trim();
    let text = text.strip_prefix("< ").unwrap_or(text);
    let known = text == "server: istio-envoy" || text.starts_with("x-envoy-upstream-service-time: ");
    if known { Ok(("", state(State::Answered { by: text.into(), call: Call::default() }))) } else { refuse(text) }
}

fn hello<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (tail, version) = preceded(tag("Hello version: "), is_not(", ")).parse(said.message.trim())?;
    let (tail, instance) = preceded(tag(", instance: "), rest).parse(tail)?;
    Ok((tail, state(State::Answered { by: format!("{version} {instance}").into(), call: Call::default() })))
}

fn listening<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = said.message.trim();
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_listen = words.iter().any(|word| matches!(*word, "LISTEN" | "LISTENING"));
    let local = match words.as_slice() {
        // netstat: `tcp 0 0 local foreign LISTEN`
        [protocol, _, _, local, ..] if is_listen && protocol.starts_with("tcp") && words.get(1) != Some(&"LISTEN") => {
            local
        }
        // ss with and without the protocol
        ["tcp", "LISTEN", _, _, local, ..] | ["LISTEN", _, _, local, ..] => local,
        _ => return refuse(text),
    };
    match socket(local) {
        Some(addr) => Ok(("", state(State::Listening { addr }))),
        None => refuse(text),
    }
}

/// `0.0.0.0:80`, `[::]:80`, `*:80`, `:::80`, `127.0.0.1%lo:53`.
fn socket(text: &str) -> Option<Addr> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.trim_matches(['[', ']']).split('%').next().unwrap_or("");
    let host = match host {
        "" | "::" => "::",
        host => host,
    };
    Some(Addr { host: host.into(), port: port.parse().ok()? })
}

fn proxy_endpoint<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    proxy_row("", &said.message).map_or_else(|| refuse(&said.message), |fact| Ok(("", fact)))
}

/// `10.9.2.14:5000  HEALTHY  OK  outbound|5000||host`, asked of the proxy that the command names.
fn proxy_row(command: &str, text: &str) -> Option<Fact> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [endpoint, status, outlier, cluster] = words.as_slice() else { return None };
    let is_status = matches!(*status, "HEALTHY" | "UNHEALTHY" | "DRAINING" | "TIMEOUT" | "DEGRADED" | "UNKNOWN");
    let addr = Addr::parse(endpoint).filter(|_| is_status && matches!(*outlier, "OK" | "FAILED"))?;
    Some(state(State::ProxyEndpoint {
        proxy: command::proxy(command).unwrap_or("").into(),
        addr,
        status: (*status).into(),
        outlier: (*outlier).into(),
        cluster: (*cluster).into(),
        priority: None,
    }))
}

fn ztunnel_workload<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let words: Vec<&str> = said.message.split_whitespace().collect();
    let Some(protocol) = words.last().filter(|word| matches!(**word, "HBONE" | "TCP")) else {
        return refuse(&said.message);
    };
    let at = words.iter().position(|word| word.parse::<std::net::IpAddr>().is_ok());
    match at.filter(|at| (1..=3).contains(at) && words.len() - at >= 3) {
        Some(at) => Ok((
            "",
            state(State::Workload {
                namespace: if at > 1 { words[0].into() } else { Text::default() },
                name: words[at - 1].into(),
                address: words[at].into(),
                protocol: (**protocol).into(),
            }),
        )),
        None => refuse(&said.message),
    }
}

fn webhook_config<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let words: Vec<&str> = said.message.split_whitespace().collect();
    let [name, count, age] = words.as_slice() else { return refuse(&said.message) };
    let is_ours = ["istio-sidecar-injector", "istio-revision-tag", "istio-validator", "istiod-default-validator"]
        .iter()
        .any(|known| name.starts_with(known));
    let is_age = age.ends_with(['s', 'm', 'h', 'd', 'y']) && age.starts_with(|c: char| c.is_ascii_digit());
    if is_ours && is_age && count.parse::<u32>().is_ok() {
        return Ok(("", state(State::WebhookConfig { name: (*name).into() })));
    }
    refuse(&said.message)
}

fn remote_secret_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = said.message.trim();
    let (tail, _) = tag_no_case("error: ").parse(text)?;
    let known = [
        "could not get access token to read resources from local kube-apiserver",
        "could not get clusterID",
        "could not create remote secret",
        "no auth data found in secret",
        "could not find cluster for context",
        "could not get local kube-apiserver",
        "failed to get remote secret",
    ];
    if !known.iter().any(|known| tail.contains(known)) {
        return refuse(text);
    }
    let config = Config { resource: "create-remote-secret".into(), what: ConfigWhat::ToolFailed, reason: tail.into() };
    Ok(("", Fact::Config(config)))
}

fn analyze<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = said.message.trim();
    let (tail, level) = alt((tag("Error"), tag("Warning"), tag("Warn"), tag("Info"))).parse(text)?;
    let (tail, code) = delimited((space1, tag("[IST")), is_not("]"), char(']')).parse(tail)?;
    // Where several clusters are analysed together.
    let (tail, cluster) = opt(delimited((multispace0, tag("[cluster-")), is_not("]"), char(']'))).parse(tail)?;
    let (tail, resource) = opt(delimited((multispace0, char('(')), is_not(")"), char(')'))).parse(tail)?;
    let (cluster, object) = (cluster.unwrap_or(""), resource.unwrap_or(""));
    Ok(("", analysis(level, &format!("IST{code}"), cluster, object, &folded(tail))))
}

/// A message of `istioctl analyze`: `Error`, `IST0101`, the cluster where several are analysed, `VirtualService shop/cart`
/// and what may follow it (file and line), the text.
pub(crate) fn analysis(level: &str, code: &str, cluster: &str, object: &str, message: &str) -> Fact {
    if code == "IST0170" {
        return Fact::Network(Network::ServiceDiffers(message.into()));
    }
    let object = object.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    if level == "Error" {
        let resource = object.replacen(' ', "/", 1);
        let reason = format!("{code} {message}");
        return Fact::Config(Config { resource: resource.into(), what: ConfigWhat::Invalid, reason: reason.into() });
    }
    let text = match &*object {
        "" => format!("{level} [{code}] {message}"),
        object => format!("{level} [{code}] ({object}) {message}"),
    };
    state(State::Check {
        passed: level == "Info",
        name: code.into(),
        object: if cluster.is_empty() { object } else { format!("{cluster}: {object}") }.into(),
        text: text.into(),
    })
}

fn analyze_clean<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = said.message.trim();
    let is_clean = text.starts_with("✔ No ")
        || ["Clusters Match", "Listeners Match", "Clusters match", "Listeners match"].contains(&text)
        || text.starts_with("Routes Match")
        || text.starts_with("To get started, check out ");
    if is_clean { Ok(("", Fact::Known)) } else { refuse(&said.message) }
}

fn root_digest<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = &*said.message;
    let (tail, _) = (take_until("cluster "), tag("cluster ")).parse(text)?;
    let (tail, cluster) = is_not(" ").parse(tail)?;
    let (tail, _) = tag_no_case(" root certificate sha256 sum: ").parse(tail)?;
    let (tail, digest) = take_while1(|c: char| c.is_ascii_hexdigit()).parse(tail)?;
    Ok((tail, Fact::Trust(Trust::RootDigest { cluster: cluster.into(), digest: digest.to_ascii_lowercase().into() })))
}

fn roots_compared<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (tail, _) = (tag("Both ["), take_until("have the ")).parse(said.message.trim())?;
    let (_, verdict) =
        preceded(tag("have the "), alt((tag("non identical ROOTCA"), tag("identical ROOTCA")))).parse(tail)?;
    let mut proxies = said.message.split('[').skip(1).filter_map(|part| part.split(']').next());
    let (one, other) = (proxies.next().unwrap_or(""), proxies.next().unwrap_or(""));
    let same = verdict == "identical ROOTCA";
    Ok(("", Fact::Trust(Trust::RootsCompared { one: one.into(), other: other.into(), same })))
}

/// `Files east.pem and west.pem differ`, `... are identical`, `Binary files ... differ` of diff; `a b differ: byte 9, line
/// 2` of cmp.
fn files_compared(text: &str) -> Option<(&str, &str, bool)> {
    let files = text.strip_prefix("Binary files ").or_else(|| text.strip_prefix("Files "));
    if let Some(files) = files {
        let (files, same) = match files.strip_suffix(" differ") {
            Some(files) => (files, false),
            None => (files.strip_suffix(" are identical")?, true),
        };
        let (one, other) = files.split_once(" and ")?;
        return Some((one, other, same));
    }
    let (files, place) = text.split_once(" differ: ")?;
    let (one, other) = files.split_once(' ')?;
    (place.starts_with("byte ") || place.starts_with("char ")).then_some((one, other, false))
}

/// Whether a command or a file's name speaks of a root certificate.
fn speaks_of_root(words: &str) -> bool {
    ["root", "cacerts", "ca-cert"].iter().any(|word| words.contains(word))
}

/// What diff or cmp say of two roots, which the command above may name.
fn roots_diffed(command: &str, text: &str) -> Option<Fact> {
    // `12,14c12,14` and `3d2` stand above the lines that differ.
    let is_hunk = || {
        let (left, right) = text.split_once(['a', 'c', 'd']).unwrap_or(("", ""));
        let is_range = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit() || c == b',');
        command.trim_start().starts_with("diff ") && is_range(left) && is_range(right)
    };
    let (one, other, same) = files_compared(text).or_else(|| is_hunk().then_some(("", "", false)))?;
    let are_roots = speaks_of_root(command) || speaks_of_root(one) && speaks_of_root(other);
    if !are_roots {
        return None;
    }
    let name = |file: &str| cluster_of_file(file).into();
    let (one, other) = match command::contexts(command)[..] {
        [first, second, ..] => (first.into(), second.into()),
        _ if one.is_empty() => ("one".into(), "the other".into()),
        _ => (name(one), name(other)),
    };
    Some(Fact::Trust(Trust::RootsCompared { one, other, same }))
}

/// The cluster whose root a file holds, as its name tells: `east/root-cert.pem`, `root-cert-east.pem`; else the name.
fn cluster_of_file(file: &str) -> &str {
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    let folder = folder.rsplit('/').next().unwrap_or(folder);
    let is_place = ["certs", "tls", "fd", "ssl", "pem", "ca"].contains(&folder);
    if !folder.starts_with('.') && !is_place && !is_generic(folder) {
        return folder;
    }
    let stem = name.split('.').next().unwrap_or(name);
    let said = ["root", "cert", "ca", "certs", "cacerts", "cacert", "trust", "istio", "rootca"];
    let mut own = stem.split(['-', '_']).filter(|part| !said.contains(part));
    match (own.next(), own.next()) {
        (Some(cluster), None) => cluster,
        _ => file,
    }
}

fn root_files_compared<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    match roots_diffed("", said.message.trim()) {
        Some(compared) => Ok(("", compared)),
        None => refuse(&said.message),
    }
}

fn install_wait_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = folded(&said.message);
    let waits = text.contains("failed to wait for resource") || text.starts_with("Deployment/");
    let named = text.split_once("Deployment/").and_then(|(_, tail)| tail.split_once('/'));
    let Some((namespace, tail)) = named.filter(|_| waits) else { return refuse(&said.message) };
    let name = tail.split([' ', '(']).next().unwrap_or("");
    let replicas = State::Replicas { namespace: namespace.into(), name: name.into(), ready: 0, wanted: 1 };
    Ok(("", state(replicas)))
}

fn check<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = said.message.trim();
    let (tail, mark) = alt((tag("✅"), tag("✔"), tag("❌"), tag("✘"), tag("✖"), tag("⚠"), tag("ℹ"))).parse(text)?;
    let passed = matches!(mark, "✅" | "✔" | "ℹ");
    let text = tail.trim_start_matches(['\u{fe0f}', ' ']);
    let name = text.split_once(": ").map_or("", |(name, _)| name);
    let name = if name.contains("Check") { name } else { "" };
    let check = State::Check { passed, name: name.into(), object: Text::default(), text: text.into() };
    Ok(("", state(check)))
}

fn traffic_policy<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = said.message.trim();
    let mentions =
        text.starts_with('{') && (text.contains("\"localityLbSetting\"") || text.contains("\"outlierDetection\""));
    let Some(value) = mentions.then(|| serde_json::from_str::<serde_json::Value>(text).ok()).flatten() else {
        return refuse(text);
    };
    let policy = value.pointer("/spec/trafficPolicy").or_else(|| value.get("trafficPolicy")).unwrap_or(&value);
    let locality = policy.pointer("/loadBalancer/localityLbSetting").or_else(|| policy.get("localityLbSetting"));
    // Without a setting of its own the mesh's default counts, which is on.
    let enabled =
        locality.and_then(|setting| setting.get("enabled")).and_then(serde_json::Value::as_bool).unwrap_or(true);
    let outlier_detection = policy.get("outlierDetection").is_some();
    Ok(("", state(State::LocalityLb { enabled, outlier_detection })))
}

fn plugin_drop<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = said.message.trim();
    let names_policy = text.contains("Policy denied") || text.contains("policy-verdict:none");
    let is_drop = ["DROPPED", "DENIED", "drop ("].iter().any(|mark| text.contains(mark));
    if names_policy && is_drop {
        return Ok(("", state(State::PacketFilter { rule: text.into(), packets: Some(1) })));
    }
    refuse(text)
}

/// A whole chain as `iptables -L` lists it, joined to one record: the rule that drops, the most telling one first.
fn listed_chain(text: &str) -> Option<State> {
    let words: Vec<&str> = text.strip_prefix("Chain ")?.split_whitespace().collect();
    let drops =
        (1..words.len()).filter(|at| matches!(words[*at], "DROP" | "REJECT") && words.get(at + 2) == Some(&"--"));
    let rules = drops.map(|at| {
        let tail = &words[at..];
        // The next rule begins four words before its own options column: packets, bytes, target, protocol.
        let next =
            tail.iter().skip(3).position(|word| *word == "--").map_or(tail.len(), |next| (next + 3).saturating_sub(4));
        let packets = at.checked_sub(2).and_then(|before| words[before].parse().ok());
        (tail[..next.max(1)].join(" "), packets)
    });
    let telling = |rule: &str| ["rpfilter", "INVALID", "polic"].iter().any(|mark| rule.contains(mark));
    let (rule, packets) = rules.max_by_key(|(rule, _)| telling(rule))?;
    Some(State::PacketFilter { rule: rule.into(), packets })
}

fn packet_filter<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = said.message.trim();
    if let Some(chain) = listed_chain(text) {
        return Ok(("", state(chain)));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let saved = text.contains("-A ") && (text.contains("-j DROP") || text.contains("-j REJECT"));
    // `num target prot opt` or `pkts bytes target prot opt`: the options column is `--` or a flag.
    let target = words.iter().take(4).position(|word| matches!(*word, "DROP" | "REJECT"));
    let listed = target.is_some_and(|at| words.get(at + 2).is_some_and(|opt| *opt == "--") && words.len() > at + 4);
    let nft = text.contains("counter packets ")
        && (text.ends_with(" drop") || text.contains(" drop ") || text.ends_with(" reject"));
    if !(saved || listed || nft) {
        return refuse(text);
    }
    let packets = if saved {
        text.strip_prefix('[').and_then(|tail| tail.split_once(':')).and_then(|(count, _)| count.parse().ok())
    } else if nft {
        text.split_once("counter packets ")
            .and_then(|(_, tail)| tail.split(' ').next())
            .and_then(|count| count.parse().ok())
    } else {
        words.first().filter(|_| target == Some(2)).and_then(|count| count.parse().ok())
    };
    Ok(("", state(State::PacketFilter { rule: text.into(), packets })))
}

fn kernel_setting<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = said.message.trim();
    let (tail, key) = take_while1(|c: char| c.is_ascii_alphanumeric() || "._-/".contains(c)).parse(text)?;
    let (tail, _) = (tag(" = ")).parse(tail)?;
    match (key.starts_with("net.") || key.starts_with("fs.") || key.starts_with("kernel."), tail.trim().parse()) {
        (true, Ok(value)) => Ok(("", state(State::KernelSetting { key: key.into(), value }))),
        _ => refuse(text),
    }
}

fn too_big<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = &*said.message;
    let (tail, _) = alt((take_until("Frag needed and DF set"), take_until("message too long"))).parse(text)?;
    let mtu = tail.split_once("mtu").map_or("", |(_, mtu)| mtu.trim_start_matches([' ', '=']));
    let (_, mtu) = opt(u32::<&str, nom::error::Error<&str>>).parse(mtu).unwrap_or((mtu, None));
    Ok(("", state(State::PathMtu { mtu: mtu.unwrap_or(0) })))
}

fn tool_version<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = said.message.trim();
    let version = |component: &str, versions: Vec<&str>| {
        let component = component.into();
        Ok(("", state(State::Version { component, versions: versions.into_iter().map(Text::from).collect() })))
    };
    // The file `versions` of a bug report: Go's own form of a list of istiods, and a list of proxies by revision.
    if text.starts_with("&version.MeshInfo{") {
        return version("control plane", go_fields(text, "BuildInfo{Version:\""));
    }
    if text.starts_with("version.BuildInfo{") {
        return version("client", go_fields(text, "BuildInfo{Version:\""));
    }
    if let Some((_, list)) = text.strip_prefix("Revision ").and_then(|tail| tail.split_once(": Versions {")) {
        let list = list.trim_end_matches('}').split(", ").filter(|version| is_version(version));
        return version("data plane", list.collect());
    }
    let Some((what, tail)) = text.split_once(": ") else { return refuse(text) };
    // kubectl begins its words with capitals, istioctl does not.
    let component = match what {
        "client version" => "client",
        "Client Version" => "kubectl",
        "Server Version" => "kubernetes",
        "Kustomize Version" => "kustomize",
        "control plane version" | "data plane version" | "pilot version" | "istiod version" => {
            what.trim_end_matches(" version")
        }
        _ => return refuse(text),
    };
    let component = if component == "istiod" { "pilot" } else { component };
    // `--short=false`.
    let long = ["BuildInfo{Version:\"", "ProxyInfo{ID:", "GitVersion:\""].iter().find(|form| tail.contains(**form));
    if let Some(form) = long {
        let field = if form.starts_with("ProxyInfo") { "IstioVersion:\"" } else { form };
        return version(component, go_fields(tail, field));
    }
    let one = preceded(
        opt((char(','), multispace0)),
        terminated(is_not(" ,("), opt((multispace0, delimited(char('('), is_not(")"), char(')'))))),
    );
    let (_, versions) = many_m_n(1, 16, one).parse(tail)?;
    version(component, versions.into_iter().filter(|version| is_version(version)).collect())
}

fn is_version(text: &str) -> bool {
    text.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit())
}

/// The values of a field that Go prints as `name:"value"`.
fn go_fields<'a>(text: &'a str, field: &str) -> Vec<&'a str> {
    text.split(field)
        .skip(1)
        .filter_map(|tail| tail.split('"').next())
        .filter(|value| is_version(value))
        .take(16)
        .collect()
}

fn packet<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = &*said.message;
    let is_time = |word: &str| {
        word.len() >= 8 && word.bytes().all(|c| c.is_ascii_digit() || c == b':' || c == b'.') && word.contains(':')
    };
    let (tail, at) = is_not(" ").parse(text)?;
    match is_time(at)
        && [" IP ", " IP6 ", " ARP,"].iter().any(|kind| tail.starts_with(kind))
        && (tail.contains(" > ") || tail.contains("ARP"))
    {
        true => Ok(("", state(State::Row))),
        false => refuse(text),
    }
}

fn prompt<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = said.message.trim();
    let is_prompt = text.starts_with("$ ") || text.starts_with("# ") || text.starts_with("➜ ");
    let is_listing = text.starts_with("Chain ")
        || text.starts_with("num  target")
        || text.starts_with("pkts bytes")
        || text.starts_with("--- ") && text.ends_with(" ---");
    let is_frame = is_listing || matches!(text, "..." | "ERROR:" | "---" | "Events:" | "Code: Unavailable" | "```");
    if is_prompt || is_frame || text.starts_with("Code: ") { Ok(("", Fact::Known)) } else { refuse(&said.message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Origin;
    use crate::parse;

    fn read(command: &str, text: &str) -> Fact {
        let line = Line {
            command: (!command.is_empty()).then(|| command.into()),
            ..Line::alone(Origin::new("east", "notes.txt"), text)
        };
        parse(&line).fact
    }

    fn state_of(command: &str, text: &str) -> State {
        match read(command, text) {
            Fact::State(state) => *state,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn an_answer_in_a_loop_tells_who_called_whom() {
        let ran = "for i in $(seq 10); do kubectl --context=$CTX_EAST -n sample exec sleep-dd98-djwdw -c sleep -- \
                   curl -s helloworld:5000/hello; done";
        let text = "Hello version: v1, instance: helloworld-v1-578dd69f69-j69pf";
        let State::Answered { by, call } = state_of(ran, text) else { panic!() };
        assert_eq!(&*by, "v1 helloworld-v1-578dd69f69-j69pf");
        let (from, to) = (&*call.from, &*call.to);
        assert_eq!(
            (&*call.namespace, from, &*call.container, to),
            ("sample", "sleep-dd98-djwdw", "sleep", "helloworld:5000/hello")
        );
        let ran = "kubectl exec -n legacy deploy/web -- curl -sv http://cart.shop:8080/";
        let State::CallFailed { call, .. } = state_of(ran, "curl: (56) Recv failure: Connection reset by peer") else {
            panic!()
        };
        assert_eq!((&*call.namespace, &*call.from, &*call.to), ("legacy", "deploy/web", "cart.shop:8080/"));
        let State::Answered { call, .. } = state_of("", text) else { panic!() };
        assert_eq!(call, Call::default());
    }

    #[test]
    fn versions_are_read_in_every_form() {
        let of = |text: &str| match state_of("", text) {
            State::Version { component, versions } => format!("{component}: {}", versions.join(" ")),
            other => panic!("{other:?}"),
        };
        for (text, wanted) in [
            ("client version: 1.27.3", "client: 1.27.3"),
            ("control plane version: 1.27.1", "control plane: 1.27.1"),
            ("pilot version: 1.26.4", "pilot: 1.26.4"),
            ("data plane version: 1.27.1 (4 proxies), 1.24.0 (1 proxies)", "data plane: 1.27.1 1.24.0"),
            ("data plane version: none", "data plane: "),
            ("Client Version: v1.31.2", "kubectl: v1.31.2"),
            ("Kustomize Version: v5.4.2", "kustomize: v5.4.2"),
            ("Server Version: v1.29.4-eks-036c24b", "kubernetes: v1.29.4-eks-036c24b"),
            (
                "Server Version: version.Info{Major:\"1\", Minor:\"25\", GitVersion:\"v1.25.2\", GoVersion:\"go1.19.1\"}",
                "kubernetes: v1.25.2",
            ),
            (
                "client version: version.BuildInfo{Version:\"1.27.3\", GitRevision:\"8e5e\", BuildStatus:\"Clean\"}",
                "client: 1.27.3",
            ),
            ("data plane version: version.ProxyInfo{ID:\"web-1.shop\", IstioVersion:\"1.20.0\"}", "data plane: 1.20.0"),
            ("version.BuildInfo{Version:\"1.27.3\", GitRevision:\"8e5e\"}", "client: 1.27.3"),
            (
                "&version.MeshInfo{version.ServerInfo{Component:\"pilot\", Revision:\"a\", Info:version.BuildInfo{Version:\"1.27.1\"}}, \
                 version.ServerInfo{Component:\"pilot\", Revision:\"a\", Info:version.BuildInfo{Version:\"1.26.0\"}}}",
                "control plane: 1.27.1 1.26.0",
            ),
            ("Revision default: Versions {1.27.1, 1.26.4}", "data plane: 1.27.1 1.26.4"),
        ] {
            assert_eq!(of(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_message_of_analyze_keeps_code_and_object() {
        let text = "Warning [IST0171] [cluster-west] (Gateway shop/front gw.yaml:12) A condition with a negative status is \
                    present: type=Programmed, reason=Pending, message=Waiting.";
        let State::Check { passed, name, object, .. } = state_of("", text) else { panic!() };
        assert_eq!((passed, &*name, &*object), (false, "IST0171", "west: Gateway shop/front"));
        let text = "Error [IST0101] [cluster-west] (VirtualService shop/cart) Referenced host not found: \"cart-v2\"";
        let Fact::Config(config) = read("", text) else { panic!() };
        assert_eq!((&*config.resource, config.reason.starts_with("IST0101 ")), ("VirtualService/shop/cart", true));
    }

    #[test]
    fn roots_are_compared_by_sum_and_by_file() {
        let of = |command: &str, text: &str| match read(command, text) {
            Fact::Trust(Trust::RootsCompared { one, other, same }) => format!("{one} {other} {same}"),
            Fact::Trust(Trust::RootDigest { cluster, digest }) => format!("{cluster} {digest}"),
            other => format!("{other:?}"),
        };
        let sum = "1f0c6a7be21a40cf7b7f3c86a10ce4e0b8d2c43a97f15e0a6d85f04b1c2d9e33";
        let md5 = "d41d8cd98f00b204e9800998ecf8427e";
        let looped = "for c in east west; do kubectl --context $c -n istio-system get secret cacerts | sha256sum; done";
        for (command, text, wanted) in [
            ("", "Files a/root-cert.pem and b/root-cert.pem differ", "a b false".to_string()),
            (
                "diff -s root-east.pem root-west.pem",
                "Files root-east.pem and root-west.pem are identical",
                "east west true".into(),
            ),
            ("cmp east.pem west.pem # root-cert", "east.pem west.pem differ: char 9, line 2", "east west false".into()),
            (
                "diff <(kubectl --context east get cm istio-ca-root-cert -o yaml) <(kubectl --context=west get cm istio-ca-root-cert -o yaml)",
                "12,30c12,30",
                "east west false".into(),
            ),
            (
                "",
                "Both [web-1.shop] and [cart-1.shop] have the identical ROOTCA, theoretically the connectivity between them is available",
                "web-1.shop cart-1.shop true".into(),
            ),
            ("sha256sum */root-cert.pem", &format!("{sum}  west/root-cert.pem"), format!("west {sum}")),
            ("md5sum /tmp/root-east.pem", &format!("{md5}  /tmp/root-east.pem"), format!("east {md5}")),
            ("kubectl get secret cacerts | md5sum", &format!("{md5}  -"), format!("east {md5}")),
            (looped, &format!("{sum}  -"), format!("east, west {sum}")),
        ] {
            assert_eq!(of(command, text), wanted, "{command}: {text}");
        }
        for (command, text) in [
            ("diff a.yaml b.yaml", "Files a.yaml and b.yaml differ"),
            ("diff a.yaml b.yaml", "3c3"),
            ("sha256sum values.yaml", &format!("{sum}  values.yaml")),
            ("kubectl get cm istio-ca-root-cert", "3c3"),
        ] {
            assert!(matches!(read(command, text), Fact::Opaque(_)), "{command}: {text}");
        }
    }

    #[test]
    fn checks_have_names() {
        let of = |text: &str| match state_of("", text) {
            State::Check { passed, name, object, .. } => format!("{passed} {name} {object}"),
            other => panic!("{other:?}"),
        };
        assert_eq!(of("⚠️  Peers Check: found disconnected cluster(s)"), "false Peers Check ");
        assert_eq!(of("✅ Pod Check (istiod): all pods healthy"), "true Pod Check (istiod) ");
    }
}
