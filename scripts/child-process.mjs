/**
 * Owns starting other programs: quietly, with their output kept for the case of failure, or in the foreground, with
 * our terminal, our signals and their exit code. Kept output is bounded: only its end is of use to a person.
 */

import { spawn } from 'node:child_process';
import os from 'node:os';

/** Enough for npm's longest error report; the cause stands at the end. */
const maxKeptCharacters = 64 * 1024;

/** One key press reaches us twice: from the terminal, and again from npm, which passes signals on to its script. */
const samePressMs = 400;

/** How soon we notice that npm's shell has gone. */
const parentCheckMs = 500;

const passedSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Thrown when a signal ended set-up: the program that ran was told, and has ended. */
export class Interrupted extends Error {
  constructor(signal) {
    super(`interrupted by ${signal}`);
    this.exitCode = exitCodeOf(null, signal);
  }
}

/**
 * Runs a program without showing it. Resolves to `{exitCode, output}` for any exit code; a program that cannot be
 * started has 127, as in a shell. Rejects only with Interrupted, after the program ended too.
 */
export function runQuietly(command, args, { cwd, env = process.env, shell = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, shell, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const keep = (chunk) => {
      output = (output + chunk).slice(-maxKeptCharacters);
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);

    let interruptedBy;
    const interrupt = (signal) => {
      interruptedBy = signal;
      child.kill(signal);
    };
    for (const signal of passedSignals) process.on(signal, interrupt);
    const settle = (result) => {
      for (const signal of passedSignals) process.off(signal, interrupt);
      if (interruptedBy === undefined) resolve(result);
      else reject(new Interrupted(interruptedBy));
    };
    child.once('error', (error) => settle({ exitCode: 127, output: error.message }));
    child.once('close', (code, signal) => settle({ exitCode: exitCodeOf(code, signal), output }));
  });
}

/**
 * Runs a program with our terminal and resolves to its exit code. It gets a session of its own, so that Ctrl-C (which
 * goes to every process of the terminal's group) reaches it only through us, exactly once.
 */
export function runInForeground(command, args, { cwd, env = process.env } = {}) {
  return new Promise((resolve, reject) => {
    const detached = process.platform !== 'win32';
    const child = spawn(command, args, { cwd, env, detached, stdio: 'inherit' });
    const lastPassedMs = new Map();
    const pass = (signal) => {
      const nowMs = performance.now();
      const isRepeat = nowMs - (lastPassedMs.get(signal) ?? Number.NEGATIVE_INFINITY) < samePressMs;
      if (isRepeat) return;
      lastPassedMs.set(signal, nowMs);
      child.kill(signal);
    };
    for (const signal of passedSignals) process.on(signal, pass);
    const stopWatching = watchNpmShell(() => pass('SIGTERM'));
    const done = () => {
      stopWatching();
      for (const signal of passedSignals) process.off(signal, pass);
    };
    child.once('error', (error) => {
      done();
      reject(error);
    });
    child.once('close', (code, signal) => {
      done();
      resolve(exitCodeOf(code, signal));
    });
  });
}

// npm runs its scripts below a shell that dies of a signal without passing it on. When npm is told to end, all that
// reaches us is that our parent is another one.
function watchNpmShell(onGone) {
  const shell = process.ppid;
  const isBelowNpm = process.env.npm_lifecycle_event !== undefined && process.platform !== 'win32';
  if (!isBelowNpm) return () => undefined;
  const timer = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(timer);
    onGone();
  }, parentCheckMs);
  return () => clearInterval(timer);
}

/** The shell's convention: 128 plus the signal's number. */
function exitCodeOf(code, signal) {
  return code ?? 128 + (os.constants.signals[signal] ?? 0);
}
