use super::*;
use kafka_protocol::messages::ShareFetchResponse as Decoded;
use kafka_protocol::messages::share_fetch_response::PartitionData;
use kafka_protocol::protocol::Decodable;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use uuid::Uuid;

fn any_text() -> impl Strategy<Value = Option<StrBytes>> {
    option::of("[a-zé]{0,9}".prop_map(StrBytes::from_string))
}

fn any_partition() -> impl Strategy<Value = ShareFetchedPartition> {
    let records = vec(vec(any::<u8>(), 0..300).prop_map(Bytes::from), 0..4);
    let acquired =
        (any::<i64>(), any::<i64>(), any::<i16>()).prop_map(|(first_offset, last_offset, delivery_count)| {
            AcquiredRecords { first_offset, last_offset, delivery_count }
        });
    (any::<i32>(), any::<i16>(), any_text(), any::<i16>(), any_text(), records, vec(acquired, 0..5)).prop_map(
        |(
            partition,
            error_code,
            error_message,
            acknowledge_error_code,
            acknowledge_error_message,
            records,
            acquired,
        )| {
            ShareFetchedPartition {
                partition,
                error_code,
                error_message,
                acknowledge_error_code,
                acknowledge_error_message,
                records,
                acquired,
            }
        },
    )
}

fn any_response() -> impl Strategy<Value = ShareFetchResponse> {
    let topic = (any::<u128>(), vec(any_partition(), 0..5))
        .prop_map(|(id, partitions)| ShareFetchedTopic { topic_id: Uuid::from_u128(id), partitions });
    (any::<i32>(), any::<i16>(), any_text(), any::<i32>(), vec(topic, 0..4)).prop_map(
        |(throttle_time_ms, error_code, error_message, lock_timeout_ms, topics)| ShareFetchResponse {
            throttle_time_ms,
            error_code,
            error_message,
            lock_timeout_ms,
            topics,
        },
    )
}

/// What a client must see: records as one slice.
fn expected(mut response: ShareFetchResponse) -> ShareFetchResponse {
    for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        let joined = Bytes::from(partition.records.concat());
        partition.records = if joined.is_empty() { Vec::new() } else { vec![joined] };
    }
    response
}

fn partition_from(decoded: PartitionData) -> ShareFetchedPartition {
    assert_eq!((decoded.current_leader.leader_id, decoded.current_leader.leader_epoch), (-1, -1));
    let records = decoded.records.expect("never null");
    ShareFetchedPartition {
        partition: decoded.partition_index,
        error_code: decoded.error_code,
        error_message: decoded.error_message,
        acknowledge_error_code: decoded.acknowledge_error_code,
        acknowledge_error_message: decoded.acknowledge_error_message,
        records: if records.is_empty() { Vec::new() } else { vec![records] },
        acquired: decoded
            .acquired_records
            .iter()
            .map(|acquired| AcquiredRecords {
                first_offset: acquired.first_offset,
                last_offset: acquired.last_offset,
                delivery_count: acquired.delivery_count,
            })
            .collect(),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(response in any_response()) {
        for version in 1..=2 {
            let mut body = Bytes::from(response.clone().encode(version).concat());
            prop_assert_eq!(ShareFetchResponse::read(&mut body, version), Ok(expected(response.clone())));
            prop_assert!(body.is_empty());
        }
    }

    #[test]
    fn the_generated_codec_reads_the_same(response in any_response()) {
        let mut body = Bytes::from(response.clone().encode(1).concat());
        let decoded = Decoded::decode(&mut body, 1).unwrap();
        prop_assert!(body.is_empty() && decoded.node_endpoints.is_empty());
        let read = ShareFetchResponse {
            throttle_time_ms: decoded.throttle_time_ms,
            error_code: decoded.error_code,
            error_message: decoded.error_message,
            lock_timeout_ms: decoded.acquisition_lock_timeout_ms,
            topics: decoded.responses.into_iter().map(|topic| ShareFetchedTopic {
                topic_id: topic.topic_id,
                partitions: topic.partitions.into_iter().map(partition_from).collect(),
            }).collect(),
        };
        prop_assert_eq!(read, expected(response));
    }

    #[test]
    fn records_are_not_copied(response in any_response()) {
        let before: Vec<*const u8> = response.topics.iter()
            .flat_map(|topic| &topic.partitions)
            .flat_map(|partition| &partition.records)
            .filter(|slice| !slice.is_empty())
            .map(|slice| slice.as_ptr())
            .collect();
        let own_bytes_max = response.own_bytes_max();
        let slices = response.encode(2);
        let (records, own): (Vec<_>, Vec<_>) = slices.iter().partition(|slice| before.contains(&slice.as_ptr()));
        prop_assert_eq!(records.len(), before.len());
        prop_assert!(own.iter().map(|slice| slice.len()).sum::<usize>() <= own_bytes_max);
    }

    #[test]
    fn whatever_a_server_says_is_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        for version in 0..=3 {
            let _ = ShareFetchResponse::read(&mut Bytes::from(bytes.clone()), version);
        }
    }
}

#[test]
fn no_records_are_a_length_of_zero_and_never_null() {
    let partition = ShareFetchedPartition { partition: 1, ..ShareFetchedPartition::default() };
    let topic = ShareFetchedTopic { topic_id: Uuid::nil(), partitions: vec![partition] };
    let body = ShareFetchResponse { topics: vec![topic], ..ShareFetchResponse::default() }.encode(2).concat();
    let mut expected = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    expected.extend([0; 16]);
    expected.extend([2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]);
    expected.extend([1, 1, 0, 0, 1, 0]);
    assert_eq!(body, expected);
}
