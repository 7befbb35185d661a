/**
 * Owns one connection between a server process and its backend: requests go there and answers come back, in order, each
 * after a latency. A request that was sent is carried out whatever becomes of its sender; an answer is an event of the
 * process. When either side breaks, what waits for an answer fails, and nothing is known of its outcome.
 */

import {
  databaseError,
  type Backend,
  type Backends,
  type BackendSettings,
} from '#test/simulation/database/backends.ts';
import type { Process } from '#test/simulation/scheduler.ts';

export interface Channel {
  readonly backend: Backend;
  readonly isLost: boolean;
  /** Runs a statement there. */
  request<T>(work: () => T | Promise<T>): Promise<T>;
  /** The client cuts it. */
  destroy(): void;
}

/** What a client makes of a connection that ends without a word. */
export function connectionEnded(): Error {
  return new Error('Connection terminated unexpectedly');
}

export const refused = (): Error => databaseError('ECONNREFUSED', 'connect ECONNREFUSED');

export function openChannel(
  backends: Backends,
  process: Process,
  settings: BackendSettings,
  onLost: () => void = () => undefined,
): Promise<Channel> {
  const { scheduler } = backends;
  return new Promise((resolve, reject) => {
    let isGivenUp = false;
    const cancel = scheduler.after(settings.connectMs, process, () => {
      isGivenUp = true;
      reject(new Error('Connection terminated due to connection timeout'));
    });
    const answer = (action: () => void): void => {
      scheduler.after(backends.latencyMs(), process, () => {
        cancel();
        if (!isGivenUp) action();
      });
    };
    backends.atServer(backends.latencyMs(), () => {
      if (scheduler.nowMs < backends.upAtMs) answer(() => reject(refused()));
      else if (process.isAlive) {
        const channel = createChannel(backends, process, settings, onLost);
        answer(() => (channel.isLost ? reject(connectionEnded()) : resolve(channel)));
      }
    });
  });
}

function createChannel(
  backends: Backends,
  process: Process,
  settings: BackendSettings,
  onLost: () => void,
): Channel {
  const { scheduler } = backends;
  /** On their way, in order. */
  const outbox: (() => void)[] = [];
  const inbox: (() => void)[] = [];
  const waiting = new Set<(error: Error) => void>();
  let isLost = false;

  const backend = backends.start(process, settings, (error) => toClient(() => lose(error)));

  function toClient(action: () => void): void {
    inbox.push(action);
    scheduler.after(backends.latencyMs(), process, () => inbox.shift()?.());
  }

  function toServer(action: () => void): void {
    outbox.push(action);
    backends.atServer(backends.latencyMs(), () => outbox.shift()?.());
  }

  function lose(error: Error | null): void {
    if (isLost) return;
    isLost = true;
    // The database's last words answer what waits first; the rest hears that the connection is gone.
    for (const reject of waiting) reject(error ?? connectionEnded());
    waiting.clear();
    onLost();
  }

  async function carryOut<T>(
    work: () => T | Promise<T>,
    heard: { resolve: (value: T) => void; reject: (error: Error) => void },
  ): Promise<void> {
    let answer: () => void;
    try {
      const value = await backends.run(backend, work);
      answer = () => heard.resolve(value);
    } catch (error) {
      answer = () => heard.reject(error as Error);
    }
    if (backend.isAlive) toClient(answer);
  }

  return {
    backend,
    get isLost() {
      return isLost;
    },
    request<T>(work: () => T | Promise<T>): Promise<T> {
      if (isLost) return Promise.reject(connectionEnded());
      return new Promise<T>((resolve, reject) => {
        waiting.add(reject);
        const heard = {
          resolve(value: T) {
            waiting.delete(reject);
            resolve(value);
          },
          reject(error: Error) {
            waiting.delete(reject);
            reject(error);
          },
        };
        toServer(() => {
          if (backend.isAlive) void carryOut(work, heard);
        });
      });
    },
    destroy() {
      if (isLost) return;
      scheduler.after(0, process, () => lose(null));
      toServer(() => backends.hangUp(backend));
    },
  };
}
