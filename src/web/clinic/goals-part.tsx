/** Owns what a patient works towards: goals with the newest figure beside the aim, programmes with what was done of them. */

import { GoalsCard } from '#web/clinic/goals-card.tsx';
import { ProgrammesCard } from '#web/clinic/programmes-card.tsx';

export function GoalsPart({ patientId }: { patientId: string }) {
  return (
    <div className="halves">
      <GoalsCard patientId={patientId} />
      <ProgrammesCard patientId={patientId} />
    </div>
  );
}
