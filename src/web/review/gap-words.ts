/** Owns what is said of a gap in a recording: its cause, and how much is missing. */

import type { EnvelopeGap } from '#contract/envelope.ts';
import { formatCount } from '#web/format.ts';

/** The reasons that a device may give (protocol/messages.ts, `tombstone`). */
const reasonWords: Readonly<Record<string, string>> = {
  'device-store-full': 'the device had no room left',
  'device-store-damaged': "the device's store was damaged",
  'sensor-fault': 'the sensor failed',
  'erased-on-device': 'erased on the device',
  'server-restored': 'the server was restored from a back-up',
};

/** From the longest to the shortest; the first that fits is written. */
export function gapWordsOf({ state, reason, readings }: EnvelopeGap): readonly string[] {
  const many = readings === null ? '' : ` ${formatCount(readings)} reading${readings === 1 ? '' : 's'}`;
  if (state === 'pending') return [`${many.trim()} not arrived yet`.trim(), 'not arrived yet', 'pending'];
  if (state === 'tail-lost')
    return ['the device lost its store: an unknown number of readings', 'store lost', 'lost'];
  const why = reason === null ? '' : `: ${reasonWords[reason] ?? reason}`;
  return [
    `declared lost${many === '' ? '' : ','}${many}${why}`,
    `lost${many === '' ? '' : ','}${many}`,
    'lost',
  ];
}
