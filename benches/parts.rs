//! How fast the parts are, each alone.

use std::sync::Arc;

use divan::counter::BytesCount;
use meshwhy::causes;
use meshwhy::engine::{Engine, Limits};
use meshwhy_parsers::event::{Arrival, Event, Line};
use meshwhy_parsers::frame::{Framer, Scan};
use meshwhy_parsers::origin::Origin;

use crate::corpus::{self, Format, Trouble};

const BYTES: u64 = 8 << 20;

fn log(format: Format) -> Vec<u8> {
    let mut bytes = Vec::new();
    corpus::log(&mut bytes, format, BYTES, Trouble::Some).expect("memory");
    bytes
}

fn lines(format: Format, scan: Scan) -> Vec<Line> {
    let mut lines = Vec::new();
    framed(&log(format), scan, &mut |line| lines.push(line));
    lines
}

fn framed(bytes: &[u8], scan: Scan, out: &mut dyn FnMut(Line)) {
    let mut framer = Framer::new(Arc::new(Origin::new("east", "a.log")), scan);
    framer.push(bytes, out);
    framer.finish(out);
}

/// Bytes into records, those that cannot matter skipped.
#[divan::bench(args = Format::ALL)]
fn scan(bencher: divan::Bencher<'_, '_>, format: Format) {
    let bytes = log(format);
    let counted = bencher.counter(BytesCount::of_slice(&bytes));
    counted.bench(|| framed(&bytes, Scan::On, &mut |one| drop(divan::black_box(one))));
}

/// Bytes into records, all of them.
#[divan::bench(args = Format::ALL)]
fn frame(bencher: divan::Bencher<'_, '_>, format: Format) {
    let bytes = log(format);
    let counted = bencher.counter(BytesCount::of_slice(&bytes));
    counted.bench(|| framed(&bytes, Scan::Off, &mut |one| drop(divan::black_box(one))));
}

/// Records into events.
#[divan::bench(args = Format::ALL)]
fn parse(bencher: divan::Bencher<'_, '_>, format: Format) {
    let lines = lines(format, Scan::Off);
    let counted = bencher.counter(BytesCount::new(lines.iter().map(|line| line.text.len()).sum::<usize>()));
    counted.bench(|| lines.iter().for_each(|line| drop(divan::black_box(meshwhy_parsers::parse(line)))));
}

/// Events into findings.
#[divan::bench(args = Format::ALL)]
fn engine(bencher: divan::Bencher<'_, '_>, format: Format) {
    let events: Vec<Event> = lines(format, Scan::Off).iter().map(meshwhy_parsers::parse).collect();
    let counted = bencher.counter(divan::counter::ItemsCount::new(events.len()));
    counted.with_inputs(|| events.clone()).bench_values(|events| {
        let mut engine = Engine::presorted(causes::ALL.to_vec(), Limits::default());
        for event in events {
            engine.feed(Arrival::Item(event));
            while engine.poll().is_some() {}
        }
        engine.finish();
        engine.findings().len()
    });
}
