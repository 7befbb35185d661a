/**
 * Owns the choice of the transport: the first that is allowed, the next when it cannot be opened, what worked for a
 * while after it did, and now and then a look whether the first works by now. A server that is only away is not mistaken
 * for a blocked transport for long, since the first is tried between the others. Without I/O.
 */

import { closeCodes } from '#protocol/codes.ts';

/** In the order of their worth: frames both ways; a stream one way and requests; requests only. */
export type TransportName = 'websocket' | 'sse' | 'poll';

export const allTransports: readonly TransportName[] = ['websocket', 'sse', 'poll'];

/** What worked is begun with for this long; networks that block change by leaving them. */
const REMEMBER_MS = 300_000;
/** The first look is soon, for a person who has just left a bad network; each that fails doubles the wait. */
const FIRST_LOOK_MS = 60_000;
const LONGEST_LOOK_MS = 1_800_000;

/** Which transport the n-th attempt in a row takes, by how many are allowed. */
const attempts: readonly (readonly number[])[] = [[0], [0, 0, 1], [0, 0, 1, 0, 1, 2]];

/** A link closes with it when its transport does not work between here and the server; never on the wire (RFC 6455: 1015). */
export const TRANSPORT_UNUSABLE = 1015;

/** Whether the way to the server failed, and not the server itself. */
export function isOfNetwork(closeCode: number): boolean {
  return closeCode < 4000 && closeCode !== closeCodes.restarting && closeCode !== 1001;
}

export interface TransportChoice {
  /** Of the attempt under way, or the next one. */
  readonly current: TransportName;
  readonly first: TransportName;
  /** When a look at the first is due; infinity while it is the one in use. */
  readonly lookAtMs: number;
  /** An attempt begins. */
  begin(nowMs: number): void;
  opened(nowMs: number): void;
  /** It could not be opened, or did not last. `slow`: it took all its time, which counts twice. */
  failed(how: 'soon' | 'slow'): void;
  /** It opens, and what is sent over it does not come: the next is taken. */
  unusable(nowMs: number): void;
  /** It lasted. */
  lasted(): void;
  /** A look begins. */
  looks(): void;
  /** How it came out. */
  looked(isOpen: boolean, nowMs: number): void;
}

export function createTransportChoice(allowed: readonly TransportName[]): TransportChoice {
  const sequence = attempts[Math.min(allowed.length, attempts.length) - 1] ?? [];
  let index = 0;
  let failures = 0;
  let remembered: { readonly index: number; readonly untilMs: number } | null = null;
  let looks = 0;
  let lookAtMs = Number.POSITIVE_INFINITY;
  return {
    first: allowed[0] ?? 'websocket',
    get current() {
      return allowed[index] ?? 'websocket';
    },
    get lookAtMs() {
      return lookAtMs;
    },
    begin(nowMs) {
      if (remembered !== null && nowMs >= remembered.untilMs) remembered = null;
      index = remembered?.index ?? sequence[failures % sequence.length] ?? 0;
      lookAtMs = Number.POSITIVE_INFINITY;
    },
    opened(nowMs) {
      if (index === 0) looks = 0;
      else {
        remembered = { index, untilMs: nowMs + REMEMBER_MS };
        lookAtMs = nowMs + Math.min(LONGEST_LOOK_MS, FIRST_LOOK_MS * 2 ** looks);
      }
    },
    failed(how) {
      // What worked before has failed: begin at the beginning.
      if (remembered !== null) failures = 0;
      else failures += how === 'slow' && failures === 0 ? 2 : 1;
      remembered = null;
    },
    unusable(nowMs) {
      const next = index + 1 < allowed.length ? index + 1 : 0;
      failures = 0;
      remembered = { index: next, untilMs: nowMs + REMEMBER_MS };
    },
    lasted() {
      failures = 0;
    },
    looks() {
      lookAtMs = Number.POSITIVE_INFINITY;
    },
    looked(isOpen, nowMs) {
      if (isOpen) {
        remembered = null;
        failures = 0;
        looks = 0;
        return;
      }
      looks = Math.min(looks + 1, 16);
      lookAtMs = nowMs + Math.min(LONGEST_LOOK_MS, FIRST_LOOK_MS * 2 ** looks);
    },
  };
}
