/**
 * Owns that what jobs do with the data of a patient is in the audit log: each attempt is recorded before it begins, and with how it
 * ended. An attempt that cannot be recorded does not begin, and is tried again like any other whose database is away. Who asked for
 * the job is in the entry of the request.
 */

import { AppError } from '#base/errors.ts';
import type { Audit, AuditEntry } from '#contract/audit.ts';
import type { Task } from '#jobs/task.ts';

export function auditTasks(
  tasks: readonly Task[],
  { audit, onFailure }: { readonly audit: Audit; readonly onFailure: (cause: unknown) => void },
): Task[] {
  return tasks.map((task) => ({
    ...task,
    async run(context) {
      const { id, orgId, patientId, sessionId } = context.job;
      if (patientId === null && sessionId === null) return task.run(context);
      const entry: AuditEntry = {
        orgId,
        actor: { kind: 'system', role: 'service', subject: `job ${task.kind}` },
        action: task.action ?? 'job.run',
        route: `job ${task.kind}`,
        requestId: null,
        patientId,
        resource: { kind: 'job', id },
        status: null,
        address: null,
      };
      await audit.record(entry);
      const tell = (status: number): void => void audit.record({ ...entry, status }).catch(onFailure);
      try {
        const outcome = await task.run(context);
        tell(200);
        return outcome;
      } catch (error) {
        tell(error instanceof AppError && !error.temporary ? 400 : 503);
        throw error;
      }
    },
  }));
}
