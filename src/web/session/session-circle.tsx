/** Owns what surrounds the signals on a session's page: annotations, the talk about it, its devices. */

import type { SessionDetail } from '#contract/rest.ts';
import { useAccount } from '#web/account/account-context.ts';
import { Devices } from '#web/session/device-commands.tsx';
import { Talk } from '#web/session/talk.tsx';
import { Annotations } from '#web/visit/annotations.tsx';

export interface SessionCircleProps {
  readonly detail: SessionDetail;
  /** The part of a recording that is looked at; null: all of it, or it goes on. */
  readonly shown: { readonly fromUs: number; readonly toUs: number } | null;
}

export function SessionCircle({ detail, shown }: SessionCircleProps) {
  // The talk and the commands are those of the people who treat.
  const { role } = useAccount();
  return (
    <>
      <Annotations session={detail.session} shown={shown} />
      {role !== 'patient' && (
        <div className="circle">
          <Talk session={detail.session.id} />
          <Devices streams={detail.streams} />
        </div>
      )}
    </>
  );
}
