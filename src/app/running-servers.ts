/**
 * Owns the notes about which servers run on a data directory: one small file per process, readable by its owner only,
 * with the address that the server printed. A second start of the same finds the first by its note. Notes name their
 * process by id and start time; what a killed server or an earlier boot left behind is recognised and removed.
 */

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { isSameProcess, ownStart } from '#app/embedded-processes.ts';
import { withFileLock } from '#app/file-lock.ts';
import type { Clock } from '#base/clock.ts';
import type { Config } from '#app/config.ts';

const pollMs = 100;

interface ServerNote {
  readonly pid: number;
  readonly start: string;
  readonly state: 'starting' | 'ready' | 'stopping';
  readonly host: string;
  /** What was asked for while starting, what it became when ready; 0 while a free one is being looked for. */
  readonly port: number;
  /** Tells databases apart without telling their passwords. */
  readonly database: string;
  readonly demo: boolean;
  /** As printed, with its key; empty until ready. */
  readonly address: string;
}

export interface FoundServer {
  readonly pid: number;
  readonly address: string;
  readonly demo: boolean;
}

/** The note of this process. */
export interface OwnNote {
  /** Says where the server is to be found, for the next start. */
  ready(server: { address: string; port: number; demo: boolean }): void;
  /** Says that a next start should wait until this process has ended. */
  stopping(): void;
  remove(): void;
}

/**
 * Finds the server that a start with `config` would only repeat, waiting for one that is starting or stopping
 * (`onWait` is told once, with its process), or notes down this process as the one that starts.
 */
export async function claimServer(
  stateDir: string,
  { config, clock, onWait }: { config: Config; clock: Clock; onWait: (pid: number, state: string) => void },
): Promise<{ running: FoundServer } | { own: OwnNote }> {
  const directory = path.join(stateDir, 'servers');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const lock = { file: path.join(stateDir, 'servers.lock'), doing: `starting in ${stateDir}`, clock };
  const told = new Set<string>();
  for (;;) {
    const found = await withFileLock(lock, async () => {
      const same = readNotes(directory).find((note) => isSame(note, config));
      return same ?? { own: createOwnNote(directory, config) };
    });
    if ('own' in found) return found;
    if (found.state === 'ready') return { running: found };
    if (!told.has(found.state)) onWait(found.pid, found.state);
    told.add(found.state);
    await new Promise<void>((resolve) => clock.after(pollMs, resolve));
  }
}

/** Servers that run on this data directory and can be reached. Reads only. */
export function readyServers(stateDir: string): FoundServer[] {
  return liveNotes(path.join(stateDir, 'servers')).filter(({ state }) => state === 'ready');
}

/** The same database, and nothing asked for that the other server does not have: then another one is of no use. */
function isSame(note: ServerNote, config: Config): boolean {
  if (note.database !== databaseOf(config)) return false;
  if (config.given.has('host') && config.host !== note.host) return false;
  return !config.given.has('port') || (config.port !== 0 && config.port === note.port);
}

function createOwnNote(directory: string, config: Config): OwnNote {
  const file = path.join(directory, String(process.pid));
  let note: ServerNote = {
    pid: process.pid,
    start: ownStart(),
    state: 'starting',
    host: config.host,
    port: config.port,
    database: databaseOf(config),
    demo: false,
    address: '',
  };
  let isRemoved = false;
  const write = (change: Partial<ServerNote>): void => {
    if (isRemoved) return;
    note = { ...note, ...change };
    const staging = `${file}.new`;
    writeFileSync(staging, JSON.stringify(note), { mode: 0o600 });
    renameSync(staging, file);
  };
  write({});
  return {
    ready: (server) => write({ ...server, state: 'ready' }),
    stopping: () => {
      try {
        write({ state: 'stopping' });
      } catch {
        // A full disk must not keep the server from stopping; a next start then sees it as ready, and soon as gone.
      }
    },
    remove: () => {
      isRemoved = true;
      rmSync(file, { force: true });
    },
  };
}

/** Call under the lock: removes what the dead have left. */
function readNotes(directory: string): ServerNote[] {
  const live = liveNotes(directory);
  // By process, because a live one may be writing its next note beside the last.
  const kept = new Set(live.map(({ pid }) => pid));
  for (const name of readdirSync(directory))
    if (!kept.has(Number.parseInt(name, 10))) rmSync(path.join(directory, name), { force: true });
  return live;
}

function liveNotes(directory: string): ServerNote[] {
  return readNames(directory)
    .filter((name) => /^\d+$/.test(name))
    .map((name) => parseNote(path.join(directory, name)))
    .filter((note) => note !== undefined)
    .filter((note) => isSameProcess(note.pid, note.start));
}

function readNames(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Written whole by a rename and by us alone; one that cannot be read counts as none. */
function parseNote(file: string): ServerNote | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ServerNote;
  } catch {
    return undefined;
  }
}

function databaseOf(config: Config): string {
  const url = config['database-url'];
  return url === '' ? 'embedded' : createHash('sha256').update(url).digest('hex').slice(0, 16);
}
