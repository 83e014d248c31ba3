//! The errno filter: system calls that fail inside. It must hold for every calling convention that
//! the processor offers: a call that is refused to a 64-bit program and allowed to a 32-bit one is
//! not refused. And it must end nobody: 32-bit programs work.
//!
//! It runs at each system call of each program, so its form matters. The kernel tries at the
//! installation which numbers are always allowed, and never runs the program for these again
//! (Linux 5.11); numbers are therefore decided first, by bisection, and arguments are loaded only
//! for the few calls whose answer depends on them. seccompiler's filters ask for one number after
//! the other, end a process of another convention, and know one errno: the same table took the
//! kernel half a millisecond to install so, and takes a tenth of one.
#![forbid(unsafe_code)]

#[cfg(test)]
mod document;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::table::{Column, NONE, Refusal, SOCKETCALL, TABLE, Value, When};
use crate::filters::bpf::{
    ARCH, NR, answer, argument, if_any_bit, if_at_least, if_equal, load, skip,
};
use crate::filters::calls::{AARCH64, ARM, I386, X32, X86_64};
use crate::plan::ErrnoFilter;
use crate::sys::seccomp::{ALLOW, Instruction, refuse};

/// A calling convention: its number in linux/audit.h, and its column in the table.
type Convention = (u32, Column);

/// All that the table knows, each processor's own before that of its 32-bit programs.
const CONVENTIONS: [Convention; 4] = [
    (X86_64, Column::X86_64),
    (I386, Column::I386),
    (AARCH64, Column::Aarch64),
    (ARM, Column::Arm),
];

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the system calls of this processor are not in the table");

/// What this processor offers. Calls by any other convention are answered `ENOSYS`.
fn offered() -> &'static [Convention] {
    let (x86, arm) = CONVENTIONS.split_at(2);
    if cfg!(target_arch = "x86_64") { x86 } else { arm }
}

/// The number that a tracer gives a call to skip it (ptrace(2)).
const SKIPPED: u32 = u32::MAX;

/// How many numbers are compared one after the other at the end of the bisection.
const LEAF: usize = 6;

/// The program for seccomp(2); `None` where the plan asks for no filter.
pub(crate) fn program(filter: ErrnoFilter) -> Option<Vec<Instruction>> {
    let refusals: Vec<&Refusal> = match filter {
        ErrnoFilter::Off => return None,
        ErrnoFilter::All => TABLE.iter().collect(),
        ErrnoFilter::Nesting => TABLE.iter().filter(|refusal| !refusal.nesting).collect(),
    };
    Some(compile(offered(), &refusals))
}

/// A further program for where nobody makes the sockets of socketcall(2).
pub(crate) fn without_sockets(filter: ErrnoFilter) -> Option<Vec<Instruction>> {
    (filter != ErrnoFilter::Off).then(|| compile(offered(), &[&SOCKETCALL]))
}

fn compile(conventions: &[Convention], refusals: &[&Refusal]) -> Vec<Instruction> {
    let mut program = vec![load(ARCH)];
    for (audit, column) in conventions {
        let body = convention(*column, refusals);
        program.extend([if_equal(*audit, 1, 0), skip(body.len())]);
        program.extend(body);
    }
    program.push(answer(refuse(libc::ENOSYS)));
    program
}

/// A number, and the rows of the table that it stands in.
type Listed<'r> = (u32, Vec<&'r Refusal>);

fn convention(column: Column, refusals: &[&Refusal]) -> Vec<Instruction> {
    let mut calls: BTreeMap<u32, Vec<&Refusal>> = BTreeMap::new();
    for refusal in refusals {
        let numbers = refusal.calls.iter().map(|call| call.numbers[column as usize]);
        numbers.filter(|number| *number != NONE).for_each(|number| {
            calls.entry(number).or_default().push(refusal);
        });
    }
    let calls: Vec<Listed<'_>> = calls.into_iter().collect();
    let mut body = vec![load(NR)];
    if column == Column::X86_64 {
        body.extend([
            if_at_least(X32, 0, 3),
            if_equal(SKIPPED, 0, 1),
            answer(ALLOW),
            answer(refuse(libc::ENOSYS)),
        ]);
    }
    body.extend(bisect(&calls));
    body
}

fn bisect(calls: &[Listed<'_>]) -> Vec<Instruction> {
    if calls.len() <= LEAF {
        return leaf(calls);
    }
    let (low, high) = calls.split_at(calls.len() / 2);
    let below = bisect(low);
    let mut code = match high.first() {
        Some((number, _)) => vec![if_at_least(*number, 0, 1), skip(below.len())],
        None => Vec::new(),
    };
    code.extend(below);
    code.extend(bisect(high));
    code
}

/// Compares one number after the other; behind that stand the verdicts they lead to, each once.
fn leaf(calls: &[Listed<'_>]) -> Vec<Instruction> {
    let mut verdicts = vec![answer(ALLOW)];
    let mut starts: Vec<(&[&Refusal], usize)> = Vec::new();
    let mut code = Vec::new();
    for (index, (number, rows)) in calls.iter().enumerate() {
        let same = |other: &[&Refusal]| {
            other.len() == rows.len() && other.iter().zip(rows).all(|(a, b)| std::ptr::eq(*a, *b))
        };
        let known = starts.iter().find(|(other, _)| same(other));
        let start = known.map_or(verdicts.len(), |(_, start)| *start);
        if start == verdicts.len() {
            starts.push((rows, start));
            verdicts.extend(verdict(rows));
        }
        code.push(if_equal(*number, calls.len() - index - 1 + start, 0));
    }
    code.extend(verdicts);
    code
}

/// Row after row; who is refused by none passes.
fn verdict(rows: &[&Refusal]) -> Vec<Instruction> {
    let mut code: Vec<Instruction> = rows.iter().flat_map(|row| refusal(row)).collect();
    if rows.iter().all(|row| !matches!(row.when, When::Always)) {
        code.push(answer(ALLOW));
    }
    code
}

/// Refuses, or goes on behind it.
fn refusal(row: &Refusal) -> Vec<Instruction> {
    let no = answer(refuse(row.answer));
    match &row.when {
        When::Always => vec![no],
        When::AnyBit(index, bits) => {
            let mask = bits.iter().fold(0, |mask, bit| mask | bit.value);
            vec![load(argument(*index)), if_any_bit(mask, 0, 1), no]
        }
        When::OneOf(index, values) => {
            let mut code = compare(*index, values);
            code.extend([skip(1), no]);
            code
        }
        When::NoneOf(index, values) => {
            let mut code = compare(*index, values);
            code.push(no);
            code
        }
    }
}

/// Goes on behind the next instruction where the argument is one of these, else at it.
fn compare(index: u32, values: &[Value]) -> Vec<Instruction> {
    let left = (1..=values.len()).rev();
    let compared = left.zip(values).map(|(left, one)| if_equal(one.value, left, 0));
    std::iter::once(load(argument(index))).chain(compared).collect()
}
