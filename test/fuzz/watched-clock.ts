/**
 * Owns a clock that moves only when a case moves it, and that holds whoever asks it for timers to what real timers can do:
 * a delay beyond 2^31 - 1 ms would fire at once (Node and browsers alike), and timers without end would spin.
 */

import { createManualClock, type ManualClock } from '#test/support/manual-clock.ts';
import { hold } from '#test/fuzz/target.ts';

const LONGEST_MS = 2 ** 31 - 1;
/** A peer may ask for a heartbeat every millisecond; what is more comes from nobody's wish. */
const TIMERS_PER_MS = 2;
const TIMERS_AT_ONCE = 200;

export function createWatchedClock(): ManualClock {
  const clock = createManualClock();
  let fired = 0;
  let budget = TIMERS_AT_ONCE;
  return {
    ...clock,
    get timerCount() {
      return clock.timerCount;
    },
    after(delayMs, callback) {
      hold(delayMs >= 0 && delayMs <= LONGEST_MS, 'a timer is one that real machines have', String(delayMs));
      return clock.after(delayMs, () => {
        fired++;
        hold(fired <= budget, 'timers do not spin', { fired });
        callback();
      });
    },
    advance(ms) {
      fired = 0;
      budget = TIMERS_AT_ONCE + ms * TIMERS_PER_MS;
      clock.advance(ms);
    },
  };
}
