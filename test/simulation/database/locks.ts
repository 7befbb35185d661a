/**
 * Owns the locks of the modelled database: on rows, and the advisory ones. Waiters queue in the order of their coming. Pure
 * of time: who waits too long is sent away by the caller. Invariant: two holders of one key never conflict.
 */

/** FOR KEY SHARE or shared; what an UPDATE takes; FOR UPDATE, DELETE or exclusive. */
export type LockMode = 'share' | 'change' | 'update';

/** Who holds and waits: a transaction. */
export interface LockOwner {
  readonly held: Map<string, LockMode>;
  wait: LockWait | null;
}

export interface LockWait {
  readonly owner: LockOwner;
  readonly key: string;
  readonly mode: LockMode;
  readonly granted: () => void;
}

export interface Locks {
  /** True when the lock is held now; else `granted` is called later, unless the owner leaves before. */
  acquire(owner: LockOwner, key: string, mode: LockMode, granted: () => void): boolean;
  /** Like FOR UPDATE SKIP LOCKED: true when it could be had at once. */
  tryAcquire(owner: LockOwner, key: string, mode: LockMode): boolean;
  /** Gives up the wait, and everything that is held. */
  leave(owner: LockOwner): void;
  /** pg_blocking_pids: for whom the owner waits. */
  blockersOf(owner: LockOwner): LockOwner[];
  holdersOf(key: string): Iterable<LockOwner>;
}

const strength: Record<LockMode, number> = { share: 0, change: 1, update: 2 };

function conflict(a: LockMode, b: LockMode): boolean {
  return a === 'update' || b === 'update' || (a === 'change' && b === 'change');
}

interface Lock {
  readonly holders: Map<LockOwner, LockMode>;
  readonly queue: LockWait[];
}

/** Row locks are waited for by one at a time, who stands before all others that come (README.tuplock). */
const isRow = (key: string): boolean => !key.startsWith('advisory/') && !key.startsWith('xid/');

export function createLocks(): Locks {
  const locks = new Map<string, Lock>();

  function isFree(lock: Lock, owner: LockOwner, mode: LockMode): boolean {
    for (const [holder, held] of lock.holders) if (holder !== owner && conflict(held, mode)) return false;
    return true;
  }

  function take(lock: Lock, owner: LockOwner, key: string, mode: LockMode): void {
    lock.holders.set(owner, mode);
    owner.held.set(key, mode);
  }

  function lockOf(key: string): Lock {
    let lock = locks.get(key);
    if (lock === undefined) {
      lock = { holders: new Map(), queue: [] };
      locks.set(key, lock);
    }
    return lock;
  }

  /** Lets in who can be let in, in order. */
  function admit(key: string, lock: Lock): void {
    for (let wait = lock.queue[0]; wait !== undefined; wait = lock.queue[0]) {
      if (!isFree(lock, wait.owner, wait.mode)) return;
      lock.queue.shift();
      wait.owner.wait = null;
      take(lock, wait.owner, key, wait.mode);
      wait.granted();
    }
    if (lock.holders.size === 0) locks.delete(key);
  }

  function tryAcquire(owner: LockOwner, key: string, mode: LockMode): boolean {
    const held = owner.held.get(key);
    if (held !== undefined && strength[held] >= strength[mode]) return true;
    const lock = lockOf(key);
    // Who holds a weaker lock already goes before those that wait.
    if ((held === undefined && lock.queue.length > 0) || !isFree(lock, owner, mode)) return false;
    take(lock, owner, key, mode);
    return true;
  }

  return {
    tryAcquire,
    acquire(owner, key, mode, granted) {
      if (tryAcquire(owner, key, mode)) return true;
      const wait = { owner, key, mode, granted };
      owner.wait = wait;
      const { queue } = lockOf(key);
      if (owner.held.has(key)) queue.unshift(wait);
      else queue.push(wait);
      return false;
    },
    leave(owner) {
      const { wait } = owner;
      owner.wait = null;
      if (wait !== null) {
        const lock = lockOf(wait.key);
        lock.queue.splice(lock.queue.indexOf(wait), 1);
        if (!owner.held.has(wait.key)) admit(wait.key, lock);
      }
      const keys = [...owner.held.keys()];
      owner.held.clear();
      for (const key of keys) {
        const lock = lockOf(key);
        lock.holders.delete(owner);
        admit(key, lock);
      }
    },
    blockersOf(owner) {
      const { wait } = owner;
      if (wait === null) return [];
      const lock = lockOf(wait.key);
      const before = lock.queue.slice(0, lock.queue.indexOf(wait));
      if (isRow(wait.key) && before.length > 0) return before.map((ahead) => ahead.owner);
      const holders = [...lock.holders].filter(
        ([holder, mode]) => holder !== owner && conflict(mode, wait.mode),
      );
      return [
        ...holders.map(([holder]) => holder),
        ...before.filter((ahead) => conflict(ahead.mode, wait.mode)).map((ahead) => ahead.owner),
      ];
    },
    holdersOf: (key) => locks.get(key)?.holders.keys() ?? [],
  };
}
