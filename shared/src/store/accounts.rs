//! Accounts, sessions and projects.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
};

use super::{
    ProjectStore, Store, StoreError,
    entities::{project, session, user},
    time,
};
use crate::{crypto::token::hash_token, domain::project::ProjectId};

/// An account, without its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The key of the row.
    pub id: i64,
    /// What the person signs in with.
    pub username: String,
    /// The mail address.
    pub email: String,
    /// Whether the account may manage other accounts.
    pub is_admin: bool,
}

impl From<user::Model> for User {
    fn from(row: user::Model) -> Self {
        Self { id: row.id, username: row.username, email: row.email, is_admin: row.is_admin }
    }
}

/// An account to be made. The password is a PHC hash.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub username: String,
    pub email: String,
    pub password_hash: String,
    pub is_admin: bool,
}

/// What changes of an account; none: it stays.
#[derive(Clone, Default)]
pub struct UserChange {
    pub username: Option<String>,
    pub email: Option<String>,
    /// A PHC hash.
    pub password_hash: Option<String>,
}

fn user_missing(id: i64) -> StoreError {
    StoreError::NotFound(format!("user {id}"))
}

impl Store {
    /// The store as the project sees it. Every account owns every project until roles come.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown project.
    pub async fn project(&self, id: &ProjectId) -> Result<ProjectStore, StoreError> {
        match project::Entity::find_by_id(id.as_str()).one(&self.db).await? {
            Some(_) => Ok(ProjectStore { store: self.clone(), project: id.clone() }),
            None => Err(StoreError::NotFound(format!("project '{id}'"))),
        }
    }

    /// How many accounts there are.
    pub async fn count_users(&self) -> Result<u64, StoreError> {
        Ok(user::Entity::find().count(&self.db).await?)
    }

    /// All accounts, by name.
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        let rows = user::Entity::find().order_by_asc(user::Column::Username).all(&self.db).await?;
        Ok(rows.into_iter().map(User::from).collect())
    }

    /// Makes an account.
    ///
    /// # Errors
    /// [`StoreError::AccountTaken`] when the name or the address is taken.
    pub async fn create_user(&self, new: NewUser) -> Result<User, StoreError> {
        let row = user::ActiveModel {
            username: Set(new.username.clone()),
            email: Set(new.email.clone()),
            password_hash: Set(new.password_hash),
            is_admin: Set(new.is_admin),
            created_at: Set(self.now()),
            ..Default::default()
        };
        match user::Entity::insert(row).exec_with_returning(&self.db).await {
            Ok(row) => Ok(row.into()),
            Err(e) if StoreError::is_unique_violation(&e) => {
                let name_taken = user::Entity::find()
                    .filter(user::Column::Username.eq(&new.username))
                    .count(&self.db)
                    .await?
                    > 0;
                Err(if name_taken {
                    StoreError::AccountTaken { field: "username", value: new.username }
                } else {
                    StoreError::AccountTaken { field: "email", value: new.email }
                })
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Changes what is given of an account. Another password ends every session of it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::AccountTaken`] when the name or the address is taken.
    pub async fn update_user(&self, id: i64, change: UserChange) -> Result<User, StoreError> {
        let tx = self.begin().await?;
        let Some(current) = user::Entity::find_by_id(id).one(&tx).await? else {
            return Err(user_missing(id));
        };
        let username = change.username.unwrap_or(current.username);
        let email = change.email.unwrap_or(current.email);
        let others = || user::Entity::find().filter(user::Column::Id.ne(id));
        if others().filter(user::Column::Username.eq(&username)).count(&tx).await? > 0 {
            return Err(StoreError::AccountTaken { field: "username", value: username });
        }
        if others().filter(user::Column::Email.eq(&email)).count(&tx).await? > 0 {
            return Err(StoreError::AccountTaken { field: "email", value: email });
        }
        let mut row = user::ActiveModel {
            id: Set(id),
            username: Set(username.clone()),
            email: Set(email),
            ..Default::default()
        };
        if let Some(hash) = change.password_hash {
            row.password_hash = Set(hash);
            session::Entity::delete_many().filter(session::Column::UserId.eq(id)).exec(&tx).await?;
        }
        let row = user::Entity::update(row).exec(&tx).await.map_err(|error| {
            // Another request was faster than the look above.
            match StoreError::is_unique_violation(&error) {
                true => StoreError::AccountTaken { field: "username", value: username },
                false => error.into(),
            }
        })?;
        tx.commit().await?;
        Ok(row.into())
    }

    /// Deletes an account and ends its sessions. What it made stays. Answers its name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::LastAdmin`] when nobody could manage accounts any more.
    pub async fn delete_user(&self, id: i64) -> Result<String, StoreError> {
        let tx = self.begin().await?;
        // All administrators are locked, in one order: two of them cannot delete each other at the same time.
        let sql = format!("SELECT id FROM users WHERE is_admin ORDER BY id {}", self.for_update());
        let admins = tx.query_all_raw(self.sql(&sql, [])).await?;
        let admins = admins.iter().map(|row| row.try_get("", "id")).collect::<Result<Vec<i64>, _>>()?;
        let Some(row) = user::Entity::find_by_id(id).one(&tx).await? else { return Err(user_missing(id)) };
        if admins == [id] {
            return Err(StoreError::LastAdmin(row.username));
        }
        session::Entity::delete_many().filter(session::Column::UserId.eq(id)).exec(&tx).await?;
        user::Entity::delete_by_id(id).exec(&tx).await?;
        tx.commit().await?;
        Ok(row.username)
    }

    /// The account of this name and the hash of its password.
    pub async fn user_by_name(&self, username: &str) -> Result<Option<(User, String)>, StoreError> {
        let row = user::Entity::find().filter(user::Column::Username.eq(username)).one(&self.db).await?;
        Ok(row.map(|row| {
            let hash = row.password_hash.clone();
            (row.into(), hash)
        }))
    }

    /// Sets another password (PHC hash) and ends every session of the account.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown name.
    pub async fn set_password(&self, username: &str, password_hash: String) -> Result<(), StoreError> {
        let Some((user, _)) = self.user_by_name(username).await? else {
            return Err(StoreError::NotFound(format!("user '{username}'")));
        };
        let row =
            user::ActiveModel { id: Set(user.id), password_hash: Set(password_hash), ..Default::default() };
        user::Entity::update(row).exec(&self.db).await?;
        session::Entity::delete_many().filter(session::Column::UserId.eq(user.id)).exec(&self.db).await?;
        Ok(())
    }

    /// Puts another hash of the same password in place of `old`. Nothing happens if the password was changed meanwhile.
    pub async fn renew_password_hash(&self, user: i64, old: &str, new: &str) -> Result<(), StoreError> {
        let sql = "UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3";
        self.db.execute_raw(self.sql(sql, [new.into(), user.into(), old.into()])).await?;
        Ok(())
    }

    /// Opens a session for `ttl`; its token is kept as a hash only. Sessions that have expired are removed on the way.
    pub async fn create_session(
        &self,
        user: i64,
        token: &str,
        ttl: TimeDelta,
    ) -> Result<DateTime<Utc>, StoreError> {
        let now = self.clock.now();
        session::Entity::delete_many()
            .filter(session::Column::ExpiresAt.lte(time::micros(now)))
            .exec(&self.db)
            .await?;
        let row = session::ActiveModel {
            token_hash: Set(hash_token(token)),
            user_id: Set(user),
            created_at: Set(time::micros(now)),
            expires_at: Set(time::micros(now + ttl)),
        };
        session::Entity::insert(row).exec_without_returning(&self.db).await?;
        Ok(now + ttl)
    }

    /// The account whose session this token opens, unless it has expired.
    pub async fn session_user(&self, token: &str) -> Result<Option<User>, StoreError> {
        // One query: every request asks this.
        let sql = "SELECT u.id, u.username, u.email, u.is_admin FROM sessions s JOIN users u ON u.id = s.user_id \
                   WHERE s.token_hash = $1 AND s.expires_at > $2";
        let row = self.db.query_one_raw(self.sql(sql, [hash_token(token).into(), self.now().into()])).await?;
        row.map(|row| {
            Ok(User {
                id: row.try_get("", "id")?,
                username: row.try_get("", "username")?,
                email: row.try_get("", "email")?,
                is_admin: row.try_get("", "is_admin")?,
            })
        })
        .transpose()
    }

    /// Ends a session. Unknown tokens are no error: the session is gone either way.
    pub async fn end_session(&self, token: &str) -> Result<(), StoreError> {
        session::Entity::delete_by_id(hash_token(token)).exec(&self.db).await?;
        Ok(())
    }
}
