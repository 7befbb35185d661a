/**
 * Owns durable credit: how many bytes each connection may have on the server without their being settled. Grants are
 * cumulative (RFC 9000 section 4.1), so a lost or repeated grant does no harm. Bound: all that is granted and not
 * settled, over all connections, never exceeds the pool; a connection that finds it empty starts with nothing and is
 * served when others give back.
 */

import { assert } from '#base/assert.ts';

export interface CreditPool {
  readonly totalBytes: number;
  readonly reservedBytes: number;
  /** How often a connection got less than it asked for. */
  readonly shortages: number;
  /** Reserves up to `bytes` and says how many. */
  reserve(bytes: number): number;
  release(bytes: number): void;
}

export function createCreditPool(totalBytes: number): CreditPool {
  let reservedBytes = 0;
  let shortages = 0;
  return {
    totalBytes,
    get reservedBytes() {
      return reservedBytes;
    },
    get shortages() {
      return shortages;
    },
    reserve(bytes) {
      const got = Math.min(bytes, totalBytes - reservedBytes);
      if (got < bytes) shortages++;
      reservedBytes += got;
      return got;
    },
    release(bytes) {
      reservedBytes -= bytes;
      assert(reservedBytes >= 0, 'credit is released once');
    },
  };
}

/** One connection's account. */
export interface CreditLedger {
  /** Cumulative bytes that the device may have sent. */
  readonly grantedBytes: number;
  readonly receivedBytes: number;
  /** Counts received bytes; false when they exceed what was granted. */
  receive(bytes: number): boolean;
  /** Bytes left the server's memory: settled, or dropped and asked for again. Grants as many anew, and more while small. */
  settle(bytes: number): void;
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

  const topUp = (): boolean => {
    const missing = windowBytes - outstandingBytes - (grantedBytes - receivedBytes);
    if (missing <= 0 || isClosed) return false;
    const got = pool.reserve(missing);
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
      assert(bytes <= outstandingBytes, 'only received bytes settle');
      // Half the window was in use between two settlements: the device could use more.
      if (outstandingBytes * 2 > windowBytes) windowBytes = Math.min(window.maxBytes, windowBytes * 2);
      outstandingBytes -= bytes;
      pool.release(bytes);
      topUp();
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
