/** Owns what the motion panel says of itself: why there is nothing yet, how much there is, and whether it will stay. */

import { formatCount } from '#web/format.ts';
import type { GaitFeed, MotionNotice } from '#web/motion/gait-feed.ts';

export interface MotionState {
  readonly connection: 'waiting' | 'following' | 'refused';
  /** Why the channel may not be followed. */
  readonly refusal: string | null;
  readonly feed: GaitFeed;
  readonly hasAngles: boolean;
  /** Newest device time that anything is known of, in microseconds; null before anything is. */
  readonly newestUs: number | null;
}

export interface MotionWords {
  readonly text: string;
  /** What became unknown or doubtful a moment ago, or why nothing can be shown; null: nothing. */
  readonly notice: string | null;
}

/** A notice that is older than this beside the newest result has passed. */
const NOTICE_US = 30_000_000;

export function motionWords(state: MotionState): MotionWords {
  const { connection, refusal, feed, hasAngles } = state;
  const off = feed.notices.find(({ code }) => code === 'off');
  if (off !== undefined) return { text: off.text, notice: null };
  if (connection === 'refused')
    return { text: 'Not shown here', notice: refusal ?? 'the server refused to show it' };
  const notice = currentNotice(state)?.text ?? null;
  if (connection === 'waiting') return { text: 'Asking for motion', notice };
  const strides = feed.summary?.strides ?? feed.strides.length;
  if (strides > 0)
    return { text: `${formatCount(strides)} ${strides === 1 ? 'stride' : 'strides'} so far`, notice };
  const text = hasAngles
    ? 'No stride yet: it appears when a step has ended'
    : 'Waiting for the sensors to move';
  return { text, notice };
}

function currentNotice({ feed, newestUs }: MotionState): MotionNotice | null {
  const [newest] = feed.notices;
  if (newest === undefined) return null;
  return newestUs === null || newestUs - newest.timeUs <= NOTICE_US ? newest : null;
}
