/** Owns tasks of a protocol as lines of text: `Walk 10 metres, 30` is a task of thirty seconds. */

import type { ProtocolRequest } from '#contract/visit.ts';

type Task = ProtocolRequest['tasks'][number];

export function tasksText(tasks: readonly Task[]): string {
  return tasks.map(({ name, durationS }) => (durationS === null ? name : `${name}, ${durationS}`)).join('\n');
}

/** A task that keeps its name keeps its code and instruction; annotations may begin with the code. */
export function tasksOf(text: string, known: readonly Task[]): Task[] {
  const codes = new Set<string>();
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => {
      const found = /^(.*\S)\s*,\s*(\d+(?:\.\d+)?)(?:\s*s)?$/.exec(line);
      const name = found?.[1] ?? line;
      const durationS = found === null ? null : Number(found[2]);
      const before = known.find((task) => task.name === name);
      const code = freeCode(before?.code ?? codeOf(name), codes);
      codes.add(code);
      return { code, name, instruction: before?.instruction ?? '', durationS };
    });
}

function codeOf(name: string): string {
  const code = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 36);
  return code === '' ? 'task' : code;
}

function freeCode(code: string, taken: ReadonlySet<string>): string {
  if (!taken.has(code)) return code;
  for (let i = 2; ; i++) if (!taken.has(`${code}-${i}`)) return `${code}-${i}`;
}
