//! A lab's accounts: the ones in the reference `.env`, one for each role.

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Default,
    Analyst,
    Admin,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::Analyst => "ANALYST",
            Self::Admin => "ADMIN",
        }
    }
}

/// An account. Its password is [`PASSWORD`], compared as plain text: a lab protects nothing.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: i64,
    pub(crate) email: &'static str,
    pub(crate) role: Role,
}

pub(crate) const PASSWORD: &str = "password";

/// The account in a worker's `.env`.
pub(crate) const WORKER: Account = Account {
    id: 2,
    email: "worker@email.com",
    role: Role::Admin,
};

static ACCOUNTS: [Account; 3] = [
    Account {
        id: 1,
        email: "user@email.com",
        role: Role::Analyst,
    },
    WORKER,
    Account {
        id: 3,
        email: "default@email.com",
        role: Role::Default,
    },
];

pub(crate) fn by_id(id: i64) -> Option<&'static Account> {
    ACCOUNTS.iter().find(|account| account.id == id)
}

/// The account with this email address, if the password is right.
pub(crate) fn by_credentials(email: &str, password: &str) -> Option<&'static Account> {
    let email = email.trim().to_lowercase();
    ACCOUNTS
        .iter()
        .find(|account| account.email == email && password == PASSWORD)
}
