//! A bound on how much of an answer is taken into memory, and a name for how its body failed.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextMut;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http_body::{Body, Frame, SizeHint};

/// Lets no answer of more than `limit` bytes through.
#[derive(Debug)]
pub(super) struct BodyLimit {
    limit: u64,
}

impl BodyLimit {
    pub(super) fn of(limit: u64) -> Self {
        Self { limit }
    }

    /// Room for one value of `max_secret_bytes`, each byte escaped as `\u00XX` at worst, and for a page
    /// of a listing with every tag that 100 secrets may have.
    pub(super) fn for_values_up_to(max_secret_bytes: u64) -> Self {
        Self::of(max_secret_bytes.saturating_mul(6).saturating_add(8 << 20))
    }
}

impl Intercept for BodyLimit {
    fn name(&self) -> &'static str {
        "BodyLimit"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().body_mut();
        let inner = std::mem::replace(body, SdkBody::taken());
        *body = SdkBody::from_body_1_x(Limited { inner, limit: self.limit, taken: 0 });
        Ok(())
    }
}

/// How reading an answer's body failed.
#[derive(Debug)]
pub(super) enum BodyError {
    /// It is longer than this many bytes.
    TooLong(u64),
    /// The connection broke before its end.
    Broken(Box<dyn StdError + Send + Sync>),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(limit) => write!(f, "the answer is longer than {limit} bytes"),
            Self::Broken(_) => f.write_str("the connection broke in the middle of the answer"),
        }
    }
}

impl StdError for BodyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::TooLong(_) => None,
            Self::Broken(error) => Some(&**error),
        }
    }
}

struct Limited {
    inner: SdkBody,
    limit: u64,
    taken: u64,
}

impl Body for Limited {
    type Data = <SdkBody as Body>::Data;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let limit = self.limit;
        if self.inner.size_hint().lower() > limit.saturating_sub(self.taken) {
            return Poll::Ready(Some(Err(BodyError::TooLong(limit))));
        }
        Pin::new(&mut self.inner).poll_frame(cx).map(|frame| match frame? {
            Ok(frame) => {
                self.taken += frame.data_ref().map_or(0, |data| data.len() as u64);
                Some(if self.taken > limit { Err(BodyError::TooLong(limit)) } else { Ok(frame) })
            }
            Err(error) => Some(Err(BodyError::Broken(error))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
