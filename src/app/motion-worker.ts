/** Owns the thread in which live readings become motion (pipeline/worker-loop.ts), with a little less priority than serving. */

import { createSessionMotion } from '#motion/session-motion.ts';
import { runMotionThread } from '#pipeline/motion-worker-thread.ts';
import { yieldToLive } from '#app/thread-priority.ts';

/** What it is late with is a picture; what the serving thread is late with is everybody's. */
const NICENESS = 2;

yieldToLive(NICENESS);
runMotionThread(createSessionMotion);
