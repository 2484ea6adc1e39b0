//! What a failure of the database means for the step that met it.

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::metastore::error::MetastoreError;

/// Whether a statement changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It only reads, or nothing it writes is kept without a later statement.
    Read,
    /// Once it was sent it may have been carried out.
    Write,
}

/// Why an attempt failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing was applied and the same attempt may succeed at once.
    Retry(String),
    /// The caller has to know.
    Final(MetastoreError),
}

impl From<MetastoreError> for Failure {
    fn from(error: MetastoreError) -> Self {
        Self::Final(error)
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        let reason = match error {
            PoolError::Timeout(_) => "no connection to the database became free in time".to_owned(),
            PoolError::Closed => "the metastore is closed".to_owned(),
            PoolError::Backend(error) => describe(&error),
            PoolError::PostCreateHook(deadpool_postgres::HookError::Backend(error)) => describe(&error),
            PoolError::PostCreateHook(deadpool_postgres::HookError::Message(message)) => message.into_owned(),
            PoolError::NoRuntimeSpecified => "the connection pool has no runtime".to_owned(),
        };
        Self::Final(MetastoreError::Unavailable(reason))
    }
}

impl Failure {
    /// The failure of a statement of that effect.
    pub(super) fn of(effect: Effect, error: &tokio_postgres::Error) -> Self {
        judge(effect, error.code(), describe(error))
    }

    /// The failure of a statement that nothing was heard of.
    pub(super) fn silent(effect: Effect) -> Self {
        let reason = "the database did not answer in time".to_owned();
        Self::Final(match effect {
            Effect::Read => MetastoreError::Unavailable(reason),
            Effect::Write => MetastoreError::Unknown(reason),
        })
    }
}

/// The database's own words, which the error's display leaves out.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(answer), _) => format!("{} ({})", answer.message(), answer.code().code()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

/// `code` is what the database answered; without one the connection broke.
fn judge(effect: Effect, code: Option<&SqlState>, reason: String) -> Failure {
    let Some(code) = code else {
        return match effect {
            Effect::Read => Failure::Retry(reason),
            Effect::Write => Failure::Final(MetastoreError::Unknown(reason)),
        };
    };
    // A session that is ended may be ended while it commits, and then its last word is no verdict on the commit.
    let ended = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN];
    if ended.contains(code) || code.code().starts_with("08") {
        return judge(effect, None, reason);
    }
    let again = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        // Another agent changed the schema under a prepared statement: prepared anew it works.
        SqlState::FEATURE_NOT_SUPPORTED,
        SqlState::INVALID_SQL_STATEMENT_NAME,
    ];
    if again.contains(code) {
        Failure::Retry(reason)
    } else if code.code().starts_with("22") || code.code().starts_with("XX001") {
        Failure::Final(MetastoreError::Unreadable(reason))
    } else {
        Failure::Final(MetastoreError::Unavailable(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(effect: Effect, code: Option<SqlState>, expected: fn(String) -> Failure) {
        let reason = "reason".to_owned();
        assert_eq!(judge(effect, code.as_ref(), reason.clone()), expected(reason), "{effect:?} {code:?}");
    }

    #[test]
    fn a_lost_answer_is_unknown_only_when_something_may_have_been_written() {
        let unknown = |reason| Failure::Final(MetastoreError::Unknown(reason));
        let unavailable = |reason| Failure::Final(MetastoreError::Unavailable(reason));
        check(Effect::Write, None, unknown);
        check(Effect::Write, Some(SqlState::ADMIN_SHUTDOWN), unknown);
        check(Effect::Write, Some(SqlState::CONNECTION_FAILURE), unknown);
        check(Effect::Read, None, Failure::Retry);
        check(Effect::Read, Some(SqlState::ADMIN_SHUTDOWN), Failure::Retry);
        check(Effect::Write, Some(SqlState::T_R_SERIALIZATION_FAILURE), Failure::Retry);
        check(Effect::Write, Some(SqlState::T_R_DEADLOCK_DETECTED), Failure::Retry);
        check(Effect::Write, Some(SqlState::LOCK_NOT_AVAILABLE), unavailable);
        check(Effect::Write, Some(SqlState::QUERY_CANCELED), unavailable);
        check(Effect::Write, Some(SqlState::DISK_FULL), unavailable);
        check(Effect::Write, Some(SqlState::UNTRANSLATABLE_CHARACTER), |reason| {
            Failure::Final(MetastoreError::Unreadable(reason))
        });
    }
}
