/**
 * Owns the erasing of a patient as a job: interrupted, it goes on where it was (clinic/patient-erasure.ts). Other jobs about
 * the patient and what they made go with the patient's row. Once begun it cannot be undone; cancelled it only stops half way,
 * with the patient's key destroyed already.
 */

import { AppError } from '#base/errors.ts';
import type { Actor } from '#contract/permissions.ts';
import { jobKinds } from '#jobs/kinds.ts';
import { defineTask, type Task } from '#jobs/task.ts';

export interface PatientErasureParts {
  readonly erasePatient: (
    actor: Actor,
    patientId: string,
    onProgress: (erased: number, of: number) => void,
  ) => Promise<'erased' | 'held' | 'not-found'>;
}

export function patientErasureTask({ erasePatient }: PatientErasureParts): Task {
  return defineTask({
    ...jobKinds['patient-erasure'],
    async run({ job, input, report }) {
      const patientId = input.patient.toLowerCase();
      const actor: Actor = {
        orgId: job.orgId,
        role: 'service',
        patientId: null,
        permissions: ['patient.erase'],
      };
      report(0, 'destroying the key');
      let sessions = 0;
      const outcome = await erasePatient(actor, patientId, (erased, of) => {
        sessions = of;
        report(0.95 * (erased / of), `erased ${erased} of ${of} recordings`);
      });
      if (outcome === 'not-found') throw new AppError('not-found', 'there is no such patient');
      if (outcome === 'held')
        throw new AppError('conflict', 'a recording is under a legal hold: end it first, then try again');
      return { result: { sessions } };
    },
  });
}
