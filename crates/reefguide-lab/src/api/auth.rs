//! Logging in, refreshing tokens, and the account's profile.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::error::ApiError;
use super::request::ApiRequest;
use super::response::json;
use super::state::{Api, Shared};
use super::zod::Reader;
use crate::account::{self, Account};
use crate::store::Time;
use crate::token::RefreshToken;

pub(super) async fn login(State(api): Shared, request: ApiRequest) -> Response {
    let quota = api.login_limit.count(request.client);
    let mut response = if quota.exceeded() {
        json(
            StatusCode::TOO_MANY_REQUESTS,
            &json!({ "error": "Too many attempts." }),
        )
    } else {
        axum::response::IntoResponse::into_response(checked_login(&api, &request))
    };
    quota.write(response.headers_mut());
    response
}

fn checked_login(api: &Api, request: &ApiRequest) -> Result<Response, ApiError> {
    let mut body = Reader::new(&request.body);
    let (email, password) = (body.string("email"), body.string("password"));
    body.finish().map_err(ApiError::body)?;
    let account = account::by_credentials(email.unwrap_or_default(), password.unwrap_or_default())
        .ok_or_else(|| ApiError::Unauthorised("Invalid credentials".to_owned()))?;
    let token = api.tokens.issue(account)?;
    let refresh_token = refresh_token(api, account)?.encode();
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        token: String,
        refresh_token: String,
    }
    Ok(json(
        StatusCode::OK,
        &Answer {
            token,
            refresh_token,
        },
    ))
}

fn refresh_token(api: &Api, account: &Account) -> Result<RefreshToken, ApiError> {
    let token = Uuid::new_v4().to_string();
    let id = api
        .store
        .add_refresh_token(&token, account.id, Time::now().plus(api.refresh_life))?;
    Ok(RefreshToken { id, token })
}

pub(super) async fn token(State(api): Shared, request: ApiRequest) -> Result<Response, ApiError> {
    let mut body = Reader::new(&request.body);
    let text = body.string("refreshToken");
    body.finish().map_err(ApiError::body)?;
    let token = RefreshToken::decode(text.unwrap_or_default())
        .map_err(|error| ApiError::Unauthorised(error.to_string()))?;
    let (user, expires) = api
        .store
        .refresh_token(token.id, &token.token)?
        .ok_or_else(|| ApiError::Unauthorised("Refresh token is invalid".to_owned()))?;
    if expires <= Time::now() {
        return Err(ApiError::Unauthorised(
            "Refresh token has expired".to_owned(),
        ));
    }
    let account = account::by_id(user).ok_or(ApiError::Token)?;
    Ok(json(
        StatusCode::OK,
        &json!({ "token": api.tokens.issue(account)? }),
    ))
}

pub(super) async fn profile(State(api): Shared, request: ApiRequest) -> Result<Response, ApiError> {
    let account = request.account(&api)?;
    #[derive(Serialize)]
    struct User {
        id: i64,
        email: &'static str,
        roles: [&'static str; 1],
    }
    #[derive(Serialize)]
    struct Answer {
        user: User,
    }
    let user = User {
        id: account.id,
        email: account.email,
        roles: [account.role.name()],
    };
    Ok(json(StatusCode::OK, &Answer { user }))
}
