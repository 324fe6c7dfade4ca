//! The accounts and the bookings on them, in one SQLite file.
//!
//! A booking is one transaction: the balance changes and the entry with its idempotency key appears, both or neither, and both
//! are on the disk before the answer is given. A later call with the same key finds the entry and gets the first answer again.

use money::{Cents, Receipt};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde::Serialize;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    pub id: String,
    pub balance: Cents,
    /// A closed account takes no deposits; what it holds can still be withdrawn.
    pub closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Withdraw,
    Deposit,
}

impl Direction {
    fn word(self) -> &'static str {
        match self {
            Direction::Withdraw => "withdraw",
            Direction::Deposit => "deposit",
        }
    }
}

/// One line of the books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Booking {
    pub number: i64,
    /// The idempotency key of the call that made it, if it sent one.
    pub key: Option<String>,
    pub direction: String,
    pub account: String,
    pub amount: Cents,
    pub balance: Cents,
}

/// Why a booking was not made. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no account {0}")]
    UnknownAccount(String),
    #[error("{account} holds {balance}, which is less than {amount}")]
    InsufficientFunds { account: String, balance: Cents, amount: Cents },
    #[error("the idempotency key {0:?} was used before, for a different booking")]
    KeyReused(String),
    #[error("{0} is closed and takes no deposits")]
    AccountClosed(String),
    #[error("{0} would hold more than can be counted")]
    TooMuchMoney(String),
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The file could not be read or written.
    #[error("the account store failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// All accounts. Calls block on the disk: do not make them on an async thread.
pub struct Store {
    connection: Mutex<Connection>,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS accounts (
        id TEXT PRIMARY KEY,
        cents INTEGER NOT NULL CHECK (cents >= 0),
        closed INTEGER NOT NULL DEFAULT FALSE
    ) STRICT;
    CREATE TABLE IF NOT EXISTS bookings (
        number INTEGER PRIMARY KEY,
        key TEXT UNIQUE,
        direction TEXT NOT NULL,
        account TEXT NOT NULL REFERENCES accounts (id),
        cents INTEGER NOT NULL CHECK (cents > 0),
        balance INTEGER NOT NULL
    ) STRICT;";

impl Store {
    /// Opens the file, and creates it with the ten accounts of the example if it does not exist.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        let mut connection = Connection::open(path)?;
        // WAL and a sync with each commit: what was answered survives a kill and a power cut.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.execute_batch(SCHEMA)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for id in money::ACCOUNTS {
            transaction.execute(
                "INSERT INTO accounts (id, cents) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![id, money::OPENING_BALANCE.cents()],
            )?;
        }
        transaction.commit()?;
        Ok(Store { connection: Mutex::new(connection) })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().expect("nothing panics while it holds the connection")
    }

    pub fn account(&self, id: &str) -> Result<Account, StoreError> {
        read(&self.connection(), id)
    }

    /// All accounts by id.
    pub fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT id, cents, closed FROM accounts ORDER BY id")?;
        let rows = statement.query_map([], account_of)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All bookings since the last reset, oldest first.
    pub fn bookings(&self) -> Result<Vec<Booking>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT number, key, direction, account, cents, balance FROM bookings ORDER BY number",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(Booking {
                number: row.get(0)?,
                key: row.get(1)?,
                direction: row.get(2)?,
                account: row.get(3)?,
                amount: Cents::new(row.get(4)?),
                balance: Cents::new(row.get(5)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Books `amount` out of or into an account: once for each key, however often it is called.
    pub fn book(
        &self,
        direction: Direction,
        account: &str,
        amount: Cents,
        key: Option<&str>,
    ) -> Result<Receipt, StoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(receipt) = earlier_booking(&transaction, direction, account, amount, key)? {
            return Ok(receipt);
        }
        let Account { balance: before, closed, .. } = read(&transaction, account)?;
        let after = match direction {
            Direction::Deposit if closed => return Err(Refusal::AccountClosed(account.to_owned()).into()),
            Direction::Withdraw if before < amount => {
                let account = account.to_owned();
                return Err(Refusal::InsufficientFunds { account, balance: before, amount }.into());
            }
            Direction::Withdraw => before.checked_sub(amount),
            Direction::Deposit => before.checked_add(amount),
        };
        let after = after.ok_or_else(|| Refusal::TooMuchMoney(account.to_owned()))?;
        transaction
            .execute("UPDATE accounts SET cents = ?2 WHERE id = ?1", params![account, after.cents()])?;
        transaction.execute(
            "INSERT INTO bookings (key, direction, account, cents, balance) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![key, direction.word(), account, amount.cents(), after.cents()],
        )?;
        transaction.commit()?;
        Ok(Receipt { account: account.to_owned(), amount, balance: after, repeated: false })
    }

    /// Closes or opens an account.
    pub fn set_closed(&self, id: &str, closed: bool) -> Result<Account, StoreError> {
        let connection = self.connection();
        connection.execute("UPDATE accounts SET closed = ?2 WHERE id = ?1", params![id, closed])?;
        read(&connection, id)
    }

    /// Opens every account and gives it its opening balance again. The keys stay known: a transfer that is under way books nothing twice.
    pub fn reset(&self) -> Result<(), StoreError> {
        let connection = self.connection();
        connection.execute(
            "UPDATE accounts SET cents = ?1, closed = FALSE",
            params![money::OPENING_BALANCE.cents()],
        )?;
        Ok(())
    }
}

fn read(connection: &Connection, id: &str) -> Result<Account, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id, cents, closed FROM accounts WHERE id = ?1")?;
    let account = statement.query_row([id], account_of).optional()?;
    account.ok_or_else(|| Refusal::UnknownAccount(id.to_owned()).into())
}

fn account_of(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account { id: row.get(0)?, balance: Cents::new(row.get(1)?), closed: row.get(2)? })
}

/// The answer that an earlier call with this key got, if there was one.
fn earlier_booking(
    transaction: &Transaction<'_>,
    direction: Direction,
    account: &str,
    amount: Cents,
    key: Option<&str>,
) -> Result<Option<Receipt>, StoreError> {
    let Some(key) = key else { return Ok(None) };
    let mut statement = transaction
        .prepare_cached("SELECT direction, account, cents, balance FROM bookings WHERE key = ?1")?;
    let entry = statement
        .query_row([key], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((earlier_direction, earlier_account, cents, balance)) = entry else { return Ok(None) };
    if earlier_direction != direction.word() || earlier_account != account || Cents::new(cents) != amount {
        return Err(Refusal::KeyReused(key.to_owned()).into());
    }
    Ok(Some(Receipt { account: earlier_account, amount, balance: Cents::new(balance), repeated: true }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays calls like `withdraw account_A 10.00 key-1` and shows the answers, one a line.
    #[track_caller]
    fn check(calls: &str, expected: &str) {
        let folder = tempfile::tempdir().expect("a folder for the store");
        let path = folder.path().join("accounts.db");
        let mut answers = String::new();
        for call in calls.lines().map(str::trim).filter(|line| !line.is_empty()) {
            // Opened anew for each call: nothing may live in memory alone.
            let store = Store::open(&path).expect("the store opens");
            let words: Vec<&str> = call.split_whitespace().collect();
            let direction = if words[0] == "withdraw" { Direction::Withdraw } else { Direction::Deposit };
            let amount = words[2].parse().expect("an amount");
            let answer = match store.book(direction, words[1], amount, words.get(3).copied()) {
                Ok(receipt) if receipt.repeated => format!("{} (repeated)", receipt.balance),
                Ok(receipt) => receipt.balance.to_string(),
                Err(error) => error.to_string(),
            };
            answers.push_str(&format!("{answer}\n"));
        }
        let expected: String = expected.lines().map(|line| format!("{}\n", line.trim())).collect();
        assert_eq!(answers.trim(), expected.trim());
    }

    #[test]
    fn a_key_takes_effect_once() {
        check(
            "withdraw account_A 10.00 one
             withdraw account_A 10.00 one
             withdraw account_A 10.00 two
             deposit account_A 5.55
             deposit account_A 5.55
             withdraw account_A 10.00 one",
            "990.00
             990.00 (repeated)
             980.00
             985.55
             991.10
             990.00 (repeated)",
        );
    }

    #[test]
    fn refusals_change_nothing() {
        check(
            "withdraw account_A 1000.01 one
             withdraw account_A 1000.00 one
             withdraw account_A 0.01
             withdraw account_X 1.00
             deposit account_B 1000.00 one
             deposit account_A 1.00 two",
            "account_A holds 1000.00, which is less than 1000.01
             0.00
             account_A holds 0.00, which is less than 0.01
             there is no account account_X
             the idempotency key \"one\" was used before, for a different booking
             1.00",
        );
    }
}
