/** Owns giving way to the thread that serves devices and viewers, where a thread has a priority of its own (Linux). */

import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';

/** Lowers the priority of the calling thread: 5 leaves it a third, 2 two thirds of what a busy usual thread gets. */
export function yieldToLive(niceness: number): void {
  try {
    const [, threadId] = readlinkSync('/proc/thread-self').split('/task/');
    setPriority(Number(threadId), niceness);
  } catch {
    // Elsewhere, or where it is not allowed, the thread runs like the others.
  }
}
