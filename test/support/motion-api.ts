/** Owns the parts about windows and motion of an API under test: the server's own, over the pool of the application. */

import { createMotionAnswers } from '#app/motion-answers.ts';
import type { ApiOptions } from '#api/api-options.ts';
import { createMotionQueries } from '#store/motion-queries.ts';
import type { RolePool } from '#store/pools.ts';
import { createWindowQueries } from '#store/window-queries.ts';

export function motionApi(app: RolePool): Pick<ApiOptions, 'windows' | 'motion'> {
  return { windows: createWindowQueries(app), motion: createMotionAnswers(createMotionQueries(app)) };
}
