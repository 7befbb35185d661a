/** Owns the question before something that cannot be taken back: what happens, what stays, and two ways out. */

import { Button } from '@mantine/core';
import type { ReactNode } from 'react';

import { Dialog } from '#web/form/dialog.tsx';
import { Form } from '#web/form/fields.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';

export interface ConfirmDialogProps {
  readonly title: string;
  readonly isOpen: boolean;
  readonly close: () => void;
  /** What the button that does it says. */
  readonly label: string;
  readonly act: () => Promise<unknown>;
  readonly children: ReactNode;
}

export function ConfirmDialog(props: ConfirmDialogProps) {
  return (
    <Dialog title={props.title} isOpen={props.isOpen} close={props.close}>
      <Question {...props} />
    </Dialog>
  );
}

function Question({ close, label, act, children }: ConfirmDialogProps) {
  const submission = useSubmit(async () => {
    await act();
    close();
  });
  return (
    <Form submission={submission}>
      <div className="dialog-words">{children}</div>
      <div className="form-foot">
        <Button type="submit" className="danger" variant="default" disabled={submission.isBusy}>
          {label}
        </Button>
        <Button variant="default" onClick={close}>
          Keep it as it is
        </Button>
        <p className="form-said needs-action small" role="alert">
          {submission.general}
        </p>
      </div>
    </Form>
  );
}
