/**
 * Owns durable credit: how many bytes each connection may have on the server without their being settled. Grants are
 * cumulative (RFC 9000 section 4.1), so a repeated grant does no harm. Bound: all that is granted and not settled, over
 * all connections, never exceeds the pool. A grant comes back only when the device gives it back (ADR 14), so windows
 * have shares of the pool: who comes later still finds a small one.
 */

import { assert } from '#base/assert.ts';

/** Above this share new connections begin with a quiet window, and quiet ones are asked for what they do not use. */
const SCARCE_SHARE = 0.5;
/** Windows that grew: the rest is kept for first windows. */
const GROWTH_SHARE = 0.75;
/** First windows: the rest is kept for quiet ones, 8,192 of 4 KiB in the default pool. */
const FIRST_SHARE = 0.875;

export interface CreditPool {
  readonly totalBytes: number;
  readonly reservedBytes: number;
  /** How often a connection got less than it asked for. */
  readonly shortages: number;
  /** So much is reserved that what lies idle should come back. */
  readonly isScarce: boolean;
  /** Reserves up to `bytes` for a quiet window and says how many. */
  reserve(bytes: number): number;
  /** The same for a first window. */
  reserveFirst(bytes: number): number;
  /** The same for a window that grows. */
  reserveGrowth(bytes: number): number;
  release(bytes: number): void;
}

export function createCreditPool(totalBytes: number): CreditPool {
  const growthBytes = Math.floor(totalBytes * GROWTH_SHARE);
  const firstBytes = Math.floor(totalBytes * FIRST_SHARE);
  let reservedBytes = 0;
  let shortages = 0;
  const reserveUpTo = (bytes: number, limitBytes: number): number => {
    const got = Math.max(0, Math.min(bytes, limitBytes - reservedBytes));
    if (got < bytes) shortages++;
    reservedBytes += got;
    return got;
  };
  return {
    totalBytes,
    get reservedBytes() {
      return reservedBytes;
    },
    get shortages() {
      return shortages;
    },
    get isScarce() {
      return reservedBytes > totalBytes * SCARCE_SHARE;
    },
    reserve: (bytes) => reserveUpTo(bytes, totalBytes),
    reserveFirst: (bytes) => reserveUpTo(bytes, firstBytes),
    reserveGrowth: (bytes) => reserveUpTo(bytes, growthBytes),
    release(bytes) {
      reservedBytes -= bytes;
      assert(reservedBytes >= 0, 'credit is released once');
    },
  };
}

/** Whoever paid for frames that the server holds. */
export interface CreditPayer {
  /** Bytes left the server's memory because they settled. */
  settle(bytes: number): void;
  /** Bytes left it unstored, and are asked for again. */
  drop(bytes: number): void;
}

/** One connection's account. */
export interface CreditLedger extends CreditPayer {
  /** Cumulative bytes that are taken from the device. */
  readonly grantedBytes: number;
  /** What the device is told of it: less while it is asked to give some back. */
  readonly statedBytes: number;
  readonly receivedBytes: number;
  /** Counts received bytes; false when they exceed what was granted. */
  receive(bytes: number): boolean;
  /** The device sends: a quiet window becomes a first one at once. True when the grant grew. */
  wake(): boolean;
  /** Tries to reach the window again; true when the grant grew. */
  topUp(): boolean;
  /** It holds what a quiet device does not need, and others do. */
  readonly hasIdle: boolean;
  /** Begins to take that back, and says which grant the device may keep. */
  reclaim(): number;
  /** The device sends no more than `keptBytes` in all from now on. False when that cannot be. */
  reclaimed(keptBytes: number): boolean;
  /** The device keeps everything. */
  reclaimFailed(): void;
  /** The connection is gone: what it never used goes back now, the rest when it settles. */
  close(): void;
}

export interface CreditWindows {
  /** Of a connection that sends nothing while credit is scarce; it must hold a frame. */
  readonly quietBytes: number;
  readonly initialBytes: number;
  readonly maxBytes: number;
}

/** The window starts small, since most connections are slow, and doubles with use, like a congestion window. */
export function createCreditLedger(pool: CreditPool, windows: CreditWindows): CreditLedger {
  const quietBytes = Math.min(windows.quietBytes, windows.initialBytes);
  let windowBytes = windows.initialBytes;
  let isQuiet = pool.isScarce;
  /** What is stated while the device is asked to give back. */
  let reclaimedTo: number | null = null;
  let outstandingBytes = 0;
  let isClosed = false;
  let receivedBytes = 0;
  let grantedBytes = 0;

  const shrink = (): void => {
    windowBytes = Math.max(windows.initialBytes, Math.floor(windowBytes / 2));
  };
  const leave = (bytes: number): void => {
    assert(bytes <= outstandingBytes, 'only received bytes leave');
    outstandingBytes -= bytes;
    pool.release(bytes);
  };
  const topUp = (): boolean => {
    // A grant on its way would undo what is being given back.
    if (isClosed || reclaimedTo !== null) return false;
    const before = grantedBytes;
    const missing = (levelBytes: number): number =>
      Math.max(0, levelBytes - (outstandingBytes + grantedBytes - receivedBytes));
    grantedBytes += pool.reserve(missing(quietBytes));
    if (!isQuiet && missing(quietBytes) === 0) {
      grantedBytes += pool.reserveFirst(missing(windows.initialBytes));
      const growthBytes = missing(windowBytes);
      const grown = pool.reserveGrowth(growthBytes);
      if (grown < growthBytes) shrink();
      grantedBytes += grown;
    }
    return grantedBytes > before;
  };
  topUp();
  return {
    get grantedBytes() {
      return grantedBytes;
    },
    get statedBytes() {
      return reclaimedTo ?? grantedBytes;
    },
    get receivedBytes() {
      return receivedBytes;
    },
    receive(bytes) {
      if (receivedBytes + bytes > grantedBytes) return false;
      receivedBytes += bytes;
      outstandingBytes += bytes;
      return true;
    },
    wake() {
      if (!isQuiet) return false;
      isQuiet = false;
      return topUp();
    },
    settle(bytes) {
      // Half the window was in use between two settlements: the device could use more.
      if (outstandingBytes * 2 > windowBytes) windowBytes = Math.min(windows.maxBytes, windowBytes * 2);
      leave(bytes);
      topUp();
    },
    drop(bytes) {
      // Granting the same bytes anew at once would have the device send, and the server drop, as fast as the line allows.
      leave(bytes);
      shrink();
    },
    topUp,
    get hasIdle() {
      const isIdle = !isClosed && reclaimedTo === null && grantedBytes - receivedBytes > quietBytes;
      return isIdle && pool.isScarce;
    },
    reclaim() {
      isQuiet = true;
      windowBytes = windows.initialBytes;
      reclaimedTo = receivedBytes + quietBytes;
      return reclaimedTo;
    },
    reclaimed(keptBytes) {
      if (keptBytes < receivedBytes || keptBytes > grantedBytes) return false;
      reclaimedTo = null;
      pool.release(grantedBytes - keptBytes);
      grantedBytes = keptBytes;
      return true;
    },
    reclaimFailed() {
      reclaimedTo = null;
    },
    close() {
      if (isClosed) return;
      isClosed = true;
      reclaimedTo = null;
      pool.release(grantedBytes - receivedBytes);
      grantedBytes = receivedBytes;
    },
  };
}

/** An account without a window, for paths that grant nothing ahead (HTTP): bytes are reserved when they come. */
export interface SpotCredit extends CreditPayer {
  /** False, and nothing is reserved, when the pool or `maxBytes` has no room. */
  take(bytes: number): boolean;
}

export function createSpotCredit(pool: CreditPool, maxBytes: number): SpotCredit {
  let outstandingBytes = 0;
  const leave = (bytes: number): void => {
    assert(bytes <= outstandingBytes, 'only taken bytes leave');
    outstandingBytes -= bytes;
    pool.release(bytes);
  };
  return {
    take(bytes) {
      if (outstandingBytes + bytes > maxBytes) return false;
      const got = pool.reserveGrowth(bytes);
      if (got < bytes) {
        pool.release(got);
        return false;
      }
      outstandingBytes += bytes;
      return true;
    },
    settle: leave,
    drop: leave,
  };
}
