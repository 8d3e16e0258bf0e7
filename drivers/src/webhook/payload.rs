//! The JSON in a request's body: the body itself, or the field `json` of a form. Pictures beside it are read past.

use crate::listen::{self, BODY_WITHIN, BodyError};
use axum::{
    body::Bytes,
    extract::Request,
    http::{HeaderMap, header},
};
use multer::{Constraints, Multipart, SizeLimit};

/// How long bodies may be, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The JSON.
    pub(super) json: usize,
    /// A whole form, with its pictures or its percent signs.
    pub(super) form: usize,
}

/// Why there is no payload.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// Longer than this many bytes.
    TooLong(usize),
    /// It did not come, or not in time.
    Incomplete,
    /// A form without the JSON.
    Form(String),
}

/// Reads a request's JSON.
pub(super) async fn read(request: Request, limits: Limits) -> Result<Bytes, Unusable> {
    let kind = content_type(request.headers());
    if let Some(boundary) = multer::parse_boundary(&kind).ok().filter(|_| kind.starts_with("multipart/")) {
        return tokio::time::timeout(BODY_WITHIN, multipart(request, boundary, limits))
            .await
            .unwrap_or(Err(Unusable::Incomplete));
    }
    let is_form = kind.starts_with("application/x-www-form-urlencoded");
    let most = if is_form { limits.form.min(3 * limits.json) } else { limits.json };
    let body = listen::body(request.into_body(), most).await.map_err(|error| match error {
        BodyError::TooLong => Unusable::TooLong(most),
        BodyError::Incomplete => Unusable::Incomplete,
    })?;
    if is_form {
        let json = form_urlencoded::parse(&body).find(|(name, _)| name == FIELD);
        if let Some((_, json)) = json {
            return Ok(Bytes::from(json.into_owned()));
        }
        // Plain JSON under the content type that command-line tools send by default.
    }
    Ok(body)
}

const FIELD: &str = "json";

fn content_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    // The boundary is case-sensitive, the type is not.
    match kind.split_once(';') {
        Some((kind, rest)) => format!("{};{rest}", kind.trim().to_ascii_lowercase()),
        None => kind.trim().to_ascii_lowercase(),
    }
}

async fn multipart(request: Request, boundary: String, limits: Limits) -> Result<Bytes, Unusable> {
    let sizes = SizeLimit::new().whole_stream(limits.form as u64).for_field(FIELD, limits.json as u64);
    let body = request.into_body().into_data_stream();
    let mut form = Multipart::with_constraints(body, boundary, Constraints::new().size_limit(sizes));
    let explain = |error: multer::Error| match error {
        multer::Error::StreamSizeExceeded { .. } => Unusable::TooLong(limits.form),
        multer::Error::FieldSizeExceeded { .. } => Unusable::TooLong(limits.json),
        multer::Error::StreamReadFailed(_) | multer::Error::IncompleteStream => Unusable::Incomplete,
        // Its own words could repeat a field's name.
        _ => Unusable::Form("the form is not well-formed".into()),
    };
    while let Some(field) = form.next_field().await.map_err(explain)? {
        if field.name() == Some(FIELD) {
            return field.bytes().await.map_err(explain);
        }
    }
    Err(Unusable::Form(format!("the form has no field \"{FIELD}\"")))
}
