/** Owns what watchers count. Labels are `extension/watcher`, which the operator chose; `running` is a gauge. */

export interface WatcherCounters {
  running: number;
  /** Times that a watcher was started, and that it threw. */
  starts: Record<string, number>;
  failures: Record<string, number>;
  /** Notifications of databases and messages of feeds that were handed to watchers. */
  notifications: number;
  feedMessages: number;
  /** Connections of both that broke or could not be made. */
  disconnects: number;
  /** Times that a watcher was told that something may be missing; notifications dropped from a full inbox cause one. */
  gaps: number;
}

export function createWatcherCounters(): WatcherCounters {
  return {
    running: 0,
    starts: {},
    failures: {},
    notifications: 0,
    feedMessages: 0,
    disconnects: 0,
    gaps: 0,
  };
}
