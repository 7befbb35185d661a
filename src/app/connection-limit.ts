/**
 * Owns how many connections the server takes at once, whoever they are: a stranger's half-open ones cost memory and a file
 * descriptor each, and without descriptors the server cannot reach its database or its disk either. One more is dropped
 * as it comes, and counted; those that are there live on.
 */

import type { Server } from 'node:net';

export const connectionLimits = {
  /** The hub's 10,000 viewers, and as many devices and requests. Idle they cost about 6 KB each: 120 MB. */
  connections: 20_000,
  /** Files that the server itself may need: its database's pools, logs, back-ups and exports; it runs with about 40. */
  ownFiles: 256,
} as const;

export interface ConnectionLimit {
  readonly connections: number;
  /** `dropped`: connections that came when there were too many. */
  readonly counters: { readonly dropped: number };
  /** Bounds the connections of `server` from now on. */
  apply(server: Server): void;
}

/** As many as `connectionLimits` and the process's limit of open files allow; null: it has none that is known. */
export function createConnectionLimit(openFiles: number | null): ConnectionLimit {
  const { connections: most, ownFiles } = connectionLimits;
  // A very low limit is shared evenly.
  const room = openFiles === null ? most : Math.max(openFiles - ownFiles, Math.floor(openFiles / 2), 1);
  const connections = Math.min(most, room);
  const counters = { dropped: 0 };
  return {
    connections,
    counters,
    apply(server) {
      server.maxConnections = connections;
      server.on('drop', () => counters.dropped++);
    },
  };
}

/** How many files this process may have open; null where the system does not say, or sets no limit. */
export function openFilesLimit(): number | null {
  const { userLimits } = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } };
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : null;
}
