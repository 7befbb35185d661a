/**
 * Owns the one queue: first in, first out, with a maximum that is named where it is made. A push past the maximum
 * drops the oldest item and counts it; a caller that must not lose items asks `isFull` first.
 */

import { assert } from '#base/assert.ts';

export interface BoundedQueue<T> {
  readonly size: number;
  readonly isFull: boolean;
  /** How many items were dropped since the queue was made. */
  readonly dropped: number;
  /** Adds at the end; returns the oldest item when it had to make room. */
  push(item: T): T | undefined;
  shift(): T | undefined;
  peek(): T | undefined;
}

export function createBoundedQueue<T>(maxItems: number): BoundedQueue<T> {
  assert(Number.isSafeInteger(maxItems) && maxItems > 0, 'a bounded queue needs a positive maximum');
  const items: (T | undefined)[] = Array.from({ length: Math.min(maxItems, 16) });
  let head = 0;
  let size = 0;
  let dropped = 0;

  const grow = (): void => {
    const old = items.slice();
    const capacity = Math.min(maxItems, items.length * 2);
    items.length = capacity;
    for (let i = 0; i < size; i++) items[i] = old[(head + i) % old.length];
    items.fill(undefined, size);
    head = 0;
  };
  const shift = (): T | undefined => {
    if (size === 0) return undefined;
    const item = items[head];
    items[head] = undefined;
    head = (head + 1) % items.length;
    size--;
    return item;
  };
  return {
    get size() {
      return size;
    },
    get isFull() {
      return size === maxItems;
    },
    get dropped() {
      return dropped;
    },
    push(item) {
      let evicted: T | undefined;
      if (size === maxItems) {
        evicted = shift();
        dropped++;
      } else if (size === items.length) grow();
      items[(head + size) % items.length] = item;
      size++;
      return evicted;
    },
    shift,
    peek: () => (size === 0 ? undefined : items[head]),
  };
}
