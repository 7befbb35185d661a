/** Owns the life of a session's live worker on the page: one worker for one session, from first view to last. */

import { useEffect, useRef, useState } from 'react';

import { closeCodes } from '#protocol/codes.ts';
import { accessKey } from '#web/access-key.ts';
import { provideInspection } from '#web/inspection.ts';
import { canDrawLive, createLiveController, type LiveController } from '#web/live/live-controller.ts';
import type { LiveReport } from '#web/live/worker-messages.ts';
import { signInAgain } from '#web/server.ts';

/** `refresh` is called when readings of a stream come that the page does not know. */
export function useLiveController(
  session: string,
  refresh: () => void,
): { controller: LiveController | null; report: LiveReport | null } {
  const [controller, setController] = useState<LiveController | null>(null);
  const [report, setReport] = useState<LiveReport | null>(null);
  const latestRefresh = useRef(refresh);
  useEffect(() => {
    latestRefresh.current = refresh;
  });
  useEffect(() => {
    if (!canDrawLive()) return;
    const created = createLiveController({
      session,
      key: accessKey(),
      onReport: (next) => {
        setReport(next);
        const { name, code } = next.connection;
        if (name === 'closed' && code === closeCodes.unauthenticated) signInAgain();
      },
      onUnknownStream: () => latestRefresh.current(),
    });
    setController(created);
    const withdraw = provideInspection(() => created.inspect());
    return () => {
      withdraw();
      created.stop();
      setController(null);
      setReport(null);
    };
  }, [session]);
  return { controller, report };
}
