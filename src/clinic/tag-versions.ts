/**
 * Owns the interface between the read cache and whatever knows when things changed. Each tag has a version that is another
 * one after every change, and never again one that it was. Within one process here; over several in Redis (bus/redis-cache.ts).
 */

import { LRUCache } from 'lru-cache';

export interface TagVersions {
  /**
   * The versions of all `tags` in one text, as they were at some moment after the call. Null: they are not known, or a
   * change is under way, and what is read now must not be kept.
   */
  current(tags: readonly string[]): Promise<string | null>;
  /** Before a change: until it is closed, what is read is not kept, also when this process dies meanwhile. */
  open(tags: readonly string[]): Promise<void>;
  /** After a change: when this resolves, no instance gives what was read before. */
  close(tags: readonly string[]): Promise<void>;
}

/** What several instances share beside versions: values that another one has read already. */
export interface SharedValues {
  get(key: string, version: string): Promise<string | null>;
  put(key: string, entry: { readonly version: string; readonly value: string; readonly ms: number }): void;
}

/** About 200 bytes each: 20 MiB at most. Beyond, the longest unchanged tag counts as changed now, and so do unknown ones. */
const MAX_TAGS = 100_000;

/** Versions in this process alone: right where no other one changes the same rows. */
export function createMemoryTagVersions(maxTags = MAX_TAGS): TagVersions {
  let changes = 0;
  /** The version of every tag that is not in `versions`. */
  let floor = 0;
  const versions = new LRUCache<string, number>({
    max: maxTags,
    // A tag that is forgotten must not seem unchanged, and neither those that were never in.
    dispose(_version, _tag, reason) {
      if (reason === 'evict') floor = ++changes;
    },
  });
  return {
    current: (tags) => Promise.resolve(tags.map((tag) => versions.peek(tag) ?? floor).join()),
    // A process that dies takes what it kept along.
    open: () => Promise.resolve(),
    close(tags) {
      for (const tag of tags) versions.set(tag, ++changes);
      return Promise.resolve();
    },
  };
}
