/**
 * Owns the export of everything that is kept about a patient, as one zip of what the records give (clinic/patient-export.ts).
 * Readings are not in it: each session has an export of its own. It is made in the name of whoever asked, whose right to it
 * was looked at then.
 */

import type { Clock } from '#base/clock.ts';
import type { Actor } from '#contract/permissions.ts';
import { jobKinds } from '#jobs/kinds.ts';
import { defineTask, type Task } from '#jobs/task.ts';
import { zipBytes, type ZipEntry } from '#jobs/zip.ts';

export interface PatientExportParts {
  /** Parts in their order; the content of one is read before the next is asked for. */
  readonly exportPatient: (
    actor: Actor,
    patientId: string,
  ) => AsyncIterable<{ readonly name: string; readonly content: AsyncIterable<Uint8Array> }>;
  readonly clock: Clock;
}

/** Parts of a record; only the bar knows. */
const USUAL_PARTS = 8;

export function patientExportTask({ exportPatient, clock }: PatientExportParts): Task {
  return defineTask({
    ...jobKinds['patient-export'],
    async run({ job, input, report, signal, store }) {
      const patientId = input.patient.toLowerCase();
      const actor: Actor = {
        orgId: job.orgId,
        role: 'service',
        patientId: null,
        permissions: ['patient.export'],
      };
      let parts = 0;
      async function* entries(): AsyncGenerator<ZipEntry, void> {
        for await (const { name, content } of exportPatient(actor, patientId)) {
          signal.throwIfAborted();
          report(Math.min(0.95, parts / USUAL_PARTS), `writing ${name}`);
          yield { name, content };
          parts++;
        }
      }
      await store(
        { name: `kymo-patient-${patientId}.zip`, type: 'application/zip' },
        zipBytes(entries(), clock.nowUs() / 1000),
      );
      return { result: { parts } };
    },
  });
}
