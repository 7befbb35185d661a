/** Owns what surrounds the signals on a session's page: annotations, the talk about it, its devices. */

import type { SessionDetail } from '#contract/rest.ts';
import { Devices } from '#web/session/device-commands.tsx';
import { Talk } from '#web/session/talk.tsx';
import { Annotations } from '#web/visit/annotations.tsx';

export interface SessionCircleProps {
  readonly detail: SessionDetail;
  /** The part of a recording that is looked at; null: all of it, or it goes on. */
  readonly shown: { readonly fromUs: number; readonly toUs: number } | null;
}

export function SessionCircle({ detail, shown }: SessionCircleProps) {
  return (
    <>
      <Annotations session={detail.session} shown={shown} />
      <div className="circle">
        <Talk session={detail.session.id} />
        <Devices streams={detail.streams} />
      </div>
    </>
  );
}
