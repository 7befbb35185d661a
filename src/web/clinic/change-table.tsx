/** Owns the comparison of a patient's first and newest session: the same figures beside each other, left and right apart. */

import type { Figure, PatientOverview } from '#contract/clinic.ts';
import { FigureText } from '#web/clinic/figure-text.tsx';
import { figureWords } from '#web/clinic/figure-words.ts';
import { DASH } from '#web/format.ts';
import { Instant } from '#web/list/instant.tsx';

type Headline = PatientOverview['progress']['first'];

export function ChangeTable({ first, latest }: { first: Headline; latest: Headline }) {
  if (first === null || latest === null)
    return <p className="muted">No session was analysed yet. Its figures come seconds after it has ended.</p>;
  const isOne = first.session === latest.session;
  return (
    <>
      <table className="metrics change">
        <thead>
          <tr>
            <th scope="col">
              <span className="unseen">Figure</span>
            </th>
            <th scope="col">
              <Instant at={first.startedAt} />
            </th>
            {!isOne && (
              <th scope="col">
                <Instant at={latest.startedAt} />
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {latest.figures.filter(isTelling).map((figure) => (
            <tr key={`${figure.metric} ${figure.side}`}>
              <th scope="row">
                {figure.side === null ? (
                  figureWords(figure).label
                ) : (
                  <span className="side-mark" data-side={figure.side}>
                    {figureWords(figure).label}, {figure.side}
                  </span>
                )}
              </th>
              <td>
                <SameFigure figure={figure} among={first.figures} />
              </td>
              {!isOne && (
                <td>
                  <FigureText figure={figure} />
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
      {isOne && (
        <p className="muted small">One session was analysed so far; the next one stands beside it.</p>
      )}
    </>
  );
}

/** How fast is one figure of a body; how long and how even is one of each side. */
const wholeBody = ['speed', 'cadence'];

function isTelling({ metric, side }: Figure, _: number, all: readonly Figure[]): boolean {
  const hasOther = all.some((other) => other.metric === metric && (other.side === null) !== (side === null));
  return !hasOther || wholeBody.includes(metric) === (side === null);
}

function SameFigure({ figure, among }: { figure: Figure; among: readonly Figure[] }) {
  const same = among.find(({ metric, side }) => metric === figure.metric && side === figure.side);
  return same === undefined ? <span className="muted">{DASH}</span> : <FigureText figure={same} />;
}
