//! The slow path: a state machine over single bytes, for everything that a chunk boundary cuts.

use crate::text::decode_string;

use super::{
    lexical::ends_scalar,
    scanner::{JsonScanner, MAX_KEY_BYTES, MAX_LEVELS, State},
    wanted::{Level, Roots, Want},
};

impl<F: Copy> JsonScanner<F> {
    /// Processes one byte in any state.
    pub(super) fn step(&mut self, byte: u8, found: &mut impl FnMut(F, Option<&[u8]>)) {
        match self.state {
            State::Outside => self.on_byte_outside(byte),
            State::Text { escaped } => {
                self.keep(&[byte]);
                match byte {
                    _ if escaped => self.state = State::Text { escaped: false },
                    b'\\' => self.state = State::Text { escaped: true },
                    _ => {
                        self.state = State::Structure;
                        self.end_text(found);
                    }
                }
            }
            State::Scalar if ends_scalar(byte) => {
                self.state = State::Structure;
                self.report(found);
                self.step(byte, found);
            }
            State::Scalar => self.keep(&[byte]),
            State::Structure => self.on_structural_byte(byte, found),
            State::Done | State::Broken => {}
        }
    }

    fn on_byte_outside(&mut self, byte: u8) {
        match byte {
            b'{' => {
                self.state = State::Structure;
                self.level = 1;
                self.awaiting_key = true;
                self.wanted = None;
            }
            b' ' | b'\t' | b'\r' | b'\n' => {}
            // A byte order mark, which parsers may ignore (RFC 8259, section 8.1).
            0xef | 0xbb | 0xbf if self.documents == 0 => {}
            b'[' | b']' | b',' if self.roots == Roots::Many => {}
            _ => self.state = State::Broken,
        }
    }

    /// Processes a byte between strings and scalars.
    pub(super) fn on_structural_byte(&mut self, byte: u8, found: &mut impl FnMut(F, Option<&[u8]>)) {
        match byte {
            b'"' => self.begin_text(),
            b'{' | b'[' => self.open_container(byte),
            b'}' | b']' => self.close_container(byte, found),
            b',' if self.skipped_depth == 0 => {
                self.awaiting_key = !self.current_level().is_array;
                self.wanted = None;
            }
            b':' if self.skipped_depth == 0 => self.awaiting_key = false,
            b' ' | b'\t' | b'\r' | b'\n' if self.skipped_depth == 0 => {}
            _ if self.skipped_depth == 0 && !self.awaiting_key => {
                self.begin_capture();
                if self.capturing.is_some() {
                    self.keep(&[byte]);
                    self.state = State::Scalar;
                }
            }
            _ => self.keep(&[byte]),
        }
    }

    fn begin_text(&mut self) {
        if self.skipped_depth == 0 {
            if self.awaiting_key {
                self.buffer.clear();
            } else {
                self.begin_capture();
            }
        }
        self.keep(b"\"");
        self.state = State::Text { escaped: false };
    }

    fn end_text(&mut self, found: &mut impl FnMut(F, Option<&[u8]>)) {
        if self.skipped_depth > 0 {
            return;
        }
        if self.capturing.is_some() {
            return self.report(found);
        }
        let level = self.current_level();
        if self.awaiting_key && !level.is_array {
            let key = std::str::from_utf8(&self.buffer).ok().filter(|key| key.len() <= MAX_KEY_BYTES);
            let key = key.and_then(decode_string);
            self.wanted = key.and_then(|key| level.nodes.iter().find(|node| node.key == key)).map(|node| &node.want);
        }
    }

    fn open_container(&mut self, byte: u8) {
        if self.skipped_depth > 0 {
            self.skipped_depth += 1;
        } else if let (Some(level), true) = (self.level_of(byte), self.level < MAX_LEVELS) {
            return self.enter(level);
        } else {
            self.begin_capture();
            self.skipped_depth = 1;
        }
        self.keep(&[byte]);
    }

    fn close_container(&mut self, byte: u8, found: &mut impl FnMut(F, Option<&[u8]>)) {
        self.keep(&[byte]);
        if self.skipped_depth > 0 {
            self.skipped_depth -= 1;
            if self.skipped_depth == 0 {
                self.report(found);
            }
            return;
        }
        if let Some(name) = self.current_level().report_if_empty {
            found(name, Some(b"[]"));
        }
        self.level -= 1;
        self.wanted = None;
        self.awaiting_key = false;
        if self.level == 0 {
            self.documents += 1;
            if let Some(name) = self.end {
                found(name, Some(b""));
            }
            self.state = if self.roots == Roots::One { State::Done } else { State::Outside };
        }
    }

    /// Returns the level that an opening brace or bracket starts, if something within it is wanted.
    fn level_of(&self, byte: u8) -> Option<Level<F>> {
        let current = self.current_level();
        if current.is_array && byte == b'{' {
            return Some(Level::object(current.nodes));
        }
        self.wanted?.level(byte)
    }

    fn enter(&mut self, level: Level<F>) {
        if let Some(enclosing) = self.level.checked_sub(1).and_then(|at| self.levels.get_mut(at)) {
            enclosing.report_if_empty = None;
        }
        if let Some(place) = self.levels.get_mut(self.level) {
            *place = level;
        }
        self.level += 1;
        self.awaiting_key = !level.is_array;
        self.wanted = None;
    }

    fn begin_capture(&mut self) {
        if let Some(Want::Value(name)) = self.wanted {
            self.buffer.clear();
            self.capturing = Some(*name);
        }
    }

    /// Reports the captured value, if there is one.
    fn report(&mut self, found: &mut impl FnMut(F, Option<&[u8]>)) {
        if let Some(name) = self.capturing.take() {
            found(name, Some(&*self.buffer).filter(|value| value.len() <= self.max_value_bytes));
        }
    }
}
