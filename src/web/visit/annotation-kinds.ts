/** Owns how kinds of annotations read on a page. */

import type { Annotation } from '#contract/visit.ts';

export const annotationKinds: Readonly<Record<Annotation['kind'], string>> = {
  note: 'Note',
  task: 'Task',
  event: 'Event',
  artefact: 'Artefact',
};
