/**
 * Owns durable credit: how many bytes each connection may have on the server without their being settled. Grants are
 * cumulative (RFC 9000 section 4.1), so a lost or repeated grant does no harm. Bound: all that is granted and not
 * settled, over all connections, never exceeds the pool. A grant cannot be taken back, so windows may grow only into
 * GROWTH_SHARE of the pool and shrink when that is used up: who comes later still finds a first window.
 */

import { assert } from '#base/assert.ts';

/** The rest is kept for first windows: 2,048 of 32 KiB in the default pool. */
const GROWTH_SHARE = 0.75;

export interface CreditPool {
  readonly totalBytes: number;
  readonly reservedBytes: number;
  /** How often a connection got less than it asked for. */
  readonly shortages: number;
  /** Reserves up to `bytes` for a first window and says how many. */
  reserve(bytes: number): number;
  /** The same for a window that grows. */
  reserveGrowth(bytes: number): number;
  release(bytes: number): void;
}

export function createCreditPool(totalBytes: number): CreditPool {
  const growthBytes = Math.floor(totalBytes * GROWTH_SHARE);
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
    reserve: (bytes) => reserveUpTo(bytes, totalBytes),
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
  /** Cumulative bytes that the device may have sent. */
  readonly grantedBytes: number;
  readonly receivedBytes: number;
  /** Counts received bytes; false when they exceed what was granted. */
  receive(bytes: number): boolean;
  /** Tries to reach the window again; true when the grant grew. */
  topUp(): boolean;
  /** The connection is gone: what it never used goes back now, the rest when it settles. */
  close(): void;
}

/** The window starts small, since most connections are slow, and doubles with use, like a congestion window. */
export function createCreditLedger(
  pool: CreditPool,
  window: { initialBytes: number; maxBytes: number },
): CreditLedger {
  let windowBytes = window.initialBytes;
  let outstandingBytes = 0;
  let isClosed = false;
  let receivedBytes = 0;
  let grantedBytes = pool.reserve(windowBytes);

  const shrink = (): void => {
    windowBytes = Math.max(window.initialBytes, Math.floor(windowBytes / 2));
  };
  const leave = (bytes: number): void => {
    assert(bytes <= outstandingBytes, 'only received bytes leave');
    outstandingBytes -= bytes;
    pool.release(bytes);
  };
  const topUp = (): boolean => {
    if (isClosed) return false;
    const heldBytes = outstandingBytes + grantedBytes - receivedBytes;
    const firstBytes = Math.max(0, window.initialBytes - heldBytes);
    const growthBytes = Math.max(0, windowBytes - Math.max(heldBytes, window.initialBytes));
    let got = firstBytes === 0 ? 0 : pool.reserve(firstBytes);
    if (growthBytes > 0) {
      const grown = pool.reserveGrowth(growthBytes);
      if (grown < growthBytes) shrink();
      got += grown;
    }
    grantedBytes += got;
    return got > 0;
  };
  return {
    get grantedBytes() {
      return grantedBytes;
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
    settle(bytes) {
      // Half the window was in use between two settlements: the device could use more.
      if (outstandingBytes * 2 > windowBytes) windowBytes = Math.min(window.maxBytes, windowBytes * 2);
      leave(bytes);
      topUp();
    },
    drop(bytes) {
      // Granting the same bytes anew at once would have the device send, and the server drop, as fast as the line allows.
      leave(bytes);
      shrink();
    },
    topUp,
    close() {
      if (isClosed) return;
      isClosed = true;
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
