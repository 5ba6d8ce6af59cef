//! Accounts that are taken over, with the hashes of their passwords.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use super::{super::StoreError, Import, Outcome, Taken};
use crate::{
    crypto::{password::bcrypt_cost, token::hash_token},
    store::entities::user,
};

const KIND: &str = "user";

/// An account of the other installation.
#[derive(Clone)]
pub struct ImportedUser {
    pub id: i64,
    pub username: String,
    pub email: String,
    /// A hash that [`crate::crypto::password::verify`] knows.
    pub password_hash: String,
    /// Whether it becomes an administrator when it is made.
    pub is_admin: bool,
}

impl Import {
    /// Takes an account over. One that has signed in here since has a hash of this installation; its password here
    /// counts.
    pub async fn user(&self, there: &ImportedUser) -> Result<Taken, StoreError> {
        let named = self.user_where(user::Column::Username.eq(&there.username)).await?;
        let addressed = self.user_where(user::Column::Email.eq(&there.email)).await?;
        let Some(known) = self.known(KIND, there.id).await? else {
            return match (named, addressed) {
                (None, None) => self.make_user(there).await,
                (Some(here), _) if is_same(&here, there) => {
                    self.remember(KIND, there.id, here.id, &mark(&here)).await?;
                    Ok(Taken::new(here.id, Outcome::Unchanged))
                }
                (Some(here), _) => Ok(Taken::kept(
                    here.id,
                    "an account of this name is here already: it stays, with its own password",
                )),
                (None, Some(_)) => Ok(Taken::refused("another account here has its mail address")),
            };
        };
        let Some(here) = user::Entity::find_by_id(known.id).one(&self.tx).await? else {
            return Ok(Taken::gone());
        };
        if is_same(&here, there) {
            return Ok(Taken::new(here.id, Outcome::Unchanged));
        }
        if mark(&here) != known.mark {
            return Ok(Taken::kept(here.id, "it was changed here since it was taken over"));
        }
        let others = [(named, "name"), (addressed, "mail address")];
        if let Some((_, what)) =
            others.iter().find(|(other, _)| other.as_ref().is_some_and(|other| other.id != here.id))
        {
            return Ok(Taken::kept(here.id, format!("its new {what} is taken by another account here")));
        }
        // A password that was set here counts.
        let is_from_there = bcrypt_cost(&here.password_hash).is_some();
        let row = user::ActiveModel {
            id: Set(here.id),
            username: Set(there.username.clone()),
            email: Set(there.email.clone()),
            password_hash: Set(if is_from_there { there.password_hash.clone() } else { here.password_hash }),
            ..Default::default()
        };
        let here = user::Entity::update(row).exec(&self.tx).await?;
        self.remember(KIND, there.id, here.id, &mark(&here)).await?;
        Ok(Taken::new(here.id, Outcome::Updated))
    }

    async fn make_user(&self, there: &ImportedUser) -> Result<Taken, StoreError> {
        let row = user::ActiveModel {
            username: Set(there.username.clone()),
            email: Set(there.email.clone()),
            password_hash: Set(there.password_hash.clone()),
            is_admin: Set(there.is_admin),
            created_at: Set(self.store.now()),
            ..Default::default()
        };
        let here = user::Entity::insert(row).exec_with_returning(&self.tx).await?;
        self.remember(KIND, there.id, here.id, &mark(&here)).await?;
        Ok(Taken::new(here.id, Outcome::Made))
    }

    /// Whether somebody may manage accounts.
    pub async fn has_administrator(&self) -> Result<bool, StoreError> {
        Ok(self.user_where(user::Column::IsAdmin.eq(true)).await?.is_some())
    }

    async fn user_where(
        &self,
        condition: sea_orm::sea_query::SimpleExpr,
    ) -> Result<Option<user::Model>, StoreError> {
        Ok(user::Entity::find().filter(condition).one(&self.tx).await?)
    }
}

fn is_same(here: &user::Model, there: &ImportedUser) -> bool {
    let has_signed_in_here = bcrypt_cost(&here.password_hash).is_none();
    here.username == there.username
        && here.email == there.email
        && (here.password_hash == there.password_hash || has_signed_in_here)
}

/// The hash in it is a hash of a salted hash: it tells nothing of the password.
fn mark(here: &user::Model) -> String {
    hash_token(&format!("{}\n{}\n{}", here.username, here.email, here.password_hash))
}
