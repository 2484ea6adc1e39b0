//! What the requests about access are refused with.

use kafka_protocol::protocol::StrBytes;

/// The sentence that goes with SECURITY_DISABLED.
#[must_use]
pub fn no_authorizer() -> StrBytes {
    StrBytes::from_static_str("This cluster has no authorizer: there are no ACLs, who can connect may do everything.")
}

/// The sentence that goes with a refused quota.
#[must_use]
pub fn no_quotas() -> StrBytes {
    StrBytes::from_static_str("This cluster does not enforce client quotas, so it stores none.")
}
