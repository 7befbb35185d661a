/** Owns the help of the review page: keys, gestures, and how to read the picture. */

import { Button } from '@mantine/core';
import { useEffect, useRef } from 'react';

import { pointerHelp, reviewHelp } from '#web/review/review-keys.ts';

export function ReviewHelp({ open, close }: { open: boolean; close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    <dialog ref={dialog} className="dialog review-help" aria-labelledby="review-help-title" onClose={close}>
      <h2 id="review-help-title">Moving about</h2>
      <dl>
        {reviewHelp.map(([keys, meaning]) => (
          <div key={meaning}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
        {pointerHelp.map(([gesture, meaning]) => (
          <div key={gesture}>
            <dt className="muted">{gesture}</dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <h2>Reading the picture</h2>
      <p>
        Where several readings share a pixel, the band reaches from the lowest to the highest and the line is
        their mean; no peak is left out. Closer up the line goes through the readings, each with a point where
        there is room. A hatched stretch has no readings, and says why. A grey bar along the upper edge marks
        readings that arrived more than 5&#8239;s late.
      </p>
      <Button variant="default" size="xs" onClick={close}>
        Close
      </Button>
    </dialog>
  );
}
