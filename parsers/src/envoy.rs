//! Envoy's application log, in its own form and in Istio's (`envoyproxy/envoy: source/`); the access log is in `access`.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_until};
use nom::character::complete::digit1;
use nom::combinator::opt;
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

use crate::access::Request;
use crate::agent;
use crate::errors::{self, Fault, What};
use crate::event::{
    Addr, CertificateWhat, Config, ConfigWhat, Dns, Exhausted, Fact, Handshake, Level, Nack, Policy, PolicyWhat,
    Process, Side, Stream, StreamWhat, Text,
};
use crate::signature::{Said, Signature, refuse};

/// The known messages.
pub static SIGNATURES: &[Signature] = &[
    Signature {
        name: "envoy-secrets-stream-closed",
        printed_by: "envoyproxy/envoy: source/extensions/config_subscription/grpc/grpc_stream.h",
        versions: "all",
        meaning: "The agent in the same container did not hand out a certificate.",
        points_to: &["sds-secret-missing", "istiod-unreachable", "jwt-invalid"],
        examples: &[
            "2025-02-05T09:29:16.133310Z\twarning\tenvoy config external/envoy/source/extensions/config_subscription/grpc/grpc_stream.h:155\tStreamSecrets gRPC config stream to sds-grpc closed: 2, failed to generate secret for default: failed to generate workload certificate: create certificate: rpc error: code = Unauthenticated desc = request authenticate failure\tthread=15",
            "2021-11-08T10:00:00.133310Z\twarning\tenvoy config\tStreamSecrets gRPC config stream closed: 2, failed to generate secret for file-cert:/etc/certs/cert-chain.pem~/etc/certs/key.pem: open /etc/certs/cert-chain.pem: no such file or directory",
            "2022-07-14T13:03:40.083115Z\twarning\tenvoy config\tStreamSecrets gRPC config stream closed since 82s ago: 14, upstream connect error or disconnect/reset before headers. reset reason: connection failure, transport failure reason: immediate connect error: No such file or directory",
        ],
        read: secrets_stream_closed,
    },
    Signature {
        name: "envoy-stream-closed",
        printed_by: "envoyproxy/envoy: source/extensions/config_subscription/grpc/grpc_stream.h",
        versions: "all",
        meaning: "The stream for configuration was refused or broke; codes 0 and 13 and a clean end are ordinary.",
        points_to: &["istiod-unreachable", "istiod-down", "jwt-invalid", "root-of-trust-mismatch", "dns-failure"],
        examples: &[
            "2025-03-11T09:14:16.133310Z\twarning\tenvoy config external/envoy/source/extensions/config_subscription/grpc/grpc_stream.h:226\tDeltaAggregatedResources gRPC config stream to xds-grpc closed since 22s ago: 14, connection error: desc = \"transport: Error while dialing: dial tcp 10.43.7.9:15012: i/o timeout\"\tthread=18",
            "2022-01-02T06:20:31.849353Z\twarning\tenvoy config\tStreamAggregatedResources gRPC config stream closed: 16, authentication failure",
            "2021-04-06T10:49:31.709949Z\twarning\tenvoy config\tStreamAggregatedResources gRPC config stream closed: 0,",
            "2020-06-29T14:49:48.938127Z\twarning\tenvoy config\t[bazel-out/k8-opt/bin/external/envoy/source/common/config/_virtual_includes/grpc_stream_lib/common/config/grpc_stream.h:92] StreamAggregatedResources gRPC config stream closed: 14, no healthy upstream",
            "[2020-03-06 14:33:59.538][19][warning][config] [bazel-out/k8-opt/grpc_stream.h:91] gRPC config stream closed: 13,",
        ],
        read: stream_closed,
    },
    Signature {
        name: "envoy-stream-not-opened",
        printed_by: "envoyproxy/envoy: source/extensions/config_subscription/grpc/grpc_stream.h",
        versions: "all",
        meaning: "The stream for configuration could not be opened; the reason stands in another line.",
        points_to: &["istiod-unreachable"],
        examples: &[
            "2020-06-29T14:49:48.938198Z\twarning\tenvoy config\tUnable to establish new stream",
            "2023-06-29T14:49:48.938198Z\twarning\tenvoy config\tUnable to establish new stream to configuration server xds-grpc",
        ],
        read: stream_not_opened,
    },
    Signature {
        name: "envoy-config-rejected",
        printed_by: "envoyproxy/envoy: source/extensions/config_subscription/grpc/grpc_subscription_impl.cc",
        versions: "all",
        meaning: "This proxy rejects a pushed configuration and keeps the old one.",
        points_to: &["xds-rejected", "port-conflict", "wasm-failure", "version-skew"],
        examples: &[
            "2025-03-11T09:14:16.133310Z\twarning\tenvoy config external/envoy/source/extensions/config_subscription/grpc/delta_subscription_state.cc:296\tdelta config for type.googleapis.com/envoy.config.listener.v3.Listener rejected: Error adding/updating listener(s) 0.0.0.0_8443: terminal filter named envoy.filters.network.tcp_proxy must be the last filter in a network filter chain.\tthread=20",
            "2022-11-29T09:36:47.012533Z\twarning\tenvoy config\tgRPC config for type.googleapis.com/envoy.config.listener.v3.Listener rejected: Error adding/updating listener(s) virtualInbound: Unable to create Wasm HTTP filter",
            "[2020-05-07 10:00:00.000][19][warning][config] [source/common/config/grpc_mux_impl.cc:226] gRPC config for type.googleapis.com/envoy.api.v2.Cluster update rejected: Error adding/updating cluster(s) web: unknown transport",
        ],
        read: config_rejected,
    },
    Signature {
        name: "envoy-listener-refused",
        printed_by: "envoyproxy/envoy: source/common/listener_manager/listener_manager_impl.cc",
        versions: "all",
        meaning: "A listener could not be added; the words of the rejection without its frame.",
        points_to: &["xds-rejected", "port-conflict"],
        examples: &[
            "error adding listener: 'virtualOutbound' has duplicate address '0.0.0.0:15001' as existing listener",
            "Error adding/updating listener(s) 0.0.0.0_443: error adding listener '0.0.0.0:443': multiple filter chains with the same matching rules are defined",
        ],
        read: listener_refused,
    },
    Signature {
        name: "envoy-listener-rejected",
        printed_by: "envoyproxy/envoy: source/common/listener_manager/lds_api.cc",
        versions: "Envoy 1.39+",
        meaning: "A listener is rejected; the rejection of the whole push follows.",
        points_to: &["xds-rejected", "port-conflict"],
        examples: &[
            "2026-11-21T19:08:22.123254Z\twarning\tenvoy upstream source/common/listener_manager/lds_api.cc:88\tlds: listener '0.0.0.0_443' config rejected: Error: terminal filter named envoy.filters.network.http_connection_manager of type envoy.filters.network.http_connection_manager must be the last filter in a network filter chain.\tthread=25145",
        ],
        read: listener_rejected,
    },
    Signature {
        name: "envoy-initial-fetch-timed-out",
        printed_by: "envoyproxy/envoy: source/extensions/config_subscription/grpc/grpc_subscription_impl.cc",
        versions: "all",
        meaning: "A resource was asked for and never came; for a secret this leaves a listener without its certificate.",
        points_to: &["sds-secret-missing"],
        examples: &[
            "2025-03-11T09:14:16.133310Z\twarning\tenvoy config\tgRPC config: initial fetch timed out for type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            "2025-03-11T09:14:16.133310Z\twarning\tenvoy config\tdelta config: initial fetch timed out for type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
        ],
        read: initial_fetch_timed_out,
    },
    Signature {
        name: "envoy-port-taken",
        printed_by: "envoyproxy/envoy: source/common/listener_manager",
        versions: "all",
        meaning: "A listener's port is taken by another program in the pod or on the machine.",
        points_to: &["port-conflict"],
        examples: &[
            "2025-03-11T09:14:16.133310Z\twarning\tenvoy config\tlistener '0.0.0.0_8080' failed to bind or apply socket options: cannot bind '0.0.0.0:8080': Address already in use",
            "2025-03-11T09:14:16.133310Z\tcritical\tenvoy main\terror initializing configuration 'etc/istio/proxy/envoy-rev.json': cannot bind '0.0.0.0:15090': Address already in use",
            "2021-03-11T09:14:16.133310Z\tcritical\tenvoy main\tunable to bind domain socket with base_id=0, id=0, errno=98 (see --base-id option)",
        ],
        read: port_taken,
    },
    Signature {
        name: "envoy-start-failed",
        printed_by: "envoyproxy/envoy: source/server/server.cc",
        versions: "all",
        meaning: "Envoy's first configuration is unusable: it exits.",
        points_to: &["config-invalid", "sds-secret-missing", "version-skew"],
        examples: &[
            "2025-03-11T09:14:16.133310Z\tcritical\tenvoy main\terror initializing configuration 'etc/istio/proxy/envoy-rev.json': Protobuf message (type envoy.config.bootstrap.v3.Bootstrap reason INVALID_ARGUMENT: has unknown fields",
            "2021-03-11T09:14:16.133310Z\tcritical\tenvoy main\terror initializing configuration '/etc/istio/proxy/envoy-rev0.json': Invalid path: ./var/run/secrets/istio/root-cert.pem",
        ],
        read: start_failed,
    },
    Signature {
        name: "envoy-crashed",
        printed_by: "envoyproxy/envoy: source/common/signal, source/common/common/assert.cc",
        versions: "all",
        meaning: "Envoy crashed.",
        points_to: &["wasm-failure", "known-bug", "resource-exhaustion"],
        examples: &[
            "2025-03-11T09:14:16.133310Z\tcritical\tenvoy backtrace\tCaught Segmentation fault, suspect faulting address 0x0",
            "2025-03-11T09:14:16.133310Z\tcritical\tenvoy backtrace\tCaught Bus error, suspect faulting address 0x7f0a",
            "2025-03-11T09:14:16.133310Z\tcritical\tenvoy assert\tassert failure: inotify_fd_ >= 0. Details: Consider increasing value of user.max_inotify_watches via sysctl",
            "2025-03-11T09:14:16.133310Z\tcritical\tenvoy assert\tassert failure: !in_use_. Details: none",
            "2025-03-11T09:14:16.133310Z\tcritical\tenvoy assert\tassert failure: SOCKET_VALID(result.return_value_). Details: socket(2) failed, got error: Too many open files",
        ],
        read: crashed,
    },
    Signature {
        name: "envoy-exhausted",
        printed_by: "envoyproxy/envoy: source/common/filesystem/inotify, source/server/overload_manager_impl.cc",
        versions: "all",
        meaning: "File descriptors, inotify watches, memory or connections ran out.",
        points_to: &["resource-exhaustion"],
        examples: &[
            "2025-03-11T09:14:16.133310Z\twarning\tenvoy config\tgRPC config for x update failed: unable to add filesystem watch for file ./etc/certs/key.pem: No space left on device",
            "2025-03-11T09:14:16.133310Z\twarning\tenvoy conn_handler\tlistener accept failure: Too many open files",
            "2025-03-11T09:14:16.133310Z\tinfo\tenvoy main\tOverload action envoy.overload_actions.stop_accepting_requests became saturated",
            "2025-03-11T09:14:16.133310Z\tcritical\tenvoy main\tstd::bad_alloc: out of memory",
        ],
        read: exhausted,
    },
    Signature {
        name: "envoy-wasm-failed",
        printed_by: "envoyproxy/envoy: source/extensions/common/wasm; proxy-wasm-cpp-host",
        versions: "1.5+",
        meaning: "A Wasm module could not be loaded, started or run.",
        points_to: &["wasm-failure"],
        examples: &[
            "2021-02-03T21:42:31.850770Z\terror\tenvoy wasm\tWasm VM failed Failed to load Wasm code",
            "2021-02-03T21:42:31.892530Z\tcritical\tenvoy wasm\tPlugin configured to fail closed failed to load",
            "2025-03-11T09:14:16.133310Z\terror\tenvoy wasm\tFailed to load Wasm module due to a missing import: env.proxy_get_tick",
            "2025-03-11T09:14:16.133310Z\terror\tenvoy wasm\tFunction: proxy_on_request_headers failed: Uncaught RuntimeError: unreachable",
            "2025-03-11T09:14:16.133310Z\terror\tenvoy wasm\tProxy-Wasm plugin in-VM backtrace:",
            "2025-03-11T09:14:16.133310Z\tcritical\tenvoy wasm\tFailed to restart VM, plugin failed closed",
        ],
        read: wasm_failed,
    },
    Signature {
        name: "envoy-lua-failed",
        printed_by: "envoyproxy/envoy: source/extensions/filters/http/lua",
        versions: "all",
        meaning: "A Lua script of an EnvoyFilter failed.",
        points_to: &["config-invalid"],
        examples: &[
            "2025-03-11T09:14:16.133310Z\terror\tenvoy lua\tscript log: [string \"function envoy_on_request(request_handle)...\"]:3: attempt to index a nil value",
        ],
        read: lua_failed,
    },
    Signature {
        name: "envoy-tls-failed",
        printed_by: "envoyproxy/envoy: source/common/tls/ssl_socket.cc",
        versions: "all",
        meaning: "A TLS handshake failed; the codes say who refused whom.",
        points_to: &[
            "client-cert-rejected",
            "root-of-trust-mismatch",
            "plaintext-to-tls-port",
            "workload-cert-expired",
        ],
        examples: &[
            "2025-03-11T09:14:16.133310Z\tdebug\tenvoy connection external/envoy/source/common/tls/ssl_socket.cc:269\t[Tags: \"ConnectionId\":\"79\"] remote address:10.42.1.7:53492,TLS_error:|268435648:SSL routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE:TLS_error_end\tthread=28",
            "2021-06-02T09:00:00.133310Z\tdebug\tenvoy connection\t[C91] TLS error: 268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER",
            "[2020-05-07 10:00:00.000][19][debug][connection] [source/extensions/transport_sockets/tls/ssl_socket.cc:201] [C91] TLS error: 268435612:SSL routines:OPENSSL_internal:HTTP_REQUEST",
        ],
        read: tls_failed,
    },
    Signature {
        name: "envoy-secret-not-supplied",
        printed_by: "envoyproxy/envoy: source/common/tls/ssl_socket.cc",
        versions: "all",
        meaning: "A connection came before the listener or cluster had its certificate.",
        points_to: &["sds-secret-missing"],
        examples: &[
            "2021-06-02T09:00:00.133310Z\tdebug\tenvoy connection\t[C91] TLS error: Secret is not supplied by SDS",
        ],
        read: secret_not_supplied,
    },
    Signature {
        name: "envoy-rbac-decision",
        printed_by: "envoyproxy/envoy: source/extensions/filters/http/rbac, network/rbac",
        versions: "all",
        meaning: "An AuthorizationPolicy denied a call, or (shadow) would have.",
        points_to: &["authz-denied"],
        examples: &[
            "2025-03-11T09:14:16.133310Z\tdebug\tenvoy rbac external/envoy/source/extensions/filters/http/rbac/rbac_filter.cc:244\t[Tags: \"ConnectionId\":\"7\",\"StreamId\":\"77\"] enforced denied, matched policy ns[shop]-policy[only-web]-rule[0]\tthread=20",
            "2021-06-02T09:00:00.133310Z\tdebug\tenvoy rbac\tenforced denied",
            "rbac_log: enforced denied, matched policy ns[shop]-policy[only-web]-rule[0]",
            "2021-06-02T09:00:00.133310Z\tdebug\tenvoy rbac\tshadow denied, matched policy none",
            "2021-06-02T09:00:00.133310Z\tdebug\tenvoy rbac\tenforced allowed, matched policy ns[shop]-policy[only-web]-rule[0]",
        ],
        read: rbac_decision,
    },
    Signature {
        name: "envoy-jwt-decision",
        printed_by: "envoyproxy/envoy: source/extensions/filters/http/jwt_authn",
        versions: "all",
        meaning: "The end user's token was refused, or the keys to check it could not be fetched.",
        points_to: &["jwt-authn-failed"],
        examples: &[
            "2025-03-11T09:14:16.133310Z\tdebug\tenvoy jwt\tJwt authentication completed with: Jwt is expired",
            "2025-03-11T09:14:16.133310Z\tdebug\tenvoy jwt\tJwt authentication completed with: Jwks remote fetch is failed",
            "2025-03-11T09:14:16.133310Z\twarning\tenvoy jwt\tJwks async fetching url=https://login.shop.test/keys: failed",
            "2025-03-11T09:14:16.133310Z\tdebug\tenvoy jwt\tfetch pubkey [uri = https://login.shop.test/keys]: failed",
            "2025-03-11T09:14:16.133310Z\tdebug\tenvoy jwt\tJwt authentication completed with: OK",
        ],
        read: jwt_decision,
    },
    Signature {
        name: "envoy-ext-authz-decision",
        printed_by: "envoyproxy/envoy: source/extensions/filters/http/ext_authz",
        versions: "all",
        meaning: "The external authorizer denied a request, or could not be asked.",
        points_to: &["authz-denied", "ext-authz-failed"],
        examples: &[
            "2025-03-11T09:14:16.133310Z\tdebug\tenvoy ext_authz\t[Tags: \"ConnectionId\":\"7\",\"StreamId\":\"77\"] ext_authz filter rejected the request. Response status code: '403",
            "2025-03-11T09:14:16.133310Z\ttrace\tenvoy filter\tCheckRequest call failed with status: Unavailable",
            "2025-03-11T09:14:16.133310Z\tdebug\tenvoy filter\text_authz filter rejected the request with an error. Response status code: 403",
        ],
        read: ext_authz_decision,
    },
    Signature {
        name: "envoy-upstream-reset",
        printed_by: "envoyproxy/envoy: source/common/router/router.cc",
        versions: "all",
        meaning: "A request's upstream connection failed; the transport's reason is told where there is one.",
        points_to: &["root-of-trust-mismatch", "upstream-closed-connection"],
        examples: &[
            "2025-03-11T09:14:16.133310Z\tdebug\tenvoy router\t[C5639][S7201] upstream reset: reset reason: connection failure, transport failure reason: TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end",
            "2025-03-11T09:14:16.133310Z\tdebug\tenvoy router\t[C5639][S7201] upstream reset: reset reason: connection termination, transport failure reason: ",
        ],
        read: upstream_reset,
    },
    Signature {
        name: "envoy-local-reply",
        printed_by: "envoyproxy/envoy: source/common/http/conn_manager_impl.cc",
        versions: "1.5+",
        meaning: "Envoy answered a request itself; the details say why, as an access line would.",
        points_to: &["upstream-closed-connection", "no-route", "no-healthy-upstream", "authz-denied"],
        examples: &[
            "2025-03-11T09:14:16.133310Z\tdebug\tenvoy http external/envoy/source/common/http/filter_manager.cc:1079\t[Tags: \"ConnectionId\":\"9\",\"StreamId\":\"4\"] Sending local reply with details upstream_reset_before_response_started{connection_termination}\tthread=20",
            "2021-06-02T09:00:00.133310Z\tdebug\tenvoy http\t[C9][S4] Sending local reply with details no_healthy_upstream",
        ],
        read: local_reply,
    },
    Signature {
        name: "envoy-headers-refused",
        printed_by: "envoyproxy/envoy: source/common/http/http1/codec_impl.cc, http2/codec_impl.cc",
        versions: "all",
        meaning: "Envoy refused headers that are too many or too big.",
        points_to: &["header-limit-exceeded"],
        examples: &[
            "2025-03-11T09:14:16.133310Z\tdebug\tenvoy http\t[C12] dispatch error: headers size exceeds limit\tthread=25",
            "2025-03-11T09:14:16.133310Z\tdebug\tenvoy client\t[C12] Error dispatching received data: headers count exceeds limit",
        ],
        read: headers_refused,
    },
    Signature {
        name: "envoy-dns-failed",
        printed_by: "envoyproxy/envoy: source/extensions/network/dns_resolver/cares",
        versions: "all",
        meaning: "Envoy could not resolve the name of an upstream.",
        points_to: &["dns-failure"],
        examples: &[
            "2025-03-11T09:14:16.133310Z\tdebug\tenvoy dns\tdns resolution for pay.shop.test failed with c-ares status 12",
            "2025-03-11T09:14:16.133310Z\tdebug\tenvoy upstream\tDNS resolution for pay.shop.test failed with rcode 3",
            "2025-03-11T09:14:16.133310Z\tdebug\tenvoy dns\tDNS resolution failure for pay.shop.test with c-ares status 12",
            "2025-03-11T09:14:16.133310Z\twarning\tenvoy dns\tDNS resolution failed for pay.shop.test with c-ares status 4",
        ],
        read: dns_failed,
    },
    Signature {
        name: "envoy-stopping",
        printed_by: "envoyproxy/envoy: source/server/server.cc",
        versions: "all",
        meaning: "Envoy is asked to stop.",
        points_to: &[],
        examples: &[
            "2025-03-11T09:14:16.133310Z\twarning\tenvoy main\tcaught ENVOY_SIGTERM",
            "2020-03-11T09:14:16.133310Z\twarning\tenvoy main\tcaught SIGTERM",
        ],
        read: stopping,
    },
    Signature {
        name: "envoy-chatter",
        printed_by: "envoyproxy/envoy",
        versions: "all",
        meaning: "What Envoy says below warning, and warnings that ask for nothing.",
        points_to: &[],
        examples: &[
            "2025-03-11T09:14:16.133310Z\tinfo\tenvoy upstream\tlds: add/update listener 'virtualOutbound'",
            "2025-03-11T09:14:16.133310Z\tdebug\tenvoy http\t[C1][S2] request end stream",
            "2025-03-11T09:14:16.133310Z\twarning\tenvoy runtime\tUsage of the deprecated runtime key overload.global_downstream_max_connections, consider switching to `envoy.resource_monitors.global_downstream_max_connections` instead.",
            "2025-03-11T09:14:16.133310Z\twarning\tenvoy main\tThere is no configured limit to the number of allowed active downstream connections.",
            "2025-03-11T09:14:16.133310Z\twarning\tenvoy wasm\twasm log shop.auth: token checked",
            "2025-03-11T09:14:16.133310Z\tcritical\tenvoy backtrace\t#3: Envoy::Server::InstanceImpl::run() [0x55]",
        ],
        read: chatter,
    },
];

/// The message behind the connection and stream it speaks of: `[Tags: ...] `, `[C5][S7] `.
fn message<'a>(said: &'a Said<'a>) -> &'a str {
    let mut text: &str = &said.message;
    while let Some(inside) = text.strip_prefix('[') {
        let tagged =
            inside.starts_with("Tags: ") || inside.starts_with(['C', 'S']) && inside[1..].starts_with(is_digit);
        let Some((_, left)) = inside.split_once(']').filter(|_| tagged) else { break };
        text = left.trim_start();
    }
    text
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// `StreamSecrets gRPC config stream[ to sds-grpc] closed[ since Ns ago]: ` and its older forms; the text left is the status.
fn closed_stream(input: &str) -> IResult<&str, &str> {
    let (left, method) = take_until("gRPC config stream").parse(input)?;
    let (left, _) = tag("gRPC config stream").parse(left)?;
    let (left, _) = opt((tag(" to "), take_till(|c| c == ' '))).parse(left)?;
    let (left, _) = tag(" closed").parse(left)?;
    let (left, _) = opt((tag(" since "), digit1, tag("s ago"))).parse(left)?;
    let (left, _) = tag(":").parse(left)?;
    Ok((left.trim_start(), method.trim()))
}

/// A gRPC status as Envoy prints it: `14, <text>`. Also tells whether it is an ordinary end.
fn status(input: &str) -> IResult<&str, (u32, &str)> {
    let (left, number) = digit1.parse(input)?;
    let (left, _) = tag(",").parse(left)?;
    let text = left.trim();
    // `16, desc (previously 14, desc since 4s ago)`
    let text = text.rsplit_once(" (previously ").map_or(text, |(text, _)| text);
    match number.parse() {
        Ok(number) => Ok(("", (number, text))),
        Err(_) => refuse(input),
    }
}

/// A status without text, a planned end of the connection, or our own stop.
fn is_ordinary_end(code: u32, text: &str, found: &Fault) -> bool {
    const PLANNED: [&str; 5] = ["max_age", "graceful_stop", "NO_ERROR", "transport is closing", "client disconnected"];
    code == 0
        || code == 1
        || (matches!(code, 2 | 13 | 14) && text.is_empty())
        || PLANNED.iter().any(|words| text.contains(words))
        || found.what == What::Benign
}

/// What a status with a number in front says; codes speak where the text does not.
fn fault_of(code: u32, text: &str) -> Fault {
    let mut found = errors::fault(text);
    let names = ["authentication failure", "authenticate failure"];
    if matches!(found.what, What::Other | What::Unreachable) {
        found.what = match code {
            _ if names.iter().any(|words| text.contains(words)) => What::Unauthorized,
            4 => What::TimedOut,
            7 => What::Forbidden { user: "".into(), resource: "".into() },
            14 if found.what == What::Other => What::Unreachable,
            16 => What::Unauthorized,
            _ => found.what,
        };
    }
    if found.code.is_none() {
        found.code = code_name(code).map(Into::into);
    }
    found
}

fn code_name(code: u32) -> Option<&'static str> {
    Some(match code {
        2 => "Unknown",
        4 => "DeadlineExceeded",
        5 => "NotFound",
        7 => "PermissionDenied",
        8 => "ResourceExhausted",
        12 => "Unimplemented",
        13 => "Internal",
        14 => "Unavailable",
        16 => "Unauthenticated",
        _ => return None,
    })
}

fn client_stream(what: StreamWhat) -> Fact {
    Fact::Stream(Stream { side: Side::Client, address: None, node: None, what })
}

fn secrets_stream_closed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (left, method) = closed_stream(message(said))?;
    if !method.contains("Secrets") {
        return refuse(left);
    }
    let (left, (code, text)) = status(left)?;
    let reason = secret_reason(text);
    let found = fault_of(code, reason);
    if is_ordinary_end(code, text, &found) {
        return Ok((left, Fact::Known));
    }
    let no_file = text.contains("no such file") || text.contains("No such file") || text.contains("not found");
    let what = match no_file {
        true => CertificateWhat::Missing(text.into()),
        false => CertificateWhat::Failed(found),
    };
    Ok((left, agent::client_certificate(what)))
}

/// The error behind the agent's words: `failed to generate secret for default: failed to generate workload certificate: ...`
fn secret_reason(text: &str) -> &str {
    const WORDS: [&str; 2] = ["create certificate: ", "failed to generate workload certificate: "];
    WORDS.iter().find_map(|words| text.split_once(words)).map_or(text, |(_, reason)| reason)
}

fn stream_closed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (left, _) = closed_stream(message(said))?;
    let (left, (code, text)) = status(left)?;
    let found = fault_of(code, text);
    let what = match is_ordinary_end(code, text, &found) {
        true => StreamWhat::Ended,
        false => StreamWhat::Closed(found),
    };
    Ok((left, client_stream(what)))
}

fn stream_not_opened<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (left, _) = tag("Unable to establish new stream").parse(message(said))?;
    let mut found = errors::fault(message(said));
    found.what = What::Unreachable;
    Ok((left, client_stream(StreamWhat::Refused(found))))
}

/// `gRPC config for <type> rejected: <reason>`, `delta config for ...`, `... update rejected: ...`
fn config_rejected<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let begins = alt((tag("gRPC config for "), tag("delta config for "), tag("Delta config for ")));
    let (left, url) = preceded(begins, take_till(|c| c == ' ')).parse(message(said))?;
    let (reason, _) = (opt(tag(" update")), tag(" rejected:")).parse(left)?;
    // Some people wrap the line, or put a comment sign in front of what follows.
    let reason = reason.trim_start_matches([' ', '\n', '\t', '#']);
    let nack = Nack {
        side: Side::Client,
        kind: kind_of(url).into(),
        node: None,
        resource: rejected_resource(reason).map(Into::into),
        reason: reason.lines().next().unwrap_or("").trim().into(),
    };
    Ok(("", Fact::Nack(nack)))
}

/// `error adding listener: '<name>' has duplicate address ...`, `Error adding/updating listener(s) <name>: ...`
fn listener_refused<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let begins = alt((tag("error adding listener"), tag("Error adding/updating listener")));
    let (left, _) = { begins }.parse(message(said))?;
    let reason = message(said).lines().next().unwrap_or("");
    let quoted = left.split('\'').nth(1);
    let nack = Nack {
        side: Side::Client,
        kind: "LDS".into(),
        node: None,
        resource: rejected_resource(reason).or(quoted).map(Into::into),
        reason: reason.into(),
    };
    Ok(("", Fact::Nack(nack)))
}

/// `lds: listener '<name>' config rejected: ...`
fn listener_rejected<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (reason, name) =
        delimited(tag("lds: listener '"), take_until("'"), tag("' config rejected: ")).parse(message(said))?;
    let nack = Nack {
        side: Side::Client,
        kind: "LDS".into(),
        node: None,
        resource: Some(name.into()),
        reason: reason.lines().next().unwrap_or("").trim().into(),
    };
    Ok(("", Fact::Nack(nack)))
}

/// `LDS` for a listener's type URL, and so on; the URL itself where it is another.
fn kind_of(url: &str) -> &str {
    match url.rsplit('.').next().unwrap_or("") {
        "Listener" => "LDS",
        "Cluster" => "CDS",
        "RouteConfiguration" | "ScopedRouteConfiguration" => "RDS",
        "ClusterLoadAssignment" => "EDS",
        "Secret" => "SDS",
        "TypedExtensionConfig" => "ECDS",
        "Runtime" => "RTDS",
        _ => url,
    }
}

/// The first resource that a rejection names: `Error adding/updating listener(s) 0.0.0.0_8443: ...`
fn rejected_resource(reason: &str) -> Option<&str> {
    const BEGINS: [&str; 5] = [
        "Error adding/updating listener(s) ",
        "Error adding/updating listener ",
        "Error adding/updating cluster(s) ",
        "Error adding/updating/removing cluster(s) ",
        "Error adding listener ",
    ];
    let named = BEGINS.iter().find_map(|words| reason.split_once(words)).map(|(_, left)| left)?;
    named.split(": ").next().map(str::trim).filter(|name| !name.is_empty() && !name.contains(char::is_whitespace))
}

fn initial_fetch_timed_out<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let begins = alt((tag("gRPC config: "), tag("delta config: "), tag("Delta config: ")));
    let (left, _) = (begins, tag("initial fetch timed out for ")).parse(message(said))?;
    let url = left.trim();
    let fact = match kind_of(url) {
        "SDS" => agent::client_certificate(CertificateWhat::Missing(message(said).into())),
        _ => Fact::Known,
    };
    Ok(("", fact))
}

fn port_taken<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = message(said);
    let bind = text.contains("cannot bind") && text.contains("Address already in use");
    if bind && !text.contains(" rejected: ") || text.starts_with("unable to bind domain socket with base_id=") {
        return Ok(("", Fact::Process(Process::PortTaken(text.into()))));
    }
    refuse(text)
}

fn start_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let begins = alt((tag("error initializing configuration "), tag("error initializing config ")));
    let (left, _) = (begins, delimited(tag("'"), take_until("'"), tag("'")), tag(": ")).parse(message(said))?;
    let reason = left.lines().next().unwrap_or("");
    let about_file = ["Invalid path: ", "unable to read file: "].iter().find_map(|words| reason.split_once(words));
    let is_secret = |file: &str| file.ends_with(".pem") || file.ends_with(".crt") || file.contains("/certs");
    let fact = match about_file {
        Some((_, file)) if is_secret(file.trim()) => agent::client_certificate(CertificateWhat::Missing(reason.into())),
        _ => Fact::Config(Config {
            resource: "Envoy's first configuration".into(),
            what: if reason.contains("Wasm") { ConfigWhat::Wasm } else { ConfigWhat::Invalid },
            reason: reason.into(),
        }),
    };
    Ok(("", fact))
}

fn crashed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = message(said);
    let caught = text.strip_prefix("Caught ").or(text.strip_prefix("caught ")).filter(|left| !left.contains("SIG"));
    let assert = text.starts_with("assert failure: ") || text.starts_with("panic: ");
    if text.contains("inotify") && assert {
        return Ok(("", exhaustion("inotify watches", text)));
    }
    if text.contains("Too many open files") && assert {
        return Ok(("", exhaustion("file descriptors", text)));
    }
    match caught {
        Some(signal) if signal.contains("suspect faulting address") => {
            let signal = signal.split(',').next().unwrap_or(signal);
            Ok(("", Fact::Process(Process::Died(signal.into()))))
        }
        _ if assert => Ok(("", Fact::Process(Process::Died(text.lines().next().unwrap_or("").into())))),
        _ => refuse(text),
    }
}

fn exhaustion(what: &str, text: &str) -> Fact {
    Fact::Exhausted(Exhausted { what: what.into(), reason: text.lines().next().unwrap_or("").into() })
}

fn exhausted<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = message(said);
    let watch = text.contains("unable to add filesystem watch") || text.contains("inotify");
    let full = text.contains("No space left on device") || text.contains("Too many open files");
    let overload = text.starts_with("Overload action ") && text.trim_end().ends_with(" became saturated");
    let what = match () {
        () if watch && full => "inotify watches",
        () if text.contains("Too many open files") => "file descriptors",
        () if text.contains("No space left on device") => "disk",
        () if text.contains("bad_alloc") || text.contains("out of memory") || overload => "memory",
        () => return refuse(text),
    };
    Ok(("", exhaustion(what, text)))
}

fn wasm_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    const BEGINS: [&str; 12] = [
        "Wasm VM failed ",
        "Plugin configured to fail closed failed to load",
        "Failed to load Wasm",
        "Failed to initialize Wasm",
        "Failed to restart VM",
        "Failed to create Wasm",
        "Unable to create Wasm",
        "Function: ",
        "Proxy-Wasm plugin in-VM backtrace",
        "Uncaught RuntimeError",
        "Error fetching Wasm",
        "Failed to fetch Wasm",
    ];
    let text = message(said);
    let is_loud = said.level >= Level::Warn;
    if is_loud && said.scope.contains("wasm") && BEGINS.iter().any(|words| text.starts_with(words)) {
        let reason: Text = text.lines().next().unwrap_or("").into();
        return Ok(("", Fact::Config(Config { resource: "".into(), what: ConfigWhat::Wasm, reason })));
    }
    refuse(text)
}

fn lua_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = message(said);
    let failed = text.starts_with("script log: [string \"") || text.starts_with("script load error: ");
    if !(said.scope.contains("lua") && said.level >= Level::Error && failed) {
        return refuse(text);
    }
    let reason: Text = text.lines().next().unwrap_or("").into();
    Ok(("", Fact::Config(Config { resource: "Lua filter".into(), what: ConfigWhat::Invalid, reason })))
}

/// `[remote address:10.0.0.1:53492,]TLS_error:|<code>:SSL routines:...:TLS_error_end`, `TLS error: <code>:SSL routines:...`
fn tls_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let remote = delimited(tag("remote address:"), take_till(|c| c == ','), tag(","));
    let (left, peer) = opt(remote).parse(message(said))?;
    let (_, _) = alt((tag("TLS_error:"), tag("TLS error: "))).parse(left)?;
    if !left.contains("SSL routines") {
        return refuse(left);
    }
    let peer = peer.and_then(Addr::parse);
    Ok(("", Fact::Handshake(Handshake { side: side_of(peer.as_ref(), left), peer, fault: errors::fault(left) })))
}

/// Which side we are: what only a server can say, else whether the other end's port is one that clients use.
fn side_of(peer: Option<&Addr>, text: &str) -> Side {
    const SERVER_SAYS: [&str; 4] =
        ["PEER_DID_NOT_RETURN_A_CERTIFICATE", "HTTP_REQUEST", "NO_SHARED_CIPHER", "UNSUPPORTED_PROTOCOL"];
    const EPHEMERAL_FROM: u16 = 32_768;
    let says_server = SERVER_SAYS.iter().any(|words| text.contains(words));
    if says_server || peer.is_some_and(|peer| EPHEMERAL_FROM <= peer.port) { Side::Server } else { Side::Client }
}

fn secret_not_supplied<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = message(said);
    if !text.contains("Secret is not supplied by SDS") {
        return refuse(text);
    }
    Ok(("", agent::client_certificate(CertificateWhat::Missing(text.into()))))
}

/// `enforced denied, matched policy ns[shop]-policy[only-web]-rule[0]`
fn rbac_decision<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = message(said);
    let quiet = ["shadow ", "enforced allowed", "checking connection", "checking request", "no engine"];
    if said.scope.contains("rbac") && quiet.iter().any(|words| text.starts_with(words)) {
        return Ok(("", Fact::Known));
    }
    // Pasted alone, something about the filter stands in front: `rbac_log: enforced denied, ...`.
    let (left, before) = take_until("enforced denied").parse(text)?;
    if !before.is_empty() && (before.len() > 40 || !before.contains("rbac") || before.contains('"')) {
        return refuse(text);
    }
    let policy = left.split_once("matched policy ").and_then(|(_, key)| policy_name(key.trim()));
    Ok(("", Fact::Policy(Policy { policy, what: PolicyWhat::Denied })))
}

/// `shop/only-web` of `ns[shop]-policy[only-web]-rule[0]`.
pub(crate) fn policy_name(key: &str) -> Option<Text> {
    let namespace = key.split_once("ns[")?.1.split_once(']')?.0;
    let policy = key.split_once("policy[")?.1.split_once(']')?.0;
    Some(format!("{namespace}/{policy}").into())
}

fn jwt_decision<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = message(said);
    let policy = |what| Ok(("", Fact::Policy(Policy { policy: None, what })));
    if let Some(status) = text.strip_prefix("Jwt authentication completed with: ") {
        return match status.trim() {
            "OK" => Ok(("", Fact::Known)),
            status if status.starts_with("Jwks remote fetch") => policy(PolicyWhat::JwksFailed(status.into())),
            status => policy(PolicyWhat::JwtRefused(status.into())),
        };
    }
    let fetch = text.starts_with("fetch pubkey [uri = ") || text.starts_with("Jwks async fetching url=");
    if fetch && text.contains("failed") {
        return policy(PolicyWhat::JwksFailed(text.into()));
    }
    refuse(text)
}

fn ext_authz_decision<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = message(said);
    let policy = |what| Ok(("", Fact::Policy(Policy { policy: None, what })));
    if text.starts_with("ext_authz filter rejected the request with an error") {
        return policy(PolicyWhat::AuthorizerFailed(text.into()));
    }
    if text.starts_with("ext_authz filter rejected the request") {
        return policy(PolicyWhat::Denied);
    }
    if text.starts_with("CheckRequest call failed with status: ") {
        return policy(PolicyWhat::AuthorizerFailed(text.into()));
    }
    refuse(text)
}

/// `upstream reset: reset reason: connection failure, transport failure reason: <text>`
fn upstream_reset<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (left, _) = tag("upstream reset: reset reason: ").parse(message(said))?;
    let transport = left.split_once("transport failure reason:").map_or("", |(_, reason)| reason.trim());
    if !transport.contains("SSL routines") {
        return Ok(("", Fact::Known));
    }
    let handshake = Handshake { side: Side::Client, peer: None, fault: errors::fault(transport) };
    Ok(("", Fact::Handshake(handshake)))
}

/// `Sending local reply with details <details>`
fn local_reply<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    /// Beginnings of details that mean a failure, and the status that goes with them.
    const FAILURES: [(&str, u16); 9] = [
        ("upstream_reset_", 503),
        ("no_healthy_upstream", 503),
        ("cluster_not_found", 503),
        ("route_not_found", 404),
        ("rbac_access_denied", 403),
        ("jwt_authn_access_denied", 401),
        ("ext_authz_denied", 403),
        ("ext_authz_error", 403),
        ("response_timeout", 504),
    ];
    let (left, _) = tag("Sending local reply with details ").parse(message(said))?;
    let details = left.trim();
    let fact = match FAILURES.iter().find(|(begin, _)| details.starts_with(begin)) {
        Some((_, code)) => {
            Fact::Request(Box::new(Request { code: *code, details: details.into(), ..Request::default() }))
        }
        None => Fact::Known,
    };
    Ok(("", fact))
}

/// `dispatch error: headers size exceeds limit`
fn headers_refused<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let text = message(said);
    let of_codec = text.starts_with("dispatch error: ") || text.starts_with("Error dispatching received data: ");
    let limit =
        ["headers size exceeds limit", "headers count exceeds limit"].iter().find(|words| text.contains(*words));
    let Some(limit) = limit.filter(|_| of_codec) else { return refuse(text) };
    let details = if limit.contains("size") { "headers_too_large" } else { "too_many_headers" };
    Ok(("", Fact::Request(Box::new(Request { code: 431, details: details.into(), ..Request::default() }))))
}

/// `dns resolution for <host> failed with c-ares status 12`, `DNS resolution failed for <host> ...`
fn dns_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let begins = alt((
        tag("dns resolution for "),
        tag("DNS resolution for "),
        tag("DNS resolution failed for "),
        tag("DNS resolution failure for "),
    ));
    let (left, host) = preceded(begins, take_till(|c| c == ' ' || c == ',')).parse(message(said))?;
    if !message(said).contains("fail") {
        return refuse(left);
    }
    let mut fault = errors::fault(message(said));
    // c-ares: 1 no data, 4 not found; rcode 3 is NXDOMAIN.
    let unknown = ["status 1", "status 4", "rcode 3"].iter().any(|words| left.trim_end().ends_with(words));
    fault.what = if unknown { What::NameUnknown(host.into()) } else { What::NameLookupFailed(host.into()) };
    Ok(("", Fact::Dns(Dns { host: host.into(), fault })))
}

fn stopping<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let signals = alt((tag("caught ENVOY_SIGTERM"), tag("caught SIGTERM"), tag("caught SIGINT")));
    let (left, _) = { signals }.parse(message(said))?;
    Ok((left, Fact::Process(Process::Stopping)))
}

fn chatter<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    const BEGINS: [&str; 14] = [
        "Usage of the deprecated runtime key",
        "Using deprecated option",
        "Deprecated field",
        "There is no configured limit to the number of allowed active",
        "Unable to use runtime singleton",
        "wasm log",
        "script log",
        "Failed to update deprecated",
        "Configured with metadata",
        "discovered unhealthy",
        "gRPC config stream closed: 0",
        "Skipping",
        "HTTP/2 ",
        "Previously",
    ];
    let text = message(said);
    let of_envoy = said.scope.starts_with("envoy ");
    let frame = said.scope.contains("backtrace");
    if of_envoy && (said.level < Level::Warn || frame || BEGINS.iter().any(|words| text.starts_with(words))) {
        return Ok(("", Fact::Known));
    }
    refuse(text)
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
    fn a_stream_closed_without_words_ended_as_planned() {
        for line in [
            "2021-04-06T10:49:31.709949Z\twarning\tenvoy config\tStreamAggregatedResources gRPC config stream closed: 0,",
            "2021-04-06T10:49:31.709949Z\twarning\tenvoy config\tStreamAggregatedResources gRPC config stream closed: 13,",
            "2021-04-06T10:49:31.709949Z\twarning\tenvoy config\tStreamAggregatedResources gRPC config stream to xds-grpc closed: 14, closing transport due to: connection error: desc = \"error reading from server: EOF\", received prior goaway: code: NO_ERROR, debug data: \"max_age\"",
        ] {
            assert_eq!(said(line), client_stream(StreamWhat::Ended), "{line}");
        }
    }

    #[test]
    fn a_refused_token_is_seen_whatever_code_carries_it() {
        for code in [2, 16] {
            let line = format!(
                "2021-04-06T10:49:31.709949Z\twarning\tenvoy config\tStreamAggregatedResources gRPC config stream closed: {code}, authentication failure"
            );
            let Fact::Stream(Stream { what: StreamWhat::Closed(fault), .. }) = said(&line) else {
                panic!("not closed: {line}")
            };
            assert_eq!(fault.what, What::Unauthorized, "{line}");
        }
    }

    #[test]
    fn a_rejected_listener_is_named_with_its_reason() {
        let line = "2025-03-11T09:14:16.133310Z\twarning\tenvoy config\tgRPC config for type.googleapis.com/envoy.config.listener.v3.Listener \
                    rejected: Error adding/updating listener(s) 0.0.0.0_9100: bad\n0.0.0.0_80: bad too";
        let Fact::Nack(nack) = said(line) else { panic!("not a rejection") };
        assert_eq!((&*nack.kind, nack.resource.as_deref()), ("LDS", Some("0.0.0.0_9100")));
        assert_eq!(&*nack.reason, "Error adding/updating listener(s) 0.0.0.0_9100: bad");
    }

    #[test]
    fn who_speaks_of_a_handshake_is_told_by_the_other_ends_port() {
        let line = |port: u16| {
            format!(
                "2025-03-11T09:14:16.133310Z\tdebug\tenvoy connection\tremote address:10.0.0.1:{port},TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end"
            )
        };
        for (port, side) in [(43950, Side::Server), (15443, Side::Client)] {
            let Fact::Handshake(handshake) = said(&line(port)) else { panic!("not a handshake") };
            assert_eq!(handshake.side, side, "port {port}");
        }
    }

    #[test]
    fn the_denying_policy_is_named() {
        let line = "2025-03-11T09:14:16.133310Z\tdebug\tenvoy rbac\tenforced denied, matched policy ns[shop]-policy[only-web]-rule[0]";
        let policy = Policy { policy: Some("shop/only-web".into()), what: PolicyWhat::Denied };
        assert_eq!(said(line), Fact::Policy(policy));
    }
}
