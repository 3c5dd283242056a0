//! istiod's log (`istio/istio: pilot/, pkg/, security/`): remote clusters, informers, networks, streams, clients it
//! refuses, its CA, its webhooks, the links to peers, and what a healthy istiod says.

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_until};
use nom::character::complete::{digit1, u32 as number};
use nom::combinator::{opt, rest, value};
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

use crate::errors::{self, What};
use crate::event::{
    Addr, Certificate, CertificateWhat, ClientRefused, Config, ConfigWhat, Fact, Level, Nack, Network, Peer, PeerWhat,
    Policy, PolicyWhat, Process, Push, RefusedWhy, Remote, RemoteWhat, Side, Stream, StreamWhat, Text, Trust, Webhook,
};
use crate::signature::{Said, Signature, refuse};
use crate::time;

/// The known messages.
pub static SIGNATURES: &[Signature] = &[
    Signature {
        name: "remote-secrets-watched",
        printed_by: "istio/istio: pkg/kube/multicluster/secretcontroller.go",
        versions: "all",
        meaning: "istiod watches for remote secrets; from here on silence about one means that istiod does not see it.",
        points_to: &["remote-secret-missing"],
        examples: &["2026-03-04T10:15:00.123456Z\tinfo\tStarting multicluster remote secrets controller"],
        read: remote_secrets_watched,
    },
    Signature {
        name: "remote-secret-event",
        printed_by: "istio/istio: pkg/kube/multicluster/secretcontroller.go",
        versions: "all",
        meaning: "A labelled remote secret was added, changed or removed.",
        points_to: &[],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tprocessing secret event for secret istio-system/istio-remote-secret-west",
            "2026-03-04T10:15:00.123456Z\tinfo\tprocessing remote config event for istio-system/istio-remote-secret-west",
        ],
        read: remote_secret_event,
    },
    Signature {
        name: "remote-added",
        printed_by: "istio/istio: pkg/kube/multicluster/secretcontroller.go",
        versions: "all",
        meaning: "A remote cluster was taken up; its kubeconfig is not yet parsed.",
        points_to: &[],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tAdd cluster\tcluster=west secret=istio-system/istio-remote-secret-west",
            "2026-03-04T10:15:00.123456Z\tinfo\tAdding cluster\tcluster=west secret=istio-system/istio-remote-secret-west",
            "2026-03-04T10:15:00.123456Z\tinfo\tAdding cluster_id=west from secret=istio-system/istio-remote-secret-west",
        ],
        read: remote_added,
    },
    Signature {
        name: "remote-updated",
        printed_by: "istio/istio: pkg/kube/multicluster/secretcontroller.go",
        versions: "all",
        meaning: "The kubeconfig of a known remote cluster changed; its registry is rebuilt.",
        points_to: &["known-bug"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tUpdate cluster\tcluster=west secret=istio-system/istio-remote-secret-west",
            "2026-03-04T10:15:00.123456Z\tinfo\tUpdating cluster\tcluster=west secret=istio-system/istio-remote-secret-west",
            "2026-03-04T10:15:00.123456Z\tinfo\tUpdating cluster_id=west from secret=istio-system/istio-remote-secret-west",
        ],
        read: remote_updated,
    },
    Signature {
        name: "remote-unchanged",
        printed_by: "istio/istio: pkg/kube/multicluster/secretcontroller.go",
        versions: "all",
        meaning: "The remote secret was touched, but its content is the same.",
        points_to: &[],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tskipping update (kubeconfig are identical)\tcluster=west secret=istio-system/istio-remote-secret-west",
        ],
        read: remote_unchanged,
    },
    Signature {
        name: "remote-duplicate",
        printed_by: "istio/istio: pkg/kube/multicluster/secretcontroller.go",
        versions: "all",
        meaning: "A second secret carries a cluster ID that is already registered; it is ignored.",
        points_to: &["cluster-id-conflict"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tcluster has already been registered\tcluster=west secret=istio-system/istio-remote-secret-west-2",
            "2026-03-04T10:15:00.123456Z\terror\tremote config istio-system/istio-remote-secret-west has conflicting file-backed kubeconfigs for the same cluster ID, keeping existing configuration: duplicate cluster west",
        ],
        read: remote_duplicate,
    },
    Signature {
        name: "remote-overwrites-local",
        printed_by: "istio/istio: pkg/kube/multicluster/secretcontroller.go",
        versions: "all",
        meaning: "A secret names istiod's own cluster ID and is ignored: normal where one set of secrets goes to all clusters.",
        points_to: &["cluster-id-conflict"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tignoring cluster as it would overwrite the config cluster\tcluster=east secret=istio-system/istio-remote-secret-east",
        ],
        read: remote_overwrites_local,
    },
    Signature {
        name: "remote-rejected",
        printed_by: "istio/istio: pkg/kube/multicluster/secretcontroller.go",
        versions: "all",
        meaning: "The kubeconfig in a remote secret cannot be used; istiod does not retry until the secret changes.",
        points_to: &["remote-secret-invalid"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\terror\tAdd cluster: create remote cluster failed: kubeconfig is not allowed: exec is not allowed\tcluster=west secret=istio-system/istio-remote-secret-west",
            "2026-03-04T10:15:00.123456Z\terror\tAdding cluster: create remote cluster failed: kubeconfig is empty\tcluster=west secret=istio-system/istio-remote-secret-west",
            "2026-03-04T10:15:00.123456Z\terror\tUpdate cluster: create remote cluster failed: kubeconfig is not valid: invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable\tcluster=west config=istio-system/istio-remote-secret-west",
        ],
        read: remote_rejected,
    },
    Signature {
        name: "remote-rejected-old",
        printed_by: "istio/istio: pkg/kube/multicluster/secretcontroller.go",
        versions: "up to 1.9",
        meaning: "The kubeconfig in a remote secret cannot be used.",
        points_to: &["remote-secret-invalid"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\terror\tFailed to add remote cluster from secret=istio-system/istio-remote-secret-west for cluster_id=west: kubeconfig is empty",
            "2026-03-04T10:15:00.123456Z\terror\tFailed to update remote cluster from secret=istio-system/istio-remote-secret-west for cluster_id=west: invalid configuration: no server found for cluster \"west\"",
        ],
        read: remote_rejected_old,
    },
    Signature {
        name: "remote-rejected-queue",
        printed_by: "istio/istio: pkg/kube/controllers/queue.go",
        versions: "all",
        meaning: "The queue gives up on a remote secret; nothing is retried until the secret changes.",
        points_to: &["remote-secret-invalid"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\terror\tcontrollers\terror handling istio-system/istio-remote-secret-west, and retry budget exceeded: error adding secret istio-system/istio-remote-secret-west: 1 error occurred:\n\t* kubeconfig is not allowed: exec is not allowed\n\n\tcontroller=multicluster secret",
            "2026-03-04T10:15:00.123456Z\terror\terror processing secret istio-system/istio-remote-secret-west: kubeconfig is empty",
        ],
        read: remote_rejected_queue,
    },
    Signature {
        name: "remote-kubeconfig-files-unusable",
        printed_by: "istio/istio: pkg/kube/multicluster/",
        versions: "1.30+",
        meaning: "The directory of remote kubeconfigs cannot be read; it stays empty until istiod restarts.",
        points_to: &["remote-secret-invalid"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\terror\tFailed to initialize file-backed remote kubeconfigs from \"/etc/remote\": open /etc/remote: no such file or directory; using an empty static collection instead. File-backed remote cluster discovery will not recover until istiod restarts.",
        ],
        read: remote_files_unusable,
    },
    Signature {
        name: "remote-deleted",
        printed_by: "istio/istio: pkg/kube/multicluster/secretcontroller.go",
        versions: "all",
        meaning: "A remote cluster was removed; its endpoints leave the mesh.",
        points_to: &["remote-secret-missing"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tDeleting cluster_id=west configured by secret=istio-system/istio-remote-secret-west",
        ],
        read: remote_deleted,
    },
    Signature {
        name: "remote-count",
        printed_by: "istio/istio: pkg/kube/multicluster/secretcontroller.go",
        versions: "all",
        meaning: "How many remote clusters istiod has.",
        points_to: &["remote-secret-missing"],
        examples: &["2026-03-04T10:15:00.123456Z\tinfo\tNumber of remote clusters: 2"],
        read: remote_count,
    },
    Signature {
        name: "remote-sync-timeout",
        printed_by: "istio/istio: pkg/kube/multicluster/cluster.go",
        versions: "all",
        meaning: "The first sync of a remote cluster timed out; istiod serves without it and retries.",
        points_to: &["remote-api-unreachable", "remote-cluster-dark"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\terror\tremote cluster west failed to sync after 30s",
            "2026-03-04T10:15:00.123456Z\terror\tTimed out waiting for cluster west to sync namespaces",
        ],
        read: remote_sync_timeout,
    },
    Signature {
        name: "remote-sync-stopped",
        printed_by: "istio/istio: pkg/kube/multicluster/cluster.go",
        versions: "1.22+",
        meaning: "The first sync of a remote cluster was stopped because the secret changed or went away.",
        points_to: &[],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tremote cluster west failed to sync",
            "2026-03-04T10:15:00.123456Z\twarn\tremote cluster west failed to sync handler",
            "2026-03-04T10:15:00.123456Z\twarn\tremote cluster west failed to sync KRT collection ambient/pods",
        ],
        read: remote_sync_stopped,
    },
    Signature {
        name: "remote-omitted",
        printed_by: "istio/istio: pilot/pkg/serviceregistry/ambient/multicluster.go",
        versions: "1.28+",
        meaning: "A remote cluster contributes no workloads to ambient.",
        points_to: &["remote-cluster-dark", "remote-api-unreachable"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tremote cluster west is closed or timed out, omitting it from the clusters collection",
            "2026-03-04T10:15:00.123456Z\twarn\tremote cluster west is timed out, omitting it from the clusters collection",
            "2026-03-04T10:15:00.123456Z\twarn\tremote cluster west is closed, omitting it from the clusters collection",
        ],
        read: remote_omitted,
    },
    Signature {
        name: "remote-synced",
        printed_by: "istio/istio: pkg/kube/multicluster/cluster.go, pilot/pkg/serviceregistry/kube/controller/multicluster.go",
        versions: "all",
        meaning: "All of a cluster's objects were listed.",
        points_to: &[],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tcluster \"west\" kube client started",
            "2026-03-04T10:15:00.123456Z\tinfo\tkube\tkube controller for west synced after 1.204s",
            "2026-03-04T10:15:00.123456Z\tinfo\tkube\tcluster west synced, replacing registry",
            "2026-03-04T10:15:00.123456Z\tinfo\tstopping previous cluster west after new cluster synced",
        ],
        read: remote_synced,
    },
    Signature {
        name: "remote-registry-timeout",
        printed_by: "istio/istio: pilot/pkg/serviceregistry/kube/controller/controller.go",
        versions: "all",
        meaning: "A cluster's registry runs without having listed its objects.",
        points_to: &["remote-cluster-dark", "remote-api-unreachable"],
        examples: &["2026-03-04T10:15:00.123456Z\twarn\tkube\tkube controller for west initial sync timed out"],
        read: remote_registry_timeout,
    },
    Signature {
        name: "cluster-watch-error",
        printed_by: "istio/istio: pilot/pkg/util/informermetric/informerutil.go",
        versions: "all",
        meaning: "A list or watch in a cluster failed: the line that says why a remote cluster does not work. Repeated as long as it fails.",
        points_to: &[
            "remote-api-unreachable",
            "remote-api-unauthorized",
            "remote-api-forbidden",
            "remote-api-cert-untrusted",
            "kube-api-unreachable",
            "rbac-missing",
            "crd-missing",
        ],
        examples: &[
            "2026-03-04T10:15:00.123456Z\terror\twatch error in cluster west: failed to list *v1.Pod: Unauthorized",
            "2026-03-04T10:15:00.123456Z\terror\twatch error in cluster : failed to list *v1.Pod: Unauthorized",
            "2026-03-04T10:15:00.123456Z\terror\twatch error in cluster west: failed to list *v1.EndpointSlice: Get \"https://192.0.2.3:6443/apis/discovery.k8s.io/v1/endpointslices?limit=500&resourceVersion=0\": dial tcp 192.0.2.3:6443: connect: connection refused",
            "2026-03-04T10:15:00.123456Z\terror\twatch error in cluster west: failed to list apiextensions.k8s.io/v1, Resource=customresourcedefinitions: Unauthorized",
            "2026-03-04T10:15:00.123456Z\terror\twatch error in cluster west: too old resource version: 1234 (5678)",
        ],
        read: watch_error,
    },
    Signature {
        name: "reflector-error",
        printed_by: "kubernetes/client-go: tools/cache/reflector.go",
        versions: "up to 1.25",
        meaning: "A list or watch failed, as the client library says it; istiod says it again with the cluster's name.",
        points_to: &["kube-api-unreachable", "rbac-missing", "crd-missing"],
        examples: &[
            "E0304 10:15:00.123456       1 reflector.go:126] Failed to watch *v1.Pod: failed to list *v1.Pod: Unauthorized",
            "2019-11-04T10:15:00.123456Z\terror\tk8s.io/client-go@v11.0.0+incompatible/tools/cache/reflector.go:98: Failed to list *v1.Service: Unauthorized",
            "E0304 10:15:00.123456       1 reflector.go:125] istio.io/istio/security/pkg/nodeagent/secretfetcher/secretfetcher.go:150: Failed to list *v1.Secret: secrets is forbidden: User \"system:serviceaccount:istio-system:gw\" cannot list resource \"secrets\" in API group \"\" in the namespace \"istio-system\"",
            "E0304 10:15:00.123456       1 reflector.go:200] \"Unhandled Error\" err=\"k8s.io/client-go/informers/factory.go:160: Failed to watch *v1.Node: failed to list *v1.Node: Unauthorized\"",
            "2026-03-04T10:15:00.123456Z\tinfo\tklog\tk8s.io/client-go@v0.26.1/tools/cache/reflector.go:169: failed to list *v1.Pod: Unauthorized",
            "2026-03-04T10:15:00.123456Z\twarn\tklog\tpkg/mod/k8s.io/client-go@v0.22.2/tools/cache/reflector.go:167: failed to list *v1.Node: nodes is forbidden: User \"system:serviceaccount:istio-system:istiod\" cannot list resource \"nodes\" in API group \"\" at the cluster scope",
        ],
        read: reflector_error,
    },
    Signature {
        name: "cluster-sync-waits",
        printed_by: "istio/istio: pkg/kube/client.go",
        versions: "1.19+",
        meaning: "istiod waits for a first listing.",
        points_to: &["remote-api-unreachable"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\twaiting for sync...\tname=cluster west attempt=50 time=5.0021s",
            "2026-03-04T10:15:00.123456Z\tinfo\twaiting for sync...\tname=cluster[west] synced attempt=50 time=5.012345678s",
            "2026-03-04T10:15:00.123456Z\terror\tsync failed\tname=discovery filter attempt=175 time=17.090923312s",
            "2026-03-04T10:15:00.123456Z\tinfo\tsync complete\tname=cluster west attempt=4 time=301ms",
        ],
        read: sync_waits,
    },
    Signature {
        name: "queue-error",
        printed_by: "istio/istio: pkg/kube/controllers/queue.go",
        versions: "all",
        meaning: "A controller of istiod failed on an object, mostly because its own API server refused something.",
        points_to: &["rbac-missing", "kube-api-unreachable"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\terror\tcontrollers\terror handling prod/web, retrying (retry count: 3): gateways.gateway.networking.k8s.io \"web\" is forbidden: User \"system:serviceaccount:istio-system:istiod\" cannot patch resource \"gateways\" in API group \"gateway.networking.k8s.io\" in the namespace \"prod\"\tcontroller=gateway deployment",
            "2026-03-04T10:15:00.123456Z\terror\tcontrollers\terror handling istio-system/gw, retrying (retry count: 1): Internal error occurred: failed calling webhook \"validation.istio.io\": failed to call webhook: Post \"https://istiod.istio-system.svc:443/validate?timeout=10s\": context deadline exceeded\tcontroller=gateway deployment",
            "2026-03-04T10:15:00.123456Z\terror\tcontrollers\terror handling istio-validator-istio-system, retrying (retry count: 1): webhook is not ready, retry\tcontroller=validation",
        ],
        read: queue_error,
    },
    Signature {
        name: "crd-too-old",
        printed_by: "istio/istio: pkg/kube/kclient/crdwatcher.go",
        versions: "1.22+",
        meaning: "A Gateway API type is installed in a version too old for this istiod and is ignored.",
        points_to: &["crd-missing"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tCRD tlsroutes.gateway.networking.k8s.io version v1.0.0 is below minimum version v1.1.0 required by this Istio version; resources of this kind will not be processed. Upgrade the Gateway API CRDs to satisfy the minimum",
            "2026-03-04T10:15:00.123456Z\tinfo\tCRD backendtlspolicies.gateway.networking.k8s.io version v1.1.0 is below minimum version v1.4.0, ignoring",
        ],
        read: crd_too_old,
    },
    Signature {
        name: "crd-missing",
        printed_by: "istio/istio: pilot/pkg/serviceregistry/kube/controller/autoserviceexportcontroller.go",
        versions: "all",
        meaning: "A part of istiod stops because a type is not installed.",
        points_to: &["crd-missing"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tkube\twest ServiceExport CRD Not found. Shutting down MCS ServiceExport sync. Please add the CRD then restart the istiod deployment",
        ],
        read: crd_missing,
    },
    Signature {
        name: "remote-cleanup-failed",
        printed_by: "istio/istio: pilot/pkg/serviceregistry/kube/controller/",
        versions: "all",
        meaning: "Removing a cluster left something behind; stale endpoints are possible.",
        points_to: &["stale-endpoint"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tkube\tfailed cleaning up services in west: timed out",
            "2026-03-04T10:15:00.123456Z\twarn\tkube\tqueue for removed kube registry \"west\" may not be done processing: timed out",
        ],
        read: remote_cleanup_failed,
    },
    Signature {
        name: "proxy-in-other-cluster",
        printed_by: "istio/istio: pilot/pkg/serviceregistry/kube/controller/controller.go",
        versions: "all",
        meaning: "A proxy claims another cluster ID than the registry that found its pod.",
        points_to: &["cluster-id-conflict"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\terror\tkube\tproxy is in cluster mesh-west, but controller is for cluster west",
        ],
        read: proxy_in_other_cluster,
    },
    Signature {
        name: "shared-address",
        printed_by: "istio/istio: pilot/pkg/serviceregistry/",
        versions: "all",
        meaning: "Two workloads share one address on one network: two clusters carry one network name, or one cluster ID.",
        points_to: &["network-label-wrong", "cluster-id-conflict"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\terror\tkube\tunexpected: found multiple pods for proxy web-1.shop ([shop/web-1 demo/api-2])",
            "2026-03-04T10:15:00.123456Z\twarn\tIP address 10.1.2.3 seen twice in shop/web",
            "2026-03-04T10:15:00.123456Z\twarn\tDuplicate workloadinfos found for key west//Pod/shop/web-1. Trying to take local and then the first if we can't find it",
        ],
        read: shared_address,
    },
    Signature {
        name: "mesh-networks-invalid",
        printed_by: "istio/istio: pilot/pkg/serviceregistry/kube/controller/network.go, pkg/config/mesh/",
        versions: "all",
        meaning: "The meshNetworks configuration is unusable, or parts of it contradict each other.",
        points_to: &["network-label-wrong", "config-invalid"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tkube\tunable to parse CIDR \"10.1.0.0/99\" for network net-west",
            "2026-03-04T10:15:00.123456Z\twarn\tkube\tmultiple networks specify west in fromRegistry; endpoints from west will continue to be treated as part of net-a",
            "2026-03-04T10:15:00.123456Z\twarn\tinvalid mesh networks, using last known state: yaml: line 3: mapping values are not allowed in this context",
            "2026-03-04T10:15:00.123456Z\twarn\tkube\tFound multiple networks CIDRs matching the endpoint IP: 10.1.2.3. Using the first match.",
        ],
        read: mesh_networks_invalid,
    },
    Signature {
        name: "gateway-port-missing",
        printed_by: "istio/istio: pilot/pkg/serviceregistry/kube/controller/network.go",
        versions: "1.29+ (silent before)",
        meaning: "The Service labelled as gateway of a network listens on no cross-network port: the network has no gateway.",
        points_to: &["eastwest-gateway-misconfigured"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tkube\tservice istio-system/istio-eastwestgateway is labeled as gateway, but does not listen neither on port 15443 nor on port 15008",
            "2026-03-04T10:15:00.123456Z\twarn\tkube\tcould not parse \"https\" for networking.istio.io/gatewayPort on istio-system/istio-eastwestgateway; defaulting to 15443",
        ],
        read: gateway_port_missing,
    },
    Signature {
        name: "service-differs",
        printed_by: "istio/istio: pilot/pkg/serviceregistry/aggregate/controller.go, ambient/multicluster.go",
        versions: "1.21+, ambient 1.27+",
        meaning: "The same service is defined differently in two clusters.",
        points_to: &["service-differs"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tdebug\tkube\tservice web.shop.svc.cluster.local defined from cluster west is different from others",
            "2026-03-04T10:15:00.123456Z\twarn\tServiceInfo derived from Service/shop/web has mismatched ports. Base ports [http:80] != [http:8080]",
        ],
        read: service_differs,
    },
    Signature {
        name: "gateways-changed",
        printed_by: "istio/istio: pilot/pkg/model/network.go",
        versions: "all",
        meaning: "The list of network gateways changed.",
        points_to: &[],
        examples: &["2026-03-04T10:15:00.123456Z\tinfo\tmodel\tgateways changed, triggering push"],
        read: gateways_changed,
    },
    Signature {
        name: "gateway-hostname-unresolved",
        printed_by: "istio/istio: pilot/pkg/model/network.go",
        versions: "all",
        meaning: "The host name of a network's gateway has no address, so the network has no gateway and proxies get raw pod addresses.",
        points_to: &["eastwest-gateway-no-address"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tmodel\tcould not resolve hostname \"abc123.elb.example.com\" for 1 gateways",
            "2026-03-04T10:15:00.123456Z\twarn\tmodel\tFailed parsing gateway address abc123.elb.example.com from Service Registry. Set RESOLVE_HOSTNAME_GATEWAYS on istiod to enable resolving hostnames in the control plane.",
            "2026-03-04T10:15:00.123456Z\twarn\tmodel\tFailed parsing gateway address abc123.elb.example.com from Service Registry. Hostnames are not supported for gateways",
        ],
        read: gateway_hostname_unresolved,
    },
    Signature {
        name: "network-without-gateway",
        printed_by: "istio/istio: pilot/pkg/serviceregistry/ambient/multicluster.go, pilot/pkg/xds/endpoints/",
        versions: "1.27+",
        meaning: "istiod knows no east-west gateway for a network; workloads there are left out.",
        points_to: &["eastwest-gateway-no-address", "eastwest-gateway-misconfigured", "network-label-wrong"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tNo network gateway found for network net-west",
            "2026-03-04T10:15:00.123456Z\twarn\tads\tWorkload shop/web-1 belongs to a different network (net-west), but no E/W gateway configured, skipping it.",
            "2026-03-04T10:15:00.123456Z\twarn\tads\tWorkload shop/web-1 on network net-west has no reachable E/W gateway for this proxy, skipping",
        ],
        read: network_without_gateway,
    },
    Signature {
        name: "endpoints-gone",
        printed_by: "istio/istio: pilot/pkg/model/endpointshards.go",
        versions: "all",
        meaning: "A cluster's last endpoint of a service went away.",
        points_to: &["known-bug", "no-healthy-upstream"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tmodel\tIncremental push, service web.shop.svc.cluster.local at shard Kubernetes/west has no endpoints",
            "2026-03-04T10:15:00.123456Z\tinfo\tmodel\tCache Update, Service web.shop.svc.cluster.local at shard Kubernetes/west has no endpoints",
        ],
        read: endpoints_gone,
    },
    Signature {
        name: "endpoints-new",
        printed_by: "istio/istio: pilot/pkg/model/endpointshards.go",
        versions: "all",
        meaning: "A service got its first endpoints.",
        points_to: &[],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tmodel\tFull push, new service shop/web.shop.svc.cluster.local",
            "2026-03-04T10:15:00.123456Z\tinfo\tmodel\tCache Update, new service shop/web.shop.svc.cluster.local",
        ],
        read: endpoints_new,
    },
    Signature {
        name: "network-label-missing",
        printed_by: "istio/istio: pilot/pkg/serviceregistry/ambient/networks.go",
        versions: "1.27 to 1.31",
        meaning: "A cluster's system namespace has no network label: its global workloads are left out.",
        points_to: &["network-label-wrong"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tCluster west does not have a network, skipping global workloads",
            "2026-03-04T10:15:00.123456Z\twarn\tCluster west does not have network assigned yet, skipping",
        ],
        read: network_label_missing,
    },
    Signature {
        name: "gateway-class-missing",
        printed_by: "istio/istio: pilot/pkg/serviceregistry/ambient/waypoints.go",
        versions: "1.22+",
        meaning: "A Gateway's class is not installed, so the Gateway is ignored.",
        points_to: &["eastwest-gateway-misconfigured"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tcould not find GatewayClass istio-east-west for Gateway istio-system/istio-eastwestgateway",
            "2026-03-04T10:15:00.123456Z\twarn\tcould not find GatewayClass istio-remote in local cluster for Gateway istio-system/peer-west",
        ],
        read: gateway_class_missing,
    },
    Signature {
        name: "gateway-without-listeners",
        printed_by: "istio/istio: pilot/pkg/networking/core/gateway.go",
        versions: "all",
        meaning: "No Gateway selects this gateway proxy, or it has no usable listener.",
        points_to: &["eastwest-gateway-misconfigured", "gateway-config-missing"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tgateway has zero listeners for node istio-eastwestgateway-7d6c-x2x2x.istio-system",
            "2026-03-04T10:15:00.123456Z\twarn\tbuildGatewayRoutes: no gateways for router istio-eastwestgateway-7d6c-x2x2x.istio-system",
        ],
        read: gateway_without_listeners,
    },
    Signature {
        name: "environment-ignored",
        printed_by: "istio/istio: pilot/pkg/features/, pkg/env/",
        versions: "all",
        meaning: "An environment variable of istiod is ignored: it needs another one, or its value cannot be read.",
        points_to: &["istiod-env-incompatible"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tignoring AMBIENT_ENABLE_MULTI_NETWORK; requires PILOT_ENABLE_AMBIENT=true",
            "2026-03-04T10:15:00.123456Z\twarn\tInvalid environment variable value `yes please`, expecting true/false, defaulting to false",
            "2026-03-04T10:15:00.123456Z\twarn\tInvalid CA_TRUSTED_NODE_ACCOUNTS, ignoring: invalid format",
            "2026-03-04T10:15:00.123456Z\twarn\tskipping Kubernetes credential reader; PILOT_ENABLE_XDS_IDENTITY_CHECK must be set to true for this feature.",
            "2026-03-04T10:15:00.123456Z\tfatal\tPILOT_CERT_PROVIDER=kubernetes is no longer supported by upstream K8S",
            "2026-03-04T10:15:00.123456Z\terror\tpeering\tK8S_SELECT_WORKLOAD_ENTRIES must be disabled when ENABLE_PEERING_DISCOVERY is enabled",
        ],
        read: environment_ignored,
    },
    Signature {
        name: "license-invalid",
        printed_by: "vendor builds",
        versions: "vendor builds",
        meaning: "A vendor build refuses a feature for want of a licence.",
        points_to: &["license-invalid"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tlicense is invalid: multicluster features are disabled",
            "2026-03-04T10:15:00.123456Z\terror\tfailed to validate license: license has expired",
        ],
        read: license_invalid,
    },
    Signature {
        name: "mesh-config-invalid",
        printed_by: "istio/istio: pkg/config/mesh/",
        versions: "1.25+",
        meaning: "The mesh configuration cannot be used; the last one stays.",
        points_to: &["config-invalid"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tinvalid mesh config, using last known state: unknown field \"trustDomians\"",
            "2026-03-04T10:15:00.123456Z\twarn\tinvalid mesh config, ignoring: unknown field",
            "2026-03-04T10:15:00.123456Z\twarn\tfailed to convert namespace selector: key: Invalid value",
            "2026-03-04T10:15:00.123456Z\twarn\tfailed to convert service selector: key: Invalid value",
        ],
        read: mesh_config_invalid,
    },
    Signature {
        name: "discovery-selector-invalid",
        printed_by: "istio/istio: pkg/kube/namespace/filter.go",
        versions: "all",
        meaning: "The discovery selectors cannot be used, so the wrong namespaces are visible.",
        points_to: &["discovery-selectors"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\terror\terror initializing discovery namespaces filter, invalid discovery selector: \"In\" values must be specified",
        ],
        read: discovery_selector_invalid,
    },
    Signature {
        name: "xds-connected",
        printed_by: "istio/istio: pilot/pkg/xds/{ads,delta}.go",
        versions: "all",
        meaning: "A proxy's stream was accepted.",
        points_to: &[],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tdelta\tADS: new delta connection for node:web-1.shop-41",
            "2026-03-04T10:15:00.123456Z\tinfo\tads\tADS: new connection for node:web-1.shop-41",
        ],
        read: xds_connected,
    },
    Signature {
        name: "xds-terminated",
        printed_by: "istio/istio: pilot/pkg/xds/{ads,delta}.go",
        versions: "all",
        meaning: "A proxy's stream ended; with an error only where the line says so.",
        points_to: &[],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tdelta\tADS: \"10.1.2.3:35440\" web-1.shop-41 terminated",
            "2026-03-04T10:15:00.123456Z\tinfo\tads\tADS: \"10.1.2.3:35440\" web-1.shop-41 terminated with stream closed",
            "2026-03-04T10:15:00.123456Z\terror\tdelta\tADS: \"10.1.2.3:35440\" web-1.shop-41 terminated with error: rpc error: code = Internal desc = stream terminated by RST_STREAM with error code: PROTOCOL_ERROR",
            "2026-03-04T10:15:00.123456Z\tinfo\tads\tADS: \"10.1.2.3:35440\" web-1.shop-41 terminated rpc error: code = Canceled desc = context canceled",
        ],
        read: xds_terminated,
    },
    Signature {
        name: "xds-nack",
        printed_by: "istio/istio: pilot/pkg/xds/{ads,delta}.go",
        versions: "all",
        meaning: "A proxy rejected what istiod pushed.",
        points_to: &["xds-rejected"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tdelta\tADS:LDS: ACK ERROR web-1.shop-12 Internal:Error adding/updating listener(s) virtualInbound: no such filter",
            "2026-03-04T10:15:00.123456Z\twarn\tads\tADS:CDS: ACK ERROR web-1.shop-12 Internal:bad cluster",
        ],
        read: xds_nack,
    },
    Signature {
        name: "xds-unauthorized",
        printed_by: "istio/istio: pilot/pkg/xds/auth.go",
        versions: "all",
        meaning: "A client's identity does not match what its node claims.",
        points_to: &["san-mismatch"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tads\tUnauthorized XDS: 10.1.2.3:35440 with identity [spiffe://cluster.local/ns/a/sa/b]: no identities ([spiffe://cluster.local/ns/a/sa/b]) matched shop/web",
        ],
        read: xds_unauthorized,
    },
    Signature {
        name: "xds-unknown-cluster",
        printed_by: "istio/istio: pilot/pkg/xds/{sds,ecds}.go",
        versions: "all",
        meaning: "A gateway's cluster ID is none that istiod knows.",
        points_to: &["cluster-id-conflict", "remote-secret-missing"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tads\tproxy web-1.shop is from an unknown cluster, cannot retrieve certificates: cluster west is not configured",
            "2026-03-04T10:15:00.123456Z\twarn\tunable to fetch namespace, failed to get client for \"west\"",
        ],
        read: xds_unknown_cluster,
    },
    Signature {
        name: "jwks-fetch-failed",
        printed_by: "istio/istio: pilot/pkg/model/jwks_resolver.go",
        versions: "all",
        meaning: "istiod cannot fetch the keys of a RequestAuthentication; proxies refuse every token of that issuer.",
        points_to: &["jwt-authn-failed"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\terror\tmodel\tFailed to fetch public key from \"https://login.shop.test/keys\": Get \"https://login.shop.test/keys\": dial tcp: lookup login.shop.test on 10.9.0.10:53: no such host",
            "2026-03-04T10:15:00.123456Z\terror\tmodel\tFailed to fetch jwt public key from issuer \"https://login.shop.test\", jwks uri \"https://login.shop.test/keys\": empty public key found in cache",
            "2020-03-04T10:15:00.123456Z\terror\tmodel\tFailed to fetch jwks_uri from \"https://login.shop.test/.well-known/openid-configuration\": context deadline exceeded",
        ],
        read: jwks_fetch_failed,
    },
    Signature {
        name: "gateway-secret-missing",
        printed_by: "istio/istio: pilot/pkg/xds/sds.go",
        versions: "all",
        meaning: "A gateway's TLS secret is missing or unusable in the cluster where it is looked up.",
        points_to: &["sds-secret-missing"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tads\tfailed to fetch key and certificate for kubernetes://shop-cert: secret istio-system/shop-cert not found",
            "2026-03-04T10:15:00.123456Z\twarn\tads\tfailed to fetch ca certificate for kubernetes://shop-cert-cacert: secret istio-system/shop-cert-cacert not found",
            "2026-03-04T10:15:00.123456Z\twarn\tads\tinvalid certificates: istio-system/shop-cert \"kubernetes://shop-cert\": tls: failed to find any PEM data in certificate input",
            "2026-03-04T10:15:00.123456Z\twarn\tads\tproxy web-1.shop attempted to access unauthorized certificates shop-cert: permission denied",
        ],
        read: gateway_secret_missing,
    },
    Signature {
        name: "istiod-ready",
        printed_by: "istio/istio: pilot/pkg/xds/discovery.go",
        versions: "all",
        meaning: "istiod has what it needs and accepts proxies.",
        points_to: &[],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tads\tAll caches have been synced up in 421.985104ms, marking server ready",
        ],
        read: istiod_ready,
    },
    Signature {
        name: "secret-changed",
        printed_by: "istio/istio: pilot/pkg/xds/discovery.go",
        versions: "all",
        meaning: "A push was caused by a Secret; of any namespace, also by those that are no remote secrets.",
        points_to: &["remote-secret-missing"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tads\tPush debounce stable[17] 1 for config Secret/default/istio-remote-secret-west: 100.214ms since last change, 22.104877s since last push, full=false",
        ],
        read: secret_changed,
    },
    Signature {
        name: "client-refused",
        printed_by: "istio/istio: pkg/security/authentication.go",
        versions: "all",
        meaning: "istiod refused a client's credential.",
        points_to: &["cluster-id-conflict", "remote-secret-missing", "jwt-invalid", "remote-api-unauthorized"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\terror\tsecurity\tFailed to authenticate client from 10.1.2.3:40000: Authenticator ClientCertAuthenticator: no verified chain is found; Authenticator KubeJWTAuthenticator: client claims to be in cluster \"mesh-west\", but we only know about local cluster \"east\" and remote clusters [west]",
            "2026-03-04T10:15:00.123456Z\terror\tads\tFailed to authenticate client from 10.1.2.3:40000: Authenticator ClientCertAuthenticator: no verified chain is found; Authenticator KubeJWTAuthenticator: could not get cluster west's kube client",
            "2026-03-04T10:15:00.123456Z\terror\tsecurity\tFailed to authenticate client from 10.1.2.3:40000: Authenticator ClientCertAuthenticator: no verified chain is found; Authenticator KubeJWTAuthenticator: failed to validate the JWT from cluster \"west\": the service account authentication returns an error: [invalid bearer token, token has expired]",
            "2026-03-04T10:15:00.123456Z\terror\tsecurity\tFailed to authenticate client from 10.1.2.3:40000: Authenticator ClientCertAuthenticator: no verified chain is found; Authenticator KubeJWTAuthenticator: failed to validate the JWT from cluster \"west\": Post \"https://192.0.2.3:6443/apis/authentication.k8s.io/v1/tokenreviews\": dial tcp 192.0.2.3:6443: i/o timeout",
            "2026-03-04T10:15:00.123456Z\terror\tsecurity\tFailed to authenticate client from 10.1.2.3:40000: Authenticator ClientCertAuthenticator: no client certificate is presented; Authenticator KubeJWTAuthenticator: target JWT extraction error: no bearer token exists in HTTP authorization header",
            "2020-07-30T21:49:20.289474Z\twarn\tserverca\tAuthentication failed for 10.1.2.3:40000: Authenticator ClientCertAuthenticator at index 0 got error: no verified chain is found. Authenticator KubeJWTAuthenticator at index 1 got error: failed to validate the JWT: tokenreviews.authentication.k8s.io is forbidden: User \"system:serviceaccount:istio-system:istio-reader-service-account\" cannot create resource \"tokenreviews\" in API group \"authentication.k8s.io\" at the cluster scope",
            "2026-03-04T10:15:00.123456Z\terror\tFailed to authenticate /debug/syncz [no bearer token exists in HTTP authorization header]",
        ],
        read: client_refused,
    },
    Signature {
        name: "istio-csr-not-signed",
        printed_by: "cert-manager/istio-csr: pkg/certmanager/certmanager.go, pkg/server/server.go, pkg/tls/tls.go",
        versions: "all",
        meaning: "cert-manager refused to sign, or its issuer failed: istio-csr gives no certificate to a workload or has none itself.",
        points_to: &["ca-provider-unavailable"],
        examples: &[
            "Error: failed to fetch initial serving certificate: failed to sign serving certificate: failed to wait for CertificateRequest istio-system/istio-csr-z2wq8 to be signed: created CertificateRequest has failed: [{Ready False Failed Vault failed to sign certificate: Code: 403}]",
            "2026-03-04T10:15:00.123456Z\terror\tklog\tgrpc-server \"msg\"=\"failed to sign incoming client certificate signing request\" \"error\"=\"failed to wait for CertificateRequest istio-system/istio-csr-7hsrl to be signed: created CertificateRequest has been denied: [{Denied True policy.cert-manager.io No policy approved this request}]\"",
        ],
        read: istio_csr_not_signed,
    },
    Signature {
        name: "csr-failed",
        printed_by: "istio/istio: security/pkg/server/ca/server.go",
        versions: "all",
        meaning: "istiod's CA could not sign a certificate.",
        points_to: &["ca-cert-expired", "ca-provider-unavailable"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\terror\tserverca\tCSR signing error: cert chain has expired\tclient=10.1.2.3:40000",
            "2026-03-04T10:15:00.123456Z\terror\tserverca\tCSR signing error (Istio CA is not ready)",
        ],
        read: csr_failed,
    },
    Signature {
        name: "impersonation-refused",
        printed_by: "istio/istio: security/pkg/server/ca/node_auth.go",
        versions: "all",
        meaning: "ztunnel asked for a workload's certificate and was refused.",
        points_to: &["ca-provider-unavailable", "cluster-id-conflict"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tserverca\timpersonation failed for identity spiffe://cluster.local/ns/shop/sa/web, error: no node authorizer for cluster west\tclient=10.1.2.3:40000",
            "2026-03-04T10:15:00.123456Z\twarn\tserverca\timpersonation failed for identity spiffe://cluster.local/ns/shop/sa/web, error: caller (Pod{Name: ztunnel-x, Namespace: istio-system, UID: 1, ServiceAccount: ztunnel-sa}) is not allowed to impersonate\tclient=10.1.2.3:40000",
            "2026-03-04T10:15:00.123456Z\twarn\tserverca\timpersonation not allowed, as node authorizer (CA_TRUSTED_NODE_ACCOUNTS) is not configured\tclient=10.1.2.3:40000",
        ],
        read: impersonation_refused,
    },
    Signature {
        name: "istiod-identity",
        printed_by: "istio/istio: pilot/pkg/bootstrap/server.go",
        versions: "all",
        meaning: "istiod starts, and says which cluster ID is its own.",
        points_to: &["cluster-id-conflict"],
        examples: &["2026-03-04T10:15:00.123456Z\tinfo\tStarting Istiod Server with primary cluster east"],
        read: istiod_identity,
    },
    Signature {
        name: "istiod-version",
        printed_by: "istio/istio: pilot/cmd/pilot-discovery/app/cmd.go",
        versions: "all",
        meaning: "istiod's version.",
        points_to: &["version-skew", "known-bug"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tversion: 1.24.3-ecb3d5774896edc5408dc89e35fcc66daf3f7a8f-Clean",
        ],
        read: istiod_version,
    },
    Signature {
        name: "ca-plugged-in",
        printed_by: "istio/istio: pilot/pkg/bootstrap/istio_ca.go",
        versions: "all",
        meaning: "istiod signs with a plugged-in certificate.",
        points_to: &[],
        examples: &["2026-03-04T10:15:00.123456Z\tinfo\tUse local CA certificate"],
        read: ca_plugged_in,
    },
    Signature {
        name: "ca-self-signed",
        printed_by: "istio/istio: pilot/pkg/bootstrap/istio_ca.go, security/pkg/pki/ca/",
        versions: "all",
        meaning: "istiod signs with a root of its own; two clusters that both do so share no root.",
        points_to: &["root-of-trust-mismatch"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tUse self-signed certificate as the CA certificate",
            "2026-03-04T10:15:00.123456Z\tinfo\tIstioGenerated cacerts secret found, use it as the CA certificate",
            "2026-03-04T10:15:00.123456Z\tinfo\tpkica\tCASecret istio-ca-secret not found, will create one",
            "2026-03-04T10:15:00.123456Z\tinfo\tpkica\tLoad signing key and cert from existing secret istio-system/istio-ca-secret",
        ],
        read: ca_self_signed,
    },
    Signature {
        name: "ca-broken",
        printed_by: "istio/istio: pilot/pkg/bootstrap/istio_ca.go",
        versions: "all",
        meaning: "The signing CA's files are incomplete, expired or do not fit each other.",
        points_to: &["ca-cert-expired", "ca-provider-unavailable"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tincomplete signing CA bundle detected at ./etc/cacerts",
            "2026-03-04T10:15:00.123456Z\terror\tFailed to update new Plug-in CA certs: cannot verify the cert with the provided root chain and cert pool with error: x509: certificate has expired or is not yet valid: current time 2026-03-04T10:00:00Z is after 2026-03-01T00:00:00Z",
            "2026-03-04T10:15:00.123456Z\terror\tfailed to create discovery service: failed to create CA: failed to create an istiod CA: incomplete signing CA bundle detected",
            "2026-03-04T10:15:00.123456Z\terror\tfailed reading root-cert.pem: open root-cert.pem: no such file or directory",
            "2026-03-04T10:15:00.123456Z\terror\trootcertrotator\tFail to load CA secret istio-system:istio-ca-secret (error: Unauthorized), skip cert rotation job",
        ],
        read: ca_broken,
    },
    Signature {
        name: "ca-root-ignored",
        printed_by: "istio/istio: pilot/pkg/bootstrap/istio_ca.go",
        versions: "all",
        meaning: "A new root on disk is ignored until istiod restarts.",
        points_to: &["root-of-trust-mismatch"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tUpdating new ROOT-CA not supported",
            "2026-03-04T10:15:00.123456Z\twarn\tMulti root is disabled, updating new ROOT-CA not supported",
        ],
        read: ca_root_ignored,
    },
    Signature {
        name: "foreign-trust-domain",
        printed_by: "istio/istio: pilot/pkg/security/trustdomain/bundle.go, pilot/pkg/bootstrap/server.go",
        versions: "all",
        meaning: "A client or a policy names a trust domain that this mesh does not hold for its own.",
        points_to: &["trust-domain-mismatch"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tCould not verify certificate: no cert pool found for trust domain west.example",
            "2026-03-04T10:15:00.123456Z\twarn\tauthorization\tTrust domain west.example from principal west.example/ns/shop/sa/web does not match the current trust domain or its aliases",
        ],
        read: foreign_trust_domain,
    },
    Signature {
        name: "trust-domain",
        printed_by: "istio/istio: pkg/spiffe/spiffe.go",
        versions: "all",
        meaning: "What 15012 trusts for a trust domain.",
        points_to: &["trust-domain-mismatch"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tspiffe\tAdded 1 certs to trust domain cluster.local in peer cert verifier",
        ],
        read: trust_domain,
    },
    Signature {
        name: "trust-bundle-unreachable",
        printed_by: "istio/istio: pilot/pkg/trustbundle/trustbundle.go",
        versions: "all",
        meaning: "A SPIFFE trust bundle could not be fetched.",
        points_to: &["root-of-trust-mismatch"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\terror\ttrustBundle\tunable to fetch trust Anchors from endpoint https://spiffe.example/bundle: dial tcp 192.0.2.9:443: i/o timeout",
        ],
        read: trust_bundle_unreachable,
    },
    Signature {
        name: "istiod-not-ready",
        printed_by: "istio/istio: pilot/pkg/bootstrap/server.go",
        versions: "all",
        meaning: "A part of istiod is not ready.",
        points_to: &["istiod-down"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tdiscovery is not ready",
            "2026-03-04T10:15:00.123456Z\terror\tFailed waiting for cache sync",
            "2026-03-04T10:15:00.123456Z\terror\tkube\tFailed to sync Pilot K8S CRD controller cache\tcontroller=crd-controller",
        ],
        read: istiod_not_ready,
    },
    Signature {
        name: "istiod-died",
        printed_by: "istio/istio: pilot/cmd/pilot-discovery/, Go's runtime",
        versions: "all",
        meaning: "istiod, or a part of it, died.",
        points_to: &["istiod-down", "known-bug"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\terror\tfailed to start discovery service: listen tcp :15010: bind: address already in use",
            "2026-03-04T10:15:00.123456Z\terror\tfailure in server component \"ads\": context deadline exceeded",
            "2026-03-04T10:15:00.123456Z\terror\tObserved a panic: close of closed channel (close of closed channel)",
            "panic: close of closed channel",
        ],
        read: istiod_died,
    },
    Signature {
        name: "webhook-patch-failed",
        printed_by: "istio/istio: pkg/webhooks/webhookpatch.go",
        versions: "all",
        meaning: "istiod could not write its CA into a webhook configuration.",
        points_to: &["webhook-cert-untrusted", "rbac-missing"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\terror\tpatching webhook istio-sidecar-injector failed: mutatingwebhookconfigurations.admissionregistration.k8s.io \"istio-sidecar-injector\" is forbidden: User \"x\" cannot patch resource",
        ],
        read: webhook_patch_failed,
    },
    Signature {
        name: "server-handshake",
        printed_by: "Go: net/http (the webhook port 15017)",
        versions: "all",
        meaning: "A client hung up during the TLS handshake: a probe, a scanner, or, where the client names a bad certificate, an API server that does not trust the webhook.",
        points_to: &["webhook-cert-untrusted"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\thttp: TLS handshake error from 10.1.2.3:48924: remote error: tls: bad certificate",
            "2026-03-04T10:15:00.123456Z\tinfo\thttp: TLS handshake error from 198.51.100.7:43400: EOF",
            "2026-03-04T10:15:00.123456Z\tinfo\thttp: TLS handshake error from 198.51.100.7:43400: tls: first record does not look like a TLS handshake",
        ],
        read: server_handshake,
    },
    Signature {
        name: "config-refused",
        printed_by: "istio/istio: pkg/webhooks/validation/server/server.go",
        versions: "all",
        meaning: "The validation webhook refused a user's object.",
        points_to: &["config-invalid"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tvalidationServer\tconfiguration is invalid: virtual service must have at least one route",
        ],
        read: config_refused,
    },
    Signature {
        name: "injection",
        printed_by: "istio/istio: pkg/kube/inject/webhook.go",
        versions: "all",
        meaning: "An injection request was handled.",
        points_to: &[],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tProcess sidecar injection request\tpath=/inject/cluster/west/net/net-west pod=shop/web-1",
            "2026-03-04T10:15:00.123456Z\tinfo\tSidecar injection request for shop/web-1",
        ],
        read: injection,
    },
    Signature {
        name: "lease-lost",
        printed_by: "kubernetes/client-go: tools/leaderelection/",
        versions: "all",
        meaning: "istiod's own API server could not be asked for a lease.",
        points_to: &["kube-api-unreachable"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\terror\tklog\terror retrieving resource lock istio-system/istio-leader: Get \"https://10.96.0.1:443/api/v1/namespaces/istio-system/configmaps/istio-leader\": dial tcp 10.96.0.1:443: i/o timeout",
            "2026-03-04T10:15:00.123456Z\tinfo\tklog\tfailed to renew lease istio-system/istio-leader: timed out waiting for the condition",
        ],
        read: lease_lost,
    },
    Signature {
        name: "lease-acquired",
        printed_by: "kubernetes/client-go: tools/leaderelection/",
        versions: "all",
        meaning: "istiod's own API server gave it a lease, so it can be reached.",
        points_to: &[],
        examples: &["2026-03-04T10:15:00.123456Z\tinfo\tklog\tsuccessfully acquired lease istio-system/istio-leader"],
        read: lease_acquired,
    },
    Signature {
        name: "peer-disconnected",
        printed_by: "istio/istio: pkg/adsc/delta.go",
        versions: "1.24+",
        meaning: "The link to a peered control plane broke or never came up; retried.",
        points_to: &["root-of-trust-mismatch", "peering-disconnected", "crossnetwork-port-blocked"],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tdeltaadsc\tdisconnected, retrying in 24.735483751s: delta stream: rpc error: code = Unavailable desc = connection error: desc = \"error reading server preface: remote error: tls: unknown certificate authority\"\ttarget=peering-west",
            "2026-03-04T10:15:00.123456Z\tinfo\tdeltaadsc\tConnection closed for node x with err: EOF",
            "2026-03-04T10:15:00.123456Z\tinfo\tadsc\tconnection closed with err: EOF",
        ],
        read: peer_disconnected,
    },
    Signature {
        name: "peer-connected",
        printed_by: "istio/istio: pkg/adsc/delta.go",
        versions: "1.24+",
        meaning: "The link to a peered control plane is up.",
        points_to: &[],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tdeltaadsc\testablished connection\ttarget=peering-west node=x",
            "2026-03-04T10:15:00.123456Z\tinfo\tdeltaadsc\treceived response\ttarget=peering-west type=type.googleapis.com/istio.workload.Address size=12 removes=0",
        ],
        read: peer_connected,
    },
    Signature {
        name: "peer-stopped",
        printed_by: "istio/istio: pkg/adsc/delta.go",
        versions: "1.24+",
        meaning: "The link to a peered control plane was stopped on purpose.",
        points_to: &[],
        examples: &[
            "2026-03-04T10:15:00.123456Z\twarn\tdeltaadsc\tcontext canceled (context canceled), not retrying again: delta stream: rpc error: code = Canceled desc = context canceled\ttarget=peering-west",
        ],
        read: peer_stopped,
    },
    Signature {
        name: "istiod-ordinary",
        printed_by: "istio/istio: pilot/, pkg/",
        versions: "all",
        meaning: "Start-up, pushes, leader election and other lines of a healthy istiod.",
        points_to: &[],
        examples: &[
            "2026-03-04T10:15:00.123456Z\tinfo\tFLAG: --meshConfig=\"./etc/istio/config/mesh\"",
            "2026-03-04T10:15:00.123456Z\tinfo\tdelta\tLDS: PUSH request for node:web-1.shop resources:12 removed:0 size:71.8kB cached:3/12",
            "2026-03-04T10:15:00.123456Z\tinfo\tads\tXDS: Pushing Services:24 ConnectedEndpoints:3 Version:2026-03-04T10:00:00Z/4",
            "2026-03-04T10:15:00.123456Z\tinfo\tads\tPush debounce stable[43] 1 for reason endpoint:1: 101.081383ms since last change, 8.61391535s since last push, full=false",
            "2026-03-04T10:15:00.123456Z\tinfo\tmodel\treloading network gateways",
            "2026-03-04T10:15:00.123456Z\tinfo\tads\tPush Status: {}",
            "2026-03-04T10:15:00.123456Z\tinfo\tkube\tInitializing Kubernetes service registry \"west\"",
            "2026-03-04T10:15:00.123456Z\tinfo\tcontrollers\tstarting\tcontroller=validation",
        ],
        read: ordinary,
    },
];

type Read<'a> = IResult<&'a str, Fact>;

fn remote(cluster: &str, secret: Option<&str>, what: RemoteWhat) -> Fact {
    Fact::Remote(Remote { cluster: cluster.into(), secret: secret.map(Into::into), what })
}

/// What the labels of a remote-cluster line name.
fn labelled(said: &Said<'_>, what: RemoteWhat) -> Fact {
    let secret = said.field("secret").or_else(|| said.field("config"));
    remote(said.field("cluster").unwrap_or(""), secret, what)
}

/// `Starting multicluster remote secrets controller`
fn remote_secrets_watched<'a>(said: &'a Said<'a>) -> Read<'a> {
    let started = tag("Starting multicluster remote secrets controller");
    value(remote("", None, RemoteWhat::ControllerStarted), started).parse(&*said.message)
}

/// `processing secret event for secret istio-system/x`
fn remote_secret_event<'a>(said: &'a Said<'a>) -> Read<'a> {
    let words = alt((tag("processing secret event for secret "), tag("processing remote config event for ")));
    let (left, secret) = preceded(words, rest).parse(&*said.message)?;
    Ok((left, remote("", Some(secret), RemoteWhat::SecretEvent)))
}

/// `Add cluster`, `Adding cluster_id=west from secret=istio-system/x`
fn remote_added<'a>(said: &'a Said<'a>) -> Read<'a> {
    taken_up(said, &["Add cluster", "Adding cluster"], "Adding cluster_id=", RemoteWhat::Added)
}

/// `Update cluster`, `Updating cluster_id=west from secret=istio-system/x`
fn remote_updated<'a>(said: &'a Said<'a>) -> Read<'a> {
    taken_up(said, &["Update cluster", "Updating cluster"], "Updating cluster_id=", RemoteWhat::Updated)
}

fn taken_up<'a>(said: &'a Said<'a>, whole: &[&str], old: &'static str, what: RemoteWhat) -> Read<'a> {
    if whole.contains(&&*said.message) {
        return Ok(("", labelled(said, what)));
    }
    // The header reads the `secret=` of the old form as a label.
    let (left, cluster) = preceded(tag(old), is_not(" ")).parse(&*said.message)?;
    Ok((left, remote(cluster, said.field("secret"), what)))
}

/// `skipping update (kubeconfig are identical)`
fn remote_unchanged<'a>(said: &'a Said<'a>) -> Read<'a> {
    let words = tag("skipping update (kubeconfig are identical)");
    value(labelled(said, RemoteWhat::Unchanged), words).parse(&*said.message)
}

/// `cluster has already been registered`
fn remote_duplicate<'a>(said: &'a Said<'a>) -> Read<'a> {
    if said.message == "cluster has already been registered" {
        return Ok(("", labelled(said, RemoteWhat::Duplicate)));
    }
    let (left, secret) = preceded(tag("remote config "), is_not(" ")).parse(&*said.message)?;
    let (left, _) = tag(" has conflicting file-backed kubeconfigs for the same cluster ID").parse(left)?;
    Ok((left, remote("", Some(secret), RemoteWhat::Duplicate)))
}

/// `ignoring cluster as it would overwrite the config cluster`
fn remote_overwrites_local<'a>(said: &'a Said<'a>) -> Read<'a> {
    let words = tag("ignoring cluster as it would overwrite the config cluster");
    value(labelled(said, RemoteWhat::OverwritesLocal), words).parse(&*said.message)
}

/// `Add cluster: create remote cluster failed: kubeconfig is not allowed: exec is not allowed`
fn remote_rejected<'a>(said: &'a Said<'a>) -> Read<'a> {
    let action = alt((tag("Adding"), tag("Updating"), tag("Add"), tag("Update")));
    let stage = alt((tag("create remote cluster failed: "), tag("initialize cluster failed: ")));
    let (reason, _) = (action, tag(" cluster: "), stage).parse(&*said.message)?;
    Ok(("", labelled(said, RemoteWhat::Rejected(errors::fault(reason)))))
}

/// `Failed to add remote cluster from secret=istio-system/x for cluster_id=west: kubeconfig is empty`
fn remote_rejected_old<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, _) = alt((tag("Failed to add"), tag("Failed to update"))).parse(&*said.message)?;
    let (left, _) = tag(" remote cluster from").parse(left)?;
    // The header reads what follows as labels: `secret` and `cluster_id`, with the words behind them.
    let first = |key: &str| said.field(key).and_then(|value| value.split([' ', ':']).next());
    let reason = said.field("cluster_id").and_then(|value| value.split_once(": ")).map_or(left, |(_, reason)| reason);
    let what = RemoteWhat::Rejected(errors::fault(reason.trim()));
    Ok(("", remote(first("cluster_id").unwrap_or(""), first("secret"), what)))
}

/// `error handling istio-system/x, and retry budget exceeded: error adding secret istio-system/x: 1 error occurred: ...`
fn remote_rejected_queue<'a>(said: &'a Said<'a>) -> Read<'a> {
    let queue = (
        delimited(tag("error handling "), is_not(" ,"), tag(", and retry budget exceeded: ")),
        alt((tag("error adding secret "), tag("error adding remote config "))),
    );
    let (left, _) = alt((value((), queue), value((), tag("error processing secret ")))).parse(&*said.message)?;
    let (reason, secret) = terminated(is_not(": "), tag(": ")).parse(left)?;
    // The list's header and bullets say nothing: `1 error occurred:\n\t* `.
    let reason = reason.split_once("* ").map_or(reason, |(_, first)| first.lines().next().unwrap_or(first));
    Ok(("", remote("", Some(secret), RemoteWhat::Rejected(errors::fault(reason)))))
}

/// `Failed to initialize file-backed remote kubeconfigs from "/etc/remote": open /etc/remote: ...; using an empty ...`
fn remote_files_unusable<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (reason, _) = tag("Failed to initialize file-backed remote kubeconfigs from ").parse(&*said.message)?;
    let what = What::Kubeconfig(reason.split(';').next().unwrap_or(reason).into());
    Ok(("", remote("", None, RemoteWhat::Rejected(errors::Fault { what, ..errors::fault(reason) }))))
}

/// `Deleting cluster_id=west configured by secret=istio-system/x`
fn remote_deleted<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, cluster) = preceded(tag("Deleting cluster_id="), is_not(" ")).parse(&*said.message)?;
    Ok((left, remote(cluster, said.field("secret"), RemoteWhat::Deleted)))
}

/// `Number of remote clusters: 2`
fn remote_count<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, count) = preceded(tag("Number of remote clusters: "), number).parse(&*said.message)?;
    Ok((left, remote("", None, RemoteWhat::Count(count))))
}

/// `remote cluster west failed to sync after 30s`
fn remote_sync_timeout<'a>(said: &'a Said<'a>) -> Read<'a> {
    let timed_out = delimited(tag("remote cluster "), is_not(" "), tag(" failed to sync after "));
    let waited = delimited(tag("Timed out waiting for cluster "), is_not(" "), tag(" to sync "));
    let (left, cluster) = alt((timed_out, waited)).parse(&*said.message)?;
    Ok((left, remote(cluster, None, RemoteWhat::SyncTimedOut)))
}

/// `remote cluster west failed to sync[ handler]`
fn remote_sync_stopped<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, cluster) =
        delimited(tag("remote cluster "), is_not(" "), tag(" failed to sync")).parse(&*said.message)?;
    Ok((left, remote(cluster, None, RemoteWhat::SyncStopped)))
}

/// `remote cluster west is closed or timed out, omitting it from the clusters collection`
fn remote_omitted<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, cluster) = delimited(tag("remote cluster "), is_not(" "), tag(" is ")).parse(&*said.message)?;
    let state = alt((tag("closed or timed out"), tag("closed"), tag("timed out")));
    let (left, state) = terminated(state, tag(", omitting it from the clusters collection")).parse(left)?;
    // `closed` alone is a cluster that was taken away on purpose (1.31+).
    let what = if state == "closed" { RemoteWhat::SyncStopped } else { RemoteWhat::Omitted };
    Ok((left, remote(cluster, None, what)))
}

/// `cluster "west" kube client started`, `kube controller for west synced after 1.204s`
fn remote_synced<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, cluster) = alt((
        delimited(tag("cluster \""), is_not("\""), tag("\" kube client started")),
        delimited(tag("kube controller for "), is_not(" "), tag(" synced after ")),
        delimited(tag("cluster "), is_not(" "), tag(" synced, replacing registry")),
        delimited(tag("stopping previous cluster "), is_not(" "), tag(" after new cluster synced")),
    ))
    .parse(&*said.message)?;
    Ok((left, remote(cluster, None, RemoteWhat::Synced)))
}

/// `kube controller for west initial sync timed out`
fn remote_registry_timeout<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, cluster) =
        delimited(tag("kube controller for "), is_not(" "), tag(" initial sync timed out")).parse(&*said.message)?;
    Ok((left, remote(cluster, None, RemoteWhat::SyncTimedOut)))
}

/// `watch error in cluster west: failed to list *v1.Pod: Unauthorized`; a reader that was not told its cluster's name
/// leaves it out.
fn watch_error<'a>(said: &'a Said<'a>) -> Read<'a> {
    let name = opt(is_not(": "));
    let (left, cluster) = delimited(tag("watch error in cluster "), name, tag(": ")).parse(&*said.message)?;
    Ok(("", remote(cluster.unwrap_or(""), None, watch(left))))
}

/// `k8s.io/client-go@v0.26.1/tools/cache/reflector.go:169: failed to list *v1.Pod: Unauthorized`, in newer clients
/// `"Unhandled Error" err="...: Failed to watch *v1.Pod: failed to list *v1.Pod: Unauthorized"`
fn reflector_error<'a>(said: &'a Said<'a>) -> Read<'a> {
    let message = &*said.message;
    let unquoted = message.strip_prefix("\"Unhandled Error\" err=\"").map(|inner| inner.trim_end_matches('"'));
    let reflector = (take_until("reflector.go:"), tag("reflector.go:"), digit1, tag(": "));
    let factory = (take_until("factory.go:"), tag("factory.go:"), digit1, tag(": "));
    // Older clients name the program's file that made the reflector; up to 1.5 a gateway read its secrets itself.
    let fetcher = (take_until("secretfetcher.go:"), tag("secretfetcher.go:"), digit1, tag(": "));
    let place = opt(alt((value((), reflector), value((), factory), value((), fetcher))));
    let (left, watched) = (place, opt((tag("Failed to watch "), is_not(": "), tag(": "))))
        .map(|(_, watched)| watched)
        .parse(unquoted.unwrap_or(message))?;
    let listed = left.starts_with("failed to list ") || left.starts_with("Failed to list ");
    if !listed && watched.is_none() {
        return refuse(message);
    }
    Ok(("", remote("", None, watch(left))))
}

/// `failed to list *v1.Pod: Unauthorized`: the list step names the resource, the watch step does not.
fn watch(text: &str) -> RemoteWhat {
    let behind = text.strip_prefix("failed to list ").or_else(|| text.strip_prefix("Failed to list "));
    let listed = behind.and_then(|behind| behind.split_once(": "));
    let (resource, reason) = listed.unwrap_or(("", text));
    let resource = resource.rsplit("Resource=").next().unwrap_or(resource);
    RemoteWhat::Watch { resource: resource.into(), fault: errors::fault(reason) }
}

/// `waiting for sync...`, `sync failed`, `sync complete`, each with `name=cluster west attempt=50 time=5s`
fn sync_waits<'a>(said: &'a Said<'a>) -> Read<'a> {
    let mut words = alt((tag("waiting for sync..."), tag("sync failed"), tag("sync complete")));
    let (_, step) = words.parse(&*said.message)?;
    let name = said.field("name").unwrap_or("");
    let cluster = name
        .strip_prefix("cluster")
        .map_or("", |id| id.trim_start_matches([' ', '[']).trim_end_matches(" synced").trim_end_matches(']'));
    let so_far = said.field("time").and_then(time::duration).unwrap_or_default();
    let what = match step {
        "sync complete" if cluster.is_empty() => return Ok(("", Fact::Known)),
        "sync complete" => RemoteWhat::Synced,
        _ => RemoteWhat::Waiting { name: name.into(), so_far },
    };
    Ok(("", remote(cluster, None, what)))
}

/// `error handling prod/web, retrying (retry count: 3): ...`
fn queue_error<'a>(said: &'a Said<'a>) -> Read<'a> {
    let retried = (tag(", retrying (retry count: "), digit1, tag("): "));
    let (left, _) = preceded(tag("error handling "), take_until(", ")).parse(&*said.message)?;
    let (left, _) = alt((value((), retried), value((), tag(", and retry budget exceeded: ")))).parse(left)?;
    let fault = errors::fault(left);
    // The API server is well and says that it could not call a webhook.
    if let Some((_, behind)) = left.split_once("failed calling webhook \"") {
        let name = behind.split('"').next().unwrap_or("").into();
        let url = fault.url.clone().unwrap_or_default();
        return Ok(("", Fact::Webhook(Webhook::CallFailed { name, url, fault })));
    }
    // Only what the API server answered says something about the control plane; the rest is about one object.
    let told = matches!(
        fault.what,
        What::Forbidden { .. }
            | What::Unauthorized
            | What::NoSuchType(_)
            | What::TimedOut
            | What::Refused
            | What::NoRoute
    );
    let resource = said.field("controller").unwrap_or("");
    let what = RemoteWhat::Watch { resource: resource.into(), fault };
    Ok(("", if told { remote("", None, what) } else { Fact::Known }))
}

/// `CRD tlsroutes... version v1.0.0 is below minimum version v1.1.0 ...`
fn crd_too_old<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (_, _) = (tag("CRD "), take_until(" is below minimum version")).parse(&*said.message)?;
    // istiod up to 1.29 says so at info level of types that are still experimental: nothing breaks.
    let fact = if said.level >= Level::Warn {
        Fact::Process(Process::CrdMissing((&*said.message).into()))
    } else {
        Fact::Known
    };
    Ok(("", fact))
}

/// `west ServiceExport CRD Not found. Shutting down MCS ServiceExport sync. ...`
fn crd_missing<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, _) = (take_until(" CRD Not found"), tag(" CRD Not found")).parse(&*said.message)?;
    Ok((left, Fact::Process(Process::CrdMissing((&*said.message).into()))))
}

/// `failed cleaning up services in west: ...`
fn remote_cleanup_failed<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, cluster) = alt((
        preceded(tag("failed cleaning up services in "), is_not(": ")),
        delimited(tag("queue for removed kube registry \""), is_not("\""), tag("\" may not be done processing")),
    ))
    .parse(&*said.message)?;
    Ok((left, remote(cluster, None, RemoteWhat::CleanupFailed)))
}

/// `proxy is in cluster mesh-west, but controller is for cluster west`
fn proxy_in_other_cluster<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, claimed) = preceded(tag("proxy is in cluster "), is_not(", ")).parse(&*said.message)?;
    let (left, ours) = preceded(tag(", but controller is for cluster "), rest).parse(left)?;
    Ok((left, remote(claimed, None, RemoteWhat::UnknownToUs { known: vec![ours.into()] })))
}

/// `IP address 10.1.2.3 seen twice in shop/web`, ...
fn shared_address<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, whose) = alt((
        preceded(tag("unexpected: found multiple pods for proxy "), is_not(" ")),
        delimited(tag("IP address "), is_not(" "), tag(" seen twice in ")),
        preceded(tag("Duplicate workloadinfos found for key "), is_not(" ")),
    ))
    .parse(&*said.message)?;
    Ok((left, Fact::Network(Network::SharedAddress(whose.trim_end_matches('.').into()))))
}

/// `invalid mesh networks, using last known state: ...`, ...
fn mesh_networks_invalid<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, _) = alt((
        tag("unable to parse CIDR "),
        tag("multiple networks specify "),
        tag("invalid mesh networks, "),
        tag("failed to read meshNetworks config from ConfigMap: "),
        tag("Found multiple networks CIDRs matching the endpoint IP: "),
    ))
    .parse(&*said.message)?;
    Ok((left, Fact::Network(Network::MeshNetworksInvalid((&*said.message).into()))))
}

/// `service istio-system/x is labeled as gateway, but does not listen neither on port 15443 nor on port 15008`
fn gateway_port_missing<'a>(said: &'a Said<'a>) -> Read<'a> {
    let silent = delimited(tag("service "), is_not(" "), tag(" is labeled as gateway, but does not listen "));
    let unreadable =
        delimited((tag("could not parse "), take_until(" on "), tag(" on ")), is_not(";"), tag("; defaulting to "));
    let (left, service) = alt((silent, unreadable)).parse(&*said.message)?;
    Ok((left, Fact::Network(Network::GatewayPortMissing(service.into()))))
}

/// `ServiceInfo derived from Service/shop/web has mismatched ports. ...`
fn service_differs<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, service) = alt((
        delimited(tag("service "), is_not(" "), tag(" defined from cluster ")),
        delimited(tag("ServiceInfo derived from "), is_not(" "), tag(" has mismatched ports")),
    ))
    .parse(&*said.message)?;
    Ok((left, Fact::Network(Network::ServiceDiffers(service.into()))))
}

/// `gateways changed, triggering push`
fn gateways_changed<'a>(said: &'a Said<'a>) -> Read<'a> {
    value(Fact::Network(Network::GatewaysChanged), tag("gateways changed, triggering push")).parse(&*said.message)
}

/// `could not resolve hostname "abc.elb.example.com" for 1 gateways`
fn gateway_hostname_unresolved<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, host) = alt((
        delimited(tag("could not resolve hostname \""), is_not("\""), tag("\" for ")),
        delimited(tag("Failed parsing gateway address "), is_not(" "), tag(" from Service Registry")),
    ))
    .parse(&*said.message)?;
    Ok((left, Fact::Network(Network::HostnameUnresolved(host.into()))))
}

/// `No network gateway found for network net-west`, ...
fn network_without_gateway<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, network) = alt((
        preceded(tag("No network gateway found for network "), rest),
        delimited(
            (
                tag("Workload "),
                take_until(" belongs to a different network ("),
                tag(" belongs to a different network ("),
            ),
            is_not(")"),
            tag("), but no E/W gateway configured"),
        ),
        delimited(
            (tag("Workload "), take_until(" on network "), tag(" on network ")),
            is_not(" "),
            tag(" has no reachable E/W gateway"),
        ),
    ))
    .parse(&*said.message)?;
    Ok((left, Fact::Network(Network::NoGateway(network.into()))))
}

/// `Incremental push, service web.shop.svc.cluster.local at shard Kubernetes/west has no endpoints`
fn endpoints_gone<'a>(said: &'a Said<'a>) -> Read<'a> {
    let words = alt((tag("Incremental push, service "), tag("Cache Update, Service ")));
    let (left, host) = preceded(words, is_not(" ")).parse(&*said.message)?;
    let (left, shard) = delimited(tag(" at shard "), is_not(" "), tag(" has no endpoints")).parse(left)?;
    let cluster = shard.split_once('/').map_or(shard, |(_, cluster)| cluster);
    Ok((left, Fact::Push(Push::NoEndpoints { host: host.into(), cluster: cluster.into() })))
}

/// `Full push, new service shop/web.shop.svc.cluster.local`
fn endpoints_new<'a>(said: &'a Said<'a>) -> Read<'a> {
    let words = alt((tag("Full push, new service "), tag("Cache Update, new service ")));
    let (left, service) = preceded(words, rest).parse(&*said.message)?;
    let host = service.split_once('/').map_or(service, |(_, host)| host);
    Ok((left, Fact::Push(Push::NewService(host.into()))))
}

/// `Cluster west does not have a network, skipping global workloads`
fn network_label_missing<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, cluster) = preceded(tag("Cluster "), is_not(" ")).parse(&*said.message)?;
    let mut words = alt((
        tag(" does not have a network, skipping global workloads"),
        tag(" does not have network assigned yet, skipping"),
    ));
    let (left, _) = words.parse(left)?;
    Ok((left, Fact::Network(Network::NoLabel(cluster.into()))))
}

/// `could not find GatewayClass istio-east-west[ in local cluster] for Gateway istio-system/x`
fn gateway_class_missing<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, class) = preceded(tag("could not find GatewayClass "), is_not(" ")).parse(&*said.message)?;
    let (left, _) = opt(tag(" in local cluster")).parse(left)?;
    let (left, gateway) = preceded(tag(" for Gateway "), rest).parse(left)?;
    Ok((left, Fact::Network(Network::ClassMissing { class: class.into(), gateway: gateway.into() })))
}

/// `gateway has zero listeners for node x.istio-system`
fn gateway_without_listeners<'a>(said: &'a Said<'a>) -> Read<'a> {
    let words = alt((tag("gateway has zero listeners for node "), tag("buildGatewayRoutes: no gateways for router ")));
    let (left, proxy) = preceded(words, rest).parse(&*said.message)?;
    Ok((left, Fact::Network(Network::NoListeners(proxy.into()))))
}

/// `ignoring AMBIENT_ENABLE_MULTI_NETWORK; requires PILOT_ENABLE_AMBIENT=true`, ...
fn environment_ignored<'a>(said: &'a Said<'a>) -> Read<'a> {
    let flag = Fact::Network(Network::FlagIgnored((&*said.message).into()));
    let known: IResult<&str, ()> = alt((
        value((), (tag("ignoring "), take_until("; requires "), tag("; requires "))),
        value((), tag("Invalid environment variable value ")),
        value((), tag("Invalid CA_TRUSTED_NODE_ACCOUNTS")),
        value((), tag("skipping Kubernetes credential reader; ")),
        value((), tag("PILOT_CERT_PROVIDER=kubernetes is no longer supported")),
    ))
    .parse(&*said.message);
    if let Ok((_, ())) = known {
        return Ok(("", flag));
    }
    let named = ["ENABLE_PEERING_DISCOVERY", "K8S_SELECT_WORKLOAD_ENTRIES"];
    let complains = said.level >= Level::Warn && named.iter().any(|name| said.message.contains(name));
    if complains && !said.message.starts_with("FLAG: ") { Ok(("", flag)) } else { refuse(&said.message) }
}

/// `license is invalid: multicluster features are disabled`: vendors word it as they like.
fn license_invalid<'a>(said: &'a Said<'a>) -> Read<'a> {
    const WRONG: [&str; 8] =
        ["invalid", "expired", "missing", "not found", "no valid", "required", "failed to", "not licensed"];
    let text = said.message.to_ascii_lowercase();
    let about_a_license = text.contains("license") || text.contains("licence");
    let wrong = WRONG.iter().any(|word| text.contains(word));
    if said.level >= Level::Warn && !said.scope.starts_with("envoy") && about_a_license && wrong {
        return Ok(("", Fact::Process(Process::LicenseInvalid((&*said.message).into()))));
    }
    refuse(&said.message)
}

/// `invalid mesh config, using last known state: ...`
fn mesh_config_invalid<'a>(said: &'a Said<'a>) -> Read<'a> {
    let mut words = alt((
        tag("invalid mesh config, using last known state: "),
        tag("invalid mesh config, ignoring: "),
        tag("failed to convert namespace selector: "),
        tag("failed to convert service selector: "),
    ));
    let (reason, _) = words.parse(&*said.message)?;
    Ok(("", Fact::Config(Config { resource: "MeshConfig".into(), what: ConfigWhat::Invalid, reason: reason.into() })))
}

/// `error initializing discovery namespaces filter, invalid discovery selector: ...`
fn discovery_selector_invalid<'a>(said: &'a Said<'a>) -> Read<'a> {
    let mut words = tag("error initializing discovery namespaces filter, invalid discovery selector: ");
    let (reason, _) = words.parse(&*said.message)?;
    let resource = "MeshConfig discoverySelectors".into();
    Ok(("", Fact::Config(Config { resource, what: ConfigWhat::Invalid, reason: reason.into() })))
}

/// `<pod>.<namespace>-<n>` without the counter, which changes with every stream.
fn proxy(connection: &str) -> Text {
    match connection.rsplit_once('-') {
        Some((proxy, count)) if count.bytes().all(|c| c.is_ascii_digit()) => proxy.into(),
        _ => connection.into(),
    }
}

/// A stream as istiod sees it. The address in such lines is the proxy's, not the one dialled, so it is left out.
fn stream(connection: &str, what: StreamWhat) -> Fact {
    let node = (!connection.is_empty()).then(|| proxy(connection));
    Fact::Stream(Stream { side: Side::Server, address: None, node, what })
}

/// `ADS: new delta connection for node:web-1.shop-41`
fn xds_connected<'a>(said: &'a Said<'a>) -> Read<'a> {
    let words = alt((tag("ADS: new connection for node:"), tag("ADS: new delta connection for node:")));
    let (left, node) = preceded(words, rest).parse(&*said.message)?;
    Ok((left, stream(node, StreamWhat::Opened)))
}

/// `ADS: "10.1.2.3:35440" web-1.shop-41 terminated[ with error: ...]`
fn xds_terminated<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, _) = delimited(tag("ADS: \""), opt(is_not("\"")), tag("\" ")).parse(&*said.message)?;
    let (left, node) = terminated(take_until("terminated"), tag("terminated")).parse(left)?;
    let reason = left.trim_start().trim_start_matches("with error: ");
    let ended = reason.is_empty() || reason == "with stream closed";
    let fault = errors::fault(reason);
    let what = if ended || fault.what == What::Benign { StreamWhat::Ended } else { StreamWhat::Closed(fault) };
    Ok(("", stream(node.trim_end(), what)))
}

/// `ADS:LDS: ACK ERROR web-1.shop-12 Internal:Error adding/updating listener(s) ...`
fn xds_nack<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, kind) = preceded(tag("ADS:"), take_until(": ACK ERROR ")).parse(&*said.message)?;
    let (left, node) = preceded(tag(": ACK ERROR "), is_not(" ")).parse(left)?;
    let (reason, _) = opt((tag(" "), is_not(": "), tag(":"))).parse(left)?;
    let reason = reason.trim_start().lines().next().unwrap_or("");
    let resource = reason
        .split_once("listener(s) ")
        .or_else(|| reason.split_once("cluster(s) "))
        .and_then(|(_, behind)| behind.split(':').next())
        .filter(|name| !name.is_empty() && !name.contains(' '));
    Ok((
        "",
        Fact::Nack(Nack {
            side: Side::Server,
            kind: kind.into(),
            node: Some(proxy(node)),
            resource: resource.map(Into::into),
            reason: reason.into(),
        }),
    ))
}

fn refused(peer: Option<Addr>, cluster: Option<&str>, why: RefusedWhy) -> Fact {
    Fact::ClientRefused(ClientRefused { peer, cluster: cluster.map(Into::into), why })
}

/// `Unauthorized XDS: 10.1.2.3:35440 with identity [...]: no identities (...) matched shop/web`
fn xds_unauthorized<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, peer) = preceded(tag("Unauthorized XDS: "), is_not(" ")).parse(&*said.message)?;
    let (reason, _) = tag(" with identity ").parse(left)?;
    Ok(("", refused(Addr::parse(peer), None, RefusedWhy::Identity(reason.into()))))
}

/// `proxy web-1.shop is from an unknown cluster, cannot retrieve certificates: ...`
fn xds_unknown_cluster<'a>(said: &'a Said<'a>) -> Read<'a> {
    let why = || RefusedWhy::UnknownCluster { known: Vec::new() };
    let injected = delimited(tag("unable to fetch namespace, failed to get client for \""), is_not("\""), tag("\""));
    let from = delimited(
        (tag("proxy "), is_not(" "), tag(" is from an unknown cluster, cannot retrieve certificates")),
        opt(tag(" for Wasm image pull")),
        tag(": "),
    );
    let (left, cluster) = alt((injected.map(Some), value(None, from))).parse(&*said.message)?;
    // `cluster west is not configured`
    let named = left.strip_prefix("cluster ").and_then(|rest| rest.strip_suffix(" is not configured"));
    let cluster = cluster.or(named);
    Ok((left, refused(None, cluster, why())))
}

/// `failed to fetch key and certificate for kubernetes://shop-cert: ...`
/// `Failed to fetch public key from "<url>": <reason>`
fn jwks_fetch_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let begins = [
        "Failed to fetch public key from ",
        "Failed to fetch jwt public key from issuer ",
        "Failed to fetch jwks_uri from ",
        "Failed to refresh JWT public key from ",
    ];
    let message = &*said.message;
    if !begins.iter().any(|begin| message.starts_with(begin)) {
        return refuse(message);
    }
    Ok(("", Fact::Policy(Policy { policy: None, what: PolicyWhat::JwksFailed(message.into()) })))
}

fn gateway_secret_missing<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (reason, resource) = alt((
        delimited(tag("failed to fetch key and certificate for "), take_until(": "), tag(": ")),
        delimited(tag("failed to fetch ca certificate for "), take_until(": "), tag(": ")),
        delimited(tag("invalid certificates: "), take_until("\": "), tag("\": ")),
        delimited(
            (tag("proxy "), is_not(" "), tag(" attempted to access unauthorized certificates ")),
            take_until(": "),
            tag(": "),
        ),
    ))
    .parse(&*said.message)?;
    let identity = resource.rsplit('"').next().unwrap_or(resource);
    let what = CertificateWhat::Missing(reason.into());
    Ok(("", Fact::Certificate(Certificate { side: Side::Server, identity: Some(identity.into()), what })))
}

/// `All caches have been synced up in 421.98ms, marking server ready`
fn istiod_ready<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (_, _) =
        (tag("All caches have been synced up in "), take_until(", marking server ready")).parse(&*said.message)?;
    Ok(("", Fact::Process(Process::Ready)))
}

/// `Push debounce stable[17] 1 for config Secret/default/x: 100.214ms since last change, ...`
fn secret_changed<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, _) =
        (tag("Push debounce stable["), take_until(" for config Secret/"), tag(" for config ")).parse(&*said.message)?;
    let (left, object) = is_not(": ").parse(left)?;
    Ok((left, Fact::Push(Push::ConfigChanged(object.into()))))
}

/// `Failed to authenticate client from 10.1.2.3:40000: Authenticator A: ...; Authenticator B: ...`, up to 1.8
/// `Authentication failed for 10.1.2.3:40000: Authenticator A at index 0 got error: .... Authenticator B at index 1 ...`
fn client_refused<'a>(said: &'a Said<'a>) -> Read<'a> {
    if let Some((peer, reasons)) = authentication_failed(&said.message) {
        let (cluster, why) = refusal(&reasons);
        return Ok(("", refused(Addr::parse(peer), cluster.as_deref(), why)));
    }
    let (left, peer) = preceded(tag("Failed to authenticate "), is_not(" ")).parse(&*said.message)?;
    if peer != "client" {
        return if peer.starts_with('/') {
            Ok(("", refused(None, None, RefusedWhy::NoCredential)))
        } else {
            refuse(left)
        };
    }
    let (left, peer) = preceded(tag(" from "), is_not(" ")).parse(left)?;
    let peer = Addr::parse(peer.trim_end_matches(':'));
    let (cluster, why) = refusal(left.trim_start());
    Ok(("", refused(peer, cluster.as_deref(), why)))
}

/// The client of `Authentication failed for`, and what the authenticators say in the words of newer versions. The newest
/// of these forms names no address: `Authentication failed: Authenticator ...`.
fn authentication_failed(message: &str) -> Option<(&str, String)> {
    let behind = message.strip_prefix("Authentication failed")?;
    let (peer, reasons) = behind.split_once(": Authenticator ")?;
    let steps = reasons.split(". Authenticator ").map(|step| match step.split_once(" at index ") {
        Some((name, told)) => format!("{name}: {}", told.split_once(" got error: ").map_or(told, |(_, why)| why)),
        None => step.to_string(),
    });
    Some((peer.trim_start_matches(" for "), steps.collect::<Vec<_>>().join("; Authenticator ")))
}

/// What the authenticators say; error texts may hold `;`, so only `; Authenticator ` separates them.
fn refusal(reasons: &str) -> (Option<Text>, RefusedWhy) {
    const SENT_NOTHING: [&str; 6] = [
        "no client certificate is presented",
        "no verified chain is found",
        "no metadata is attached",
        "no HTTP authorization header exists",
        "no bearer token exists",
        "unsupported auth type",
    ];
    for reason in reasons.split("; Authenticator ") {
        if let Some((_, claim)) = reason.split_once("client claims to be in cluster \"") {
            let quoted: Vec<&str> = claim.split('"').collect();
            let remotes = claim.rsplit_once('[').map_or("", |(_, list)| list.trim_end_matches(']'));
            let local = quoted.get(2).filter(|id| !id.is_empty()).into_iter().copied();
            let known = local.chain(remotes.split_whitespace()).map(Into::into).collect();
            return (quoted.first().map(|id| (*id).into()), RefusedWhy::UnknownCluster { known });
        }
        if let Some((_, behind)) = reason.split_once("could not get cluster ") {
            let cluster = behind.split("'s kube client").next().unwrap_or(behind);
            return (Some(cluster.into()), RefusedWhy::UnknownCluster { known: Vec::new() });
        }
        if let Some((_, behind)) = reason.split_once("failed to validate the JWT from cluster \"") {
            let (cluster, said) = behind.split_once("\": ").unwrap_or((behind, ""));
            let answered = ["the service account authentication returns an error", "the token is not "];
            let why = match answered.iter().any(|words| said.starts_with(words)) {
                true => RefusedWhy::Token(said.into()),
                false => RefusedWhy::ReviewFailed(errors::fault(said)),
            };
            return (Some(cluster.into()), why);
        }
        // Up to 1.9 it is not said whose API server was asked.
        if let Some((_, said)) = reason.split_once("failed to validate the JWT: ") {
            let is_answer = said.starts_with("the service account authentication returns an error");
            let why = match is_answer {
                true => RefusedWhy::Token(said.into()),
                false => RefusedWhy::ReviewFailed(errors::fault(said)),
            };
            return (None, why);
        }
    }
    let nothing_sent =
        reasons.split("; Authenticator ").all(|reason| SENT_NOTHING.iter().any(|words| reason.contains(words)));
    (None, if nothing_sent { RefusedWhy::NoCredential } else { RefusedWhy::Other(reasons.into()) })
}

/// `created CertificateRequest has failed: [...]`, `created CertificateRequest has been denied: [...]`, at the end of a chain
/// of reasons.
fn istio_csr_not_signed<'a>(said: &'a Said<'a>) -> Read<'a> {
    let message = &*said.message;
    let told = ["created CertificateRequest has failed", "created CertificateRequest has been denied"];
    let Some(reason) = told.iter().find_map(|words| message.find(words)).and_then(|at| message.get(at..)) else {
        return refuse(message);
    };
    // What the issuer answered may read like a refusal of ours: it is the issuer's.
    let what = CertificateWhat::Failed(errors::Fault { what: What::Other, ..errors::fault(reason) });
    Ok(("", Fact::Certificate(Certificate { side: Side::Server, identity: None, what })))
}

/// `CSR signing error: cert chain has expired`
fn csr_failed<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (reason, _) = tag("CSR signing error").parse(&*said.message)?;
    let what = CertificateWhat::Failed(errors::fault(reason.trim_matches([':', ' ', '(', ')'])));
    Ok(("", Fact::Certificate(Certificate { side: Side::Server, identity: None, what })))
}

/// `impersonation failed for identity spiffe://..., error: no node authorizer for cluster west`
fn impersonation_refused<'a>(said: &'a Said<'a>) -> Read<'a> {
    let mut words = alt((tag("impersonation failed"), tag("impersonation not allowed")));
    let (reason, _) = words.parse(&*said.message)?;
    let peer = said.field("client").and_then(Addr::parse);
    if let Some((_, cluster)) = reason.split_once("no node authorizer for cluster ") {
        let why = RefusedWhy::UnknownCluster { known: Vec::new() };
        return Ok(("", refused(peer, Some(cluster.trim()), why)));
    }
    Ok(("", refused(peer, None, RefusedWhy::Impersonation((&*said.message).into()))))
}

/// `Starting Istiod Server with primary cluster east`
fn istiod_identity<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, cluster) = preceded(tag("Starting Istiod Server with primary cluster "), rest).parse(&*said.message)?;
    let identity = Process::Identity { cluster: cluster.trim().into(), network: "".into(), xds_address: "".into() };
    Ok((left, Fact::Process(identity)))
}

/// `version: 1.24.3-ecb3d5774896edc5408dc89e35fcc66daf3f7a8f-Clean`
fn istiod_version<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, text) = preceded(tag("version: "), is_not(" ")).parse(&*said.message)?;
    if !text.starts_with(|c: char| c.is_ascii_digit()) || !left.is_empty() {
        return refuse(left);
    }
    // `<version>-<commit>-<status>`; the version itself may hold dashes.
    let version = text.rsplitn(3, '-').nth(2).unwrap_or(text);
    Ok((left, Fact::Process(Process::Started { version: version.into() })))
}

/// `Use local CA certificate`
fn ca_plugged_in<'a>(said: &'a Said<'a>) -> Read<'a> {
    value(Fact::Trust(Trust::PluggedIn), tag("Use local CA certificate")).parse(&*said.message)
}

/// `Use self-signed certificate as the CA certificate`, ...
fn ca_self_signed<'a>(said: &'a Said<'a>) -> Read<'a> {
    let generated = (tag("IstioGenerated "), take_until(" secret found"));
    let created = (tag("CASecret "), take_until(" not found, will create one"));
    let (_, ()) = alt((
        value((), tag("Use self-signed certificate as the CA certificate")),
        value((), tag("Load signing key and cert from existing secret ")),
        value((), generated),
        value((), created),
    ))
    .parse(&*said.message)?;
    Ok(("", Fact::Trust(Trust::SelfSigned)))
}

/// `incomplete signing CA bundle detected at ./etc/cacerts`, ...
fn ca_broken<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (reason, ()) = alt((
        value((), tag("Failed to update new Plug-in CA certs: ")),
        value((), tag("Failed generating plugged-in istiod key cert: ")),
        value((), tag("failed to update meshConfig PEM trustAnchors: ")),
        value((), tag("failed reading root-cert.pem: ")),
        value((), tag("unable to determine signing file format ")),
        value((), tag("reload istiod cert failed: ")),
        value((), tag("Setting keyCertBundle failed: ")),
        value((), tag("Failed to roll forward root certificate ")),
        value((), tag("Fail to load CA secret ")),
        value((), (tag("failed to create discovery service: "), take_until("CA"))),
        value((), nom::combinator::peek(tag("incomplete signing CA bundle detected"))),
    ))
    .parse(&*said.message)?;
    Ok(("", Fact::Trust(Trust::Broken(errors::fault(reason)))))
}

/// `Updating new ROOT-CA not supported`
fn ca_root_ignored<'a>(said: &'a Said<'a>) -> Read<'a> {
    let words = alt((
        tag("Updating new ROOT-CA not supported"),
        tag("Multi root is disabled, updating new ROOT-CA not supported"),
    ));
    value(Fact::Trust(Trust::RootIgnored), words).parse(&*said.message)
}

/// `Trust domain west.example from principal ... does not match the current trust domain or its aliases`
fn foreign_trust_domain<'a>(said: &'a Said<'a>) -> Read<'a> {
    let client = preceded(tag("Could not verify certificate: no cert pool found for trust domain "), rest);
    let principal = (
        delimited(tag("Trust domain "), is_not(" "), tag(" from principal ")),
        terminated(take_until(" does not match"), tag(" does not match")),
    );
    let (left, (domain, who)) =
        alt((client.map(|domain| (domain, "a client of port 15012")), principal)).parse(&*said.message)?;
    Ok((left, Fact::Trust(Trust::ForeignDomain { domain: domain.into(), who: who.into() })))
}

/// `Added 1 certs to trust domain cluster.local in peer cert verifier`
fn trust_domain<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, _) = (tag("Added "), digit1, tag(" certs to trust domain ")).parse(&*said.message)?;
    let (left, domain) = is_not(" ").parse(left)?;
    Ok((left, Fact::Trust(Trust::Domain { domain: domain.into() })))
}

/// `unable to fetch trust Anchors from endpoint https://...: ...`
fn trust_bundle_unreachable<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (reason, _) = tag("unable to fetch trust Anchors from endpoint ").parse(&*said.message)?;
    Ok(("", Fact::Trust(Trust::BundleUnreachable(errors::fault(reason)))))
}

/// `discovery is not ready`, `Failed waiting for cache sync`
fn istiod_not_ready<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, part) = alt((
        terminated(alt((tag("discovery"), tag("sidecar injector"), tag("config validation"))), tag(" is not ready")),
        tag("Failed waiting for cache sync"),
        tag("Failed to sync Pilot K8S CRD controller cache"),
    ))
    .parse(&*said.message)?;
    if left.is_empty() { Ok((left, Fact::Process(Process::NotReady(part.into())))) } else { refuse(left) }
}

/// `panic: close of closed channel`, `failed to start discovery service: ...`
fn istiod_died<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (_, _) = alt((
        tag("failed to create discovery service: "),
        tag("failed to start discovery service: "),
        tag("failure in server component "),
        tag("Observed a panic: "),
        tag("panic: "),
        tag("fatal error: "),
    ))
    .parse(&*said.message)?;
    let first = said.message.lines().next().unwrap_or("");
    // What ran out is the better reading of such a death.
    if ["too many open files", "no space left on device"].iter().any(|what| first.contains(what)) {
        return refuse(&said.message);
    }
    Ok(("", Fact::Process(Process::Died(first.into()))))
}

/// `patching webhook istio-sidecar-injector failed: ...`
fn webhook_patch_failed<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, _) = preceded(tag("patching webhook "), is_not(" ")).parse(&*said.message)?;
    let (reason, _) = tag(" failed: ").parse(left)?;
    let benign = errors::fault(reason).what == What::Benign;
    Ok(("", if benign { Fact::Known } else { Fact::Webhook(Webhook::PatchFailed((&*said.message).into())) }))
}

/// `http: TLS handshake error from 10.1.2.3:48924: remote error: tls: bad certificate`
fn server_handshake<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (left, peer) = preceded(tag("http: TLS handshake error from "), take_until(": ")).parse(&*said.message)?;
    let fault = errors::fault(left.trim_start_matches(": "));
    // Scanners and probes hang up or speak something else; only a client that judged our certificate says so.
    let judged = fault.by_peer && matches!(fault.what, What::BadCertificate | What::UnknownAuthority | What::Expired);
    let fact = match Addr::parse(peer) {
        Some(peer) if judged => Fact::Webhook(Webhook::ServerHandshake { peer, fault }),
        _ => Fact::Known,
    };
    Ok(("", fact))
}

/// `configuration is invalid: virtual service must have at least one route`
fn config_refused<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (reason, _) = tag("configuration is invalid: ").parse(&*said.message)?;
    Ok(("", Fact::Config(Config { resource: "".into(), what: ConfigWhat::Invalid, reason: reason.into() })))
}

/// `Process sidecar injection request`
fn injection<'a>(said: &'a Said<'a>) -> Read<'a> {
    let words = alt((tag("Process sidecar injection request"), tag("Sidecar injection request for ")));
    value(Fact::Webhook(Webhook::Injected), words).parse(&*said.message)
}

/// `successfully acquired lease istio-system/istio-leader`: istiod's own API server answers, as a listing would show.
fn lease_acquired<'a>(said: &'a Said<'a>) -> Read<'a> {
    value(remote("", None, RemoteWhat::Synced), tag("successfully acquired lease ")).parse(&*said.message)
}

/// `error retrieving resource lock istio-system/istio-leader: ...`
fn lease_lost<'a>(said: &'a Said<'a>) -> Read<'a> {
    if said.message.starts_with("failed to renew lease ") {
        return Ok(("", Fact::Known)); // repeated by the next attempt, with its reason
    }
    let (reason, _) =
        delimited(tag("error retrieving resource lock "), is_not(": "), tag(": ")).parse(&*said.message)?;
    let what = RemoteWhat::Watch { resource: "leases".into(), fault: errors::fault(reason) };
    Ok(("", remote("", None, what)))
}

fn peer(said: &Said<'_>, what: PeerWhat) -> Fact {
    let target = said.field("target").or_else(|| said.field("node")).unwrap_or("");
    Fact::Peer(Peer { target: target.into(), what })
}

fn is_peer_scope(said: &Said<'_>) -> bool {
    matches!(&*said.scope, "deltaadsc" | "adsc") || said.field("target").is_some()
}

/// `disconnected, retrying in 24.735483751s: delta stream: rpc error: ...`
fn peer_disconnected<'a>(said: &'a Said<'a>) -> Read<'a> {
    if !is_peer_scope(said) {
        return refuse(&said.message);
    }
    let (reason, ()) = alt((
        value((), (tag("disconnected, retrying in "), is_not(": "), tag(": "))),
        value((), tag("disconnected: ")),
        value((), (tag("Connection closed for node "), is_not(" "), tag(" with err: "))),
        value((), tag("connection closed with err: ")),
    ))
    .parse(&*said.message)?;
    let fault = errors::fault(reason);
    let what = if fault.what == What::Benign { PeerWhat::Stopped } else { PeerWhat::Disconnected(fault) };
    Ok(("", peer(said, what)))
}

/// `established connection`, `received response`
fn peer_connected<'a>(said: &'a Said<'a>) -> Read<'a> {
    if !is_peer_scope(said) {
        return refuse(&said.message);
    }
    let words = alt((tag("established connection"), tag("received response"), tag("Received response: ")));
    value(peer(said, PeerWhat::Connected), words).parse(&*said.message)
}

/// `context canceled (...), not retrying again: ...`
fn peer_stopped<'a>(said: &'a Said<'a>) -> Read<'a> {
    let (_, _) = (tag("context canceled ("), take_until("), not retrying again")).parse(&*said.message)?;
    Ok(("", peer(said, PeerWhat::Stopped)))
}

/// How messages of a healthy istiod begin.
const ORDINARY: &[&str] = &[
    // start-up and settings
    "FLAG: --",
    "Config not found: ",
    "initializing ",
    "mesh configuration: ",
    "mesh configuration updated",
    "mesh networks configuration",
    "flags: ",
    "creating CA and initializing public key",
    "Using istiod file format for signing ca files",
    "Using kubernetes.io/tls secret type",
    "Adding Kubernetes registry adapter",
    "Discover server subject alt names",
    "Istiod certificates are reloaded",
    "x509 cert - Issuer",
    "Generating istiod-signed cert",
    "regenerated istiod dns cert",
    "K8S token doesn't support OIDC",
    "Istiod has detected the newly added",
    "Update Istiod cacerts",
    "Updating new ROOT-CA",
    "Root certificate rotation is completed",
    "Refresh root certificate",
    "Root cert rotat",
    "Loaded SPIFFE trust bundle",
    "Detected CRL file",
    "cacerts Secret found in config cluster",
    "starting discovery service",
    "ControlZ available at",
    "Starting status manager",
    "Starting validation controller",
    "Starting ADS server",
    "Starting IstioD CA",
    "Istiod CA has started",
    "Starting ",
    "starting secure gRPC discovery service",
    "starting gRPC discovery service",
    "starting webhook service",
    "starting HTTP service",
    "Handling event add for",
    "slow startup task",
    "slow post-start task",
    "warnings occurred during mesh validation",
    "All controller caches have been synced",
    "multicluster remote secrets controller cache synced",
    "Setting up event handlers",
    "Successfully created in cluster kubeclient",
    // registries
    "Initializing Kubernetes service registry ",
    "Creating WorkloadEntry only config store",
    "should join leader-election for cluster",
    "joining leader-election for",
    "finished callback for cluster",
    "ignoring delete cluster ",
    "Created mesh watcher for remote cluster",
    "Configuring cluster ",
    "Kubernetes registry for ",
    "External registry for ",
    "secret controller did not sync secrets presented at startup",
    "controller \"",
    "serviceInstancesFromWorkloadInstances(",
    "Multiple gateways found for network",
    "reloading network gateways",
    "upstream dns failure",
    "No local workloadinfo found for",
    "Failed to sync gateways informer for cluster",
    "Failed to sync nodes informer for cluster",
    // pushes and streams
    "XDS: Pushing",
    "XDS: Incremental Pushing",
    "Push debounce stable[",
    "Push Status: ",
    "Push to client ",
    "Full push, ",
    "Cache Update, ",
    "Client closed connection ",
    "Timeout writing ",
    "Metric without context ",
    "sending initial watch ",
    "no virtual service bound to gateway",
    "gateway secret ",
    // leader election
    "attempting to acquire leader lease",
    "leader election lock ",
    "Leader election cycle ",
    "bypassing leader election",
    // webhooks
    "Skip patching webhook",
    "successfully updated",
    "Successfully updated validatingwebhookconfiguration",
    "Not ready to switch validation to fail-closed",
    "Endpoint successfully rejected invalid config",
    "Skipping due to policy check",
    "Could not write response",
    "Reconcile(enter)",
    // work queues and workload entries
    "Work item handle failed",
    "updated auto-registered WorkloadEntry",
    "auto-registered WorkloadEntry",
    "cleaned up auto-registered WorkloadEntry",
    "reconciling gateway with controller",
];

/// Words in the middle of ordinary lines: `LDS: PUSH request for node:...`, `ADS:CDS: FORCE RESPONSE ...`.
const ORDINARY_INSIDE: &[&str] = &[
    ": PUSH for node:",
    ": PUSH INC for node:",
    ": PUSH request for node:",
    ": PUSH INC request for node:",
    ": FORCE RESPONSE ",
    ": New ACK and old ACK check mismatch",
    ": Subscribed resources check mismatch",
    " send health check probe before normal xDS request",
    " is not authorized to receive ",
    "does not have waypoints",
    "does not have nodes, skipping",
    "does not have workload services, skipping",
    "was stopped before hitting the sync timeout",
    "registered informers have not been synced up yet",
    " Secret Added",
];

/// Scopes whose lines at info level are only about ordinary work.
const QUIET_SCOPES: &[&str] =
    &["krt", "status", "controllers", "rootcertrotator", "validationController", "tag-watcher"];

fn ordinary<'a>(said: &'a Said<'a>) -> Read<'a> {
    // The same words, printed louder or by another program, may be about something else.
    let from_istiod = !said.scope.contains("::") && !said.scope.starts_with("envoy");
    let message = &*said.message;
    let quiet = said.level <= Level::Info && QUIET_SCOPES.contains(&&*said.scope);
    // Of the agent's DNS server the same words are a failure.
    let of_agent = said.scope == "dns";
    let begins = !of_agent && ORDINARY.iter().any(|words| message.starts_with(words));
    let holds = || ORDINARY_INSIDE.iter().any(|words| message.contains(words));
    let fatal = said.level >= Level::Fatal;
    if from_istiod && !fatal && (quiet || begins || holds()) { Ok(("", Fact::Known)) } else { refuse(message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Line;
    use crate::origin::Origin;
    use crate::parse::parse;

    fn fact_of(text: &str) -> Fact {
        parse(&Line::alone(Origin::new("east", "istiod.log"), text)).fact
    }

    fn said_line(scope: &str, message: &str) -> String {
        format!("2026-03-04T10:15:00.123456Z\terror\t{scope}\t{message}")
    }

    #[test]
    fn a_client_of_an_unknown_cluster_is_told_from_one_with_a_bad_token() {
        let unknown = said_line(
            "security",
            "Failed to authenticate client from 10.1.2.3:40000: Authenticator ClientCertAuthenticator: no verified chain is found; Authenticator KubeJWTAuthenticator: client claims to be in cluster \"mesh-west\", but we only know about local cluster \"east\" and remote clusters [west south]",
        );
        let Fact::ClientRefused(refused) = fact_of(&unknown) else { panic!("refused") };
        assert_eq!(refused.cluster.as_deref(), Some("mesh-west"));
        let known: Vec<Text> = ["east", "west", "south"].map(Into::into).to_vec();
        assert_eq!(refused.why, RefusedWhy::UnknownCluster { known });

        let token = said_line(
            "security",
            "Failed to authenticate client from 10.1.2.3:40000: Authenticator KubeJWTAuthenticator: failed to validate the JWT from cluster \"west\": the service account authentication returns an error: [invalid bearer token, token has expired]",
        );
        let Fact::ClientRefused(refused) = fact_of(&token) else { panic!("refused") };
        assert!(matches!(refused.why, RefusedWhy::Token(_)));

        let review = said_line(
            "security",
            "Failed to authenticate client from 10.1.2.3:40000: Authenticator KubeJWTAuthenticator: failed to validate the JWT from cluster \"west\": Post \"https://192.0.2.3:6443/apis\": dial tcp 192.0.2.3:6443: i/o timeout",
        );
        let Fact::ClientRefused(refused) = fact_of(&review) else { panic!("refused") };
        assert!(matches!(refused.why, RefusedWhy::ReviewFailed(fault) if fault.what == What::TimedOut));
    }

    #[test]
    fn a_client_without_any_credential_is_told_apart() {
        let probe = said_line(
            "security",
            "Failed to authenticate client from 198.51.100.7:40000: Authenticator ClientCertAuthenticator: no client certificate is presented; Authenticator KubeJWTAuthenticator: target JWT extraction error: no bearer token exists in HTTP authorization header",
        );
        let Fact::ClientRefused(refused) = fact_of(&probe) else { panic!("refused") };
        assert_eq!(refused.why, RefusedWhy::NoCredential);
    }

    #[test]
    fn a_watch_error_names_cluster_resource_and_reason() {
        let line =
            said_line("", "watch error in cluster west: failed to list *v1.Pod: Unauthorized").replace("\t\t", "\t");
        let Fact::Remote(remote) = fact_of(&line) else { panic!("remote") };
        assert_eq!(&*remote.cluster, "west");
        let RemoteWhat::Watch { resource, fault } = remote.what else { panic!("watch") };
        assert_eq!((&*resource, fault.what), ("*v1.Pod", What::Unauthorized));
    }

    #[test]
    fn the_version_is_kept_without_commit_and_status() {
        let started = |text: &str| fact_of(&format!("2026-03-04T10:15:00.123456Z\tinfo\tversion: {text}"));
        let version = |text: &str| Fact::Process(Process::Started { version: text.into() });
        assert_eq!(started("1.24.3-ecb3d5774896edc5408dc89e35fcc66daf3f7a8f-Clean"), version("1.24.3"));
        assert_eq!(started("1.27.1-solo-ecb3d5774896-Clean"), version("1.27.1-solo"));
    }

    #[test]
    fn a_webhook_that_cannot_be_called_is_not_the_api_servers_fault() {
        let line = said_line(
            "controllers",
            "error handling istio-system/gw, retrying (retry count: 1): Internal error occurred: failed calling webhook \"validation.istio.io\": failed to call webhook: Post \"https://istiod.istio-system.svc:443/validate?timeout=10s\": context deadline exceeded",
        );
        let Fact::Webhook(Webhook::CallFailed { name, fault, .. }) = fact_of(&line) else { panic!("webhook") };
        assert_eq!((&*name, fault.what), ("validation.istio.io", What::TimedOut));
    }

    #[test]
    fn a_scanner_at_the_webhook_port_is_no_failure() {
        let handshake = |reason: &str| {
            fact_of(&format!(
                "2026-03-04T10:15:00.123456Z\tinfo\thttp: TLS handshake error from 198.51.100.7:43400: {reason}"
            ))
        };
        assert_eq!(handshake("EOF"), Fact::Known);
        assert_eq!(handshake("tls: client offered only unsupported versions: [301 300]"), Fact::Known);
        assert!(matches!(handshake("remote error: tls: bad certificate"), Fact::Webhook(_)));
    }

    #[test]
    fn a_rejected_kubeconfig_of_the_queue_keeps_its_reason() {
        let text = "2026-03-04T10:15:00.123456Z\terror\tcontrollers\terror handling istio-system/s, and retry budget exceeded: error adding secret istio-system/s: 1 error occurred:\n\t* kubeconfig is not allowed: exec is not allowed\n\n\tcontroller=multicluster secret";
        let Fact::Remote(remote) = fact_of(text) else { panic!("remote") };
        assert_eq!(remote.secret.as_deref(), Some("istio-system/s"));
        let RemoteWhat::Rejected(fault) = remote.what else { panic!("rejected") };
        assert_eq!(fault.what, What::Kubeconfig("kubeconfig is not allowed: exec is not allowed".into()));
    }
}
