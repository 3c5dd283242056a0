//! How fast a healthy log passes the framer: one core, one failure in two thousand lines.
//!
//! `cargo bench -p meshwhy-parsers` prints the throughput of every kind of log.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::BytesCount;
use meshwhy_parsers::frame::{Framer, Scan};
use meshwhy_parsers::origin::Origin;

fn main() {
    divan::main();
}

const BYTES: usize = 32 << 20;
const FAILURE_EVERY: usize = 2_000;

fn time(line: usize) -> String {
    format!(
        "2026-03-02T{:02}:{:02}:{:02}.{:06}Z",
        line / 360_000 % 24,
        line / 6_000 % 60,
        line / 100 % 60,
        line % 100 * 9_973
    )
}

/// A log of many lines, each made from its number.
fn log(line: impl Fn(usize, &str) -> String) -> Vec<u8> {
    let mut log = Vec::with_capacity(BYTES + 4_096);
    let mut number = 0;
    while log.len() < BYTES {
        number += 1;
        log.extend_from_slice(line(number, &time(number)).as_bytes());
        log.push(b'\n');
    }
    log
}

fn ztunnel_text(n: usize, time: &str) -> String {
    let (from, to, port) = (n * 7 % 40, n * 13 % 25, 30_000 + n % 20_000);
    let (level, error) = match n % FAILURE_EVERY {
        0 => ("error", " error=\"io error: Connection refused (os error 111)\""),
        _ => ("info", ""),
    };
    format!(
        "{time}\t{level}\taccess\tconnection complete\tsrc.addr=10.1.0.{from}:{port} src.workload=\"web-5bcc9697c6-{from}\" \
         src.namespace=\"shop\" src.identity=\"spiffe://cluster.local/ns/shop/sa/web\" dst.addr=10.2.0.{to}:15008 \
         dst.hbone_addr=10.2.0.{to}:8080 dst.service=\"cart.shop.svc.cluster.local\" dst.workload=\"cart-6f48dfb7db-{to}\" \
         dst.namespace=\"shop\" dst.identity=\"spiffe://cluster.local/ns/shop/sa/cart\" direction=\"outbound\" \
         bytes_sent={port} bytes_recv=4154 duration=\"{to}ms\"{error}"
    )
}

fn ztunnel_json(n: usize, time: &str) -> String {
    let (from, to, port) = (n * 7 % 40, n * 13 % 25, 30_000 + n % 20_000);
    let (level, error) = match n % FAILURE_EVERY {
        0 => ("error", ",\"error\":\"io error: Connection refused (os error 111)\""),
        _ => ("info", ""),
    };
    format!(
        "{{\"level\":\"{level}\",\"time\":\"{time}\",\"scope\":\"access\",\"message\":\"connection complete\",\
         \"src.addr\":\"10.1.0.{from}:{port}\",\"src.workload\":\"web-5bcc9697c6-{from}\",\"src.namespace\":\"shop\",\
         \"src.identity\":\"spiffe://cluster.local/ns/shop/sa/web\",\"dst.addr\":\"10.2.0.{to}:15008\",\
         \"dst.hbone_addr\":\"10.2.0.{to}:8080\",\"dst.service\":\"cart.shop.svc.cluster.local\",\
         \"dst.workload\":\"cart-6f48dfb7db-{to}\",\"dst.namespace\":\"shop\",\
         \"dst.identity\":\"spiffe://cluster.local/ns/shop/sa/cart\",\"direction\":\"outbound\",\"bytes_sent\":{port},\
         \"bytes_recv\":4154,\"duration\":\"{to}ms\"{error}}}"
    )
}

fn istiod(n: usize, time: &str) -> String {
    match n % 20 {
        _ if n.is_multiple_of(FAILURE_EVERY) => {
            format!("{time}\terror\twatch error in cluster west: failed to list *v1.Pod: Unauthorized")
        }
        0 => format!("{time}\tinfo\tdelta\tADS: new delta connection for node:web-5bcc9697c6-{n}.shop-{n}"),
        1 => format!("{time}\tinfo\tdelta\tADS: \"10.1.2.3:{n}\" web-5bcc9697c6-{n}.shop-{n} terminated"),
        2 => format!(
            "{time}\tinfo\tads\tPush debounce stable[{n}] 1 for reason endpoint:1: 100.98ms since last change, 18.8s since last push, full=false"
        ),
        3 => {
            format!("{time}\tinfo\tads\tXDS: Incremental Pushing ConnectedEndpoints:3 Version:2025-01-28T08:07:48Z/{n}")
        }
        _ => format!(
            "{time}\tinfo\tdelta\tCDS: PUSH request for node:web-5bcc9697c6-{n}.shop resources:69 removed:0 size:68.4kB cached:64/65 filtered:0"
        ),
    }
}

fn envoy_text(n: usize, time: &str) -> String {
    let (to, port) = (n * 13 % 30, 30_000 + n % 20_000);
    let outcome = match n % FAILURE_EVERY {
        0 => "503 UF upstream_reset_before_response_started{connection_failure} - \"delayed_connect_error:_111\"",
        _ => "200 - via_upstream - \"-\"",
    };
    format!(
        "[{time}] \"GET /api/v1/items/{n} HTTP/1.1\" {outcome} 0 558 30 27 \"-\" \"Mozilla/5.0 (X11; Linux x86_64) Firefox/106.0\" \
         \"d5ec4032-8011-4487-901a-571f5a{n:06}\" \"cart.shop:8080\" \"10.2.0.{to}:8080\" \
         outbound|8080||cart.shop.svc.cluster.local 10.1.0.2:{port} 172.30.105.168:8080 10.1.0.2:{port} - default"
    )
}

fn envoy_json(n: usize, time: &str) -> String {
    let (to, port) = (n * 13 % 30, 30_000 + n % 20_000);
    let (code, flags, details) = match n % FAILURE_EVERY {
        0 => (503, "UF", "upstream_reset_before_response_started{connection_failure}"),
        _ => (200, "-", "via_upstream"),
    };
    format!(
        "{{\"authority\":\"cart.shop:8080\",\"bytes_received\":0,\"bytes_sent\":558,\"connection_termination_details\":null,\
         \"downstream_local_address\":\"172.30.105.168:8080\",\"downstream_remote_address\":\"10.1.0.2:{port}\",\"duration\":30,\
         \"method\":\"GET\",\"path\":\"/api/v1/items/{n}\",\"protocol\":\"HTTP/1.1\",\"request_id\":\"d5ec4032-8011-4487-901a-571f5a{n:06}\",\
         \"requested_server_name\":null,\"response_code\":{code},\"response_code_details\":\"{details}\",\"response_flags\":\"{flags}\",\
         \"route_name\":\"default\",\"start_time\":\"{time}\",\"upstream_cluster\":\"outbound|8080||cart.shop.svc.cluster.local\",\
         \"upstream_host\":\"10.2.0.{to}:8080\",\"upstream_local_address\":\"10.1.0.2:{port}\",\"upstream_service_time\":\"27\",\
         \"upstream_transport_failure_reason\":null,\"user_agent\":\"curl/8\",\"x_forwarded_for\":null}}"
    )
}

fn mixed(n: usize, time: &str) -> String {
    [ztunnel_text, ztunnel_json, istiod, envoy_text, envoy_json][n % 5](n, time)
}

#[divan::bench(args = ["ztunnel text", "ztunnel JSON", "istiod", "Envoy text", "Envoy JSON", "mixed"], sample_count = 10)]
fn scan(bencher: Bencher<'_, '_>, kind: &str) {
    let log = match kind {
        "ztunnel text" => log(ztunnel_text),
        "ztunnel JSON" => log(ztunnel_json),
        "istiod" => log(istiod),
        "Envoy text" => log(envoy_text),
        "Envoy JSON" => log(envoy_json),
        _ => log(mixed),
    };
    bencher.counter(BytesCount::new(log.len())).bench(|| {
        let mut framer = Framer::new(Arc::new(Origin::new("c1", "a.log")), Scan::On);
        let mut records = 0u64;
        for chunk in log.chunks(1 << 20) {
            framer.push(chunk, &mut |_| records += 1);
        }
        framer.finish(&mut |_| records += 1);
        records
    });
}
