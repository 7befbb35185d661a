/** Owns the controls of the live view, each with its key: time window, freeze, help. */

import { Button, SegmentedControl } from '@mantine/core';
import { useEffect, useRef } from 'react';

import { keyHelp } from '#web/session/session-keys.ts';
import { gridSeconds } from '#web/live/sweep.ts';
import { WINDOW_SECONDS, type WindowSeconds } from '#web/session/view-search.ts';

export interface ViewControlsProps {
  readonly seconds: WindowSeconds;
  readonly setSeconds: (seconds: WindowSeconds) => void;
  readonly frozen: boolean;
  readonly setFrozen: (frozen: boolean) => void;
  readonly helpOpen: boolean;
  readonly setHelpOpen: (open: boolean) => void;
  /** Goes to what is stored. */
  readonly review: () => void;
}

export function ViewControls(props: ViewControlsProps) {
  const { seconds, setSeconds, frozen, setFrozen, helpOpen, setHelpOpen, review } = props;
  return (
    <div className="controls">
      <span className="muted small grid-note">{`grid ${gridSeconds(seconds)}\u202fs`}</span>
      <SegmentedControl
        aria-label="Time window"
        size="xs"
        transitionDuration={0}
        data={WINDOW_SECONDS.map((value) => ({ value: String(value), label: `${value}\u202fs` }))}
        value={String(seconds)}
        onChange={(value) => setSeconds(Number(value) as WindowSeconds)}
      />
      <Button variant="default" size="xs" aria-pressed={frozen} onClick={() => setFrozen(!frozen)}>
        {frozen ? 'Resume' : 'Freeze'}
      </Button>
      <Button
        variant="default"
        size="xs"
        title="Scroll and zoom through what is stored; recording goes on"
        onClick={review}
      >
        Review
      </Button>
      <Button variant="default" size="xs" onClick={() => setHelpOpen(true)}>
        Keys
      </Button>
      <HelpDialog open={helpOpen} close={() => setHelpOpen(false)} />
    </div>
  );
}

function HelpDialog({ open, close }: { open: boolean; close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    <dialog ref={dialog} className="dialog" aria-labelledby="help-title" onClose={close}>
      <h2 id="help-title">Keys of this page</h2>
      <dl>
        {keyHelp.map(([key, meaning]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <h2>Reading the traces</h2>
      <p>
        Time runs from left to right and starts over at the left edge; the empty bar is now. A thin line has
        arrived but is not stored yet, a full line is. A hatched stretch has no readings, and says why.
      </p>
      <Button variant="default" size="xs" onClick={close}>
        Close
      </Button>
    </dialog>
  );
}
