/**
 * Owns the account of what a request does while it is answered: statements and round trips to the database, commits of the
 * audit log, and any other I/O (files, processes, look-ups of names, sockets to elsewhere). What it does is told from what
 * others do by the asynchronous context, so the request must run in this process (`api.inject`). Bound: one request at a time.
 */

import { AsyncLocalStorage, createHook } from 'node:async_hooks';
import childProcess from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { Socket } from 'node:net';

import pg from 'pg';

import type { AuditStore } from '#store/audit-store.ts';
import type { Pools, RolePool } from '#store/pools.ts';

export interface RequestCost {
  /** Messages that a pool sent, each answered before what needs it goes on. */
  trips: number;
  /** In them, beside the naming of the organisation. */
  readonly statements: string[];
  /** Commits of the audit log, which requests of the same moment share. */
  auditCommits: number;
  /** Everything else, by what did it. */
  readonly otherIo: string[];
}

export interface RequestAccount {
  /** The same pools, counted. */
  readonly pools: Pools;
  countAudit<T extends Pick<AuditStore, 'append'>>(store: T): Pick<AuditStore, 'append'>;
  /** What `work` and all that it starts does until it resolves. */
  of<T>(work: () => Promise<T>): Promise<{ readonly answer: T; readonly cost: RequestCost }>;
  close(): void;
}

/** Kinds of asynchronous work of Node that reach out of the process; connecting is looked at by its address. */
const reachingOut = new Set([
  'FSREQCALLBACK',
  'FSREQPROMISE',
  'FILEHANDLE',
  'FILEHANDLECLOSEREQ',
  'DIRHANDLE',
  'FSEVENTWRAP',
  'STATWATCHER',
  'PROCESSWRAP',
  'WORKER',
  'GETADDRINFOREQWRAP',
  'GETNAMEINFOREQWRAP',
  'QUERYWRAP',
  'UDPWRAP',
]);

/** Sockets to any other place than the database's are other I/O. */
export function openRequestAccount(pools: Pools, databaseUrl: string): RequestAccount {
  const { host, port } = new pg.Client({ connectionString: databaseUrl });
  const own = host.startsWith('/') ? `${host}/.s.PGSQL.${port}` : `${host}:${port}`;
  const context = new AsyncLocalStorage<RequestCost>();
  const note = (what: string): void => void context.getStore()?.otherIo.push(what);
  const hook = createHook({
    init(_id, type) {
      if (reachingOut.has(type)) note(type);
    },
  }).enable();
  // What happens at once is no asynchronous work: the hook does not see it.
  const undo = [
    ...wrapFunctions(fs, 'fs', note),
    ...wrapFunctions(fs.promises, 'fs.promises', note),
    ...wrapFunctions(childProcess, 'child_process', note),
    watchConnections((place) => {
      if (place !== own) note(`a connection to ${place}`);
    }),
  ];
  syncBuiltinESMExports();
  const counted = (pool: RolePool): RolePool => ({
    run(statements, mode) {
      const cost = context.getStore();
      if (cost !== undefined) {
        cost.trips++;
        cost.statements.push(
          ...statements.filter(({ name }) => name !== 'set-org').map(({ name, text }) => name ?? text),
        );
      }
      return pool.run(statements, mode);
    },
    get stats() {
      return pool.stats;
    },
  });
  return {
    pools: { ...pools, app: counted(pools.app), auth: counted(pools.auth), writer: counted(pools.writer) },
    countAudit: (store) => ({
      append(entries) {
        const cost = context.getStore();
        if (cost !== undefined) cost.auditCommits++;
        return store.append(entries);
      },
    }),
    async of(work) {
      const cost: RequestCost = { trips: 0, statements: [], auditCommits: 0, otherIo: [] };
      const answer = await context.run(cost, work);
      // What is left behind may go on; the answer has been given.
      return { answer, cost: { ...cost, statements: [...cost.statements], otherIo: [...cost.otherIo] } };
    },
    close() {
      hook.disable();
      for (const one of undo) one();
      syncBuiltinESMExports();
    },
  };
}

/** Every function of a module of Node says its name and does what it did. Returns what puts them back. */
function wrapFunctions(module: object, of: string, note: (what: string) => void): (() => void)[] {
  return Object.entries(Object.getOwnPropertyDescriptors(module)).flatMap(([name, { value }]) => {
    // Classes keep their names; they do nothing by being made.
    if (typeof value !== 'function' || !/^[a-z]/.test(name)) return [];
    const original = value as (...given: unknown[]) => unknown;
    const wrapped = function (this: unknown, ...given: unknown[]): unknown {
      note(`${of}.${name}`);
      return original.apply(this, given);
    };
    // `fs.realpath.native`, and the forms of util.promisify.
    Object.defineProperties(wrapped, Object.getOwnPropertyDescriptors(original));
    Object.assign(module, { [name]: wrapped });
    return [() => void Object.assign(module, { [name]: original })];
  });
}

/** All of Node's clients (HTTP, TLS, `pg`) connect by this one method. */
function watchConnections(onConnect: (place: string) => void): () => void {
  const { connect } = Socket.prototype;
  Socket.prototype.connect = function (this: Socket, ...given: unknown[]) {
    // Node's own callers give an array of options and callback.
    const [first, second] = Array.isArray(given[0]) ? (given[0] as unknown[]) : given;
    onConnect(placeOf(first, second));
    return Reflect.apply(connect, this, given) as Socket;
  };
  return () => {
    Socket.prototype.connect = connect;
  };
}

/** The path of a socket, or host and port: what Socket.connect takes, in each of its forms. */
function placeOf(first: unknown, second: unknown): string {
  if (typeof first !== 'object' || first === null)
    return Number.isNaN(Number(first))
      ? String(first)
      : `${typeof second === 'string' ? second : 'localhost'}:${String(first)}`;
  const { path, host, port } = first as { path?: string; host?: string; port?: number | string };
  return path ?? `${host ?? 'localhost'}:${port}`;
}
