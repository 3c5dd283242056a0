//! Flags and subcommands.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use meshwhy_parsers::frame::Scan;

use crate::config::{
    self, Asked, Colour, Credentials, FailOn, Form, RecordConfig, ReplayConfig, TailConfig, Task, XdsConfig,
};
use crate::engine::cause::Severity;
use crate::inputs::admin::Program;
use crate::inputs::clock::Clock;
use crate::inputs::direct::Address;
use crate::inputs::kube::ISTIOD_NAMESPACE;
use crate::inputs::source::LiveLimits;
use crate::inputs::stop::Enough;
use crate::outputs::Output;
use crate::outputs::junit::Junit;
use crate::outputs::ndjson::{self, Ndjson};
use crate::outputs::schema::SCHEMA;
use crate::outputs::text::{Look, Text};
use crate::signatures::Signatures;
use crate::sink::Sink;
use crate::{causes, doctor, explain, trace};

#[derive(Parser)]
#[command(name = "meshwhy", version, about, long_about = ABOUT, after_long_help = EXIT_CODES)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const ABOUT: &str = "\
Names why an Istio multicluster mesh fails, from its logs and its state.

Give it what you have saved: logs of istiod, ztunnel, sidecars, gateways and istio-cni, Kubernetes objects and tables, \
config dumps, whole bug reports; of as many clusters as you have. It reads them together and names root causes, each \
with the lines that prove it, what speaks against it, what to do, and one command that proves the fix. It only reads; \
it changes nothing and sends nothing.";

const EXIT_CODES: &str = "\
Exit codes:
  0  nothing to fix was found (or the command did what it was asked)
  1  at least one root cause is open (see `replay --fail-on`)
  2  could not do what was asked

Examples:
  meshwhy replay bug-report.tar.gz
  meshwhy check --context east --context west
  meshwhy doctor --context east
  meshwhy check state/
  meshwhy trace east/sleep.sample helloworld.sample:5000 state/
  meshwhy replay --cluster east=logs/east --cluster west=logs/west logs
  kubectl logs -n istio-system deploy/istiod | meshwhy replay -
  meshwhy explain remote-secret-missing
  meshwhy explain --line 'error deltaadsc disconnected, retrying in 24.7s: delta stream: EOF target=peering-c2'";

#[derive(Subcommand)]
enum Command {
    Tail(Tail),
    Record(Record),
    Replay(Replay),
    Check(Check),
    Trace(Trace),
    Doctor(Doctor),
    Causes(Causes),
    Explain(Explain),
    /// Print the JSON Schema of the NDJSON records.
    #[command(after_long_help = "Example:\n  meshwhy schema > meshwhy.schema.json")]
    Schema,
    Signatures(SignaturesCommand),
    /// Print the completion script of a shell.
    #[command(after_long_help = "Example:\n  meshwhy completions bash > /etc/bash_completion.d/meshwhy")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print a manual page (roff).
    #[command(after_long_help = "Examples:\n  meshwhy man > meshwhy.1\n  meshwhy man replay > meshwhy-replay.1")]
    Man {
        /// The command; without one, the page of the program.
        command: Option<String>,
    },
}

/// Watch clusters, and name root causes while they happen.
///
/// Follows the logs of istiod, ztunnel, east-west gateways, waypoints and istio-cni, and of the pods you choose, watches
/// the objects that matter, and says what opens, what becomes surer and what is resolved. Ctrl-C prints the whole report.
/// It only gets, lists and watches, reads pods' logs, and asks through port-forwards for what only reads; what it may not
/// do, it says, and does without.
#[derive(Args)]
#[command(after_long_help = with_limits(TAIL_HELP, &config::live_limits()))]
struct Tail {
    /// Files and folders to follow as they grow, with or without clusters; `-` is standard input.
    ///
    /// Where standard input is all there is, its end ends the watch.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Name the cluster of a file, a folder, or `-`; may be repeated.
    #[arg(long, value_name = "NAME=PATH", requires = "paths")]
    cluster: Vec<String>,

    #[command(flatten)]
    clusters: Clusters,

    #[command(flatten)]
    direct: Direct,

    /// Also follow the sidecars of these pods: `app=reviews`, `shop/app=reviews`, `shop/`; may be repeated.
    #[arg(long, value_name = "[NAMESPACE/]LABELS")]
    pods: Vec<String>,

    /// How long ago the logs of clusters begin: 30s, 5m, 2h. Files begin at their last MiB.
    #[arg(long, value_name = "AGO", default_value = "1m")]
    since: String,

    /// Begin at so many lines before the end of each log or file instead.
    #[arg(long, value_name = "LINES", conflicts_with = "since")]
    tail: Option<u32>,

    /// Record everything that is read to a new file, without secrets; `meshwhy replay FILE` finds the same in it.
    ///
    /// Compressed where the name ends in .zst.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Also print lines as they come, with the cluster in front: what fails, and what of connections to istiod, remote
    /// clusters, certificates, proxies' configuration and the like is known by a signature; not calls that went well, nor
    /// lines that nothing is known of. As NDJSON: `event` records.
    #[arg(long, conflicts_with = "quiet")]
    follow_events: bool,

    /// What time it is when it begins (RFC 3339), to watch what was recorded as if it were then.
    #[arg(long, value_name = "TIME", hide = true)]
    clock: Option<String>,

    #[command(flatten)]
    judging: Judging,

    #[command(flatten)]
    naming: Naming,

    // Last: its heading holds for all that follows.
    #[command(flatten)]
    xds: Xds,
}

/// How istiods are asked by xDS.
#[derive(Args)]
#[command(next_help_heading = "Asking istiod by xDS")]
struct Xds {
    /// Ask istiod by xDS, as a proxy does, what it would push now, to hold it against what proxies hold: at this address
    /// (http://HOST:15010 in plain text, https://HOST:15012 by TLS; repeat it for each cluster), or without one through
    /// the API server of every context.
    #[arg(long, value_name = "[CLUSTER=]URL", num_args = 0..=1, default_missing_value = "")]
    xds: Vec<String>,

    /// Ask as this proxy: a pod, `sleep-1.sample`, or a whole node ID, with metadata behind commas; may be repeated.
    /// Without one, what ztunnels are told.
    #[arg(long, value_name = "[CLUSTER:]NODE[,KEY=VALUE..]", requires = "xds")]
    xds_node: Vec<String>,

    /// A service account's token for the audience istio-ca, read anew for each stream; its namespace is the node's.
    #[arg(long, value_name = "FILE", requires = "xds")]
    xds_token: Option<PathBuf>,

    /// The root that istiod's certificate comes from (PEM); through a context, the one that istiod publishes there.
    #[arg(long, value_name = "FILE", requires = "xds")]
    xds_ca: Option<PathBuf>,

    /// A client certificate with its chain (PEM).
    #[arg(long, value_name = "FILE", requires = "xds_key")]
    xds_cert: Option<PathBuf>,

    /// The key of the client certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "xds_cert")]
    xds_key: Option<PathBuf>,

    /// The name that istiod's certificate must carry, where it is not the host.
    #[arg(long, value_name = "NAME", requires = "xds")]
    xds_server_name: Option<String>,

    /// Which form of the protocol is spoken as a sidecar or gateway.
    #[arg(long, value_enum, default_value_t = XdsForm::Delta, value_name = "FORM", requires = "xds")]
    xds_form: XdsForm,
}

#[derive(Clone, Copy, ValueEnum)]
enum XdsForm {
    /// Changes alone, as sidecars do since 1.22.
    Delta,
    /// All there is each time, as they did before.
    Sotw,
}

impl Xds {
    fn config(self) -> anyhow::Result<Option<XdsConfig>> {
        let form = match self.xds_form {
            XdsForm::Delta => Form::Delta,
            XdsForm::Sotw => Form::StateOfTheWorld,
        };
        let credentials = Credentials {
            token: self.xds_token,
            identity: self.xds_cert.zip(self.xds_key),
            ca: self.xds_ca,
            server_name: self.xds_server_name,
        };
        config::xds(&self.xds, &self.xds_node, credentials, form)
    }
}

const TAIL_HELP: &str = "\
Examples:
  meshwhy tail --context east --context west
  meshwhy tail --context east --context west --pods shop/app=cart --since 10m
  meshwhy tail /var/log/pods
  kubectl logs -f -n shop deploy/cart -c istio-proxy --context west | meshwhy tail - --cluster west=- --context east
  meshwhy tail --context east --context west --follow-events
  meshwhy tail --context east --context west --record incident.tape.zst
  meshwhy tail --context east --xds --xds-node sleep-1.sample
  kubectl create token default -n istio-system --audience istio-ca > token
  meshwhy tail --xds https://istiod.istio-system.svc:15012 --xds-token token --xds-ca root-cert.pem
  meshwhy tail --context east --output ndjson | jq -r 'select(.type == \"finding\") | .summary'

Exit codes, when it is ended:
  0  nothing open from the severity of --fail-on on
  1  at least one finding is open
  2  could not do what was asked";

/// Which clusters are asked.
#[derive(Args)]
struct Clusters {
    /// A context of the kubeconfig; repeat it for each cluster. Without one, and without a path: the current context.
    #[arg(long, value_name = "NAME")]
    context: Vec<String>,

    /// The kubeconfig; KUBECONFIG and ~/.kube/config otherwise.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The namespace of istiod in clusters where none is found; where one is, its namespace tells.
    #[arg(long, short = 'i', value_name = "NAMESPACE", default_value = ISTIOD_NAMESPACE)]
    istio_namespace: String,
}

impl Clusters {
    fn are_named(&self) -> bool {
        !self.context.is_empty() || self.kubeconfig.is_some()
    }
}

/// Addresses that are asked without an API server.
#[derive(Args)]
struct Direct {
    /// Ask an Envoy's admin port at this address, without an API server: `http://127.0.0.1:15000`, `unix:///PATH`; may be
    /// repeated.
    #[arg(long, value_name = "[CLUSTER[/NAMESPACE/POD]=]URL")]
    envoy_admin: Vec<String>,

    /// The same of a ztunnel's admin port.
    #[arg(long, value_name = "[CLUSTER[/NAMESPACE/POD]=]URL")]
    ztunnel_admin: Vec<String>,

    /// The same of an istiod's port 15014.
    #[arg(long, value_name = "[CLUSTER[/NAMESPACE/POD]=]URL")]
    istiod_debug: Vec<String>,
}

impl Direct {
    fn addresses(&self) -> anyhow::Result<Vec<Address>> {
        let all = [
            (Program::Envoy, &self.envoy_admin),
            (Program::Ztunnel, &self.ztunnel_admin),
            (Program::Istiod, &self.istiod_debug),
        ];
        let addresses = all.into_iter().flat_map(|(program, texts)| texts.iter().map(move |text| (program, text)));
        addresses.map(|(program, text)| Address::parse(program, text)).collect()
    }
}

/// What is saved, and clusters that are asked now.
#[derive(Args)]
struct Sources {
    /// Files, folders and archives (tar, tar.gz, zip, gz, zst); `-` reads standard input.
    ///
    /// The path tells which cluster, namespace and pod a file is of: `<cluster>/<namespace>/<pod>/<container>.log`, the
    /// layout of istioctl bug-report, or what the file itself says. `--cluster` settles it.
    #[arg(value_name = "PATH", required_unless_present_any = LIVE)]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    clusters: Clusters,

    #[command(flatten)]
    direct: Direct,

    /// How long a cluster may take to list its objects, to have its pods asked, and to hand out logs: 30s, 2m.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    timeout: String,
}

/// Flags that name something to ask.
const LIVE: [&str; 5] = ["context", "kubeconfig", "envoy_admin", "ztunnel_admin", "istiod_debug"];

impl Sources {
    /// The paths, and what is asked of clusters, with logs from so long ago on.
    fn resolve(self, lines: Duration) -> anyhow::Result<(Vec<PathBuf>, Option<Asked>)> {
        let gather_max = config::span("--timeout", &self.timeout)?;
        let addresses = self.direct.addresses()?;
        let are_clusters_named = self.clusters.are_named();
        let asked = (are_clusters_named || !addresses.is_empty()).then(|| Asked {
            without_clusters: !are_clusters_named,
            kubeconfig: self.clusters.kubeconfig,
            contexts: self.clusters.context,
            istio_namespace: self.clusters.istio_namespace,
            addresses,
            lines,
            limits: LiveLimits { gather_max, ..LiveLimits::default() },
        });
        Ok((self.paths, asked))
    }
}

/// Save logs and state of clusters, without the secrets in them.
///
/// Objects, what istiods and proxies say of themselves, and logs with those of containers that were restarted, in an
/// archive or a folder that `replay`, `check` and `trace` read. Its manifest tells what was saved and what was refused; a
/// cluster that does not answer never stops the others. Names and addresses stay without --hide-names: look at it before you
/// hand it on.
#[derive(Args)]
#[command(after_long_help = RECORD_HELP)]
struct Record {
    #[command(flatten)]
    clusters: Clusters,

    /// What to make: an archive (.tar.zst, .tar.gz), or a folder.
    #[arg(long, short, value_name = "PATH")]
    out: PathBuf,

    /// Save all of these pods, however many: `app=reviews`, `shop/app=reviews`, `shop/`; may be repeated. Of others with a
    /// sidecar, as of each part of the mesh, a few are saved.
    #[arg(long, value_name = "[NAMESPACE/]LABELS")]
    pods: Vec<String>,

    /// Put other words in the place of names (of clusters, namespaces, pods, services, nodes, hosts, service accounts), and
    /// other addresses in that of addresses: the same for the same, so that causes are still found.
    ///
    /// They are chosen at random, and nobody can tell them back. Words that every mesh has stay (`istiod`, `gateway`), and
    /// with them names that are made of nothing else; so do addresses that mean the same everywhere. Certificates of
    /// authorities stay whole, with the organisation they name, as trust is told by them; those of workloads are left
    /// out. What only a person can tell to be a name, amid a sentence, stays: look at it before you hand it on.
    #[arg(long)]
    hide_names: bool,

    /// How far back logs are saved: 30s, 5m, 2h.
    #[arg(long, value_name = "AGO", default_value = "1h")]
    since: String,

    /// How long a cluster may take for each of: its objects, its pods, their logs.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    timeout: String,
}

const RECORD_HELP: &str = "\
Examples:
  meshwhy record --context east --context west -o bundle.tar.zst
  meshwhy record --context east --context west --hide-names -o bundle.tar.zst
  meshwhy check bundle.tar.zst && meshwhy replay bundle.tar.zst

Exit codes:
  0  something was saved
  2  nothing was, or the bundle cannot be written";

/// Read saved logs and state, and name the root causes.
#[derive(Args)]
#[command(after_long_help = replay_help())]
struct Replay {
    /// Files, folders and archives (tar, tar.gz, zip, gz, zst), or a tape of `meshwhy tail --record`; `-` reads standard
    /// input.
    ///
    /// The path tells which cluster, namespace and pod a file is of: `<cluster>/<namespace>/<pod>/<container>.log`, the
    /// layout of istioctl bug-report, or what the file itself says. `--cluster` settles it.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    reading: Reading,

    #[command(flatten)]
    naming: Naming,

    /// Parse every line, also those that cannot matter.
    #[arg(long, hide = true)]
    no_scan: bool,
}

/// Check whether a mesh of clusters is sound, from saved state or as the clusters are now.
///
/// Asks what one would check by hand, in the order in which one failure makes the next meaningless: pass, warn, fail, or
/// that it cannot be told and what is missing. What fails is named as a root cause with its remedy.
#[derive(Args)]
#[command(after_long_help = CHECK_HELP)]
struct Check {
    #[command(flatten)]
    sources: Sources,

    #[command(flatten)]
    reading: Reading,

    /// The clusters are not linked yet: leave out what can only be so afterwards.
    #[arg(long)]
    precheck: bool,

    /// How to print.
    #[arg(long, short, value_enum, default_value_t = StateFormat::Text, env = "MESHWHY_OUTPUT")]
    output: StateFormat,

    #[command(flatten)]
    printing: Printing,
}

/// Walk one call hop by hop through saved state or the clusters as they are now, and name what breaks it.
///
/// From the caller's pod and its proxy over the service, its endpoints in every cluster, gateways and trust to the pods
/// at the end: each hop passes, fails, or cannot be told, with what told it. Where the call ends, the cause is named with
/// its remedy; what logs say of the same call is read last.
#[derive(Args)]
#[command(after_long_help = TRACE_HELP)]
struct Trace {
    /// The caller: a pod or a workload, `[CLUSTER/]NAME[.NAMESPACE]`.
    from: String,

    /// What it calls: `HOST:PORT` or a URL.
    to: String,

    #[command(flatten)]
    sources: Sources,

    #[command(flatten)]
    reading: Reading,

    /// How to print.
    #[arg(long, short, value_enum, default_value_t = StateFormat::Text, env = "MESHWHY_OUTPUT")]
    output: StateFormat,

    #[command(flatten)]
    printing: Printing,
}

/// Tell what may be read in each cluster, and what is not found without the rest.
///
/// Asks each API server for its version, what is installed, which parts of the mesh run, and by access reviews whether it
/// may list and watch what the other commands look at, read logs, and forward ports to ask proxies. Where reviews are
/// refused it tries. For what is refused it names the causes and checks that suffer, and the rule to add.
#[derive(Args)]
#[command(after_long_help = DOCTOR_HELP)]
struct Doctor {
    #[command(flatten)]
    clusters: Clusters,

    /// How long a cluster may take: 30s, 2m.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    timeout: String,

    /// How to print.
    #[arg(long, short, value_enum, default_value_t = Format::Text, env = "MESHWHY_OUTPUT")]
    output: Format,
}

const DOCTOR_HELP: &str = "\
Examples:
  meshwhy doctor --context east --context west
  meshwhy doctor --context east --output ndjson | jq 'select(.permitted == \"no\") | {resource, causes}'

Exit codes:
  0  all that is needed may be read
  1  something is refused, or a cluster does not answer
  2  nothing could be asked";

const CHECK_HELP: &str = "\
What to save, of every cluster, into a folder of its name:
  kubectl get ns,svc,endpoints,pods,deploy,ds,configmap,secret,mutatingwebhookconfiguration -A -o yaml > east/objects.yaml
  kubectl get gateways.gateway.networking.k8s.io,gateways.networking.istio.io,destinationrules,workloadentries -A -o yaml
  istioctl bug-report, istioctl x internal-debug clusterz|endpointShardz|networkz --all, istioctl proxy-config all -o json

Of clusters that are asked now nothing needs to be saved: it lists those objects, asks istiods, gateways, waypoints and \
ztunnels through port-forwards for what only reads, and does without what it may not do.

Examples:
  meshwhy check --context east --context west
  meshwhy check state/
  meshwhy check --cluster east=bug-report-1.tar.gz --cluster west=bug-report-2.tar.gz bug-report-*.tar.gz
  meshwhy check --precheck --output junit state/ > mesh.xml

Exit codes:
  0  nothing fails
  1  at least one check fails
  2  could not do what was asked";

const TRACE_HELP: &str = "\
It asks what `meshwhy check` asks, so save what that needs (`meshwhy check --help`), and of the caller's cluster:
  istioctl proxy-config all POD.NAMESPACE -o json, or in ambient istioctl ztunnel-config all -o json

Of clusters that are asked now it reads the same, the caller's own proxy, and the logs of the proxies on the way, from \
--since on, else of the last five minutes.

Examples:
  meshwhy trace east/sleep.sample helloworld.sample:5000 --context east --context west
  meshwhy trace sleep.sample helloworld.sample:5000 state/
  meshwhy trace cluster1/sleep.sample http://helloworld.sample:5000/hello state/

Exit codes:
  0  no hop fails, as far as state tells
  1  a hop fails
  2  could not do what was asked";

/// What causes are named by, and how they are printed.
#[derive(Args)]
struct Naming {
    /// How to print.
    #[arg(long, short, value_enum, default_value_t = Format::Text, env = "MESHWHY_OUTPUT")]
    output: Format,

    #[command(flatten)]
    printing: Printing,

    /// Also print every event that is evidence, as a record (NDJSON only).
    #[arg(long)]
    events: bool,

    /// Signatures of your own, besides the built-in ones (see `meshwhy signatures check --help`).
    #[arg(long, value_name = "FILE", env = "MESHWHY_SIGNATURES")]
    signatures: Option<PathBuf>,
}

impl Naming {
    fn output(&self, live: bool) -> Box<dyn Output> {
        match self.output {
            Format::Text => self.printing.text(live),
            Format::Ndjson => Box::new(Ndjson::new(self.events, self.printing.quiet)),
        }
    }
}

/// How it is read.
#[derive(Args)]
struct Reading {
    /// Name the cluster of a file or folder; may be repeated.
    #[arg(long, value_name = "NAME=PATH")]
    cluster: Vec<String>,

    #[command(flatten)]
    judging: Judging,

    /// Leave out lines before this moment (RFC 3339, or so long ago: 30s, 5m, 2h).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Leave out lines after this moment (RFC 3339).
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// How many threads read and parse; the result is the same with any number.
    #[arg(long, value_name = "N", env = "MESHWHY_THREADS", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

/// Which causes are judged.
#[derive(Args)]
struct Judging {
    /// Judge only these causes.
    #[arg(long, value_name = "SLUG,..", value_delimiter = ',')]
    only: Vec<String>,

    /// Do not judge these causes.
    #[arg(long, value_name = "SLUG,..", value_delimiter = ',')]
    disable: Vec<String>,
}

impl Reading {
    /// The configuration that reads it, with the user's own signatures.
    fn config(self, paths: Vec<PathBuf>, signatures: Signatures) -> anyhow::Result<ReplayConfig> {
        Ok(ReplayConfig {
            cluster_names: self.cluster.iter().map(|text| config::cluster_name(text)).collect::<Result<_, _>>()?,
            since: self.since.map(|text| config::since(&text)).transpose()?,
            until: self.until.map(|text| config::moment("--until", &text)).transpose()?,
            threads: self.threads.map_or_else(config::threads_default, usize::from),
            causes: config::causes(&self.judging.only, &self.judging.disable, &signatures)?,
            signatures,
            ..ReplayConfig::of(paths)
        })
    }
}

/// How to print, and what to exit with.
#[derive(Args)]
struct Printing {
    /// From which severity on an open finding makes the exit code 1.
    #[arg(long, value_enum, default_value_t = FailOnWord::Warning, value_name = "SEVERITY")]
    fail_on: FailOnWord,

    /// Print the short form: what is wrong alone (text), or the summary record alone (NDJSON).
    #[arg(long, short)]
    quiet: bool,

    /// When to colour. NO_COLOR is respected.
    #[arg(long, value_enum, default_value_t = Colour::Auto, env = "MESHWHY_COLOR")]
    color: Colour,
}

impl Printing {
    fn text(&self, live: bool) -> Box<dyn Output> {
        let look = Look { width: config::width(), colour: self.color.is_on(), quiet: self.quiet, live };
        Box::new(Text::new(look))
    }
}

/// List the root causes that can be named.
#[derive(Args)]
#[command(after_long_help = "Examples:\n  meshwhy causes\n  meshwhy causes --output ndjson | jq -r .slug")]
struct Causes {
    /// How to print.
    #[arg(long, short, value_enum, default_value_t = Format::Text, env = "MESHWHY_OUTPUT")]
    output: Format,
}

/// Tell what a root cause is, or what a log line means.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  meshwhy explain remote-secret-missing
  meshwhy explain --line \"$(tail -1 istiod.log)\"")]
struct Explain {
    /// A root cause, by its slug.
    #[arg(required_unless_present = "line", conflicts_with = "line")]
    slug: Option<String>,

    /// A line of istiod, ztunnel, Envoy, the agent or istio-cni, as printed.
    #[arg(long, value_name = "LINE", allow_hyphen_values = true)]
    line: Option<String>,
}

/// Work with signatures of your own.
#[derive(Args)]
struct SignaturesCommand {
    #[command(subcommand)]
    command: SignaturesVerb,
}

#[derive(Subcommand)]
enum SignaturesVerb {
    /// Read a file of signatures and run its examples.
    #[command(after_long_help = SIGNATURES_HELP)]
    Check {
        /// The file.
        file: PathBuf,
    },
}

const SIGNATURES_HELP: &str = r#"A signature says which lines it knows, what they mean, and how often they must be said:

  [[signature]]
  name = "payment-slow"         # named `user:payment-slow` in every output
  component = "sidecar"         # or any (the default), istiod, ztunnel, gateway, waypoint, ...
  literals = ["payment"]        # all of these must occur in the line
  regex = 'payment (?<service>\S+) timed out after (?<s>\d+)s'   # and this must match
  subject = "service"           # findings are told apart by this field
  count = 3                     # so often ...
  within = "5m"                 # ... in this time
  severity = "error"            # info, warning, error, critical
  summary = "{service} does not answer within {s} s"
  meaning = "Text for people who ask what it is."                 # optional
  remedy = "Ask the owners of {service}."
  verify = "curl -sf https://status.example.com/{service}"        # optional
  positive = ["payment eu-1 timed out after 5s"]   # whole lines it must know
  negative = ["payment eu-1 answered after 1s"]    # and whole lines it must not know

Exit codes: 0 all examples hold, 2 an error, told with its line and what to try."#;

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON record a line, for programs; see `meshwhy schema`.
    Ndjson,
}

#[derive(Clone, Copy, ValueEnum)]
enum StateFormat {
    /// For people.
    Text,
    /// One JSON record a line, for programs; see `meshwhy schema`.
    Ndjson,
    /// JUnit XML, for pipelines.
    Junit,
}

#[derive(Clone, Copy, ValueEnum)]
enum FailOnWord {
    Info,
    Warning,
    Error,
    Critical,
    Never,
}

impl FailOnWord {
    fn resolve(self) -> FailOn {
        match self {
            FailOnWord::Info => FailOn::Severity(Severity::Info),
            FailOnWord::Warning => FailOn::Severity(Severity::Warning),
            FailOnWord::Error => FailOn::Severity(Severity::Error),
            FailOnWord::Critical => FailOn::Severity(Severity::Critical),
            FailOnWord::Never => FailOn::Never,
        }
    }
}

fn replay_help() -> String {
    with_limits(REPLAY_HELP, &config::limits())
}

const REPLAY_HELP: &str = "\
Examples:
  meshwhy replay logs/
  meshwhy replay --cluster east=istiod-1.log --cluster west=istiod-2.log istiod-1.log istiod-2.log
  kubectl logs -n istio-system ds/ztunnel --prefix | meshwhy replay -
  meshwhy replay --since 2026-03-01T09:00:00Z --until 2026-03-01T10:00:00Z bug-report.tar.gz
  meshwhy replay --output ndjson logs/ | jq -r 'select(.type == \"summary\").causes[]'
  meshwhy replay --fail-on critical --quiet logs/ || page-someone

Exit codes:
  0  nothing open from the severity of --fail-on on
  1  at least one finding
  2  could not do what was asked";

/// A help text with a table of limits.
fn with_limits(help: &str, limits: &[config::Limit]) -> String {
    let mut help = format!("{help}\n\nLimits, each told in the output where it was reached:\n");
    for limit in limits {
        help.push_str(&format!("  {:>11}  {}: {}\n", limit.max, limit.what, limit.beyond));
    }
    help.truncate(help.trim_end().len());
    help
}

/// As what the program is known to kubectl: it runs `kubectl-NAME` for `kubectl NAME`.
const PLUGIN: &str = "kubectl-meshwhy";

/// Runs the program; returns its exit code.
pub fn main() -> u8 {
    let ran_as = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let is_plugin = ran_as.file_stem().is_some_and(|name| name == PLUGIN);
    let command = if is_plugin { Cli::command().bin_name("kubectl meshwhy") } else { Cli::command() };
    let read = command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match read {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; nothing can be done where even these cannot be printed.
            let _ = if is_plugin { print_of_plugin(&error) } else { error.print() };
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    let mut out = Quiet { inner: io::BufWriter::new(io::stdout().lock()), broken: false };
    let done = run(cli.command, &mut out).and_then(|code| match out.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(code),
    });
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("meshwhy: {error:#}");
            2
        }
    }
}

/// Prints help or an error as `kubectl meshwhy` says it: examples begin so, too.
fn print_of_plugin(error: &clap::Error) -> io::Result<()> {
    let is_terminal = if error.use_stderr() { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let text = if is_terminal { error.render().ansi().to_string() } else { error.render().to_string() };
    let text = text.replace("\n  meshwhy ", "\n  kubectl meshwhy ");
    match error.use_stderr() {
        true => io::stderr().write_all(text.as_bytes()),
        false => io::stdout().write_all(text.as_bytes()),
    }
}

fn run(command: Command, out: &mut dyn Write) -> anyhow::Result<u8> {
    match command {
        Command::Tail(flags) => tail(flags),
        Command::Record(flags) => crate::run::record(&RecordConfig {
            kubeconfig: flags.clusters.kubeconfig,
            contexts: flags.clusters.context,
            istio_namespace: flags.clusters.istio_namespace,
            since: Some(config::span("--since", &flags.since)?),
            out: flags.out,
            hide_names: flags.hide_names,
            pods: config::selections(&flags.pods)?,
            limits: LiveLimits { gather_max: config::span("--timeout", &flags.timeout)?, ..LiveLimits::default() },
        }),
        Command::Replay(flags) => replay(flags, out),
        Command::Check(flags) => {
            let task = Task::Check { before_linking: flags.precheck };
            let sources = flags.sources.resolve(Duration::ZERO)?;
            ask(task, sources, flags.reading, flags.output, &flags.printing, out)
        }
        Command::Trace(flags) => {
            let task = call(&flags.from, &flags.to)?;
            let sources = flags.sources.resolve(config::since_ago(flags.reading.since.as_deref())?)?;
            ask(task, sources, flags.reading, flags.output, &flags.printing, out)
        }
        Command::Doctor(flags) => {
            let config = Asked {
                without_clusters: false,
                kubeconfig: flags.clusters.kubeconfig,
                contexts: flags.clusters.context,
                istio_namespace: flags.clusters.istio_namespace,
                addresses: Vec::new(),
                lines: Duration::ZERO,
                limits: LiveLimits { gather_max: config::span("--timeout", &flags.timeout)?, ..LiveLimits::default() },
            };
            let reviews = crate::run::review(&config)?;
            match flags.output {
                Format::Text => out.write_all(doctor::text(&reviews, config::width()).as_bytes())?,
                Format::Ndjson => doctor::ndjson(out, &reviews)?,
            }
            Ok(doctor::exit_code(&reviews))
        }
        Command::Causes(Causes { output: Format::Text }) => {
            out.write_all(explain::catalogue(config::width()).as_bytes())?;
            Ok(0)
        }
        Command::Causes(Causes { output: Format::Ndjson }) => {
            for cause in causes::ALL {
                ndjson::cause(out, cause)?;
            }
            Ok(0)
        }
        Command::Explain(flags) => {
            let page = match (flags.slug, flags.line) {
                (Some(slug), _) => explain::slug(&slug, config::width())?,
                (None, line) => explain::line(&line.unwrap_or_default(), config::width())?,
            };
            out.write_all(page.as_bytes())?;
            Ok(0)
        }
        Command::Schema => {
            out.write_all(SCHEMA.as_bytes())?;
            Ok(0)
        }
        Command::Signatures(SignaturesCommand { command: SignaturesVerb::Check { file } }) => {
            let signatures = config::signatures(Some(&file))?;
            let names: Vec<&str> = signatures.names().collect();
            let word = if names.len() == 1 { "signature" } else { "signatures" };
            writeln!(out, "{} {word}, all examples hold: {}", names.len(), names.join(", "))?;
            Ok(0)
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "meshwhy", &mut &mut *out);
            Ok(0)
        }
        Command::Man { command } => {
            manual(command.as_deref())?.render(&mut &mut *out)?;
            Ok(0)
        }
    }
}

fn manual(command: Option<&str>) -> anyhow::Result<clap_mangen::Man> {
    let mut program = Cli::command();
    program.build();
    let Some(name) = command else { return Ok(clap_mangen::Man::new(program)) };
    let names: Vec<String> = program.get_subcommands().map(|command| command.get_name().to_string()).collect();
    let Some(command) = program.find_subcommand(name) else {
        anyhow::bail!("no command is called {name:?}\nhint: one of {}", names.join(", "));
    };
    Ok(clap_mangen::Man::new(command.clone()).title(format!("meshwhy-{name}")))
}

fn tail(flags: Tail) -> anyhow::Result<u8> {
    let signatures = config::signatures(flags.naming.signatures.as_deref())?;
    let scan = if signatures.is_empty() { Scan::On } else { Scan::Off };
    let xds = flags.xds.config()?;
    let addresses = flags.direct.addresses()?;
    let has_others =
        !flags.paths.is_empty() || !addresses.is_empty() || xds.as_ref().is_some_and(|xds| !xds.through_contexts);
    let without_clusters = has_others && !flags.clusters.are_named();
    let watched = config::watched(&flags.since, flags.tail, &flags.pods, scan)?;
    let replay = ReplayConfig {
        cluster_names: flags.cluster.iter().map(|text| config::cluster_name(text)).collect::<Result<_, _>>()?,
        scan,
        fail_on: flags.naming.printing.fail_on.resolve(),
        events: flags.naming.events,
        quiet: flags.naming.printing.quiet,
        causes: config::causes(&flags.judging.only, &flags.judging.disable, &signatures)?,
        signatures,
        ..ReplayConfig::of(flags.paths)
    };
    let config = TailConfig {
        kubeconfig: flags.clusters.kubeconfig,
        contexts: flags.clusters.context,
        istio_namespace: flags.clusters.istio_namespace,
        lines: flags.tail,
        record: flags.record,
        follow_events: flags.follow_events,
        xds,
        addresses,
        clock: flags.clock.map(|text| config::moment("--clock", &text)).transpose()?.map(Clock::at).unwrap_or_default(),
        ..TailConfig::of(replay, (!without_clusters).then_some(watched))
    };
    let enough = Enough::default();
    let sink = Sink::stdout(enough.clone()).context("cannot write to standard output")?;
    let mut out = Quiet { inner: sink, broken: false };
    crate::run::tail(&config, &mut *flags.naming.output(true), &mut out, enough)
}

fn replay(flags: Replay, out: &mut dyn Write) -> anyhow::Result<u8> {
    let signatures = config::signatures(flags.naming.signatures.as_deref())?;
    // The scan knows what the built-in signatures look for, not what the user's do.
    let scan = if flags.no_scan || !signatures.is_empty() { Scan::Off } else { Scan::On };
    let config = ReplayConfig {
        scan,
        fail_on: flags.naming.printing.fail_on.resolve(),
        events: flags.naming.events,
        quiet: flags.naming.printing.quiet,
        ..flags.reading.config(flags.paths, signatures)?
    };
    let is_stdin = matches!(&config.paths[..], [path] if path.as_os_str() == "-");
    // A tape is told as the watch was that it was taken of.
    let live = crate::run::is_tape(&config) || !config.quiet && is_stdin;
    crate::run::replay(&config, &mut *flags.naming.output(live), out)
}

/// Answers a question about state.
fn ask(
    task: Task,
    (paths, asked): (Vec<PathBuf>, Option<Asked>),
    reading: Reading,
    output: StateFormat,
    printing: &Printing,
    out: &mut dyn Write,
) -> anyhow::Result<u8> {
    let config = ReplayConfig {
        fail_on: printing.fail_on.resolve(),
        quiet: printing.quiet,
        task,
        asked,
        ..reading.config(paths, Signatures::default())?
    };
    let mut output: Box<dyn Output> = match output {
        StateFormat::Text => printing.text(false),
        StateFormat::Ndjson => Box::new(Ndjson::new(false, config.quiet)),
        StateFormat::Junit => Box::new(Junit::default()),
    };
    crate::run::replay(&config, &mut *output, out)
}

fn call(from: &str, to: &str) -> anyhow::Result<Task> {
    let caller = trace::From::parse(from).with_context(|| {
        format!("cannot read the caller {from:?}\nhint: a pod or a workload with its namespace: sleep.sample")
    })?;
    let called = trace::To::parse(to).with_context(|| {
        format!("cannot read the destination {to:?}\nhint: a host and a port: helloworld.sample:5000")
    })?;
    Ok(Task::Trace(caller, called))
}

/// Standard output whose reader may go away: what is left to say is then dropped, and the exit code still tells.
struct Quiet<W> {
    inner: W,
    broken: bool,
}

impl<W: Write> Quiet<W> {
    fn unless_broken<T>(&mut self, dropped: T, write: impl FnOnce(&mut W) -> io::Result<T>) -> io::Result<T> {
        if self.broken {
            return Ok(dropped);
        }
        match write(&mut self.inner) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.broken = true;
                Ok(dropped)
            }
            other => other,
        }
    }
}

impl<W: Write> Write for Quiet<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_broken(bytes.len(), |inner| inner.write(bytes))
    }

    /// Says whether anybody still reads: who watches an open input need not go on for nobody.
    fn flush(&mut self) -> io::Result<()> {
        self.unless_broken((), |inner| inner.flush())?;
        if self.broken { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}
