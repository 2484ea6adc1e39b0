//! How fast a produced batch is judged.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use towpath::base::clock::Timestamp;
use towpath::record::build::{BatchBuilder, BatchShape, NewRecord};
use towpath::record::decompress::Compression;
use towpath::record::validate::{BatchRules, TimestampBounds, validate};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A batch of records of 100 bytes.
fn batch(bytes: usize, compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(BatchShape { compression, ..BatchShape::default() });
    let value = [b'v'; 100];
    while builder.body_bytes() < bytes {
        builder.push(&NewRecord { timestamp: NOW, key: Some(b"key"), value: Some(&value), headers: Vec::new() });
    }
    builder.build().expect("builds")
}

fn benches(criterion: &mut Criterion) {
    let timestamps = TimestampBounds { now: NOW, before_max_ms: i64::MAX, after_max_ms: 3_600_000 };
    let header_only =
        BatchRules { batch_bytes_max: 8 << 20, zstd_allowed: true, keys_required: false, timestamps: Some(timestamps) };
    let walked = BatchRules { keys_required: true, ..header_only };
    let mut group = criterion.benchmark_group("validate");
    for (name, rules, compression) in [
        ("header", header_only, Compression::None),
        ("records", walked, Compression::None),
        ("zstd records", walked, Compression::Zstd),
    ] {
        for kibibytes in [1, 16, 64, 1024] {
            let batch = batch(kibibytes << 10, compression);
            group.throughput(Throughput::Bytes(batch.len() as u64));
            group.bench_with_input(BenchmarkId::new(name, format!("{kibibytes}KiB")), &batch, |bencher, batch| {
                bencher.iter(|| validate(black_box(batch), &rules).expect("valid"));
            });
        }
    }
    group.finish();
}

criterion_group!(record_validate, benches);
criterion_main!(record_validate);
