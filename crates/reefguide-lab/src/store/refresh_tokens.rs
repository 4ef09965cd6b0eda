//! Refresh tokens.

use rusqlite::{OptionalExtension, params};

use super::database::{JobStore, JobStoreError};
use super::rows::Time;

impl JobStore {
    /// Stores a refresh token and returns its id.
    pub(crate) fn add_refresh_token(
        &self,
        token: &str,
        user: i64,
        expires: Time,
    ) -> Result<i64, JobStoreError> {
        self.write(|db| {
            let sql = "INSERT INTO refresh_token (token, user_id, expires_at) VALUES (?, ?, ?)";
            db.execute(sql, params![token, user, expires.0])?;
            Ok(db.last_insert_rowid())
        })
    }

    /// The id of a refresh token's account, and when the token expires.
    pub(crate) fn refresh_token(
        &self,
        id: i64,
        token: &str,
    ) -> Result<Option<(i64, Time)>, JobStoreError> {
        self.read(|db| {
            let sql = "SELECT user_id, expires_at FROM refresh_token WHERE id = ? AND token = ?";
            let row = db.query_row(sql, params![id, token], |row| {
                Ok((row.get(0)?, Time(row.get(1)?)))
            });
            Ok(row.optional()?)
        })
    }
}
