//! State documents as they come: in any packing, cut, too large, foreign, hostile. Each costs a sentence, never the rest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use meshwhy::inputs::{self, Batch, InputLimits, Item, Wanted};
use meshwhy_parsers::frame::Scan;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{meshwhy, root};

/// A Service as the API server prints it.
fn service(at: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": format!("svc-{at}"), "namespace": "shop", "uid": format!("6f1c{at:08x}-77aa-4c1e-9a53-2b6c6e0d1a11"),
            "resourceVersion": "88213", "creationTimestamp": "2026-02-11T08:00:00Z", "labels": {"app": format!("svc-{at}")},
        },
        "spec": {
            "clusterIP": format!("10.96.{}.{}", at / 250, at % 250 + 1), "clusterIPs": [], "type": "ClusterIP",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP", "targetPort": 8080}],
            "selector": {"app": format!("svc-{at}")}, "sessionAffinity": "None",
        },
        "status": {"loadBalancer": {}},
    })
}

fn list(count: usize) -> String {
    let items: Vec<Value> = (0..count).map(service).collect();
    format!("{:#}", json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items}))
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
    fs::write(&path, content).expect("a file");
    path
}

fn run(folder: &Path) -> Output {
    meshwhy().args(["check", "--output", "ndjson"]).arg(folder).output().expect("meshwhy runs")
}

/// How many documents were read, and what was lost.
fn read(folder: &Path) -> (u64, String) {
    let output = run(folder);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let summary: Value = serde_json::from_str(text.lines().last().expect("a summary")).expect("a record");
    let losses: Vec<&str> =
        summary["losses"].as_array().expect("losses").iter().filter_map(|loss| loss.as_str()).collect();
    (summary["documents"].as_u64().expect("a count"), losses.join("\n"))
}

/// Where a file of a cluster is saved.
type Layout = fn(&str, &str) -> String;

#[test]
fn clusters_are_told_apart_however_people_lay_out_what_they_saved() {
    let clusters = ["lyon", "nantes"];
    let input = root().join("samples/state-two-roots/input");
    let layouts: [(&str, Layout); 4] = [
        ("a folder for each cluster", |cluster, file| format!("{cluster}/{file}")),
        ("with a folder of objects", |cluster, file| format!("{cluster}/k8s/{file}")),
        ("below one folder of objects", |cluster, file| format!("k8s/{cluster}/{file}")),
        ("one file for each cluster", |cluster, _| format!("cluster-{cluster}.yaml")),
    ];
    for (name, layout) in layouts {
        let folder = tempfile::tempdir().expect("a folder");
        for cluster in clusters {
            for entry in fs::read_dir(input.join(cluster).join("k8s")).expect("the sample's objects") {
                let path = entry.expect("a file").path();
                let file = path.file_name().expect("a name").to_string_lossy().into_owned();
                let to = folder.path().join(layout(cluster, &file));
                let before = fs::read_to_string(&to).map(|text| format!("{text}---\n")).unwrap_or_default();
                let text = fs::read_to_string(&path).expect("the sample's objects");
                write(folder.path(), &layout(cluster, &file), before + &text);
            }
        }
        let output = run(folder.path());
        let text = String::from_utf8_lossy(&output.stdout);
        let summary: Value = serde_json::from_str(text.lines().last().expect("a summary")).expect("a record");
        assert_eq!(summary["causes"], json!(["root-of-trust-mismatch"]), "{name}: {text}");
    }
}

/// What reaches the engine.
fn batch(folder: &Path, limits: InputLimits) -> Batch {
    let paths = [folder.to_path_buf()];
    let wanted =
        Wanted { paths: &paths, cluster_names: &[], since: None, until: None, threads: 1, scan: Scan::On, limits };
    inputs::read(&wanted, None).expect("readable")
}

/// How many objects reach the engine.
fn objects(folder: &Path, limits: InputLimits) -> (usize, String) {
    let batch = batch(folder, limits);
    let objects =
        batch.documents.iter().filter(|event| format!("{:?}", event.fact).contains("kind: \"Service\"")).count();
    (objects, batch.losses.sentences().join("\n"))
}

#[test]
fn a_list_that_was_cut_keeps_what_came_before() {
    let folder = TempDir::new().expect("a folder");
    let whole = list(50);
    write(folder.path(), "east/services.json", &whole[..whole.len() / 2]);
    let (objects, losses) = objects(folder.path(), InputLimits::default());
    assert!((20..=25).contains(&objects), "{objects}");
    assert!(losses.contains("services.json") && losses.contains("cut"), "{losses}");
}

#[test]
fn a_document_beyond_the_limit_is_read_up_to_it_and_told() {
    let folder = TempDir::new().expect("a folder");
    write(folder.path(), "east/services.json", list(200));
    let limits = InputLimits { document_bytes_max: 64 << 10, ..InputLimits::default() };
    let (objects, losses) = objects(folder.path(), limits);
    assert!((10..200).contains(&objects), "{objects}");
    assert!(losses.contains("document of more than 65536 bytes"), "{losses}");
}

#[test]
fn a_document_is_known_by_what_it_holds_wherever_and_however_it_lies() {
    let folder = TempDir::new().expect("a folder");
    let text = list(3);
    write(folder.path(), "east/a", &text);
    write(folder.path(), "east/notes.log", &text);
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packer, text.as_bytes()).expect("memory");
    write(folder.path(), "east/b.gz", packer.finish().expect("memory"));
    write(folder.path(), "east/c.zst", zstd::encode_all(text.as_bytes(), 0).expect("memory"));
    assert_eq!(read(folder.path()), (4, String::new()));
}

#[test]
fn foreign_documents_are_lines_nobody_knows() {
    let folder = TempDir::new().expect("a folder");
    write(
        folder.path(),
        "package.json",
        "{\n  \"name\": \"web\",\n  \"version\": \"1.0.0\",\n  \"dependencies\": {}\n}\n",
    );
    write(folder.path(), "values.yaml", "global:\n  hub: docker.io/istio\nreplicas: 3\n");
    write(folder.path(), "east/services.json", list(2));
    let (documents, losses) = read(folder.path());
    assert_eq!((documents, losses.as_str()), (1, ""));
}

#[test]
fn hostile_documents_cost_a_sentence_and_never_the_rest() {
    let folder = TempDir::new().expect("a folder");
    let deep = format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{}1{}}}",
        "{\"a\":".repeat(50_000),
        "}".repeat(50_000)
    );
    write(folder.path(), "east/deep.json", deep);
    let mut bomb =
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_string();
    for at in 1..12 {
        let last = at - 1;
        bomb += &format!("  a{at}: &a{at} [{}]\n", vec![format!("*a{last}"); 9].join(","));
    }
    write(folder.path(), "east/bomb.yaml", bomb);
    write(
        folder.path(),
        "east/nul.yaml",
        b"apiVersion: v1\nkind: Service\nmetadata:\n  name: \"a\\0b\"\n  namespace: \xff\xfe\n",
    );
    let wrong = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": ["x"], "labels": 7}, "spec": "none"},
        17,
        null,
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": {"name": 1}}, "status": []},
        service(1),
    ]});
    write(folder.path(), "east/wrong.json", wrong.to_string());
    let dump = r#"{"configs":[{"@type":"type.googleapis.com/envoy.admin.v3.ClustersConfigDump","dynamic_active_clusters":[{"cluster":7},{"cluster":{"name":"outbound|80||a"}}]},5,{"@type":9}]}"#;
    write(folder.path(), "east/proxies/shop/a-1/config_dump", dump);
    write(
        folder.path(),
        "east/istiod/debug/clusterz",
        "[{\"id\":5,\"syncStatus\":[]},{\"id\":\"west\",\"secretName\":\"istio-system/x\",\"syncStatus\":\"synced\"}]",
    );
    write(
        folder.path(),
        "east/istiod/debug/endpointShardz",
        "{\"a.b.svc.cluster.local\":{\"b\":{\"Shards\":{\"Kubernetes/west\":[{\"Addresses\":7}]}}}}",
    );
    write(folder.path(), "east/services.json", list(4));
    let output = run(folder.path());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last: Value = serde_json::from_str(text.lines().last().expect("a summary")).expect("a record");
    assert_eq!(last["type"], "summary", "{text}");
    assert!(last["documents"].as_u64().is_some_and(|documents| documents >= 3), "{last}");
    assert_eq!(last["limits_hit"]["causes_disabled"], json!([]));
    let (objects, losses) = objects(folder.path(), InputLimits::default());
    assert!(objects >= 5, "{objects}: {losses}");
    assert!(losses.contains("wrong.json"), "{losses}");
}

/// A terminal session over two clusters: answers of several kinds, between them lines.
fn session() -> String {
    let service = |network: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: istio-eastwestgateway\n  namespace: istio-system\n  \
             labels:\n    topology.istio.io/network: {network}\nspec:\n  type: LoadBalancer\n"
        )
    };
    format!(
        "$ kubectl --context kind-east -n istio-system get svc istio-eastwestgateway -o yaml\n{}\
         $ kubectl --context \"${{CTX_WEST}}\" -n istio-system get svc istio-eastwestgateway -o yaml\n{}\n\
         $ kubectl --context kind-east -n istio-system logs deploy/istiod --tail 1\n\
         2026-11-21T03:38:13.842000Z\terror\tremote cluster west failed to sync after 30s\n",
        service("network1"),
        service("network2"),
    )
}

/// Each document and line of a session that is saved beside the clusters `east` and `west`: cluster and line number.
fn told_of(session: impl AsRef<[u8]>, limits: InputLimits) -> (Vec<String>, Vec<String>) {
    let folder = TempDir::new().expect("a folder");
    for cluster in ["east", "west"] {
        write(folder.path(), &format!("{cluster}/istio-system/istiod-1/discovery.log"), "");
    }
    write(folder.path(), "notes/session.txt", session);
    let mut batch = batch(folder.path(), limits);
    let documents = batch.documents.iter().map(|event| format!("{} {}", event.origin.cluster, event.number)).collect();
    let mut lines = Vec::new();
    while let Some(item) = batch.next_item().expect("readable") {
        if let Item::Line(line) = item {
            lines.push(format!("{} {} {}", line.origin.cluster, line.number, line.text));
        }
    }
    (documents, lines)
}

#[test]
fn the_documents_of_a_session_are_of_the_clusters_its_commands_name() {
    let (documents, lines) = told_of(session(), InputLimits::default());
    assert_eq!(documents, ["east 2", "west 12"]);
    let line = "east 23 2026-11-21T03:38:13.842000Z\terror\tremote cluster west failed to sync after 30s";
    assert!(lines.iter().any(|shown| shown == line), "{lines:?}");
    assert!(lines.iter().all(|shown| !shown.contains("topology")), "a document is not read as lines, too: {lines:?}");
}

#[test]
fn a_session_that_begins_with_an_answer_is_read_like_one_that_begins_with_a_command() {
    let whole = session();
    let (_, without_command) = whole.split_once('\n').expect("lines");
    let (documents, lines) = told_of(without_command, InputLimits::default());
    assert_eq!(documents, ["notes 1", "west 11"]);
    assert!(lines.iter().any(|shown| shown.starts_with("east 22 2026-")), "{lines:?}");
}

#[test]
fn a_session_beyond_the_limit_is_read_line_by_line() {
    let limits = InputLimits { transcript_bytes_max: 300, ..InputLimits::default() };
    let (documents, lines) = told_of(session(), limits);
    assert!(documents.is_empty(), "{documents:?}");
    assert!(lines.iter().any(|shown| shown.starts_with("east 23 2026-")), "{lines:?}");
}

#[test]
fn a_session_found_twice_in_an_archive_counts_once() {
    let mut archive = tar::Builder::new(Vec::new());
    for _ in 0..2 {
        let mut header = tar::Header::new_gnu();
        header.set_size(session().len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, "notes/session.txt", session().as_bytes()).expect("memory");
    }
    let folder = TempDir::new().expect("a folder");
    write(folder.path(), "saved.tar", archive.into_inner().expect("memory"));
    let batch = batch(folder.path(), InputLimits::default());
    assert_eq!(batch.documents.len(), 2);
    assert!(batch.losses.sentences().concat().contains("the same as one read before"));
}
