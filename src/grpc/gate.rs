//! Where every request comes in: timed, counted by method and code, and refused before any work is done
//! for it where too many are under way.

use super::error::{self, reason};
use http::{HeaderMap, Request, Response};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use metrics::{Counter, Gauge, Histogram};
use prost::Message as _;
use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use tandem_proto::v1;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

/// Asked by whoever decides whether the node lives: a node with much to do is not a dead one.
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// What a method is called that is none of ours: whatever strangers ask for is counted as one.
const OTHER: &str = "other";

/// Codes of gRPC: `Code::Ok` to `Code::Unauthenticated`.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// A layer around all services of a node. Clones share one bound.
#[derive(Clone)]
pub struct Gate(Arc<Shared>);

struct Shared {
    /// Index into `methods`, by path.
    paths: HashMap<String, usize>,
    /// The last one stands for all others.
    methods: Vec<Method>,
    in_flight: AtomicUsize,
    in_flight_max: usize,
    gauge: Gauge,
}

/// What is counted of a method, made when it is first needed.
struct Method {
    name: String,
    seconds: OnceLock<Histogram>,
    requests: [OnceLock<Counter>; CODES.len()],
}

impl Method {
    fn new(name: String) -> Method {
        Method { name, seconds: OnceLock::new(), requests: std::array::from_fn(|_| OnceLock::new()) }
    }

    fn done(&self, code: Code, seconds: f64) {
        let index = usize::try_from(code as i32).unwrap_or_default();
        let (Some(name), Some(requests)) = (CODES.get(index), self.requests.get(index)) else { return };
        let count = || metrics::counter!("tandem_grpc_requests_total", "method" => self.name.clone(), "code" => *name);
        requests.get_or_init(count).increment(1);
        let timed = || metrics::histogram!("tandem_grpc_request_seconds", "method" => self.name.clone());
        self.seconds.get_or_init(timed).record(seconds);
    }
}

/// The paths of all methods of these descriptors.
fn paths_of(descriptors: &[u8]) -> Vec<String> {
    let Ok(set) = prost_types::FileDescriptorSet::decode(descriptors) else { return Vec::new() };
    let mut paths = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                paths.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    paths
}

impl Gate {
    /// A gate that lets so many requests and streams in at a time.
    pub fn new(in_flight_max: usize) -> Gate {
        let mut all = paths_of(v1::FILE_DESCRIPTOR_SET);
        all.extend(paths_of(tonic_health::pb::FILE_DESCRIPTOR_SET));
        all.push(REFLECTION.to_owned());
        let named = |path: &String| Method::new(path.trim_start_matches('/').replacen("tandem.v1.", "", 1));
        let mut methods: Vec<Method> = all.iter().map(named).collect();
        methods.push(Method::new(OTHER.to_owned()));
        let paths = all.into_iter().enumerate().map(|(index, path)| (path, index)).collect();
        let gauge = metrics::gauge!("tandem_grpc_in_flight");
        Gate(Arc::new(Shared { paths, methods, in_flight: AtomicUsize::new(0), in_flight_max, gauge }))
    }

    /// Takes note of a request; the second value is false where there are too many.
    fn enter(&self, path: &str) -> (Passage, bool) {
        let shared = self.0.clone();
        let method = shared.paths.get(path).copied().unwrap_or(shared.methods.len() - 1);
        let before = shared.in_flight.fetch_add(1, Ordering::Relaxed);
        shared.gauge.increment(1.0);
        let free = before < shared.in_flight_max || path == HEALTH_CHECK;
        (Passage { shared, method, since: Instant::now(), code: Code::Cancelled }, free)
    }
}

/// A request that is under way, until this is dropped. One that did not come to an end was cancelled.
struct Passage {
    shared: Arc<Shared>,
    method: usize,
    since: Instant,
    code: Code,
}

impl Passage {
    fn end(mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.shared.gauge.decrement(1.0);
        if let Some(method) = self.shared.methods.get(self.method) {
            method.done(self.code, self.since.elapsed().as_secs_f64());
        }
    }
}

fn full() -> Status {
    error::retryable(
        Code::ResourceExhausted,
        reason::TOO_MANY_REQUESTS,
        "too many requests are under way on this node; nothing was done",
    )
}

/// The code in headers or trailers, where it is there.
fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()))
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { gate: self.clone(), inner }
    }
}

/// Services behind a [`Gate`].
#[derive(Clone)]
pub struct Gated<S> {
    gate: Gate,
    inner: S,
}

impl<S> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (passage, free) = self.gate.enter(request.uri().path());
        if !free {
            passage.end(Code::ResourceExhausted);
            return Box::pin(std::future::ready(Ok(full().into_http())));
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            if let Some(code) = code_in(response.headers()) {
                // There is nothing behind the headers.
                passage.end(code);
                return Ok(response);
            }
            Ok(response.map(|inner| Body::new(Answer { inner, passage: Some(passage) })))
        })
    }
}

/// An answer on its way out: its code comes last.
struct Answer {
    inner: Body,
    passage: Option<Passage>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        let code = match &frame {
            Some(Ok(frame)) => {
                frame.trailers_ref().map(|trailers| code_in(trailers).unwrap_or(Code::Unknown))
            }
            Some(Err(status)) => Some(status.code()),
            None => Some(Code::Unknown),
        };
        if let Some(code) = code
            && let Some(passage) = self.passage.take()
        {
            passage.end(code);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_a_name_of_its_own_and_strangers_share_one() {
        let gate = Gate::new(1);
        let names: Vec<&str> = gate.0.methods.iter().map(|method| method.name.as_str()).collect();
        for name in ["CallService/PlaceCall", "CustomerService/Lookup", "grpc.health.v1.Health/Watch", OTHER]
        {
            assert_eq!(names.iter().filter(|n| **n == name).count(), 1, "{name}");
        }
        let named = |path| gate.0.methods[gate.enter(path).0.method].name.clone();
        assert_eq!(named("/tandem.v1.CallService/GetCall"), "CallService/GetCall");
        assert_eq!(named("/tandem.v1.CallService/Rubbish"), OTHER);
        assert_eq!(gate.0.in_flight.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn codes_are_named_in_their_order() {
        for (number, name) in (0..).zip(CODES) {
            let code = Code::from_i32(number);
            assert_eq!(format!("{code:?}").to_uppercase(), name.replace('_', ""));
        }
    }

    #[test]
    fn at_the_bound_only_health_checks_pass() {
        let gate = Gate::new(2);
        let place = "/tandem.v1.CallService/PlaceCall";
        let (first, second) = (gate.enter(place), gate.enter(place));
        assert!(first.1 && second.1);
        assert!(!gate.enter(place).1);
        assert!(gate.enter(HEALTH_CHECK).1);
        drop(first);
        assert!(gate.enter(place).1);
    }
}
