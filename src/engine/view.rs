//! The questions a cause may ask, as of a moment.

use std::sync::Arc;
use std::time::Duration;

use meshwhy_parsers::event::{Event, Fact, Kind, Process, Remote, RemoteWhat, Thing};
use meshwhy_parsers::state::{State, ZtunnelDump, ZtunnelWorkload};
use meshwhy_parsers::time::Time;

use super::mesh::{Cluster, Link, Mesh};
use super::world::{Known, World};

/// client-go repeats a failing list or watch after at most 60 s, jitter included, and each attempt may hang for 30 s.
const REPEATED_WITHIN: Duration = Duration::from_secs(95);

/// The world as a cause sees it. Of lines it shows what was said so far; documents are always visible.
pub struct View<'w> {
    world: &'w World,
    ended: bool,
    asks_state: bool,
}

impl<'w> View<'w> {
    /// A view of `world`; `ended` tells whether the input is complete.
    pub fn new(world: &'w World, ended: bool) -> View<'w> {
        View { world, ended, asks_state: false }
    }

    /// The same, where a person asks how the state of these clusters is: they are then meant to be one mesh.
    pub fn asking_state(mut self, asks_state: bool) -> View<'w> {
        self.asks_state = asks_state;
        self
    }

    /// Whether a person asks how the state is, and not why lines tell of failures: then no line has a finding of its own.
    pub fn asks_state(&self) -> bool {
        self.asks_state
    }

    /// Whether the whole input has been read, so that silence in it is known to be silence.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Why two clusters are taken for parts of one mesh: what their state says, else a line of istiod about the other's
    /// remote secret. `None` where nothing shows it, unless a person asks about the two together.
    pub fn link(&self, one: &Cluster, other: &Cluster) -> Option<Link<'w>> {
        let by_lines = || {
            self.events(Kind::Remote).find_map(|event| {
                let Fact::Remote(remote) = &event.fact else { return None };
                let is_read = matches!(remote.what, RemoteWhat::Added | RemoteWhat::Updated | RemoteWhat::Synced);
                let is_of =
                    |from: &Cluster, to: &Cluster| *event.origin.cluster == *from.name && to.is_called(&remote.cluster);
                (is_read && (is_of(one, other) || is_of(other, one)))
                    .then(|| Link { event, quote: event.text.to_string() })
            })
        };
        self.mesh().link(one, other).or_else(by_lines)
    }

    /// Whether two clusters are parts of one mesh, or are meant to be.
    pub fn is_one_mesh(&self, one: &Cluster, other: &Cluster) -> bool {
        self.asks_state || self.link(one, other).is_some()
    }

    /// The other clusters of a cluster's mesh.
    pub fn others<'a>(&'a self, cluster: &'a Cluster) -> impl Iterator<Item = &'w Cluster> + 'a {
        self.mesh().clusters().filter(|other| other.name != cluster.name && self.is_one_mesh(cluster, other))
    }

    /// Whether the clusters of a cluster's mesh are all known to be on one network, so that nothing crosses networks.
    pub fn is_flat(&self, cluster: &Cluster) -> bool {
        let own = cluster.network().map(|(_, network)| network);
        let mut others = self.others(cluster).peekable();
        own.is_some()
            && others.peek().is_some()
            && others.all(|other| other.network().map(|(_, network)| network) == own)
    }

    /// The mesh as documents and tables show it.
    pub fn mesh(&self) -> &'w Mesh {
        self.world.mesh()
    }

    /// The facts of a kind with their repeats, by first mention.
    pub fn known(&self, kind: Kind) -> impl DoubleEndedIterator<Item = &'w Known> {
        self.world.facts(kind)
    }

    /// The facts of a kind, by first mention.
    pub fn events(&self, kind: Kind) -> impl DoubleEndedIterator<Item = &'w Arc<Event>> {
        self.world.facts(kind).map(|known| &known.first)
    }

    /// State rows and documents, by first mention.
    pub fn states(&self) -> impl DoubleEndedIterator<Item = (&'w Arc<Event>, &'w State)> {
        self.events(Kind::State).filter_map(|event| match &event.fact {
            Fact::State(state) => Some((event, &**state)),
            _ => None,
        })
    }

    /// Whole ztunnel config dumps: what is not in them, that ztunnel does not know.
    pub fn dumps(&self) -> impl DoubleEndedIterator<Item = (&'w Arc<Event>, &'w ZtunnelDump)> {
        self.states().filter_map(|(event, state)| match state {
            State::Ztunnel(dump) => dump.parts.is_whole().then_some((event, dump)),
            _ => None,
        })
    }

    /// The ztunnel dump of a cluster: the one from the same folder as the log where there are several.
    pub fn dump_for(&self, event: &Event) -> Option<(&'w Arc<Event>, &'w ZtunnelDump)> {
        let same_cluster =
            |dump: &ZtunnelDump, origin: &str| origin == &*event.origin.cluster || dump.cluster == event.origin.cluster;
        let mut dumps = self.dumps().filter(|(of, dump)| same_cluster(dump, &of.origin.cluster)).peekable();
        let first = dumps.peek().copied();
        let folder = |file: &str| file.rsplit_once('/').map_or("", |(folder, _)| folder).to_string();
        let here = folder(&event.origin.file);
        dumps.find(|(of, _)| folder(&of.origin.file) == here).or(first)
    }

    /// A workload of a dump by address.
    pub fn workload_at<'d>(&self, dump: &'d ZtunnelDump, address: &str) -> Option<&'d ZtunnelWorkload> {
        dump.workloads.iter().find(|workload| workload.addresses.iter().any(|known| &**known == address))
    }

    /// What istiod of `cluster` said about `remote`.
    pub fn remote(&self, cluster: &str, remote: &str) -> impl DoubleEndedIterator<Item = (&'w Known, &'w Remote)> {
        let (cluster, remote) = (cluster.to_string(), remote.to_string());
        self.known(Kind::Remote).filter_map(move |known| match &known.first.fact {
            Fact::Remote(said) if *known.first.origin.cluster == *cluster && *said.cluster == *remote => {
                Some((known, said))
            }
            _ => None,
        })
    }

    /// A failure with its repeats, from the event that said it first.
    pub fn repeats(&self, first: &Arc<Event>) -> Option<&'w Known> {
        self.known(first.fact.kind()).find(|known| Arc::ptr_eq(&known.first, first))
    }

    /// istiod's own cluster ID, as it said in the same file, else anywhere in the same cluster.
    pub fn own_id(&self, event: &Event) -> Option<&'w str> {
        let said = |of: &Event| match &of.fact {
            Fact::Process(Process::Identity { .. }) => of.signature == Some("istiod-identity"),
            _ => false,
        };
        let all = || self.events(Kind::Process).filter(|of| said(of));
        let here = all().find(|of| of.origin.file == event.origin.file);
        let found = here.or_else(|| all().find(|of| of.origin.cluster == event.origin.cluster))?;
        match &found.fact {
            Fact::Process(Process::Identity { cluster, .. }) => Some(cluster),
            _ => None,
        }
    }

    /// Whether the cluster a line of istiod names is istiod's own: lines about it often name none.
    pub fn is_own(&self, event: &Event, cluster: &str) -> bool {
        // Without `CLUSTER_ID` an istiod calls its own cluster `Kubernetes`.
        let by_default = || cluster == "Kubernetes" || self.is_where_leases_are(event, cluster);
        cluster.is_empty()
            || (self.own_id(event).map_or_else(by_default, |own| own == cluster)
                && !self.is_taken_up(&event.origin.file, cluster))
    }

    /// Whether this istiod took up a remote secret for the cluster: one for its own cluster it leaves aside.
    fn is_taken_up(&self, file: &str, cluster: &str) -> bool {
        self.events(Kind::Remote).any(|said| match &said.fact {
            Fact::Remote(Remote { cluster: of, what: RemoteWhat::Added | RemoteWhat::Updated, .. }) => {
                **of == *cluster && *said.origin.file == *file
            }
            _ => false,
        })
    }

    /// Whether istiod's leases, which lie in its own cluster, fail at the same address as the lists of this one.
    fn is_where_leases_are(&self, event: &Event, cluster: &str) -> bool {
        let failed = || {
            self.events(Kind::Remote).filter_map(|said| match &said.fact {
                Fact::Remote(Remote { cluster, what: RemoteWhat::Watch { resource, fault }, .. }) => (said.origin.file
                    == event.origin.file)
                    .then_some((&**cluster, &**resource, fault.address.as_ref()?)),
                _ => None,
            })
        };
        let leases = failed().filter(|(of, resource, _)| of.is_empty() && *resource == "leases");
        leases.map(|(_, _, own)| own).any(|own| failed().any(|(of, _, address)| of == cluster && address == own))
    }

    /// Whether a failure that its program repeats as long as it lasts was not repeated, though its file goes on.
    pub fn stopped(&self, known: &Known) -> bool {
        let Some(last) = known.last.at else { return false };
        let file = &known.last.origin.file;
        self.world.coverage().any(|(_, of, coverage)| {
            of == &**file
                && coverage.gaps == 0
                && coverage.span.is_some_and(|(_, end)| last.plus(REPEATED_WITHIN) < end)
        })
    }

    /// The version that programs of a cluster printed at start, the first one that is a number.
    pub fn version(&self, cluster: &str) -> Option<(&'w Arc<Event>, &'w str)> {
        self.events(Kind::Process).find_map(|event| match &event.fact {
            Fact::Process(Process::Started { version })
                if *event.origin.cluster == *cluster && version.starts_with(|c: char| c.is_ascii_digit()) =>
            {
                Some((event, &**version))
            }
            _ => None,
        })
    }

    /// The last event that proved this thing, which failed before or after, to work.
    pub fn worked(&self, thing: Thing) -> Option<&'w Arc<Event>> {
        self.world.worked(thing)
    }

    /// The newest time that documents and lines of a cluster tell, else those of the whole mesh: what ended before it was
    /// over when it was looked at. `None` where nothing carries a time.
    pub fn latest(&self, cluster: &Cluster) -> Option<Time> {
        let lines = |of: Option<&str>| {
            let spans = self.world.coverage().filter(move |(cluster, ..)| of.is_none_or(|of| of == *cluster));
            spans.filter_map(|(_, _, coverage)| coverage.span.map(|(_, end)| end)).max()
        };
        let of_mesh = || self.mesh().clusters().filter_map(|cluster| cluster.latest).max().max(lines(None));
        cluster.latest.max(lines(Some(&cluster.name))).or_else(of_mesh)
    }

    /// Whether a file of `cluster` was watched over all of `from..=to`, without a gap: only then is its silence evidence.
    pub fn covers(&self, cluster: &str, from: Time, to: Time) -> bool {
        self.world.coverage().any(|(of, _, coverage)| {
            of == cluster && coverage.gaps == 0 && coverage.span.is_some_and(|(begin, end)| begin <= from && to <= end)
        })
    }
}
