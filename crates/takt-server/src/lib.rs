//! gRPC, web board, configuration and wiring.
