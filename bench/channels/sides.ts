/**
 * Owns the servers that are compared: how each is started, which messages it speaks, and what of the comparison it cannot
 * do. A server that cannot be had on this machine is absent with the reason.
 */

import { fileURLToPath } from 'node:url';

import type { DialectName } from '#bench/channels/dialect.ts';
import { buildGorilla } from '#bench/channels/gorilla-peer.ts';
import { pinned } from '#bench/channels/pinning.ts';
import { provideFastapi, PYTHON } from '#bench/ingest/fastapi-peer.ts';
import { hear } from '#bench/support/control-channel.ts';
import type { Child, RunScope } from '#bench/support/run-scope.ts';

const READY_MS = 20_000;
const COLLECT_MS = 20_000;
const FASTAPI_PACKAGES = ['fastapi', 'uvicorn', 'websockets', 'uvloop', 'redis'];

export interface ChannelsServer {
  readonly child: Child;
  readonly port: number;
  /** One for each of the people that the clients play; none where the server asks for none. */
  readonly keys: readonly string[];
  /** Has the runtime collect its garbage, and returns when that is done. */
  collect(): Promise<void>;
}

export interface ServerOptions {
  /** Joins the instances that share it. */
  readonly redisUrl?: string;
  /** Keeps what is needed to resume, where that is an option. */
  readonly isResuming?: boolean;
}

export interface ChannelsSide {
  readonly name: string;
  readonly dialect: DialectName;
  /** In a scope of the step's own. */
  startServer(scope: RunScope, options: ServerOptions): Promise<ChannelsServer>;
}

export interface FoundSides {
  readonly sides: readonly ChannelsSide[];
  /** Names of those that are missing, with the reason. */
  readonly absent: Readonly<Record<string, string>>;
  readonly versions: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

const pathOf = (file: string): string => fileURLToPath(new URL(`../peers/${file}`, import.meta.url));

export async function findPeers(folder: string, say: (text: string) => void): Promise<FoundSides> {
  const sides: ChannelsSide[] = [
    peer({
      name: 'socketio',
      dialect: 'socketIo',
      command: process.execPath,
      args: nodeArgs('socketio-channels.ts'),
    }),
    peer({
      name: 'ws',
      dialect: 'plainJson',
      command: process.execPath,
      args: nodeArgs(process.env.RAW ?? 'ws-channels.ts'),
    }),
  ];
  const absent: Record<string, string> = {};
  const versions: Record<string, Readonly<Record<string, string>>> = {};
  const fastapi = await provideFastapi(say, FASTAPI_PACKAGES);
  if ('absent' in fastapi) absent['fastapi'] = fastapi.absent;
  else {
    versions['fastapi'] = fastapi.versions;
    const args = [pathOf('fastapi/channels.py')];
    sides.push(peer({ name: 'fastapi', dialect: 'plainJson', command: PYTHON, args }));
  }
  const gorilla = await buildGorilla(folder, say);
  if ('absent' in gorilla) absent['gorilla'] = gorilla.absent;
  else {
    versions['gorilla'] = gorilla.versions;
    sides.push(peer({ name: 'gorilla', dialect: 'plainJson', command: gorilla.path, args: [] }));
  }
  return { sides, absent, versions };
}

function nodeArgs(file: string): readonly string[] {
  return ['--expose-gc', pathOf(file)];
}

interface PeerOptions {
  readonly name: string;
  readonly dialect: DialectName;
  readonly command: string;
  readonly args: readonly string[];
}

function peer({ name, dialect, command, args }: PeerOptions): ChannelsSide {
  return {
    name,
    dialect,
    async startServer(scope, { redisUrl, isResuming }) {
      const child = await scope.start({
        name,
        ...pinned('server', command, [
          ...args,
          ...(redisUrl === undefined ? [] : ['--redis', redisUrl]),
          ...(isResuming === true && name === 'socketio' ? ['--recovery'] : []),
        ]),
      });
      const { port } = await hear<{ type: 'ready'; port: number }>(child, 'ready', READY_MS);
      return {
        child,
        port,
        keys: [],
        async collect() {
          child.send({ type: 'collect' });
          await hear<{ type: 'collected' }>(child, 'collected', COLLECT_MS);
        },
      };
    },
  };
}
