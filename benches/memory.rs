//! How much memory the mesh takes: `cargo bench --bench memory`. The column `max alloc` is what is held at most.

use std::sync::Arc;

use meshwhy::engine::mesh::Mesh;
use meshwhy_parsers::event::{DOCUMENT, Event, Fact, Level, Text};
use meshwhy_parsers::origin::Origin;
use meshwhy_parsers::state::object::{Body, Object, Pod};
use meshwhy_parsers::state::{State, ZtunnelDump, ZtunnelWorkload};

#[global_allocator]
static ALLOC: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

/// Workloads of the mesh, half of them in each of two clusters.
const WORKLOADS: usize = 100_000;

/// Where the documents come from.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// Each cluster's pods.
    ByPods,
    /// A ztunnel of each cluster, each of which lists all workloads.
    ByZtunnels,
}

/// Who has which address, of pods alone and of what ztunnels say: on top of the documents, which are not counted.
#[divan::bench(args = [Told::ByPods, Told::ByZtunnels], sample_count = 3)]
fn identities(bencher: divan::Bencher<'_, '_>, told: Told) {
    bencher.with_inputs(|| mesh(told)).bench_refs(|mesh| {
        assert_eq!(mesh.identities().len(), WORKLOADS);
    });
}

/// The pods of the mesh, with what is known of each.
#[divan::bench(sample_count = 3)]
fn pods(bencher: divan::Bencher<'_, '_>) {
    bencher.bench(|| mesh(Told::ByPods));
}

fn mesh(told: Told) -> Mesh {
    let mut mesh = Mesh::default();
    for cluster in ["east", "west"] {
        let mine = (0..WORKLOADS).filter(|number| (number % 2 == 0) == (cluster == "east"));
        match told {
            Told::ByPods => mine.for_each(|number| note(&mut mesh, cluster, State::Object(Arc::new(pod(number))))),
            Told::ByZtunnels => {
                let workloads = (0..WORKLOADS).map(workload).collect();
                note(&mut mesh, cluster, State::Ztunnel(ZtunnelDump { workloads, ..ZtunnelDump::default() }));
            }
        }
    }
    mesh
}

fn note(mesh: &mut Mesh, cluster: &str, state: State) {
    let event = Event {
        at: None,
        origin: Arc::new(Origin::new(cluster, "state.json")),
        seq: 0,
        number: 0,
        level: Level::Info,
        text: "".into(),
        signature: Some(DOCUMENT),
        fact: Fact::State(Box::new(state)),
    };
    mesh.note(&Arc::new(event));
}

fn name(number: usize) -> Text {
    format!("cart-{}-v1-24zpw9n4l-{number:05}", number / 10).into()
}

fn namespace(number: usize) -> Text {
    format!("shop-{}", number / 10 % 60).into()
}

fn ip(number: usize) -> Text {
    format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255).into()
}

fn account(number: usize) -> Text {
    format!("cart-{}", number / 10).into()
}

fn pod(number: usize) -> Object {
    let pod = Pod { ips: vec![ip(number)], service_account: account(number), ..Pod::default() };
    Object {
        kind: "Pod".into(),
        namespace: namespace(number),
        name: name(number),
        body: Body::Pod(Box::new(pod)),
        ..Object::default()
    }
}

fn workload(number: usize) -> ZtunnelWorkload {
    let cluster = if number.is_multiple_of(2) { "east" } else { "west" };
    ZtunnelWorkload {
        uid: format!("{cluster}//Pod/{}/{}", namespace(number), name(number)).into(),
        name: name(number),
        namespace: namespace(number),
        addresses: vec![ip(number)],
        network: format!("net-{cluster}").into(),
        cluster: cluster.into(),
        service_account: account(number),
        ..ZtunnelWorkload::default()
    }
}
