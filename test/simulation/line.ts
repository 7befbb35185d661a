/**
 * Owns one direction of a simulated connection: messages arrive in the order of sending, after the latency of the path and
 * no faster than its bandwidth; they can be held up, delayed or lost, never reordered. Bound: none of its own, since
 * what is sent is bounded by the credit and the limits of those who send.
 */

import type { Process, Scheduler } from '#test/simulation/scheduler.ts';

/** How messages travel now; the faults change it. */
export interface Path {
  minMs: number;
  maxMs: number;
  /** Null: without limit. */
  bytesPerSecond: number | null;
}

export interface Line {
  /** Messages that were sent and have not arrived. */
  underWay(): number;
  /** Bytes that have not left the sender. */
  unsentBytes(): number;
  /** `arrive` is an event of the receiving process. `left`: of the sending one, once the kernel has the bytes. */
  send(bytes: number, arrive: () => void, left?: () => void): void;
  /** From now on everything waits. `onWaiting` is called once something does. */
  hold(onWaiting?: () => void): void;
  /** What waits goes on its way. */
  release(): void;
  /** What is under way and what waits arrives after this time. */
  delay(byMs: number): void;
  /** What is under way is lost; what has arrived at a process that is stopped has arrived. */
  clear(): void;
  /** The last message under way is lost. */
  dropLast(): void;
  /** As `clear`; what is sent from now on is lost too, in silence. */
  sever(): void;
  /** Whether the receiver takes what arrives. */
  setReading(isReading: boolean): void;
}

interface Message {
  readonly bytes: number;
  readonly arrive: () => void;
  /** Undefined once it was asked for. */
  left: (() => void) | undefined;
  leftMs: number;
  atMs: number;
}

/** What a kernel takes before a sender notices: far less than real ones do, so that short histories fill it. */
const KERNEL_BYTES = 4096;

export function createLine(
  scheduler: Scheduler,
  path: Path,
  ends: { readonly sender: Process; readonly receiver: Process },
): Line {
  const { random } = scheduler;
  let queue: Message[] = [];
  let head = 0;
  /** Sent while the line was held. */
  let waiting: Message[] = [];
  let stuckBytes = 0;
  let busyUntilMs = 0;
  let lastAtMs = 0;
  let isHeld = false;
  let isSevered = false;
  let isReading = true;
  /** In the receiver's kernel, unread. */
  let unreadBytes = 0;
  let onWaiting: (() => void) | undefined;

  function latencyMs(): number {
    const spanMs = path.maxMs - path.minMs;
    return spanMs === 0 ? path.minMs : path.minMs + random.next() * spanMs;
  }

  function transmit(message: Message): void {
    const { nowMs } = scheduler;
    const { bytesPerSecond } = path;
    message.leftMs =
      bytesPerSecond === null
        ? nowMs
        : Math.max(nowMs, busyUntilMs) + (message.bytes / bytesPerSecond) * 1000;
    busyUntilMs = message.leftMs;
    schedule(message, Math.max(lastAtMs, message.leftMs + latencyMs()));
    queue.push(message);
    if (message.left === undefined) return;
    if (!isReading) unreadBytes += message.bytes;
    if (unreadBytes <= KERNEL_BYTES) leave(message);
  }

  function leave(message: Message): void {
    if (message.left === undefined) return;
    scheduler.after(Math.max(0, message.leftMs - scheduler.nowMs), ends.sender, message.left);
    message.left = undefined;
  }

  function schedule(message: Message, atMs: number): void {
    const { nowMs } = scheduler;
    const delayMs = Math.max(0, atMs - nowMs);
    // As the scheduler adds it up: the event must not come a rounding error before its message.
    message.atMs = nowMs + delayMs;
    lastAtMs = message.atMs;
    scheduler.after(delayMs, ends.receiver, takeOne);
  }

  /** Whichever message this event was asked for: the first that is due comes first. */
  function takeOne(): void {
    const message = queue[head];
    if (message === undefined || message.atMs > scheduler.nowMs || !isReading) return;
    head++;
    if (head === queue.length) {
      queue = [];
      head = 0;
    }
    message.arrive();
  }

  function clear(): void {
    queue = queue.slice(head).filter(({ atMs }) => atMs <= scheduler.nowMs);
    head = 0;
    waiting = [];
  }

  return {
    underWay: () => queue.length - head + waiting.length,
    unsentBytes() {
      let bytes = Math.max(0, stuckBytes - KERNEL_BYTES);
      for (let i = queue.length - 1; i >= head && queue[i]!.leftMs > scheduler.nowMs; i--)
        bytes += queue[i]!.bytes;
      return bytes;
    },
    send(bytes, arrive, left) {
      const message: Message = { bytes, arrive, left, leftMs: 0, atMs: 0 };
      if (!isHeld && !isSevered) return transmit(message);
      stuckBytes += bytes;
      if (stuckBytes <= KERNEL_BYTES) leave(message);
      if (isSevered) return;
      waiting.push(message);
      const tell = onWaiting;
      onWaiting = undefined;
      tell?.();
    },
    hold(whenWaiting) {
      isHeld = true;
      onWaiting = whenWaiting;
    },
    release() {
      isHeld = false;
      onWaiting = undefined;
      stuckBytes = 0;
      const released = waiting;
      waiting = [];
      for (const message of released) transmit(message);
    },
    delay(byMs) {
      const late = [...queue.slice(head).filter(({ atMs }) => atMs > scheduler.nowMs), ...waiting];
      clear();
      lastAtMs = scheduler.nowMs + byMs;
      for (const message of late) {
        schedule(message, lastAtMs);
        queue.push(message);
      }
    },
    clear,
    dropLast() {
      if (waiting.length > 0) waiting.pop();
      else if (queue.length > head && queue.at(-1)!.atMs > scheduler.nowMs) queue.pop();
    },
    sever() {
      clear();
      isSevered = true;
    },
    setReading(value) {
      if (value === isReading) return;
      isReading = value;
      if (!isReading) return;
      unreadBytes = 0;
      for (let i = head; i < queue.length; i++) {
        const message = queue[i]!;
        leave(message);
        scheduler.after(Math.max(0, message.atMs - scheduler.nowMs), ends.receiver, takeOne);
      }
    },
  };
}
