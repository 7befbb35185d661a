/** Owns whether the streams of a session are worn so that motion can be told from them, before anybody says so. */

import { defaultBodyModel } from '#motion/default-body-model.ts';
import type { StreamDetail } from '#contract/rest.ts';

export function tellsMotion(streams: readonly StreamDetail[]): boolean {
  const described = streams.map(({ definition }) => ({ ...definition, id: definition.stream }));
  return defaultBodyModel(described).placements.length > 0;
}
