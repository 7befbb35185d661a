/** Owns the entry of a thread of the pipeline whose chains are stand-ins. */

import { runMotionThread } from '#pipeline/motion-worker-thread.ts';
import { createStandInMotion } from '#test/support/stand-in-motion.ts';

runMotionThread(createStandInMotion);
