/** Owns a dialog in front of the page: the browser's own, so that focus, Escape and the screen reader are as they know. */

import { useEffect, useId, useRef, type ReactNode } from 'react';

export interface DialogProps {
  readonly title: string;
  readonly isOpen: boolean;
  readonly close: () => void;
  readonly isWide?: boolean;
  /** Made anew each time it opens: what was typed before is gone. */
  readonly children: ReactNode;
}

export function Dialog({ title, isOpen, close, isWide = false, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    if (isOpen) dialog.current?.showModal();
    else dialog.current?.close();
  }, [isOpen]);
  return (
    <dialog
      ref={dialog}
      className="dialog form-dialog"
      data-wide={isWide}
      aria-labelledby={titleId}
      onClose={close}
    >
      <h2 id={titleId}>{title}</h2>
      {isOpen && children}
    </dialog>
  );
}
