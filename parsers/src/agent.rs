//! pilot-agent's log: the part of a sidecar's, gateway's or virtual machine's log that is not Envoy's
//! (`istio/istio: pilot/cmd/pilot-agent`, `pkg/istio-agent`, `pkg/envoy`, `security/pkg/nodeagent`, `tools/istio-iptables`).

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_until};
use nom::character::complete::digit1;
use nom::combinator::{opt, rest};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

use crate::errors::{self, Fault};
use crate::event::{
    Addr, Certificate, CertificateWhat, Cni, Config, ConfigWhat, Dns, Exhausted, Fact, Nack, Process, Side, Stream,
    StreamWhat,
};
use crate::signature::{Said, Signature, refuse};

/// The known messages.
pub static SIGNATURES: &[Signature] = &[
    Signature {
        name: "agent-version",
        printed_by: "istio/istio: pilot/cmd/pilot-agent/app/cmd.go",
        versions: "all",
        meaning: "pilot-agent starts and says its version.",
        points_to: &["version-skew"],
        examples: &[
            "2025-03-11T08:14:02.120001Z\tinfo\tVersion 1.24.3-8c2f1d5a9b7e3f4460d1c8a2b5e6f7a8b9c0d1e2-Clean",
            "2020-11-03T10:00:00.000100Z\tinfo\tVersion 1.6.14-0b2f3d1c-Clean",
        ],
        read: version,
    },
    Signature {
        name: "agent-xds-address",
        printed_by: "istio/istio: pkg/istio-agent/xds_proxy.go",
        versions: "1.8+",
        meaning: "The control plane's address that this proxy dials, and the cluster it says it is in.",
        points_to: &["istiod-remote-misaddressed", "cluster-id-conflict"],
        examples: &[
            "2025-03-11T08:14:02.301122Z\tinfo\txdsproxy\tInitializing with upstream address \"istiod.istio-system.svc:15012\" and cluster \"oslo\"",
        ],
        read: xds_address,
    },
    Signature {
        name: "agent-certificate-issued",
        printed_by: "istio/istio: security/pkg/nodeagent/cache/secretcache.go",
        versions: "all",
        meaning: "The CA signed this proxy's certificate.",
        points_to: &[],
        examples: &[
            "2025-03-11T08:14:03.004712Z\tinfo\tcache\tgenerated new workload certificate\tresourceName=default latency=118.57ms ttl=23h59m58s",
            "2020-11-03T10:00:02.000100Z\tinfo\tsds\tresource:default pushed key/cert pair to proxy",
            "2020-11-03T10:00:02.000100Z\tinfo\tcache\tGenerateSecret default",
        ],
        read: certificate_issued,
    },
    Signature {
        name: "agent-csr-failed",
        printed_by: "istio/istio: security/pkg/nodeagent/cache/secretcache.go, caclient/providers/citadel/client.go, sds/sdsservice.go",
        versions: "all",
        meaning: "This proxy asked for its certificate and got none; it retries.",
        points_to: &[
            "istiod-unreachable",
            "istiod-down",
            "jwt-invalid",
            "root-of-trust-mismatch",
            "ca-provider-unavailable",
        ],
        examples: &[
            "2025-03-11T08:14:12.022990Z\terror\tcitadelclient\tfailed to sign CSR: create certificate: rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp 10.43.7.9:15012: connect: connection refused\"",
            "2025-03-11T08:14:12.025764Z\terror\tcache\tresource:default failed to sign: create certificate: rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp 10.43.7.9:15012: i/o timeout\"",
            "2025-03-11T08:14:12.025777Z\twarn\tsds\tfailed to warm certificate: failed to generate workload certificate: create certificate: rpc error: code = Unauthenticated desc = request authenticate failure",
            "2021-06-02T09:00:00.025777Z\twarn\tcache\tresource:default request:5b0b0df2-1b1d-4a51-b3a1-4f7c0bb1a3aa CSR failed with error: rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing dial tcp 10.43.7.9:15012: connect: connection refused\", retry in 3200 millisec",
            "2021-06-02T09:00:00.025778Z\terror\tcitadelclient\tFailed to create certificate: rpc error: code = Unauthenticated desc = request authenticate failure",
            "2020-08-12T07:14:35.989323Z\terror\tsds\tnode:router~10.2.1.3~gw-7c.istio-system~istio-system.svc.cluster.local-2 resource:default Close connection. Failed to get secret for proxy \"router~10.2.1.3~gw-7c.istio-system~istio-system.svc.cluster.local\" from secret cache: rpc error: code = Unauthenticated desc = request authenticate failure",
            "2020-08-12T07:14:35.989323Z\terror\tcache\tresource:default CSR retrial timed out: rpc error: code = Unavailable desc = no healthy upstream",
        ],
        read: csr_failed,
    },
    Signature {
        name: "agent-certificate-unusable",
        printed_by: "istio/istio: security/pkg/nodeagent/caclient/providers/citadel/client.go, cache/secretcache.go",
        versions: "all",
        meaning: "The CA answered with something that is no usable certificate chain.",
        points_to: &["ca-provider-unavailable"],
        examples: &[
            "2025-03-11T08:14:12.022990Z\terror\tcache\tresource:default failed to sign: invalid empty CertChain",
            "2020-08-12T07:14:35.989323Z\terror\tcitadelclient\tCertChain length is 1, expected more than 1",
            "2020-08-12T07:14:35.989323Z\terror\tcache\tresource:default failed to parse root certificate in CSR response: failed to decode the PEM",
        ],
        read: certificate_unusable,
    },
    Signature {
        name: "agent-secret-missing",
        printed_by: "istio/istio: pkg/istio-agent/agent.go, security/pkg/nodeagent/sds, security/pkg/nodeagent/secretfetcher",
        versions: "all",
        meaning: "A certificate, key or root that this proxy should read is not there.",
        points_to: &["sds-secret-missing"],
        examples: &[
            "2025-03-11T08:14:02.022990Z\tfatal\tfailed to start xds proxy: root CA file for XDS does not exist var/run/secrets/istio/root-cert.pem",
            "2025-03-11T08:14:02.022990Z\terror\tfailed to find root CA cert for CA: root CA file for CA does not exist var/run/secrets/istio/root-cert.pem",
            "2021-06-02T09:00:00.022990Z\tfatal\tinvalid config - istiod.istio-system.svc:15012 missing a root certificate ./var/run/secrets/istio/root-cert.pem",
            "2021-06-02T09:00:00.022990Z\terror\tcache\tfile-root:/etc/certs/root-cert.pem failed to generate secret for proxy from file: open /etc/certs/root-cert.pem: no such file or directory",
            "2020-08-12T07:14:35.989323Z\terror\tsecretfetcher\tcannot find secret shop-credential and cannot find fallback secret gateway-fallback",
            "2020-08-12T07:14:35.989323Z\twarn\tsecretfetcher\tfailed load server cert/key pair from secret shop-credential: server cert or private key is empty",
            "2020-08-12T07:14:35.989323Z\twarn\tcache\tnode:router~10.2.1.3~gw-7c.istio-system~istio-system.svc.cluster.local-2 resource:shop-credential SecretFetcher cannot find secret shop-credential from cache",
            "2020-08-12T07:14:35.989323Z\twarn\tsds\tnode:router~10.2.1.3~gw-7c.istio-system~istio-system.svc.cluster.local-2 resource:shop-credential waiting for ingress gateway secret for proxy \"router~10.2.1.3~gw-7c.istio-system~istio-system.svc.cluster.local\"",
            "2025-03-11T08:14:02.022990Z\terror\tsds\tSDS grpc server for workload proxies failed to set up UDS: failed to create directory for ./etc/istio/proxy/SDS: mkdir ./etc/istio/proxy: read-only file system",
            "2025-03-11T08:14:02.022990Z\twarn\tsds\tSDS grpc server could not be started",
        ],
        read: secret_missing,
    },
    Signature {
        name: "agent-root-not-mounted",
        printed_by: "kubernetes/kubernetes: pkg/kubelet, pkg/volume/configmap",
        versions: "1.6+",
        meaning: "The config map with the mesh's root certificate, which istiod writes into each namespace, is not there.",
        points_to: &["sds-secret-missing", "istiod-down", "discovery-selectors"],
        examples: &[
            "MountVolume.SetUp failed for volume \"istiod-ca-cert\" : configmap \"istio-ca-root-cert\" not found",
            "configmap \"istio-ca-root-cert\" not found",
        ],
        read: root_not_mounted,
    },
    Signature {
        name: "agent-token-missing",
        printed_by: "istio/istio: security/pkg/credentialfetcher, pkg/istio-agent, security/pkg/nodeagent/sds",
        versions: "all",
        meaning: "The service-account token that this proxy presents to istiod is not mounted or empty.",
        points_to: &["third-party-jwt-unsupported"],
        examples: &[
            "2025-03-11T08:14:02.022990Z\twarn\tfailed to fetch token from file: open ./var/run/secrets/tokens/istio-token: no such file or directory",
            "2021-06-02T09:00:00.022990Z\terror\txdsproxy\tfailed to read token file \"./var/run/secrets/tokens/istio-token\": open ./var/run/secrets/tokens/istio-token: no such file or directory",
            "2021-06-02T09:00:00.022990Z\terror\txdsproxy\tread empty token from file \"./var/run/secrets/tokens/istio-token\"",
            "2020-08-12T07:14:35.989323Z\tfatal\tMissing JWT, can't authenticate with control plane. Try using plain text (15010)",
        ],
        read: token_missing,
    },
    Signature {
        name: "agent-xds-connected",
        printed_by: "istio/istio: pkg/istio-agent/xds_proxy.go",
        versions: "1.8+",
        meaning: "The stream to istiod is up.",
        points_to: &[],
        examples: &[
            "2025-03-11T08:14:13.328035Z\tinfo\txdsproxy\tconnected to delta upstream XDS server: istiod.istio-system.svc:15012\tid=4",
            "2021-06-02T09:00:00.328035Z\tinfo\txdsproxy\tconnected to upstream XDS server: istiod.istio-system.svc:15012",
        ],
        read: xds_connected,
    },
    Signature {
        name: "agent-xds-connect-failed",
        printed_by: "istio/istio: pkg/istio-agent/xds_proxy.go",
        versions: "1.8+",
        meaning: "The stream to istiod could not be opened.",
        points_to: &["istiod-unreachable", "istiod-down", "dns-failure", "root-of-trust-mismatch"],
        examples: &[
            "2021-06-02T09:00:00.328035Z\terror\txdsproxy\tfailed to connect to upstream istiod.istio-system.svc:15012: context deadline exceeded",
        ],
        read: xds_connect_failed,
    },
    Signature {
        name: "agent-xds-broke",
        printed_by: "istio/istio: pkg/istio-agent/xds_proxy.go",
        versions: "1.8+",
        meaning: "The stream to istiod broke, or istiod ended it.",
        points_to: &["istiod-unreachable", "istiod-down", "jwt-invalid"],
        examples: &[
            "2021-06-02T09:00:00.328035Z\twarn\txdsproxy\tupstream [3] terminated with unexpected error rpc error: code = Unauthenticated desc = authentication failure",
            "2025-03-11T08:14:13.328035Z\twarn\txdsproxy\tupstream terminated with unexpected error rpc error: code = Unavailable desc = error reading from server: EOF\tid=4",
        ],
        read: xds_broke,
    },
    Signature {
        name: "agent-not-ready-no-config",
        printed_by: "istio/istio: pilot/cmd/pilot-agent/status/ready/probe.go",
        versions: "all",
        meaning: "Envoy has not got its clusters and listeners yet, or rejected them.",
        points_to: &["istiod-unreachable", "xds-rejected"],
        examples: &[
            "2025-03-11T08:14:13.328035Z\twarn\tEnvoy proxy is NOT ready: config not received from XDS server (is Istiod running?): cds updates: 0 successful, 0 rejected; lds updates: 0 successful, 0 rejected",
            "2025-03-11T08:14:13.328035Z\twarn\tEnvoy proxy is NOT ready: config received from XDS server, but was rejected: cds updates: 1 successful, 0 rejected; lds updates: 0 successful, 1 rejected",
            "2021-06-02T09:00:00.328035Z\twarn\tEnvoy proxy is NOT ready: config not received from Pilot (is Pilot running?): cds updates: 1 successful, 0 rejected; lds updates: 0 successful, 3 rejected",
            "2020-08-12T07:14:35.989323Z\tinfo\tEnvoy proxy is NOT ready: config not received from Pilot (is Pilot running?): cds updates: 0 successful, 0 rejected; lds updates: 0 successful, 0 rejected",
            "2025-03-11T08:14:13.328035Z\twarn\tEnvoy proxy is NOT ready: config not fully received from XDS server: cds updates: 1 successful, 0 rejected; lds updates: 0 successful, 0 rejected",
        ],
        read: not_ready_no_config,
    },
    Signature {
        name: "agent-not-ready",
        printed_by: "istio/istio: pilot/cmd/pilot-agent/status/ready/probe.go, util/stats.go",
        versions: "all",
        meaning: "Envoy has its configuration, but waits for something in it, most often a certificate.",
        points_to: &["sds-secret-missing"],
        examples: &[
            "2025-03-11T08:14:13.328035Z\twarn\tEnvoy proxy is NOT ready: server is not live, current state is: INITIALIZING",
            "2025-03-11T08:14:13.328035Z\twarn\tEnvoy proxy is NOT ready: workers have not yet started",
            "2025-01-06T15:53:31.165680Z\twarn\tEnvoy proxy is NOT ready: server is terminated: received signal: terminated",
            "2020-08-12T07:14:35.989323Z\tinfo\tEnvoy proxy is NOT ready: failed retrieving Envoy stats: Get http://127.0.0.1:15000/stats?usedonly: dial tcp 127.0.0.1:15000: connect: connection refused",
        ],
        read: not_ready,
    },
    Signature {
        name: "agent-ready",
        printed_by: "istio/istio: pilot/cmd/pilot-agent/status/server.go, metrics/metrics.go",
        versions: "all",
        meaning: "Envoy has its configuration and serves.",
        points_to: &[],
        examples: &[
            "2025-03-11T08:14:16.175782Z\tinfo\tEnvoy proxy is ready",
            "2025-03-11T08:14:16.170238Z\tinfo\tReadiness succeeded in 4.2s",
            "2025-03-11T08:14:16.170238Z\tinfo\tInitialization took 4.2s",
        ],
        read: ready,
    },
    Signature {
        name: "agent-stopping",
        printed_by: "istio/istio: pkg/envoy/agent.go",
        versions: "all",
        meaning: "The pod is being stopped: the proxy drains.",
        points_to: &["proxy-drain-too-short"],
        examples: &[
            "2025-03-11T09:14:16.170238Z\tinfo\tAgent draining Proxy for termination",
            "2021-06-02T09:00:00.328035Z\tinfo\tAgent draining Proxy",
            "2025-03-11T09:14:16.170238Z\tinfo\tAgent draining proxy for 5s, then waiting for active connections to terminate...",
            "2025-03-11T09:14:16.170238Z\tinfo\tStatus server has successfully terminated",
            "2025-03-11T09:14:16.170238Z\tinfo\tGraceful termination period is 5s, starting...",
            "2025-03-11T09:14:16.169800Z\tinfo\tStatus server has successfully terminated",
        ],
        read: stopping,
    },
    Signature {
        name: "agent-envoy-out-of-memory",
        printed_by: "istio/istio: pkg/envoy/agent.go",
        versions: "all",
        meaning: "Envoy was killed, most likely for memory.",
        points_to: &["resource-exhaustion"],
        examples: &[
            "2025-03-11T09:14:16.170238Z\twarn\tEnvoy may have been out of memory killed. Check memory usage and limits.",
        ],
        read: envoy_out_of_memory,
    },
    Signature {
        name: "agent-envoy-died",
        printed_by: "istio/istio: pkg/envoy/agent.go",
        versions: "all",
        meaning: "Envoy exited with an error.",
        points_to: &["resource-exhaustion", "config-invalid"],
        examples: &[
            "2025-03-11T09:14:16.170238Z\terror\tEnvoy exited with error: signal: segmentation fault",
            "2020-08-12T07:14:35.989323Z\terror\tEpoch 0 exited with error: exit status 1",
            "2020-08-12T07:14:35.989323Z\terror\tEpoch 0 terminated with an error: signal: killed",
            "2021-06-02T09:00:00.328035Z\terror\tFailed to generate bootstrap config: open etc/istio/proxy/envoy-rev0.json: permission denied",
        ],
        read: envoy_died,
    },
    Signature {
        name: "agent-settings-invalid",
        printed_by: "istio/istio: pilot/cmd/pilot-agent/config/config.go",
        versions: "all",
        meaning: "The proxy's own settings (mesh config, annotation, environment) cannot be read.",
        points_to: &["config-invalid"],
        examples: &[
            "2025-03-11T09:14:16.170238Z\terror\tfailed to get proxy config: failed to unmarshal mesh config from annotation [proxyMetadata: x]: yaml: line 2: mapping values are not allowed in this context",
            "2025-03-11T09:14:16.170238Z\terror\tInvalid annotation status.sidecar.istio.io/port=abc: strconv.ParseUint: parsing \"abc\": invalid syntax",
        ],
        read: settings_invalid,
    },
    Signature {
        name: "agent-port-taken",
        printed_by: "istio/istio: pilot/cmd/pilot-agent/status/server.go, pkg/dns/client/proxy.go",
        versions: "all",
        meaning: "A port of the proxy itself is taken by something else in the pod or on the machine.",
        points_to: &["port-conflict"],
        examples: &[
            "2025-03-11T09:14:16.170238Z\terror\tError listening on status port: listen tcp :15020: bind: address already in use",
            "2025-03-11T09:14:16.170238Z\terror\tdns\tFailed to listen on udp port 127.0.0.1:15053: listen udp 127.0.0.1:15053: bind: address already in use",
        ],
        read: port_taken,
    },
    Signature {
        name: "agent-dns-upstream-failed",
        printed_by: "istio/istio: pkg/dns/client/dns.go",
        versions: "1.8+",
        meaning: "The proxy's DNS server asked the cluster's DNS server in vain.",
        points_to: &["dns-failure"],
        examples: &[
            "2025-03-11T09:14:16.170238Z\tinfo\tdns\tupstream failure: read udp 10.42.1.7:41234->10.43.0.10:53: i/o timeout\tprotocol=udp edns=false",
            "2025-03-11T09:14:16.170238Z\tinfo\tdns\tupstream dns failure: read udp 10.42.1.7:41234->10.43.0.10:53: i/o timeout",
        ],
        read: dns_upstream_failed,
    },
    Signature {
        name: "agent-lookup-wrapped",
        printed_by: "Go: net, wrapped by whoever pasted it",
        versions: "all",
        meaning: "The end of an error that was wrapped: a lookup that got no answer.",
        points_to: &["dns-failure"],
        examples: &[
            "lookup istiod.istio-system.svc on 169.254.25.10:53:",
            "read udp 10.42.1.7:41234->10.43.0.10:53: i/o timeout",
        ],
        read: lookup_wrapped,
    },
    Signature {
        name: "agent-wasm-failed",
        printed_by: "istio/istio: pkg/wasm/convert.go, cache.go",
        versions: "1.9+",
        meaning: "A Wasm module could not be fetched; depending on its fail strategy all or no traffic passes.",
        points_to: &["wasm-failure"],
        examples: &[
            "2025-03-11T09:14:16.170238Z\terror\twasm\terror in converting the wasm config to local: cannot fetch Wasm module shop.basic-auth: could not fetch Wasm OCI image: could not fetch manifest: Get \"https://registry.shop.test/v2/\": dial tcp 10.9.9.9:443: connect: connection refused. applying allow RBAC filter",
            "2022-05-01T09:00:00.170238Z\terror\twasm\tcannot fetch Wasm module https://store.shop.test/a.wasm: wasm module download failed, last error: wasm module download request failed: status code 404",
            "2022-05-01T09:00:00.170238Z\terror\twasm\tconvert the wasm config: cannot fetch Wasm module shop.basic-auth: missing image pulling secret",
            "2023-06-01T09:00:00.170238Z\terror\twasm\tfailed to fetch Wasm module oci://registry.shop.test/auth:v2: could not fetch Wasm OCI image: unauthorized",
        ],
        read: wasm_failed,
    },
    Signature {
        name: "agent-ecds-nack",
        printed_by: "istio/istio: pkg/istio-agent/xds_proxy.go",
        versions: "1.9+",
        meaning: "The agent rejects an extension configuration for Envoy.",
        points_to: &["wasm-failure"],
        examples: &[
            "2025-03-11T09:14:16.170238Z\tdebug\txdsproxy\tsending NACK for ECDS resources [x], err: cannot fetch Wasm module shop.basic-auth: timeout",
        ],
        read: ecds_nack,
    },
    Signature {
        name: "agent-exhausted",
        printed_by: "Go: os, fsnotify",
        versions: "all",
        meaning: "File descriptors, inotify watches or disk space ran out on the node.",
        points_to: &["resource-exhaustion"],
        examples: &[
            "2025-03-11T09:14:16.170238Z\tfatal\tfailed to create a watcher for certificate files: too many open files",
            "2025-03-11T09:14:16.170238Z\terror\tcache\tdefault: error adding watcher for file ./etc/certs/key.pem, retrying watches: no space left on device",
            "error initializing inotify: too many open files",
            "panic: failed to create fsnotify watcher: too many open files",
        ],
        read: exhausted,
    },
    Signature {
        name: "agent-iptables-failed",
        printed_by: "istio/istio: tools/istio-iptables/pkg",
        versions: "all",
        meaning: "The traffic capture rules could not be installed.",
        points_to: &["iptables-failure"],
        examples: &[
            "2025-03-11T09:14:16.170238Z\terror\tFailed to execute: iptables-restore --noflush /tmp/iptables-rules-1628684010.txt, exit status 1",
            "2025-03-11T09:14:16.170238Z\terror\tCommand error output: xtables other problem: line 2 failed",
            "2025-03-11T09:14:16.170238Z\terror\tCommand error: xtables parameter problem: iptables-restore: unable to initialize table 'nat'",
            "2021-06-02T09:00:00.170238Z\terror\tCommand error output: \niptables-restore v1.8.4 (legacy): iptables-restore: unable to initialize table 'nat'",
            "iptables v1.8.4 (legacy): can't initialize iptables table `nat': Permission denied (you must be root)",
            "iptables-restore v1.6.1: iptables-restore: unable to initialize table 'nat'",
            "modprobe: FATAL: Module ip_tables not found in directory /lib/modules/5.15.0",
            "iptables: Chain already exists.",
            "iptables v1.8.7 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)",
        ],
        read: iptables_failed,
    },
    Signature {
        name: "agent-redirection-missing",
        printed_by: "istio/istio: tools/istio-iptables/pkg/cmd/root.go, validation/validator.go",
        versions: "1.6+",
        meaning: "The validation container finds no capture rules in the pod: istio-cni did not set it up.",
        points_to: &["cni-failure"],
        examples: &[
            "Error: iptables validation failed; workload is not ready for Istio.",
            "2025-03-11T09:14:16.170238Z\terror\tiptables validation failed; workload is not ready for Istio.",
            "2025-03-11T09:14:16.170238Z\terror\tValidation failed: validation timeout",
            "2025-03-11T09:14:16.170238Z\terror\tError connecting to 127.0.0.6:15002: dial tcp 127.0.0.1:0->127.0.0.6:15002: connect: connection refused",
        ],
        read: redirection_missing,
    },
    Signature {
        name: "agent-wrong-architecture",
        printed_by: "runc; bash",
        versions: "all",
        meaning: "The image was built for another processor.",
        points_to: &["unsupported-feature"],
        examples: &[
            "exec /usr/local/bin/pilot-agent: exec format error",
            "standard_init_linux.go:219: exec user process caused: exec format error",
        ],
        read: wrong_architecture,
    },
    Signature {
        name: "agent-probe-of-app-failed",
        printed_by: "istio/istio: pilot/cmd/pilot-agent/status/server.go",
        versions: "all",
        meaning: "The application did not answer its own health probe; the proxy only passes it on.",
        points_to: &["upstream-not-listening"],
        examples: &[
            "2025-03-11T09:14:16.170238Z\terror\tRequest to probe app failed: Get \"http://10.42.1.7:8080/healthz\": dial tcp 10.42.1.7:8080: connect: connection refused, original URL path = /app-health/app/readyz",
        ],
        read: app_probe_failed,
    },
    Signature {
        name: "agent-chatter",
        printed_by: "istio/istio: pilot/cmd/pilot-agent, pkg/istio-agent, pkg/envoy, security/pkg/nodeagent",
        versions: "all",
        meaning: "Ordinary life of the agent, start-up order and statistics included.",
        points_to: &[],
        examples: &[
            "2025-03-11T08:14:02.120101Z\tinfo\tProxy role\tips=[10.42.1.7] type=sidecar id=web-7c9f.shop domain=shop.svc.cluster.local",
            "2025-03-11T08:14:02.121001Z\tinfo\tJWT policy is third-party-jwt",
            "2025-03-11T08:14:09.501872Z\twarn\tca\tca request failed, starting attempt 1 in 100.102703ms",
            "2025-03-11T08:14:04.000569Z\terror\tcitadelclient\tFailed to load key pair open etc/certs/cert-chain.pem: no such file or directory",
            "2025-03-11T08:14:12.025270Z\tinfo\tcitadelclient\trecreated connection",
            "2025-03-11T08:14:12.304799Z\terror\tfailed scraping envoy metrics: error scraping http://localhost:15090/stats/prometheus: Get \"http://localhost:15090/stats/prometheus\": dial tcp [::1]:15090: connect: connection refused",
            "2021-06-02T09:00:00.170238Z\twarn\txdsproxy\tdownstream [5] terminated with unexpected error rpc error: code = Canceled desc = context canceled",
            "2025-03-11T08:14:12.025270Z\tinfo\tEnvoy command: [-c etc/istio/proxy/envoy-rev.json --drain-time-s 45]",
            "2023-11-01T01:27:02.836001Z\tinfo\tRunning command: iptables -t nat -D PREROUTING -p tcp -j ISTIO_INBOUND",
        ],
        read: chatter,
    },
];

fn message<'a>(said: &'a Said<'a>) -> &'a str {
    &said.message
}

/// `Version 1.24.3-8c2f1d5a-Clean`
fn version<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (left, version) = preceded(tag("Version "), take_till(|c| c == '-' || c == ' ')).parse(message(said))?;
    if !version.starts_with(|c: char| c.is_ascii_digit() || c == 'v') {
        return refuse(left);
    }
    Ok((left, Fact::Process(Process::Started { version: version.trim_start_matches('v').into() })))
}

/// `Initializing with upstream address "istiod.istio-system.svc:15012" and cluster "oslo"`
fn xds_address<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let quoted = || delimited(tag("\""), take_until("\""), tag("\""));
    let (left, address) = preceded(tag("Initializing with upstream address "), quoted()).parse(message(said))?;
    let (left, cluster) = preceded(tag(" and cluster "), quoted()).parse(left)?;
    let identity = Process::Identity { cluster: cluster.into(), network: "".into(), xds_address: address.into() };
    Ok((left, Fact::Process(identity)))
}

pub(crate) fn client_certificate(what: CertificateWhat) -> Fact {
    // Without a name on purpose: a failure names the resource, the success does not, and a proxy has one certificate.
    Fact::Certificate(Certificate { side: Side::Client, identity: None, what })
}

fn certificate_issued<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message: &str = &said.message;
    let old = message.ends_with(" pushed key/cert pair to proxy") || message == "GenerateSecret default";
    if old || message.starts_with("generated new workload certificate") {
        return Ok(("", client_certificate(CertificateWhat::Issued)));
    }
    refuse(message)
}

/// What istiod answered to a certificate request, behind the words of the agent.
fn csr_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (inner, _) = alt((
        csr_failure_begins,
        // `resource:default [request:<uuid>] failed to sign: `, also `[node:...] resource:... Close connection. ...`
        preceded(alt((take_until("resource:"), take_until("failed to"))), csr_failure_behind_prefix),
    ))
    .parse(message(said))?;
    if is_unusable(inner) {
        return refuse(inner);
    }
    let inner = without_agent_words(inner);
    let inner = match inner.rsplit_once(", retry in ") {
        Some((reason, wait)) if wait.ends_with("millisec") => reason,
        _ => inner,
    };
    Ok(("", client_certificate(CertificateWhat::Failed(fault(inner)))))
}

fn csr_failure_begins(input: &str) -> IResult<&str, &str> {
    alt((
        tag("failed to warm certificate: "),
        tag("failed to warm root certificate: "),
        tag("failed to sign CSR: "),
        tag("Failed to create certificate: "),
        tag("failed to get root certificate: "),
        tag("failed to get certificate: "),
        tag("failed to generate secret for default: "),
        tag("failed reconnect: "),
        preceded(tag("Failed to connect to endpoint "), take_until(": ")),
    ))
    .parse(input)
    .map(|(left, words)| (left.strip_prefix(": ").unwrap_or(left), words))
}

fn csr_failure_behind_prefix(input: &str) -> IResult<&str, &str> {
    const WORDS: [&str; 8] = [
        " failed to sign: ",
        "CSR failed with error: ",
        "CSR retrial timed out: ",
        "failed to rotate secret: ",
        "failed to generate secret for proxy: ",
        "from secret cache: ",
        "hit non-retryable error (HTTP code: 0). Error: ",
        "failed to generate workload certificate: ",
    ];
    match WORDS.iter().find_map(|words| input.split_once(words)) {
        Some((before, after)) => Ok((after, before)),
        None => refuse(input),
    }
}

/// Peels the agent's own words from an error.
fn without_agent_words(mut text: &str) -> &str {
    loop {
        let words =
            ["failed to generate workload certificate: ", "create certificate: ", "failed to generate secret: "];
        match words.iter().find_map(|words| text.strip_prefix(words)) {
            Some(inner) => text = inner,
            None => return text,
        }
    }
}

fn is_unusable(text: &str) -> bool {
    const WORDS: [&str; 5] = [
        "invalid empty CertChain",
        "CertChain length is ",
        "failed to extract expire time from server certificate in CSR response",
        "failed to parse root certificate in CSR response",
        "failed to parse certificate chain in CSR response",
    ];
    WORDS.iter().any(|words| text.contains(words))
}

fn certificate_unusable<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (left, message) = rest(message(said))?;
    if !is_unusable(message) {
        return refuse(message);
    }
    Ok((left, client_certificate(CertificateWhat::Unusable(message.into()))))
}

fn secret_missing<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    const WORDS: [&str; 9] = [
        "root CA file for XDS does not exist",
        "root CA file for CA does not exist",
        " missing a root certificate",
        " failed to generate secret for proxy from file: ",
        "SecretFetcher cannot find secret ",
        "waiting for ingress gateway secret for proxy",
        "SDS grpc server for workload proxies failed to ",
        "SDS grpc server could not be started",
        "attempted to fetch secret, but ca client is nil",
    ];
    let message: &str = &said.message;
    const NAMED: [&str; 3] =
        ["cannot find secret ", "failed load server cert/key pair from secret ", "failed load CA only secret from "];
    let named = NAMED.iter().find_map(|words| message.strip_prefix(words));
    let named = named.map(|left| left.split([' ', ':']).next().unwrap_or(""));
    if named.is_none() && !WORDS.iter().any(|words| message.contains(words)) {
        return refuse(message);
    }
    let resource = message.split(' ').find_map(|word| word.strip_prefix("resource:"));
    let certificate = Certificate {
        side: Side::Client,
        identity: named.or(resource).filter(|name| !name.is_empty()).map(Into::into),
        what: CertificateWhat::Missing(message.into()),
    };
    Ok(("", Fact::Certificate(certificate)))
}

fn root_not_mounted<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let name = "istio-ca-root-cert";
    let text = message(said);
    if !text.contains("configmap \"istio-ca-root-cert\" not found") {
        return refuse(text);
    }
    let what = CertificateWhat::Missing(first_line(text).into());
    Ok(("", Fact::Certificate(Certificate { side: Side::Client, identity: Some(name.into()), what })))
}

fn token_missing<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    const WORDS: [&str; 7] = [
        "failed to fetch token from file: ",
        "failed to read token file ",
        "read empty token from file ",
        "Missing JWT, can't authenticate with control plane",
        "Missing JWT token, can't use in process SDS",
        "Failed to get credential token: ",
        "fetch platform credential: ",
    ];
    let message: &str = &said.message;
    let kubelet = message.contains("\"istio-token\"") && message.contains("MountVolume.SetUp failed");
    if kubelet || WORDS.iter().any(|words| message.contains(words)) {
        return Ok(("", Fact::Process(Process::TokenUnsupported(message.into()))));
    }
    refuse(message)
}

fn client_stream(address: Option<Addr>, what: StreamWhat) -> Fact {
    Fact::Stream(Stream { side: Side::Client, address, node: None, what })
}

/// `connected to [delta ]upstream XDS server: istiod.istio-system.svc:15012`
fn xds_connected<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (left, _) = (tag("connected to "), opt(tag("delta ")), tag("upstream XDS server: ")).parse(message(said))?;
    let (left, address) = take_till(|c| c == ' ' || c == '[').parse(left)?;
    Ok((left, client_stream(Addr::parse(address), StreamWhat::Opened)))
}

/// `failed to connect to upstream istiod.istio-system.svc:15012: <error>`
fn xds_connect_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (left, address) = preceded(tag("failed to connect to upstream "), take_until(": ")).parse(message(said))?;
    let mut found = fault(left.trim_start_matches(": "));
    if found.what == errors::What::Other && found.text.contains("context deadline exceeded") {
        found.what = errors::What::TimedOut;
    }
    Ok(("", client_stream(Addr::parse(address), StreamWhat::Refused(found))))
}

/// `upstream [3] terminated with unexpected error rpc error: ...`
fn xds_broke<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let number = delimited(tag("["), digit1, tag("] "));
    let (left, _) = (tag("upstream "), opt(number), tag("terminated with unexpected error ")).parse(message(said))?;
    let found = fault(left);
    let what = match found.what {
        errors::What::Benign => StreamWhat::Ended,
        _ => StreamWhat::Closed(found),
    };
    Ok(("", client_stream(None, what)))
}

/// `config not received from XDS server (is Istiod running?): cds updates: 0 successful, 0 rejected; lds updates: ...`
fn not_ready_no_config<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (left, _) = tag("Envoy proxy is NOT ready: ").parse(message(said))?;
    if !left.starts_with("config ") && !left.contains("ds updates: ") {
        return refuse(left);
    }
    let rejected = left
        .split([';', ','])
        .filter_map(|part| part.trim().strip_suffix(" rejected"))
        .filter_map(|count| count.rsplit(' ').next()?.parse::<u32>().ok())
        .fold(0u32, u32::saturating_add);
    Ok(("", client_stream(None, StreamWhat::NotReady { rejected })))
}

fn not_ready<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (reason, _) = tag("Envoy proxy is NOT ready: ").parse(message(said))?;
    let process = match reason.starts_with("server is terminated") {
        true => Process::Stopping,
        false => Process::NotReady(reason.into()),
    };
    Ok(("", Fact::Process(process)))
}

fn ready<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let words = alt((tag("Envoy proxy is ready"), tag("Readiness succeeded in "), tag("Initialization took ")));
    let (left, _) = { words }.parse(message(said))?;
    Ok((left, client_stream(None, StreamWhat::Ready)))
}

fn stopping<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let words = alt((
        tag("Agent draining Proxy"),
        tag("Agent draining proxy"),
        tag("Graceful termination period is "),
        tag("Status server has successfully terminated"),
    ));
    let (left, _) = { words }.parse(message(said))?;
    Ok((left, Fact::Process(Process::Stopping)))
}

fn envoy_out_of_memory<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (left, _) = tag("Envoy may have been out of memory killed").parse(message(said))?;
    Ok((left, Fact::Exhausted(Exhausted { what: "memory".into(), reason: (&*said.message).into() })))
}

fn envoy_died<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let epoch = (tag("Epoch "), digit1, alt((tag(" exited with error: "), tag(" terminated with an error: "))));
    let words = alt((
        tag("Envoy exited with error: "),
        nom::combinator::recognize(epoch),
        tag("Failed to generate bootstrap config: "),
        tag("failed to generate bootstrap config: "),
    ));
    let (reason, _) = { words }.parse(message(said))?;
    // Stopped from outside is no death.
    let fact = match reason.trim() {
        "signal: terminated" | "signal: interrupt" | "context canceled" => Process::Stopping,
        reason => Process::Died(reason.into()),
    };
    Ok(("", Fact::Process(fact)))
}

fn settings_invalid<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message: &str = &said.message;
    let begins =
        ["failed to get proxy config: ", "Invalid annotation ", "Invalid discovery address", "invalid proxy Type: "];
    if !begins.iter().any(|words| message.starts_with(words)) {
        return refuse(message);
    }
    let resource = match message {
        message if message.contains("annotation") => "annotation of the pod",
        message if message.contains("environment") => "environment of the proxy",
        _ => "proxy configuration",
    };
    let config = Config { resource: resource.into(), what: ConfigWhat::Invalid, reason: message.into() };
    Ok(("", Fact::Config(config)))
}

fn port_taken<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message: &str = &said.message;
    let begins = ["Error listening on status port: ", "Failed to listen on ", "failed to start local DNS server: "];
    let is_taken = message.contains("address already in use");
    if is_taken && begins.iter().any(|words| message.starts_with(words)) {
        return Ok(("", Fact::Process(Process::PortTaken(message.into()))));
    }
    refuse(message)
}

fn dns_upstream_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (reason, _) = alt((tag("upstream failure: "), tag("upstream dns failure: "))).parse(message(said))?;
    Ok(("", Fact::Dns(Dns { host: "".into(), fault: fault(reason) })))
}

/// `lookup istiod.istio-system.svc on 169.254.25.10:53:`, `read udp 10.42.1.7:41234->10.43.0.10:53: i/o timeout`
fn lookup_wrapped<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = message(said).trim();
    let is_end = text.starts_with("lookup ") && text.contains(" on ") || text.starts_with("read udp ");
    if !is_end || !text.contains(":53:") {
        return refuse(text);
    }
    let host = text.strip_prefix("lookup ").and_then(|left| left.split(' ').next()).unwrap_or("");
    let mut found = fault(text);
    if matches!(found.what, errors::What::Other | errors::What::TimedOut | errors::What::Refused) {
        found.what = errors::What::NameLookupFailed(host.into());
    }
    Ok(("", Fact::Dns(Dns { host: host.into(), fault: found })))
}

fn wasm_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message: &str = &said.message;
    let begins = [
        "error in converting the wasm config to local: ",
        "convert the wasm config: ",
        "cannot fetch Wasm module ",
        "failed to fetch Wasm module ",
        "wasm remote fetch ",
        "error in applying failopen rbac config: ",
        "fetched Wasm binary from ",
    ];
    if !begins.iter().any(|words| message.starts_with(words)) {
        return refuse(message);
    }
    let module = message.split_once(" fetch Wasm module ").map_or("", |(_, left)| left);
    let module = module.split(": ").next().unwrap_or("");
    let config = Config { resource: module.into(), what: ConfigWhat::Wasm, reason: message.into() };
    Ok(("", Fact::Config(config)))
}

/// `sending NACK for ECDS resources [..], err: ...`
fn ecds_nack<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (reason, _) =
        (tag("sending NACK for ECDS resources "), take_until("err: "), tag("err: ")).parse(message(said))?;
    let nack =
        Nack { side: Side::Client, kind: "ECDS".into(), node: None, resource: None, reason: first_line(reason).into() };
    Ok(("", Fact::Nack(nack)))
}

fn exhausted<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message: &str = &said.message;
    let lower = message.to_ascii_lowercase();
    let about_watches = lower.contains("inotify") || lower.contains("watch");
    let no_files = lower.contains("too many open files");
    let no_space = lower.contains("no space left on device");
    let what = match (no_files, no_space, about_watches) {
        (true, _, true) | (_, true, true) => "inotify watches",
        (true, _, false) => "file descriptors",
        (_, true, false) => "disk",
        _ => return refuse(message),
    };
    Ok(("", Fact::Exhausted(Exhausted { what: what.into(), reason: first_line(message).into() })))
}

fn iptables_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message: &str = &said.message;
    // The node agent's rules are read by istio-cni's own signatures.
    if said.scope.starts_with("cni") {
        return refuse(message);
    }
    let begins = [
        "Failed to execute: iptables",
        "Failed to execute: ip6tables",
        "Failed to execute: xtables",
        "Failed to execute: nft",
        "Command error output: ",
        "Command error: ",
        "failed to configure routes: ",
        "did not find iptables binary",
    ];
    let inside = [
        "unable to initialize table",
        "can't initialize iptables table",
        "can't initialize ip6tables table",
        "modprobe: FATAL: Module ip",
        "has no loaded kernel support and cannot be used",
        "Could not fetch rule set generation id",
        "can't open lock file /run/xtables.lock",
        "Another app is currently holding the xtables lock; still",
        "Couldn't load target `ISTIO_",
        "Couldn't load match `",
        "you must be root",
        "iptables-restore: line ",
        "iptables: Chain already exists",
    ];
    let failed =
        begins.iter().any(|words| message.starts_with(words)) || inside.iter().any(|words| message.contains(words));
    // Clean-up deletes rules that need not be there.
    let is_cleanup = [" -D ", " -F ", " -X "].iter().any(|flag| message.contains(flag));
    if failed && !is_cleanup {
        return Ok(("", Fact::Cni(Cni::RulesFailed(message.into()))));
    }
    refuse(message)
}

fn redirection_missing<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = message(said);
    let failed = text.contains("iptables validation failed; workload is not ready")
        || text.starts_with("Validation failed: ")
        || text.starts_with("Error connecting to ") && text.contains(":15002");
    if !failed {
        return refuse(text);
    }
    let mut found = fault(text);
    found.text = first_line(text).into();
    Ok(("", Fact::Cni(Cni::SetupFailed { pod: None, fault: found })))
}

fn wrong_architecture<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = message(said);
    if !text.trim_end().ends_with("exec format error") {
        return refuse(text);
    }
    Ok(("", Fact::Process(Process::Unsupported(text.into()))))
}

fn app_probe_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let words = alt((
        tag("Request to probe app failed: "),
        tag("Failed to create grpc connection to probe app: "),
        tag("grpc probe failed: "),
    ));
    let (left, _) = { words }.parse(message(said))?;
    Ok((left, Fact::Known))
}

fn chatter<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    const BEGINS: &[&str] = &[
        "ADS: new connection for node:",
        // Rules of an earlier run are removed first; there mostly are none.
        "Failed to execute: iptables -t nat -D ",
        "Failed to execute: iptables -t nat -F ",
        "Failed to execute: iptables -t nat -X ",
        "Failed to execute: iptables -t mangle -D ",
        "Failed to execute: iptables -t mangle -F ",
        "Failed to execute: iptables -t mangle -X ",
        "Agent already drained",
        "Agent has successfully terminated",
        "Aborted all epochs",
        "Aborted proxy instance",
        "Aborting epoch ",
        "Aborting proxy",
        "All caches have been synced up",
        "Apply mesh config from ",
        "Apply proxy config from ",
        "CA Endpoint ",
        "Checking for active connections",
        "Citadel client using ",
        "Command output: ",
        "Credential SDS socket found",
        "Effective config: ",
        "Envoy aborted normally",
        "Envoy command: ",
        "Envoy exited normally",
        "Envoy is ready!",
        "Epoch 0 exited normally",
        "Epoch 0 starting",
        "Error in invoking drain listeners endpoint",
        "Existing workload SDS socket found",
        "Existing file found at ",
        "FLAG: ",
        "Failed to delete config file ",
        "Failed to load key pair open ",
        "Graceful termination logic ended prematurely",
        "Graceful termination period complete",
        "Istio Agent uses default istiod CA",
        "Istio iptables environment",
        "Istio iptables variables",
        "JWT policy is ",
        "Loaded root cert from certificate ",
        "Maximum file descriptors ",
        "MixerSAN ",
        "Monitored certs: ",
        "No more active epochs",
        "Obtained private IP ",
        "Opening status port ",
        "Pilot SAN: ",
        "PilotSAN ",
        "Prometheus scraping configuration: ",
        "Proxy role",
        "Received new config, creating new Envoy epoch",
        "Root cert has changed, start rotating root cert",
        "Running command",
        "Running iptables-restore with the following input",
        "SDS gRPC server for workload UDS starts",
        "SDS server for workload certificates started",
        "SDS: PUSH",
        "Serving Connect Statistics",
        "Starting SDS ",
        "Starting default Istio SDS Server",
        "Starting gateway SDS",
        "Starting iptables validation",
        "Starting local ",
        "Starting proxy agent",
        "There are no more active connections",
        "There are still ",
        "Using CA ",
        "Using existing cert",
        "Using user-configured CA ",
        "Validation passed, iptables rules established",
        "Waiting for Envoy proxy to be ready",
        "Workload SDS socket ",
        "Workload is using file mounted certificates",
        "XDS: Incremental Pushing ConnectedEndpoints",
        "adding watcher for file certificate ",
        "adding watcher for symlink certificate ",
        "app connection is not closed",
        "ca request failed, starting attempt ",
        "cannot load key pair, using token instead",
        "concurrency is set to 0",
        "cpu limit detected as ",
        "dropping invalid log level",
        "downstream ",
        "envoy connection is not closed",
        "event for file certificate ",
        "failed scraping ",
        "failed to accept downstream gRPC connection",
        "failed to scraping and writing ",
        "failed to write ",
        "failed scraping and writing ",
        "failed writing application metrics",
        "istiod uses self-issued certificate",
        "legacy --concurrency=",
        "no certs found at ",
        "platform detected is ",
        "read certificate from file",
        "recreated connection",
        "registered overlapping stream",
        "returned workload certificate from cache",
        "returned workload trust anchor from cache",
        "serverOptions.CAEndpoint == ",
        "slow generate secret lock",
        "starting Http service at ",
        "the CA cert of istiod is: ",
        "timed out waiting for platform detection",
        "using credential fetcher of ",
        "watchFileEvents",
        "watching ",
    ];
    let message: &str = &said.message;
    if BEGINS.iter().any(|words| message.starts_with(words)) {
        return Ok(("", Fact::Known));
    }
    refuse(message)
}

/// An error text; up to 1.11 istiod's refusal came with the code `Unknown`.
fn fault(text: &str) -> Fault {
    let mut found = errors::fault(text.trim());
    let is_refusal = text.contains("authentication failure") || text.contains("authenticate failure");
    if found.what == errors::What::Other && is_refusal {
        found.what = errors::What::Unauthorized;
    }
    found
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header;

    fn said(text: &str) -> Fact {
        let (said, _) = header::read(text, None);
        SIGNATURES
            .iter()
            .find_map(|signature| (signature.read)(&said).ok())
            .map_or_else(|| panic!("no signature reads {text}"), |(_, fact)| fact)
    }

    #[test]
    fn rejected_updates_are_counted_over_clusters_and_listeners() {
        let text = "2025-01-01T00:00:00Z\twarn\tEnvoy proxy is NOT ready: config not received from XDS server (is Istiod running?): \
                    cds updates: 1 successful, 2 rejected; lds updates: 0 successful, 13 rejected";
        let Fact::Stream(stream) = said(text) else { panic!("not a stream") };
        assert_eq!(stream.what, StreamWhat::NotReady { rejected: 15 });
    }

    #[test]
    fn deleting_a_rule_that_is_not_there_is_no_failure() {
        let line = "2023-11-01T01:27:02.836001Z\terror\tFailed to execute: iptables -t nat -D PREROUTING -p tcp -j ISTIO_INBOUND, exit status 1";
        assert_eq!(said(line), Fact::Known);
    }

    #[test]
    fn envoy_ended_by_a_signal_from_outside_did_not_die() {
        assert_eq!(
            said("2025-01-01T00:00:00Z\terror\tEnvoy exited with error: signal: terminated"),
            Fact::Process(Process::Stopping)
        );
    }
}
