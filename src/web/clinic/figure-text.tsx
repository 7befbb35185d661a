/** Owns a figure in a line: its value with unit, and its known error beside it. */

import type { Figure } from '#contract/clinic.ts';
import { figureWords } from '#web/clinic/figure-words.ts';

export function FigureText({ figure }: { figure: Figure }) {
  const { text, error } = figureWords(figure);
  return (
    <span
      className="nowrap"
      title={error === null ? 'Its error was never measured with these sensors' : 'With its known error'}
    >
      {text}
      {error !== null && <span className="muted"> {error}</span>}
    </span>
  );
}
