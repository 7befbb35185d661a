/** Owns the choice of the angles that are shown. */

import type { AngleGroup } from '#web/motion/angle-groups.ts';

export function GroupChoice({
  groups,
  chosen,
  choose,
}: {
  groups: readonly AngleGroup[];
  chosen: AngleGroup | null;
  choose: (id: string) => void;
}) {
  return (
    <select
      className="choice"
      aria-label="Angles that are shown"
      value={chosen?.id ?? ''}
      disabled={groups.length === 0}
      onChange={(event) => choose(event.currentTarget.value)}
    >
      {groups.length === 0 && <option value="">Angles</option>}
      {groups.map(({ id, label }) => (
        <option key={id} value={id}>
          {label}
        </option>
      ))}
    </select>
  );
}
