/** Owns the joining of what is done with sessions as visits: all of it, from the same parts. */

import { createAnnotations, type AnnotationParts, type Annotations } from '#clinic/annotations.ts';
import { createPlacements, type Placements } from '#clinic/placements.ts';
import { createProtocols, type Protocols } from '#clinic/protocols.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import { createSessionLists, type SessionLists } from '#clinic/session-lists.ts';
import { createSessionSummaries, type SessionSummaries } from '#clinic/session-summaries.ts';
import { createVisitProgress, type ProgressParts, type VisitProgress } from '#clinic/visit-progress.ts';
import { createVisits, type Visits } from '#clinic/visits.ts';

export interface VisitServices {
  readonly visits: Visits;
  readonly progress: VisitProgress;
  readonly placements: Placements;
  readonly annotations: Annotations;
  readonly protocols: Protocols;
  readonly lists: SessionLists;
  readonly summaries: SessionSummaries;
}

export type VisitServiceParts = Pick<ProgressParts, 'app' | 'clock' | 'asking' | 'news'> &
  Pick<AnnotationParts, 'announce'> & { readonly cache: ReadCache };

export function createVisitServices(parts: VisitServiceParts): VisitServices {
  return {
    visits: createVisits(parts),
    progress: createVisitProgress(parts),
    placements: createPlacements(parts),
    annotations: createAnnotations(parts),
    protocols: createProtocols(parts),
    lists: createSessionLists(parts),
    summaries: createSessionSummaries(parts),
  };
}
