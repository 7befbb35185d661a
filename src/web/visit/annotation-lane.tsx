/**
 * Owns the annotations among the streams of a review: each where it is on the time line, in words below the pointer. At
 * every step of a zoom they move without rendering.
 */

import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';

import type { Annotation } from '#contract/visit.ts';
import type { ReviewModel } from '#web/review/review-model.ts';
import { spanOf } from '#web/review/view-range.ts';
import { annotationKinds } from '#web/visit/annotation-kinds.ts';
import { annotationsQuery } from '#web/visit/visit-queries.ts';

export function AnnotationLane({ model, session }: { model: ReviewModel; session: string }) {
  const { data: annotations = [] } = useQuery(annotationsQuery(session));
  if (annotations.length === 0) return null;
  return (
    <section
      className="trace-card annotation-lane"
      data-side="centre"
      aria-label="Annotations on the time line"
    >
      <ul>
        {annotations.map((annotation) => (
          <Mark key={annotation.id} annotation={annotation} model={model} />
        ))}
      </ul>
    </section>
  );
}

function Mark({ annotation, model }: { annotation: Annotation; model: ReviewModel }) {
  const element = useRef<HTMLLIElement>(null);
  const { fromUs, toUs, kind, text } = annotation;
  useEffect(() => {
    const place = (): void => {
      const { current } = element;
      const { range } = model.state;
      if (current === null || range === null) return;
      const shareOf = (timeUs: number): number => (timeUs - range.fromUs) / spanOf(range);
      const [from, to] = [shareOf(fromUs), shareOf(toUs ?? fromUs)];
      const { left, width } = model.plot;
      current.hidden = to < 0 || from > 1;
      current.style.left = `${left + Math.max(0, from) * width}px`;
      current.style.width = toUs === null ? '' : `${(Math.min(1, to) - Math.max(0, from)) * width}px`;
    };
    place();
    const endings = [model.subscribe(place), model.onFrame(place)];
    return () => endings.forEach((end) => end());
  }, [model, fromUs, toUs]);
  return (
    <li
      ref={element}
      data-kind={kind}
      data-span={toUs !== null}
      title={`${annotationKinds[kind]}: ${text}`}
      hidden
    >
      <span>{text}</span>
    </li>
  );
}
