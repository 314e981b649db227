//! What runs inside the observed process: signal handler, annotation area, handshake with the monitor
