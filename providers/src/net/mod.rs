//! TLS, connections and HTTP.
