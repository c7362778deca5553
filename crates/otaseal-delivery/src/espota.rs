//! TBD espota
