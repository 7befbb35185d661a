/** Owns the forked process of a fleet: one plan in by message, reports out, and its end. */

import { runFleet, type FleetPlan, type FleetReport } from '#simulator/fleet.ts';

const ended = new AbortController();
process.once('disconnect', () => ended.abort());
// Ctrl-C reaches the whole group; the parent decides when the fleet stops.
process.on('SIGINT', () => undefined);

process.on('message', (message: { plan: FleetPlan } | { stop: true }) => {
  if ('stop' in message) ended.abort();
  else
    void runFleet(message.plan, {
      signal: ended.signal,
      onReport: (report: FleetReport) => process.send?.({ report }),
    }).then((isDrained) => {
      process.exitCode = isDrained ? 0 : 1;
      process.disconnect();
    });
});
