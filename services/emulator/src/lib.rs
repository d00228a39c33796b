//! emulator
#![allow(dead_code)]
mod crypto;
