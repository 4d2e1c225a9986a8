//! ebpf-build
