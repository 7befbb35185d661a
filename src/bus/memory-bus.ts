/** Owns the bus of a single process: delivery is a direct call, in the publisher's turn of the event loop. */

import type { Bus, BusHandler } from '#bus/bus.ts';

export function createMemoryBus(): Bus {
  const topics = new Map<string, Set<BusHandler>>();
  return {
    publish(topic, payload) {
      const handlers = topics.get(topic);
      if (handlers === undefined) return;
      // Those who listen now: not who starts meanwhile, nor who was stopped by a handler before.
      const listening = [...handlers];
      for (const handler of listening) if (handlers.has(handler)) handler(payload, topic);
    },
    hasListeners: (topic) => topics.has(topic),
    subscribe(topic, handler, notices) {
      const handlers = topics.get(topic) ?? new Set();
      topics.set(topic, handlers);
      // A wrapper of its own, so that the same function may subscribe twice and leave once.
      const own: BusHandler = (payload, name) => handler(payload, name);
      handlers.add(own);
      notices?.ready?.();
      return () => {
        handlers.delete(own);
        if (handlers.size === 0 && topics.get(topic) === handlers) topics.delete(topic);
      };
    },
    async close() {
      for (const handlers of topics.values()) handlers.clear();
      topics.clear();
    },
  };
}
