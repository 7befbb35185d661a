/** Owns what surrounds the signals on a session's page: the talk about it and its devices. */

import type { SessionDetail } from '#contract/rest.ts';
import { Devices } from '#web/session/device-commands.tsx';
import { Talk } from '#web/session/talk.tsx';

export function SessionCircle({ detail }: { detail: SessionDetail }) {
  return (
    <div className="circle">
      <Talk session={detail.session.id} />
      <Devices streams={detail.streams} />
    </div>
  );
}
